"""The change point against a literal search, known knees and its own invariants."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prune_tools.inflection import inflection
from run_tools.errors import InputError


def literal(x, y, least, joined):
    """Tries every split, with a fit of its own each; returns x of the first best one and its squared error."""
    found = []
    for split in range(least - 1, len(x) - least):
        if joined:
            columns = np.stack([np.ones_like(x), x, np.clip(x - x[split], 0, None)], axis=1)
            left = y - columns @ np.linalg.lstsq(columns, y, rcond=None)[0]
        else:
            parts = [slice(0, split + 1), slice(split + 1, len(x))]
            left = np.concatenate([y[p] - np.polyval(np.polyfit(x[p], y[p], 1), x[p]) for p in parts])
        found.append((float(left @ left), x[split]))
    best = min(error for error, _ in found)
    return next((place, error) for error, place in found if error <= best + 1e-9)


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.booleans(), st.integers(2, 4))
def test_it_is_the_literal_search(seed, joined, least):
    rng = np.random.default_rng(seed)
    x = np.cumsum(rng.integers(1, 4, 25)).astype(float)
    y = rng.normal(size=25).cumsum()
    found = inflection(x, y, joined=joined, least=least)
    place, error = literal(x, y, least, joined)
    assert found.x == place
    np.testing.assert_allclose(found.squares, error, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(((y - found.line(x)) ** 2).sum(), error, rtol=1e-6, atol=1e-9)


def test_a_known_knee_and_a_known_step():
    # Flat at 0.47 to 300 removed, then down by 0.002 a unit.
    x = np.arange(0, 400, 10.0)
    knee = np.where(x <= 300, 0.47, 0.47 - 0.002 * (x - 300))
    found = inflection(x, knee, joined=True)
    assert found.x == 300
    np.testing.assert_allclose([*found.slopes, found.explained], [0, -0.002, 1], atol=1e-12)
    # A sudden fall after 220: two lines that need not meet find its last good point.
    step = np.where(x <= 220, 0.47 - 1e-4 * x, 0.1)
    found = inflection(x, step)
    assert found.x == 220
    np.testing.assert_allclose([*found.slopes, *found.intercepts], [-1e-4, 0, 0.47, 0.1], atol=1e-12)


def test_the_interval_is_that_of_the_seeds():
    x = np.arange(50.0)
    curves = np.stack([np.where(x <= knee, 0.5, 0.5 - 0.02 * (x - knee)) for knee in (20, 22, 24, 26)])
    found = inflection(x, curves, joined=True, samples=400)
    assert 20 <= found.low <= found.x <= found.high <= 26
    assert found.low < found.high
    # The draw of all seeds alike is among the samples: its answer is that seed's knee.
    alone = inflection(x, np.stack([curves[0]] * 3), joined=True)
    assert (alone.low, alone.x, alone.high, alone.seeds) == (20, 20, 20, 3)
    again = inflection(x, curves, joined=True, samples=400)
    assert again == found


def test_one_seed_has_no_interval():
    found = inflection(np.arange(12.0), np.r_[np.ones(6), np.zeros(6)])
    assert (found.x, found.low, found.high, found.seeds) == (5, None, None, 1)


@settings(max_examples=40)
@given(st.floats(-1, 1), st.floats(-0.1, 0.1), st.booleans(), st.integers(6, 40), st.integers(1, 4))
def test_a_straight_curve_has_no_turn(level, slope, joined, points, seeds):
    x = np.arange(float(points))
    found = inflection(x, np.stack([level + slope * x] * seeds), joined=joined, samples=20)
    # Rounding says nothing: of splits that are equally good the first one, whoever is drawn.
    assert found.explained == 0 and found.x == 2
    assert (found.low, found.high) == ((2, 2) if seeds > 1 else (None, None))
    np.testing.assert_allclose(found.line(x), level + slope * x, atol=1e-9)


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.integers(1, 3), st.booleans(), st.floats(-9, 9), st.floats(1e-6, 1))
def test_the_part_explained_is_a_part(seed, seeds, joined, level, size):
    y = level + size * np.random.default_rng(seed).normal(size=(seeds, 12)).cumsum(axis=1)
    found = inflection(np.arange(12.0), y, joined=joined, samples=10)
    assert 0 <= found.explained <= 1 and 0 <= found.squares <= found.one_line


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.booleans(), st.floats(0.5, 40), st.floats(-3, 3))
def test_units_do_not_matter(seed, joined, scale, shift):
    rng = np.random.default_rng(seed)
    x, y = np.arange(20.0), rng.normal(size=(3, 20)).cumsum(axis=1)
    one = inflection(x, y, joined=joined, samples=50)
    other = inflection(scale * x + shift, 5 * y + 1, joined=joined, samples=50)
    np.testing.assert_allclose(
        [other.x, other.low, other.high], scale * np.array([one.x, one.low, one.high]) + shift, rtol=1e-9, atol=1e-9
    )


@pytest.mark.parametrize(
    ("x", "y", "told"),
    [
        (np.arange(5.0), np.zeros(5), "5 points"),
        (np.arange(8.0), np.zeros((2, 7)), "shape"),
        (np.zeros(8), np.zeros(8), "rise"),
        (np.arange(8.0), np.full(8, np.nan), "finite"),
    ],
)
def test_refused(x, y, told):
    with pytest.raises(InputError, match=told):
        inflection(x, y)
