"""Pruned weights are exactly zero after every step, however the model is trained."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers as kl

from prune_tools import holding, masks
from run_tools.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(24, 6, 6, 2)).astype("f4"), RNG.integers(0, 3, 24)


class Steps(keras.callbacks.Callback):
    """Looks at the pruned weights after every batch that is told."""

    def __init__(self, found):
        super().__init__()
        self.found, self.seen = found, 0

    def on_train_batch_end(self, batch, logs=None):
        assert self.found.violations(self.model) == {}
        self.seen += 1


def build(**kwargs):
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [kl.Input((6, 6, 2)), kl.Conv2D(4, 3, activation="relu", name="conv", **kwargs), kl.BatchNormalization(),
         kl.Flatten(), kl.Dense(8, activation="relu", name="dense"), kl.Dense(3, name="head")]
    )  # fmt: skip


def fit(model, found, epochs=2, callbacks=(), **kwargs):
    steps = Steps(found)
    model.fit(X, Y, batch_size=4, epochs=epochs, verbose=0, callbacks=[*callbacks, steps], **kwargs)
    assert steps.seen
    return steps.seen


def loss():
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def values(model):
    return [array.copy() for array in model.get_weights()]


@pytest.mark.parametrize(
    ("optimizer", "options"),
    [
        (lambda: keras.optimizers.Adam(0.05), {"jit_compile": True}),
        (lambda: keras.optimizers.Adam(0.05), {"jit_compile": False, "steps_per_execution": 3}),
        (lambda: keras.optimizers.Adam(0.05, gradient_accumulation_steps=2), {"jit_compile": False}),
        (lambda: keras.optimizers.AdamW(0.05, weight_decay=0.1), {"jit_compile": False}),
        (lambda: keras.optimizers.SGD(0.05, momentum=0.9, nesterov=True), {"jit_compile": False}),
        (lambda: keras.optimizers.SGD(0.05), {"run_eagerly": True}),
    ],
    ids=["jit", "steps_per_execution", "accumulation", "weight_decay", "momentum", "eager"],
)
def test_zeros_stay_after_every_step(optimizer, options):
    model = build()
    model.compile(optimizer(), loss(), **options)
    found = masks.global_magnitude(model, 0.6)
    found.hold(model)
    start = values(model)
    fit(model, found, callbacks=[found.callback()])
    assert found.measured(model)["all"] >= found.sparsity()
    assert all(np.abs(a - b).max() > 0 for a, b in zip(start, values(model), strict=True))  # the others learned


def test_momentum_in_flight_and_a_step_that_is_already_compiled():
    model = build()
    model.compile(keras.optimizers.SGD(0.05, momentum=0.95), loss(), jit_compile=False)
    model.fit(X, Y, batch_size=4, epochs=2, verbose=0)
    found = masks.global_magnitude(model, 0.6)
    found.hold(model)
    fit(model, found)
    # More of them, in place of the first, without a new compilation on TensorFlow.
    more = masks.global_magnitude(model, 0.8, previous=found)
    more.hold(model)
    fit(model, more)
    assert more.measured(model)["all"] >= more.sparsity() > found.sparsity()


def test_release_lets_go_at_once_and_gives_back_what_was_there():
    limit = keras.constraints.MaxNorm(0.5, axis=(0, 1, 2))
    model = build(kernel_constraint=limit)
    model.compile(keras.optimizers.Adam(0.05), loss(), jit_compile=False)
    kernel = model.get_layer("conv").kernel
    found = masks.global_magnitude(model, 0.6)
    found.hold(model)
    fit(model, found)
    norms = np.sqrt((keras.ops.convert_to_numpy(kernel) ** 2).sum((0, 1, 2)))
    assert norms.max() <= 0.5 + 1e-5 and norms.max() > 0.4  # the layer's own constraint goes on
    found.release(model)
    assert kernel.constraint is limit and model.get_layer("dense").kernel.constraint is None
    assert holding.held(model) == []
    model.fit(X, Y, batch_size=4, verbose=0)
    assert found.measured(model)["all"] < 0.1


def test_a_norm_is_that_of_the_weights_that_are_left():
    kernel = keras.Variable(np.array([[3.0], [4.0], [12.0]]))
    unit = keras.constraints.UnitNorm(axis=0)
    constraint = holding.MaskConstraint(np.array([[True], [True], [False]]), unit)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(constraint(kernel)), [[0.6], [0.8], [0]], rtol=1e-6)
    broken = keras.Variable(np.array([[1.0], [2.0], [np.nan]]))
    plain = keras.ops.convert_to_numpy(holding.MaskConstraint(np.array([[True], [False], [False]]), None)(broken))
    assert plain.ravel().tolist() == [1, 0, 0] and not np.signbit(plain).any()


@pytest.mark.parametrize("frequency", [None, 4])
def test_averages_are_masked_where_they_are_judged_and_at_the_end(frequency):
    model = build()
    optimizer = keras.optimizers.Adam(0.05, use_ema=True, ema_momentum=0.8, ema_overwrite_frequency=frequency)
    model.compile(optimizer, loss(), jit_compile=False)
    found = masks.global_magnitude(model, 0.6)
    found.hold(model)
    fit(model, found, callbacks=[found.callback()], validation_data=(X, Y))
    assert found.violations(model) == {}
    dirty = values(model)
    fit(model, found)  # without the callback, what Keras copies over the weights is not held
    if frequency is None:
        assert found.violations(model)
    model.set_weights(dirty)


@pytest.mark.parametrize("on_epoch", [False, True])
def test_keras_own_swap_of_averages(on_epoch):
    model = build()
    model.compile(keras.optimizers.SGD(0.05, use_ema=True), loss(), jit_compile=False)
    found = masks.global_magnitude(model, 0.6)
    found.hold(model)
    judged = []

    class Judge(keras.callbacks.Callback):
        def on_test_begin(self, logs=None):
            judged.append(found.violations(self.model))

        def on_epoch_end(self, epoch, logs=None):
            judged.append(found.violations(self.model))

    swap = keras.callbacks.SwapEMAWeights(swap_on_epoch=on_epoch)
    callbacks = [swap, found.callback(), Judge()]
    model.fit(X, Y, batch_size=4, epochs=2, verbose=0, callbacks=callbacks, validation_data=(X, Y))
    assert judged == [{}] * 4 and found.violations(model) == {}


def test_mixed_precision():
    before = keras.mixed_precision.dtype_policy()
    keras.mixed_precision.set_dtype_policy("mixed_float16")
    try:
        model = build()
    finally:
        keras.mixed_precision.set_dtype_policy(before)
    model.compile(keras.optimizers.Adam(0.05), loss(), jit_compile=False)  # Keras scales the loss
    assert hasattr(model.optimizer, "inner_optimizer")
    found = masks.global_magnitude(model, 0.6)
    found.hold(model)
    fit(model, found, callbacks=[found.callback()])
    assert found.measured(model)["all"] >= found.sparsity()


def test_a_held_model_saves_plain_and_goes_on_after_loading(tmp_path):
    model = build()
    model.compile(keras.optimizers.Adam(0.05), loss(), jit_compile=False)
    found = masks.global_magnitude(model, 0.6)
    found.hold(model)
    fit(model, found)
    model.save(tmp_path / "model.keras")
    found.save(tmp_path / "masks.npz")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert all(variable.constraint is None for variable in loaded.weights)
    assert len(loaded.weights) == len(model.weights)
    again = masks.Masks.load(tmp_path / "masks.npz")
    assert again.violations(loaded) == {}
    again.hold(loaded)
    for one in (model, loaded):
        fit(one, again, shuffle=False)
    for mine, other in zip(values(model), values(loaded), strict=True):
        np.testing.assert_array_equal(mine, other)


def test_train_on_batch_and_nested_models():
    inner = keras.Sequential([kl.Input((4,)), kl.Dense(8, "relu", name="fc"), kl.Dense(4, name="out")], name="inner")
    inputs = kl.Input((4,))
    model = keras.Model(inputs, kl.Dense(2)(inner(inputs)))
    model.compile(keras.optimizers.Adam(0.05), "mse")
    found = masks.global_magnitude(model, 0.5)
    assert list(found) == ["inner/fc/kernel", "inner/out/kernel"]
    found.hold(model)
    for _ in range(3):
        model.train_on_batch(X[:, 0, 0, :].repeat(2, 1), Y[:, None].repeat(2, 1))
        assert found.violations(model) == {}


def test_the_callback_logs_and_finds_a_step_that_does_not_hold(tmp_path):
    model = build()
    model.compile(keras.optimizers.Adam(0.05), loss(), jit_compile=False)
    found = masks.global_magnitude(model, 0.6)
    found.hold(model)
    history = model.fit(X, Y, batch_size=4, verbose=0, callbacks=[found.callback(tmp_path)]).history
    assert history["sparsity"] == [pytest.approx(found.sparsity(), abs=0.02)]
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "sparsity"), size_guidance={"tensors": 0})
    events.Reload()
    assert set(events.Tags()["tensors"]) == {"sparsity/conv/kernel", "sparsity/dense/kernel", "sparsity/all"}
    found.release(model)
    with pytest.raises(InputError, match="pruned weights of conv/kernel that are not zero.*call hold"):
        model.fit(X, Y, batch_size=4, verbose=0, callbacks=[found.callback()])


def run(script, **environment):
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path, "CUDA_VISIBLE_DEVICES": "", **environment}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]


SCRIPT = """
import contextlib, sys
import keras, numpy as np
from keras import layers as kl
{prepare}
from prune_tools import masks, schedules
from prune_tools.pruner import Pruner

