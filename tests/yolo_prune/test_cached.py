"""Head stages on cached features: the same training as without them, and what a run needs of it besides."""

import dataclasses
import functools
import json
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import keras
import numpy as np
import pytest

from data_tools.augment import Augment
from data_tools.store import open_store
from run_tools import config
from run_tools.callbacks import JsonLines, TrainingDiverged
from run_tools.folder import RunFolder
from yolo_prune import cached
from yolo_prune.cached import CachedBatches, CachedHead
from yolo_prune.detector import YoloV2
from yolo_prune.models import load_model
from yolo_prune.recipe import Stage
from yolo_prune.trainer import Trainer

ROOT = Path(__file__).resolve().parents[2]
STAGES = (Stage("all", 1, 1e-2, warmup=0), Stage("head", 4, 1e-2, warmup=2))


def weights_of(path):
    model = load_model(path, compile=True)
    found = {variable.path: keras.ops.convert_to_numpy(variable) for variable in model.weights}
    # Without the optimizer's own name, which counts the optimizers of the process.
    slots = {v.path.split("/", 1)[1]: keras.ops.convert_to_numpy(v) for v in model.optimizer.variables}
    return found | {f"optimizer {name}": value for name, value in slots.items()}


def assert_same_weights(one, other, tolerance):
    expected = weights_of(other)
    for name, value in weights_of(one).items():
        np.testing.assert_allclose(value, expected[name], rtol=tolerance, atol=tolerance, err_msg=name)


@pytest.fixture
def fitted(monkeypatch):
    """Which classes `fit` was called on, in order; training goes on as it would."""
    seen = []
    for kind in (YoloV2, CachedHead):
        original = kind.fit

        def fit(self, *args, _original=original, **kwargs):
            seen.append(type(self))
            return _original(self, *args, **kwargs)

        monkeypatch.setattr(kind, "fit", fit)
    return seen


@pytest.fixture(scope="module")
def first_stage(tmp_path_factory):
    """Where the run of `plain` lies as it was in the first epoch of its second stage, which trains the head."""
    return tmp_path_factory.mktemp("runs") / "first"


@pytest.fixture(scope="module")
def plain(small, small_h5, first_stage, train_leaving, tmp_path_factory):
    """The training without cached features, which the others must equal."""
    chosen = small(small_h5, tmp_path_factory.mktemp("runs") / "plain", augment=None, stages=STAGES, cache="off")
    train_leaving(Trainer(chosen, verbose=0), first_stage, 1)
    return chosen


@pytest.mark.slow
def test_the_same_training_from_cached_features(plain, first_stage, tmp_path, fitted, capsys):
    chosen = dataclasses.replace(plain, out=tmp_path / "run", cache="float32", images_every=9)
    shutil.copytree(first_stage, chosen.out)
    config.dump(chosen, chosen.out / "config.yaml")
    Trainer(chosen, verbose=0).fit()
    assert fitted == [CachedHead]
    assert "features of the frozen layers, 0.0 MB of float32" in capsys.readouterr().out
    for name in ("last.keras", "best.keras"):
        assert_same_weights(chosen.out / name, plain.out / name, 1e-5)
    for row, expected in zip(RunFolder(chosen.out).metrics(), RunFolder(plain.out).metrics(), strict=True):
        assert set(row) == set(expected) and row["stage"] == expected["stage"]
        for name in set(row) - {"seconds", "stage"}:
            assert row[name] == pytest.approx(expected[name], rel=1e-4, abs=1e-6), name
    # What the stage kept is gone; pictures and curves are there.
    assert not (chosen.out / "features").exists()
    assert list((chosen.out / "tensorboard" / "pictures").iterdir())


def prepared(config, folder):
    """What `cached.prepare` makes of the first stage of `config`, the feeds it was given, and the detector."""
    keras.utils.set_random_seed(0)
    trainer = Trainer(config, verbose=0)
    trainer._start()
    trainer._compile(trainer.plan.stages[0], 3)
    train, val = trainer.feeds.train(), trainer.feeds.val()
    ordered = functools.partial(trainer.feeds.train, shuffle=False)
    made = cached.prepare(trainer.model, trainer.plan.stages[0], train, ordered, val, folder, config)
    return made, (train, val), trainer.model


