"""Which object is drawn over which."""

from __future__ import annotations

import numpy as np

from data_tools.scenes.raster import Instance


def painter_order(instances: list[Instance]) -> list[int]:
    """Indices from what must be drawn first to what must be drawn last.

    Two rectangles on the road are separated by a side of one of them; the one on the camera's side of that line is in
    front, however long either is. Cycles (three interlocked objects) fall back to the distance of the middle.

    Args:
        instances: placed objects whose rectangles do not overlap.

    Returns:
        A permutation of range(len(instances)).
    """
    count = len(instances)
    if count < 2:
        return list(range(count))
    corners = np.stack([instance.footprint() for instance in instances])
    following = np.roll(corners, -1, axis=1)
    side = following - corners
    middle = corners.mean(1)
    outward = np.stack([side[..., 1], -side[..., 0]], -1)
    outward *= np.sign(((corners - middle[:, None]) * outward).sum(-1, keepdims=True))
    level = (corners * outward).sum(-1)
    reach = np.einsum("aek,bck->aebc", outward, corners).min(-1)
    beyond = reach > level[:, :, None] - 0.05 * np.linalg.norm(outward, axis=-1)[:, :, None]
    camera_outside = level < 0  # the camera stands at the origin: outside where the line's level is negative
    in_front = (beyond & ~camera_outside[:, :, None]).any(1)  # a is on the camera's side of one of its own lines
    behind = (beyond & camera_outside[:, :, None]).any(1)
    before = in_front | behind.T
    np.fill_diagonal(before, False)
    before &= ~before.T
    distance = np.linalg.norm(middle, axis=1)
    left, order = set(range(count)), []
    waits = before.copy()  # waits[a, b]: a is in front of b, so b must be drawn earlier
    while left:
        ready = [a for a in left if not waits[a, sorted(left)].any()] or list(left)
        chosen = max(ready, key=lambda a: distance[a])
        order.append(chosen)
        left.remove(chosen)
    return order
