"""The ablation: what it plans, that finished runs are not done again, and its numbers."""

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from data_tools.store import open_store
from run_tools import config
from run_tools.errors import InputError
from run_tools.files import read_json
from yolo_prune import ablation
from yolo_prune.ablation import STUDENT, ablate, interval, plan, summary, table
from yolo_prune.class_map import lookup_of
from yolo_prune.evaluation.bootstrap import paired_difference, resample
from yolo_prune.models import load_detector
from yolo_prune.options import AblateConfig
from yolo_prune.predict import predictions, truths
from yolo_prune.recipe import Stage
from yolo_prune.verbs import classes_of

ROOT = Path(__file__).resolve().parents[2]
BASE = {
    "input": "96x64",
    "widths": [4] * 8,
    "anchors": "voc",
    "batch_size": 4,
    "stages": [{"train": "all", "epochs": 1, "learning_rate": 0.01}],
    "images_every": 0,
}
VARIANTS = {"averages": {"ema": 0.9}}


def config_of(h5, out, **changes):
    options = {"data": h5, "out": out, "base": BASE, "variants": VARIANTS, "seeds": (0,), "bootstrap": 20, **changes}
    return config.from_mapping(AblateConfig, options)


def test_one_run_a_variant_and_seed(small_h5, tmp_path):
    weights = tmp_path / "w.npz"
    planned = plan(config_of(small_h5, tmp_path, seeds=(3, 5), weights=weights))
    assert [(name, each.seed) for name, each in planned] == [
        *(("baseline", 3), ("averages", 3), ("baseline", 5), ("averages", 5))
    ]
    assert [each.ema for _, each in planned] == [None, 0.9] * 2
    assert planned[1][1].out == tmp_path / "averages" / "seed-3"
    assert all(each.stages == (Stage("all", 1, 0.01),) and each.weights == weights for _, each in planned)


@pytest.mark.parametrize(
    "changes, told",
    [
        ({"variants": {"a": {"ema": 2}}}, "ema 2"),
        ({"variants": {"a": {"emma": 0.9}}}, "unknown key in variant a: 'emma'"),
        ({"variants": {"a/b": {}}}, "variant 'a/b'"),
        ({"base": {**BASE, "seed": 3}}, "seed in baseline"),
        ({"seeds": (1, 1)}, "seeds (1, 1)"),
        ({"splits": ()}, "no splits"),
        ({"classes": ()}, "no classes"),
        ({"splits": ("val", "tests")}, "split 'tests'"),
        ({"classes": ("car", "plane")}, "class 'plane'"),
        ({"base": {**BASE, "input": "100x64"}}, "100x64"),
    ],
)
def test_what_makes_no_sense_is_told_before_the_first_run(small_h5, tmp_path, fits, changes, told):
    with pytest.raises(InputError) as error:
        ablate(config_of(small_h5, tmp_path / "out", **changes))
    assert told in str(error.value) and not fits and not (tmp_path / "out").exists()


def paired(h5, ours, theirs, replicates):
    """The differences on test that `evaluate --against` would tell."""
    store, detectors = open_store(h5, "detection"), [load_detector(folder) for folder in (ours, theirs)]
    classes = classes_of(detectors[0], store)
    true = truths(store, "test", lookup_of(classes, store))
    found = [list(predictions(detector, store["test"])) for detector in detectors]
    return paired_difference(true, *found, classes.names, resample(len(true), replicates))


