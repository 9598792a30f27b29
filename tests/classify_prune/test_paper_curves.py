"""Papers 001 and 004 on a few vectors and images: their numbers by hand, their pages, their configs."""

from __future__ import annotations

import dataclasses
import itertools
import json
import statistics
from pathlib import Path

import keras
import numpy as np
import pytest

from classify_prune import cli, inputs, mlp
from classify_prune.papers import registry, turns
from classify_prune.papers.paper001 import claims as claims001
from classify_prune.papers.paper001 import published as printed001
from classify_prune.papers.paper001 import run as run001
from classify_prune.papers.paper001 import settings as settings001
from classify_prune.papers.paper004 import published as printed004
from classify_prune.papers.vectors import vectors_of
from classify_prune.pruning.retraining import Held, Retrainer
from classify_prune.recipe import TrainConfig
from data_tools.store import open_store
from prune_tools import cost
from run_tools import config
from run_tools.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = [path for number in ("001", "004") for path in sorted((ROOT / "configs" / f"paper{number}").glob("*.yaml"))]
SMALL = {
    "001": ["--hidden", "12", "--sets", "3", "--stride", "2", "--batch-size", "16"],
    "004": ["--widths", "2", "3", "4", "12", "--stride", "2", "--batch-size", "12", "--rates", ".01", ".001"],
}
BRIEF = ["--epochs", "2", "--tune-epochs", "1", "--control", "1", "--samples", "20"]


def run(number, data, out, *more):
    return cli.main(["paper", number, "--data", str(data), "--out", str(out), *SMALL[number], *BRIEF, *more])


@pytest.fixture(scope="module")
def paper001(features_h5, tmp_path_factory):
    out = tmp_path_factory.mktemp("papers") / "001"
    assert run("001", features_h5, out, "--seeds", "0", "1") == 0
    return out


@pytest.fixture(scope="module")
def paper004(images_h5, tmp_path_factory):
    out = tmp_path_factory.mktemp("papers") / "004"
    assert run("004", images_h5, out, "--seeds", "0") == 0
    return out


def test_paper001s_numbers_follow_from_its_network():
    # 2048 + 11 multiply-adds, a bias and an activation: 2061 a hidden unit.
    model = mlp(2048, 11)
    per_unit = cost.flops(model, "paper001") / 500
    assert (per_unit, 500 * per_unit) == (2061, printed001.BASE_FLOPS)
    for units, reduced in printed001.TABLE4.values():
        assert units * per_unit == reduced
    # 33.2 % of the work is left after the batch removal, as the abstract says.
    assert round(100 * (1 - printed001.TABLE4["2 of 3 most similar"][1] / printed001.BASE_FLOPS), 1) == 33.2
    assert sum(count for count, _ in printed001.SPLITS.values()) == 75516


def test_result_of_paper001(paper001):
    result = json.loads((paper001 / "result.json").read_text())
    # 6 numbers in, 4 classes, 12 units: 12 · (6 + 4 + 1 + 1)
    assert result["flops"] == 144
    ways = ["most similar", "similar + complementary", "2 of 3 most similar", "most similar, least squares", "random"]
    assert list(result["turns"]) == ways
    assert list(result["seeds"]) == ["0", "1"]
    for found in result["seeds"].values():
        for curve in found["curves"].values():
            assert curve["removed"] == [0, 2, 4, 6, 8, 10, 11]
            assert curve["epochs"] == [0, 1, 1, 1, 1, 1, 1]
            # The first point is the base model as it was judged.
            assert curve["test_accuracy"][0] == found["base"]["test"]["accuracy"]
    for turn in result["turns"].values():
        assert turn["reduced"] == 12 * turn["x"] and turn["left"] == pytest.approx(1 - turn["x"] / 12)
        assert turn["low"] <= turn["high"]
    assert result["splits"] == {"train": 48, "val": 16, "test": 16}
    told = [claim["ours"] for claim in result["claims"]]
    assert result["claims"][0]["published"] == "47.0 % (2048-500-11)" and told[0].endswith(" % (6-12-4)")
    left = statistics.mean(result["turns"]["random"]["test"]["at"])
    assert f" at {100 * left:.1f}" in told[1].partition("random")[2] and "; of 12" in told[1]
    # 334 of 500 are 8.016 of 12 units: the step after which 8 are gone and 33.3 % of the work is left.
    assert told[3].endswith(" % with 33.3 % left")
    # Folders of before images were taken say no word about vectors.
    assert claims001.claims({name: value for name, value in result.items() if name != "vectors"}) == result["claims"]
    assert result["vectors"]["made_by"] == "given"
    page = (paper001 / "report.html").read_text()
    places = (reading.where for reading in printed001.READINGS)
    for told in ("Vectors of 6 numbers", "Table 2", "Fig. 4", "Table 4", "688,374", *places):
        assert told in page


