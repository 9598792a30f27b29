"""The staged training on a small file: what a run leaves behind, and what happens when it is cut off."""

import dataclasses
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from data_tools.kitti import KITTI_CLASSES
from data_tools.pipeline import Batches, batches
from data_tools.store import open_store
from run_tools import config
from run_tools.errors import InputError
from run_tools.folder import RunFolder
from yolo_prune.class_map import class_set
from yolo_prune.cli import main
from yolo_prune.detector import YoloV2
from yolo_prune.loss import RegionLoss
from yolo_prune.models import load_detector, load_model
from yolo_prune.recipe import Stage, TrainConfig
from yolo_prune.trainer import Trainer
from yolo_prune.watching import advice_of

ROOT = Path(__file__).resolve().parents[2]


def weights_of(path):
    model = load_model(path)
    return {variable.path: keras.ops.convert_to_numpy(variable) for variable in model.weights}


@pytest.fixture(scope="module")
def cut_off(tmp_path_factory):
    """Where the run of `finished` lies as it was at the end of its second epoch, before line and checkpoint."""
    return tmp_path_factory.mktemp("runs") / "cut"


@pytest.fixture(scope="module")
def finished(small, small_h5, cut_off, train_leaving, tmp_path_factory):
    """A whole run, and what `fit` told; its folder held a line of an earlier start that was cut off in epoch 0."""
    chosen = small(small_h5, tmp_path_factory.mktemp("runs") / "whole", images_every=2)
    with RunFolder(chosen.out).create(chosen) as folder:
        folder.log({"epoch": 0, "loss": -1.0})
    return chosen, train_leaving(Trainer(chosen, verbose=0), cut_off, 1)


def test_a_run_is_a_folder(finished):
    chosen, told = finished
    names = {path.name for path in chosen.out.iterdir()}
    assert {"config.yaml", "environment.json", "metrics.jsonl", "state.json", "best.keras", "last.keras"} <= names
    assert not [name for name in names if name.startswith("epoch-")]
    assert config.load(TrainConfig, chosen.out / "config.yaml") == chosen
    state = RunFolder(chosen.out).read_state()
    assert (state["checkpoint"], state["epoch"], state["finished"]) == ("last.keras", 4, True)
    assert (told["epochs"], told["monitor"], told["images"]) == (4, "val_ap50", 12)
    assert told["parameters"] == load_detector(chosen.out).count_params()


def test_every_epoch_is_logged_once(finished):
    rows = RunFolder(finished[0].out).metrics()
    assert [row["epoch"] for row in rows] == [0, 1, 2, 3]
    assert [row["stage"] for row in rows] == ["0:top:3", "1:all", "1:all", "1:all"]
    for row in rows:
        parts = ("box", "objectness", "background", "classification", "prior")
        assert sum(row.get(name, 0.0) for name in parts) == pytest.approx(row["loss"], rel=1e-3)
        assert {"val_loss", "val_ap50", "val_average_iou", "recall", "seconds"} <= set(row)
        # Car (Van among them) and Pedestrian are in every image, so both are counted; no image has a Truck or a Tram.
        assert {"val_ap50_car", "val_ap50_pedestrian"} <= set(row)
        assert not {"val_ap50_truck", "val_ap50_tram"} & set(row)
    assert ["prior" in row for row in rows] == [True, False, False, False]


def test_learning_rates_of_the_stages(finished):
    # Stage 1: constant. Stage 2: 9 steps, 2 of them warm-up, then 7 of cosine; the rates after steps 3, 6 and 9 are
    # those of cosine steps 1, 4 and 7: .01 · (.01 + .99 · (1 + cos(π · k/7)) / 2).
    cosine = [0.01 * (0.01 + 0.99 * (1 + np.cos(np.pi * k / 7)) / 2) for k in (1, 4, 7)]
    rows = RunFolder(finished[0].out).metrics()
    assert [row["learning_rate"] for row in rows] == pytest.approx([0.01, *cosine], rel=1e-4)


def test_what_the_saved_model_knows(finished):
    chosen, told = finished
    last = load_detector(chosen.out / "last.keras")
    assert last.class_names == class_set("merged").names
    assert (last.image_size, last.widths, len(last.anchors)) == ((64, 96), (4,) * 8, 2)
    assert np.array(told["anchors"]) == pytest.approx(np.array(last.anchors), abs=1e-3)
    # The Pedestrians are 20.5 of 200 (or 240) pixels wide, 50 of 120 (or 150) high; the network has 3 × 2 cells. All
    # Cars are 60 wide and 40 high: .75 to .9 cells and .53 to .67. k-means must find sizes of that kind.
    assert np.all((np.array(last.anchors) > 0.2) & (np.array(last.anchors) < 1.0))


