"""Options of a training that change its steps or its feed: each does what it says, and goes on where it was cut off."""

import dataclasses
import os
import subprocess
import sys
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import keras
import numpy as np
import pytest

from data_tools.augment import Augment
from data_tools.compiler import DataCompiler
from data_tools.kitti import KittiExtractor
from data_tools.pipeline import Batches
from data_tools.store import open_store
from data_tools.weights import balanced, repeats
from run_tools import config
from run_tools.errors import InputError
from yolo_prune.class_map import class_set, lookup_of
from yolo_prune.detector import YoloV2
from yolo_prune.feeds import Feeds
from yolo_prune.freeze import freeze
from yolo_prune.loss import RegionLoss
from yolo_prune.models import load_model
from yolo_prune.network import PASSTHROUGHS
from yolo_prune.optimizers import optimizer_of
from yolo_prune.recipe import Stage, TrainConfig
from yolo_prune.region import Region
from yolo_prune.trainer import Trainer

ROOT = Path(__file__).resolve().parents[2]
SIZES = ("96x64", "64x64", "128x96")


def values(variables):
    return [keras.ops.convert_to_numpy(variable).copy() for variable in variables]


@pytest.mark.slow
@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="counts TensorFlow's traces")
def test_sizes_rotate_in_one_trace_and_a_run_that_was_cut_off_ends_alike(
    small, small_h5, tmp_path, monkeypatch, train_leaving
):
    # Three batches an epoch, four of a size, two a step: sizes and steps go on over the ends of epochs.
    options = {"stages": (Stage("all", 6, 1e-2, "darknet", warmup=2),), "sizes": SIZES, "sizes_every": 4}
    options |= {"accumulate": 2, "ema": 0.8, "augment": Augment(mosaic=0.5, mixup=0.5), "mosaic_off": 1}
    options |= {"class_balance": "images", "occlusion_discount": 0.5, "monitor_every": 6}
    seen, original = {}, Batches.__getitem__

    def watched(self, index):
        images, boxes = original(self, index)
        if boxes.shape[-1] == 6:
            seen[self.epoch, index] = images.shape[1:3]
        return images, boxes

    traced, step = [], YoloV2.train_step

    def spied(self, data):
        traced.append(tuple(data[0].shape))
        return step(self, data)

    monkeypatch.setattr(Batches, "__getitem__", watched)
    monkeypatch.setattr(YoloV2, "train_step", spied)
    cut = small(small_h5, tmp_path / "cut", **options)
    train_leaving(Trainer(small(small_h5, tmp_path / "whole", **options), verbose=0), cut.out, 3)
    assert len(seen) == 18 and set(seen.values()) == {(64, 96), (64, 64), (96, 128)}
    assert traced == [(None, None, None, 3)]
    whole = dict(seen)

    seen.clear()
    Trainer(cut, verbose=0).fit()
    assert seen == {key: size for key, size in whole.items() if key[0] >= 3}
    first, second = (load_model(tmp_path / run / "last.keras") for run in ("whole", "cut"))
    for one, other in zip(values(first.weights), values(second.weights), strict=True):
        np.testing.assert_allclose(other, one, atol=1e-6)
    # What is saved has the size it was asked for.
    assert first.input_shape == (None, 64, 96, 3)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="JAX compiles each size as it is")
@pytest.mark.parametrize("passthrough", PASSTHROUGHS)
def test_the_full_network_is_traced_for_any_size(passthrough):
    import tensorflow as tf

    model = YoloV2(2, "voc", (64, 96), widths=(4,) * 22, passthrough=passthrough)
    model.input_spec = keras.layers.InputSpec(ndim=4, axes={-1: 3})
    traced = tf.function(model, input_signature=[tf.TensorSpec((None, None, None, 3))])
    for size in ((64, 96), (96, 64)):
        images = np.random.default_rng(0).random((2, *size, 3), np.float32)
        expected = keras.ops.convert_to_numpy(model.at_size(size)(images))
        np.testing.assert_allclose(traced(images).numpy(), expected, rtol=1e-4, atol=1e-5)


JAX_SCRIPT = """
import sys
from collections import Counter
import jax, keras
from run_tools import config
from yolo_prune.loss import RegionLoss
from yolo_prune.recipe import TrainConfig
from yolo_prune.trainer import Trainer
assert keras.backend.backend() == "jax"
shapes, call = Counter(), RegionLoss.call

def spied(self, true_boxes, logits):
    shapes[tuple(logits.shape[1:3])] += 1
    return call(self, true_boxes, logits)

RegionLoss.call = spied
Trainer(config.load(TrainConfig, sys.argv[1]), verbose=0).fit()
print("traces", *(shapes[size] for size in ((2, 2), (3, 4))))
"""


