"""Weights shared between a few values: one-dimensional k-means."""

from __future__ import annotations

import numpy as np

from run_tools.errors import InputError

MOST = 256
"""Values of a codebook whose places fit a byte."""


def codebook(values: np.ndarray, size: int, rounds: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """Values that stand for many others, chosen by k-means.

    Starts from values evenly spread between the least and the largest, which keeps large weights, the rare ones that
    count. Values are sorted once; a cluster is then an interval and its mean a difference of running sums. A cluster
    that nothing belongs to begins again at the weight that is farthest from its own.

    Args:
        values: float32, shape (n,), finite, at least one.
        size: how many to choose, 1–256.
        rounds: most rounds; it stops as soon as nothing changes.

    Returns:
        (values of the codebook, float32, ascending, at most `size` of them; for each weight the place of the nearest
        one, uint8, shape (n,)). No value is 0, so that a weight that lives stays alive.

    Raises:
        InputError: for another size.

    Source: Han, Mao and Dally, Deep Compression (2016), section 3 and 3.1, linear initialisation.
    """
    if not 1 <= size <= MOST:
        raise InputError(f"a codebook of {size}", f"1 to {MOST} values", "choose 1 to 8 bits")
    ascending = np.sort(values).astype(np.float64)
    sums = np.concatenate([[0.0], np.cumsum(ascending)])
    size = min(size, 1 + int(np.count_nonzero(np.diff(ascending))))  # no more than there are different weights
    centres = np.linspace(ascending[0], ascending[-1], size)
    edges = _edges(ascending, centres)
    for _ in range(rounds):
        counts = np.diff(edges)
        used = counts > 0
        centres[used] = np.diff(sums[edges])[used] / counts[used]
        if not used.all():
            apart = np.abs(ascending - np.repeat(centres, counts))
            farthest = np.unique(ascending[np.argsort(apart, kind="stable")[-(len(used) - used.sum()) :]])
            centres = np.sort(np.concatenate([centres[used], farthest]))
        moved = _edges(ascending, centres)
        if np.array_equal(moved, edges):
            break
        edges = moved
    used = np.diff(edges) > 0
    middles = (centres[used][1:] + centres[used][:-1]) / 2
    places = np.searchsorted(middles, values, side="left").astype(np.uint8)
    chosen = centres[used].astype(np.float32)
    chosen[chosen == 0] = np.finfo(np.float32).tiny
    return chosen, places


def _edges(ascending: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Where in the sorted values each cluster begins and the last one ends; ties go to the lower one."""
    middles = (centres[1:] + centres[:-1]) / 2
    return np.concatenate([[0], np.searchsorted(ascending, middles, side="right"), [len(ascending)]])
