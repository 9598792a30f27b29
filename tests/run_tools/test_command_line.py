from __future__ import annotations

import errno
import json
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from run_tools import cli, config
from run_tools.cli import Verb
from run_tools.config import option, positional
from run_tools.errors import InputError
from run_tools.parsing import parse

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Stage:
    """A stage."""

    layers: str
    epochs: int
    rate: float

    @classmethod
    def parse(cls, text: str) -> Stage:
        """Reads "layers:epochs:rate"."""
        parts = text.split(":")
        if len(parts) != 3:
            raise InputError(f"stage {text!r}", "layers:epochs:rate", "write it like head:5:1e-3")
        return cls(parts[0], int(parts[1]), float(parts[2]))


@dataclass(frozen=True)
class Compile:
    """Compiles 100% of a folder.

    It has a second paragraph.

    Attributes:
        root: hidden from the help.
    """

    root: Path = positional(help="data")
    out: Path = positional(help="file")
    images: int = option(help="how many, 100% of them", minimum=1)
    k: int = option(5, help="anchors", short="-k")
    fractions: tuple[float, ...] = option((0.8, 0.1, 0.1), help="parts")
    kind: Literal["drive", "random"] = option("drive", help="split")
    batch_size: int | None = option(None, help="batch")
    nms: bool = option(False, help="with NMS")
    pad: bool = option(True, help="pad")
    size: tuple[int, int] = option((1, 2), help="size")
    anchors: tuple[tuple[float, float], ...] = option((), help="pairs")
    stages: tuple[Stage, ...] = option((), help="stages")


@dataclass(frozen=True)
class Detect:
    """Detects."""

    images: tuple[Path, ...] = positional(many=True, help="pictures")
    model: str = option(help="model")
    limit: float = option(0.0, help="lowest")


@dataclass(frozen=True)
class Demo:
    """Shows everything."""

    place: Path = positional(Path("demo"), help="folder")


def fail(demo: Demo) -> dict[str, Any]:
    """Raises what the test asked for."""
    raise FAULTS[str(demo.place)]


FAULTS: dict[str, BaseException] = {
    "input": InputError("x", "y", "z"),
    "memory": MemoryError(),
    "disk": OSError(errno.ENOSPC, "No space left on device", "big.h5"),
    "missing": FileNotFoundError(errno.ENOENT, "No such file or directory", "no.h5"),
    "interrupt": KeyboardInterrupt(),
    "bug": KeyError("a\nb"),
}

VERBS = [
    Verb("compile kitti", Compile, config.to_dict, lambda result: f"{result['images']} images", "p compile kitti A B"),
    Verb("compile folder", Detect, config.to_dict, str, "p compile folder A"),
    Verb("detect", Detect, "run_tools.config:to_dict", "builtins:str", "p detect --model m a.png"),
    Verb("demo", Demo, config.to_dict, str, "p demo"),
    Verb("fail", Demo, fail, str, "p fail"),
]


@pytest.fixture
def run(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Any:
    """Runs a command line; returns (exit code, result, stdout, stderr)."""

    def call(line: str) -> tuple[int, dict[str, Any], str, str]:
        result = tmp_path / "result.json"
        words = shlex.split(line)
        place = words.index("--") if "--" in words else len(words)
        code = cli.main("p", VERBS, [*words[:place], "--json", str(result), *words[place:]])
        captured = capfd.readouterr()
        return code, json.loads(result.read_text()) if result.exists() else {}, captured.out, captured.err

    return call


def test_defaults_and_the_table(run: Any) -> None:
    code, result, out, err = run("compile kitti ROOT OUT.h5 --images 3")
    assert (code, out, err) == (0, "3 images\n", "")
    assert result == {
        "root": "ROOT",
        "out": "OUT.h5",
        "images": 3,
        "k": 5,
        "fractions": [0.8, 0.1, 0.1],
        "kind": "drive",
        "batch_size": None,
        "nms": False,
        "pad": True,
        "size": [1, 2],
        "anchors": [],
        "stages": [],
    }


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        ("--fractions .5 1e-3", "fractions", [0.5, 0.001]),
        ("--fractions=.5", "fractions", [0.5]),
        ("-k 9", "k", 9),
        ("--k 9", "k", 9),
        ("--batch-size 4", "batch_size", 4),
        ("--batch-size none", "batch_size", None),
        ("--batch-size -4", "batch_size", -4),
        ("--nms", "nms", True),
        ("--no-pad", "pad", False),
        ("--kind random", "kind", "random"),
        ("--size 7 8", "size", [7, 8]),
        ("--anchors 1.3,1.7 3,4", "anchors", [[1.3, 1.7], [3.0, 4.0]]),
        (
            "--stages head:5:1e-3 all:50:1e-4",
            "stages",
            [{"layers": "head", "epochs": 5, "rate": 1e-3}, {"layers": "all", "epochs": 50, "rate": 1e-4}],
        ),
    ],
)
def test_options(run: Any, words: str, name: str, value: Any) -> None:
    code, result, _, err = run(f"compile kitti A B --images 3 {words}")
    assert (code, err) == (0, "")
    assert result[name] == value


