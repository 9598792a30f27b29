"""How good are the detections: paper 003's figures, KITTI's and COCO's, on plain arrays.

`evaluate` runs them all and returns what `yolo-prune evaluate --json` writes; `table` prints it for people.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from run_tools.errors import InputError, unknown_name
from yolo_prune.evaluation import coco, kitti, one_to_one, paper
from yolo_prune.evaluation.coco import ap50
from yolo_prune.evaluation.tables import table
from yolo_prune.records import Detections, Truth

METRICS = ("paper", "kitti", "coco")

__all__ = ["METRICS", "ap50", "check", "coco", "evaluate", "kitti", "one_to_one", "paper", "table"]


def evaluate(
    truths: Sequence[Truth],
    detections: Sequence[Detections],
    class_names: Sequence[str],
    metrics: Sequence[str] = METRICS,
    score_threshold: float = 0.7,
) -> dict[str, Any]:
    """Every metric asked for.

    Args:
        truths: one an image, boxes in original pixels; with `names` if the KITTI metric is wanted.
        detections: one an image in the same order, boxes in original pixels, scores from .005 up.
        class_names: names of classes 0, 1, ...
        metrics: any of "paper" (with which comes "one_to_one"), "kitti", "coco".
        score_threshold: of "paper" and "one_to_one"; the paper's is .7.

    Returns:
        `{"paper" and "one_to_one": {class: {"precision", "recall", "tp", "fp", "fn"}}, "kitti": {class: {difficulty:
        {"AP11", "AP40"}}}, "coco": {"all" or class: {"AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large"}}}`;
        fractions in 0-1, `kitti` in percent, class names in lower case, None where a figure does not exist.

    Raises:
        InputError: for an unknown metric, records that do not belong together, or missing KITTI names.
    """
    for metric in metrics:
        if metric not in METRICS:
            raise unknown_name("metric", metric, METRICS)
    check(truths, detections, class_names)
    result: dict[str, Any] = {}
    if "paper" in metrics:
        result["paper"] = paper.algorithm_1(truths, detections, class_names, score_threshold)
        result["one_to_one"] = one_to_one.one_to_one(truths, detections, class_names, score_threshold)
    if "kitti" in metrics:
        result["kitti"] = kitti.kitti(truths, detections, class_names)
    if "coco" in metrics:
        result["coco"] = coco.coco(truths, detections, class_names)
    return result


def check(truths: Sequence[Truth], detections: Sequence[Detections], class_names: Sequence[str]) -> None:
    """Refuses records that do not belong together.

    Args:
        truths: one an image.
        detections: one an image.
        class_names: names of classes 0, 1, ...

    Raises:
        InputError: if there is no image, the numbers of images differ, a class has no name or a number is not finite.
    """
    if not truths or len(truths) != len(detections):
        raise InputError(
            f"{len(truths)} images with true boxes and {len(detections)} with detections",
            "the same images in both, at least one",
            "evaluate one split with its own detections",
        )
    for index, (truth, found) in enumerate(zip(truths, detections, strict=True)):
        for kind, classes, lowest in (("true", truth.classes, -1), ("detected", found.classes, 0)):
            if len(classes) and not lowest <= classes.min() <= classes.max() < len(class_names):
                raise InputError(
                    f"{kind} classes {classes.min()} to {classes.max()} in image {index}",
                    f"classes {lowest} to {len(class_names) - 1}, as there are {len(class_names)} names",
                    "use the class set the records were made with",
                )
        if not (np.isfinite(found.boxes).all() and np.isfinite(found.scores).all()):
            raise InputError(f"detections that are not finite in image {index}", "numbers", "check the model's weights")
