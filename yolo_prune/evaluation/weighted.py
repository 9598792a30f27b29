"""COCO's AP and the one-to-one rates of resampled images, without matching anything again.

A resampled set holds image i `weights[i]` times. What is matched in an image does not depend on the other images, so a
detection counts as often as its image occurs, and only sums and ranks have to be made anew. `kitti_weighted` does the
same for KITTI's metric.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from yolo_prune.evaluation import coco
from yolo_prune.evaluation.one_to_one import assign
from yolo_prune.records import Detections, Truth

Values = dict[str, dict[str, np.ndarray]]

RECALLS = np.linspace(0, 1, 101)
CELLS = 4_000_000
"""Weights unfolded at a time, one for each replicate and detection: bounds the memory."""


@dataclass(frozen=True, eq=False)
class Ranked:
    """All detections of one class by descending score, as pycocotools matched them.

    Args:
        images: index of each detection's image, shape (d,).
        kept: whether it counts at all, for each IoU: one that took a crowd region does not; bool, shape (t, d).
        hits: whether it counts and found a true box, bool, shape (t, d).
        true: number of true boxes of the class in each image, shape (n,).
    """

    images: np.ndarray
    kept: np.ndarray
    hits: np.ndarray
    true: np.ndarray

    def average_precision(self, weights: np.ndarray) -> np.ndarray:
        """AP of each replicate at each IoU.

        Args:
            weights: how often each replicate holds each image, int, shape (r, n).

        Returns:
            float64, shape (r, t), in 0-1; NaN where a replicate holds no true box of the class.
        """
        totals = weights @ self.true
        result = np.zeros((len(weights), len(self.hits)))
        for part in parts(len(weights), len(self.images)):
            needed = _hits_needed(totals[part])
            unfolded = weights[part][:, self.images]
            for k, (hits, kept) in enumerate(zip(self.hits, self.kept, strict=True)):
                result[part, k] = _area(unfolded, hits, kept, needed)
        result[totals == 0] = np.nan
        return result


def parts(replicates: int, width: int) -> Iterator[slice]:
    """Slices of the replicates that bound the memory of what they unfold to.

    Args:
        replicates: how many.
        width: numbers that each unfolds to, from 0.

    Returns:
        Slices in order, each of at most `CELLS` numbers, or of one replicate.
    """
    step = max(1, CELLS // max(1, width))
    return (slice(start, start + step) for start in range(0, replicates, step))


def _hits_needed(totals: np.ndarray) -> np.ndarray:
    """Least number of hits whose recall reaches 0, .01, ..., 1, as floats compare; shape (r, 101)."""
    whole = np.maximum(totals, 1)[:, None]
    guess = np.ceil(RECALLS * whole)
    guess = np.where((guess - 1) / whole >= RECALLS, guess - 1, guess)
    return np.where(guess / whole >= RECALLS, guess, guess + 1).astype(np.int64)


def _area(weights: np.ndarray, hits: np.ndarray, kept: np.ndarray, needed: np.ndarray) -> np.ndarray:
    """Mean of the precisions at the 101 recalls, shape (r,).

    Args:
        weights: of each detection in each replicate, shape (r, d).
        hits: of one IoU, shape (d,).
        kept: likewise.
        needed: hits at each recall, shape (r, 101).
    """
    columns = np.flatnonzero(hits)  # only there recall rises, so no other point is ever asked for
    if not len(columns):
        return np.zeros(len(weights))
    tp = np.cumsum(weights[:, columns], axis=1, dtype=np.int64)
    counted = np.cumsum(weights[:, kept], axis=1, dtype=np.int64)[:, np.cumsum(kept)[columns] - 1]
    precision = np.zeros((len(weights), len(columns) + 1))  # one more: beyond the highest recall
    precision[:, :-1] = tp / (counted + np.spacing(1))  # pycocotools' own guard against 0 / 0
    precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    return np.take_along_axis(precision, first_reaching(tp, needed), axis=1).mean(axis=1)


def first_reaching(rising: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """In each row, the first column that reaches each wanted number.

    Args:
        rising: whole numbers from 0 up that never fall along a row, shape (r, c), c at least 1.
        wanted: whole numbers from 0 up, shape (r, w).

    Returns:
        Indices 0 to c, c where no column reaches it; shape (r, w).
    """
    # One search for all rows: each row's numbers lie above those of the row before.
    lift = np.arange(len(rising))[:, None] * (max(int(rising.max()), int(wanted.max())) + 1)
    found = np.searchsorted((rising + lift).ravel(), wanted + lift)
    indices: np.ndarray = found - np.arange(len(rising))[:, None] * rising.shape[1]
    return indices


def ranked(truths: Sequence[Truth], detections: Sequence[Detections], classes: int) -> list[Ranked]:
    """Each class's detections with pycocotools' matches at IoU .50, .55, ..., .95.

    Args:
        truths: one an image, boxes in original pixels.
        detections: one an image in the same order, boxes in original pixels.
        classes: how many.
    """
    matched = coco.run(truths, detections, classes, areas=1).evalImgs
    return [_ranked(matched[k * len(truths) : (k + 1) * len(truths)]) for k in range(classes)]


def _ranked(matched: Sequence[dict | None]) -> Ranked:
    """One class's images, those without anything of the class being None."""
    known = [(index, image) for index, image in enumerate(matched) if image is not None]
    true = np.zeros(len(matched), np.int64)
    ious = len(coco.IOUS)
    images, scores = [np.zeros(0, np.int64)], [np.zeros(0)]
    found, ignored = [np.zeros((ious, 0), bool)], [np.zeros((ious, 0), bool)]
    for index, image in known:
        true[index] = np.count_nonzero(np.asarray(image["gtIgnore"]) == 0)
        images.append(np.full(len(image["dtScores"]), index))
        scores.append(np.asarray(image["dtScores"], np.float64))
        found.append(image["dtMatches"] > 0)
        ignored.append(image["dtIgnore"].astype(bool))
    order = np.argsort(-np.concatenate(scores), kind="mergesort")
    kept = ~np.concatenate(ignored, axis=1)[:, order]
    return Ranked(np.concatenate(images)[order], kept, np.concatenate(found, axis=1)[:, order] & kept, true)