@dataclass(frozen=True)
class Inner:
    """Nested, without a text of its own."""

    size: int = 1
    kinds: tuple[str, ...] = ("a", "b")


@dataclass(frozen=True)
class Everything:
    """One of each kind."""

    root: Path = positional(help="data")
    more: tuple[Path, ...] = positional((), many=True, help="pictures")
    needed: int = option(help="required")
    rate: float = option(1e-3, help="number")
    size: tuple[int, int] | None = option((1, 2), help="two")
    nms: bool = option(False, help="flag")
    pad: bool = option(True, help="flag")
    inner: Inner | None = option(Inner(), help="nested")
    stages: tuple[Stage, ...] = option((), help="records that have texts")
    pairs: tuple[tuple[float, float], ...] = option((), help="pairs")
    kinds: tuple[str, ...] = option(("a", "b"), help="a list with a default")
    free: dict[str, Any] = option({}, help="anything")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, []),
        ({"rate": 1e-7, "size": (7, 8)}, ["--rate", "1e-07", "--size", "7", "8"]),
        ({"nms": True, "pad": False}, ["--nms", "--no-pad"]),
        ({"inner": Inner(2)}, ["--inner", "{size: 2}"]),
        ({"inner": Inner(kinds=("x: y", "null")), "more": (Path("b"), Path("c d"))}, None),
        ({"inner": None}, ["--inner", "null"]),
        ({"stages": (Stage("all", 3, 1e-4), Stage("top:3", 1, 1.0))}, None),
        ({"pairs": ((1.5, 2.0), (3.0, 4.5))}, ["--pairs", "1.5,2.0", "3.0,4.5"]),
        ({"kinds": ()}, ["--kinds", "[]"]),
        ({"free": {"every": 2, "stages": [{"train": "top:7", "rate": 1e-4}], "off": None}}, None),
        ({"free": {"long " + "words " * 40: "x"}}, None),
    ],
)
def test_what_is_said_for_a_config_is_read_as_that_config(changes: dict[str, Any], said: list[str] | None) -> None:
    made = Everything(Path("a"), needed=3, **changes)
    words = config.words(made)
    assert said is None or [word for word in words if word not in ("a", "--needed", "3")] == said
    assert not any("\n" in word for word in words)
    assert parse(Everything, "test", words) == (made, None)


def test_free_values_that_are_no_mapping(capsys: pytest.CaptureFixture[str]) -> None:
    for text in ("5", "[1, 2]", "{a: [}"):
        with pytest.raises(InputError, match="--free .*names and values; write it as a YAML mapping"):
            parse(Everything, "test", ["a", "--needed", "3", "--free", text])


def test_positionals_may_stand_around_options(run: Any) -> None:
    assert run("compile kitti A --images 3 B")[1]["out"] == "B"
    assert run("detect a.png b.png --model m")[1]["images"] == ["a.png", "b.png"]
    assert run("detect --model m a.png b.png")[1]["images"] == ["a.png", "b.png"]
    assert run("compile kitti --images 3 --fractions .5 .5 -- A B")[1]["root"] == "A"
    assert run("demo")[1] == {"place": "demo"}
    assert run("demo here")[1] == {"place": "here"}


