"""Fuzzy c-means: scikit-fuzzy's, an iteration at a time, so that it can be looked at on the way; extra `cluster`.

Source: Bezdek (1981), "Pattern Recognition with Fuzzy Objective Function Algorithms"; paper 002, section 3.2.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from run_tools.errors import InputError
from run_tools.optional import require

EXTRA = "cluster"
COINCIDE = 1e-3
"""Centres whose spread is below this share of the vectors' are one and the same."""

STARTS = ("memberships", "kmeans++")

Shown = Callable[[int, "FuzzyCMeans"], None]


class FuzzyCMeans:
    """Soft clusters: every vector belongs to each of them to some degree.

    One iteration takes the centres as means of the vectors with weights u^m, then the memberships
    u_ij = 1 / Σ_k (‖x_i − c_j‖ / ‖x_i − c_k‖)^(2 / (m − 1)). scikit-fuzzy computes both in float64 and takes no
    distance and no membership for smaller than 2e-16: a vector on a centre divides nothing by 0, no cluster is empty.

    Args:
        clusters: at least 2.
        fuzziness: m, above 1; near 1 the clusters are hard, at 2 and above they may all coincide in many dimensions.
        iterations: at most so many.
        tolerance: stop when the memberships move less than this (Frobenius norm); 0: never.
        start: "memberships", drawn at random as in the paper; or "kmeans++", those in centres that are vectors far
            apart (Arthur & Vassilvitskii 2007; scikit-learn's).
        seed: of the start.

    Attributes:
        centres_: float64, (clusters, features).
        memberships_: of the vectors given to `fit`, float64, (n, clusters), rows that add up to 1.
        objective_: Σ u^m ‖x − c‖² after each update of the centres; it never rises but by rounding.
        iterations_: how many there were.
        partition_coefficient_: mean over the vectors of Σ_j u_ij², 1/clusters (nothing told apart) to 1 (hard).
        collapsed_: whether all centres are the same point, so that the clusters say nothing.

    Example:
        >>> clusters = FuzzyCMeans(11, fuzziness=1.7, iterations=15).fit(features)
        >>> clusters.memberships_.argmax(axis=1)
    """

    def __init__(
        self,
        clusters: int,
        fuzziness: float = 2.0,
        iterations: int = 100,
        tolerance: float = 1e-5,
        start: str = "memberships",
        seed: int = 0,
    ):
        for name, (value, least) in {
            "clusters": (clusters, 2), "iterations": (iterations, 1), "tolerance": (tolerance, 0)
        }.items():  # fmt: skip
            if not value >= least:
                raise InputError(f"{name} {value}", f"at least {least}", f"raise {name}")
        if not 1 < fuzziness < math.inf:
            raise InputError(f"fuzziness {fuzziness}", "a number above 1", "for example 1.7; 1 would be k-means")
        if start not in STARTS:
            raise InputError(f"start {start!r}", f"one of {', '.join(STARTS)}", "choose one")
        self.clusters = clusters
        self.fuzziness = float(fuzziness)
        self.iterations = iterations
        self.tolerance = tolerance
        self.start = start
        self.seed = seed

    def fit(self, vectors: np.ndarray, shown: Shown | None = None) -> FuzzyCMeans:
        """Finds the clusters.

        Args:
            vectors: (n, features), at least as many as clusters; they are copied as float64 where they are not.
            shown: called with the number of iterations and this object after each.

        Returns:
            This object.

        Raises:
            InputError: for vectors that are too few, not finite or of another shape, for a fuzziness that powers of
                memberships vanish at, or without the extra.
        """
        if vectors.ndim != 2 or len(vectors) < self.clusters:
            expected = f"(n, features), at least {self.clusters} vectors, one a cluster"
            raise InputError(f"vectors of shape {vectors.shape}", expected, "give more, or ask for fewer clusters")
        cmeans = require("skfuzzy.cluster", EXTRA).cmeans
        data = _checked(vectors)
        spread = _spread(data)
        memberships = self._begin(data)
        self.objective_: list[float] = []
        for number in range(1, self.iterations + 1):
            # A cluster whose weights have all vanished is a division of 0 by 0, told below in a line.
            with np.errstate(invalid="ignore"):
                centres, now, _, _, objective, _, coefficient = cmeans(
                    data.T, self.clusters, self.fuzziness, error=0, maxiter=1, init=memberships
                )
            if not np.isfinite(centres).all():
                told = f"fuzziness {self.fuzziness:g}, to which power all memberships of a cluster are 0"
                raise InputError(told, "a smaller one", "for example 1.7")
            moved, memberships = float(np.linalg.norm(now - memberships)), now
            self.iterations_, self.centres_, self.memberships_ = number, centres, memberships.T
            self.objective_.append(float(objective[-1]))
            self.partition_coefficient_ = float(coefficient)
            self.collapsed_ = _spread(centres) <= COINCIDE * spread
            if shown is not None:
                shown(number, self)
            if moved < self.tolerance:
                break
        return self

    def predict(self, vectors: np.ndarray) -> np.ndarray:
        """Memberships of other vectors in the clusters found.

        Args:
            vectors: (n, features).

        Returns:
            float64, (n, clusters), rows that add up to 1.

        Raises:
            InputError: for vectors of another length, or not finite.
        """
        if vectors.ndim != 2 or vectors.shape[1] != self.centres_.shape[1]:
            raise InputError(f"vectors of shape {vectors.shape}", f"(n, {self.centres_.shape[1]})", "give that length")
        return self._memberships(_checked(vectors), self.centres_).T

    def _begin(self, data: np.ndarray) -> np.ndarray:
        """Memberships to start from, (clusters, n) as scikit-fuzzy has them."""
        if self.start == "memberships":
            drawn = np.random.default_rng(self.seed).random((len(data), self.clusters))
            return (drawn / drawn.sum(axis=1, keepdims=True)).T
        far_apart = require("sklearn.cluster", EXTRA).kmeans_plusplus
        return self._memberships(data, far_apart(data, self.clusters, random_state=self.seed)[0])

    def _memberships(self, data: np.ndarray, centres: np.ndarray) -> np.ndarray:
        """Of vectors in clusters with these centres, (clusters, n)."""
        # They depend on the centres alone; without an `init` the global random numbers would be used up.
        init = np.full((len(centres), len(data)), 1 / len(centres))
        predict = require("skfuzzy.cluster", EXTRA).cmeans_predict
        found: np.ndarray = predict(data.T, centres, self.fuzziness, error=0, maxiter=1, init=init)[0]
        return found


def _checked(vectors: np.ndarray) -> np.ndarray:
    """The vectors as scikit-fuzzy takes them without a copy an iteration: float64, in rows.

    Raises:
        InputError: for numbers that are not finite, or so large that their squares are not.
    """
    data = np.ascontiguousarray(vectors, np.float64)
    with np.errstate(over="ignore"):
        finite = math.isfinite(np.einsum("ij,ij->", data, data))
    if not finite:
        raise InputError("vectors with numbers that are not finite", "finite ones", "look at the file")
    return data


def _spread(points: np.ndarray) -> float:
    """Mean squared distance from the mean."""
    cdist: Any = require("scipy.spatial.distance", EXTRA).cdist
    return float(cdist(points, points.mean(axis=0, keepdims=True), "sqeuclidean").mean())


def hardened(memberships: Any) -> np.ndarray:
    """The cluster of each vector: that of its largest membership, int64 (n,); ties go to the first."""
    found: np.ndarray = np.asarray(memberships).argmax(axis=1)
    return found
