from __future__ import annotations

from dataclasses import FrozenInstanceError, dataclass
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from run_tools import config
from run_tools.config import option, positional
from run_tools.convert import describe
from run_tools.errors import InputError


@dataclass(frozen=True)
class Stage:
    """A training stage."""

    layers: str
    epochs: int
    rate: float = 1e-3

    @classmethod
    def parse(cls, text: str) -> Stage:
        """Reads "layers:epochs:rate"."""
        layers, epochs, rate = text.split(":")
        return cls(layers, int(epochs), float(rate))


@dataclass(frozen=True)
class Inner:
    """Without a parse method."""

    size: int = 1


@dataclass(frozen=True)
class Train:
    """Trains."""

    data: Path = positional(help="compiled file")
    epochs: int = option(help="how long", minimum=1, maximum=1000)
    rate: float = option(1e-3, help="learning rate")
    fractions: tuple[float, ...] = option((0.8, 0.1, 0.1), help="parts", minimum=0, maximum=1)
    size: tuple[int, int] | None = option(None, help="two numbers")
    kind: Literal["full", "tiny", "none"] = option("full", help="body")
    stages: tuple[Stage, ...] = option((), help="stages")
    inner: Inner = option(Inner(), help="nested")
    name: str | None = option(None, help="name")
    nms: bool = option(False, help="with NMS")
    anchors: tuple[tuple[float, float], ...] = option((), help="pairs")
    scales: dict[str, float] = option({}, help="by name")


def make(**changes: Any) -> Train:
    return config.load(Train, data="a.h5", epochs=3, **changes)


def test_values_are_converted() -> None:
    made = make(rate="1e-2", fractions=[1, 0], kind="tiny", nms="yes", anchors=[[1, 2]], scales={"a": 1}, size=[4, 2])
    assert made == Train(
        Path("a.h5"),
        epochs=3,
        rate=0.01,
        fractions=(1.0, 0.0),
        kind="tiny",
        nms=True,
        anchors=((1.0, 2.0),),
        scales={"a": 1.0},
        size=(4, 2),
    )
    with pytest.raises(FrozenInstanceError):
        made.epochs = 4  # type: ignore[misc]


def test_nested_configs_from_text_mappings_and_objects() -> None:
    made = make(stages=["head:5:1e-3", {"layers": "all", "epochs": 50}, Stage("x", 1)], inner={"size": 7})
    assert made.stages == (Stage("head", 5, 1e-3), Stage("all", 50, 1e-3), Stage("x", 1))
    assert made.inner == Inner(7)
    assert make(inner="{size: 8}").inner == Inner(8)


def test_a_file_is_overridden(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    # 1e-4 is text in YAML 1.1; a dash is as good as an underscore.
    path.write_text("data: b.h5\nepochs: 9\nrate: 1e-4\nname: 256\nstages:\n- {layers: a, epochs: 1}\n- b:2:.5\n")
    made = config.load(Train, path, epochs=10)
    assert (made.data, made.epochs, made.rate, made.name) == (Path("b.h5"), 10, 1e-4, "256")
    assert made.stages == (Stage("a", 1), Stage("b", 2, 0.5))


def test_an_empty_file_is_no_options(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("# nothing\n")
    assert config.load(Train, tmp_path / "c.yaml", data="a.h5", epochs=3) == make()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": "abc"}, "received --epochs abc; expected a whole number"),
        ({"epochs": 2.5}, "received --epochs 2.5; expected a whole number"),
        ({"epochs": True}, "expected a whole number"),
        ({"epochs": 0}, "received --epochs 0; expected at least 1"),
        ({"epochs": 1001}, "expected at most 1000"),
        ({"fractions": [0.5, 1.5]}, "received --fractions 1.5; expected at most 1"),
        ({"fractions": 3}, "expected one or more values, each a number"),
        ({"rate": float("nan")}, "expected a number"),
        ({"rate": True}, "expected a number"),
        ({"size": [1, 2, 3]}, "expected 2 values, each a whole number"),
        ({"kind": "tny"}, "did you mean 'tiny'?"),
        ({"nms": "maybe"}, "expected true or false"),
        ({"nms": 2}, "expected true or false"),
        ({"name": True}, "expected text"),
        ({"data": ""}, "expected a path"),
        ({"stages": ["head:x:1"]}, "received --stages head:x:1; expected a stage"),
        ({"stages": [3]}, "received --stages 3; expected a stage"),
        ({"stages": [{"layers": "a", "epoch": 3}]}, "did you mean 'epochs'?"),
        ({"stages": [{"layers": "a"}]}, "received no epochs in --stages"),
        ({"inner": "{"}, "expected an inner"),
        ({"scales": [1]}, "expected names and values"),
        ({"epoch": 3}, "did you mean 'epochs'?"),
    ],
)
def test_bad_values_say_received_expected_fix(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        config.load(Train, **{"data": "a.h5", "epochs": 3, **changes})
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_values() -> None:
    with pytest.raises(InputError, match="no --epochs; expected a whole number .how long.; add --epochs"):
        config.load(Train, data="a.h5")
    with pytest.raises(InputError, match="no DATA"):
        config.load(Train, epochs=1)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("epocs: 3", "did you mean 'epochs'?"),
        ("epochs: abc", "c.yaml: epochs abc; expected a whole number"),
        ("[1, 2]", "which holds a list"),
        ("a: [", "which is not YAML"),
        ("epochs: 3", "no data in"),
    ],
)
def test_bad_files_are_named(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(content)
    with pytest.raises(InputError) as caught:
        config.load(Train, path)
    assert "c.yaml" in str(caught.value) and message in str(caught.value) and "\n" not in str(caught.value)


def test_a_missing_file_and_a_bad_argument_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="which is not a file"):
        config.load(Train, tmp_path / "no.yaml")
    (tmp_path / "c.yaml").write_text("epochs: 3")
    with pytest.raises(InputError, match="unknown argument 'epoch'"):
        config.load(Train, tmp_path / "c.yaml", epoch=3)


