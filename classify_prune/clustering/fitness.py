"""How good chosen features are: by the clusters they make, or by what a simple classifier learns from them.

Source: paper 002, section 3.3, which takes the silhouette; the others see labels and are not the paper's.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from classify_prune.clustering import baselines, naming
from classify_prune.clustering.fuzzy import FuzzyCMeans, hardened
from run_tools.errors import InputError

HELD_OUT = 4
"""Of so many training vectors of a class one is held out."""
WORST = -1.0
"""The silhouette where all vectors fall into one cluster."""


class Silhouette:
    """Silhouette, in the chosen features, of fuzzy c-means in the chosen features, on some vectors drawn once.

    Silhouettes in different spaces are not one scale: two features that fall into a few values beat any others.

    Args:
        vectors: (n, features).
        make: a new clustering.
        sample: vectors drawn.
        seed: of the draw.
    """

    def __init__(self, vectors: np.ndarray, make: Callable[[], FuzzyCMeans], sample: int, seed: int):
        rows = np.arange(len(vectors))
        if sample < len(vectors):
            rows = np.sort(np.random.default_rng(seed).choice(len(vectors), sample, replace=False))
        self.vectors, self.make = vectors[rows], make

    def __call__(self, chosen: np.ndarray) -> float:
        """−1 to 1."""
        vectors = self.vectors[:, chosen]
        clusters = hardened(self.make().fit(vectors).memberships_)
        found = naming.silhouette(vectors, clusters, None, 0)
        return WORST if found is None else found


class Centroid:
    """Accuracy of the nearest class mean on vectors that are held out.

    Args:
        vectors: (n, features).
        labels: their classes, (n,).
        classes: how many there are.
        seed: of the draw of a quarter of each class.
    """

    def __init__(self, vectors: np.ndarray, labels: np.ndarray, classes: int, seed: int):
        held = held_out(labels, seed)
        self.means = baselines.class_means(vectors[~held], labels[~held], classes)
        self.vectors, self.labels = vectors[held], labels[held]

    def __call__(self, chosen: np.ndarray) -> float:
        """0 to 1."""
        found = baselines.nearest_mean(self.vectors[:, chosen], self.means[:, chosen])
        return float((found == self.labels).mean())


class Probe:
    """Accuracy of a linear classifier, `baselines.Ridge`, on vectors that are held out.

    Args: as `Centroid`.
    """

    def __init__(self, vectors: np.ndarray, labels: np.ndarray, classes: int, seed: int):
        held = held_out(labels, seed)
        self.ridge = baselines.Ridge(vectors[~held], labels[~held], classes)
        self.vectors, self.labels = vectors[held], labels[held]

    def __call__(self, chosen: np.ndarray) -> float:
        """0 to 1."""
        return float((self.ridge.answers(self.vectors, chosen) == self.labels).mean())


def held_out(labels: np.ndarray, seed: int) -> np.ndarray:
    """One in `HELD_OUT` vectors of each class, bool (n,); none of a class of fewer.

    Raises:
        InputError: where no class has so many.
    """
    order = np.random.default_rng(seed).permutation(len(labels))
    by_class = order[np.argsort(labels[order], kind="stable")]
    sorted_labels = labels[by_class]
    place = np.arange(len(labels)) - np.searchsorted(sorted_labels, sorted_labels)
    held = np.zeros(len(labels), bool)
    held[by_class[place % HELD_OUT == HELD_OUT - 1]] = True
    if not held.any():
        raise InputError(
            f"classes of fewer than {HELD_OUT} training vectors", f"{HELD_OUT} of one at least", "use the silhouette"
        )
    return held
