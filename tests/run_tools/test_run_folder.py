from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from run_tools import lock
from run_tools.config import load, option
from run_tools.errors import InputError
from run_tools.folder import RunFolder, environment, git_revision

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Train:
    """Trains."""

    out: Path = option(Path("run"), help="")
    epochs: int = option(3, help="")
    rates: tuple[float, ...] = option((0.1, 0.2), help="")
    seed: int = option(7, help="")


@dataclass(frozen=True)
class Inner:
    old: int = 1
    young: float = 0.5


@dataclass(frozen=True)
class Masked:
    previous: Path | None = None


@dataclass(frozen=True)
class Reads:
    """Reads files."""

    data: Path = option(help="")
    several: tuple[Path, ...] = option((), help="")
    prune: Masked | None = option(None, help="")


@dataclass(frozen=True)
class Outer:
    """Holds others."""

    inner: Inner = option(Inner(), help="")
    several: tuple[Inner, ...] = option((Inner(),), help="")


def test_create_writes_what_explains_the_run(tmp_path: Path) -> None:
    with RunFolder(tmp_path / "a" / "run").create(Train()) as folder:
        assert folder.path("config.yaml").read_text() == "out: run\nepochs: 3\nrates:\n- 0.1\n- 0.2\nseed: 7\n"
        told = json.loads(folder.path("environment.json").read_text())
        assert told["seed"] == 7
        assert told["python"] == ".".join(map(str, sys.version_info[:3]))
        assert {"keras", "numpy", "tensorflow"} <= set(told["libraries"])
        assert told["cpus"] >= 1
        assert str(Path.home()) not in json.dumps({key: told[key] for key in told if key != "command"})
        assert folder.path("run.lock").exists()
    assert not folder.path("run.lock").exists()


def test_the_same_config_goes_on_and_another_is_refused(tmp_path: Path) -> None:
    RunFolder(tmp_path).create(Train()).close()
    RunFolder(tmp_path).create(Train(out=Path("moved"))).close()
    with pytest.raises(InputError) as caught:
        RunFolder(tmp_path).create(Train(epochs=4, rates=(0.1,)))
    message = str(caught.value)
    assert "epochs: 3 there, 4 now" in message and "rates: [0.1, 0.2] there, [0.1] now" in message
    assert "seed" not in message
    RunFolder(tmp_path).create(Train()).close()  # the refusal has let go of the lock


def test_a_config_is_compared_without_opening_the_folder(tmp_path: Path) -> None:
    RunFolder(tmp_path / "new").check_same(Train())
    assert not (tmp_path / "new").exists()
    with RunFolder(tmp_path / "run").create(Train()):
        RunFolder(tmp_path / "run").check_same(Train(out=Path("moved")))  # in use as it is
        with pytest.raises(InputError, match="epochs: 3 there, 4 now"):
            RunFolder(tmp_path / "run").check_same(Train(epochs=4))


