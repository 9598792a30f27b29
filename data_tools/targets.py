"""True boxes → the paper's detectors mask and matching true boxes, on a grid that need not be square."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from data_tools.boxes import size_iou
from run_tools.errors import InputError


def encode(true_boxes: ArrayLike, anchors: ArrayLike, grid: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Which cell and anchor answers for each true box, and what it should predict.

    A box belongs to the cell of its centre and to the anchor of the highest IoU with it, both laid on one centre (ties:
    the first). Where two boxes share cell and anchor, the later one overwrites the earlier. Rows of zero width or
    height and those of a negative class (DontCare) are skipped. A centre on the right or lower border belongs to the
    last cell.

    Args:
        true_boxes: (n, max_boxes, 5) rows x, y, w, h, class, relative to the image, as `batches` yields them.
        anchors: (A, 2) width and height in grid cells.
        grid: (gh, gw), the image's height and width divided by 32.

    Returns:
        `(detectors_mask, matching_true_boxes)`: bool (n, gh, gw, A, 1); float32 (n, gh, gw, A, 5) rows x − column,
        y − row, ln(w / anchor width), ln(h / anchor height), class, all in grid cells; zero where the mask is False.

    Raises:
        InputError: an argument has another shape, or an anchor or a side of the grid is not positive.

    Source: YAD2K, `preprocess_true_boxes` of `yad2k/models/keras_yolo.py`; paper 003, section 4.
    """
    boxes, sizes = np.asarray(true_boxes, np.float64), check_anchors(anchors)
    if boxes.ndim != 3 or boxes.shape[2] != 5:
        raise InputError(f"true boxes of shape {boxes.shape}", "(n, max_boxes, 5)", "pass rows x, y, w, h, class")
    height, width = grid
    if height < 1 or width < 1:
        raise InputError(f"a grid of {height}x{width}", "at least one cell each way", "pass (height / 32, width / 32)")
    mask = np.zeros((len(boxes), height, width, len(sizes), 1), bool)
    matching = np.zeros((len(boxes), height, width, len(sizes), 5), np.float32)

    # Row by row in the order given, so that of several values for one place the last remains.
    image, row = np.nonzero((boxes[..., 2] > 0) & (boxes[..., 3] > 0) & (boxes[..., 4] >= 0))
    used = boxes[image, row]
    centre, size = used[:, :2] * (width, height), used[:, 2:4] * (width, height)
    cell = np.clip(np.floor(centre).astype(np.int64), 0, (width - 1, height - 1))
    anchor = size_iou(size, sizes).argmax(axis=1)
    place = (image, cell[:, 1], cell[:, 0], anchor)
    mask[place] = True
    matching[place] = np.concatenate([centre - cell, np.log(size / sizes[anchor]), used[:, 4:]], axis=1)
    return mask, matching


def check_anchors(anchors: ArrayLike) -> np.ndarray:
    """Anchors as a float64 array (A, 2).

    Raises:
        InputError: they are not pairs of positive numbers.
    """
    sizes = np.asarray(anchors, np.float64)
    if sizes.ndim != 2 or sizes.shape[1] != 2 or not len(sizes) or not (np.isfinite(sizes) & (sizes > 0)).all():
        found = f"anchors of shape {sizes.shape}" + (f", least {sizes.min():g}" if sizes.size else "")
        raise InputError(found, "(A, 2) positive widths and heights in grid cells", "divide sizes in pixels by 32")
    return sizes
