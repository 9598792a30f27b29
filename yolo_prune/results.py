"""Detections as files: KITTI's text, and COCO's JSON."""

import contextlib
import json
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from data_tools.kitti import KITTI_CLASSES
from data_tools.records import Box
from run_tools import files
from yolo_prune.records import Detections

# Names in KITTI's files of the classes of our heads; its format knows no others.
KITTI_NAMES = {name.lower(): name for name in KITTI_CLASSES}
KITTI_NAMES |= {"person": "Pedestrian", "bicycle": "Cyclist", "train": "Tram"}


def as_boxes(found: Detections, names: Sequence[str]) -> list[Box]:
    """Detections in pixels as KITTI's records, those of classes that KITTI has.

    What a picture does not tell has the values that mean "unknown".
    """
    kitti = [KITTI_NAMES.get(name.lower()) for name in names]
    boxes = []
    for sides, score, index in zip(found.boxes.tolist(), found.scores.tolist(), found.classes.tolist(), strict=True):
        name, (left, top, right, bottom) = kitti[index], sides
        if name is not None:
            boxes.append(Box(name, left, top, right, bottom, truncated=-1.0, occluded=-1, score=score))
    return boxes


class CocoResults:
    """Two files of a folder: `results.json`, what `pycocotools.COCO.loadRes` reads, and `images.json`.

    The latter has COCO's `images` and `categories`, which say what the ids of the former mean: images count from 1 in
    the order given, categories from 1 in the order of the head. Written as it comes, and renamed at the end; use it as
    a context manager.

    Args:
        folder: where the files will be.
        names: of the head's classes.
    """

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        self.folder = folder
        self.names = tuple(names)
        self.count = 0
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        temporary = self._stack.enter_context(files.atomic_path(self.folder))
        temporary.mkdir()
        self._images = self._stack.enter_context(open(temporary / "images.json", "w", encoding="utf-8"))
        self._results = self._stack.enter_context(open(temporary / "results.json", "w", encoding="utf-8"))
        categories = [{"id": index, "name": name} for index, name in enumerate(self.names, start=1)]
        self._images.write(f'{{"categories": {json.dumps(categories)},\n"images": [')
        self._results.write("[")
        self._separators = {self._images: "\n", self._results: "\n"}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._stack.__exit__(kind, error, trace)
            return
        with self._stack:
            self._images.write("\n]}\n")
            self._results.write("\n]\n")

    def add(self, name: str, size: tuple[int, int], found: Detections) -> None:
        """Adds an image.

        Args:
            name: its `file_name`.
            size: its (height, width).
            found: what was detected in it, in its pixels.
        """
        self.count += 1
        self._write(self._images, {"id": self.count, "file_name": name, "height": size[0], "width": size[1]})
        for (left, top, right, bottom), score, index in zip(
            found.boxes.tolist(), found.scores.tolist(), found.classes.tolist(), strict=True
        ):
            box = [round(side, 2) for side in (left, top, right - left, bottom - top)]
            entry = {"image_id": self.count, "category_id": index + 1, "bbox": box, "score": round(score, 6)}
            self._write(self._results, entry)

    def _write(self, file: Any, entry: dict[str, Any]) -> None:
        file.write(self._separators[file] + json.dumps(entry))
        self._separators[file] = ",\n"
