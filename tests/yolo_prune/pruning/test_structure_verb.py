"""`yolo-prune prune --method distinctiveness` from end to end on a few images, and what its levels are good for."""

import json
from pathlib import Path

import cv2
import keras
import numpy as np
import pytest

from prune_tools import cost, statistics, surgery
from prune_tools.merge import RULES
from run_tools import config as configs
from run_tools.checkpoint import Checkpoint
from tests.yolo_prune.pruning.prune_command import prune
from yolo_prune import verbs
from yolo_prune.detector import YoloV2
from yolo_prune.models import load_model
from yolo_prune.options import EvaluateConfig
from yolo_prune.pruning import surgeon
from yolo_prune.pruning.surgery_options import CutConfig, SurgeryOptions

SURGERY = "{multiple: 2, images: 8, positions: 4, recalibrate: 2}"
WORDS = ["--method", "distinctiveness", "--schedule", "one-shot", "--keep", ".6", ".4", "--surgery", SURGERY]
WORDS += ["--controls", "dense", "l1", "--control-keep", ".4", "--seeds", "0", "1", "--seed-keep", ".4"]
WORDS += ["--epochs", "1", "--batch-size", "6", "--bootstrap", "20", "--pictures", "1", "--runtimes", "compressed"]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.usefixtures("eager_module")]


@pytest.fixture(scope="module")
def finished(small_model, small_h5, tmp_path_factory):
    """A pruning that was cut off in its second level, and gone on with: folder, result, widths of what was to learn.

    Only that level learns; the others are saved as they begin.
    """
    out = tmp_path_factory.mktemp("pruning") / "out"
    fits, real = [], YoloV2.fit

    def fit(self, *args, callbacks, epochs, **options):
        saver = next(callback for callback in callbacks if isinstance(callback, Checkpoint))
        where = str(saver.folder.path().relative_to(out))
        fits.append((where, self.widths))
        if where == "pruned/keep-0.4/seed-0":
            if len(fits) == 3:
                raise RuntimeError("cut off")
            return real(self, *args, callbacks=callbacks, epochs=epochs, **options)
        self.optimizer.build(self.trainable_variables)  # as a step would, so that it can be gone on from
        saver.set_model(self)
        saver.on_epoch_end(epochs - 1, {"val_ap50": 0.5})
        return type("History", (), {"epoch": list(range(epochs))})

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(YoloV2, "fit", fit)
        assert prune(small_model, small_h5, out, *WORDS)[0] == 1
        code, result = prune(small_model, small_h5, out, *WORDS)
    assert code == 0
    return out, result, fits


def test_the_result_says_everything(finished, small_model):
    out, result, fits = finished
    assert json.loads((out / "prune.json").read_text()) == result
    told = [(run["kind"], run["level"], run["seed"]) for run in result["runs"]]
    assert told == [
        *(("dense", None, 0), ("pruned", 0, 0), ("pruned", 1, 0), ("l1", 1, 0), ("dense", None, 1), ("pruned", 1, 1))
    ]
    # What was finished is not run again; both seeds begin with the same network.
    assert [where for where, _ in fits] == [
        *("dense/seed-0", "pruned/keep-0.6/seed-0", "pruned/keep-0.4/seed-0", "pruned/keep-0.4/seed-0"),
        *("l1/keep-0.4/seed-0", "dense/seed-1", "pruned/keep-0.4/seed-1"),
    ]
    assert fits[3][1] == fits[6][1] != fits[1][1]
    assert [(row["kind"], row["level"], row["seeds"], row["against"]) for row in result["levels"]] == [
        *(
            ("dense", None, [0, 1], []),
            ("pruned", 0, [0], [0, 1]),
            ("pruned", 1, [0, 1], [0, 1]),
            ("l1", 1, [0], [0, 1]),
        )
    ]
    assert result["start"]["macs"] == cost.summary(load_model(small_model))["macs"]
    assert result["surgery"]["multiple"] == 2 and result["merges"] == []