def test_an_option_younger_than_the_run_had_its_default(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("out: run\nepochs: 3\nseed: 7\n")  # before there were rates
    RunFolder(tmp_path).create(Train()).close()
    with pytest.raises(InputError, match=r"rates: \[0.1, 0.2\] there, \[0.3\] now"):
        RunFolder(tmp_path).create(Train(rates=(0.3,)))


def test_a_nested_option_younger_than_the_run_had_its_default(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("inner: {old: 2}\nseveral: [{old: 3}]\n")
    RunFolder(tmp_path).create(Outer(inner=Inner(2), several=(Inner(3),))).close()
    with pytest.raises(InputError, match=r"inner: .*'young': 0.5.* there, .*'young': 0.7.* now"):
        RunFolder(tmp_path).create(Outer(inner=Inner(2, 0.7), several=(Inner(3),)))
    # A key that has gone since is told, and not taken for a broken file.
    (tmp_path / "config.yaml").write_text("inner: {old: 2, gone: 4}\n")
    with pytest.raises(InputError, match="inner: .*'gone': 4.* there"):
        RunFolder(tmp_path).create(Outer(inner=Inner(2)))


def test_a_file_is_the_same_however_its_path_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "link.h5").symlink_to("a.h5")
    monkeypatch.chdir(tmp_path)
    relative = Reads(data=Path("a.h5"), several=(Path("sub/../b"),), prune=Masked(Path("m.npz")))
    absolute = Reads(data=tmp_path / "a.h5", several=(tmp_path / "b",), prune=Masked(tmp_path / "m.npz"))
    linked = Reads(data=Path("link.h5"), several=(Path("b"),), prune=Masked(Path("sub/../m.npz")))
    for name, first in (("one", relative), ("other", absolute)):
        for config in (first, absolute, relative, linked):
            RunFolder(name).create(config).close()
    # What the run was started with stays as it was written.
    assert "data: a.h5\n" in Path("one/config.yaml").read_text()
    with pytest.raises(InputError, match=r"\(data: a\.h5 there, .*/c\.h5 now\)"):
        RunFolder("one").create(Reads(data=tmp_path / "c.h5", several=relative.several, prune=relative.prune))
    with pytest.raises(InputError, match=r"\(prune: .*m\.npz.* there, .*n\.npz.* now\)"):
        RunFolder("one").create(Reads(data=Path("a.h5"), several=relative.several, prune=Masked(Path("n.npz"))))
    # Nor does what may change bring the others' new words along.
    with RunFolder("one").create(Reads(data=tmp_path / "a.h5", several=(Path("c"),), prune=absolute.prune),
                                 ignore=("several",)) as folder:  # fmt: skip
        folder.renew(Reads(data=tmp_path / "a.h5", several=(Path("c"),), prune=absolute.prune), ("several",))
        assert load(Reads, folder.path("config.yaml")) == Reads(
            data=Path("a.h5"), several=(Path("c"),), prune=Masked(Path("m.npz"))
        )
    # From elsewhere the same words mean another file, which only a digest can tell; an absolute path is itself.
    monkeypatch.chdir("sub")
    RunFolder("../other").create(Reads(data=Path("../a.h5"), several=(Path("../b"),), prune=absolute.prune)).close()
    with pytest.raises(InputError, match="data: .*/a.h5 there, a.h5 now"):
        RunFolder("../other").create(relative)


def test_a_file_is_no_run_folder(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("")
    for path in (tmp_path / "f", tmp_path / "f" / "below"):
        with pytest.raises(InputError, match="which is a file"):
            RunFolder(path).create(Train())


def test_a_folder_in_use_is_refused_until_its_process_dies(tmp_path: Path) -> None:
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom run_tools import lock\n"
        f"held = lock.acquire(Path({str(tmp_path / 'run.lock')!r}))\nprint('held', flush=True)\ntime.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True) as other:
        try:
            assert other.stdout is not None and other.stdout.readline() == "held\n"
            with pytest.raises(InputError, match=f"in use by process {other.pid}"):
                RunFolder(tmp_path).create(Train())
        finally:
            other.send_signal(signal.SIGKILL)
    assert (tmp_path / "run.lock").exists()
    RunFolder(tmp_path).create(Train()).close()
    assert not (tmp_path / "run.lock").exists()


def test_a_process_that_ends_lets_go(tmp_path: Path) -> None:
    code = f"from pathlib import Path\nfrom run_tools import lock\nlock.acquire(Path({str(tmp_path / 'l')!r}))"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)
    assert not (tmp_path / "l").exists()


@pytest.mark.parametrize(
    ("content", "taken"),
    [
        ("", True),  # its writer was killed before it wrote
        ("{", True),
        ("[]", True),
        (json.dumps({"pid": 2**22 + 1, "host": socket.gethostname()}), True),  # above the kernel's largest number
        # This very process's number, but started at another time: the number has been used again.
        (json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "started": "1"}), True),
        (json.dumps({"pid": os.getpid(), "host": socket.gethostname()}), False),
        (json.dumps({"pid": 1, "host": "another-machine"}), False),
    ],
    ids=["empty", "half", "list", "dead", "number used again", "alive", "elsewhere"],
)
def test_stale_locks_are_taken_over(tmp_path: Path, content: str, taken: bool) -> None:
    path = tmp_path / "run.lock"
    path.write_text(content)
    if taken:
        lock.acquire(path).release()
        assert not path.exists()
    else:
        with pytest.raises(InputError, match=r"delete run\.lock"):
            lock.acquire(path)
        assert path.read_text() == content