def test_result_of_paper004(paper004):
    result = json.loads((paper004 / "result.json").read_text())
    assert result["task"] == "type" and result["histograms"]["all"] == {"across": 20, "down": 20, "plain": 20}
    (found,) = result["seeds"].values()
    assert list(found["rates"]) == ["0.01", "0.001"] and len(found["training"]) == 2
    assert found["per_unit"] == 4 + 3 and result["tested"] == 12
    assert len(found["curves"]) == 5
    assert all(curve["removed"] == [0, 2, 4, 6, 8, 10, 11] for curve in found["curves"].values())
    told = [claim["ours"] for claim in result["claims"]]
    assert told[0].endswith("% on 3 types (no vehicle ids)") and told[1].endswith(" of 0.01, 0.001 (sgd)")
    assert told[2].startswith("published merge ") and "least squares" in told[2]
    page = (paper004 / "report.html").read_text()
    for told in ("no vehicle ids", "Fig. 1", "Fig. 3", "73.05", *(reading.where for reading in printed004.READINGS)):
        assert told in page


def test_what_is_done_is_not_done_again(paper001, features_h5):
    files = [*paper001.glob("seed-*/*/last.npz"), *paper001.glob("seed-*/base/best.keras")]
    before = {path: path.stat().st_mtime_ns for path in files}
    assert len(before) == 2 * 5 + 2
    assert run("001", features_h5, paper001, "--seeds", "0", "1") == 0
    assert before == {path: path.stat().st_mtime_ns for path in files}


@pytest.mark.parametrize(
    ("number", "more", "told"),
    [
        ("001", ["--backbone", "squeezenet"], "holds images, and --backbone squeezenet without --feature-weights"),
        ("001", ["--hidden", "12", "--sets", "9"], "at least 6 steps"),
        ("004", ["--stride", "5"], "at least 6 steps"),
    ],
)
def test_refused_in_one_line(number, more, told, images_h5, tmp_path, capsys):
    assert run(number, images_h5, tmp_path / "run", *more) == 2
    error = capsys.readouterr().err
    assert told in error and error.count("\n") == 1


def test_images_become_vectors_first(images_h5, features_h5, tmp_path, monkeypatch, capsys):
    def one(file, *rest):
        raise InputError(f"{file} of {open_store(file).input_shape[0]} numbers", "no more", "stop here")

    monkeypatch.setattr(run001, "one", one)
    options = ("--backbone", "squeezenet", "--feature-weights", "random", "--feature-input", "36x36")
    assert run("001", images_h5, tmp_path / "run", *options) == 2
    made = tmp_path / "run/features.h5"
    assert f"{made} of 512 numbers" in capsys.readouterr().err
    for split in ("train", "val", "test"):
        np.testing.assert_array_equal(open_store(made)[split].labels, open_store(images_h5)[split].labels)
    # What is there is not made again, and vectors are taken as they are.
    kept, settings = made.stat().st_mtime_ns, settings001.Settings(backbone="squeezenet", feature_weights=Path("none"))
    assert vectors_of(images_h5, tmp_path / "run", settings) == made and made.stat().st_mtime_ns == kept
    assert vectors_of(features_h5, tmp_path / "run", settings) == features_h5


def test_held_is_judged_as_keras_does(features_h5):
    store = open_store(features_h5, "classification")
    held = Held.of(inputs.feed(store, "val", (6,), 5, "type", shuffle=False))
    assert held.inputs.shape == (16, 6)
    np.testing.assert_array_equal(held.inputs, store["val"].features(slice(None)))
    keras.utils.set_random_seed(0)
    model = mlp(6, 4, (5,))
    accuracy, loss = held.measure(model)
    logits = model(held.inputs)
    truth = keras.losses.sparse_categorical_crossentropy(held.labels, logits, from_logits=True)
    assert loss == pytest.approx(float(np.mean(truth)), rel=1e-5)
    assert accuracy == np.mean(np.argmax(logits, axis=1) == held.labels)