@pytest.mark.parametrize("dtype, tolerance", [("float32", 1e-5), ("float16", 2**-9)])
def test_augmented_variants_are_those_of_the_first_epochs_in_turn(small, small_h5, tmp_path, dtype, tolerance):
    # float16 has 11 digits, so it is off by 2^-11 of a feature at most, and features here are below 4.
    chosen = small(small_h5, tmp_path / "run", stages=(Stage("head", 9),), cache_variants=2, cache=dtype)
    (model, train, val), feeds, detector = prepared(chosen, tmp_path / "features")
    assert isinstance(model, CachedHead) and isinstance(train, CachedBatches)
    assert train._features.dtype == dtype
    body = keras.Model(detector.inputs, detector.layers[-1].input)
    for epoch, variant in ((0, 0), (1, 1), (2, 0), (5, 1)):
        train.epoch = epoch
        order = feeds[0].indices(1)
        features, boxes = train[1]
        assert train.ids(1) == [open_store(small_h5)["train"].ids[i] for i in order]
        # What an epoch without the shuffle has of these images.
        plain = Trainer(chosen, verbose=0).feeds.train(shuffle=False)
        plain.epoch = variant
        images, expected = (np.concatenate(parts)[order] for parts in zip(*(plain[i] for i in range(3)), strict=True))
        assert features.dtype == np.float32
        np.testing.assert_allclose(features, body.predict_on_batch(images), atol=tolerance)
        np.testing.assert_array_equal(boxes, expected)
    assert len(val) == 1 and val[0][0].shape == (4, 2, 3, 4)


class Killed(Exception):
    pass


def test_a_run_cut_off_in_a_cached_stage_ends_like_one_that_was_not(plain, tmp_path, monkeypatch, fitted):
    chosen = dataclasses.replace(plain, out=tmp_path / "run", cache="float32", save_every=2)
    log, write, written = JsonLines.on_epoch_end, cached._write, []

    def log_and_die(self, epoch, logs=None):
        log(self, epoch, logs)
        if epoch == 4:
            raise Killed

    def count(body, feed, folder, *rest):
        written.append(folder.name)
        write(body, feed, folder, *rest)

    monkeypatch.setattr(cached, "_write", count)
    monkeypatch.setattr(JsonLines, "on_epoch_end", log_and_die)
    with pytest.raises(Killed):
        Trainer(chosen, verbose=0).fit()
    # Epochs 0 (the end of its stage), 1 and 3 (every second one) are checkpoints; epoch 2 and 4 are not.
    folder = RunFolder(chosen.out)
    assert (folder.read_state()["epoch"], len(folder.metrics())) == (4, 5)
    assert len(written) == 2 and len(list((chosen.out / "features").iterdir())) == 2

    monkeypatch.setattr(JsonLines, "on_epoch_end", log)
    # Its lock is that of this process.
    shutil.rmtree(chosen.out / "run.lock", ignore_errors=True)
    assert fitted == [YoloV2, CachedHead]
    Trainer(chosen, verbose=0).fit()
    assert len(written) == 2  # the features of before were used
    assert [row["epoch"] for row in folder.metrics()] == [0, 1, 2, 3, 4]
    for name in ("last.keras", "best.keras"):
        assert_same_weights(chosen.out / name, plain.out / name, 1e-5)


def test_features_of_other_weights_are_not_used(small, small_h5, tmp_path):
    chosen = small(small_h5, tmp_path / "run", stages=(Stage("head", 2),), augment=None)
    _, (_, feed), model = prepared(chosen, tmp_path / "features")
    before = cached._key(model, feed, "float32", 1)
    assert f"val-{before}" in {path.name for path in (tmp_path / "features").iterdir()}
    assert before != cached._key(model, feed, "float16", 1)
    head, norm = model.layers[-1], model.get_layer("norm_3")
    head.set_weights([value + 1 for value in head.get_weights()])
    assert cached._key(model, feed, "float32", 1) == before  # the head has no part in them
    norm.set_weights([value + 1 for value in norm.get_weights()])
    assert cached._key(model, feed, "float32", 1) != before


