"""What is true of an image and what was detected in it, as plain NumPy arrays.

Both records carry `xyxy` boxes. `decode` fills `Detections` with boxes relative to the image (0-1); the evaluation
wants them, like every `Truth`, in pixels of the original image: `Detections.in_pixels(size)` converts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from run_tools import files
from run_tools.errors import InputError

DONT_CARE = -1


def _set(record: object, name: str, value: object) -> None:
    object.__setattr__(record, name, value)


def _boxes(values: object, owner: str) -> np.ndarray:
    boxes = np.asarray(values, np.float32)
    if boxes.size == 0:
        return np.zeros((0, 4), np.float32)
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise InputError(f"boxes of shape {boxes.shape} for {owner}", "shape (k, 4)", "give one row xyxy a box")
    return boxes


def _column(values: object, dtype: type, count: int, name: str) -> np.ndarray:
    column: np.ndarray = np.asarray(values, dtype).reshape(-1)
    if len(column) != count:
        raise InputError(f"{len(column)} {name} for {count} boxes", f"{count} {name}", "give one value a box")
    return column


@dataclass(frozen=True, eq=False)
class Detections:
    """The boxes detected in one image.

    Args:
        boxes: xyxy, float32, shape (k, 4); relative to the image (0-1) as decoded, original pixels in the evaluation.
        scores: objectness times class probability, 0-1, float32, shape (k,).
        classes: index into the detector's class names, int64, shape (k,).

    Raises:
        InputError: if the three do not belong together.
    """

    boxes: np.ndarray
    scores: np.ndarray
    classes: np.ndarray

    def __post_init__(self) -> None:
        _set(self, "boxes", _boxes(self.boxes, "Detections"))
        _set(self, "scores", _column(self.scores, np.float32, len(self.boxes), "scores"))
        _set(self, "classes", _column(self.classes, np.int64, len(self.boxes), "classes"))

    def __len__(self) -> int:
        return len(self.boxes)

    def take(self, selection: np.ndarray | slice) -> "Detections":
        """The detections chosen by a boolean mask, indices or a slice."""
        return Detections(self.boxes[selection], self.scores[selection], self.classes[selection])

    def in_pixels(self, size: tuple[int, int]) -> "Detections":
        """Relative boxes (0-1) as pixels of an image.

        Args:
            size: (height, width) of that image.
        """
        height, width = size
        scale = np.array([width, height, width, height], np.float32)
        return Detections(self.boxes * scale, self.scores, self.classes)


@dataclass(frozen=True, eq=False)
class Truth:
    """The true boxes of one image.

    Args:
        boxes: xyxy in pixels of the original image, float32, shape (k, 4).
        classes: index into the class names, -1 for a DontCare region, int64, shape (k,).
        size: (height, width) of the original image.
        truncated: fraction of the object outside the image, 0-1, shape (k,); zeros when not given.
        occluded: KITTI's 0 (visible) to 3 (unknown), shape (k,); zeros when not given.
        names: the data set's own class name of each box (KITTI's `Van`, `DontCare`, ...), which the KITTI metric
            needs for its neutral classes; None when unknown.

    Raises:
        InputError: if the columns do not belong together.
    """

    boxes: np.ndarray
    classes: np.ndarray
    size: tuple[int, int]
    truncated: np.ndarray = None  # type: ignore[assignment]  # always an array once built
    occluded: np.ndarray = None  # type: ignore[assignment]
    names: Sequence[str] | None = None

    def __post_init__(self) -> None:
        _set(self, "boxes", _boxes(self.boxes, "Truth"))
        count = len(self.boxes)
        _set(self, "classes", _column(self.classes, np.int64, count, "classes"))
        truncated = np.zeros(count) if self.truncated is None else self.truncated
        occluded = np.zeros(count) if self.occluded is None else self.occluded
        _set(self, "truncated", _column(truncated, np.float32, count, "truncations"))
        _set(self, "occluded", _column(occluded, np.int64, count, "occlusions"))
        _set(self, "size", (int(self.size[0]), int(self.size[1])))
        if self.names is not None:
            if len(self.names) != count:
                raise InputError(f"{len(self.names)} names for {count} boxes", f"{count} names", "give one name a box")
            _set(self, "names", tuple(str(name) for name in self.names))

    def __len__(self) -> int:
        return len(self.boxes)


def save_detections(path: Path, found: Sequence[Detections]) -> None:
    """Writes the detections of a split, all or nothing.

    Args:
        path: ending in `.npz`.
        found: one an image.
    """
    boxes = np.concatenate([each.boxes for each in found]).reshape(-1, 4)
    scores, classes = (np.concatenate([getattr(each, name) for each in found]) for name in ("scores", "classes"))
    with files.atomic_path(path) as temporary:
        ends = np.cumsum([len(each) for each in found])
        np.savez_compressed(temporary, boxes=boxes, scores=scores, classes=classes, ends=ends)


def load_detections(path: Path) -> list[Detections]:
    """What `save_detections` wrote."""
    with np.load(path, allow_pickle=False) as stored:
        parts = [np.split(stored[name], stored["ends"][:-1]) for name in ("boxes", "scores", "classes")]
    return [Detections(*each) for each in zip(*parts, strict=True)]
