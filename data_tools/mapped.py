"""What the stores of all kinds of compiled files share: a split's rows through a memory map, and splits by name."""

from __future__ import annotations

import hashlib
import json
import pathlib
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar

import cv2
import h5py
import numpy as np

from run_tools.errors import InputError

Indices = int | slice | Sequence[int] | np.ndarray


class MappedSplit:
    """The rows of one split: one image, or one vector, each.

    HDF5 itself is open only while a store is opened (or while encoded images are read), so a split can be used from
    many threads, pickled to other processes, and costs no lock.

    Args:
        path: the file.
        name: `train`, `val` or `test`.
        row_shape: shape of one row.
        dtype: of its numbers.
        columns: `ids`, `digests`, `encoded` and `offset`, as the schemas' `read_columns` give them.
    """

    def __init__(
        self, path: pathlib.Path, name: str, row_shape: tuple[int, ...], dtype: str, columns: dict[str, Any]
    ) -> None:
        self.name = name
        self.ids: list[str] = columns["ids"]
        self.digests: dict[str, str] = columns["digests"]
        self._path = path
        self._row_shape = row_shape
        self._dtype = dtype
        self._offset: int | None = columns["offset"]
        self._encoded: bool = columns["encoded"]
        self._open()

    def _open(self) -> None:
        """What cannot be pickled: the map, the handle and its lock."""
        self._map: np.memmap | None = None
        self._file: h5py.File | None = None
        self._lock = threading.Lock()
        if self._offset is not None:
            self._map = np.memmap(self._path, self._dtype, "r", self._offset, (len(self.ids), *self._row_shape))

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key not in ("_map", "_file", "_lock")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._open()

    def __len__(self) -> int:
        return len(self.ids)

    def gather(self, indices: Indices) -> np.ndarray:
        """Copies of some rows. Safe from several threads.

        Args:
            indices: which, in any order, repeats allowed; a slice; or a single number (still gives one row of rows).

        Returns:
            Shape (number of indices, *row shape).

        Raises:
            IndexError: an index is outside [-n, n).
            TypeError: an index is no whole number.
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
            return np.stack(decoded) if decoded else np.empty((0, *self._row_shape), self._dtype)
        if self._map is None:
            return np.empty((0, *self._row_shape), self._dtype)
        return np.asarray(self._map)[rows]

    def _decode(self, row: int) -> np.ndarray:
        with self._lock:
            if self._file is None:
                self._file = h5py.File(self._path, "r")
            data = self._file[self.name]["encoded"][row]
        image = cv2.imdecode(data, cv2.IMREAD_COLOR)
        height, width = self._row_shape[:2]
        if image is None or image.shape[:2] != (height, width):
            raise InputError(
                f"encoded image {row} of {self.name} in {self._path}",
                f"a PNG of {width}x{height}",
                "compile the file again",
            )
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


View = TypeVar("View", bound=MappedSplit)


class SplitStore(Generic[View]):
    """A compiled file as its splits by name.

    Attributes:
        path: the file.
        splits: names of the splits that it holds.
        class_names: class of each index.
        source: what the data is.
        attributes: all root attributes of the file.
    """

    def __init__(self, path: pathlib.Path, attributes: dict[str, Any], views: Mapping[str, View]) -> None:
        self.path = path
        self.splits: tuple[str, ...] = tuple(views)
        self.class_names: tuple[str, ...] = attributes["class_names"]
        self.source: str = attributes["source"]
        self.attributes = attributes
        self._views = views

    def __getitem__(self, split: str) -> View:
        try:
            return self._views[split]
        except KeyError:
            raise InputError(
                f"split {split!r}", f"one of {', '.join(self.splits)}, which {self.path} holds", "choose one of them"
            ) from None

    def __contains__(self, split: object) -> bool:
        return split in self._views

    def _shape(self) -> Sequence[int]:
        """What `digest` tells of a row's size."""
        raise NotImplementedError

    def digest(self) -> str:
        """SHA-256 of what is in the file, wherever it lies: two files are alike when theirs are.

        It is made of the checksums that the compiler stored, so it costs nothing even for a large file; damage that
        came later is found by `verify`.
        """
        facts = [
            self.class_names,
            self._shape(),
            [(name, view.ids, view.digests) for name, view in self._views.items()],
        ]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()
