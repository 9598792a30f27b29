"""Paper 003's precision and recall, by its Algorithm 1 to the letter.

It is kept for comparison with the paper's table. It counts every duplicate of a detection as a true positive and takes
a true box for matched at any overlap, so `one_to_one` prints the usual figures beside it.
"""

from collections.abc import Sequence

import numpy as np

from data_tools.boxes import iou
from yolo_prune.records import DONT_CARE, Detections, Truth

Rates = dict[str, float | int | None]

MIN_IOU = 0.5


def algorithm_1(
    truths: Sequence[Truth],
    detections: Sequence[Detections],
    class_names: Sequence[str],
    score_threshold: float = 0.7,
) -> dict[str, Rates]:
    """Precision and recall of each class over all images.

    The paper writes the algorithm for one image and leaves open which boxes it runs over. The reading here, for a class
    c: the predicted boxes are those of class c that score at least the threshold; the true boxes among which a
    predicted box finds its best are those of **all** classes (the algorithm asks whether `true_class_k == class`),
    without DontCare regions, which are no objects; false negatives are the true boxes **of class c** that no predicted
    box of class c has as its best. A predicted box that overlaps nothing has the first true box as its best, as
    `argmax` of equal numbers goes, and in an image without true boxes it is a false positive.

    Args:
        truths: one an image, boxes in original pixels.
        detections: one an image in the same order, boxes in original pixels.
        class_names: names of classes 0, 1, ...
        score_threshold: detections that score less are left out; the paper's is .7.

    Returns:
        `{class in lower case: {"precision", "recall", "tp", "fp", "fn"}}`; precision is None where nothing was
        predicted, recall where tp + fn is 0. tp counts predictions, so tp + fn can exceed the number of true boxes.

    Source: paper 003, section 5.1.2, Algorithm 1.
    """
    counts = np.zeros((len(class_names), 3), np.int64)
    for truth, found in zip(truths, detections, strict=True):
        objects = truth.classes != DONT_CARE
        counts += _count(
            truth.boxes[objects], truth.classes[objects], found.take(found.scores >= score_threshold), counts
        )
    return {name.lower(): rates(*row) for name, row in zip(class_names, counts.tolist(), strict=True)}


def _count(boxes: np.ndarray, classes: np.ndarray, found: Detections, counts: np.ndarray) -> np.ndarray:
    """True positives, false positives and false negatives of one image, shape (classes, 3)."""
    result = np.zeros_like(counts)
    if len(boxes) == 0:
        np.add.at(result[:, 1], found.classes, 1)
        return result
    overlaps = iou(found.boxes.astype(np.float64), boxes.astype(np.float64))
    best = overlaps.argmax(axis=1)
    true = (classes[best] == found.classes) & (overlaps[np.arange(len(found)), best] > MIN_IOU)
    np.add.at(result[:, 0], found.classes[true], 1)
    np.add.at(result[:, 1], found.classes[~true], 1)
    matched = np.zeros((len(counts), len(boxes)), bool)  # by predicted boxes of which class
    matched[found.classes, best] = True
    missed = ~matched[classes, np.arange(len(boxes))]
    np.add.at(result[:, 2], classes[missed], 1)
    return result


def rates(tp: int, fp: int, fn: int) -> Rates:
    """Precision and recall from counts.

    Args:
        tp: true positives.
        fp: false positives.
        fn: false negatives.

    Returns:
        `{"precision", "recall", "tp", "fp", "fn"}`; a ratio of nothing to nothing is None, which JSON can hold.
    """
    precision = tp / (tp + fp) if tp + fp else None
    recall = tp / (tp + fn) if tp + fn else None
    return {"precision": precision, "recall": recall, "tp": int(tp), "fp": int(fp), "fn": int(fn)}
