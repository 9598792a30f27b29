"""What became of every box at one score threshold: found, mistaken for another class, missed, or made up.

The assignment is that of `one_to_one`, so its counts are these: a class's true positives lie on the diagonal of the
confusion matrix, its false positives in the rest of its column, its false negatives in the rest of its row. What one of
its classes left over is then matched across classes, again with an IoU above .5 and by descending score: a car called
a truck is one mistake with two names instead of a miss and a phantom.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from data_tools.boxes import iou
from yolo_prune.evaluation.one_to_one import assign, claim
from yolo_prune.records import DONT_CARE, Detections, Truth

BACKGROUND = "background"


@dataclass(frozen=True, eq=False)
class Outcome:
    """One image at one score threshold.

    Args:
        found: the detections that score enough, by descending score, without those in DontCare regions, which are
            neither right nor wrong.
        partners: index of the true box that each stands on, of its own class or another; -1 for none; shape (k,).
        right: whether that box is of its class, bool, shape (k,).
        missed: indices of the true boxes that no detection of their class found, shape (m,).
    """

    found: Detections
    partners: np.ndarray
    right: np.ndarray
    missed: np.ndarray

    @property
    def mistakes(self) -> int:
        """False positives and false negatives; a box called by a wrong name is one of each."""
        return int((~self.right).sum()) + len(self.missed)


def outcome(truth: Truth, found: Detections, score_threshold: float) -> Outcome:
    """What became of the boxes of one image.

    Args:
        truth: boxes in original pixels.
        found: boxes in original pixels.
        score_threshold: detections that score less are left out.
    """
    image = assign(truth, found)
    kept = (image.found.scores >= score_threshold) & ~image.ignored
    detections, partners = image.found.take(kept), image.partners[kept]
    right = partners >= 0
    free = truth.classes != DONT_CARE
    free[partners[right]] = False
    missed = np.flatnonzero(free)
    rest = np.flatnonzero(~right)
    claimed = claim(iou(detections.boxes[rest].astype(np.float64), truth.boxes[missed].astype(np.float64)))
    partners[rest[claimed >= 0]] = missed[claimed[claimed >= 0]]
    return Outcome(detections, partners, right, missed)


def outcomes(truths: Sequence[Truth], detections: Sequence[Detections], score_threshold: float) -> list[Outcome]:
    """`outcome` of each image.

    Args:
        truths: one an image, boxes in original pixels.
        detections: one an image in the same order, boxes in original pixels.
        score_threshold: detections that score less are left out.
    """
    return [outcome(truth, found, score_threshold) for truth, found in zip(truths, detections, strict=True)]


def confusion(truths: Sequence[Truth], results: Sequence[Outcome], classes: int) -> np.ndarray:
    """How often a box of each class was called what.

    Args:
        truths: one an image.
        results: what `outcomes` returned for them.
        classes: how many.

    Returns:
        int64, shape (classes + 1, classes + 1). Row: the true class, column: the one it was called; the last row counts
        detections of nothing, the last column boxes that no detection stands on. Row k sums to the class's true boxes,
        column k to its detections; the last corner is 0.
    """
    matrix = np.zeros((classes + 1, classes + 1), np.int64)
    for truth, result in zip(truths, results, strict=True):
        true = np.append(truth.classes, classes)[result.partners]  # -1, no partner: the background
        np.add.at(matrix, (true, result.found.classes), 1)
        unseen = np.setdiff1d(result.missed, result.partners)
        np.add.at(matrix, (truth.classes[unseen], classes), 1)
    return matrix


def worst(results: Sequence[Outcome], count: int) -> list[int]:
    """The images with the most mistakes.

    Args:
        results: one an image.
        count: at most so many.

    Returns:
        Indices, worst first, the earlier first among equals; images without a mistake are left out.
    """
    mistakes = np.array([result.mistakes for result in results])
    order = np.argsort(-mistakes, kind="stable")[:count]
    return [int(index) for index in order if mistakes[index]]
