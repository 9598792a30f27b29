"""Read a compiled HDF5 file: small arrays at once, images through a memory map.

Fancy indexing in h5py is some thirty times slower.
"""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from typing import Any, Literal, overload

import numpy as np

from data_tools.label_store import LabelStore, open_labels
from data_tools.mapped import Indices, MappedSplit, SplitStore
from data_tools.schema import SCHEMA, class_names, damage_named, kind_of, read_columns, text
from data_tools.verification import verify
from run_tools.errors import InputError

__all__ = ["SCHEMA", "SplitView", "Store", "open_store", "verify"]


class SplitView(MappedSplit):
    """One split of a detection file. Made by `open_store`.

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
        super().__init__(path, name, (*image_size, 3), "uint8", columns)
        self.image_size = image_size
        self.original_size: np.ndarray = columns["original_size"]
        self.groups: list[str] | None = columns.get("groups")
        self.offsets: np.ndarray = columns["offsets"]
        self.all_boxes: np.ndarray = columns["boxes"]
        self.all_classes: np.ndarray = columns["classes"]
        self.all_truncated: np.ndarray = columns["truncated"]
        self.all_occluded: np.ndarray = columns["occluded"]

    @property
    def image_memmap(self) -> np.memmap | None:
        """All images as a read-only uint8 map, shape (n, H, W, 3); `None` for encoded images or no images."""
        return self._map

    def images(self, indices: Indices) -> np.ndarray:
        """Copies of some images. Safe from several threads.

        Args:
            indices: which, in any order, repeats allowed; a slice; or a single number (still gives a batch of one).

        Returns:
            uint8 RGB, shape (number of indices, H, W, 3).

        Raises:
            IndexError: an index is outside [-n, n).
        """
        return self.gather(indices)

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


class Store(SplitStore[SplitView]):
    """A compiled detection file. `store["train"]` is a `SplitView`. Made by `open_store`.

    Attributes:
        path: the file.
        splits: names of the splits that it holds.
        class_names: class of each index.
        image_size: (height, width) of the stored images, pixels.
        source: what the data is.
    """

    kind = "detection"

    def __init__(self, path: pathlib.Path, attributes: dict[str, Any], views: dict[str, SplitView]) -> None:
        super().__init__(path, attributes, views)
        self.image_size: tuple[int, int] = attributes["image_size"]

    def _shape(self) -> Sequence[int]:
        return self.image_size


@overload
def open_store(path: str | pathlib.Path, kind: Literal["detection"]) -> Store: ...
@overload
def open_store(path: str | pathlib.Path, kind: Literal["classification"]) -> LabelStore: ...
@overload
def open_store(path: str | pathlib.Path, kind: None = None) -> Any: ...
def open_store(path: str | pathlib.Path, kind: str | None = None) -> Any:
    """Open a compiled file.

    Args:
        path: HDF5 file written by `data-tools compile` or `data-tools features`.
        kind: "detection" or "classification", where only one of them will do; None opens either.

    Returns:
        A `Store` for a detection file, a `LabelStore` for a classification file; the small arrays are in memory, images
        and vectors are mapped.

    Raises:
        InputError: the file is missing, cut off, no HDF5, of another schema or kind, incomplete, or its datasets do not
            match.
    """
    path = pathlib.Path(path).absolute()
    found = kind_of(path)
    if kind not in (None, found):
        raise InputError(f"{path}, a {found} file", f"a {kind} file", f"choose another file or compile one for {kind}")
    if found == LabelStore.kind:
        return open_labels(path)
    attributes, columns = read_columns(path)
    with damage_named(path):
        return _store(path, attributes, columns)


def _store(path: pathlib.Path, attributes: dict[str, Any], columns: dict[str, dict[str, Any]]) -> Store:
    attributes["class_names"] = class_names(attributes, path)
    height, width = (int(side) for side in attributes["image_size"])
    attributes["image_size"] = (height, width)
    attributes["source"] = text(attributes["source"])
    views = {split: SplitView(path, split, (height, width), arrays) for split, arrays in columns.items()}
    return Store(path, attributes, views)
