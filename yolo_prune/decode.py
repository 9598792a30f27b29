"""From the raw head to boxes: decoding in `keras.ops`, per-class non-maximum suppression in NumPy.

Source: Redmon & Farhadi (2016), section 2, "Direct location prediction"; darknet `get_region_detections`.
"""

from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from data_tools import boxes as box_tools
from yolo_prune.records import Detections

MAX_LOG_SIZE = 15.0
"""exp(tw) is cut here (3.3 million anchors wide), so that a diverging head yields huge boxes instead of infinities."""


def split_head(logits, anchors: Sequence[Sequence[float]], num_classes: int):
    """The raw head with the numbers of each anchor on an axis of their own.

    Args:
        logits: (batch, gh, gw, anchors · (5 + classes)), any floating dtype.
        anchors: as many as the network was built with.
        num_classes: of the head.

    Returns:
        float32, (batch, gh, gw, anchors, 5 + classes): tx, ty, tw, th, objectness, then classes, nothing activated.

    Raises:
        ValueError: when the channels are others.
    """
    shape = ops.shape(logits)
    expected = len(anchors) * (5 + num_classes)
    if logits.shape[-1] != expected:
        raise ValueError(
            f"Received a head of {logits.shape[-1]} channels; expected {len(anchors)} anchors x (5 + {num_classes}"
            f" classes) = {expected}; give the anchors and class count the network was built with."
        )
    head = ops.reshape(ops.cast(logits, "float32"), (-1, shape[1], shape[2], len(anchors), 5 + num_classes))
    return head


def grid_offsets(height: int, width: int):
    """Column and row of each cell, counted from 0.

    Args:
        height: of the grid, in cells; not necessarily the width.
        width: likewise.

    Returns:
        `(columns, rows)`, float32, shapes (1, 1, width, 1) and (1, height, 1, 1), to broadcast over batch and anchors.
    """
    columns = ops.reshape(ops.cast(ops.arange(width), "float32"), (1, 1, width, 1))
    rows = ops.reshape(ops.cast(ops.arange(height), "float32"), (1, height, 1, 1))
    return columns, rows


def head_boxes(head, anchors: Sequence[Sequence[float]]):
    """Boxes of a split head, relative to the image.

    Args:
        head: (batch, gh, gw, anchors, ≥ 4), tx, ty, tw, th first.
        anchors: (width, height) in grid cells.

    Returns:
        cx, cy, w, h in fractions of the image, (batch, gh, gw, anchors, 4):
        x = (i + σ(tx)) / gw, w = pw · exp(tw) / gw, likewise y and h.
    """
    height, width = ops.shape(head)[1:3]
    columns, rows = grid_offsets(height, width)
    # Where a step is traced for any size these are integer tensors, which TensorFlow does not divide by.
    height, width = ops.cast(height, "float32"), ops.cast(width, "float32")
    sizes = np.asarray(anchors, "float32")
    x = (columns + ops.sigmoid(head[..., 0])) / width
    y = (rows + ops.sigmoid(head[..., 1])) / height
    w = sizes[:, 0] * ops.exp(ops.minimum(head[..., 2], MAX_LOG_SIZE)) / width
    h = sizes[:, 1] * ops.exp(ops.minimum(head[..., 3], MAX_LOG_SIZE)) / height
    return ops.stack([x, y, w, h], axis=-1)


def decode(logits, anchors: Sequence[Sequence[float]], num_classes: int):
    """Every anchor's box and class scores.

    Args:
        logits: raw head, (batch, gh, gw, anchors · (5 + classes)).
        anchors: (width, height) in grid cells.
        num_classes: classes of the head.

    Returns:
        `(boxes, scores)`: cx, cy, w, h relative to the image, (batch, gh·gw·anchors, 4), and
        σ(objectness) · softmax(classes), (batch, gh·gw·anchors, classes).
    """
    head = split_head(logits, anchors, num_classes)
    boxes = head_boxes(head, anchors)
    # A single class is certain; Keras warns of a softmax over one number.
    classes = ops.softmax(head[..., 5:], axis=-1) if num_classes > 1 else ops.ones_like(head[..., 5:])
    scores = ops.sigmoid(head[..., 4:5]) * classes
    count = int(np.prod(head.shape[1:4])) if None not in head.shape[1:4] else -1
    return ops.reshape(boxes, (-1, count, 4)), ops.reshape(scores, (-1, count, num_classes))


def suppress(boxes: np.ndarray, scores: np.ndarray, iou: float, limit: int | None = None) -> np.ndarray:
    """Greedy non-maximum suppression of one class.

    Args:
        boxes: (n, 4) xyxy.
        scores: (n,); equal scores keep their order.
        iou: a box is dropped when its IoU with a kept one exceeds this.
        limit: stop after so many kept boxes; None: never.

    Returns:
        Indices kept, by descending score.
    """
    order = np.argsort(-scores, kind="stable")
    boxes = boxes[order]
    # Only kept boxes are compared with the rest: a network in its first epochs has thousands of candidates an image.
    alive = np.ones(len(order), bool)
    kept: list[int] = []
    while alive.any() and (limit is None or len(kept) < limit):
        best = int(alive.argmax())
        kept.append(best)
        alive[best] = False
        rest = np.flatnonzero(alive)
        alive[rest] = box_tools.iou(boxes[best : best + 1], boxes[rest])[0] <= iou
    return order[kept]


def detections(
    logits,
    anchors: Sequence[Sequence[float]],
    num_classes: int,
    score: float = 0.005,
    iou: float = 0.45,
    limit: int | None = 100,
) -> list[Detections]:
    """Decoded, suppressed detections of a batch.

    Args:
        logits: raw head, (batch, gh, gw, anchors · (5 + classes)).
        anchors: (width, height) in grid cells.
        num_classes: classes of the head.
        score: least score kept, in 0–1.
        iou: per-class suppression threshold, in 0–1.
        limit: most detections an image, over all classes; None: all.

    Returns:
        One `Detections` an image: xyxy relative to the image and clipped to it, by descending score.
    """
    boxes, scores = (keras.ops.convert_to_numpy(array) for array in decode(logits, anchors, num_classes))
    corners = np.clip(box_tools.cxcywh_to_xyxy(boxes), 0.0, 1.0)
    return [_detections_of_image(corners[i], scores[i], score, iou, limit) for i in range(len(corners))]


def _detections_of_image(boxes, scores, score: float, iou: float, limit: int | None) -> Detections:
    kept_boxes, kept_scores, kept_classes = [], [], []
    for index in range(scores.shape[1]):
        candidates = np.flatnonzero(scores[:, index] >= score)
        kept = candidates[suppress(boxes[candidates], scores[candidates, index], iou, limit)]
        kept_boxes.append(boxes[kept])
        kept_scores.append(scores[kept, index])
        kept_classes.append(np.full(len(kept), index))
    all_scores = np.concatenate(kept_scores)
    order = np.argsort(-all_scores, kind="stable")[:limit]
    return Detections(
        boxes=np.concatenate(kept_boxes)[order].astype(np.float32),
        scores=all_scores[order].astype(np.float32),
        classes=np.concatenate(kept_classes)[order].astype(np.int64),
    )
