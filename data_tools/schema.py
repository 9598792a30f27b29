"""The HDF5 schema of detection files: names, types, shapes, and reading them with every check that is cheap."""

from __future__ import annotations

import contextlib
import json
import pathlib
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np

from run_tools.errors import InputError

SCHEMA = "data_tools.detection 1"
CREATED_BY = "data-tools compile"
SPLIT_ORDER = ("train", "val", "test")
ATTRIBUTES = ("schema", "source", "class_names", "image_size", "created_by", "complete")
# Name: kind of number, columns (None: one value a row), rows counted by.
COLUMNS: dict[str, tuple[str, int | None, str]] = {
    "boxes": ("float32", 4, "boxes"),
    "classes": ("int16", None, "boxes"),
    "truncated": ("float32", None, "boxes"),
    "occluded": ("int8", None, "boxes"),
    "offsets": ("int64", None, "images + 1"),
    "original_size": ("int32", 2, "images"),
}


def text(value: Any) -> str:
    """An HDF5 text as `str`, whichever way it was stored."""
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)


def fixed_text(values: list[str]) -> np.ndarray:
    """Texts as fixed-width UTF-8 bytes: unlike variable-length ones they can be read without HDF5's heap."""
    encoded = [value.encode("utf-8") for value in values]
    width = max([1, *map(len, encoded)])
    return np.array(encoded, h5py.string_dtype("utf-8", width))


def open_hdf5(path: pathlib.Path) -> h5py.File:
    """An HDF5 file for reading.

    Raises:
        InputError: it is missing, cut off, or no HDF5 file.
    """
    if not path.is_file():
        raise InputError(
            f"{path} ({'a folder' if path.is_dir() else 'nothing there'})", "an HDF5 file", "check the path"
        )
    try:
        return h5py.File(path, "r")
    except OSError as error:
        cut = "truncated" in str(error)
        raise InputError(
            f"{path} ({'cut off' if cut else 'no HDF5 file'})",
            "a whole HDF5 file written by data-tools compile",
            "copy or compile it again",
        ) from error


@contextlib.contextmanager
def damage_named(path: pathlib.Path) -> Iterator[None]:
    """Whatever HDF5 or NumPy raise inside on a damaged file becomes one `InputError` that names the file."""
    try:
        yield
    except InputError:
        raise
    except (OSError, LookupError, TypeError, ValueError, RuntimeError, ArithmeticError, MemoryError) as error:
        raise InputError(
            f"{path} with damaged contents ({error})",
            "a file as data-tools compile writes it",
            "compile the file again",
        ) from error


def _attributes(file: h5py.File, path: pathlib.Path, unfinished: bool) -> dict[str, Any]:
    found = dict(file.attrs)
    schema = text(found.get("schema", "none"))
    if schema != SCHEMA:
        raise InputError(
            f"{path} with schema {schema!r}",
            f"schema {SCHEMA!r}",
            "compile the data set with this version of data-tools",
        )
    missing = [name for name in ATTRIBUTES if name not in found]
    if missing:
        raise InputError(f"{path} without {', '.join(missing)}", "all root attributes", "compile the file again")
    if not found["complete"] and not unfinished:
        raise InputError(f"{path}, which is not complete", "a finished file", "run its compile command again to resume")
    return found


def _split(group: h5py.Group, path: pathlib.Path, image_size: tuple[int, int]) -> dict[str, Any]:
    """A split's columns, after their types and shapes were compared with the schema."""
    where = f"{path}, split {group.name.strip('/')}"
    missing = [name for name in (*COLUMNS, "ids") if name not in group]
    kinds = [name for name in ("images", "encoded") if name in group]
    if missing or len(kinds) != 1:
        raise InputError(
            f"{where} with {', '.join(sorted(group)) or 'nothing'}",
            f"{', '.join((*COLUMNS, 'ids'))} and one of images, encoded",
            "compile the file again",
        )
    counts = {"images": len(group["ids"]), "boxes": len(group["boxes"]), "images + 1": len(group["ids"]) + 1}
    arrays: dict[str, Any] = {}
    for name, (dtype, columns, counted_by) in COLUMNS.items():
        dataset = group[name]
        shape = (counts[counted_by],) if columns is None else (counts[counted_by], columns)
        _match(dataset, dtype, shape, f"{where}: {name}")
        arrays[name] = dataset[()]
    for name in ("ids", "groups"):
        if name in group:
            arrays[name] = [text(value) for value in group[name][()].tolist()]
    images = group[kinds[0]]
    if kinds[0] == "images":
        _match(images, "uint8", (counts["images"], *image_size, 3), f"{where}: images")
        if images.chunks is not None:
            raise InputError(f"{where}: images in chunks", "one contiguous block", "compile the file again")
    elif images.shape != (counts["images"],):
        raise InputError(
            f"{where}: encoded of shape {images.shape}", f"({counts['images']},)", "compile the file again"
        )
    arrays["digests"] = {name: text(dataset.attrs.get("sha256", "none")) for name, dataset in sorted(group.items())}
    arrays["encoded"] = kinds[0] == "encoded"
    arrays["image_offset"] = images.id.get_offset() if kinds[0] == "images" and counts["images"] else None
    _check_offsets(arrays["offsets"], counts["boxes"], where)
    return arrays


def _match(dataset: Any, dtype: str, shape: tuple[int, ...], where: str) -> None:
    if not isinstance(dataset, h5py.Dataset) or dataset.dtype != dtype or dataset.shape != shape:
        found = f"{dataset.dtype} {dataset.shape}" if isinstance(dataset, h5py.Dataset) else "a group"
        raise InputError(f"{where} as {found}", f"{dtype} {shape}", "compile the file again")


def _check_offsets(offsets: np.ndarray, boxes: int, where: str) -> None:
    if offsets[0] != 0 or offsets[-1] != boxes or (np.diff(offsets) < 0).any():
        raise InputError(f"{where}: offsets out of order", f"a rising row from 0 to {boxes}", "compile the file again")


def read_columns(path: pathlib.Path, unfinished: bool = False) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Everything of a detection file but its images.

    Args:
        path: the HDF5 file.
        unfinished: also read a file that is not marked complete, as the compiler does before it marks it.

    Returns:
        Root attributes, and for each split its columns by name, with `ids` (and `groups`) as lists of texts,
        `digests` (dataset → its stored SHA-256), `encoded` (bool) and `image_offset` (byte at which raw images begin,
        or `None`).

    Raises:
        InputError: the file is missing, cut off, no HDF5, of another schema, incomplete, or its datasets do not match.
    """
    with open_hdf5(path) as file, damage_named(path):
        attributes = _attributes(file, path, unfinished)
        height, width = (int(side) for side in attributes["image_size"])
        json.loads(text(attributes["class_names"]))
        names = [name for name in SPLIT_ORDER if name in file]
        if not names:
            raise InputError(f"{path} without splits", f"one of {', '.join(SPLIT_ORDER)}", "compile the file again")
        return attributes, {name: _split(file[name], path, (height, width)) for name in names}