@pytest.mark.slow
@pytest.mark.skipif(find_spec("jax") is None, reason="JAX is not installed")
def test_on_jax_a_step_is_compiled_once_for_each_size(small, small_h5, tmp_path):
    options = {"stages": (Stage("all", 6, 1e-2),), "sizes": SIZES, "sizes_every": 2}
    chosen = small(small_h5, tmp_path / "run", accumulate=2, monitor_every=6, **options)
    config.dump(chosen, tmp_path / "config.yaml")
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "PYTHONPATH": path}
    command = [sys.executable, "-c", JAX_SCRIPT, str(tmp_path / "config.yaml")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=500)
    # The two sizes that are not the network's own, at which Keras also builds and validates.
    assert done.stdout.splitlines()[-1:] == ["traces 1 1"], done.stderr[-2000:]


def trained(small_config, batch, steps):
    """A small detector with frozen batch-norms after `steps` batches, in order, of 12 images."""
    keras.utils.set_random_seed(5)
    model = YoloV2(2, ((1.0, 1.0), (0.5, 0.8)), image_size=(64, 64), variant="tiny", widths=(4,) * 8)
    stage = Stage("names:conv_*", 1, 1e-2, "darknet", warmup=2, steps=(3,), scales=(0.5,))
    freeze(model, stage.train)
    model.compile(optimizer_of(small_config, stage, 4 * small_config.accumulate), RegionLoss(model.anchors, 2))
    rng = np.random.default_rng(0)
    images, boxes = rng.random((24, 64, 64, 3), np.float32), rng.uniform(0.2, 0.8, (24, 3, 5)).astype(np.float32)
    boxes[..., 4] = rng.integers(0, 2, (24, 3))
    for step in range(steps):
        chosen = slice(batch * step, batch * (step + 1))
        model.train_on_batch(images[chosen], boxes[chosen])
    return model


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_accumulated_batches_make_the_step_of_a_large_one(small, small_h5, tmp_path, optimizer):
    options = {"optimizer": optimizer, "ema": 0.8, "clip_norm": 1.0, "weight_decay": 0.1}
    large = trained(small(small_h5, tmp_path, **options), 6, 3)
    parts = small(small_h5, tmp_path, accumulate=3, **options)
    little = trained(parts, 2, 9)
    for one, other in zip(values(large.trainable_variables), values(little.trainable_variables), strict=True):
        np.testing.assert_allclose(other, one, rtol=2e-4, atol=2e-6)
    rates = [float(model.optimizer.learning_rate) for model in (large, little)]
    assert rates[0] == pytest.approx(rates[1]) == pytest.approx(0.005)
    # Two batches more make no step, and bring the averages to where they are after the large batches.
    later = trained(parts, 2, 11)
    for one, other in zip(values(little.trainable_variables), values(later.trainable_variables), strict=True):
        np.testing.assert_array_equal(other, one)
    averages = [values(model.optimizer._model_variables_moving_average) for model in (large, later)]
    for one, other in zip(*averages, strict=True):
        np.testing.assert_allclose(other, one, rtol=2e-4, atol=2e-6)


def test_darknets_decay_is_ten_times_as_large_here(small, small_h5, tmp_path):
    """docs/darknet.md: decay=5e-4 goes through darknet's momentum, 5e-3 here does not."""
    rate, steps = 0.1, 200
    ours = keras.Variable([1.0], name="kernel")
    config = small(small_h5, tmp_path, optimizer="sgd", weight_decay=5e-3)
    optimizer = optimizer_of(config, Stage("all", 1, rate, "constant"), steps)
    weight, update = 1.0, 0.0
    for _ in range(steps):
        optimizer.apply([keras.ops.zeros(1)], [ours])
        # update_convolutional_layer with a batch of one and no gradient: decay is added before the momentum.
        update -= 5e-4 * weight
        weight += rate * update
        update *= 0.9
    # Ten times 5e-4 · .1 a step: exp(-.1) = .905; momentum needs some ten steps to get there.
    assert weight == pytest.approx(0.905, rel=0.01)
    assert float(ours[0]) == pytest.approx(weight, rel=0.01)


@pytest.fixture
def feeds(small, small_h5, tmp_path):
    """Makes the feeds of a config."""

    def make(**changes):
        store, names = open_store(small_h5), class_set("merged")
        return Feeds(small(small_h5, tmp_path, **changes), store, lookup_of(names, store), (64, 96), 4)

    return make


def merged(view):
    return np.append(class_set("merged").lookup(open_store(view._path).class_names), -1)[view.all_classes]


def test_by_default_nothing_has_weights_or_other_sizes(feeds):
    feed = feeds().train()
    assert (feed.columns, list(feed.sizes)) == (5, [(64, 96)])
    assert feeds().for_fit(None, feed) is feed