def test_retraining_depends_on_weights_and_step_alone(features_h5, tmp_path):
    store = open_store(features_h5, "classification")
    val = Held.of(inputs.feed(store, "val", (6,), 16, "type", shuffle=False))
    chosen = TrainConfig(data=features_h5, out=tmp_path, epochs=6, patience=2, learning_rate=0.05, batch_size=16)

    def train(steps, retrainer=None):
        retrainer = retrainer or Retrainer(inputs.feed(store, "train", (6,), 16, "type"), val, chosen)
        keras.utils.set_random_seed(1)
        model = mlp(6, 4, (8,), dropout=0.5)
        weights = model.get_weights()
        for step in steps:
            model.set_weights(weights)
            told = retrainer(model, step)
        return model.get_weights(), told, val.measure(model)[1]

    one, told, loss = train([3])
    other, again, _ = train([1, 3])
    for first, second in zip(one, other, strict=True):
        np.testing.assert_array_equal(first, second)
    assert told == again
    different, _, _ = train([2])
    assert any(not np.array_equal(first, second) for first, second in zip(one, different, strict=True))
    assert told["epochs"] == min(6, told["best_epoch"] + 2)
    keras.utils.set_random_seed(1)
    assert loss < val.measure(mlp(6, 4, (8,)))[1]


def test_who_is_robust_by_hand():
    assert claims001.order({"a": 8, "b": 8}) == "no difference: the curves turn at the same step"
    assert claims001.order({"a": 6, "b": 8, "c": 6}) == "most: b; then a, c"


def test_units_that_never_fire_are_told():
    units = {"0": {"angles": {"constant": 383}}, "1": {"angles": {"constant": 411}}}
    assert claims001._silent(units) == ", 383 to 411 never fire and go first"
    assert claims001._silent({"0": units["1"]}) == ", 411 never fire and go first"
    assert claims001._silent({"0": {"angles": {"constant": 0}}}) == ""


def test_a_turn_at_the_curves_end_says_so():
    removed = [0, 2, 4, 6, 8, 10, 11]
    late = {"removed": removed, "val_accuracy": [0.9] * 5 + [0.8, 0.2], "test_accuracy": [0.9] * 7}
    early = {**late, "val_accuracy": [0.9] * 3 + [0.2] * 4}
    found = turns.turn({"0": {"curves": {"way": late}}}, "way", 12, 1.0, 10)
    assert (found["x"], found["edge"], turns.interval(found)) == (8, True, "≥ 8")
    found = turns.turn({"0": {"curves": {"way": early}}}, "way", 12, 1.0, 10)
    assert (found["x"], found["edge"], turns.interval(found)) == (4, False, "4")
    found = turns.turn({seed: {"curves": {"way": late}} for seed in "01"}, "way", 12, 1.0, 10)
    assert (found["low"], found["high"], turns.interval(found)) == (8, 8, "≥ 8")
    found = turns.turn({seed: {"curves": {"way": early}} for seed in "01"}, "way", 12, 1.0, 10)
    assert turns.interval(found) == "4 (4–4)"


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_configs_say_what_to_type_and_can_be_read(path):
    number = path.parent.name.removeprefix("paper")
    told = path.read_text()
    assert f"classify-prune paper {number} --config configs/paper{number}/{path.name} --data " in told
    assert "xpected" in told and "uration" in told
    lines = [line.lstrip("# ") for line in told.splitlines() if line.startswith("#")]
    made = [line.split(" --")[0].split()[-1] for line in lines if line.startswith("data-tools ")]
    given = [word for line in lines for flag, word in itertools.pairwise(line.split()) if flag == "--data"]
    assert given == [made[-1]]
    options = config.load(registry.options_of(number), path, data=Path("d.h5"), out=Path("o"))
    quick = registry.settings_of(dataclasses.replace(options, quick=True))
    assert quick.stride > options.stride and quick.tune_epochs < options.tune_epochs
