"""Read a compiled classification file: labels and attributes at once, images or vectors through a memory map."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from data_tools import tasks
from data_tools.label_schema import FEATURE_TYPE, read_columns, row_shape
from data_tools.mapped import Indices, MappedSplit, SplitStore
from data_tools.schema import damage_named
from data_tools.tasks import Task
from run_tools.errors import InputError


class LabelView(MappedSplit):
    """One split of a classification file. Made by `open_store`.

    Attributes:
        name: `train`, `val` or `test`.
        ids: the data set's own names of the images.
        labels: int32 (n,), the vehicle type or class folder: an index into the store's `class_names`.
        columns: attribute columns by name (`label_schema.ATTRIBUTE_TYPES`), each (n,); empty where there are none.
        original_size: int32 (n, 2), height and width of each image as it lay on disk; `None` for vectors.
        digests: SHA-256 of each dataset as the compiler stored it.
    """

    def __init__(self, path: pathlib.Path, name: str, shape: tuple[int, ...], arrays: dict[str, Any]) -> None:
        super().__init__(path, name, shape, "uint8" if len(shape) == 3 else FEATURE_TYPE, arrays)
        self.labels: np.ndarray = arrays["labels"]
        self.columns: dict[str, np.ndarray] = arrays["columns"]
        self.original_size: np.ndarray | None = arrays["original_size"]

    @property
    def image_memmap(self) -> np.memmap | None:
        """All images as a read-only uint8 map, shape (n, H, W, 3); `None` for encoded images or vectors."""
        return self._map if len(self._row_shape) == 3 else None

    @property
    def feature_memmap(self) -> np.memmap | None:
        """All vectors as a read-only float32 map, shape (n, D); `None` for images."""
        return self._map if len(self._row_shape) == 1 else None

    def images(self, indices: Indices) -> np.ndarray:
        """Copies of some images. Safe from several threads.

        Args:
            indices: which, in any order, repeats allowed; a slice; or a single number (still gives a batch of one).

        Returns:
            uint8 RGB, shape (number of indices, H, W, 3).

        Raises:
            InputError: the file holds vectors.
            IndexError: an index is outside [-n, n).
        """
        self._expect("images", 3)
        return self.gather(indices)

    def features(self, indices: Indices) -> np.ndarray:
        """Copies of some vectors; as `images`.

        Returns:
            float32, shape (number of indices, D).

        Raises:
            InputError: the file holds images.
            IndexError: an index is outside [-n, n).
        """
        self._expect("features", 1)
        return self.gather(indices)

    def _expect(self, what: str, dimensions: int) -> None:
        if len(self._row_shape) != dimensions:
            other, fix = {
                "images": ("feature vectors", "use the file of images"),
                "features": ("images", "make vectors of them with data-tools features"),
            }[what]
            raise InputError(f"{self._path}, which holds {other}", f"a file of {what}", fix)


class LabelStore(SplitStore[LabelView]):
    """A compiled classification file. `store["train"]` is a `LabelView`. Made by `open_store`.

    Attributes:
        path: the file.
        splits: names of the splits that it holds.
        class_names: class of each label.
        content: "images" or "features".
        input_shape: of one image (H, W, 3) or vector (D,).
        names: texts behind numbered attributes, such as {"colour": ("yellow", ...)}.
        source: what the data is.
        tasks: what can be learnt from it; see `task`.
    """

    kind = "classification"

    def __init__(self, path: pathlib.Path, attributes: dict[str, Any], views: dict[str, LabelView]) -> None:
        super().__init__(path, attributes, views)
        self.content: str = attributes["content"]
        self.names: dict[str, tuple[str, ...]] = attributes["names"]
        self.input_shape: tuple[int, ...] = row_shape(attributes, path)
        self.tasks: tuple[str, ...] = tasks.available(next(iter(views.values())).columns)

    def task(self, name: str = "type", classes: int | None = None) -> Task:
        """Labels of a task for every split; see `tasks.Task`.

        Args:
            name: "type" (the vehicle type or class folder), "vehicle" (the identity), "colour" or "camera".
            classes: only the first so many classes; images of others take no part. Default: all.

        Returns:
            The task.

        Raises:
            InputError: the file has no such attribute, or fewer classes.
        """
        return tasks.choose(self, name, classes)

    def _shape(self) -> Sequence[int]:
        return self.input_shape


def open_labels(path: pathlib.Path) -> LabelStore:
    """Open a compiled classification file; use `open_store`.

    Args:
        path: the HDF5 file.

    Returns:
        The store.

    Raises:
        InputError: the file is missing, cut off, no HDF5, of another schema, incomplete, or its datasets do not match.
    """
    attributes, columns = read_columns(path)
    with damage_named(path):
        shape = row_shape(attributes, path)
        views = {split: LabelView(path, split, shape, arrays) for split, arrays in columns.items()}
        return LabelStore(path, attributes, views)