@pytest.mark.slow
def test_runs_are_judged_once_and_seeds_can_be_added(request, eager, small_h5, tmp_path, monkeypatch):
    first = ablate(config_of(small_h5, tmp_path))
    assert [row["variant"] for row in first["summary"]] == ["baseline", "averages"]
    assert read_json(tmp_path / "ablation.json") == first
    told = paired(small_h5, tmp_path / "averages" / "seed-0", tmp_path / "baseline" / "seed-0", replicates=20)
    assert first["summary"][0]["difference"] is None
    assert first["summary"][1]["difference"]["test"] == {
        name: told[name]["AP50"] for name in ("car", "pedestrian", "cyclist")
    }
    for run in first["runs"]:
        for split in ("val", "test"):
            assert set(run["ap50"][split]) == {"car", "pedestrian", "cyclist"}
            assert all(0 <= value <= 1 for value in run["ap50"][split].values() if value is not None)
    trained = request.getfixturevalue("fits")  # from here on saved as they begin
    judged, predictions = [], ablation.predictions
    monkeypatch.setattr(ablation, "predictions", lambda *a: (judged.append(1), predictions(*a))[1])
    # Nothing new; then one seed more, of each variant: judged on two splits.
    assert ablate(config_of(small_h5, tmp_path)) == first and not trained and not judged
    second = ablate(config_of(small_h5, tmp_path, seeds=(0, 1)))
    assert (len(trained), len(judged)) == (2, 4)
    assert [run for run in second["runs"] if run["seed"] == 0] == first["runs"]
    # A run judged before detections were kept is judged again, to the same result.
    (tmp_path / "baseline" / "seed-0" / "found-test.npz").unlink()
    assert ablate(config_of(small_h5, tmp_path)) == first and len(judged) == 5
    assert all(row["difference"] is None for row in ablate(config_of(small_h5, tmp_path, bootstrap=0))["summary"])
    # Another baseline does not fit the runs that are there.
    with pytest.raises(InputError, match="batch_size: 4 there, 2 now"):
        ablate(config_of(small_h5, tmp_path, base={**BASE, "batch_size": 2}))


def test_intervals_are_students():
    assert pytest.approx(stats.t.ppf(0.975, np.arange(1, 31)), abs=6e-4) == STUDENT
    values = [0.5, 0.56, 0.53, 0.61]
    low, high = stats.t.interval(0.95, 3, np.mean(values), stats.sem(values))
    assert interval(values) == pytest.approx([(low + high) / 2, (high - low) / 2], rel=1e-3)
    # Mean .2, deviation .1 · √2, over √2 and times 12.706.
    assert interval([0.1, None, 0.3]) == pytest.approx([0.2, 1.2706])
    assert interval([0.4]) == [0.4, None] and interval([None]) == interval([]) == [None, None]


def run(name, seed, car):
    return {"variant": name, "seed": seed, "minutes": seed + 1.0, "ap50": {"val": {"car": car, "tram": None}}}


def test_the_table():
    rows = summary([run("baseline", 0, 0.1), run("mosaic", 0, 0.5), run("baseline", 1, 0.3)])
    lines = table({"summary": rows}).splitlines()
    assert lines[1].split() == ["variant", "seeds", "val", "car", "val", "tram", "minutes"]
    assert [line.split() for line in lines[-2:]] == [
        ["baseline", "2", "0.200", "±", "1.271", "-", "1.5"],
        ["mosaic", "1", "0.500", "-", "1.0"],
    ]


def test_the_table_says_what_a_variant_gains_and_how_sure_that_is():
    def values(*car):
        return {"val": {"car": {"AP50": np.array(car)}, "tram": {"AP50": np.full(len(car), np.nan)}}}

    # On the images .1 and .3 against .5, then three resamples.
    given = {
        "baseline": [values(0.1, 0.1, 0.1, 0.1), values(0.3, 0.3, 0.3, 0.3)],
        "mosaic": [values(0.5, 0.4, 0.5, 0.6)],
    }
    rows = summary([run("baseline", 0, 0.1), run("baseline", 1, 0.3), run("mosaic", 0, 0.5)], given)
    assert rows[1]["difference"]["val"]["car"]["difference"] == pytest.approx(0.3)
    lines = table({"summary": rows}).splitlines()
    assert "AP50 less the baseline's" in lines[-4] and lines[-3].split() == ["variant", "val", "car", "val", "tram"]
    assert lines[-1].split() == ["mosaic", "+0.300", "[+0.205,", "+0.395]", "-"]


@pytest.mark.parametrize("path", sorted((ROOT / "configs" / "ablation").glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_ablations_make_trainings(small_h5, tmp_path, path):
    options = config.load(AblateConfig, path, data=small_h5, out=tmp_path)
    planned = plan(options)
    assert len(planned) == 3 * 8 and len({each.out for _, each in planned}) == 24
    # Each variant differs from the baseline in something, and all train as long.
    baseline = planned[0][1]
    for _, each in planned[1:8]:
        assert {stage.epochs for stage in each.stages} == {stage.epochs for stage in baseline.stages}
        different = {key for key, value in vars(each).items() if value != getattr(baseline, key)} - {"out", "seed"}
        assert different
