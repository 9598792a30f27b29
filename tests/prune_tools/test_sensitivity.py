"""Scans by hand, and batch-norm statistics recomputed as plain averages."""

import keras
import numpy as np
import pytest
from keras import layers as kl

from prune_tools import masks, recalibration, sensitivity
from run_tools.errors import InputError


def tiny():
    keras.utils.set_random_seed(0)
    return keras.Sequential([kl.Input((2,)), kl.Dense(2, name="a"), kl.Dense(2, name="b"), kl.Dense(1, name="out")])


def test_a_scan_prunes_each_kernel_alone_and_puts_it_back():
    model = tiny()
    model.get_layer("a").kernel.assign([[1.0, 2], [3, 4]])
    model.get_layer("b").kernel.assign([[-8.0, 7], [-6, 5]])
    before = [value.copy() for value in model.get_weights()]

    def left(model):  # the sum of what is left in both
        return sum(np.abs(keras.ops.convert_to_numpy(model.get_layer(name).kernel)).sum() for name in "ab")

    found = sensitivity.scan(model, left, levels=(0.25, 0.5, 1))
    assert found.kernels == ("a/kernel", "b/kernel") and found.sizes == (4, 4)
    assert found.base == 36
    # a loses 1, 1 + 2, 10; b loses 5, 5 + 6, 26.
    assert found.values.tolist() == [[35, 33, 26], [31, 25, 10]]
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    headers, rows = found.table()
    assert headers == ["kernel", "weights", "0.25", "0.5", "1"]
    assert rows[0] == ["none pruned", 8, 36, 36, 36] and rows[2] == ["b/kernel", 4, 31, 25, 10]
    axes = found.plot("what is left").axes[0]
    assert [line.get_ydata()[-1] for line in axes.lines[:2]] == [26, 10]
    assert sensitivity.LEVELS == (0.1, 0.3, 0.5, 0.7, 0.9)


def test_a_scan_that_fails_leaves_the_model_as_it_was():
    model = tiny()
    before = [value.copy() for value in model.get_weights()]

    def fails(model, calls=[]):  # noqa: B006
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return 0

    with pytest.raises(KeyboardInterrupt):
        sensitivity.scan(model, fails)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    with pytest.raises(InputError, match="fraction"):
        sensitivity.scan(model, lambda model: 0, levels=(10, 30))
    masks.global_magnitude(model, 0.5).hold(model)
    with pytest.raises(InputError, match="release it first"):
        sensitivity.scan(model, lambda model: 0)


def test_recalibration_is_the_average_of_the_batches():
    norm, frozen = kl.BatchNormalization(momentum=0.9), kl.BatchNormalization(trainable=False)
    model = keras.Sequential([kl.Input((3,)), norm, kl.Dropout(0.9), frozen, kl.Dense(2)])
    rng = np.random.default_rng(0)
    batches = [rng.normal(5, 3, (16, 3)).astype("f4") for _ in range(5)]
    norm.moving_mean.assign(np.full(3, 77.0))
    kernel = keras.ops.convert_to_numpy(model.layers[-1].kernel).copy()
    assert recalibration.recalibrate(model, iter(batches), batches=4) == 4
    expected = np.mean([batch.mean(0) for batch in batches[:4]], axis=0)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(norm.moving_mean), expected, rtol=1e-5)
    expected = np.mean([batch.var(0) for batch in batches[:4]], axis=0)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(norm.moving_variance), expected, rtol=1e-4)
    assert norm.momentum == 0.9 and model.layers[1].rate == 0.9
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(frozen.moving_mean), np.zeros(3))
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(model.layers[-1].kernel), kernel)
    with pytest.raises(InputError, match="no batch"):
        recalibration.recalibrate(model, [])
    assert recalibration.recalibrate(tiny(), []) == 0


def test_recalibration_without_dropout():
    norm = kl.BatchNormalization()
    model = keras.Sequential([kl.Input((4,)), kl.Dropout(0.5), norm])
    x = np.random.default_rng(0).normal(2, 1, (50, 4)).astype("f4")
    recalibration.recalibrate(model, [(x, x)])
    np.testing.assert_allclose(keras.ops.convert_to_numpy(norm.moving_variance), x.var(0), rtol=1e-4)
