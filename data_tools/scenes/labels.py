"""True boxes from silhouettes: what KITTI's annotators would have written down."""

from __future__ import annotations

import dataclasses

import numpy as np

from data_tools.records import Box
from data_tools.scenes.camera import wrap
from data_tools.scenes.raster import Instance, Silhouette

OCCLUSION_LIMITS = (0.80, 0.45, 0.15)
"""Visible fractions from which on an object counts as fully visible (0), partly (1) and largely occluded (2)."""
LEAST_VISIBLE = 0.12
"""Below this visible fraction an object's place becomes DontCare; few cars are left at level 3, as in KITTI (3 %)."""
LEAST_HEIGHT, LEAST_WIDTH = 18.0, 5.0
"""A smaller box, in pixels, becomes DontCare: of KITTI's Car boxes 1 in 20 is lower than 19, 1 in 100 than 15."""
MOST_TRUNCATED = 0.97


@dataclasses.dataclass(frozen=True)
class Seen:
    """A drawn object.

    Attributes:
        instance: what was drawn.
        silhouette: all of it, whatever hides it.
        visible: fraction of its pixels inside the image that nothing hides, 0–1.
        visible_box: left, top, right, bottom of those pixels, or None.
    """

    instance: Instance
    silhouette: Silhouette
    visible: float
    visible_box: tuple[float, float, float, float] | None


def look(instance: Instance, silhouette: Silhouette, ids: np.ndarray, number: int) -> Seen:
    """Count what is left of an object.

    Args:
        instance: the object.
        silhouette: of it.
        ids: uint16 (H, W), at each pixel the number of what is in front there.
        number: the object's.

    Returns:
        What can be seen of it.
    """
    area = int(np.count_nonzero(silhouette.mask))
    if not area:
        return Seen(instance, silhouette, 0.0, None)
    shown = Silhouette(
        (ids[silhouette.window] == number).view(np.uint8), silhouette.left, silhouette.top, silhouette.extent
    )
    return Seen(instance, silhouette, np.count_nonzero(shown.mask) / area, shown.box())


def occlusion(visible: float) -> int:
    """KITTI's level for a visible fraction: 0 fully visible, 1 partly, 2 largely occluded, 3 hardly to be seen."""
    return sum(bool(visible < limit) for limit in OCCLUSION_LIMITS)


def truncation(extent: tuple[float, float, float, float], size: tuple[int, int]) -> float:
    """Fraction of a projected box's area outside the image.

    Args:
        extent: left, top, right, bottom of the whole projection, float pixels.
        size: height and width of the image.

    Returns:
        0 where all of it is inside, 1 where nothing is.
    """
    left, top, right, bottom = extent
    inside_width = max(min(right, size[1] - 1) - max(left, 0), 0)
    inside_height = max(min(bottom, size[0] - 1) - max(top, 0), 0)
    area = (right - left) * (bottom - top)
    return float(1 - inside_width * inside_height / area) if area > 0 else 1.0


def label(seen: Seen, size: tuple[int, int]) -> Box | None:
    """The label line of an object.

    Args:
        seen: what can be seen of it.
        size: height and width of the image.

    Returns:
        Its box around all of it inside the image, hidden parts included; a DontCare box around what can be seen where
        it is too small or too hidden to be labelled; None where nothing can be seen.
    """
    box = seen.silhouette.box()
    if box is None or seen.visible_box is None:
        return None
    cut = truncation(seen.silhouette.extent, size)
    small = box[3] - box[1] < LEAST_HEIGHT or box[2] - box[0] < LEAST_WIDTH
    if small or seen.visible < LEAST_VISIBLE or cut > MOST_TRUNCATED:
        left, top, right, bottom = seen.visible_box
        return Box("DontCare", left, top, max(right, left + 1), max(bottom, top + 1), -1, -1)
    instance = seen.instance
    x, y, z = (float(v) for v in instance.position)
    height, width, length = instance.size
    return Box(
        str(instance.class_name),
        *box,
        truncated=cut if cut > 0.005 else 0.0,
        occluded=occlusion(seen.visible),
        alpha=wrap(instance.rotation_y - np.arctan2(x, z)),
        height=height,
        width=width,
        length=length,
        x=x,
        y=y,
        z=z,
        rotation_y=wrap(instance.rotation_y),
    )
