"""Features chosen by their correlations: paper 002's future work.

Source: Hall (2000), "Correlation-based Feature Selection for Discrete and Numeric Class Machine Learning".
"""

from __future__ import annotations

import math

import numpy as np

from run_tools.errors import InputError

STALE = 5
"""Features added without a better merit after which the search ends, as in Hall's best-first search."""


def correlations(vectors: np.ndarray) -> np.ndarray:
    """|Pearson correlation| of every pair of features, float64 (features, features); a constant one has 0 with all.

    Args:
        vectors: (n, features).
    """
    centred = vectors - vectors.mean(axis=0, dtype=np.float64)
    products = centred.T @ centred
    lengths = np.sqrt(np.diag(products))
    # Rounding leaves a constant feature a spread of its own size times the precision.
    known = lengths > 1e-10 * np.maximum(1.0, np.abs(vectors).max(axis=0)) * math.sqrt(len(vectors))
    scaled = np.where(known, lengths, 1.0)
    found = np.abs(products / np.outer(scaled, scaled))
    found[~known] = 0
    found[:, ~known] = 0
    return np.minimum(found, 1.0)


def with_classes(vectors: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """How far each feature goes with the classes: mean |correlation| with the classes' indicators, weighted by the
    classes' shares (Hall 2000, equation 4), float64 (features,), 0–1.

    Args:
        vectors: (n, features).
        labels: their classes, (n,).
        classes: how many there are.
    """
    centred = vectors - vectors.mean(axis=0, dtype=np.float64)
    lengths = np.sqrt(np.einsum("ij,ij->j", centred, centred))
    counts = np.bincount(labels, minlength=classes)
    sums = np.zeros((classes, vectors.shape[1]))
    np.add.at(sums, labels, centred)
    shares = counts / len(labels)
    # Length of a centred indicator; a class that is everything, or nothing, has none.
    indicator = np.sqrt(len(labels) * shares * (1 - shares))
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.abs(sums) / np.outer(indicator, lengths)
    return shares @ np.where(np.isfinite(found), np.minimum(found, 1.0), 0.0)


def cfs(among: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Features that go with the classes and not with each other: the largest merit k·r_cf / √(k + k(k−1)·r_ff).

    The feature that raises the merit most is added, one after the other; the search ends when five have not raised it
    beyond its best, and the best is what is chosen. Of equals the first counts.

    Args:
        among: of `correlations`.
        classes: of `with_classes`.

    Returns:
        bool (features,), at least one.

    Source: Hall (2000), equation 1; forward search.
    """
    chosen, best, merit, stale = np.zeros(len(classes), bool), np.zeros(len(classes), bool), -1.0, 0
    relevance, redundancy = 0.0, 0.0  # sums over the chosen features, and over their pairs
    with_chosen = np.zeros(len(classes))
    while not chosen.all() and stale < STALE:
        count = int(chosen.sum()) + 1
        pairs = redundancy + with_chosen
        # k r_cf is the sum of the relevances, k (k − 1) r_ff twice that of the pairs.
        merits = (relevance + classes) / np.sqrt(count + 2 * pairs)
        merits[chosen] = -np.inf
        added = int(merits.argmax())
        relevance, redundancy = relevance + classes[added], float(pairs[added])
        chosen[added] = True
        with_chosen += among[added]
        if merits[added] > merit * (1 + 1e-12):
            merit, best, stale = float(merits[added]), chosen.copy(), 0
        else:
            stale += 1
    return best


def decorrelated(among: np.ndarray, order: np.ndarray, most: float) -> np.ndarray:
    """Features of which no two correlate more than `most`: each is taken, in an order, unless it goes with one.

    Args:
        among: of `correlations`.
        order: importance of each feature, (features,); the largest comes first, of equals the first.
        most: in 0–1.

    Returns:
        bool (features,).

    Raises:
        InputError: for a number out of range.
    """
    if not 0 <= most <= 1:
        raise InputError(f"correlation {most}", "a number in 0–1", "for example 0.9")
    chosen, free = np.zeros(len(order), bool), np.ones(len(order), bool)
    for feature in np.argsort(-order, kind="stable"):
        if free[feature]:
            chosen[feature] = True
            free &= among[feature] <= most
    return chosen
