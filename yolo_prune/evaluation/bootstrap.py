"""How far a figure may be off because the test images are what they are: percentile bootstrap over whole images.

Images are drawn with replacement, as many as there are, and each figure is computed anew from those drawn, many times;
the middle 95 % of the values are the interval. Boxes of one image are never parted, because they are not independent.
Neither are neighbouring frames of one drive: resampling images takes them for independent and so makes intervals too
narrow where a split holds few drives. Resampling whole drives (`groups`) does not, but with a handful of drives it is
coarse and tends to be too narrow as well. Neither says anything of another training run of the same recipe, and where
nothing at all was found or nothing at all was wrong, every resample says the same: [0, 0] is no certainty.

Source: Efron & Tibshirani (1993), "An Introduction to the Bootstrap", chapter 13 (percentile intervals).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from run_tools.errors import InputError
from yolo_prune.evaluation.kitti_weighted import kitti_values
from yolo_prune.evaluation.weighted import Values, coco_values, one_to_one_values
from yolo_prune.records import Detections, Truth

REPLICATES = 1000
LEVEL = 0.95
MIN_SHARE = 0.5
"""A figure has an interval when at least this share of the replicates has the figure: a class with one or two boxes is
missing in many, and an interval from the few others would not be one of these images."""


def resample(
    images: int, replicates: int = REPLICATES, seed: int = 0, groups: Sequence[str] | None = None
) -> np.ndarray:
    """How often each replicate holds each image.

    Args:
        images: how many there are.
        replicates: how many sets to draw.
        seed: of the draws; the same seed gives the same sets, so that detectors can be compared on them.
        groups: the group (drive) of each image, to draw whole groups; an empty text stands for a group of its own.
            None: draw images.

    Returns:
        int32, shape (replicates, images). Without groups each row sums to `images`.

    Raises:
        InputError: for fewer than two images, or groups, to draw from.
    """
    unit = units(images, groups)
    count = int(unit.max(initial=-1)) + 1
    if count < 2:
        raise InputError(
            f"{count} {'image' if groups is None else 'drive'} to resample",
            "at least two",
            "evaluate without intervals" if groups is None else "resample images instead",
        )
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=replicates)
    return drawn[:, unit].astype(np.int32)


def units(images: int, groups: Sequence[str] | None = None) -> np.ndarray:
    """The number, from 0, of what each image is drawn with; arguments as in `resample`; shape (images,)."""
    if groups is None:
        return np.arange(images)
    named = [f"group {group}" if group else f"image {index}" for index, group in enumerate(groups)]
    numbers: np.ndarray = np.unique(named, return_inverse=True)[1]
    return numbers


def intervals(
    truths: Sequence[Truth],
    detections: Sequence[Detections],
    class_names: Sequence[str],
    weights: np.ndarray,
    metrics: Sequence[str] = ("paper", "kitti", "coco"),
    score_threshold: float = 0.7,
    level: float = LEVEL,
) -> dict[str, Any]:
    """Percentile intervals of the figures that `evaluate` gives.

    Args:
        truths: one an image, boxes in original pixels; with `names` for "kitti".
        detections: one an image in the same order, boxes in original pixels.
        class_names: names of classes 0, 1, ...
        weights: what `resample` returned.
        metrics: any of "paper", of which the one-to-one rates get intervals, "kitti", "coco".
        score_threshold: of the one-to-one rates.
        level: share of the replicates inside, 0-1.

    Returns:
        `{"one_to_one": {class: {"precision", "recall"}}, "kitti": {class: {difficulty: {"AP11", "AP40"}}}, "coco":
        {"all" or class: {"AP50", "AP"}}}`, each figure as [low, high] in the unit that `evaluate` has it in.
        Replicates without the figure (a rare class may be missing) are left out; None where too few have it.

    Raises:
        InputError: if a truth has no names and "kitti" is wanted.
    """
    values: dict[str, Any] = {}
    if "paper" in metrics:
        values["one_to_one"] = one_to_one_values(truths, detections, class_names, weights, score_threshold)
    if "kitti" in metrics:
        values["kitti"] = kitti_values(truths, detections, class_names, weights)
    if "coco" in metrics:
        values["coco"] = coco_values(truths, detections, class_names, weights)
    return limits(values, level)


def paired_difference(
    truths: Sequence[Truth],
    first: Sequence[Detections],
    second: Sequence[Detections],
    class_names: Sequence[str],
    weights: np.ndarray,
    level: float = LEVEL,
) -> dict[str, dict[str, dict[str, Any]]]:
    """How much better one detector's COCO figures are than another's on the same images.

    Each replicate judges both detectors on the same images. What is hard about an image is hard for both and cancels
    out, so the difference is known better than either figure: two detectors may differ although their own intervals
    overlap.

    Args:
        truths: one an image, boxes in original pixels.
        first: the detector in question, one an image, boxes in original pixels.
        second: the one it is compared with, likewise.
        class_names: names of classes 0, 1, ..., of both.
        weights: what `resample` returned.
        level: share of the replicates inside, 0-1.

    Returns:
        `{"all" or class in lower case: {"AP50" or "AP": {"difference", "interval"}}}`: first minus second on the images
        as they are, and [low, high] of the replicates; fractions in -1 to 1, None where there is no figure.
    """
    ours, theirs = (replicated(truths, found, class_names, weights) for found in (first, second))
    return mean_difference([ours], [theirs], level)


def replicated(
    truths: Sequence[Truth],
    detections: Sequence[Detections],
    class_names: Sequence[str],
    weights: np.ndarray,
    keys: Sequence[str] = ("AP50", "AP"),
) -> Values:
    """COCO's figures on the images as they are, and on each replicate.

    Args:
        truths: one an image, boxes in original pixels.
        detections: one an image in the same order, boxes in original pixels.
        class_names: names of classes 0, 1, ...
        weights: what `resample` returned, shape (r, n).
        keys: which figures; AP50 alone takes a tenth of the time.

    Returns:
        `{"all" or class in lower case: {"AP50", "AP"}}`, of these the keys, each of shape (1 + r,), the images as they
        are first.
    """
    whole = np.concatenate([np.ones_like(weights[:1]), weights])
    return coco_values(truths, detections, class_names, whole, keys)


def mean_difference(
    ours: Sequence[Values], theirs: Sequence[Values], level: float = LEVEL
) -> dict[str, dict[str, dict[str, Any]]]:
    """The difference of the means of several detectors, such as one recipe's with several seeds, on the same images.

    The interval says what other images would do, not what other seeds would.

    Args:
        ours: what `replicated` returned of each detector in question, at least one.
        theirs: of each that they are compared with, on the same replicates.
        level: share of the replicates inside, 0-1.

    Returns:
        As `paired_difference`.
    """
    result: dict[str, dict[str, dict[str, Any]]] = {}
    for name, figures in ours[0].items():
        result[name] = {}
        for key in figures:
            means = [np.mean([values[name][key] for values in side], axis=0) for side in (ours, theirs)]
            difference = means[0] - means[1]
            known = float(difference[0]) if np.isfinite(difference[0]) else None
            result[name][key] = {"difference": known, "interval": limits(difference[1:], level)}
    return result


def limits(values: Any, level: float = LEVEL) -> Any:
    """The middle of each figure's replicates.

    Args:
        values: arrays of replicates, in dicts as deep as they come.
        level: share of the replicates inside, 0-1.

    Returns:
        The same with [low, high] in place of each array, None where too few replicates have the figure.
    """
    if isinstance(values, dict):
        return {name: limits(value, level) for name, value in values.items()}
    known = values[np.isfinite(values)]
    if len(known) < MIN_SHARE * len(values):
        return None
    return np.quantile(known, [(1 - level) / 2, (1 + level) / 2]).tolist()