def test_tensorboard_has_curves_and_pictures(finished):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def tags(part, kind):
        found = EventAccumulator(str(finished[0].out / "tensorboard" / part))
        return set(found.Reload().Tags()[kind])

    assert {"epoch/loss", "epoch/learning_rate", "epoch/average_iou"} <= tags("train", "tensors")
    assert {"epoch/loss", "epoch/ap50"} <= tags("validation", "tensors")
    ids = open_store(finished[0].data)["val"].ids
    pictures = tags("pictures", "images")
    assert {tag for tag in pictures if tag.startswith("detections/")} == {f"detections/{name}" for name in ids}
    assert {"curves/coco", "curves/kitti_moderate", "confusion", "scores"} <= pictures


def test_a_finished_run_is_left_alone(finished, monkeypatch):
    chosen, told = finished
    before = {path: path.stat().st_mtime_ns for path in (chosen.out / "last.keras", chosen.out / "best.keras")}
    monkeypatch.setattr(YoloV2, "fit", lambda *_, **__: pytest.fail("a finished run was trained"))
    assert Trainer(chosen, verbose=0).fit() == told
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert len(RunFolder(chosen.out).metrics()) == 4


def test_another_config_needs_another_folder(finished):
    with pytest.raises(InputError, match="seed: 0 there, 1 now"):
        Trainer(dataclasses.replace(finished[0], seed=1)).fit()


KILLED = """
import os, signal, sys
from run_tools import callbacks, config
from yolo_prune.recipe import TrainConfig
from yolo_prune.trainer import Trainer

log = callbacks.JsonLines.on_epoch_end

def log_and_die(self, epoch, logs=None):
    log(self, epoch, logs)
    if epoch == 2:
        os.kill(os.getpid(), signal.SIGKILL)

callbacks.JsonLines.on_epoch_end = log_and_die
Trainer(config.load(TrainConfig, sys.argv[1]), verbose=0).fit()
"""


@pytest.mark.slow
def test_a_killed_run_ends_like_one_that_was_not(finished, cut_off, tmp_path):
    # Begun where a first process left off, and killed after the line of epoch 2 was written and before its checkpoint:
    # it must go on after epoch 1, in the midst of stage 2, with the optimizer's moments, its step count and the feed's
    # augmentations of epoch 2.
    chosen = dataclasses.replace(finished[0], out=tmp_path / "killed")
    shutil.copytree(cut_off, chosen.out)
    config.dump(chosen, tmp_path / "config.yaml")
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-c", KILLED, str(tmp_path / "config.yaml")]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, timeout=500)
    assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]
    folder = RunFolder(chosen.out)
    assert [row["epoch"] for row in folder.metrics()] == [0, 1, 2]
    assert (folder.read_state()["epoch"], folder.read_state()["finished"]) == (2, False)

    trainer = Trainer(chosen, verbose=0)
    trainer.fit()
    assert [row["epoch"] for row in folder.metrics()] == [0, 1, 2, 3]
    whole = RunFolder(finished[0].out).metrics()
    for row, expected in zip(folder.metrics(), whole, strict=True):
        assert row["loss"] == pytest.approx(expected["loss"], rel=1e-5)
        assert row["learning_rate"] == expected["learning_rate"]
    for name in ("last.keras", "best.keras"):
        expected = weights_of(finished[0].out / name)
        for variable, value in weights_of(chosen.out / name).items():
            np.testing.assert_allclose(value, expected[variable], atol=1e-6, err_msg=f"{name} {variable}")


@pytest.fixture
def poison(monkeypatch):
    """The function that gives batches a true box of no height: ln 0 makes the box part infinite, and nothing else.

    It takes a function of epoch and batch that says which; they are prepared ahead, some more than once.
    """

    def put(chosen):
        original = Batches.__getitem__

        def poisoned(self, index):
            images, boxes = original(self, index)
            if len(self) > 1 and chosen(self.epoch, index):  # the split "val" is one batch
                boxes[0, 0] = (0.5, 0.5, 0.2, 0.0, 0)
            return images, boxes

        monkeypatch.setattr(Batches, "__getitem__", poisoned)

    return put


