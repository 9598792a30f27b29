"""Fuzzy c-means by matrix products, block by block: hundreds of thousands of long vectors need no copy in memory.

Source: Bezdek (1981), "Pattern Recognition with Fuzzy Objective Function Algorithms"; paper 002, section 3.2.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from run_tools.errors import InputError

BLOCK_BYTES = 1 << 22
"""Of the vectors that are looked at together, about: what fits into a processor's own cache."""
LEAST = float(np.finfo(np.float64).eps)
"""Smallest distance and smallest membership, as in scikit-fuzzy: no division by 0, no cluster without members."""
COINCIDE = 1e-3
"""Centres whose spread is below this share of the vectors' are one and the same."""

STARTS = ("memberships", "kmeans++")
DTYPES = ("float32", "float64")

Shown = Callable[[int, "FuzzyCMeans"], None]


class FuzzyCMeans:
    """Soft clusters: every vector belongs to each of them to some degree.

    One iteration takes the centres as means of the vectors with weights u^m, then the memberships
    u_ij = 1 / Σ_k (‖x_i − c_j‖ / ‖x_i − c_k‖)^(2 / (m − 1)). Distances come from one product of matrices, of vectors
    and centres about the common mean, so that nothing is lost when all vectors lie far from 0.

    Args:
        clusters: at least 2.
        fuzziness: m, above 1; near 1 the clusters are hard, at 2 and above they may all coincide in many dimensions.
        iterations: at most so many.
        tolerance: stop when the memberships move less than this (Frobenius norm); 0: never.
        start: "memberships", drawn at random as in the paper; or "kmeans++", centres that are vectors far apart.
        seed: of the start.
        dtype: "float32", or "float64" for products of full precision.

    Attributes:
        centres_: float64, (clusters, features).
        memberships_: of the vectors given to `fit`, of `dtype`, (n, clusters), rows that add up to 1.
        objective_: Σ u^m ‖x − c‖² after each update of the centres; after the first it never rises but by rounding.
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
        dtype: str = "float32",
    ):
        for name, (value, least) in {
            "clusters": (clusters, 2), "iterations": (iterations, 1), "tolerance": (tolerance, 0)
        }.items():  # fmt: skip
            if not value >= least:
                raise InputError(f"{name} {value}", f"at least {least}", f"raise {name}")
        if not 1 < fuzziness < math.inf:
            raise InputError(f"fuzziness {fuzziness}", "a number above 1", "for example 1.7; 1 would be k-means")
        for name, word, known in (("start", start, STARTS), ("dtype", dtype, DTYPES)):
            if word not in known:
                raise InputError(f"{name} {word!r}", f"one of {', '.join(known)}", "choose one")
        self.clusters = clusters
        self.fuzziness = float(fuzziness)
        self.iterations = iterations
        self.tolerance = tolerance
        self.start = start
        self.seed = seed
        self.dtype = np.dtype(dtype)

    def fit(
        self, vectors: np.ndarray, memberships: np.ndarray | None = None, shown: Shown | None = None
    ) -> FuzzyCMeans:
        """Finds the clusters.

        Args:
            vectors: (n, features), at least as many as clusters; a memory map is read block by block.
            memberships: (n, clusters) to start from instead, above or equal to 0.
            shown: called with the number of iterations and this object after each.

        Returns:
            This object.

        Raises:
            InputError: for vectors that are too few, not finite or of another shape.
        """
        if vectors.ndim != 2 or len(vectors) < self.clusters:
            expected = f"(n, features), at least {self.clusters} vectors, one a cluster"
            raise InputError(f"vectors of shape {vectors.shape}", expected, "give more, or ask for fewer clusters")
        self._measure(vectors)
        if memberships is not None:
            centres = self._given(vectors, memberships)
        elif self.start == "memberships":
            drawn = np.random.default_rng(self.seed).random((len(vectors), self.clusters))
            centres = self._given(vectors, drawn)
        else:
            self.memberships_ = np.full((len(vectors), self.clusters), 1 / self.clusters, self.dtype)
            centres = self._spread_out(vectors)
        self.objective_: list[float] = []
        for number in range(1, self.iterations + 1):
            self.iterations_, self.centres_ = number, centres
            centres, moved = self._iterate(vectors)
            self._judge()
            if shown is not None:
                shown(self.iterations_, self)
            if moved < self.tolerance:
                break
        return self

    def predict(self, vectors: np.ndarray) -> np.ndarray:
        """Memberships of other vectors in the clusters found.

        Args:
            vectors: (n, features).

        Returns:
            Of `dtype`, (n, clusters), rows that add up to 1.

        Raises:
            InputError: for vectors of another length.
        """
        if vectors.ndim != 2 or vectors.shape[1] != self.centres_.shape[1]:
            raise InputError(f"vectors of shape {vectors.shape}", f"(n, {self.centres_.shape[1]})", "give that length")
        found = np.empty((len(vectors), self.clusters), self.dtype)
        for rows, block in self._blocks(vectors):
            found[rows] = self._memberships(self._distances(block, self._from_mean(block)))
        return found

    def _measure(self, vectors: np.ndarray) -> None:
        """The common mean, and each vector's squared distance from it."""
        total = np.zeros(vectors.shape[1])
        for _, block in self._blocks(vectors):
            total += block.sum(axis=0, dtype=np.float64)
        if not np.isfinite(total).all():
            raise InputError("vectors with numbers that are not finite", "finite ones", "look at the file")
        self._mean = total / len(vectors)
        self._lengths = np.concatenate([self._from_mean(block) for _, block in self._blocks(vectors)])

    def _from_mean(self, block: np.ndarray) -> np.ndarray:
        centred = block - self._mean.astype(self.dtype)
        return np.einsum("ij,ij->i", centred, centred)

    def _blocks(self, vectors: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
        size = max(1, BLOCK_BYTES // (vectors.shape[1] * self.dtype.itemsize))
        for start in range(0, len(vectors), size):
            rows = slice(start, min(start + size, len(vectors)))
            yield rows, np.asarray(vectors[rows], self.dtype)

    def _distances(self, block: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Squared distances from the centres, float64 (rows, clusters): ‖x−μ‖² − 2 (x−μ)·(c−μ) + ‖c−μ‖²."""
        about = self.centres_ - self._mean
        products = (block @ about.T.astype(self.dtype)).astype(np.float64) - about @ self._mean
        found = lengths[:, None] - 2 * products + np.einsum("ij,ij->i", about, about)
        return np.maximum(found, LEAST**2)

    def _memberships(self, distances: np.ndarray) -> np.ndarray:
        """Of squared distances; by logarithms, since the power overflows for m near 1."""
        powers = np.log(distances) / (1.0 - self.fuzziness)
        powers -= powers.max(axis=1, keepdims=True)
        found = np.exp(powers, out=powers)
        return found / found.sum(axis=1, keepdims=True)

    def _iterate(self, vectors: np.ndarray) -> tuple[np.ndarray, float]:
        """New memberships for the present centres, and in the same pass the centres that follow from them.

        Returns:
            `(next centres, how far the memberships moved)`.
        """
        objective, moved, squares = 0.0, 0.0, 0.0
        sums, weights = np.zeros_like(self.centres_), np.zeros(self.clusters)
        for rows, block in self._blocks(vectors):
            distances = self._distances(block, self._lengths[rows])
            before = self.memberships_[rows].astype(np.float64)
            objective += float((np.maximum(before, LEAST) ** self.fuzziness * distances).sum())
            now = self._memberships(distances)
            moved += float(np.square(now - before).sum())
            squares += float(np.square(now).sum())
            self.memberships_[rows] = now
            self._add(block, now, sums, weights)
        self.objective_.append(objective)
        self.partition_coefficient_ = squares / len(vectors)
        return sums / weights[:, None], math.sqrt(moved)

    def _add(self, block: np.ndarray, memberships: np.ndarray, sums: np.ndarray, weights: np.ndarray) -> None:
        powers = np.maximum(memberships, LEAST) ** self.fuzziness
        sums += powers.T.astype(self.dtype) @ block
        weights += powers.sum(axis=0)

    def _given(self, vectors: np.ndarray, memberships: np.ndarray) -> np.ndarray:
        """The centres of memberships to start from."""
        given = np.asarray(memberships, np.float64)
        if given.shape != (len(vectors), self.clusters) or not (given >= 0).all() or not given.sum(axis=1).all():
            expected = f"({len(vectors)}, {self.clusters}), numbers from 0, no row of zeros alone"
            raise InputError(f"memberships of shape {given.shape}", expected, "leave them out to draw them")
        given = given / given.sum(axis=1, keepdims=True)
        self.memberships_ = given.astype(self.dtype)
        sums, weights = np.zeros((self.clusters, vectors.shape[1])), np.zeros(self.clusters)
        for rows, block in self._blocks(vectors):
            self._add(block, given[rows], sums, weights)
        return sums / weights[:, None]

    def _spread_out(self, vectors: np.ndarray) -> np.ndarray:
        """Vectors drawn one after the other, by their squared distance from the nearest one drawn before.

        Source: Arthur & Vassilvitskii (2007), "k-means++: The Advantages of Careful Seeding".
        """
        rng = np.random.default_rng(self.seed)
        chosen = [int(rng.integers(len(vectors)))]
        nearest = np.full(len(vectors), np.inf)
        while len(chosen) < self.clusters:
            self.centres_ = np.asarray(vectors[chosen[-1:]], np.float64)
            for rows, block in self._blocks(vectors):
                nearest[rows] = np.minimum(nearest[rows], self._distances(block, self._lengths[rows])[:, 0])
            nearest[chosen] = 0.0
            total = nearest.sum()
            drawn = rng.choice(len(vectors), p=nearest / total) if total > 0 else rng.integers(len(vectors))
            chosen.append(int(drawn))
        return np.asarray(vectors[np.array(chosen)], np.float64)

    def _judge(self) -> None:
        spread = np.square(self.centres_ - self.centres_.mean(axis=0)).sum(axis=1).mean()
        self.collapsed_ = bool(spread <= COINCIDE * self._lengths.mean())


def hardened(memberships: Any) -> np.ndarray:
    """The cluster of each vector: that of its largest membership, int64 (n,); ties go to the first."""
    found: np.ndarray = np.asarray(memberships).argmax(axis=1)
    return found
