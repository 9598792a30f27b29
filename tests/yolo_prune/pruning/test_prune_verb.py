"""`yolo-prune prune` from end to end on a few images: cut off and gone on with, judged, reported, not run twice."""

import hashlib
import json
import os
import statistics
from pathlib import Path

import cv2
import keras
import numpy as np
import pytest

from data_tools.store import open_store
from prune_tools import cost
from prune_tools.export import Choices
from prune_tools.mask_set import Masks
from run_tools.callbacks import JsonLines
from run_tools.checkpoint import Checkpoint
from run_tools.folder import RunFolder
from tests.yolo_prune.pruning.prune_command import prune
from yolo_prune import export, verbs
from yolo_prune.class_map import class_set, lookup_of
from yolo_prune.detector import YoloV2
from yolo_prune.evaluation import bootstrap
from yolo_prune.models import load_detector
from yolo_prune.options import EvaluateConfig
from yolo_prune.predict import predictions, truths
from yolo_prune.pruning import results
from yolo_prune.records import Detections, load_detections, save_detections

TOTAL = 108 + 7 * 144
LEVELS = (0.3, 0.6)
WORDS = ["--sparsity", ".3", ".6", "--epochs", "2", "--learning-rate", "1e-2", "--batch-size", "4", "--ema", ".9"]
LAST = ["--seeds", "0", "1", "--seed-sparsity", ".6", "--bootstrap", "50", "--pictures", "2"]
LAST += ["--runtimes", "compressed"]
WORDS += LAST

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800), pytest.mark.usefixtures("eager_module")]


@pytest.fixture(scope="module")
def dense(make_detector, tmp_path_factory):
    path = tmp_path_factory.mktemp("dense") / "dense.keras"
    make_detector(widths=(4,) * 8, image_size=(64, 96)).save(path)
    return path


@pytest.fixture(scope="module")
def finished(dense, small_h5, tmp_path_factory):
    """A pruning that was cut off in the second epoch of its second level, and gone on with: folder, result, epochs.

    The dense controls are saved as they begin.
    """
    out = tmp_path_factory.mktemp("pruning") / "out"
    fits, log, fit = [], JsonLines.on_epoch_end, YoloV2.fit

    def log_and_fail(self, epoch, logs=None):
        if self.folder.path().parent.name == "sparsity-0.6" and epoch == 1:
            raise RuntimeError("cut off")
        log(self, epoch, logs)

    def counted(self, *args, callbacks, **options):
        fits.append((options["initial_epoch"], options["epochs"]))
        saver = next(callback for callback in callbacks if isinstance(callback, Checkpoint))
        if "pruned" in saver.folder.path().parts:
            return fit(self, *args, callbacks=callbacks, **options)
        saver.set_model(self)
        saver.on_epoch_end(options["epochs"] - 1, {"val_ap50": 0.5})
        return type("History", (), {"epoch": list(range(options["epochs"]))})

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(YoloV2, "fit", counted)
        with pytest.MonkeyPatch.context() as cut:
            cut.setattr(JsonLines, "on_epoch_end", log_and_fail)
            assert prune(dense, small_h5, out, *WORDS)[0] == 1
        before = list(fits)
        fits.clear()
        code, result = prune(dense, small_h5, out, *WORDS)
    assert code == 0
    return out, result, before, fits


def test_a_cut_off_pruning_goes_on_where_it_was(finished):
    _, _, before, fits = finished
    # Two dense levels and one pruned were finished, the second one had had one epoch; then dense and pruned of seed 1.
    assert before == [(0, 2)] * 4 and fits == [(1, 2), (0, 2), (0, 2)]


def test_the_result_says_everything(finished, dense):
    out, result, _, _ = finished
    assert json.loads((out / "prune.json").read_text()) == result
    assert (result["method"], result["schedule"], result["scope"], result["epochs"]) == (
        "magnitude",
        "iterative",
        "global",
        2,
    )
    assert result["images"] == {"train": 12, "val": 4, "test": 4} and result["classes"] == [
        "car",
        "pedestrian",
        "cyclist",
    ]
    told = [(run["kind"], run["level"], run["seed"]) for run in result["runs"]]
    assert told == [
        *(("dense", 0, 0), ("dense", 1, 0), ("pruned", 0, 0), ("pruned", 1, 0), ("dense", 1, 1), ("pruned", 1, 1))
    ]
    assert [(row["kind"], row["level"], row["seeds"], row["against"]) for row in result["levels"]] == [
        *(("dense", 0, [0], []), ("dense", 1, [0, 1], []), ("pruned", 0, [0], [0]), ("pruned", 1, [0, 1], [0, 1]))
    ]
    assert result["start"]["nonzero"] == cost.summary(load_detector(dense))["nonzero"]
    assert Path(result["report"]).is_file()