def coco_values(
    truths: Sequence[Truth],
    detections: Sequence[Detections],
    class_names: Sequence[str],
    weights: np.ndarray,
    keys: Sequence[str] = ("AP50", "AP"),
) -> Values:
    """COCO's AP of each replicate.

    Args:
        truths: one an image, boxes in original pixels.
        detections: one an image in the same order, boxes in original pixels.
        class_names: names of classes 0, 1, ...
        weights: how often each replicate holds each image, int, shape (r, n).
        keys: which figures; AP50 alone takes a tenth of the time.

    Returns:
        `{"all" or class in lower case: {"AP50", "AP"}}`, of these the keys, each of shape (r,), 0-1; NaN in a replicate
        without true boxes of the class. "all" is the mean over the classes that the images as they are have; NaN in a
        replicate that lacks one of them, because a mean over other classes is another figure.
    """
    every = ranked(truths, detections, len(class_names))
    values = {}
    for name, entry in zip(class_names, every, strict=True):
        if "AP" not in keys:
            entry = replace(entry, kept=entry.kept[:1], hits=entry.hits[:1])
        ap = entry.average_precision(weights)
        both = {"AP50": ap[:, 0], "AP": ap.mean(axis=1)}
        values[name.lower()] = {key: both[key] for key in keys}
    present = [values[name.lower()] for name, entry in zip(class_names, every, strict=True) if entry.true.any()]
    nothing = np.full(len(weights), np.nan)
    whole = {key: np.mean([row[key] for row in present], axis=0) if present else nothing for key in keys}
    return {"all": whole} | values


def one_to_one_values(
    truths: Sequence[Truth],
    detections: Sequence[Detections],
    class_names: Sequence[str],
    weights: np.ndarray,
    score_threshold: float,
) -> Values:
    """Precision and recall of each replicate, with each true box found at most once.

    Args:
        truths: one an image, boxes in original pixels.
        detections: one an image in the same order, boxes in original pixels.
        class_names: names of classes 0, 1, ...
        weights: how often each replicate holds each image, int, shape (r, n).
        score_threshold: detections that score less are left out.

    Returns:
        `{class in lower case: {"precision", "recall"}}`, each of shape (r,), 0-1; NaN for nothing of nothing.
    """
    hits, counted, true = one_to_one_counts(truths, detections, len(class_names), weights, score_threshold)
    with np.errstate(invalid="ignore"):
        precision, recall = hits / counted, hits / true
    return {name.lower(): {"precision": precision[:, k], "recall": recall[:, k]} for k, name in enumerate(class_names)}


def one_to_one_counts(
    truths: Sequence[Truth],
    detections: Sequence[Detections],
    classes: int,
    weights: np.ndarray,
    score_threshold: float,
) -> np.ndarray:
    """What `one_to_one_values` divides.

    Args:
        truths: as there.
        detections: as there.
        classes: how many.
        weights: as there.
        score_threshold: as there.

    Returns:
        Hits, detections that count, and true boxes, float64 (3, r, classes).
    """
    counts = np.zeros((3, len(truths), classes))  # hits, all that count, true boxes
    for index, (truth, found) in enumerate(zip(truths, detections, strict=True)):
        image = assign(truth, found)
        counted = (image.found.scores >= score_threshold) & ~image.ignored
        for row, chosen in enumerate((counted & (image.partners >= 0), counted)):
            counts[row, index] = np.bincount(image.found.classes[chosen], minlength=classes)
        counts[2, index] = np.bincount(truth.classes[truth.classes >= 0], minlength=classes)
    return np.asarray(weights @ counts)
