"""IoU of pairs of boxes in `keras.ops`, and the complete IoU, which also has a gradient where boxes do not overlap.

Source: Zheng et al. (2020), "Distance-IoU Loss", sections 3 and 4 (equations 7 to 11).
"""

import math

from keras import ops

TINY = 1e-12


def iou(a, b):
    """IoU and intersection of boxes.

    Args:
        a: cx, cy, w, h in any unit, (…, ≥ 4); further columns are not looked at.
        b: likewise in the same unit, broadcastable.

    Returns:
        `(iou, intersection)`: 0–1, and in squared units, both (…); the IoU of two empty boxes is 0.
    """
    low = ops.maximum(a[..., :2] - a[..., 2:4] / 2, b[..., :2] - b[..., 2:4] / 2)
    high = ops.minimum(a[..., :2] + a[..., 2:4] / 2, b[..., :2] + b[..., 2:4] / 2)
    sides = ops.maximum(high - low, 0.0)
    intersection = sides[..., 0] * sides[..., 1]
    union = a[..., 2] * a[..., 3] + b[..., 2] * b[..., 3] - intersection
    return intersection / ops.maximum(union, TINY), intersection


def complete_iou(predicted, true):
    """IoU less the squared distance of the centres and less a penalty for other proportions; 1 for equal boxes.

    CIoU = IoU − ρ²/c² − αv with ρ the distance of the centres, c the diagonal of the box around both,
    v = 4/π² · (atan(w/h) − atan(w′/h′))² and α = v / (1 − IoU + v), which has no gradient.

    Args:
        predicted: cx, cy, w, h in a unit that is the same across and down, such as cells, (…, 4); sides above 0.
        true: likewise, broadcastable.

    Returns:
        (…), from −2 to 1.
    """
    overlap, _ = iou(predicted, true)
    low = ops.minimum(predicted[..., :2] - predicted[..., 2:] / 2, true[..., :2] - true[..., 2:] / 2)
    high = ops.maximum(predicted[..., :2] + predicted[..., 2:] / 2, true[..., :2] + true[..., 2:] / 2)
    diagonal = ops.sum((high - low) ** 2, axis=-1)
    distance = ops.sum((predicted[..., :2] - true[..., :2]) ** 2, axis=-1)
    angles = [ops.arctan2(boxes[..., 2], boxes[..., 3]) for boxes in (predicted, true)]
    proportions = (2.0 / math.pi * (angles[0] - angles[1])) ** 2
    share = ops.stop_gradient(proportions / ops.maximum(1.0 - overlap + proportions, TINY))
    return overlap - distance / ops.maximum(diagonal, TINY) - share * proportions
