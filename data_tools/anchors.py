"""Anchor sizes by k-means under the distance 1 - IoU."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from data_tools.boxes import size_iou
from run_tools.errors import InputError

RESTARTS = 10
ITERATIONS = 300


def _checked(sizes: ArrayLike, what: str) -> np.ndarray:
    array = np.asarray(sizes, np.float64)
    if array.ndim != 2 or array.shape[1] != 2 or not len(array) or not (np.isfinite(array) & (array > 0)).all():
        raise InputError(
            f"{what} of shape {array.shape}", f"{what} of shape (n, 2), n above 0, all positive", "filter them first"
        )
    return array


def mean_iou(sizes: ArrayLike, anchors: ArrayLike) -> float:
    """Mean over the boxes of the IoU with the best anchor, both laid on one centre.

    Args:
        sizes: width and height of boxes, shape (n, 2).
        anchors: width and height in the same unit, shape (k, 2).

    Returns:
        A value in (0, 1].

    Raises:
        InputError: an array is empty or holds anything but positive numbers.
    """
    return float(size_iou(_checked(sizes, "sizes"), _checked(anchors, "anchors")).max(1).mean())


def class_weights(classes: ArrayLike) -> np.ndarray:
    """Weights of boxes with which each class counts as the square root of its number of boxes.

    Left to themselves, anchors go where most boxes are; on KITTI those are cars, and pedestrians get what is left.

    Args:
        classes: class of each box, shape (n,).

    Returns:
        float64 (n,), 1/√(boxes of the same class).
    """
    _, inverse, counts = np.unique(np.asarray(classes), return_inverse=True, return_counts=True)
    return 1 / np.sqrt(counts[inverse])


def _seeds(sizes: np.ndarray, weights: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
    """First centres as k-means++ draws them: far ones are likely, by the squared distance to the nearest so far."""
    centres = [sizes[rng.choice(len(sizes), p=weights / weights.sum())]]
    distance = 1 - size_iou(sizes, centres[0][None])[:, 0]
    while len(centres) < k:
        weight = weights * distance**2
        # Where IoU rounds to 1 for sizes that differ in the last digit, any of them will do.
        chances = weight / weight.sum() if weight.sum() > 0 else None
        centres.append(sizes[rng.choice(len(sizes), p=chances)])
        distance = np.minimum(distance, 1 - size_iou(sizes, centres[-1][None])[:, 0])
    return np.array(centres)


def _refine(sizes: np.ndarray, weights: np.ndarray, centres: np.ndarray) -> tuple[float, np.ndarray]:
    """Assign, take means, repeat. Returns the best mean IoU on the way and its centres.

    The mean does not minimise 1 - IoU, so that a step may make things worse: the best centres are kept, not the last.
    """
    best, kept, before = -1.0, centres, None
    for _ in range(ITERATIONS):
        overlap = size_iou(sizes, centres)
        owner = overlap.argmax(1)
        score = float(np.average(overlap[np.arange(len(sizes)), owner], weights=weights))
        if score > best:
            best, kept = score, centres
        if before is not None and (owner == before).all():
            break
        before = owner
        count = np.bincount(owner, weights, len(centres))
        total = np.stack([np.bincount(owner, weights * sizes[:, axis], len(centres)) for axis in (0, 1)], 1)
        # A centre that nobody chose stays where it is.
        centres = np.where(count[:, None] > 0, total / np.where(count > 0, count, 1)[:, None], centres)
    return best, kept


def kmeans(
    sizes: ArrayLike, k: int, seed: int = 0, restarts: int = RESTARTS, weights: ArrayLike | None = None
) -> np.ndarray:
    """The k sizes that boxes overlap best.

    Args:
        sizes: width and height of boxes in any unit, shape (n, 2), all positive.
        k: number of anchors, at most the number of different sizes.
        seed: of the starts; same input and seed, same anchors.
        restarts: how many starts are compared.
        weights: how much each box counts, shape (n,), positive; default: all the same (`class_weights`).

    Returns:
        Anchors in the unit of `sizes`, float64, shape (k, 2), from the smallest area to the largest.

    Raises:
        InputError: there are fewer different sizes than anchors, or a size is not positive.

    Source: Redmon & Farhadi (2017), "YOLO9000: Better, Faster, Stronger", section 2, "Dimension Clusters"; seeding by
    Arthur & Vassilvitskii (2007), "k-means++".
    """
    sizes = _checked(sizes, "sizes")
    different = len(np.unique(sizes, axis=0))
    if not 1 <= k <= different:
        raise InputError(f"k {k} for {different} different box sizes", f"1 to {different}", "choose another k")
    share = np.ones(len(sizes)) if weights is None else np.asarray(weights, np.float64)
    if share.shape != (len(sizes),) or not (np.isfinite(share) & (share > 0)).all():
        raise InputError(f"weights of shape {share.shape}", f"{len(sizes)} positive numbers", "one for each box")
    rng = np.random.default_rng(seed)
    tries = (_refine(sizes, share, _seeds(sizes, share, k, rng)) for _ in range(restarts))
    _, best = max(tries, key=lambda result: result[0])
    return best[np.argsort(best.prod(1), kind="stable")]
