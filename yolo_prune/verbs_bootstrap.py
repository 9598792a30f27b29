"""The part of `evaluate` that says how far its figures may be off, and compares two detectors."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from data_tools.store import SplitView
from run_tools.errors import InputError
from yolo_prune.class_map import ClassSet
from yolo_prune.detector import YoloV2
from yolo_prune.evaluation import bootstrap
from yolo_prune.models import load_detector
from yolo_prune.options import EvaluateConfig
from yolo_prune.predict import predictions
from yolo_prune.records import Detections, Truth


def resamples(options: EvaluateConfig, view: SplitView) -> np.ndarray | None:
    """How often each replicate holds each image; None where no intervals are wanted.

    Raises:
        InputError: if drives are wanted and unknown, or there are fewer than two images or drives.
    """
    if not options.bootstrap and options.against is None:
        return None
    if options.bootstrap_by == "drive" and view.groups is None:
        raise InputError(
            f"--bootstrap-by drive for {options.data}, which does not know its drives",
            "a file whose data set tells the drive of each image",
            "use --bootstrap-by image",
        )
    replicates = options.bootstrap or bootstrap.REPLICATES
    return bootstrap.resample(len(view), replicates, options.seed, _groups(options, view))


def _groups(options: EvaluateConfig, view: SplitView) -> Sequence[str] | None:
    return view.groups if options.bootstrap_by == "drive" else None


def rival(options: EvaluateConfig, classes: ClassSet) -> YoloV2 | None:
    """The detector to compare with, if one is wanted.

    Raises:
        InputError: if it is not there, or tells other classes apart.
    """
    if options.against is None:
        return None
    model = load_detector(options.against)
    names = tuple(name.lower() for name in model.class_names or ())
    if names != tuple(name.lower() for name in classes.names):
        raise InputError(
            f"--against {options.against}, a detector of {', '.join(names) or 'classes without names'}",
            f"the classes of {options.model} ({', '.join(classes.names)})",
            "compare detectors of the same classes",
        )
    return model


def uncertainty(
    options: EvaluateConfig,
    weights: np.ndarray,
    other: YoloV2 | None,
    view: SplitView,
    true: Sequence[Truth],
    found: Sequence[Detections],
    names: Sequence[str],
    metrics: Sequence[str],
) -> dict[str, Any]:
    """Intervals, and the differences to another detector where there is one.

    Args:
        options: of the verb.
        weights: what `resamples` returned.
        other: what `rival` returned.
        view: the split.
        true: one an image of the split, in pixels of the original.
        found: likewise.
        names: of the head's classes.
        metrics: those evaluated.

    Returns:
        `{"intervals": as `bootstrap.intervals` returns them, with "resampling"; "against": {"model", "coco": as
        `bootstrap.paired_difference` returns them}}`.
    """
    limits = bootstrap.intervals(true, found, names, weights, metrics, options.score)
    limits["resampling"] = {
        "replicates": len(weights),
        "by": options.bootstrap_by,
        "units": int(bootstrap.units(len(true), _groups(options, view)).max()) + 1,
        "seed": options.seed,
        "level": bootstrap.LEVEL,
    }
    result: dict[str, Any] = {"intervals": limits}
    if other is not None:
        theirs = list(predictions(other, view, batch_size=options.batch_size, progress=True))
        differences = bootstrap.paired_difference(true, found, theirs, names, weights)
        result["against"] = {"model": str(options.against), "coco": differences}
    return result
