"""Fuzzy c-means against scikit-fuzzy and against its definition, written out."""

import math

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from classify_prune.clustering import fuzzy
from classify_prune.clustering.fuzzy import FuzzyCMeans, hardened
from run_tools.errors import InputError


def clouds(seed=0, count=120, features=9, centres=4, away=0.0):
    rng = np.random.default_rng(seed)
    middles = rng.normal(size=(centres, features)) * 2 + away
    return (middles[rng.integers(centres, size=count)] + rng.normal(size=(count, features))).astype(np.float32)


def literal(vectors, memberships, m, iterations):
    """Bezdek's algorithm as paper 002 prints it (equations 1, 2 and 6), number by number."""
    u = [[value / sum(row) for value in row] for row in memberships.tolist()]
    for _ in range(iterations):
        centres = [
            sum(u[i][j] ** m * vectors[i] for i in range(len(u))) / sum(u[i][j] ** m for i in range(len(u)))
            for j in range(len(u[0]))
        ]
        distances = [[math.dist(x, c) for c in centres] for x in vectors]
        objective = sum(u[i][j] ** m * distances[i][j] ** 2 for i in range(len(u)) for j in range(len(centres)))
        power = 2 / (m - 1)
        u = [[1 / sum((own / other) ** power for other in row) for own in row] for row in distances]
    return np.array(centres), np.array(u), objective


@pytest.mark.parametrize("m", [1.3, 1.7, 2.5])
def test_as_the_paper_prints_it(m):
    vectors, start = clouds(count=25, features=3, centres=3), np.random.default_rng(1).random((25, 3))
    found = FuzzyCMeans(3, m, iterations=7, tolerance=0, dtype="float64").fit(vectors, start)
    centres, memberships, objective = literal(vectors.astype(np.float64), start, m, 7)
    np.testing.assert_allclose(found.centres_, centres, rtol=1e-8)
    np.testing.assert_allclose(found.memberships_, memberships, rtol=1e-7, atol=1e-12)
    assert found.objective_[-1] == pytest.approx(objective, rel=1e-9) and found.iterations_ == 7


@pytest.mark.parametrize("dtype, close", [("float64", 1e-7), ("float32", 2e-3)])
@pytest.mark.parametrize("m", [1.2, 1.7, 3.0])
@pytest.mark.parametrize("away", [0.0, 100.0])
def test_as_scikit_fuzzy(monkeypatch, dtype, close, m, away):
    skfuzzy = pytest.importorskip("skfuzzy", reason="the package scikit-fuzzy is not installed")
    monkeypatch.setattr(fuzzy, "BLOCK_BYTES", 1000)  # several blocks
    vectors, start = clouds(away=away), np.random.default_rng(1).random((120, 4))
    normal = start / start.sum(axis=1, keepdims=True)
    centres, u, _, _, jm, p, fpc = skfuzzy.cmeans(vectors.T.astype(np.float64), 4, m, 1e-4, 30, init=normal.T)
    found = FuzzyCMeans(4, m, iterations=30, tolerance=1e-4, dtype=dtype).fit(vectors, start)
    if dtype == "float64":
        assert found.iterations_ == p
    np.testing.assert_allclose(found.centres_, centres, rtol=close, atol=close)
    np.testing.assert_allclose(found.memberships_, u.T, atol=20 * close)
    shared = min(len(jm), len(found.objective_))
    np.testing.assert_allclose(found.objective_[:shared], jm[:shared], rtol=close)
    assert found.partition_coefficient_ == pytest.approx(fpc, rel=20 * close)
    others = clouds(5, 30, away=away)
    told, *_ = skfuzzy.cmeans_predict(others.T.astype(np.float64), centres, m, 1e-9, 3, seed=0)
    np.testing.assert_allclose(found.predict(others), told.T, atol=20 * close)
    sure = np.ptp(np.sort(u, axis=0)[-2:], axis=0) > 0.1
    np.testing.assert_array_equal(hardened(found.memberships_)[sure], u.argmax(axis=0)[sure])