def test_weights_of_classes_and_hidden_objects_reach_the_batches(feeds):
    made = feeds(class_balance="weights", truncation_discount=0.5, occlusion_discount=1.0, augment=None)
    feed, view = made.train(), made.store["train"]
    expected = balanced(merged(view))
    images, boxes = feed[0]
    assert boxes.shape[-1] == 6 and made.val()[0][1].shape[-1] == 5
    for image, index in zip(boxes, feed.indices(0), strict=True):
        rows = slice(*view.offsets[index : index + 2])
        # Nothing is occluded or truncated in these images.
        objects = merged(view)[rows] >= 0
        used = image[(image[:, 2] > 0) & (image[:, 4] >= 0)]
        np.testing.assert_allclose(used[:, 5], expected[rows][objects], rtol=1e-6)
    assert len(set(np.round(expected, 6))) > 2


def test_images_of_rare_classes_reach_the_batches_more_often(feeds):
    made = feeds(class_balance="images", augment=None, batch_size=1)
    feed, view = made.train(), made.store["train"]
    expected = repeats(view, merged(view))
    assert expected.max() > 1
    shown = Counter()
    for epoch in range(200):
        feed.epoch = epoch
        shown.update(int(feed.indices(index)[0]) for index in range(len(feed)))
    shares = np.array([shown[index] for index in range(len(view))]) / 200
    np.testing.assert_allclose(shares, expected * len(view) / expected.sum(), atol=0.12)


def test_sizes_around_the_input_or_as_listed(feeds):
    # 64 / 1.6 = 40 to 102.4: 64 and 96, whose longer sides are 96 and 144, nearest (even) multiple 128.
    assert feeds(multi_scale=0.6).sizes == ((64, 96), (96, 128))
    assert feeds(sizes=SIZES).sizes == ((64, 96), (64, 64), (96, 128))


@pytest.mark.parametrize(
    "changes, told",
    [
        ({"sizes": ("100x64",)}, "image size 100x64"),
        ({"sizes": ("96by64",)}, "96by64"),
        ({"sizes": SIZES, "multi_scale": 0.5}, "sizes and multi_scale"),
        ({"multi_scale": float("inf")}, "multi-scale share inf"),
        ({"stages": (Stage("names:conv_10", 1),)}, "conv_10"),
    ],
)
def test_what_makes_no_sense_leaves_no_folder(small, small_h5, tmp_path, changes, told):
    with pytest.raises(InputError) as error:
        Trainer(small(small_h5, tmp_path / "run", **changes), verbose=0).fit()
    assert told in str(error.value) and not (tmp_path / "run").exists()


def test_a_file_without_validation_images_leaves_no_folder(small, small_kitti, tmp_path):
    made = {"split": "random", "fractions": (0.8, 0.0, 0.2), "progress": False}
    DataCompiler(KittiExtractor(small_kitti), (96, 160), **made).compile(tmp_path / "no_val.h5")
    with pytest.raises(InputError, match="split 'val'; expected one of train, test"):
        Trainer(small(tmp_path / "no_val.h5", tmp_path / "run"), verbose=0).fit()
    assert not (tmp_path / "run").exists()


def test_the_options_of_the_loss_reach_it(small, small_h5, tmp_path, fits):
    given = {"object_scale": 4.0, "noobject_scale": 0.5, "class_scale": 2.0, "threshold": 0.5}
    given |= {"rescore": False, "box_weighting": False}
    path = tmp_path / "config.yaml"
    config.dump(small(small_h5, tmp_path / "run", region=Region(**given), box_scale=3.0), path)
    trainer = Trainer(config.load(TrainConfig, path), verbose=0)
    trainer.fit()
    loss = trainer.model.loss.get_config()
    assert {name: loss[name] for name in given} == given and loss["coord_scale"] == 3.0
    # What a config does not say is darknet's.
    default = RegionLoss("coco", 2).get_config()
    for name, value in dataclasses.asdict(Region()).items():
        assert default[name] == value


@pytest.mark.parametrize("norm", [0.0, -1.0, float("nan")])
def test_a_norm_that_gradients_cannot_have(small, small_h5, tmp_path, norm):
    with pytest.raises(InputError, match="above 0, or null for no clipping"):
        small(small_h5, tmp_path, clip_norm=norm)


@pytest.mark.parametrize(
    "name, value",
    [
        ("limit", 0),
        ("accumulate", 0),
        ("sizes_every", 0),
        ("multi_scale", -0.1),
        ("class_balance", "boxes"),
        ("occlusion_discount", 1.5),
        ("truncation_discount", -0.5),
        ("mosaic_off", -1),
        ("augment", {"mosaic": 1.5}),
        ("region", {"threshold": 1.5}),
        ("region", {"object_scale": -1.0}),
        ("augment", {"mixup": -0.1}),
    ],
)
def test_numbers_out_of_range_are_told_in_one_line(tmp_path, name, value):
    told = next(iter(value)) if isinstance(value, dict) else "--" + name.replace("_", "-")
    with pytest.raises(InputError, match=told):
        config.load(TrainConfig, data="a.h5", out="run", **{name: value})