def test_levels_are_smaller_detectors_within_their_budget(finished):
    _, result, _ = finished
    total = result["start"]["macs"]
    for run in result["runs"]:
        model = load_model(run["out"])
        assert isinstance(model, YoloV2) and model.image_size == (64, 128)
        told = cost.summary(model)
        assert (run["macs"], run["parameters"]) == (told["macs"], told["parameters"])
        if run["kind"] == "dense":
            assert "cut" not in run and model.widths == (8,) * 8
            continue
        keep = (0.6, 0.4)[run["level"]]
        assert run["cut"]["keep"] == keep and run["macs"] == run["cut"]["macs"]["after"]
        assert 0.5 * keep * total < run["macs"] <= run["cut"]["macs"]["target"] == round(keep * total)
        assert model.widths == tuple(run["cut"]["widths"]["after"].values()) and all(w % 2 == 0 for w in model.widths)
        assert model.get_config()["widths"] == list(model.widths)
        assert run["cut"]["certificate"]["sound"] and run["cut"]["recalibrated"] == 2
    by_kind = {(run["kind"], run["level"]): run["cut"] for run in result["runs"] if "cut" in run}
    assert (by_kind["pruned", 1]["merge"], by_kind["l1", 1]["merge"]) == ("least_squares", "delete")
    assert len(set(by_kind["l1", 1]["widths"]["after"].values())) == 1  # the same of every layer


def test_a_cut_is_the_surgery_that_it_says(finished, small_h5, small_model):
    """Before the training: `surgery.remove` by hand, of the same channels and statistics, then the same batches."""
    out, result, _ = finished
    folder = out / "pruned/keep-0.4/cut-0"
    options = configs.load(CutConfig, folder / "config.yaml")
    images = surgeon.images_of(options)
    model = load_model(small_model)
    found = statistics.collect(model, images, positions=4)
    smaller = surgery.remove(model, surgeon.choose(options, model, found), "least_squares", found)
    wanted = [layer.get_weights() for layer in smaller.layers if layer.name.startswith("conv")]
    made = load_model(folder)
    for one, other in zip(wanted, [x.get_weights() for x in made.layers if x.name.startswith("conv")], strict=True):
        for array, same in zip(one, other, strict=True):
            np.testing.assert_allclose(same, array, rtol=1e-4, atol=1e-5)
    # Batch-norm has the mean of its own inputs on those batches, and not what the surgery left.
    first = keras.Model(made.inputs[0], made.get_layer("conv_1").output)
    mean = np.mean([first(batch).numpy().mean(axis=(0, 1, 2)) for batch in images], axis=0)
    np.testing.assert_allclose(made.get_layer("norm_1").moving_mean.numpy(), mean, rtol=1e-3, atol=1e-4)


def test_right_after_surgery_is_judged_as_evaluate_judges_it(finished, small_h5):
    out, result, _ = finished
    run = next(run for run in result["runs"] if (run["kind"], run["level"]) == ("pruned", 1))
    judged = verbs.evaluate(EvaluateConfig(model=out / "pruned/keep-0.4/cut-0", data=small_h5, metrics=("coco",)))
    for name in ("car", "pedestrian"):
        assert run["before_training"]["ap50"]["test"][name] == judged["coco"][name]["AP50"]


def test_the_report(finished):
    out, result, _ = finished
    page = (out / "report.html").read_text()
    for heading in ("Result", "Bytes and latency", "Right after surgery", "What was removed", "The trainings"):
        assert f">{heading}</h2>" in page
    # Two axes (nothing was timed), bars, one picture.
    assert page.count("<figure>") == 4 and "yolo-prune prune --model" in page
    for name in ("ap50_over_macs.png", "ap50_over_parameters.png", "widths.png"):
        assert cv2.imread(str(out / name)) is not None
    gains = {(row["model"], row["format"]): row for row in result["measured"]["gains"]}
    small = gains["keep 0.4", "compressed, exact"]
    assert small["smaller"] == gains["dense", "compressed, exact"]["bytes"] / small["bytes"] > 1


