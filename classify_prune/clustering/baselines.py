"""What the labels give without any cluster: the least that a clustering has to be compared with.

Source: paper 002 has none of these; always answering its most frequent type is better than its best clustering.
"""

from __future__ import annotations

import warnings

import numpy as np

from run_tools.optional import require

PROBE_ITERATIONS = 200
RIDGE = 0.01
"""Penalty of `Ridge`, as a part of the features' mean sum of squares."""


def majority(labels: np.ndarray, classes: int) -> int:
    """The most frequent class."""
    return int(np.bincount(labels, minlength=classes).argmax())


def class_means(vectors: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """Mean vector of each class, float64 (classes, features); NaN for a class without vectors."""
    sums = np.zeros((classes, vectors.shape[1]))
    np.add.at(sums, labels, vectors)
    counts = np.bincount(labels, minlength=classes)[:, None]
    with np.errstate(invalid="ignore"):
        return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def nearest_mean(vectors: np.ndarray, means: np.ndarray) -> np.ndarray:
    """The class whose mean is nearest, int64 (n,); ties go to the first.

    Args:
        vectors: (n, features).
        means: of `class_means`.
    """
    known = np.flatnonzero(~np.isnan(means[:, 0]))
    # ‖x‖² is the same for all classes.
    distances = np.square(means[known]).sum(axis=1) - 2 * (vectors.astype(np.float64) @ means[known].T)
    found: np.ndarray = known[distances.argmin(axis=1)]
    return found


def linear_probe(
    vectors: np.ndarray, labels: np.ndarray, others: np.ndarray, iterations: int = PROBE_ITERATIONS
) -> np.ndarray:
    """Classes that a logistic regression, learnt on some vectors, gives to others.

    Args:
        vectors: to learn from, (n, features); they are standardised.
        labels: their classes.
        others: (k, features).
        iterations: of the optimiser, at most.

    Returns:
        int64 (k,).

    Raises:
        InputError: without the extra `cluster`.
    """
    linear, scale = require("sklearn.linear_model", "cluster"), require("sklearn.preprocessing", "cluster")
    scaler = scale.StandardScaler().fit(vectors)
    model = linear.LogisticRegression(max_iter=iterations)
    with warnings.catch_warnings():
        # A probe that is stopped early is still a probe; how long it may learn is told in the docs.
        warnings.simplefilter("ignore")
        model.fit(scaler.transform(vectors), labels)
    found: np.ndarray = model.predict(scaler.transform(others))
    return found


class Ridge:
    """A linear classifier by ridge regression to the classes' indicators, for any choice of features.

    It is solved from sums of products of all features, which are taken once: a choice then costs the cube of its size
    and nothing of the number of vectors, and thousands of classes cost little more than two.

    Args:
        vectors: to learn from, (n, features).
        labels: their classes, (n,).
        classes: how many there are.

    Attributes:
        penalty: what is added to the sums of squares.
    """

    def __init__(self, vectors: np.ndarray, labels: np.ndarray, classes: int):
        self.mean = vectors.mean(axis=0, dtype=np.float64)
        centred = vectors - self.mean
        self.gram = centred.T @ centred
        # Sums over each class; centred vectors add up to 0, so the indicators need not be centred.
        self.products = np.zeros((classes, vectors.shape[1]))
        np.add.at(self.products, labels, centred)
        self.shares = np.bincount(labels, minlength=classes) / len(labels)
        self.penalty = RIDGE * float(np.trace(self.gram)) / vectors.shape[1]

    def answers(self, vectors: np.ndarray, chosen: np.ndarray | None = None) -> np.ndarray:
        """Classes of other vectors, int64 (k,).

        Args:
            vectors: (k, features).
            chosen: bool (features,), which to look at; None: all.
        """
        kept = np.ones(len(self.mean), bool) if chosen is None else chosen
        gram = self.gram[np.ix_(kept, kept)]
        # Where no feature varies, nothing is to be solved.
        gram[np.diag_indices_from(gram)] += self.penalty or 1.0
        weights = np.linalg.solve(gram, self.products[:, kept].T)
        found: np.ndarray = ((vectors[:, kept] - self.mean[kept]) @ weights + self.shares).argmax(axis=1)
        return found
