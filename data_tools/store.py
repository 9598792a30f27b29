"""Read a compiled HDF5 file: small arrays at once, images through a memory map.

HDF5 itself is open only while `open_store` runs (or while encoded images are read), so a store can be used from many
threads, pickled to other processes, and costs no lock. Fancy indexing in h5py is some thirty times slower.
"""

from __future__ import annotations

import hashlib
import json
import pathlib
import threading
from collections.abc import Sequence
from typing import Any

import cv2
import h5py
import numpy as np

from data_tools.schema import SCHEMA, damage_named, read_columns, text
from data_tools.verification import verify
from run_tools.errors import InputError

__all__ = ["SCHEMA", "SplitView", "Store", "open_store", "verify"]


class SplitView:
    """One split of a store. Made by `open_store`.

    Attributes:
        name: `train`, `val` or `test`.
        ids: the data set's own names of the images.
        original_size: int32 (n, 2), height and width of each image as it lay on disk, pixels.
        groups: group (drive) of each image, or `None` where unknown.
        image_size: (height, width) of the stored images, pixels.
        offsets: int64 (n + 1,); image i owns boxes `offsets[i]:offsets[i + 1]` of the `all_` arrays.
        all_boxes: float32 (m, 4), xyxy in pixels of the stored images.
        all_classes: int16 (m,), -1 = DontCare.
        all_truncated, all_occluded: float32 and int8 (m,).
        digests: SHA-256 of each dataset, images among them, as the compiler stored it.
    """

    def __init__(self, path: pathlib.Path, name: str, image_size: tuple[int, int], columns: dict[str, Any]) -> None:
        self.name = name
        self.image_size = image_size
        self.ids: list[str] = columns["ids"]
        self.original_size: np.ndarray = columns["original_size"]
        self.groups: list[str] | None = columns.get("groups")
        self.offsets: np.ndarray = columns["offsets"]
        self.all_boxes: np.ndarray = columns["boxes"]
        self.all_classes: np.ndarray = columns["classes"]
        self.all_truncated: np.ndarray = columns["truncated"]
        self.all_occluded: np.ndarray = columns["occluded"]
        self.digests: dict[str, str] = columns["digests"]
        self._path = path
        self._image_offset: int | None = columns["image_offset"]
        self._encoded: bool = columns["encoded"]
        self._open()

    def _open(self) -> None:
        """What cannot be pickled: the map, the handle and its lock."""
        self._map: np.memmap | None = None
        self._file: h5py.File | None = None
        self._lock = threading.Lock()
        if self._image_offset is not None:
            shape = (len(self.ids), *self.image_size, 3)
            self._map = np.memmap(self._path, np.uint8, "r", self._image_offset, shape)

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key not in ("_map", "_file", "_lock")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._open()

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def image_memmap(self) -> np.memmap | None:
        """All images as a read-only uint8 map, shape (n, H, W, 3); `None` for encoded images or no images."""
        return self._map

    def images(self, indices: int | slice | Sequence[int] | np.ndarray) -> np.ndarray:
        """Copies of some images. Safe from several threads.

        Args:
            indices: which, in any order, repeats allowed; a slice; or a single number (still gives a batch of one).

        Returns:
            uint8 RGB, shape (number of indices, H, W, 3).

        Raises:
            IndexError: an index is outside [-n, n).
        """
        if isinstance(indices, slice):
            rows = np.arange(len(self))[indices]
        else:
            rows = np.atleast_1d(np.asarray(indices))
            rows = rows.astype(np.int64) if rows.size == 0 else rows
        if rows.ndim != 1 or not np.issubdtype(rows.dtype, np.integer):
            raise TypeError(f"received indices {indices!r}; expected whole numbers; pass a list, an array or a slice")
        if rows.size and not (-len(self) <= rows.min() and rows.max() < len(self)):
            raise IndexError(
                f"received image index {rows.min()} to {rows.max()} of split {self.name!r}; "
                f"expected -{len(self)} to {len(self) - 1}; pass smaller indices"
            )
        if self._encoded:
            decoded = [self._decode(int(row) % len(self)) for row in rows]
            return np.stack(decoded) if decoded else np.empty((0, *self.image_size, 3), np.uint8)
        if self._map is None:
            return np.empty((0, *self.image_size, 3), np.uint8)
        return np.asarray(self._map)[rows]

    def _decode(self, row: int) -> np.ndarray:
        with self._lock:
            if self._file is None:
                self._file = h5py.File(self._path, "r")
            data = self._file[self.name]["encoded"][row]
        image = cv2.imdecode(data, cv2.IMREAD_COLOR)
        if image is None or image.shape[:2] != tuple(self.image_size):
            raise InputError(
                f"encoded image {row} of {self.name} in {self._path}",
                f"a PNG of {self.image_size[1]}x{self.image_size[0]}",
                "compile the file again",
            )
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)

    def _rows(self, index: int) -> slice:
        if not -len(self) <= index < len(self):
            raise IndexError(
                f"received image index {index} of split {self.name!r}; "
                f"expected -{len(self)} to {len(self) - 1}; pass a smaller index"
            )
        index = int(index) % len(self)
        return slice(int(self.offsets[index]), int(self.offsets[index + 1]))

    def boxes(self, index: int) -> np.ndarray:
        """Boxes of one image, float32 (k, 4), xyxy in pixels of the stored image."""
        return self.all_boxes[self._rows(index)]

    def classes(self, index: int) -> np.ndarray:
        """Class of each box of one image, int16 (k,); -1 = DontCare."""
        return self.all_classes[self._rows(index)]

    def truncated(self, index: int) -> np.ndarray:
        """Truncation of each box of one image, float32 (k,), 0-1; -1 unknown."""
        return self.all_truncated[self._rows(index)]

    def occluded(self, index: int) -> np.ndarray:
        """Occlusion of each box of one image, int8 (k,), 0-3; -1 for DontCare."""
        return self.all_occluded[self._rows(index)]


