"""What an extractor hands to the compiler: one image with the objects in it, or with its one label."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Box:
    """One labelled object, in KITTI's fifteen columns (sixteen with a score).

    Only the class and the four sides are needed by a detector; a data set without the other columns leaves the
    defaults, which are KITTI's own marks for "unknown".

    Args:
        class_name: the label's own spelling, such as `Car` or `DontCare`.
        left, top, right, bottom: sides in pixels of the image as it lies on disk, 0-based floats, right > left,
            bottom > top.
        truncated: fraction of the object outside the image, 0-1; -1 unknown.
        occluded: 0 fully visible, 1 partly, 2 largely occluded, 3 unknown; -1 for DontCare.
        alpha: observation angle in radians, [-pi, pi].
        height, width, length: size of the object in metres.
        x, y, z: location of the object's bottom centre in camera coordinates, metres.
        rotation_y: rotation about the camera's vertical axis in radians, [-pi, pi].
        score: confidence of a detection; `None` in ground truth.

    Source: the KITTI object development kit, readme.txt.
    """

    class_name: str
    left: float
    top: float
    right: float
    bottom: float
    truncated: float = 0.0
    occluded: int = 0
    alpha: float = -10.0
    height: float = -1.0
    width: float = -1.0
    length: float = -1.0
    x: float = -1000.0
    y: float = -1000.0
    z: float = -1000.0
    rotation_y: float = -10.0
    score: float | None = None

    @property
    def xyxy(self) -> tuple[float, float, float, float]:
        """The four sides: left, top, right, bottom, in pixels."""
        return self.left, self.top, self.right, self.bottom


@dataclass(frozen=True, slots=True)
class Sample:
    """One image and the objects in it, or its one label.

    Args:
        id: name of the sample, unique in its data set.
        image: file that holds the image, or the feature vector.
        boxes: the objects; empty for an image without objects.
        group: samples of one group (KITTI: one drive) look alike, so that a split must not divide them; `None` where
            the data set does not say.
        label: its class, in a classification data set; one of the extractor's `class_names`.
        attributes: further numbers known of it, by the names of `label_schema.ATTRIBUTE_TYPES`.
    """

    id: str
    image: pathlib.Path
    boxes: tuple[Box, ...] = ()
    group: str | None = None
    label: str | None = None
    attributes: Mapping[str, float] = field(default_factory=dict)
