"""Averages of the weights against the recurrence written out, and across an interruption."""

import keras
import numpy as np
import pytest

from prune_tools import masks
from yolo_prune.averages import Averages, swap
from yolo_prune.models import load_model
from yolo_prune.recipe import Stage
from yolo_prune.trainer import Trainer

MOMENTUM = 0.8


def values(variables):
    return [keras.ops.convert_to_numpy(variable).copy() for variable in variables]


class Witness(keras.callbacks.Callback):
    """The raw weights after every step, and what the model holds when an epoch's end is told."""

    def __init__(self, stop_after=None):
        super().__init__()
        self.steps, self.ends, self.tests, self.stop_after = [], [], [], stop_after

    def on_train_batch_end(self, batch, logs=None):
        self.steps.append(values(self.model.trainable_variables))

    def on_test_begin(self, logs=None):
        self.tests.append(values(self.model.trainable_variables))

    def on_epoch_end(self, epoch, logs=None):
        self.ends.append(values(self.model.trainable_variables))
        self.model.stop_training = epoch == self.stop_after


@pytest.mark.parametrize("stop_after", [None, 1])
def test_what_is_judged_is_the_recurrence(stop_after):
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [keras.layers.Input((3,)), keras.layers.Dense(4, activation="tanh"), keras.layers.Dense(1)]
    )
    model.compile(keras.optimizers.SGD(0.3, momentum=0.9, use_ema=True, ema_momentum=MOMENTUM), "mse")
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(12, 3)).astype("float32"), rng.normal(size=(12, 1)).astype("float32")
    averages, witness = Averages(), Witness(stop_after)
    callbacks = [averages, witness, averages.back]
    model.fit(x, y, batch_size=4, epochs=3, callbacks=callbacks, validation_data=(x, y), verbose=0)

    # a_1 = w_1, then a_t = .8 a_(t-1) + .2 w_t, three steps an epoch.
    expected, average = [], witness.steps[0]
    for raw in witness.steps[1:]:
        expected.append(average)
        average = [MOMENTUM * a + (1 - MOMENTUM) * w for a, w in zip(average, raw, strict=True)]
    expected.append(average)
    epochs = 3 if stop_after is None else 2
    assert len(witness.steps) == 3 * epochs
    for epoch in range(epochs):
        for seen in (witness.ends[epoch], witness.tests[epoch]):
            for value, literal in zip(seen, expected[3 * epoch + 2], strict=True):
                np.testing.assert_allclose(value, literal, rtol=1e-5, atol=1e-6)
    # fit ends with the averages in the model, stopped early or not.
    for value, literal in zip(values(model.trainable_variables), expected[-1], strict=True):
        np.testing.assert_allclose(value, literal, rtol=1e-5, atol=1e-6)
    assert not np.allclose(witness.steps[-1][0], expected[-1][0], atol=1e-3)


def test_averages_of_a_held_model_are_masked():
    keras.utils.set_random_seed(1)
    layers = [keras.layers.Input((3,)), keras.layers.Dense(8, name="hidden"), keras.layers.Dense(1)]
    model = keras.Sequential(layers)
    model.compile(keras.optimizers.Adam(0.1, use_ema=True, ema_momentum=MOMENTUM), "mse")
    found = masks.global_magnitude(model, 0.5)
    found.hold(model)
    judged = []

    class Judge(keras.callbacks.Callback):
        def on_test_begin(self, logs=None):
            judged.append(found.violations(self.model))

        def on_epoch_end(self, epoch, logs=None):
            judged.append(found.violations(self.model))

    averages = Averages()
    x = np.random.default_rng(0).normal(size=(12, 3)).astype("float32")
    fed = {"batch_size": 4, "epochs": 2, "validation_data": (x, x[:, :1]), "verbose": 0}
    model.fit(x, x[:, :1], callbacks=[averages, Judge(), averages.back], **fed)
    assert judged == [{}] * 4
    swap(model)
    assert found.violations(model) == {}


def test_two_swaps_change_no_bit():
    model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(4)])
    model.compile(keras.optimizers.Adam(0.1, use_ema=True, ema_momentum=MOMENTUM), "mse")
    model.train_on_batch(np.ones((2, 3)), np.ones((2, 4)))
    model.train_on_batch(np.ones((2, 3)), np.ones((2, 4)))
    raw, average = values(model.trainable_variables), values(model.optimizer._model_variables_moving_average)
    swap(model)
    for value, other in zip(values(model.trainable_variables), average, strict=True):
        np.testing.assert_array_equal(value, other)
    swap(model)
    for value, other in zip(values(model.trainable_variables), raw, strict=True):
        np.testing.assert_array_equal(value, other)


@pytest.mark.slow
def test_a_run_with_averages_that_was_cut_off_ends_like_one_that_was_not(small, small_h5, tmp_path, train_leaving):
    stages = (Stage("top:3", 1, 1e-2, warmup=0), Stage("all", 3, 1e-2, warmup=0))
    options = {"stages": stages, "ema": MOMENTUM, "weight_decay": 0.0}
    cut = small(small_h5, tmp_path / "cut", **options)
    train_leaving(Trainer(small(small_h5, tmp_path / "whole", **options), verbose=0), cut.out, 2)
    trainer = Trainer(cut, verbose=0)
    trainer.fit()
    for name in ("last.keras", "best.keras"):
        whole, gone_on = (load_model(tmp_path / run / name) for run in ("whole", "cut"))
        for first, second in zip(values(whole.weights), values(gone_on.weights), strict=True):
            np.testing.assert_allclose(second, first, atol=1e-6)
    # What is saved last is what the fit ended with: the averages.
    last = load_model(cut.out / "last.keras")
    for first, second in zip(values(trainer.model.weights), values(last.weights), strict=True):
        np.testing.assert_array_equal(second, first)