def test_one_process_does_not_open_a_folder_twice(tmp_path: Path) -> None:
    with RunFolder(tmp_path).create(Train()), pytest.raises(InputError, match="in use"):
        RunFolder(tmp_path).create(Train())


def test_metrics_are_strict_json_lines(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert folder.metrics() == []
    folder.log({"epoch": 0, "loss": float("nan")})
    folder.log({"epoch": 1, "loss": 0.5, "text": "a\nb"})
    lines = folder.path("metrics.jsonl").read_text().splitlines()
    assert lines == ['{"epoch": 0, "loss": null}', '{"epoch": 1, "loss": 0.5, "text": "a\\nb"}']
    assert folder.metrics()[1] == {"epoch": 1, "loss": 0.5, "text": "a\nb"}


def test_half_a_line_is_survived(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.log({"epoch": 0})
    with open(folder.path("metrics.jsonl"), "a") as file:
        file.write('{"epoch": 1, "lo')
    assert folder.metrics() == [{"epoch": 0}]
    folder.log({"epoch": 1})
    assert folder.metrics() == [{"epoch": 0}, {"epoch": 1}]


@given(st.lists(st.integers(0, 9), max_size=8), st.integers(0, 9))
def test_truncate_keeps_exactly_what_the_predicate_says(
    tmp_path_factory: pytest.TempPathFactory, epochs: list[int], last: int
) -> None:
    folder = RunFolder(tmp_path_factory.mktemp("run"))
    for epoch in epochs:
        folder.log({"epoch": epoch})
    folder.truncate(lambda row: row["epoch"] <= last)
    assert [row["epoch"] for row in folder.metrics()] == [epoch for epoch in epochs if epoch <= last]


def test_state(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "new")
    assert folder.read_state() is None
    folder.write_state({"epoch": 3})
    assert RunFolder(tmp_path / "new").state == {"epoch": 3}
    folder.state = {"epoch": 4}
    assert folder.read_state() == {"epoch": 4}
    assert [path.name for path in folder.path().iterdir()] == ["state.json"]


def git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    done = subprocess.run(["git", "-C", str(folder), *who, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_git_revision(tmp_path: Path) -> None:
    assert git_revision(tmp_path) is None
    git(tmp_path, "init")
    (tmp_path / "a.py").write_text("1")
    assert git_revision(tmp_path) is None  # nothing committed
    git(tmp_path, "add", "a.py")
    git(tmp_path, "commit", "-m", "one")
    head = git(tmp_path, "rev-parse", "HEAD")
    assert git_revision(tmp_path) == head
    (tmp_path / "a.py").write_text("2")
    assert git_revision(tmp_path) == head + "+changes"
    (tmp_path / "installed").mkdir()
    (tmp_path / "installed" / "b.py").write_text("1")
    assert git_revision(tmp_path / "installed") is None  # untracked: somebody else's checkout


def test_environment_names_the_program_without_its_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/some/where/yolo-prune", "train", "--seed", "1"])
    assert environment()["command"] == ["yolo-prune", "train", "--seed", "1"]
    monkeypatch.setattr(sys, "argv", ["/some/where/yolo_prune/__main__.py", "train"])
    assert environment()["command"] == ["python", "-m", "yolo_prune", "train"]
