"""Angles against the vectors themselves, rules by hand, and one-by-one removal against starting over."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import layers

from prune_tools import distinctiveness, statistics, surgery
from prune_tools.distinctiveness import Nearest, angles, merged, select
from run_tools.errors import InputError


def sums_of(values):
    values = np.asarray(values, np.float64)
    return values.T @ values, values.sum(axis=0), len(values)


def literal(values, shift):
    """Degrees between the columns of values − shift, one pair at a time."""
    values = values - shift
    units = values.shape[1]
    found = np.zeros((units, units))
    for i in range(units):
        for j in range(units):
            if i != j:
                cosine = values[:, i] @ values[:, j] / np.linalg.norm(values[:, i]) / np.linalg.norm(values[:, j])
                found[i, j] = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
    return found


def test_angles_by_hand():
    # Columns (0, 1), (1, 1), (1, 0): raw angles 45° and 90°; centred, the first and third are opposite and the second
    # is constant; from ½ they are (−½, ½), (½, ½), (½, −½): 90° and 180°.
    values = np.array([[0.0, 1.0, 1.0], [1.0, 1.0, 0.0]])
    nan = np.nan
    for centre, expected in {
        "none": [[0, nan, 90], [nan, nan, nan], [90, nan, 0]],
        "mean": [[0, nan, 180], [nan, nan, nan], [180, nan, 0]],
        "half": [[0, nan, 180], [nan, nan, nan], [180, nan, 0]],
    }.items():
        np.testing.assert_allclose(angles(*sums_of(values), centre=centre), expected, atol=1e-5)
    # (0, 1, 1) and (1, 1, 0): cosine 1 / 2
    np.testing.assert_allclose(angles(*sums_of([[0, 1], [1, 1], [1, 0]]), centre="none")[0, 1], 60)


@given(st.integers(0, 10**6), st.sampled_from(["none", "mean", "half"]))
def test_angles_are_those_of_the_vectors(seed, centre):
    values = np.random.default_rng(seed).random((30, 6))
    shift = {"none": 0, "mean": values.mean(axis=0), "half": 0.5}[centre]
    found = angles(*sums_of(values), centre=centre)
    np.testing.assert_allclose(found, literal(values, shift), atol=1e-5)
    np.testing.assert_array_equal(found, found.T)


@given(st.integers(0, 10**6), st.sampled_from(["none", "mean", "half"]))
def test_a_merge_changes_one_row(seed, centre):
    values = np.random.default_rng(seed).random((30, 6))
    gram, sums, count = sums_of(values)
    row = merged(gram, sums, count, removed=4, kept=1, centre=centre)
    values[:, 1] += values[:, 4]
    fresh = sums_of(values)
    np.testing.assert_allclose(gram, fresh[0])
    np.testing.assert_allclose(sums, fresh[1])
    np.testing.assert_allclose(row, angles(*fresh, centre=centre)[1], atol=1e-5)


@given(st.integers(0, 10**6), st.booleans(), st.booleans())
def test_one_by_one_is_the_same_as_starting_over(seed, ties, adding):
    """Removing by `Nearest` against the closest pair of angles computed anew each time from the outputs."""
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 3, (6, 12)).astype(float) if ties else rng.normal(size=(20, 12))
    values = values[:, values.std(axis=0) > 0]
    units = list(range(values.shape[1]))
    gram, sums, count = sums_of(values)
    nearest = Nearest(np.round(angles(gram, sums, count), 4))
    for _ in range(len(units) - 1):
        fresh = np.round(angles(*sums_of(values[:, units])), 4)
        pairs = [(fresh[i, j], units[i], units[j]) for i in range(len(units)) for j in range(i + 1, len(units))]
        pairs = [pair for pair in pairs if np.isfinite(pair[0])]
        expected = min(pairs, default=None)
        found = nearest.pair()
        if expected is None:
            assert found is None
            break
        if found != expected[1:]:  # rounding on the edge of a tie
            np.testing.assert_allclose(nearest.distances[found], expected[0], atol=2e-4)
        low, high = found
        nearest.remove(high)
        units.remove(high)
        if adding:
            values[:, low] += values[:, high]
            row = np.round(merged(gram, sums, count, high, low), 4)
            if np.isnan(row[low]):
                nearest.remove(low)
                units.remove(low)
                if len(units) < 2:
                    break
            else:
                nearest.update(low, row)


def test_the_work_of_one_by_one_grows_with_the_units_removed_alone(monkeypatch):
    """At most k steps over removed neighbours for each of n units, whatever the angles are."""
    rng = np.random.default_rng(0)
    units, removed = 120, 100
    points = rng.normal(size=(units, 3))
    points[:60] = points[0] + 1e-3 * rng.normal(size=(60, 3))  # a cluster: every unit's nearest goes again and again
    nearest = Nearest(np.linalg.norm(points[:, None] - points[None], axis=2))
    before = nearest._at.copy()
    for _ in range(removed):
        nearest.remove(nearest.pair()[1])
    assert (nearest._at - before).max() <= removed
    assert (nearest._at - before).sum() <= removed * units


# Units 0, 1, 2 lie at 0°, 10° and 30° in the plane, 3 at 172°, 4 at 100°.
PLANE = np.abs(np.subtract.outer([0.0, 10, 30, 172, 100], [0.0, 10, 30, 172, 100]))


@pytest.mark.parametrize(
    ("rule", "options", "expected"),
    [
        ("threshold", {"below": 15}, [(1, 0)]),
        ("threshold", {"below": 25}, [(1, 0)]),  # 1 and 2 are 20° apart, but 1 has its pair
        ("threshold", {"below": 80}, [(1, 0), (4, 2)]),  # 2 and 4 at 70°, 3 and 4 at 72°
        ("threshold", {"below": 5}, []),
        ("classical", {}, [(3, None), (0, None)]),  # 172° is 7° beyond its bound, 10° is 5° inside: 0 is taken
        ("classical", {"below": 25}, [(1, 0)]),  # 10° is 15° inside, and 0 is taken
        ("most_similar", {"count": 3}, [(1, 0), (2, 0), (4, 3)]),  # after 1 and 2 are gone 72° is the smallest
        ("most_similar", {}, [(1, 0), (2, 0), (4, 3), (3, 0)]),
        ("most_parallel", {"count": 1}, [(3, 0)]),  # 172° is 8° from opposite
        ("similar_complementary", {"count": 2}, [(1, 0), (3, None)]),
        ("similar_complementary", {"count": 3}, [(1, 0), (3, None), (2, 0)]),
        ("batch", {"count": 2}, [(1, 0), (2, 0)]),
        ("batch", {"batch": 2, "count": 2}, [(1, 0), (2, 0)]),
        ("batch", {"count": 1}, [(1, 0)]),
        ("batch", {}, [(1, 0), (2, 0), (3, 0), (4, 0)]),
    ],
)
def test_rules_by_hand(rule, options, expected):
    assert select(PLANE, rule, **options) == expected


def test_constant_units_come_first_and_equal_angles_go_by_number():
    table = np.full((5, 5), 40.0)
    np.fill_diagonal(table, 0)
    table[3] = table[:, 3] = np.nan
    for rule in distinctiveness.RULES:
        assert select(table, rule, count=2, below=60)[0] == (3, None)
    assert select(table, "most_similar", count=3) == [(3, None), (1, 0), (2, 0)]
    assert select(table, "threshold", below=60) == [(3, None), (1, 0), (4, 2)]
    assert select(np.full((3, 3), np.nan), "most_similar") == [(0, None), (1, None)]


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: select(PLANE, "most_similiar"), "did you mean 'most_similar'"),
        (lambda: select(PLANE[:3]), "square"),
        (lambda: select(PLANE, "threshold", below=170), "below 170"),
        (lambda: select(PLANE, "batch", batch=1), "batch 1"),
        (lambda: angles(np.eye(2), np.zeros(3), 2), "shape"),
        (lambda: angles(np.eye(2), np.zeros(2), 2, "median"), "did you mean 'mean'"),
    ],
)
def test_bad_calls_are_one_line(call, told):
    with pytest.raises(InputError, match=told):
        call()


def network(seed=0):
    keras.utils.set_random_seed(seed)
    x = keras.Input((6,))
    y = layers.Dense(12, activation="tanh", name="hidden")(x)
    y = layers.Dense(8, activation="relu", name="second")(y)
    return keras.Model(x, layers.Dense(3, name="out")(y))


def test_a_model_is_pruned_in_one_call():
    model, x = network(), np.random.default_rng(0).normal(size=(200, 6)).astype(np.float32)
    kernel, bias = model.get_layer("hidden").get_weights()
    kernel[:, 7], bias[7] = kernel[:, 2], bias[2]
    kernel[:, 4] = 0
    model.get_layer("hidden").set_weights([kernel, bias])
    smaller = distinctiveness.prune(model, x, "classical", layers=["hidden"], below=1, above=179)
    assert surgery.widths(smaller) == {"hidden": 10, "second": 8, "out": 3}
    np.testing.assert_allclose(smaller(x), model(x), atol=1e-4)
    half = distinctiveness.prune(model, x, sparsity=0.5, multiple=4)
    assert surgery.widths(half) == {"hidden": 8, "second": 4, "out": 3}
    found = statistics.collect(model, x)
    again = distinctiveness.prune(model, None, sparsity=0.5, multiple=4, statistics=found)
    for one, other in zip(half.weights, again.weights, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(one), keras.ops.convert_to_numpy(other))


def test_sums_that_are_not_finite_are_no_constant_units():
    for gram in (np.full((2, 2), np.nan), np.diag([np.inf, 1.0])):
        with pytest.raises(InputError, match="not finite"):
            angles(gram, np.ones(2), 3)


def test_bad_wishes_for_a_model_are_one_line():
    model, x = network(), np.zeros((4, 6), np.float32)
    for options, told in [
        ({}, "without an amount"),
        ({"sparsity": 1.0}, "sparsity 1.0"),
        ({"sparsity": 0.5, "layers": ["out"]}, "every unit can go alone"),
        ({"sparsity": 0.5, "layers": ["hiden"]}, "did you mean 'hidden'"),
    ]:
        with pytest.raises(InputError, match=told):
            distinctiveness.prune(model, x, **options)
