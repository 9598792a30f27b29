"""Schedules against their formulas, and a `Pruner` that follows them under plain `fit`."""

from functools import partial

import keras
import numpy as np
import pytest
from keras import layers as kl

from prune_tools import masks, rewinding, schedules
from prune_tools.pruner import Pruner
from run_tools.errors import InputError

X = np.random.default_rng(0).normal(size=(24, 6)).astype("f4")
Y = X[:, :2] * X[:, 2:4]


def build(**options):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [kl.Input((6,)), kl.Dense(10, name="a"), kl.BatchNormalization(), kl.Dense(10, "relu", name="b"), kl.Dense(2)]
    )
    model.compile(keras.optimizers.Adam(0.02), "mse", jit_compile=False, **options)
    return model


def due(schedule, steps=30):
    return {step: round(schedule(step)[1], 6) for step in range(steps) if schedule(step)[0]}


def test_cubic_by_its_formula():
    # .9 + (.1 - .9)(1 - (t - 4)/16)³ at t = 4, 9, 14, 19, 20: (16/16)³, (11/16)³, (6/16)³, (1/16)³, 0.
    found = due(schedules.Cubic(0.9, 4, 20, initial=0.1, every=5))
    assert found == {
        4: 0.1, 9: round(0.9 - 0.8 * 1331 / 4096, 6), 14: round(0.9 - 0.8 * 216 / 4096, 6),
        19: round(0.9 - 0.8 / 4096, 6), 20: 0.9,
    }  # fmt: skip
    assert schedules.Cubic(0.9, 4, 20)(1000) == (False, 0.9)
    assert schedules.Cubic(0.9, 4, 20)(3) == (False, 0.0)


def test_steps_and_one_shot():
    assert due(schedules.Iterative((0.3, 0.5, 0.7), every=4, begin=2)) == {2: 0.3, 6: 0.5, 10: 0.7}
    assert schedules.Iterative((0.3, 0.5), 4)(100) == (False, 0.5)
    assert due(schedules.OneShot(0.6, 3)) == {3: 0.6}


@pytest.mark.parametrize(
    "make",
    [
        lambda: schedules.Cubic(0.5, 4, 20, initial=0.6),
        lambda: schedules.Cubic(50, 4, 20),
        lambda: schedules.Cubic(0.5, 20, 4),
        lambda: schedules.Cubic(0.5, 4, 4),
        lambda: schedules.Cubic(0.5, 0, 4, every=0),
        lambda: schedules.Iterative((0.5, 0.3), 4),
        lambda: schedules.Iterative((), 4),
        lambda: schedules.OneShot(0.5, -1),
        lambda: schedules.Cubic(0.5, 0, 4, power=0),
        lambda: Pruner([(0, 0.5)]),
        lambda: Pruner(schedules.OneShot(0.5), per="minute"),
    ],
)
def test_schedules_that_make_no_sense(make):
    with pytest.raises(InputError):
        make()


@pytest.mark.parametrize(
    "make",
    [
        lambda: schedules.Cubic(0.5, 0, 0.7 * 90),  # 62.99…: no step is, and the last pruning would never come
        lambda: schedules.Cubic(0.5, 0.5, 4),
        lambda: schedules.Iterative((0.2, 0.5), every=1.5),
        lambda: schedules.OneShot(0.5, step=2.5),
    ],
)
def test_steps_are_whole(make):
    with pytest.raises(InputError, match="expected whole numbers"):
        make()
    assert due(schedules.Cubic(0.5, np.int64(0), np.int64(1))) == {0: 0.0, 1: 0.5}


class Watch(keras.callbacks.Callback):
    """The sparsity that each batch was trained with."""

    def __init__(self, pruner):
        super().__init__()
        self.pruner, self.seen = pruner, []

    def on_train_batch_end(self, batch, logs=None):
        assert self.pruner.masks.violations(self.model) == {}
        self.seen.append(round(self.pruner.masks.measured(self.model)["all"], 2) if self.pruner.masks else 0)


