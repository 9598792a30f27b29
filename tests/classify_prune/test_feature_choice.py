"""Fitnesses against scikit-learn, correlations against NumPy, CFS and decorrelation against their definitions."""

import itertools
import math

import hypothesis.strategies as st
import numpy as np
import pytest
import sklearn.linear_model
import sklearn.metrics
import sklearn.neighbors
from hypothesis import given, settings

from classify_prune.clustering import correlation, fitness
from classify_prune.clustering.fuzzy import FuzzyCMeans, hardened
from run_tools.errors import InputError


def clouds(seed=0, count=160, features=7, classes=4):
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=count)
    vectors = rng.normal(size=(classes, features))[labels] + rng.normal(size=(count, features)) + 3
    return vectors.astype(np.float32), labels


CHOSEN = np.array([True, False, True, True, False, True, True])


def test_a_quarter_of_each_class_is_held_out():
    labels = np.repeat([0, 1, 2, 3], [8, 4, 3, 11])
    held = fitness.held_out(labels, 0)
    # 8 / 4, 4 / 4, none of three, 11 // 4.
    np.testing.assert_array_equal(np.bincount(labels[held], minlength=4), [2, 1, 0, 2])
    assert not np.array_equal(held, fitness.held_out(labels, 1))
    with pytest.raises(InputError, match="fewer than 4"):
        fitness.held_out(np.array([0, 0, 0, 1]), 0)


def test_the_supervised_ones_are_scikit_learns():
    vectors, labels = clouds()
    held = fitness.held_out(labels, 5)
    learnt, judged = vectors[~held][:, CHOSEN], vectors[held][:, CHOSEN]
    nearest = sklearn.neighbors.NearestCentroid().fit(learnt, labels[~held])
    assert fitness.Centroid(vectors, labels, 4, 5)(CHOSEN) == pytest.approx(nearest.score(judged, labels[held]))
    made = fitness.Probe(vectors, labels, 5, 5)  # a class without vectors is never answered
    ridge = sklearn.linear_model.RidgeClassifier(alpha=made.ridge.penalty).fit(learnt.astype(np.float64), labels[~held])
    np.testing.assert_array_equal(made.ridge.answers(vectors[held], CHOSEN), ridge.predict(judged.astype(np.float64)))
    assert made(CHOSEN) == pytest.approx(ridge.score(judged.astype(np.float64), labels[held])) and made(CHOSEN) > 0.4


def test_the_silhouette_is_scikit_learns():
    vectors, _ = clouds()

    def make():
        return FuzzyCMeans(4, 1.3, 6, seed=1)

    made = fitness.Silhouette(vectors, make, 60, 2)
    assert len(made.vectors) == 60
    clusters = hardened(make().fit(made.vectors[:, CHOSEN]).memberships_)
    assert made(CHOSEN) == pytest.approx(sklearn.metrics.silhouette_score(made.vectors[:, CHOSEN], clusters))
    assert len(fitness.Silhouette(vectors, make, 1000, 2).vectors) == 160
    assert fitness.Silhouette(np.ones((20, 7), np.float32), make, 20, 0)(CHOSEN) == fitness.WORST


def test_correlations_are_numpys_and_constants_have_none():
    vectors, labels = clouds()
    vectors[:, 3] = -2 * vectors[:, 0] + 1
    vectors[:, 5] = 0.1
    found = correlation.correlations(vectors)
    varied = [0, 1, 2, 3, 4, 6]
    expected = np.abs(np.corrcoef(vectors[:, varied].T.astype(np.float64)))
    np.testing.assert_allclose(found[np.ix_(varied, varied)], expected, rtol=1e-6)
    assert not found[5].any() and not found[:, 5].any()
    # Hall's equation 4 with corrcoef: each class's indicator, weighted by its share.
    goes = [
        sum((labels == c).mean() * abs(np.corrcoef(vectors[:, j], labels == c)[0, 1]) for c in range(4)) for j in varied
    ]
    told = correlation.with_classes(vectors, labels, 6)
    np.testing.assert_allclose(told[varied], goes, rtol=1e-5)
    assert told[5] == pytest.approx(0, abs=1e-4)
    np.testing.assert_array_equal(correlation.with_classes(vectors[:5], np.zeros(5, int), 1), 0)


def merit(chosen, among, classes):
    """Hall's equation 1, with the means written out."""
    k = len(chosen)
    r_cf = sum(classes[i] for i in chosen) / k
    pairs = list(itertools.combinations(chosen, 2))
    r_ff = sum(among[i, j] for i, j in pairs) / len(pairs) if pairs else 0.0
    return k * r_cf / math.sqrt(k + k * (k - 1) * r_ff)


def literal_cfs(among, classes):
    """Forward search over Hall's merit: the best addition, until five in a row are no better than the best so far."""
    chosen, best, best_merit, stale = [], [], -1.0, 0
    while len(chosen) < len(classes) and stale < 5:
        rest = [i for i in range(len(classes)) if i not in chosen]
        added = max(rest, key=lambda i: merit([*chosen, i], among, classes))
        chosen = [*chosen, added]
        now = merit(chosen, among, classes)
        if now > best_merit * (1 + 1e-12):
            best, best_merit, stale = chosen, now, 0
        else:
            stale += 1
    return sorted(best)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.integers(2, 14))
def test_cfs_is_the_literal_search(seed, features):
    rng = np.random.default_rng(seed)
    vectors, labels = clouds(seed, 60, features)
    vectors += (rng.normal(size=(60, 1)) * rng.normal(size=features) * 2).astype(np.float32)  # they go together
    among = correlation.correlations(vectors)
    classes = correlation.with_classes(vectors, labels, 4)
    assert np.flatnonzero(correlation.cfs(among, classes)).tolist() == literal_cfs(among, classes)


def test_cfs_leaves_out_copies_and_noise():
    rng = np.random.default_rng(0)
    labels = rng.integers(2, size=4000)
    signal = labels[:, None] + rng.normal(size=(4000, 2)) * 0.7
    vectors = np.column_stack([signal, signal[:, 0] + rng.normal(size=4000) * 1e-3, rng.normal(size=(4000, 3))])
    chosen = correlation.cfs(correlation.correlations(vectors), correlation.with_classes(vectors, labels, 2))
    assert chosen[1] and chosen[[0, 2]].sum() == 1 and not chosen[3:].any()


@given(st.integers(0, 1000), st.floats(0, 1))
def test_decorrelated_features_are_greedy_and_as_many_as_fit(seed, most):
    vectors, _ = clouds(seed, 30, 10)
    among, order = correlation.correlations(vectors), vectors.var(axis=0)
    taken = []
    for feature in sorted(range(10), key=lambda i: -order[i]):
        if all(among[feature, other] <= most for other in taken):
            taken.append(feature)
    assert np.flatnonzero(correlation.decorrelated(among, order, most)).tolist() == sorted(taken)


def test_a_correlation_above_1_is_refused():
    with pytest.raises(InputError, match="correlation 2"):
        correlation.decorrelated(np.eye(2), np.ones(2), 2)
