"""Precision and recall with each true box found at most once, the reading everybody else uses.

Detections are taken by descending score; each claims the unclaimed true box of its class that it overlaps most, if
their IoU exceeds .5. One that claims nothing but lies mostly (over half of its own area) in a DontCare region is
ignored. A detection never depends on those that score less, so one matching serves every score threshold: `Matching`
keeps it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from data_tools.boxes import coverage, iou
from yolo_prune.evaluation.paper import MIN_IOU, Rates, rates
from yolo_prune.records import DONT_CARE, Detections, Truth

MIN_COVERAGE = 0.5


@dataclass(frozen=True, eq=False)
class Matching:
    """Every detection of one class over all images, best first.

    Args:
        scores: descending, float32, shape (k,); ignored detections are left out.
        hits: whether the detection claimed a true box, bool, shape (k,).
        total: number of true boxes of the class.
    """

    scores: np.ndarray
    hits: np.ndarray
    total: int

    def at(self, score_threshold: float) -> Rates:
        """Precision, recall and counts of the detections that score at least `score_threshold`."""
        kept = self.hits[self.scores >= score_threshold]
        found = int(kept.sum())
        return rates(found, len(kept) - found, self.total - found)

    def curve(self) -> dict[str, np.ndarray]:
        """Precision and recall at each score that occurs, from the highest threshold to the lowest.

        Returns:
            `{"score", "precision", "recall", "f1"}`, float64, all of the same length; recall and f1 are NaN without
            true boxes.
        """
        ends = np.flatnonzero(np.diff(self.scores, append=-np.inf))  # equal scores pass a threshold together
        found = np.cumsum(self.hits)[ends].astype(np.float64)
        kept = ends + 1.0
        with np.errstate(invalid="ignore"):
            recall = found / self.total if self.total else np.full(len(found), np.nan)
            f1 = 2 * found / (kept + self.total) if self.total else recall
        return {"score": self.scores[ends].astype(np.float64), "precision": found / kept, "recall": recall, "f1": f1}

    def best(self) -> Rates:
        """The score threshold of highest F1 (the highest such threshold) with its rates.

        Returns:
            `{"score_threshold", "f1", "precision", "recall", "tp", "fp", "fn"}`; the first two are None where there is
            no detection or no true box.
        """
        curve = self.curve()
        if not self.total or not len(curve["score"]):
            return {"score_threshold": None, "f1": None} | self.at(np.inf)
        k = int(np.argmax(curve["f1"]))
        threshold = float(curve["score"][k])
        return {"score_threshold": threshold, "f1": float(curve["f1"][k])} | self.at(threshold)


@dataclass(frozen=True, eq=False)
class Assignment:
    """Who claimed what in one image.

    Args:
        found: the detections by descending score.
        partners: index of the true box of its class that each claimed, -1 for none, shape (k,).
        ignored: whether a detection that claimed nothing lies mostly in a DontCare region, bool, shape (k,).
    """

    found: Detections
    partners: np.ndarray
    ignored: np.ndarray


def one_to_one(
    truths: Sequence[Truth],
    detections: Sequence[Detections],
    class_names: Sequence[str],
    score_threshold: float = 0.7,
) -> dict[str, Rates]:
    """Precision and recall of each class over all images at one score threshold.

    Args:
        truths: one an image, boxes in original pixels.
        detections: one an image in the same order, boxes in original pixels.
        class_names: names of classes 0, 1, ...
        score_threshold: detections that score less are left out.

    Returns:
        `{class in lower case: {"precision", "recall", "tp", "fp", "fn"}}`, tp + fn being the number of true boxes;
        precision is None where nothing was predicted, recall where there is no true box.
    """
    return {name: found.at(score_threshold) for name, found in matchings(truths, detections, class_names).items()}


def matchings(
    truths: Sequence[Truth], detections: Sequence[Detections], class_names: Sequence[str]
) -> dict[str, Matching]:
    """The one-to-one matching of each class, from which curves and best thresholds follow.

    Args:
        truths: one an image, boxes in original pixels.
        detections: one an image in the same order, boxes in original pixels.
        class_names: names of classes 0, 1, ...

    Returns:
        `{class in lower case: Matching}`.
    """
    images = [assign(truth, found) for truth, found in zip(truths, detections, strict=True)]
    scores = np.concatenate([image.found.scores[~image.ignored] for image in images])
    classes = np.concatenate([image.found.classes[~image.ignored] for image in images])
    hits = np.concatenate([image.partners[~image.ignored] >= 0 for image in images])
    order = np.argsort(-scores, kind="stable")
    scores, classes, hits = scores[order], classes[order], hits[order]
    true_classes = np.concatenate([truth.classes for truth in truths])
    return {
        name.lower(): Matching(scores[classes == k], hits[classes == k], int((true_classes == k).sum()))
        for k, name in enumerate(class_names)
    }


def assign(truth: Truth, found: Detections) -> Assignment:
    """Which true box each detection of an image claims.

    Args:
        truth: boxes in original pixels.
        found: boxes in original pixels.

    Returns:
        The assignment; it holds for any score threshold, since who scores less changes nothing.
    """
    found = found.take(np.argsort(-found.scores, kind="stable"))
    boxes, true_boxes = found.boxes.astype(np.float64), truth.boxes.astype(np.float64)
    partners = claim(np.where(found.classes[:, None] == truth.classes, iou(boxes, true_boxes), 0.0))
    regions = true_boxes[truth.classes == DONT_CARE]
    return Assignment(found, partners, (partners < 0) & (coverage(boxes, regions) > MIN_COVERAGE).any(axis=1))


def claim(overlaps: np.ndarray) -> np.ndarray:
    """Row by row, the column of highest overlap that no row before took.

    Args:
        overlaps: IoU, shape (rows, columns).

    Returns:
        The column of each row, -1 for one that overlaps no free column by more than .5; int64, shape (rows,).
    """
    free, partners = overlaps.copy(), np.full(len(overlaps), -1)
    for row in np.flatnonzero((overlaps > MIN_IOU).any(axis=1)):
        column = int(free[row].argmax())
        if free[row, column] > MIN_IOU:
            partners[row] = column
            free[:, column] = 0.0
    return partners