YAML = """
images: 3
root: A
out: B
batch-size: 7
nms: true
fractions: [1, 2]
stages:
- {layers: a, epochs: 2, rate: 1e-4}
- b:3:1e-2
"""


@pytest.mark.parametrize("place", ["--config {} {}", "{1} --config={0}"])
def test_the_command_line_wins_over_the_file(run: Any, tmp_path: Path, place: str) -> None:
    (tmp_path / "c.yaml").write_text(YAML)
    line = place.format(tmp_path / "c.yaml", "--images 9 --no-nms --stages c:1:1 --fractions .5")
    code, result, _, err = run(f"compile kitti {line}")
    assert (code, err) == (0, "")
    assert (result["root"], result["out"], result["images"], result["batch_size"]) == ("A", "B", 9, 7)
    assert (result["nms"], result["fractions"]) == (False, [0.5])
    assert result["stages"] == [{"layers": "c", "epochs": 1, "rate": 1.0}]


def test_the_file_wins_over_defaults_and_a_later_file_over_an_earlier(run: Any, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(YAML)
    (tmp_path / "d.yaml").write_text("images: 4\n")
    _, result, _, _ = run(f"compile kitti X Y --config {tmp_path / 'c.yaml'} --config {tmp_path / 'd.yaml'}")
    assert (result["root"], result["out"], result["images"], result["nms"]) == ("X", "Y", 4, True)
    assert result["stages"][1] == {"layers": "b", "epochs": 3, "rate": 0.01}


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("compile kitti A B --images abc", ["received --images abc", "expected a whole number"]),
        ("compile kitti A B --images 0", ["received --images 0", "at least 1"]),
        ("compile kitti A B", ["received no --images", "add --images"]),
        ("compile kitti A --images 3", ["received no OUT", "(file)"]),
        ("compile kitti --images 3", ["received no ROOT"]),
        ("compile kitti A B C --images 3", ["one value too many, C", "expected ROOT OUT"]),
        ("compile kitti A B --imagse 3", ["unknown option --imagse", "did you mean --images?"]),
        ("compile kitti A B --image 3", ["unknown option --image", "did you mean --images?"]),
        ("compile kitti A B --images 3 --batch_size=3", ["did you mean --batch-size?"]),
        ("compile kitti A B --images 3 --kind rndom", ["'rndom'", "did you mean 'random'?"]),
        ("compile kitti A B --images 3 --fractions a", ["received --fractions a", "a number"]),
        ("compile kitti A B --images 3 --fractions", ["--fractions with the wrong number", "at least one"]),
        ("compile kitti A B --images 3 --size 1", ["--size with the wrong number", "2 arguments"]),
        ("compile kitti A B --images 3 --stages head", ["stage 'head'", "head:5:1e-3"]),
        ("compile kitti A B --images 3 --stages h:x:1", ["received --stages h:x:1", "a stage"]),
        ("compile kitti A B --images 3 --anchors 1", ["received --anchors", "2 values, each a number"]),
        ("compile kitti A B --config no.yaml", ["no.yaml, which is not a file"]),
        ("detect --model m", ["received no IMAGES"]),
        ("detetc", ["unknown verb 'detetc'", "did you mean 'detect'?"]),
        ("compile kiti A", ["unknown verb 'compile kiti'", "did you mean 'compile kitti'?"]),
        ("qqqq", ["unknown verb 'qqqq'", "see p --help"]),
        ("fail input", ["received x; expected y; z"]),
        ("fail memory", ["memory"]),
        ("fail disk", ["disk full while writing big.h5"]),
        ("fail missing", ["no.h5 (no such file or directory)"]),
    ],
)
def test_mistakes_are_one_line_and_exit_2(run: Any, line: str, parts: list[str]) -> None:
    code, _, out, err = run(line)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("p: error: received ") and "; expected " in err
    for part in parts:
        assert part in err


@pytest.mark.parametrize(
    ("content", "part"),
    [("imagess: 3", "did you mean 'images'?"), ("images: abc", "images abc"), ("stages: [{layer: 3}]", "'layers'?")],
)
def test_mistakes_in_the_file_name_the_file(run: Any, tmp_path: Path, content: str, part: str) -> None:
    (tmp_path / "c.yaml").write_text(content)
    code, _, _, err = run(f"compile kitti A B --images 3 --config {tmp_path / 'c.yaml'}")
    assert (code, err.count("\n")) == (2, 1)
    assert "c.yaml" in err and part in err


