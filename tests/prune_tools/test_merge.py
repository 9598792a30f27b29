"""Merge rules: by hand, against literal least squares on the activations, and on models."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import layers

from prune_tools import merge, statistics, surgery
from prune_tools.statistics import Gram
from run_tools.errors import InputError


def gram_of(values):
    values = np.asarray(values, np.float64)
    return Gram(values.T @ values, values.sum(axis=0), len(values))


def rows(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def predict(model, x):
    return keras.ops.convert_to_numpy(model(x, training=False))


# Unit 1 is 2 · unit 0 + 1; unit 2 is always 5; unit 3 is independent of 0 and centred on 4.
HAND = np.array([[0.0, 1.0, 5.0, 3.0], [1.0, 3.0, 5.0, 5.0], [0.0, 1.0, 5.0, 5.0], [1.0, 3.0, 5.0, 3.0]])


@pytest.mark.parametrize(
    ("rule", "pairs", "column", "shift"),
    [
        ("delete", [(1, 0)], [0, 0, 0, 0], 0),
        ("incoming", [(1, 0)], [0, 0, 0, 0], 0),
        ("outgoing", [(1, 0)], [1, 0, 0, 0], 0),
        ("project", [(1, 0)], [2, 0, 0, 0], 1),  # a₁ = 2 a₀ + 1
        ("project", [(1, 3)], [0, 0, 0, 0], 2),  # uncorrelated: only the mean is left, (1 + 3) / 2
        ("project", [(1, None)], [0, 0, 0, 0], 2),
        ("least_squares", [(1, None)], [2, 0, 0, 0], 1),
    ],
)
def test_rules_by_hand(rule, pairs, column, shift):
    matrix, constant = merge.compensation(rule, 4, pairs, gram_of(HAND), ridge=1e-12)
    np.testing.assert_allclose(matrix[:, 1], column, atol=1e-9)
    np.testing.assert_allclose(np.delete(matrix, 1, axis=1), np.delete(np.eye(4), 1, axis=1), atol=1e-9)
    np.testing.assert_allclose(constant, [0, shift, 0, 0], atol=1e-9)


def test_chains_are_followed_and_constants_folded():
    matrix, _ = merge.compensation("outgoing", 4, [(0, 1), (1, 3)], None)
    np.testing.assert_array_equal(matrix, [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0], [1, 1, 0, 1]])
    # a₀ = (a₁ − 1) / 2, and a₁ leaves its mean 2: ½ · 2 − ½ = ½ in all
    _, shift = merge.compensation("project", 4, [(0, 1), (1, None)], gram_of(HAND))
    np.testing.assert_allclose(shift, [0.5, 2, 0, 0])
    for rule in ("outgoing", "project", "least_squares"):
        _, shift = merge.compensation(rule, 4, [(2, None)], gram_of(HAND))
        np.testing.assert_allclose(shift, [0, 0, 5, 0])
    np.testing.assert_array_equal(merge.constant(gram_of(HAND)), [False, False, True, False])


def test_partners_are_the_nearest_in_angle():
    assert merge.partners(gram_of(HAND), [1, 2]) == [(1, 0), (2, None)]
    assert merge.partners(gram_of(HAND[:, :3]), [0, 1]) == [(0, None), (1, None)]


def test_an_opposite_unit_is_as_near_as_the_same_one_where_rows_are_scaled():
    # Unit 1 is −2 · unit 0; unit 2 is at 60° to unit 0.
    values = np.array([[1.0, -2, 1], [-1, 2, 0], [1, -2, 0], [-1, 2, -1]])
    assert merge.partners(gram_of(values), [0]) == [(0, 2)]
    assert merge.partners(gram_of(values), [0], opposite=True) == [(0, 1)]
    matrix, shift = merge.compensation("project", 3, [(0, 1)], gram_of(values))
    np.testing.assert_allclose(matrix[:, 0], [0, -0.5, 0])
    np.testing.assert_allclose(shift, 0)


def test_project_takes_the_opposite_unit_for_its_partner():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((3,)), layers.Dense(4, name="hidden"), layers.Dense(2, name="out")])
    edit(model, "hidden", lambda kernel, bias: kernel[:, 3].__setitem__(slice(None), -2 * kernel[:, 0]))
    x = rows(50, 3)
    found = statistics.collect(model, x)
    assert surgery.Surgery(model, {"hidden": [0]}, "project", found).certificate(x).exact(1e-4)
    assert not surgery.Surgery(model, {"hidden": [0]}, "outgoing", found).certificate(x).exact(1e-2)


def test_rules_that_need_statistics_say_so():
    with pytest.raises(InputError, match="without statistics"):
        merge.compensation("project", 2, [(0, 1)], None)
    with pytest.raises(InputError, match="did you mean 'outgoing'"):
        merge.compensation("outgoin", 2, [(0, 1)], None)


@given(st.integers(0, 10**6), st.integers(1, 5), st.sampled_from([0.0, 1e-6]))
def test_least_squares_is_what_lstsq_finds_on_the_activations(seed, removed, ridge):
    rng = np.random.default_rng(seed)
    values = np.maximum(rng.normal(size=(60, 8)) @ rng.normal(size=(8, 8)) + 1, 0)
    kernel, bias = rng.normal(size=(8, 3)), rng.normal(size=3)
    gone = rng.choice(8, removed, replace=False)
    kept = np.setdiff1d(np.arange(8), gone)
    base = np.c_[values[:, kept], np.ones(60)]
    expected = np.linalg.lstsq(base, values @ kernel + bias, rcond=None)[0]
    matrix, shift = merge.compensation("least_squares", 8, [(int(unit), None) for unit in gone], gram_of(values), ridge)
    fit = base @ np.r_[(matrix @ kernel)[kept], [bias + shift @ kernel]]
    np.testing.assert_allclose(fit, base @ expected, atol=1e-3 * np.abs(fit).max())
    error = np.square(values @ kernel + bias - fit).sum()
    assert error <= np.square(values @ kernel + bias - base @ expected).sum() * (1 + 1e-4) + 1e-6


@given(st.integers(0, 10**6))
def test_projection_leaves_the_error_of_its_angle(seed):
    """‖ãᵢ‖² sin²θ ‖Vᵢ‖², and least squares never leaves more."""
    rng = np.random.default_rng(seed)
    values, kernel = rng.normal(size=(40, 4)) @ rng.normal(size=(4, 4)), rng.normal(size=(4, 2))
    centred = values - values.mean(axis=0)
    norms = np.linalg.norm(centred, axis=0)
    cosine = centred[:, 0] @ centred[:, 1] / (norms[0] * norms[1])
    errors = {}
    for rule in ("delete", "outgoing", "project", "least_squares"):
        matrix, shift = merge.compensation(rule, 4, [(0, 1)], gram_of(values), ridge=0)
        errors[rule] = np.square(values @ kernel - values @ matrix @ kernel - shift @ kernel).sum()
    expected = norms[0] ** 2 * (1 - cosine**2) * np.square(kernel[0]).sum()
    np.testing.assert_allclose(errors["project"], expected, rtol=1e-6)
    assert errors["least_squares"] <= min(errors.values()) * (1 + 1e-9)


def classifier(activation="relu", bias=True, seed=0):
    keras.utils.set_random_seed(seed)
    x = keras.Input((6, 6, 3), name="image")
    y = layers.Conv2D(8, 3, activation=activation, name="first")(x)
    y = layers.Conv2D(6, 2, use_bias=bias, name="second")(y)
    if not bias:
        y = layers.BatchNormalization(name="norm")(y)
    return keras.Model(x, layers.Dense(3, name="out")(layers.Flatten()(layers.ReLU()(y))))


def edit(model, layer, change):
    values = [keras.ops.convert_to_numpy(weight).copy() for weight in model.get_layer(layer).weights]
    change(*values)
    model.get_layer(layer).set_weights(values)


@pytest.mark.parametrize("rule", ["outgoing", "project", "least_squares"])
def test_duplicates_go_without_a_trace(rule):
    model, x = classifier(), rows(8, 6, 6, 3)

    def copy(kernel, bias):
        kernel[..., 5], bias[5] = kernel[..., 2], bias[2]

    edit(model, "first", copy)
    found = statistics.collect(model, x)
    assert surgery.Surgery(model, {"first": [5]}, rule, found).certificate(x).exact(1e-4)
    assert surgery.Surgery(model, {"first": [(5, 2)]}, rule, found).certificate(x).exact(1e-4)
    assert not surgery.Surgery(model, {"first": [5]}, "delete").certificate(x).exact(1e-4)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("rule", ["outgoing", "project", "least_squares"])
def test_constants_go_into_the_bias_or_the_moving_mean(rule, bias):
    model, x = classifier(bias=bias), rows(8, 6, 6, 3)

    def still(kernel, bias):
        kernel[..., 3], bias[3] = 0, 2

    edit(model, "first", still)
    operation = surgery.Surgery(model, {"first": [3]}, rule, statistics.collect(model, x))
    assert operation.certificate(x).exact(1e-4)


def test_a_reader_without_any_bias_gets_one():
    keras.utils.set_random_seed(0)
    x = keras.Input((4,))
    y = layers.Dense(5, activation="relu", name="hidden")(x)
    model = keras.Model(x, layers.Dense(2, use_bias=False, name="out")(y))
    edit(model, "hidden", lambda kernel, bias: (kernel[:, 1].fill(0), bias[1:2].fill(3)))
    operation = surgery.Surgery(model, {"hidden": [1]}, statistics=statistics.collect(model, rows(9, 4)))
    assert operation.certificate(rows(9, 4)).exact(1e-4)
    assert operation.smaller().get_layer("out").use_bias
    assert not surgery.remove(model, {"hidden": [1]}).get_layer("out").use_bias


def test_incoming_adds_what_the_units_read():
    model = classifier()
    smaller = surgery.remove(model, {"first": [(5, 2), (7, None)]}, merge="incoming")
    kernel, bias = [keras.ops.convert_to_numpy(weight).copy() for weight in model.get_layer("first").weights]
    kernel[..., 2] += kernel[..., 5]
    bias[2] += bias[5]
    found = [keras.ops.convert_to_numpy(weight) for weight in smaller.get_layer("first").weights]
    np.testing.assert_allclose(found[0], np.delete(kernel, [5, 7], axis=-1), rtol=1e-6)
    np.testing.assert_allclose(found[1], np.delete(bias, [5, 7]), rtol=1e-6)
    np.testing.assert_array_equal(
        keras.ops.convert_to_numpy(smaller.get_layer("second").kernel),
        np.delete(keras.ops.convert_to_numpy(model.get_layer("second").kernel), [5, 7], axis=2),
    )


def test_outgoing_reaches_the_next_layer_the_shortcut_and_the_concatenation():
    keras.utils.set_random_seed(0)
    x = keras.Input((4, 4, 3))
    y = layers.Conv2D(5, 1, name="a")(x)
    down = keras.ops.space_to_depth(y, 2)
    side = layers.Conv2D(4, 1, name="side")(layers.AveragePooling2D(2)(y))
    model = keras.Model(x, layers.Conv2D(2, 1, name="out")(layers.Concatenate()([down, side])))
    smaller = surgery.remove(model, {"a": [(4, 0)]}, merge="outgoing")
    kernel = keras.ops.convert_to_numpy(model.get_layer("out").kernel).copy()
    gone, kept = [4, 9, 14, 19], [0, 5, 10, 15]
    kernel[:, :, kept] += kernel[:, :, gone]
    found = keras.ops.convert_to_numpy(smaller.get_layer("out").kernel)
    np.testing.assert_allclose(found, np.delete(kernel, gone, axis=2), rtol=1e-6)
    kernel = keras.ops.convert_to_numpy(model.get_layer("side").kernel).copy()
    kernel[:, :, 0] += kernel[:, :, 4]
    found = keras.ops.convert_to_numpy(smaller.get_layer("side").kernel)
    np.testing.assert_allclose(found, np.delete(kernel, [4], axis=2), rtol=1e-6)


def test_statistics_of_another_model_are_refused():
    x = rows(4, 6, 6, 3)
    found = statistics.collect(classifier(), x)
    with pytest.raises(InputError, match="statistics of the same model"):
        surgery.remove(surgery.remove(classifier(), {"first": [0]}), {"first": [0]}, statistics=found)


def digits(source):
    """Training and test images of ten classes, (n, 64) in 0–1, and their labels."""
    if source == "digits":
        loaded = pytest.importorskip("sklearn.datasets", reason="scikit-learn is not installed").load_digits()
        images, labels = loaded.data.astype(np.float32) / 16, loaded.target
    else:  # ten prototypes, each the half-way point of two of eleven patterns, under noise
        rng = np.random.default_rng(0)
        patterns = rng.random((11, 64))
        labels = rng.integers(0, 10, 1800)
        images = (patterns[labels] + patterns[labels + 1]) / 2 + rng.normal(0, 0.25, (1800, 64))
    order = np.random.default_rng(0).permutation(len(images))
    images, labels = images[order].astype(np.float32), labels[order]
    return (images[:1400], labels[:1400]), (images[1400:], labels[1400:])


@pytest.mark.parametrize("source", ["digits", "prototypes"])
def test_refitting_the_next_layer_keeps_the_accuracy_that_other_rules_lose(source):
    (x, y), (test_x, test_y) = digits(source)
    keras.utils.set_random_seed(0)
    inputs = keras.Input((64,))
    hidden = layers.Dense(100, activation="relu", name="hidden")(inputs)
    model = keras.Model(inputs, layers.Dense(10, name="out")(hidden))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(3e-3), loss)
    model.fit(x, y, epochs=10, batch_size=100, verbose=0)
    gone = np.random.default_rng(1).choice(100, 60, replace=False)
    found = statistics.collect(model, x)

    def accuracy(one):
        return float((predict(one, test_x).argmax(axis=1) == test_y).mean())

    base = accuracy(model)
    reached = {rule: accuracy(surgery.remove(model, {"hidden": gone}, rule, found)) for rule in merge.RULES}
    assert base > 0.9
    assert reached["least_squares"] >= base - 0.02, reached
    assert reached["least_squares"] >= max(reached[rule] for rule in merge.RULES), reached
