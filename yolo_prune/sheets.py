"""Sheets of one image each: truth above, detections below, what went wrong framed in red."""

from collections.abc import Sequence

import cv2
import numpy as np

from data_tools.image_files import resize
from data_tools.store import SplitView
from yolo_prune.drawing import draw, grid
from yolo_prune.evaluation.outcomes import Outcome, worst
from yolo_prune.records import Detections, Truth

RED = (255, 30, 30)


def worst_sheets(
    view: SplitView,
    true: Sequence[Truth],
    found: Sequence[Detections],
    results: Sequence[Outcome],
    names: Sequence[str],
    score: float,
    count: int,
) -> dict[str, np.ndarray]:
    """Sheets of the images with the most mistakes, worst first.

    Args:
        view: the split.
        true: one an image of the split, from its first, in pixels of the original.
        found: likewise.
        results: `outcomes` of them at `score`.
        names: of the head's classes.
        score: least score drawn.
        count: at most so many.

    Returns:
        Image id → picture, uint8 RGB, as wide as the original; fewer where fewer images have a mistake.
    """
    pictures = {}
    for index in worst(results, count):
        image = resize(view.images(index)[0], true[index].size)
        pictures[view.ids[index]] = sheet(image, true[index], found[index], results[index], names, score)
    return pictures


def sheet(
    image: np.ndarray, truth: Truth, found: Detections, result: Outcome, names: Sequence[str], score: float
) -> np.ndarray:
    """One image twice.

    Args:
        image: RGB, uint8, shape (H, W, 3).
        truth: boxes in pixels of this image.
        found: likewise.
        result: `outcome` of them at `score`.
        names: of the head's classes.
        score: least score drawn.

    Returns:
        RGB, uint8; above the true boxes, missed ones framed, below the detections, wrong ones framed.
    """
    above, below = draw(image, truth=truth, class_names=names), draw(image, found, None, names, score)
    _frame(above, truth.boxes[result.missed])
    _frame(below, result.found.boxes[~result.right])
    missed, wrong = len(result.missed), int((~result.right).sum())
    titles = (f"truth: {missed} missed", f"detections that score {score:g} or more: {wrong} wrong")
    return grid([above, below], columns=1, titles=titles)


def _frame(canvas: np.ndarray, boxes: np.ndarray) -> None:
    """Red frames just outside the boxes."""
    height, width = canvas.shape[:2]
    stroke = max(1, round(min(height, width) / 200))
    limits = np.array([width, height, width, height]) - 1
    for box in boxes:
        sides = np.clip(np.round(box) + np.array([-1, -1, 1, 1]) * 2 * stroke, 0, limits).astype(int).tolist()
        cv2.rectangle(canvas, (sides[0], sides[1]), (sides[2], sides[3]), RED, stroke)