class Store:
    """A compiled file. `store["train"]` is a `SplitView`. Made by `open_store`.

    Attributes:
        path: the file.
        splits: names of the splits that it holds.
        class_names: class of each index.
        image_size: (height, width) of the stored images, pixels.
        source: what the data is.
    """

    def __init__(self, path: pathlib.Path, attributes: dict[str, Any], views: dict[str, SplitView]) -> None:
        self.path = path
        self.splits: tuple[str, ...] = tuple(views)
        self.class_names: tuple[str, ...] = attributes["class_names"]
        self.image_size: tuple[int, int] = attributes["image_size"]
        self.source: str = attributes["source"]
        self.attributes = attributes
        self._views = views

    def __getitem__(self, split: str) -> SplitView:
        try:
            return self._views[split]
        except KeyError:
            raise InputError(
                f"split {split!r}", f"one of {', '.join(self.splits)}, which {self.path} holds", "choose one of them"
            ) from None

    def __contains__(self, split: object) -> bool:
        return split in self._views

    def digest(self) -> str:
        """SHA-256 of what is in the file, wherever it lies: two files are alike when theirs are.

        It is made of the checksums that the compiler stored, so it costs nothing even for a large file; damage that
        came later is found by `verify`.
        """
        facts = [
            self.class_names,
            self.image_size,
            [(name, view.ids, view.digests) for name, view in self._views.items()],
        ]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def open_store(path: str | pathlib.Path) -> Store:
    """Open a compiled detection file.

    Args:
        path: HDF5 file written by `data-tools compile`.

    Returns:
        The store; its boxes are in memory, its images are mapped.

    Raises:
        InputError: the file is missing, cut off, no HDF5, of another schema, incomplete, or its datasets do not match.
    """
    path = pathlib.Path(path).absolute()
    attributes, columns = read_columns(path)
    with damage_named(path):
        return _store(path, attributes, columns)


def _store(path: pathlib.Path, attributes: dict[str, Any], columns: dict[str, dict[str, Any]]) -> Store:
    names = attributes["class_names"] = tuple(json.loads(text(attributes["class_names"])))
    if not all(isinstance(name, str) for name in names):
        raise InputError(f"class names {names} in {path}", "texts", "compile the file again")
    height, width = (int(side) for side in attributes["image_size"])
    attributes["image_size"] = (height, width)
    attributes["source"] = text(attributes["source"])
    views = {split: SplitView(path, split, (height, width), arrays) for split, arrays in columns.items()}
    return Store(path, attributes, views)