def test_counts_are_exact_and_levels_monotone(finished):
    out, result, _, _ = finished
    found = {}
    for run in result["runs"]:
        summary = cost.summary(load_detector(run["out"]))
        assert run["nonzero"] == summary["nonzero"] and run["macs_nonzero"] == summary["macs_nonzero"]
        if run["kind"] == "dense":
            assert run["pruned"] == 0 and not (Path(run["out"]) / "masks.npz").exists()
            continue
        masks = Masks.load(Path(run["out"]) / "masks.npz")
        assert run["pruned"] == masks.pruned == round(LEVELS[run["level"]] * TOTAL)
        assert masks.violations(load_detector(run["out"])) == {}
        assert run["by_kernel"]["conv_3/kernel"] == pytest.approx(masks.sparsity("conv_3/kernel"))
        assert run["by_kernel"]["conv_9/kernel"] == 0  # the head
        found[run["level"], run["seed"]] = masks
    for seed in (0, 1):
        assert all(not np.any(found[1, seed][name] & ~kept) for name, kept in found[0, 0].items())
    # Each epoch's log says it too.
    rows = RunFolder(out / "pruned/sparsity-0.6/seed-1").metrics()
    assert [row["sparsity"] for row in rows] == [round(0.6 * TOTAL) / TOTAL] * 2


def test_levels_are_judged_as_evaluate_judges_them(finished, small_h5):
    _, result, _, _ = finished
    for run in (result["runs"][2], result["runs"][5]):
        judged = verbs.evaluate(EvaluateConfig(model=Path(run["out"]), data=small_h5, metrics=("coco",)))
        for name in ("car", "pedestrian", "cyclist", "tram"):
            assert run["ap50"]["test"][name] == judged["coco"][name]["AP50"]
    # Means and differences, from the single runs' figures.
    for split in ("val", "test"):
        for name in ("car", "pedestrian"):
            dense, pruned = (
                [run["ap50"][split][name] for run in result["runs"] if (run["kind"], run["level"]) == (kind, 1)]
                for kind in ("dense", "pruned")
            )
            entry = result["levels"][3]
            assert entry["ap50"][split][name]["mean"] == pytest.approx(statistics.fmean(pruned))
            assert entry["ap50"][split][name]["sd"] == pytest.approx(statistics.stdev(pruned))
            difference = entry["difference"][split][name]["difference"]
            assert difference == pytest.approx(statistics.fmean(pruned) - statistics.fmean(dense))


def test_intervals_are_those_of_evaluate_against(finished, small_h5):
    _, result, _, _ = finished
    store = open_store(small_h5)
    classes = class_set("merged")
    true = truths(store, "test", lookup_of(classes, store))
    pruned, dense = (list(predictions(load_detector(result["runs"][k]["out"]), store["test"])) for k in (2, 0))
    weights = bootstrap.resample(4, 50, seed=0)
    expected = bootstrap.paired_difference(true, pruned, dense, classes.names, weights)
    told = result["levels"][2]["difference"]["test"]
    for name in ("car", "pedestrian", "cyclist"):
        assert told[name]["difference"] == pytest.approx(expected[name]["AP50"]["difference"], abs=1e-9)
        assert told[name]["interval"] == pytest.approx(expected[name]["AP50"]["interval"], abs=1e-9)


def test_the_report_and_tensorboard(finished):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    out, result, _, _ = finished
    page = (out / "report.html").read_text()
    for heading in (
        "Result",
        "AP50 over what is pruned",
        "Where the zeros are",
        "Exported forms",
        "Detections, dense and pruned",
        "The trainings",
    ):
        assert f">{heading}</h2>" in page
    # Curves twice, bars, histograms, two pictures.
    assert page.count("<figure>") == 6 and "yolo-prune prune --model" in page
    assert "pruned/sparsity-0.6/seed-1" in page and "Zeros alone make no file smaller" in page
    assert "conv_8 together, 1,116 of" in page  # what a sparsity is a fraction of
    for name in ("ap50_over_sparsity.png", "ap50_over_nonzero.png"):
        assert cv2.imread(str(out / name)) is not None
    events = EventAccumulator(str(out / "pruned/sparsity-0.6/seed-0/tensorboard/sparsity")).Reload()
    assert {"sparsity/all", "sparsity/conv_3/kernel"} <= set(events.Tags()["tensors"])


def test_the_table_of_the_exported_forms(finished, small_h5):
    out, result, _, _ = finished
    chosen = results.shown(result)
    name = f"pruned, {100 * chosen['sparsity']:.4g} % zero"
    rows = {(row["model"], row["format"]): row for row in result["measured"]["rows"]}
    forms = ("compressed, 8-bit codebooks", "compressed, exact")
    assert list(rows) == [(model, form) for model in ("dense", name) for form in forms]
    for (model, form), row in rows.items():
        assert row["zeros_kept"] == (1.0 if model == name else None) and row["zip_bytes"] > 0
        assert row["exact"] or form != "compressed, exact"
    exact = rows[name, "compressed, exact"]
    # The file that `export` writes of that level.
    made = exported(Path(chosen["out"]), out.parent / "exported")
    assert exact["bytes"] == made["bytes"] < rows["dense", "compressed, exact"]["bytes"]
    assert max(exact["max_difference"], made["max_difference"]) < 1e-5
    page = (out / "report.html").read_text()
    for told in (f"{exact['bytes'] / 1e6:.3f}", "MB as zip", "median ms", "zeros kept", "no sparse kernels"):
        assert told in page