def test_fit_follows_a_schedule(tmp_path):
    model = build()
    pruner = Pruner(schedules.Cubic(0.8, 2, 10, every=4), logdir=tmp_path)
    watch = Watch(pruner)
    history = model.fit(X, Y, batch_size=4, epochs=2, verbose=0, callbacks=[pruner, watch]).history
    # Kernels of 60 and 100 weights. Step 2: 0; 6: .8 · (1 - .5³) = .7; 10: .8.
    assert pruner.history == [(2, 0.0), (6, 0.7), (10, 0.8)]
    assert watch.seen == [0] * 6 + [0.7] * 4 + [0.8] * 2
    assert history["sparsity"] == [0.0, 0.8]
    assert list((tmp_path / "sparsity").iterdir())
    pruner.masks.release(model)


def test_steps_per_execution_prunes_at_the_next_chance():
    model = build(steps_per_execution=4)
    pruner = Pruner(schedules.Iterative((0.2, 0.5, 0.7), every=3))
    model.fit(X, Y, batch_size=2, epochs=1, verbose=0, callbacks=[pruner])
    assert pruner.history == [(0, 0.2), (3, 0.5), (6, 0.7)]


def test_epochs_as_steps_and_a_second_fit_that_goes_on():
    model = build()
    schedule = schedules.Iterative((0.2, 0.4, 0.6, 0.8), every=1)
    first = Pruner(schedule, ["a", "b"], per="epoch")
    model.fit(X, Y, epochs=2, verbose=0, callbacks=[first])
    second = Pruner(schedule, ["a", "b"], masks.layer_magnitude, per="epoch", start=2, masks=first.masks)
    model.fit(X, Y, epochs=2, verbose=0, callbacks=[second])
    assert first.history == [(0, 0.2), (1, 0.4)] and second.history == [(2, 0.6), (3, 0.8)]
    assert second.masks.by_kernel() == {"a/kernel": pytest.approx(0.8), "b/kernel": pytest.approx(0.8)}
    assert all(not np.any(second.masks[name] & ~first.masks[name]) for name in first.masks)
    # A schedule that begins again, below what is reached, changes nothing.
    third = Pruner(schedules.Iterative((0.1, 0.2), every=1), per="epoch", masks=second.masks)
    model.fit(X, Y, epochs=2, verbose=0, callbacks=[third])
    assert third.masks == second.masks and third.history == [(0, 0.8), (1, 0.8)]


def test_the_protocol_of_tfmot():
    class Foreign:
        """As `tfmot.sparsity.keras.ConstantSparsity`: tensors, and a keyword or positional step."""

        def __call__(self, step):
            return keras.ops.convert_to_tensor(step == 1), keras.ops.convert_to_tensor(0.5)

        def get_config(self):
            return {}

    pruner = Pruner(Foreign())
    build().fit(X, Y, batch_size=8, verbose=0, callbacks=[pruner])
    assert pruner.history == [(1, 0.5)]


@pytest.mark.parametrize("answer", [None, 0.5, (True,), (True, None), (True, 0.5, 1), (True, "much")])
def test_a_schedule_that_breaks_the_protocol_is_told(answer):
    with pytest.raises(InputError, match="of the schedule at step 0; expected .prune now.*, sparsity"):
        build().fit(X, Y, batch_size=8, verbose=0, callbacks=[Pruner(lambda step: answer)])


def test_a_method_that_returns_no_masks_is_told():
    with pytest.raises(InputError, match="None of the method; expected `Masks`"):
        pruned_by(Pruner(schedules.OneShot(0.5), method=lambda *_, **__: None), build(), 0.5)


def pruned_by(pruner, model, *levels):
    """What each level leaves, pruned one after the other without training between; 60 and 100 weights."""
    pruner.set_model(model)
    for step, level in enumerate(levels):
        pruner.prune(step, level)
    return [round(160 * sparsity) for _, sparsity in pruner.history]


def test_methods_with_arguments_of_their_own():
    model, data = build(), [(X, Y)]
    expected = masks.global_taylor(model, 0.3, data)
    pruner = Pruner(schedules.OneShot(0.3), method=partial(masks.global_taylor, data=data))
    assert pruned_by(pruner, model, 0.3) == [48] and pruner.masks == expected
    # A fifth of what is left each time: 32; .2 · 128 = 25.6; .2 · 102 = 20.4.
    compound = Pruner(schedules.OneShot(0.2), method=partial(masks.global_magnitude, amount="of_remaining"))
    assert pruned_by(compound, build(), 0.2, 0.2, 0.2) == [32, 58, 78]