def test_none_is_a_choice_where_it_is_one_and_nothing_where_that_is_allowed() -> None:
    assert make(kind="none").kind == "none"
    assert make(name="none").name is None
    assert make(size=None).size is None


def test_to_dict_is_plain() -> None:
    made = make(stages=["a:1:.5"], size=[1, 2])
    shown = config.to_dict(made)
    assert shown["data"] == "a.h5" and shown["size"] == [1, 2] and shown["inner"] == {"size": 1}
    assert shown["stages"] == [{"layers": "a", "epochs": 1, "rate": 0.5}]
    assert list(shown) == [setting.name for setting in config.settings(Train)]


def test_many_needs_a_tuple() -> None:
    @dataclass(frozen=True)
    class Wrong:
        files: str = positional(help="", many=True)

    with pytest.raises(TypeError, match="tuple"):
        config.settings(Wrong)


def test_a_mutable_default_is_not_shared() -> None:
    @dataclass(frozen=True)
    class Listed:
        scales: dict[str, float] = option({"a": 1.0}, help="")

    Listed().scales["b"] = 2.0
    assert Listed().scales == {"a": 1.0}


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (int, "a whole number"),
        (float | None, "a number"),
        (tuple[int, ...], "one or more values, each a whole number"),
        (tuple[float, float], "2 values, each a number"),
        (Literal["a", "b"], "one of a, b"),
        (int | str, "a whole number or text"),
    ],
)
def test_describe(annotation: Any, words: str) -> None:
    assert describe(annotation) == words


_numbers = st.floats(allow_nan=False)
_words = st.text(min_size=1)


@given(
    st.builds(
        Train,
        data=st.from_regex(r"[a-z ]{1,8}\.h5", fullmatch=True).map(Path),
        epochs=st.integers(1, 1000),
        rate=_numbers,
        fractions=st.lists(st.floats(0, 1)).map(tuple),
        size=st.none() | st.tuples(st.integers(), st.integers()),
        kind=st.sampled_from(["full", "tiny", "none"]),
        stages=st.lists(st.builds(Stage, _words, st.integers(), _numbers)).map(tuple),
        inner=st.builds(Inner, st.integers()),
        name=st.none() | st.text().filter(lambda text: text.lower() not in ("none", "null")),
        nms=st.booleans(),
        anchors=st.lists(st.tuples(_numbers, _numbers)).map(tuple),
        scales=st.dictionaries(st.text(), _numbers),
    )
)
def test_yaml_round_trip(tmp_path_factory: pytest.TempPathFactory, made: Train) -> None:
    path = tmp_path_factory.getbasetemp() / "round.yaml"
    config.dump(made, path)
    assert config.load(Train, path) == made
