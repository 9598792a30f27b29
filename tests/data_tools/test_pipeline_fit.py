"""The feed under plain `fit`, on TensorFlow and JAX: the batches it should see, whatever the workers."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from data_tools import DataCompiler, KittiExtractor, batches

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def kitti(make_kitti, tmp_path):
    """Fifteen images of 32 high, 64 wide: twelve in train, two in val, one in test."""
    compiler = DataCompiler(KittiExtractor(make_kitti(15)), (32, 64), split="random", progress=False)
    compiler.compile(tmp_path / "kitti.h5")
    return tmp_path / "kitti.h5"


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


@keras.saving.register_keras_serializable(package="test_pipeline")
class Scale(keras.layers.Layer):
    """Its input times a weight of 1: a network whose output shows the batch it was given."""

    def build(self, shape):
        self.factor = self.add_weight(shape=(), initializer="ones")

    def call(self, inputs):
        return inputs * self.factor


def recorder():
    """A model that learns nothing, and the list of batches that `fit` has shown it."""
    batches_seen = []

    def loss(true_boxes, images):
        batches_seen.append((np.array(images), np.array(true_boxes)))
        return keras.ops.sum(images) * 0.0

    model = keras.Sequential([Scale()])
    model.compile(keras.optimizers.SGD(0.0), loss=loss, run_eagerly=True)
    return model, batches_seen


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_fit_sees_the_batches_of_each_epoch_in_order_whatever_the_workers(kitti, workers):
    model, seen = recorder()
    feed = batches(kitti, "train", 4, augment=True, workers=workers)
    model.fit(feed, epochs=2, shuffle=False, verbose=0)
    # Keras turns to the next epoch before the first, too, on every `fit`.
    assert feed.epoch == 3
    model.fit(feed, epochs=1, shuffle=False, verbose=0)  # a second `fit` goes on
    assert feed.epoch == 5
    feed.epoch = 1  # as when a training is resumed
    model.fit(feed, epochs=1, shuffle=False, verbose=0)
    fresh, expected = batches(kitti, "train", 4, augment=True), []
    for epoch in (1, 2, 4, 2):
        fresh.epoch = epoch
        expected += list(fresh)
    assert len(seen) == len(expected) == 12
    assert all(same(a, b) for a, b in zip(seen, expected, strict=True))


def test_fit_learns_from_both_splits(kitti):
    model = keras.Sequential(
        [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(15), keras.layers.Reshape((3, 5))]
    )
    model.compile("adam", loss="mse")
    history = model.fit(
        batches(kitti, "train", 4), validation_data=batches(kitti, "val", 2), epochs=2, shuffle=False, verbose=0
    )
    assert np.isfinite(history.history["loss"] + history.history["val_loss"]).all()


JAX_FIT = """
import sys
import keras, numpy as np
from data_tools import batches
model = keras.Sequential([keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(15), keras.layers.Reshape((3, 5))])
model.compile("adam", loss="mse")
for workers in (1, 2):
    feed = batches(sys.argv[1], "train", 4, augment=True, workers=workers)
    history = model.fit(feed, validation_data=batches(sys.argv[1], "val", 2), epochs=2, shuffle=False, verbose=0)
    assert keras.backend.backend() == "jax" and feed.epoch == 3 and np.isfinite(history.history["loss"]).all()
import jax.numpy as jnp
kept = [jnp.asarray(images) for images, _ in feed]
fresh = batches(sys.argv[1], "train", 4, augment=True)
fresh.epoch = 3
assert all(np.array_equal(a, b[0]) for a, b in zip(kept, fresh, strict=True))
"""


@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="JAX is not installed (pip install -e .[jax])")
def test_fit_on_jax(kitti):
    environment = {**os.environ, "KERAS_BACKEND": "jax", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", JAX_FIT, kitti], env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr


def test_tensors_made_from_batches_are_not_overwritten_later(kitti):
    if keras.backend.backend() != "tensorflow":
        pytest.skip("needs the TensorFlow backend")
    import tensorflow as tf

    feed = batches(kitti, "train", 4, augment=True)
    signature = (tf.TensorSpec((4, *feed.image_size, 3), tf.float32), tf.TensorSpec((4, feed.max_boxes, 5), tf.float32))
    dataset = tf.data.Dataset.from_generator(lambda: iter(feed), output_signature=signature).repeat(6).prefetch(2)
    kept = list(dataset)
    assert len(kept) == 18
    for index, (images, labels) in enumerate(kept):
        assert same((images.numpy(), labels.numpy()), feed[index % 3])