def test_a_loss_that_is_no_number_names_its_part_and_images(small, small_h5, tmp_path, poison, capsys):
    poison(lambda epoch, batch: (epoch, batch) == (0, 1))
    chosen = small(small_h5, tmp_path / "run", stages=(Stage("head", 2),))
    config.dump(chosen, tmp_path / "config.yaml")
    assert main(["train", "--config", str(tmp_path / "config.yaml")]) == 2
    (told,) = capsys.readouterr().err.splitlines()
    images = ", ".join(batches(small_h5, "train", 4, seed=chosen.seed).ids(1))
    assert f"received box = inf in epoch 0, batch 1 (images {images})" in told
    assert "with another --out, lower the learning rate" in told
    assert not (tmp_path / "run" / "best.keras").exists()  # and nothing to go back to


def test_it_goes_back_to_its_last_checkpoint(finished, cut_off, tmp_path, poison, capsys):
    chosen = dataclasses.replace(finished[0], out=tmp_path / "run")
    shutil.copytree(cut_off, chosen.out)
    folder = RunFolder(chosen.out)
    poison(lambda epoch, batch: (epoch, batch) == (1, 1) and "diverged" not in folder.read_state())
    Trainer(chosen, verbose=0).fit()
    (gone,) = re.findall(r"note: (.*); back to the checkpoint after epoch 1", capsys.readouterr().out)
    assert (
        re.match(r"box = (inf|nan) in epoch 1, batch 1 \(images 0", gone)
        and {"1": gone} == folder.read_state()["diverged"]
    )
    # Nothing of it is left: it ends like the run to which that never happened.
    assert [row["epoch"] for row in folder.metrics()] == [0, 1, 2, 3]
    for name in ("last.keras", "best.keras"):
        expected = weights_of(finished[0].out / name)
        for variable, value in weights_of(chosen.out / name).items():
            np.testing.assert_allclose(value, expected[variable], atol=1e-6, err_msg=f"{name} {variable}")


@pytest.mark.parametrize(
    "changes, told",
    [
        ({"cpu_bfloat16": True}, "leave --cpu-bfloat16 out, "),
        ({"mixed_precision": True}, "leave --mixed-precision out, "),
    ],
)
def test_what_to_try_against_it(small, small_h5, tmp_path, changes, told):
    assert f"--out, {told}lower the learning rate" in advice_of(small(small_h5, tmp_path, **changes))
    assert "leave" not in advice_of(small(small_h5, tmp_path))


def test_a_few_images_can_be_learnt_by_heart(small, finished, small_h5, tmp_path, capsys):
    chosen = small(
        small_h5,
        tmp_path / "run",
        limit=4,
        anchors="0.8,0.6;0.3,0.8",
        stages=(Stage("all", 20, 2e-2, warmup=4),),
        batch_size=2,
        augment=None,
        monitor="val_loss",
        monitor_every=20,
        weights=finished[0].out,
        new_head=True,
    )
    trainer = Trainer(chosen, verbose=0)
    told = trainer.fit()
    rows = RunFolder(chosen.out).metrics()
    assert rows[-1]["loss"] < 0.25 * rows[0]["loss"]
    # Validation, in the last epoch alone, is on the same images.
    assert [("val_loss" in row) for row in rows] == [False] * 19 + [True]
    assert (told["monitor"], told["best_epoch"], told["best"]) == ("val_loss", 19, rows[-1]["val_loss"])
    assert told["images"] == 4
    lookup = class_set("merged").lookup(open_store(small_h5).class_names)
    images, boxes = batches(small_h5, "train", 4, input_size=(64, 96), class_map=lookup, shuffle=False)[0]
    loss = RegionLoss(trainer.model.anchors, 5)(boxes, trainer.model(images, training=False))
    assert rows[-1]["val_loss"] == pytest.approx(float(loss), rel=1e-3)
    printed = capsys.readouterr().out
    assert f"weights of {finished[0].out}: loaded conv_1, norm_1" in printed
    assert "conv_9 starts fresh" in printed