@pytest.mark.parametrize(
    "stage, changes, taken",
    [
        ("head", {}, True),
        ("top:1", {}, True),
        ("names:conv_9", {}, True),
        ("top:2", {}, False),
        ("all", {}, False),
        ("norm", {}, False),
        ("head", {"cache": "off"}, False),
        ("head", {"augment": Augment()}, False),
        ("head", {"multi_scale": 0.5, "input": "192x128"}, False),
        ("head", {"sizes": ("128x64",)}, False),  # one size, but not the network's
        ("head", {"augment": Augment(mosaic=0.5), "cache_variants": 1, "mosaic_off": 1}, False),
    ],
)
def test_only_where_it_is_the_same_training(small, small_h5, tmp_path, stage, changes, taken):
    config = small(small_h5, tmp_path / "run", **{"augment": None, "stages": (Stage(stage, 2),), **changes})
    given, feeds, detector = prepared(config, tmp_path / "features")
    assert isinstance(given[0], CachedHead) is taken
    assert taken or given == (detector, *feeds)


def test_without_room_on_the_disk_the_plain_way_is_taken(small, small_h5, tmp_path, monkeypatch, capsys):
    # 12 + 4 images of 2 x 3 cells, 4 channels, 4 bytes: 1,536 bytes; nine tenths of 1,706 bytes are 1,535.4.
    chosen = small(small_h5, tmp_path / "run", stages=(Stage("head", 2),), augment=None)
    monkeypatch.setattr(cached.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 1706}))
    given, feeds, detector = prepared(chosen, tmp_path / "features")
    assert given == (detector, *feeds)
    assert "note: no room for features" in capsys.readouterr().out and not (tmp_path / "features").exists()
    monkeypatch.setattr(cached.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 1707}))
    (model, *_), _, _ = prepared(chosen, tmp_path / "features")
    assert isinstance(model, CachedHead)
    # What lies there needs no more room.
    monkeypatch.setattr(cached.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 0}))
    (model, *_), _, _ = prepared(chosen, tmp_path / "features")
    assert isinstance(model, CachedHead)
    before = len(list((tmp_path / "features").iterdir()))
    prepared(small(small_h5, tmp_path / "run", stages=(Stage("all", 2),), augment=None), tmp_path / "features")
    assert before == 2 and not (tmp_path / "features").exists()  # a stage that has no use for them deletes them


def test_a_loss_that_is_no_number_names_its_images(small, small_h5, tmp_path, monkeypatch):
    original = CachedBatches.__getitem__

    def poisoned(self, index):
        features, boxes = original(self, index)
        if index == 1 and boxes.shape[0] == 4 and self._boxes.shape[1] == 12:
            boxes[0, 0] = (0.5, 0.5, 0.2, 0.0, 0)  # no height: ln 0
        return features, boxes

    monkeypatch.setattr(CachedBatches, "__getitem__", poisoned)
    chosen = small(small_h5, tmp_path / "run", augment=None, stages=(Stage("head", 2),))
    with pytest.raises(TrainingDiverged, match=r"received box = (inf|nan) in epoch 0, batch 1 \(images 0"):
        Trainer(chosen, verbose=0).fit()


JAX = """
import json, sys
from pathlib import Path
from yolo_prune.recipe import Stage, TrainConfig
from yolo_prune.trainer import Trainer

for cache in ("off", "float32"):
    Trainer(TrainConfig(data=Path(sys.argv[1]), out=Path(sys.argv[2]) / cache, input="96x64", widths=(4,) * 8,
        anchor_count=2, batch_size=4, stages=(Stage("head", 2, 1e-2, warmup=0),), augment=None, cache=cache,
        monitor="val_loss", images_every=0), verbose=0).fit()
"""


@pytest.mark.slow
@pytest.mark.skipif(find_spec("jax") is None, reason="JAX is not installed")
def test_on_jax(small_h5, tmp_path):
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "PYTHONPATH": path}
    command = [sys.executable, "-c", JAX, str(small_h5), str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "learns from features" in done.stdout
    rows = [
        [json.loads(line) for line in (tmp_path / cache / "metrics.jsonl").read_text().splitlines()]
        for cache in ("off", "float32")
    ]
    for one, other in zip(*rows, strict=True):
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-4)
        assert one["val_ap50"] == pytest.approx(other["val_ap50"], abs=1e-6)
    assert_same_weights(tmp_path / "float32" / "last.keras", tmp_path / "off" / "last.keras", 1e-4)
