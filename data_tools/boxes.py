"""Box arithmetic in NumPy. Every function says which of the two formats it takes.

`xyxy`: left, top, right, bottom. `cxcywh`: centre x, centre y, width, height. Sizes of images are (height, width).
Coordinates are continuous: a box is as wide as right - left (no "+ 1").
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.floating]


def _floats(values: ArrayLike, columns: int) -> Floats:
    """Float array of shape (..., columns); float32 stays float32, all else becomes float64."""
    array = np.asarray(values)
    if not np.issubdtype(array.dtype, np.floating):
        array = array.astype(np.float64)
    if array.ndim == 1 and array.size == 0:
        array = array.reshape(0, columns)
    if array.ndim == 0 or array.shape[-1] != columns:
        raise ValueError(
            f"received boxes of shape {array.shape}; expected (..., {columns}); "
            f"fix: pass {columns} numbers a box in the last axis"
        )
    return array


def xyxy_to_cxcywh(boxes: ArrayLike) -> Floats:
    """Sides to centres and sizes.

    Args:
        boxes: xyxy, shape (..., 4).

    Returns:
        cxcywh in the same unit, shape (..., 4).
    """
    boxes = _floats(boxes, 4)
    return np.concatenate([(boxes[..., :2] + boxes[..., 2:]) / 2, boxes[..., 2:] - boxes[..., :2]], axis=-1)


def cxcywh_to_xyxy(boxes: ArrayLike) -> Floats:
    """Centres and sizes to sides.

    Args:
        boxes: cxcywh, shape (..., 4).

    Returns:
        xyxy in the same unit, shape (..., 4).
    """
    boxes = _floats(boxes, 4)
    half = boxes[..., 2:] / 2
    return np.concatenate([boxes[..., :2] - half, boxes[..., :2] + half], axis=-1)


def area(boxes: ArrayLike) -> Floats:
    """Area of xyxy boxes, shape (..., 4) to (...); an inverted box has none."""
    boxes = _floats(boxes, 4)
    sides = np.maximum(boxes[..., 2:] - boxes[..., :2], 0)
    return sides[..., 0] * sides[..., 1]


def intersection(a: ArrayLike, b: ArrayLike) -> Floats:
    """Area shared by every pair of boxes.

    Args:
        a: xyxy, shape (n, 4).
        b: xyxy, shape (m, 4).

    Returns:
        Areas in squared units, shape (n, m).
    """
    a, b = _floats(a, 4), _floats(b, 4)
    sides = np.minimum(a[:, None, 2:], b[None, :, 2:]) - np.maximum(a[:, None, :2], b[None, :, :2])
    sides = np.maximum(sides, 0)
    return sides[..., 0] * sides[..., 1]


def _ratio(part: Floats, whole: Floats) -> Floats:
    """part / whole, 0 where the whole is empty."""
    return np.divide(part, whole, out=np.zeros(part.shape, np.result_type(part, whole)), where=whole > 0)


def iou(a: ArrayLike, b: ArrayLike) -> Floats:
    """Intersection over union of every pair of boxes.

    Args:
        a: xyxy, shape (n, 4).
        b: xyxy, shape (m, 4).

    Returns:
        Values in [0, 1], shape (n, m); 0 for two empty boxes.
    """
    shared = intersection(a, b)
    return _ratio(shared, area(a)[:, None] + area(b)[None, :] - shared)


def coverage(a: ArrayLike, b: ArrayLike) -> Floats:
    """Fraction of each box of `a` that a box of `b` covers: intersection / area of a.

    Args:
        a: xyxy, shape (n, 4), usually detections.
        b: xyxy, shape (m, 4), usually DontCare regions.

    Returns:
        Values in [0, 1], shape (n, m); 0 where a box of `a` is empty.
    """
    shared = intersection(a, b)
    return _ratio(shared, np.broadcast_to(area(a)[:, None], shared.shape))


def size_iou(a: ArrayLike, b: ArrayLike) -> Floats:
    """Intersection over union of sizes laid on one centre, as anchors are compared.

    Args:
        a: width and height, shape (n, 2).
        b: width and height, shape (m, 2).

    Returns:
        Values in [0, 1], shape (n, m).

    Source: Redmon & Farhadi (2017), "YOLO9000", section 2.
    """
    a, b = _floats(a, 2), _floats(b, 2)
    shared = np.minimum(a[:, None, 0], b[None, :, 0]) * np.minimum(a[:, None, 1], b[None, :, 1])
    return _ratio(shared, (a[:, 0] * a[:, 1])[:, None] + (b[:, 0] * b[:, 1])[None, :] - shared)


def clip(boxes: ArrayLike, size: tuple[float, float]) -> Floats:
    """Boxes cut to an image.

    Args:
        boxes: xyxy in pixels, shape (..., 4).
        size: height and width of the image in pixels.

    Returns:
        xyxy with x in [0, width] and y in [0, height], shape (..., 4); a box wholly outside becomes empty.
    """
    boxes = _floats(boxes, 4)
    height, width = size
    return np.clip(boxes, 0, np.asarray([width, height, width, height], boxes.dtype))


def scale(boxes: ArrayLike, from_size: tuple[float, float], to_size: tuple[float, float]) -> Floats:
    """Boxes of an image in the pixels of the same image at another size. Nothing is rounded.

    Args:
        boxes: xyxy or cxcywh, shape (..., 4).
        from_size: height and width of the image that the boxes belong to.
        to_size: height and width of the image that the boxes are wanted for; (1, 1) gives relative boxes.

    Returns:
        Boxes in the format they came in, shape (..., 4).
    """
    boxes = _floats(boxes, 4)
    factors = [to_size[1] / from_size[1], to_size[0] / from_size[0]] * 2
    return boxes * np.asarray(factors, boxes.dtype)