rng = np.random.default_rng(0)
x, y = rng.normal(size=(24, 6)).astype("f4"), rng.normal(size=(24, 2)).astype("f4")

class Steps(keras.callbacks.Callback):
    seen = 0
    def on_train_batch_end(self, batch, logs=None):
        assert self.found.violations(self.model) == {{}}
        self.seen += 1

with scope:
    keras.utils.set_random_seed(0)
    model = keras.Sequential([kl.Input((6,)), kl.Dense(8, "relu", name="a"), kl.Dense(8, name="b"), kl.Dense(2)])
    model.compile(keras.optimizers.AdamW(0.05), "mse")
steps = Steps()
steps.found = masks.global_magnitude(model, 0.5)
steps.found.hold(model)
model.fit(x, y, batch_size=4, epochs=2, verbose=0, callbacks=[steps.found.callback(), steps], validation_data=(x, y))
assert steps.found.violations(model) == {{}}
# A second, larger set of masks, now that a step is compiled.
steps.found = masks.global_taylor(model, 0.8, [(x, y)], previous=steps.found)
steps.found.hold(model)
model.fit(x, y, batch_size=4, verbose=0, callbacks=[steps.found.callback(), steps])
assert steps.found.violations(model) == {{}} and steps.seen == 18
assert abs(steps.found.measured(model)["all"] - steps.found.sparsity()) < 1e-9
# More and more of them in the middle of an epoch; 48 + 64 weights.
pruner = Pruner(schedules.Iterative((0.85, 0.9), every=3), masks=steps.found)
class Look(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        steps.found = pruner.masks
        assert steps.found.violations(self.model) == {{}} and steps.found.pruned == (95 if batch < 3 else 101)
model.fit(x, y, batch_size=4, verbose=0, callbacks=[pruner, Look()])
steps.found.release(model)
model.fit(x, y, batch_size=4, verbose=0)
assert steps.found.measured(model)["all"] < 0.2
if {averages}:
    model.compile(keras.optimizers.AdamW(0.05, use_ema=True), "mse")
    steps.found.hold(model)
    model.fit(x, y, batch_size=8, verbose=0, callbacks=[steps.found.callback()])
    assert steps.found.violations(model) == {{}}
"""


@pytest.mark.slow
@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="MirroredStrategy is TensorFlow's")
def test_mirrored_on_two_logical_devices():
    prepare = (
        "import tensorflow as tf\n"
        "processor = tf.config.list_physical_devices('CPU')[0]\n"
        "tf.config.set_logical_device_configuration(processor, [tf.config.LogicalDeviceConfiguration()] * 2)\n"
        "scope = tf.distribute.MirroredStrategy(['CPU:0', 'CPU:1']).scope()\n"
    )
    run(SCRIPT.format(prepare=prepare, averages=False))


@pytest.mark.slow
def test_jax():
    pytest.importorskip("jax")
    prepare = "assert keras.backend.backend() == 'jax'\nscope = contextlib.nullcontext()\n"
    run(SCRIPT.format(prepare=prepare, averages=True), KERAS_BACKEND="jax", JAX_PLATFORMS="cpu")