@pytest.mark.parametrize(
    "changes, told",
    [
        ({"anchors": "0.8,0.6;0.3,0.8"}, "the head was trained with other anchors"),
        ({"anchors": "coco"}, "shapes"),
        ({"classes": "kitti"}, "its classes are car, pedestrian, cyclist, truck, tram, here car, van"),
    ],
)
def test_weights_of_another_head_are_not_taken_silently(small, finished, small_h5, tmp_path, fits, changes, told):
    chosen = small(small_h5, tmp_path / "run", weights=finished[0].out, **changes)
    with pytest.raises(InputError) as error:
        Trainer(chosen, verbose=0).fit()
    assert told in str(error.value)
    assert "--new-head" in str(error.value)
    # Nothing is left behind that would be in the way of the next try.
    assert not chosen.out.exists()
    trainer = Trainer(dataclasses.replace(chosen, new_head=True), verbose=0)
    trainer.fit()
    kernel = keras.ops.convert_to_numpy(trainer.model.get_layer("conv_1").kernel)
    np.testing.assert_array_equal(kernel, weights_of(finished[0].out / "best.keras")["conv_1/kernel"])


def test_each_stage_has_its_layers_loss_and_optimizer(small, small_h5, tmp_path, fits):
    chosen = small(
        small_h5, tmp_path / "run", optimizer="sgd", clip_norm=None, monitor_every=3, anchors="coco", classes="coco"
    )
    trainer = Trainer(chosen, verbose=0)
    trainer.fit()
    assert [(call["from"], call["to"]) for call in fits] == [(0, 1), (1, 4)]
    assert fits[0]["learn"] == ["conv_7", "norm_7", "conv_8", "norm_8", "conv_9"]
    assert len(fits[1]["learn"]) == 17
    # Every third epoch and the last of each stage, counted from 1 over the whole training.
    assert [call["validation_freq"] for call in fits] == [[1], [3, 4]]
    optimizer = trainer.model.optimizer
    assert (optimizer.name.split("_")[0], optimizer.momentum, optimizer.global_clipnorm) == ("sgd", 0.9, None)
    assert optimizer.weight_decay == 0.01
    decayed = {variable.path for variable in trainer.model.weights if optimizer._use_weight_decay(variable)}
    assert {f"conv_{i}/kernel" for i in range(1, 10)} <= decayed
    assert not decayed & {"conv_9/bias", "norm_1/gamma", "norm_1/beta"}
    assert trainer.model.loss.prior_scale == 0.0
    assert trainer.model.output_shape == (None, 2, 3, 5 * 85)


def test_a_files_own_classes_are_the_heads(small, small_h5, tmp_path, fits):
    trainer = Trainer(small(small_h5, tmp_path / "run", classes="data"), verbose=0)
    trainer.fit()
    # KITTI's eight, Misc among them.
    assert trainer.model.class_names == tuple(name.lower() for name in KITTI_CLASSES)
    assert trainer.lookup.tolist() == list(range(8))


def test_mixed_precision_ends_with_the_run(small, small_h5, tmp_path, fits):
    before = keras.config.dtype_policy()
    trainer = Trainer(small(small_h5, tmp_path / "run", mixed_precision=True, stages=(Stage("head", 1),)), verbose=0)
    trainer.fit()
    assert trainer.model.get_layer("conv_1").compute_dtype == "float16"
    assert trainer.model.get_layer("conv_9").compute_dtype == "float32"
    # Losses are scaled, or small gradients would vanish in float16.
    assert isinstance(trainer.model.optimizer, keras.optimizers.LossScaleOptimizer)
    assert keras.config.dtype_policy() == before


@pytest.mark.parametrize(
    "changes, told",
    [
        ({"input": "100x64"}, "image size 100x64; expected multiples of 32; use 96x64"),
        ({"input": "96by64"}, "96by64"),
        ({"anchors": "cocoo"}, "anchors 'cocoo'"),
        ({"anchors": "1,2;3"}, "anchors"),
        ({"anchors": "1,a;3,4"}, "anchors"),
        ({"anchors": "weights"}, "no --weights"),
        ({"anchor_count": 1000}, "k 1000"),
        ({"widths": (4, 4)}, "2 widths"),
        ({"weights": Path("missing.npz")}, "missing.npz"),
        ({"data": Path("missing.h5")}, "missing.h5"),
        ({"distribute": "multihost"}, "--distribute multihost"),
    ],
)
def test_what_does_not_fit_is_told(small, small_h5, tmp_path, fits, changes, told):
    with pytest.raises(InputError) as error:
        Trainer(small(small_h5, tmp_path / "run", **changes), verbose=0).fit()
    assert told in str(error.value)