def test_what_is_finished_is_not_run_again(finished, small_model, small_h5, unseen, monkeypatch, capsys):
    out, result, _ = finished
    for name in ("yolo_prune.detector.YoloV2.fit", "yolo_prune.pruning.judging.predictions"):
        monkeypatch.setattr(name, lambda *_, **__: pytest.fail("run again"))
    monkeypatch.setattr("prune_tools.comparison.compare", lambda *_, **__: pytest.fail("measured again"))
    monkeypatch.setattr(surgeon, "source", lambda *_: load_model(small_model))
    monkeypatch.setattr(surgeon, "_cut", lambda *_: pytest.fail("cut again"))
    code, again = prune(small_model, small_h5, out, *WORDS)
    assert code == 0 and again == result
    shown = capsys.readouterr().out
    assert "run 6 of 6: pruned, level 2, keeps 40 %, seed 1" in shown and "multiply-adds" in shown
    assert prune(small_model, small_h5, out, *WORDS, "--surgery", "{multiple: 4}")[0] == 2
    error = capsys.readouterr().err
    assert "with another config (surgery" in error and error.count("\n") == 1


def test_a_level_is_a_model_for_masks(finished, small_h5, tmp_path, unseen, fits):
    """Structure first, then masks: `--method magnitude` on a pruned level."""
    out, result, _ = finished
    level = out / "pruned/keep-0.4/seed-0"
    words = ["--sparsity", ".5", "--epochs", "1", "--bootstrap", "20", "--pictures", "0"]
    code, masked = prune(level, small_h5, tmp_path / "masked", *words)
    assert code == 0 and fits[0]["model"].widths == load_model(level).widths
    assert masked["runs"][1]["sparsity"] == pytest.approx(0.5, abs=1e-3)
    assert masked["runs"][1]["parameters"] == next(
        run["parameters"] for run in result["runs"] if run["out"] == str(level)
    )


def test_iterative_levels_are_cut_out_of_the_level_above(small_model, small_h5, tmp_path, fits):
    words = ["--method", "distinctiveness", "--keep", ".7", ".4", "--surgery", SURGERY, "--merges-at", ".5"]
    words += ["--epochs", "1", "--bootstrap", "20", "--pictures", "0"]
    code, result = prune(small_model, small_h5, tmp_path / "out", *words)
    assert code == 0 and result["measured"] is None
    dense, further, first, second = result["runs"]
    assert (dense["kind"], further["kind"], first["level"], second["level"]) == ("dense", "dense", 0, 1)
    cuts = [configs.load(CutConfig, tmp_path / f"out/pruned/keep-{keep}/cut-0/config.yaml") for keep in ("0.7", "0.4")]
    assert cuts[0].source == small_model and cuts[1].source == Path(first["out"])
    assert second["cut"]["macs"]["before"] == first["macs"] > second["macs"]
    assert all(low <= high for low, high in zip(
        second["cut"]["widths"]["after"].values(), first["cut"]["widths"]["after"].values(), strict=True)
    )  # fmt: skip
    # Every rule, as it leaves batch-norm and with new statistics; the same channels each time.
    assert [row["merge"] for row in result["merges"]] == [rule for rule in RULES for _ in range(2)]
    assert len({(row["macs"], row["parameters"]) for row in result["merges"]}) == 1
    assert "What compensation is worth" in (tmp_path / "out/report.html").read_text()


@pytest.mark.parametrize(
    "words, told",
    [
        ("--keep .5 .8", "levels that fall"),
        ("--keep 50", "divide percent by 100"),
        ("--keep .5 --method magnitude", "keep with method magnitude"),
        ("--keep .5 --schedule cubic", "schedule cubic with method distinctiveness"),
        ("--keep .5 --controls layer", "control layer of method distinctiveness"),
        ("--keep .5 --seeds 0 1 --seed-keep .4", "--seed-keep 0.4"),
        ("--keep .001", "budget"),
        ("--keep .5 --merges-at 5", "keep 5"),
        ("--keep .5 --surgery {marge:delete}", "merge"),
        ("--keep .5 --surgery {exclude:[conv_77]}", "conv_77"),
        ("--keep .5 --runtimes tflite", "tflite"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(small_h5, small_model, tmp_path, capsys, words, told):
    given = [word.replace(":", ": ") if word.startswith("{") else word for word in words.split()]
    method = [] if "--method" in given else ["--method", "distinctiveness"]
    assert prune(small_model, small_h5, tmp_path / "out", *method, *given)[0] == 2
    error = capsys.readouterr().err
    assert told in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_merge_rules_of_the_options_are_those_that_there_are():
    for rule in RULES:
        assert SurgeryOptions(merge=rule).merge == rule
    assert set(SurgeryOptions.__annotations__["merge"].__args__) == set(RULES)