def test_debug_adds_the_traceback(run: Any) -> None:
    code, _, _, err = run("fail input --debug")
    assert code == 2
    assert "Traceback" in err and err.endswith("p: error: received x; expected y; z\n")


def test_a_fault_of_ours_is_one_line_and_exit_1(run: Any) -> None:
    code, _, _, err = run("fail bug")
    assert (code, err.count("\n")) == (1, 1)
    assert "KeyError" in err and "--debug" in err


def test_interrupt(run: Any) -> None:
    code, _, _, err = run("fail interrupt")
    assert (code, err.count("\n")) == (130, 1)


def test_json_into_a_folder_is_refused_before_the_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main("p", VERBS, ["fail", "bug", "--json", str(tmp_path)]) == 2
    assert "which is a folder" in capsys.readouterr().err


@pytest.mark.parametrize("argv", [[], ["--help"], ["-h"], ["help"]])
def test_overview(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main("p", VERBS, argv) == 0
    out = capsys.readouterr().out
    assert "compile kitti   Compiles 100% of a folder.\n" in out
    assert "demo            Shows everything.\n" in out


def test_overview_of_a_first_word(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main("p", VERBS, ["compile", "--help"]) == 0
    out = capsys.readouterr().out
    assert "compile kitti" in out and "compile folder" in out and "demo" not in out


def test_help_of_a_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main("p", VERBS, ["compile", "kitti", "--help"]) == 0
    out = capsys.readouterr().out
    for part in (
        "usage: p compile kitti",
        "Compiles 100% of a folder.",
        "second paragraph",
        "how many, 100% of them (required)",
        "anchors (default: 5)",
        "(default: 0.8 0.1 0.1)",
        "{drive,random}",
        "-k N",
        "--config FILE.yaml",
        "--json FILE",
        "--debug",
        "example:\n  p compile kitti A B",
    ):
        assert part in out
    assert "hidden from the help" not in out


@dataclass(frozen=True)
class Nested:
    """Has nested configs for defaults."""

    stages: tuple[Stage, ...] = option((Stage("all", 3, 1e-4),), help="stages")
    first: Stage = option(Stage("head", 5, 0.5), help="a stage")


def test_defaults_of_nested_configs_are_told_as_the_command_line_takes_them(capsys: pytest.CaptureFixture[str]) -> None:
    verb = Verb("nest", Nested, lambda _: {}, lambda _: "", "p nest")
    assert cli.main("p", [verb], ["nest", "--help"]) == 0
    told = re.findall(r"\(default: (\{.*?\})\)", " ".join(capsys.readouterr().out.split()))
    assert told == ["{layers: all, epochs: 3, rate: 0.0001}", "{layers: head, epochs: 5, rate: 0.5}"]
    given, _ = parse(Nested, "p nest", ["--stages", told[1], "--first", told[0]])
    assert given == Nested(stages=(Stage("head", 5, 0.5),), first=Stage("all", 3, 1e-4))


def test_help_is_quick_and_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom dataclasses import dataclass\nfrom run_tools import cli\n"
        "@dataclass(frozen=True)\nclass A:\n    'Does it.'\n"
        "verb = cli.Verb('a', A, 'keras:never', 'keras:never', 'p a')\n"
        "sys.exit(cli.main('p', [verb], ['a', '--help']) or 'keras' in sys.modules or 'numpy' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "Does it." in done.stdout


def test_a_closed_pipe_is_no_error() -> None:
    code = (
        "import sys\nfrom dataclasses import dataclass\nfrom run_tools import cli\n"
        "@dataclass(frozen=True)\nclass A:\n    'Does it.'\n"
        "verb = cli.Verb('a', A, lambda c: {}, lambda r: 'line\\n' * 100000, 'p a')\n"
        "sys.exit(cli.main('p', [verb], ['a']))"
    )
    line = f"set -o pipefail; {shlex.quote(sys.executable)} -c {shlex.quote(code)} | head -1"
    done = subprocess.run(["bash", "-c", line], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "line\n", "")