def exported(run, out):
    """What `export` tells of the exact compressed form of a run."""
    return export.export(load_detector(run), out, ["compressed"], choices=Choices(bits=0))["compressed"]


def test_what_is_finished_is_not_run_again(finished, dense, small_h5, unseen, monkeypatch, capsys):
    out, result, _, _ = finished
    monkeypatch.setattr(YoloV2, "fit", lambda *_, **__: pytest.fail("a finished training was run again"))
    monkeypatch.setattr("yolo_prune.pruning.judging.predictions", lambda *_, **__: pytest.fail("judged again"))
    monkeypatch.setattr("prune_tools.comparison.compare", lambda *_, **__: pytest.fail("measured again"))
    code, again = prune(dense, small_h5, out, *WORDS)
    assert code == 0 and again == result
    shown = capsys.readouterr().out
    assert "run 6 of 6: pruned, level 2, 60.04 %, seed 1" in shown and "against the dense model" in shown
    # Fewer levels, another tolerance and the same files by other paths are the same pruning; more epochs are not.
    fewer = [*WORDS[3 : -len(LAST)], "--bootstrap", "50", "--tolerance", "1"]
    with monkeypatch.context() as moved:
        moved.chdir(out.parent)
        relative = [Path(os.path.relpath(path)) for path in (dense, small_h5, out)]
        code, fewer = prune(*relative, "--sparsity", ".3", *fewer)
    assert code == 0 and len(fewer["runs"]) == 2 and fewer["chosen"]["sparsity"] == pytest.approx(0.3, abs=1e-3)
    assert prune(dense, small_h5, out, *WORDS, "--epochs", "3")[0] == 2
    error = capsys.readouterr().err
    assert "epochs: 2 there, 3 now" in error and error.count("\n") == 1


def test_a_changed_chain_is_refused_before_anything_is_trained(finished, dense, small_h5, monkeypatch, capsys):
    out, _, _, _ = finished
    monkeypatch.setattr(YoloV2, "fit", lambda *_, **__: pytest.fail("trained before the refusal"))
    before = (out / "config.yaml").read_bytes()
    # The new level is in front of one that went on from 30 %.
    assert prune(dense, small_h5, out, "--sparsity", ".45", *WORDS[2:])[0] == 2
    error = capsys.readouterr().err
    assert "sparsity-0.6/seed-0 with another config" in error and error.count("\n") == 1
    assert (out / "config.yaml").read_bytes() == before and not (out / "pruned/sparsity-0.45").exists()


def test_a_model_that_changed_under_its_name_is_refused(finished, dense, small_h5, monkeypatch, capsys):
    out, result, _, _ = finished
    kept = dense.read_bytes()
    assert result["start"]["sha256"] == hashlib.sha256(kept).hexdigest()
    monkeypatch.setattr(YoloV2, "fit", lambda *_, **__: pytest.fail("trained before the refusal"))
    model = load_detector(dense)
    model.get_layer("conv_2").kernel.assign_add(keras.ops.ones_like(model.get_layer("conv_2").kernel))
    try:
        model.save(dense)
        assert prune(dense, small_h5, out, *WORDS)[0] == 2
        error = capsys.readouterr().err
        assert "a model with other contents than when" in error and error.count("\n") == 1
    finally:
        dense.write_bytes(kept)


def test_zeros_that_are_missing_are_told(finished, dense, small_h5, capsys):
    out, _, _, _ = finished
    run = out / "pruned/sparsity-0.3/seed-0"
    kept, judged = (run / "best.keras").read_bytes(), (run / "judged.json").read_bytes()
    model = load_detector(run)
    kernel = model.get_layer("conv_2").kernel
    kernel.assign(keras.ops.where(kernel == 0, 1.0, kernel))
    try:
        model.save(run / "best.keras")
        (run / "judged.json").unlink()
        assert prune(dense, small_h5, out, *WORDS)[0] == 2
        assert "pruned weights that are not zero; expected exactly 335 zeros" in capsys.readouterr().err
    finally:
        (run / "best.keras").write_bytes(kept)
        (run / "judged.json").write_bytes(judged)


def test_detections_come_back(tmp_path):
    found = [
        Detections([[1, 2, 3, 4]], [0.5], [2]),
        Detections([], [], []),
        Detections(np.ones((3, 4)), [1, 2, 3], [0, 1, 1]),
    ]
    save_detections(tmp_path / "found.npz", found)
    for one, other in zip(found, load_detections(tmp_path / "found.npz"), strict=True):
        for name in ("boxes", "scores", "classes"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    save_detections(tmp_path / "none.npz", [found[1]] * 2)
    assert [len(each) for each in load_detections(tmp_path / "none.npz")] == [0, 0]