def test_how_much_is_more_the_method_says():
    model = build()
    kernel = model.get_layer("b").kernel
    kernel.assign(1e-3 * kernel)  # its units go first
    pruner = Pruner(schedules.OneShot(0.4), method=partial(masks.global_magnitude, structure=masks.Filters()))
    # Of 20 units 8 of ten weights each, which is half of all weights; 9, though .45 is less than half; 6 are fewer.
    assert pruned_by(pruner, model, 0.4, 0.45, 0.3) == [80, 90, 90]
    assert pruner.masks.violations(model) == {}
    # .9 of one kernel and .1 of the other is .4 of both; half of each would give weights of the first back.
    uneven = masks.layer_magnitude(model, {"a/kernel": 0.9, "b/kernel": 0.1})
    with pytest.raises(InputError, match="at least the 54 that are pruned already"):
        pruned_by(Pruner(schedules.OneShot(0.5), method=masks.layer_magnitude, masks=uneven), model, 0.5)


def test_a_level_that_is_reached_costs_nothing_more():
    calls = []

    def counted(*args, **options):
        calls.append(args[1])
        return masks.global_magnitude(*args, **options)

    assert pruned_by(Pruner(lambda step: (True, 0.5), method=counted), build(), *[0.5] * 6, 0.6) == [80] * 6 + [96]
    assert calls == [0.5, 0.5, 0.6]


def test_whole_weights_that_come_back_are_zeroed_at_the_release():
    model = build()
    pruner = Pruner(schedules.Iterative((0.2, 0.8), every=1), per="epoch")
    stop = keras.callbacks.EarlyStopping("sparsity", mode="min", patience=9, restore_best_weights=True)
    model.fit(X, Y, epochs=2, verbose=0, callbacks=[pruner, stop])
    # Keras put the first epoch's weights back, a fifth of them zero, after all other callbacks.
    assert pruner.masks.measured(model)["all"] == 0.2 and pruner.masks.violations(model)
    pruner.masks.release(model)
    assert pruner.masks.measured(model)["all"] == pruner.masks.sparsity() == 0.8


def test_statistics_and_earlier_weights_come_back():
    model = build()
    early = rewinding.Snapshot(model)
    model.fit(X, Y, batch_size=4, epochs=2, verbose=0)
    pruner = Pruner(schedules.OneShot(0.5), rewind=early, recalibrate=[X])

    class Look(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            if batch:
                return
            kernel = keras.ops.convert_to_numpy(self.model.get_layer("a").kernel)
            np.testing.assert_array_equal(kernel, np.where(pruner.masks["a/kernel"], early.weights[0], 0))
            bias = keras.ops.convert_to_numpy(self.model.get_layer("a").bias)
            mean = keras.ops.convert_to_numpy(self.model.layers[1].moving_mean)
            np.testing.assert_allclose(mean, (X @ kernel + bias).mean(0), atol=1e-5)
            assert int(self.model.optimizer.iterations.numpy()) == 0

    model.fit(X, Y, batch_size=4, epochs=1, verbose=0, callbacks=[pruner, Look()])
    assert pruner.masks.violations(model) == {}


def test_rewinding_resets_the_optimizer_or_leaves_it():
    model = build()
    early = rewinding.Snapshot(model)
    fresh = [value.copy() for value in early.weights]
    model.fit(X, Y, batch_size=4, verbose=0)
    early.restore(model, optimizer=False)
    assert int(model.optimizer.iterations.numpy()) == 6
    early.restore(model)
    assert all(
        not np.any(variable.numpy()) for variable in model.optimizer.variables if "learning" not in variable.name
    )
    assert float(model.optimizer.learning_rate.numpy()) == pytest.approx(0.02)
    for variable, value in zip(model.weights, fresh, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(variable), value)
    with pytest.raises(InputError, match="other shapes"):
        early.restore(keras.Sequential([kl.Input((2,)), kl.Dense(2)]))
