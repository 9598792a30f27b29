"""The HDF5 file before its images are in it: groups, columns, attributes and reserved room.

Everything here is a pure function of the plan, down to the byte: no times, a fixed format version, attributes that
change later (`complete`, `sha256`) reserved at their final width.
"""

from __future__ import annotations

import hashlib
import json
import pathlib
from collections.abc import Iterator
from dataclasses import dataclass

import h5py
import numpy as np

DIGEST = "S64"
NO_DIGEST = np.bytes_(b"0" * 64)
# Images begin on a page, so that a memory map reads whole pages.
PAGE = 4096
CHUNK = 1 << 24


@dataclass(frozen=True)
class Plan:
    """A file to write.

    Args:
        attributes: root attributes besides `complete`; texts and arrays.
        columns: for each split, arrays of its small datasets by name.
        counts: number of images of each split.
        row_shape: (height, width, 3) of an image, uint8; or (width,) of a feature vector, float32.
        sources: state of the raw files, so that a changed source does not resume an old conversion.
        encoded: images as variable-length PNG bytes (`encoded`) instead of raw pixels (`images`).
    """

    attributes: dict[str, object]
    columns: dict[str, dict[str, np.ndarray]]
    counts: dict[str, int]
    row_shape: tuple[int, ...]
    sources: str
    encoded: bool = False

    @property
    def dataset(self) -> str:
        """Name of the dataset that holds the rows."""
        return "encoded" if self.encoded else "images" if len(self.row_shape) == 3 else "features"

    @property
    def dtype(self) -> np.dtype:
        """Of the numbers in a row, little-endian."""
        return np.dtype("<f4" if self.dataset == "features" else "u1")

    @property
    def row_bytes(self) -> int:
        """Bytes of one raw row."""
        return int(np.prod(self.row_shape)) * self.dtype.itemsize

    def places(self) -> list[tuple[str, int]]:
        """Split and index of every image, in the file's order."""
        return [(split, index) for split, count in self.counts.items() for index in range(count)]

    def identity(self) -> str:
        """Digest of all that decides the file's bytes."""
        digest = hashlib.sha256()
        facts = [str(self.attributes), list(self.counts.items()), self.row_shape, self.sources, self.encoded]
        digest.update(json.dumps(facts).encode())
        for split, columns in self.columns.items():
            for name, array in columns.items():
                digest.update(f"{split}/{name} {array.dtype} {array.shape}".encode())
                digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()


def create(path: pathlib.Path, plan: Plan) -> None:
    """Write all of the file but the images; raw images get reserved room.

    Args:
        path: file to create or replace.
        plan: what to write.
    """
    with h5py.File(path, "w", libver="earliest", alignment_threshold=1 << 20, alignment_interval=PAGE) as file:
        for name, value in plan.attributes.items():
            file.attrs[name] = value
        file.attrs["complete"] = np.False_
        for split, columns in plan.columns.items():
            group = file.create_group(split)
            for name, array in columns.items():
                group.create_dataset(name, data=array, track_times=False)
                group[name].attrs["sha256"] = NO_DIGEST
            shape = (plan.counts[split], *plan.row_shape)
            if plan.encoded:
                group.create_dataset(plan.dataset, shape[:1], h5py.vlen_dtype(np.uint8), track_times=False)
            else:
                _reserve(group, plan, shape)
            group[plan.dataset].attrs["sha256"] = NO_DIGEST


def _reserve(group: h5py.Group, plan: Plan, shape: tuple[int, ...]) -> None:
    """A contiguous dataset whose room exists at once, so that rows can be written without HDF5."""
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_layout(h5py.h5d.CONTIGUOUS)
    properties.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    properties.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    properties.set_obj_track_times(False)
    stored = h5py.h5t.py_create(plan.dtype)
    h5py.h5d.create(group.id, plan.dataset.encode(), stored, h5py.h5s.create_simple(shape), properties)


def offsets(path: pathlib.Path, dataset: str) -> dict[str, int]:
    """Where each split's raw rows begin in the file, in bytes."""
    with h5py.File(path, "r") as file:
        found = {split: file[split][dataset].id.get_offset() for split in file}
    return {split: offset for split, offset in found.items() if offset is not None}


def _pieces(dataset: h5py.Dataset) -> Iterator[bytes | memoryview]:
    """A dataset's bytes in order, in pieces that fit into memory."""
    if h5py.check_vlen_dtype(dataset.dtype) is not None:
        for index in range(len(dataset)):
            data = dataset[index].tobytes()
            yield len(data).to_bytes(8, "little")
            yield data
    elif dataset.size:
        rows = max(1, CHUNK // max(1, dataset.nbytes // len(dataset)))
        for start in range(0, len(dataset), rows):
            yield np.ascontiguousarray(dataset[start : start + rows]).tobytes()


def digest(dataset: h5py.Dataset) -> str:
    """SHA-256 of a dataset's bytes; variable-length items each come after their length (8 bytes, little-endian)."""
    state = hashlib.sha256()
    for piece in _pieces(dataset):
        state.update(piece)
    return state.hexdigest()


def add_digests(path: pathlib.Path) -> None:
    """Fill in every dataset's checksum, without moving a byte of the file."""
    with h5py.File(path, "r+", libver="earliest") as file:
        for group in file.values():
            for dataset in group.values():
                dataset.attrs.modify("sha256", np.bytes_(digest(dataset).encode("ascii")))


def mark_complete(path: pathlib.Path) -> None:
    """Set the attribute `complete`, without moving a byte of the file."""
    with h5py.File(path, "r+", libver="earliest") as file:
        file.attrs.modify("complete", np.True_)
