"""What the labels give without any cluster: the least that a clustering has to be compared with.

Source: paper 002 has none of these; always answering its most frequent type is better than its best clustering.
"""

from __future__ import annotations

import warnings

import numpy as np

from run_tools.optional import require

PROBE_ITERATIONS = 200


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
