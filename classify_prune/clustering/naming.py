"""Which class a cluster stands for, and how well clusters and classes agree. Needs the extra `cluster`."""

from __future__ import annotations

from typing import Any

import numpy as np

from run_tools.optional import require

EXTRA = "cluster"
RULES = ("hungarian", "majority", "numbered")
"""Ways to name clusters: one class each so that most vectors agree; the most frequent class of each, which may name
several clusters alike and others not at all; or cluster i is class i, for the paper does not say how it named them."""


def contingency(clusters: np.ndarray, labels: np.ndarray, count: int, classes: int) -> np.ndarray:
    """How many vectors of each cluster are of each class, int64 (count, classes)."""
    found = np.zeros((count, classes), np.int64)
    np.add.at(found, (clusters, labels), 1)
    return found


def names_of(table: np.ndarray, rule: str) -> np.ndarray:
    """The class of each cluster.

    Args:
        table: of `contingency`, on the training vectors.
        rule: one of `RULES`.

    Returns:
        int64 (clusters,); −1 for a cluster that no class is left for, whose vectors all count as wrong.

    Raises:
        InputError: without the extra.
    """
    if rule == "majority":
        found: np.ndarray = table.argmax(axis=1)
        return found
    named = np.full(len(table), -1)
    if rule == "numbered":
        shared = min(table.shape)
        named[:shared] = np.arange(shared)
        return named
    rows, columns = require("scipy.optimize", EXTRA).linear_sum_assignment(table, maximize=True)
    named[rows] = columns
    return named


def accuracy(names: np.ndarray, clusters: np.ndarray, labels: np.ndarray) -> float:
    """Share of vectors whose cluster is named after their class."""
    return float((names[clusters] == labels).mean())


def agreement(clusters: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """How well clusters and classes agree whatever the names: adjusted Rand index (0 by chance, 1 the same), normalised
    mutual information (0–1).

    Raises:
        InputError: without the extra.
    """
    scores = require("sklearn.metrics", EXTRA)
    return {
        "ari": float(scores.adjusted_rand_score(labels, clusters)),
        "nmi": float(scores.normalized_mutual_info_score(labels, clusters)),
    }


def silhouette(vectors: np.ndarray, clusters: np.ndarray, sample: int | None, seed: int) -> float | None:
    """Mean silhouette coefficient: (b − a) / max(a, b) of the mean distances a in the own and b to the nearest other
    cluster, −1 to 1.

    Args:
        vectors: (n, features).
        clusters: of each vector.
        sample: so many vectors, drawn at random, stand for all; None: all, which takes time with their square.
        seed: of the draw.

    Returns:
        None where there are fewer than two clusters with vectors.

    Raises:
        InputError: without the extra.

    Source: Rousseeuw (1987), "Silhouettes: a graphical aid to the interpretation and validation of cluster analysis".
    """
    rows: Any = np.arange(len(vectors))
    if sample is not None and sample < len(vectors):
        rows = np.sort(np.random.default_rng(seed).choice(len(vectors), sample, replace=False))
    chosen = clusters[rows]
    if not 2 <= len(np.unique(chosen)) < len(chosen):
        return None
    return float(require("sklearn.metrics", EXTRA).silhouette_score(vectors[rows], chosen))
