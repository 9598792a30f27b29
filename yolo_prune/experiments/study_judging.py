"""What a study asks of each of its detectors, and how far that may be off."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from data_tools.store import Store
from yolo_prune.class_map import ClassSet, lookup_of
from yolo_prune.detector import YoloV2
from yolo_prune.evaluation import bootstrap, evaluate
from yolo_prune.evaluation.paper import rates
from yolo_prune.evaluation.weighted import Values, one_to_one_counts
from yolo_prune.monitor import MIN_BOXES
from yolo_prune.predict import predictions, truths
from yolo_prune.records import Detections, Truth

ALL = "all"
"""Stands for all classes in `Values`."""


def judge(
    model: YoloV2, store: Store, split: str, classes: ClassSet, score: float, weights: np.ndarray | None
) -> tuple[dict[str, Any], Values]:
    """Judges a detector on a split.

    Args:
        model: the detector.
        store: the data.
        split: of it.
        classes: of the head.
        score: least score of precision and recall, in 0-1.
        weights: what `bootstrap.resample` returned; None: no resamples are wanted.

    Returns:
        `({"AP50", "precision", "recall", "by_class": {class: {"AP50", "precision", "recall", "boxes"}}}, values)`. AP50
        is the mean over the classes with at least 50 true boxes (all, where none has), those of `by_class`; precision
        and recall, one-to-one, are over all boxes together; None where there is no figure. The values are those of
        `figures`, none without resamples.
    """
    true = truths(store, split, lookup_of(classes, store))
    found = list(predictions(model, store[split], progress=True))
    judged = evaluate(true, found, classes.names, ("paper", "coco"), score)
    matched = judged["one_to_one"]
    boxes = {name: row["tp"] + row["fn"] for name, row in matched.items()}
    least = MIN_BOXES if max(boxes.values()) >= MIN_BOXES else 1
    by_class = {
        name: {
            "AP50": judged["coco"][name]["AP50"],
            "boxes": count,
            "precision": matched[name]["precision"],
            "recall": matched[name]["recall"],
        }
        for name, count in boxes.items()
        if count >= least
    }
    together = rates(*(sum(row[key] for row in matched.values()) for key in ("tp", "fp", "fn")))
    row = {
        "AP50": float(np.mean([each["AP50"] for each in by_class.values()])) if by_class else None,
        "precision": together["precision"],
        "recall": together["recall"],
        "by_class": by_class,
    }
    if weights is None:
        return row, {}
    return row, figures(true, found, classes.names, list(by_class), weights, score)


def figures(
    true: Sequence[Truth],
    found: Sequence[Detections],
    names: Sequence[str],
    shown: Sequence[str],
    weights: np.ndarray,
    score: float,
) -> Values:
    """The figures of `judge` on the images as they are, and on each resample.

    Args:
        true: one an image, boxes in original pixels.
        found: likewise.
        names: of classes 0, 1, ...
        shown: lower-case names of those whose AP50 counts.
        weights: what `bootstrap.resample` returned, (r, n).
        score: least score of precision and recall.

    Returns:
        `{"all": {"AP50", "precision", "recall"}, class: {"AP50"}}`, each of shape (1 + r,), the images as they are
        first; NaN where a resample has no such figure.
    """
    whole = np.concatenate([np.ones_like(weights[:1]), weights])
    by_class = bootstrap.replicated(true, found, names, weights, ("AP50",))
    hits, counted, boxes = one_to_one_counts(true, found, len(names), whole, score).sum(axis=2)
    nothing = np.full(len(whole), np.nan)
    with np.errstate(invalid="ignore"):
        together = {"precision": hits / counted, "recall": hits / boxes}
    mean = np.mean([by_class[name]["AP50"] for name in shown], axis=0) if shown else nothing
    return {ALL: {"AP50": mean, **together}} | {name: by_class[name] for name in shown}


def uncertainty(values: Values, reference: Values) -> dict[str, Any]:
    """Intervals of a detector's figures, and how they differ from those of another on the same resamples.

    Args:
        values: what `figures` returned of it.
        reference: of the other.

    Returns:
        `{"intervals": {"all" or class: {figure: [low, high] or None}}, "against": {"all" or class: {figure:
        {"difference", "interval"}}}}`.
    """
    resampled = {name: {key: array[1:] for key, array in row.items()} for name, row in values.items()}
    return {
        "intervals": bootstrap.limits(resampled),
        "against": bootstrap.mean_difference([values], [reference]),
    }