@given(st.integers(0, 1000), st.floats(1.05, 6.0), st.integers(2, 6), st.sampled_from(["memberships", "kmeans++"]))
def test_what_always_holds(seed, m, clusters, start):
    vectors = clouds(seed, 40, 4)
    seen = []
    made = FuzzyCMeans(clusters, m, 12, tolerance=0, start=start, seed=seed, dtype="float64")
    found = made.fit(vectors, shown=lambda number, now: seen.append((number, now.memberships_.copy())))
    assert [number for number, _ in seen] == list(range(1, 13))
    np.testing.assert_allclose(found.memberships_.sum(axis=1), 1, rtol=1e-9)
    assert (found.memberships_ >= 0).all()
    # The first value belongs to the start, which for centres is no minimum; from then on it never rises.
    later = np.array(found.objective_[1:])
    assert (np.diff(later) <= 1e-9 * later[:-1]).all()
    assert 1 / clusters - 1e-9 <= found.partition_coefficient_ <= 1 + 1e-9
    low, high = vectors.min(axis=0) - 1e-4, vectors.max(axis=0) + 1e-4
    assert ((low <= found.centres_) & (found.centres_ <= high)).all()
    np.testing.assert_allclose(seen[-1][1], found.predict(vectors), rtol=1e-6, atol=1e-9)


def test_equal_seeds_give_equal_clusters_in_blocks_of_any_size(monkeypatch):
    vectors = clouds()
    whole = FuzzyCMeans(4, 1.7, 10, seed=3).fit(vectors)
    monkeypatch.setattr(fuzzy, "BLOCK_BYTES", 500)
    np.testing.assert_allclose(FuzzyCMeans(4, 1.7, 10, seed=3).fit(vectors).centres_, whole.centres_, rtol=1e-4)
    assert not np.allclose(FuzzyCMeans(4, 1.7, 1, seed=4).fit(vectors).centres_, whole.centres_)


def test_far_clusters_are_found_and_close_ones_told_to_coincide():
    vectors = np.concatenate([np.zeros((20, 3)), np.full((20, 3), 10.0)]) + np.random.default_rng(0).normal(
        size=(40, 3)
    )
    found = FuzzyCMeans(2, 1.5, start="kmeans++").fit(vectors)
    near = hardened(found.memberships_)
    assert len(set(near[:20])) == len(set(near[20:])) == 1 and near[0] != near[20] and not found.collapsed_
    # In many dimensions noise has no clusters, and at m = 2 all centres run into the common mean.
    noise = np.random.default_rng(0).normal(size=(200, 300))
    assert FuzzyCMeans(5, 2.0, 60).fit(noise).collapsed_


def test_vectors_that_are_centres_and_equal_vectors_do_no_harm():
    vectors = np.repeat(np.eye(3), 4, axis=0)
    found = FuzzyCMeans(3, 1.1, 20, start="kmeans++", dtype="float64").fit(vectors)
    np.testing.assert_allclose(np.sort(found.memberships_.max(axis=1)), 1, atol=1e-6)
    same = FuzzyCMeans(2, 2.0, 5, start="kmeans++").fit(np.ones((6, 2)))
    np.testing.assert_allclose(same.memberships_, 0.5)
    np.testing.assert_allclose(same.centres_, 1)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"clusters": 1}, "clusters 1; expected at least 2"),
        ({"fuzziness": 1.0}, "fuzziness 1.0; expected a number above 1"),
        ({"iterations": 0}, "iterations 0"),
        ({"start": "kmeans"}, "start 'kmeans'"),
        ({"dtype": "float16"}, "dtype 'float16'"),
    ],
)
def test_options_that_make_no_sense(options, told):
    with pytest.raises(InputError, match=told):
        FuzzyCMeans(**{"clusters": 3, **options})


def test_vectors_that_cannot_be_clustered():
    made = FuzzyCMeans(3)
    for vectors, told in [
        (np.ones((2, 4)), "one a cluster"),
        (np.ones(9), "shape"),
        (np.full((4, 2), np.nan), "finite"),
    ]:
        with pytest.raises(InputError, match=told):
            made.fit(vectors)
    with pytest.raises(InputError, match="memberships of shape"):
        made.fit(np.ones((4, 2)), np.zeros((4, 3)))
    with pytest.raises(InputError, match=r"expected \(n, 9\)"):
        FuzzyCMeans(2).fit(clouds()).predict(np.ones((3, 8)))
