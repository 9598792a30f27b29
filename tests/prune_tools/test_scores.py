"""Scores by hand, and the gradient one by finite differences."""

import keras
import numpy as np
import pytest

from prune_tools import scores
from run_tools.errors import InputError


def test_magnitude_has_no_sign():
    assert scores.magnitude([np.array([-3.0, 2.0, -0.0])])[0].tolist() == [3, 2, 0]


def test_random_is_the_seeds():
    kernels = [np.zeros((3, 4)), np.zeros(5)]
    first, again, other = scores.random(kernels, 1), scores.random(kernels, 1), scores.random(kernels, 2)
    assert [a.shape for a in first] == [(3, 4), (5,)]
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])


def test_lamp_by_hand():
    # Squares of [3, -1, 2]: 9, 1, 4. 1 / (1 + 4 + 9), 4 / (4 + 9), 9 / 9. Zeros score nothing.
    found = scores.lamp([np.array([3.0, -1.0, 2.0]), np.zeros(2), np.array([[1.0, 1.0]])])
    np.testing.assert_allclose(found[0], [1, 1 / 14, 4 / 13])
    np.testing.assert_array_equal(found[1], [0, 0])
    np.testing.assert_allclose(found[2], [[0.5, 1]])  # of equal ones, the first counts as the smaller


def test_erdos_renyi_by_hand():
    # Shapes (2, 2) and (2, 8): sum over product 4/4 = 1 and 10/16 = .625. Half of 20 weights: scale · (1 · 4 +
    # .625 · 16) = 10, scale = 10/14: densities .714 and .446.
    np.testing.assert_allclose(scores.erdos_renyi_kernel([(2, 2), (2, 8)], 0.5), [10 / 14, 6.25 / 14])
    # Of 18: scale 18/14 would give the first 1.29, so it is full, and the second has 14 of its 16.
    np.testing.assert_allclose(scores.erdos_renyi_kernel([(2, 2), (2, 8)], 0.9), [1, 14 / 16])
    assert scores.erdos_renyi_kernel([(2, 2), (2, 8)], 1.0) == [1.0, 1.0]


@pytest.fixture
def model():
    keras.utils.set_random_seed(3)
    model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(4, "tanh"), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


def test_taylor_by_finite_differences(model):
    rng = np.random.default_rng(0)
    data = [(rng.normal(size=(5, 3)).astype("f4"), rng.normal(size=(5, 1)).astype("f4")) for _ in range(3)]
    kernel = model.layers[0].kernel
    found = scores.taylor(model, [kernel], iter(data), batches=2)[0]
    weights = keras.ops.convert_to_numpy(kernel).astype(np.float64)
    rest = [keras.ops.convert_to_numpy(v).astype(np.float64) for v in model.weights[1:]]

    def loss(values, batch):  # written out in float64
        hidden = np.tanh(batch[0] @ values + rest[0])
        return np.mean((hidden @ rest[1] + rest[2] - batch[1]) ** 2)

    expected = np.zeros(weights.shape)
    for index in np.ndindex(*weights.shape):
        step = np.zeros(weights.shape)
        step[index] = 1e-6
        slopes = [(loss(weights + step, batch) - loss(weights - step, batch)) / 2e-6 for batch in data[:2]]
        expected[index] = np.mean([(slope * weights[index]) ** 2 for slope in slopes])
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-9)


def test_taylor_of_nothing(model):
    with pytest.raises(InputError, match="no batch"):
        scores.taylor(model, [model.layers[0].kernel], [])
    raw = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(1)])
    with pytest.raises(InputError, match="not compiled"):
        scores.taylor(raw, [raw.layers[0].kernel], [(np.ones((1, 3)), np.ones((1, 1)))])
