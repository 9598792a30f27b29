"""`yolo-prune kitti-eval`: the official KITTI metric on folders of text files."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_tools.kitti import read_labels
from data_tools.records import Box
from run_tools.config import positional
from run_tools.errors import InputError
from yolo_prune.evaluation.kitti import Frame, Result, average_precision
from yolo_prune.evaluation.tables import kitti_table

DEVKIT_FOLDER = "data"
"""Where the devkit looks for result files: results/NAME/data."""


@dataclass(frozen=True)
class KittiEval:
    """The official KITTI metric on text files.

    Evaluates the images that have a result file, as the devkit does; an empty result file stands for an image without
    detections. Types in upper or lower case are the same, and those that KITTI does not know take no part.
    """

    label_dir: Path = positional(help="folder of true labels, NNNNNN.txt with 15 columns")
    result_dir: Path = positional(
        help="folder of detections, NNNNNN.txt with 16 columns, the last being the score; or one with them in data/"
    )


def kitti_eval(config: KittiEval) -> Result:
    """Average precision of result files.

    Args:
        config: the two folders.

    Returns:
        `{class: {"easy" | "moderate" | "hard": {"AP11", "AP40"}}}` in percent; None for a class that is neither in the
        labels nor in the results.

    Raises:
        InputError: if a folder or a label file is missing, there is no result file, or a detection has no score.
    """
    labels, results = _text_files(config.label_dir), _text_files(config.result_dir)
    if not results and (config.result_dir / DEVKIT_FOLDER).is_dir():
        results = _text_files(config.result_dir / DEVKIT_FOLDER)
    if not results:
        raise InputError(f"{config.result_dir} without .txt files", "result files NNNNNN.txt", "check the folder")
    for name in results:
        if name not in labels:
            raise InputError(
                f"{results[name]} without a label file", f"{config.label_dir / name}", "give the labels of these images"
            )
    if len(labels) > len(results):
        left_out = len(labels) - len(results)
        print(f"{len(results)} images evaluated; {left_out} label files have no result file", file=sys.stderr)
    # As the devkit reads them, to which a detector's other classes, such as "bus", are no mistakes.
    return average_precision([frame(read_labels(labels[name], False), _scored(results[name])) for name in results])


def frame(truth: Sequence[Box], found: Sequence[Box]) -> Frame:
    """The true boxes and detections of one image, as the metric takes them.

    Args:
        truth: true boxes, DontCare regions included.
        found: detections, each with a score.

    Returns:
        The same as arrays, in float64 as the devkit computes.
    """
    return Frame(
        true_boxes=_sides(truth),
        true_names=[box.class_name for box in truth],
        truncated=np.array([box.truncated for box in truth], np.float64),
        occluded=np.array([box.occluded for box in truth], np.int64),
        boxes=_sides(found),
        scores=np.array([box.score for box in found], np.float64),
        names=[box.class_name for box in found],
    )


def _sides(boxes: Sequence[Box]) -> np.ndarray:
    return np.array([(box.left, box.top, box.right, box.bottom) for box in boxes], np.float64).reshape(-1, 4)


def _scored(path: Path) -> tuple[Box, ...]:
    boxes = read_labels(path, strict=False)
    if any(box.score is None for box in boxes):
        raise InputError(f"{path} with lines of 15 columns", "16 columns, the last being the score", "add the scores")
    return boxes


def _text_files(folder: Path) -> dict[str, Path]:
    """File name to path, by name."""
    if not folder.is_dir():
        raise InputError(f"{folder}, which is not a folder", "a folder of KITTI text files", "check the path")
    return {path.name: path for path in sorted(folder.glob("*.txt")) if path.is_file()}


table = kitti_table
