"""COCO average precision, computed by pycocotools on boxes in original pixels.

Each DontCare region (class -1) becomes a crowd region of every class: a detection that matches nothing else but lies in
it is not a false positive. `coco` gives the six headline figures, `ap50` only the one at IoU .5 and is cheap enough to
run after every epoch.
"""

import contextlib
import io
from collections.abc import Sequence

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from yolo_prune.records import DONT_CARE, Detections, Truth

MAX_DETECTIONS = 100
IOUS = tuple(np.linspace(0.5, 0.95, 10).tolist())
AREAS = ("all", "small", "medium", "large")  # the order of pycocotools' areaRng: < 32², 32²-96², > 96² pixels

Annotation = dict[str, object]


def coco(
    truths: Sequence[Truth], detections: Sequence[Detections], class_names: Sequence[str]
) -> dict[str, dict[str, float | None]]:
    """COCO metrics of every class and of all.

    Args:
        truths: one an image, boxes in original pixels.
        detections: one an image in the same order, boxes in original pixels; pycocotools takes the 100 best of an image
            and class.
        class_names: names of classes 0, 1, ...

    Returns:
        `{"all" or class in lower case: {"AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large"}}`, fractions in 0-1.
        None where there is no true box (of that size). "all" is the mean over the classes that have one.

    Source: pycocotools; AP is the mean over IoU .50:.05:.95 and 101 recalls.
    """
    evaluation = run(truths, detections, len(class_names))
    precision, thresholds = _precision(evaluation), evaluation.params.iouThrs
    at = {percent: int(np.argmin(np.abs(thresholds - percent / 100))) for percent in (50, 75)}
    views = {"AP": precision[..., 0], "AP50": precision[at[50], ..., 0], "AP75": precision[at[75], ..., 0]}
    views |= {f"AP_{area}": precision[..., AREAS.index(area)] for area in AREAS[1:]}
    named = {"all": slice(None)} | {name.lower(): slice(k, k + 1) for k, name in enumerate(class_names)}
    return {name: {key: _mean(view[..., part]) for key, view in views.items()} for name, part in named.items()}


def ap50(
    truths: Sequence[Truth], detections: Sequence[Detections], class_names: Sequence[str]
) -> dict[str, float | None]:
    """Average precision at IoU .5 alone: what `coco` calls AP50, at a small part of the time.

    Args:
        truths: one an image, boxes in original pixels.
        detections: one an image in the same order, boxes in original pixels.
        class_names: names of classes 0, 1, ...

    Returns:
        `{"all" or class in lower case: AP50}`, fractions in 0-1; None where there is no true box.
    """
    precision = curves(truths, detections, class_names)
    return {"all": _mean(precision)} | {name.lower(): _mean(precision[k]) for k, name in enumerate(class_names)}


def curves(truths: Sequence[Truth], detections: Sequence[Detections], class_names: Sequence[str]) -> np.ndarray:
    """Precision against recall at IoU .5, of which `ap50` gives the means.

    Args:
        truths: one an image, boxes in original pixels.
        detections: one an image in the same order, boxes in original pixels.
        class_names: names of classes 0, 1, ...

    Returns:
        float64, shape (classes, 101): for recalls 0, .01, ..., 1 the highest precision, 0-1, at any recall of at least
        that. 0 beyond the highest recall reached; -1 for a class without true boxes.
    """
    return _precision(run(truths, detections, len(class_names), ious=(0.5,), areas=1))[0, ..., 0].T


def _mean(precision: np.ndarray) -> float | None:
    """Mean of the precisions that exist; pycocotools marks classes without true boxes with -1."""
    known = precision[precision > -1]
    return float(known.mean()) if known.size else None


def _precision(evaluation: COCOeval) -> np.ndarray:
    """Precision, shape (IoUs, recalls, classes, areas)."""
    precision: np.ndarray = evaluation.eval["precision"]
    return precision[..., 0]


def run(
    truths: Sequence[Truth],
    detections: Sequence[Detections],
    classes: int,
    ious: Sequence[float] = IOUS,
    areas: int = len(AREAS),
) -> COCOeval:
    """What pycocotools makes of the boxes.

    Args:
        truths: one an image.
        detections: one an image in the same order.
        classes: how many.
        ious: thresholds.
        areas: how many of `AREAS`, from the first.

    Returns:
        The evaluation, with `evalImgs` (matches by class, area and image) and `eval` filled.
    """
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools reports its progress by print
        evaluation = COCOeval(_truth_set(truths, classes), _detection_set(detections, classes), "bbox")
        evaluation.params.imgIds = list(range(1, len(truths) + 1))
        evaluation.params.catIds = list(range(1, classes + 1))
        evaluation.params.maxDets = [MAX_DETECTIONS]
        evaluation.params.areaRng, evaluation.params.areaRngLbl = evaluation.params.areaRng[:areas], list(AREAS[:areas])
        evaluation.params.iouThrs = np.array(ious)
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation


def _truth_set(truths: Sequence[Truth], classes: int) -> COCO:
    annotations: list[Annotation] = []
    for image, truth in enumerate(truths, start=1):
        for box, class_index in zip(truth.boxes.tolist(), truth.classes.tolist(), strict=True):
            crowd = class_index == DONT_CARE
            for category in range(classes) if crowd else (class_index,):
                annotations.append(_annotation(len(annotations), image, category, box) | {"iscrowd": int(crowd)})
    return _indexed(annotations, len(truths), classes)


def _detection_set(detections: Sequence[Detections], classes: int) -> COCO:
    annotations: list[Annotation] = []
    for image, found in enumerate(detections, start=1):
        for box, score, class_index in zip(
            found.boxes.tolist(), found.scores.tolist(), found.classes.tolist(), strict=True
        ):
            annotations.append(_annotation(len(annotations), image, class_index, box) | {"score": score})
    return _indexed(annotations, len(detections), classes)


def _annotation(count: int, image: int, category: int, box: list[float]) -> Annotation:
    """One box in COCO's form; ids count from 1 because pycocotools reads a matched id of 0 as unmatched."""
    left, top, right, bottom = box
    width, height = max(right - left, 0.0), max(bottom - top, 0.0)  # of a negative area pycocotools would make nothing
    return {
        "id": count + 1,
        "image_id": image,
        "category_id": category + 1,
        "bbox": [left, top, width, height],
        "area": width * height,
        "iscrowd": 0,
    }


def _indexed(annotations: list[Annotation], images: int, classes: int) -> COCO:
    data = COCO()
    data.dataset = {
        "images": [{"id": image} for image in range(1, images + 1)],
        "categories": [{"id": category} for category in range(1, classes + 1)],
        "annotations": annotations,
    }
    data.createIndex()
    return data
