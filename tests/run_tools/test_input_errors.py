from __future__ import annotations

import pickle

import pytest

from run_tools.errors import InputError, TrainingDiverged, nearest, unknown_name


def test_one_line_with_all_three_parts() -> None:
    error = InputError("--images\n  0", "at least 1", "give more")
    assert str(error) == "received --images 0; expected at least 1; give more"
    assert isinstance(error, ValueError)
    assert (error.expected, error.fix) == ("at least 1", "give more")


def test_training_diverged_is_an_input_error() -> None:
    assert issubclass(TrainingDiverged, InputError)


@pytest.mark.parametrize(
    ("typed", "expected"),
    [("imagse", "images"), ("--Batch_Size", "batch-size"), ("sparcity", "sparsity"), ("zzz", None), ("", None)],
)
def test_nearest(typed: str, expected: str | None) -> None:
    assert nearest(typed, ["images", "batch-size", "sparsity"]) == expected


def test_unknown_name_suggests_only_what_is_near() -> None:
    assert str(unknown_name("option", "imagse", ["images", "out"])) == (
        "received unknown option 'imagse'; expected one of images, out; did you mean 'images'?"
    )
    assert "did you mean" not in str(unknown_name("option", "qqqq", ["images", "out"]))
    assert "expected one of none" in str(unknown_name("option", "a", []))


def test_it_travels_between_processes() -> None:
    error = pickle.loads(pickle.dumps(InputError("a", "b", "c")))
    assert (type(error), str(error)) == (InputError, "received a; expected b; c")


def test_a_mapping_without_its_blank() -> None:
    # YAML reads {mosaic:.5} as one key without a value.
    told = str(unknown_name("key", "mosaic:.5", ["mosaic", "scale"]))
    assert told.endswith("expected one of mosaic, scale; with a blank after the colon: mosaic: .5")
