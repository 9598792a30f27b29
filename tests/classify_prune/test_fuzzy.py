"""Fuzzy c-means against scikit-fuzzy in one call and against its definition, written out."""

import math

import hypothesis.strategies as st
import numpy as np
import pytest
import skfuzzy
from hypothesis import given

from classify_prune.clustering.fuzzy import FuzzyCMeans, hardened
from run_tools import optional
from run_tools.errors import InputError


def clouds(seed=0, count=120, features=9, centres=4, away=0.0):
    rng = np.random.default_rng(seed)
    middles = rng.normal(size=(centres, features)) * 2 + away
    return (middles[rng.integers(centres, size=count)] + rng.normal(size=(count, features))).astype(np.float32)


def drawn(count, clusters, seed=0):
    """The random memberships that a clustering starts from."""
    found = np.random.default_rng(seed).random((count, clusters))
    return found / found.sum(axis=1, keepdims=True)


def literal(vectors, memberships, m, iterations):
    """Bezdek's algorithm as paper 002 prints it (equations 1, 2 and 6), number by number."""
    u = memberships.tolist()
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
    vectors = clouds(count=25, features=3, centres=3)
    found = FuzzyCMeans(3, m, iterations=7, tolerance=0, seed=1).fit(vectors)
    centres, memberships, objective = literal(vectors.astype(np.float64), drawn(25, 3, seed=1), m, 7)
    np.testing.assert_allclose(found.centres_, centres, rtol=1e-8)
    np.testing.assert_allclose(found.memberships_, memberships, rtol=1e-7, atol=1e-12)
    assert found.objective_[-1] == pytest.approx(objective, rel=1e-9) and found.iterations_ == 7


@pytest.mark.parametrize("m", [1.2, 1.7, 3.0])
@pytest.mark.parametrize("away", [0.0, 100.0])
def test_an_iteration_at_a_time_is_as_one_call(m, away):
    vectors = clouds(away=away)
    init = drawn(120, 4).T
    centres, u, _, _, jm, p, fpc = skfuzzy.cmeans(vectors.T.astype(np.float64), 4, m, 1e-4, 30, init=init)
    found = FuzzyCMeans(4, m, iterations=30, tolerance=1e-4).fit(vectors)
    assert found.iterations_ == p == len(found.objective_)
    np.testing.assert_allclose(found.centres_, centres, rtol=1e-9)
    np.testing.assert_allclose(found.memberships_, u.T, atol=1e-9)
    np.testing.assert_allclose(found.objective_, jm, rtol=1e-9)
    assert found.partition_coefficient_ == pytest.approx(fpc, rel=1e-9)
    others = clouds(5, 30, away=away)
    told, *_ = skfuzzy.cmeans_predict(others.T.astype(np.float64), centres, m, 1e-9, 3, seed=0)
    np.testing.assert_allclose(found.predict(others), told.T, atol=1e-9)


@given(st.integers(0, 1000), st.floats(1.001, 6.0), st.integers(2, 6), st.sampled_from(["memberships", "kmeans++"]))
def test_what_always_holds(seed, m, clusters, start):
    vectors = clouds(seed, 40, 4)
    seen = []
    made = FuzzyCMeans(clusters, m, 12, tolerance=0, start=start, seed=seed)
    found = made.fit(vectors, shown=lambda number, now: seen.append((number, now.memberships_.copy())))
    assert [number for number, _ in seen] == list(range(1, 13))
    np.testing.assert_allclose(found.memberships_.sum(axis=1), 1, rtol=1e-9)
    assert (found.memberships_ >= 0).all()
    objective = np.array(found.objective_)
    assert (np.diff(objective) <= 1e-9 * objective[:-1]).all()
    assert 1 / clusters - 1e-9 <= found.partition_coefficient_ <= 1 + 1e-9
    low, high = vectors.min(axis=0) - 1e-4, vectors.max(axis=0) + 1e-4
    assert ((low <= found.centres_) & (found.centres_ <= high)).all()
    np.testing.assert_allclose(seen[-1][1], found.predict(vectors), rtol=1e-6, atol=1e-9)


def test_equal_seeds_give_equal_clusters_and_leave_the_global_ones_alone():
    vectors = clouds()
    before = np.random.get_state()[1].copy()  # noqa: NPY002 - what must not be touched
    for start in ("memberships", "kmeans++"):
        one, same, other = (FuzzyCMeans(4, 1.7, 2, start=start, seed=seed).fit(vectors) for seed in (3, 3, 4))
        np.testing.assert_array_equal(one.predict(vectors), same.predict(vectors))
        assert not np.allclose(one.centres_, other.centres_)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


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


@pytest.mark.parametrize("m", [1.0000001, 1.1, 2.0])
def test_vectors_that_are_centres_and_equal_vectors_do_no_harm(m):
    vectors = np.repeat(np.eye(3), 4, axis=0)
    found = FuzzyCMeans(3, m, 20, start="kmeans++").fit(vectors)
    np.testing.assert_allclose(found.memberships_.max(axis=1), 1, atol=1e-6)
    same = FuzzyCMeans(2, m, 5, start="kmeans++").fit(np.ones((6, 2)))
    np.testing.assert_allclose(same.memberships_, 0.5)
    np.testing.assert_allclose(same.centres_, 1)
    assert same.collapsed_


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"clusters": 1}, "clusters 1; expected at least 2"),
        ({"fuzziness": 1.0}, "fuzziness 1.0; expected a number above 1"),
        ({"fuzziness": math.nan}, "fuzziness nan"),
        ({"iterations": 0}, "iterations 0"),
        ({"tolerance": -1}, "tolerance -1"),
        ({"start": "kmeans"}, "start 'kmeans'"),
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
        (np.full((4, 2), -np.inf), "finite"),
        (np.full((4, 2), 1e200), "finite"),
    ]:
        with pytest.raises(InputError, match=told):
            made.fit(vectors)
    # Memberships of about 1/3 to the power of 5000 are 0 in float64.
    with pytest.raises(InputError, match="fuzziness 5000, to which power"):
        FuzzyCMeans(3, 5000).fit(clouds())
    with pytest.raises(InputError, match=r"expected \(n, 9\)"):
        FuzzyCMeans(2).fit(clouds()).predict(np.ones((3, 8)))


def test_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(optional.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"no module skfuzzy; .*prune-vision\[cluster\]"):
        FuzzyCMeans(2).fit(clouds())
