"""The HDF5 schema of detection files: names, types, shapes, and reading them with every check that is cheap.

What `label_schema` shares with it (attributes, texts, matching of datasets) is here too.
"""

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
LABEL_SCHEMA = "data_tools.classification 1"
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


def open_hdf5(
    path: pathlib.Path,
    expected: str = "a whole HDF5 file written by data-tools compile",
    fix: str = "copy or compile it again",
) -> h5py.File:
    """An HDF5 file for reading.

    Args:
        path: the file.
        expected: what to say of a file that is none.
        fix: likewise.

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
        raise InputError(f"{path} ({'cut off' if cut else 'no HDF5 file'})", expected, fix) from error


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


def kind_of(path: pathlib.Path) -> str:
    """What a compiled file is for.

    Args:
        path: the HDF5 file.

    Returns:
        "classification" where the file says so, else "detection".

    Raises:
        InputError: it is missing, cut off, or no HDF5 file.
    """
    with open_hdf5(path) as file, damage_named(path):
        family = text(file.attrs.get("schema", SCHEMA)).split(" ")[0]
    return "classification" if family == LABEL_SCHEMA.split(" ")[0] else "detection"


def read_attributes(
    file: h5py.File, path: pathlib.Path, unfinished: bool, schema: str, names: tuple[str, ...]
) -> dict[str, Any]:
    """Root attributes of a compiled file.

    Args:
        file: the open file.
        path: its name, for messages.
        unfinished: accept a file that is not yet marked complete.
        schema: its schema should be this.
        names: attributes that must be there.

    Returns:
        Attributes by name.

    Raises:
        InputError: another schema, an attribute is missing, or the file is not complete.
    """
    found = dict(file.attrs)
    stored = text(found.get("schema", "none"))
    if stored != schema:
        raise InputError(
            f"{path} with schema {stored!r}",
            f"schema {schema!r}",
            "compile the data set with this version of data-tools",
        )
    missing = [name for name in names if name not in found]
    if missing:
        raise InputError(f"{path} without {', '.join(missing)}", "all root attributes", "compile the file again")
    if not found["complete"] and not unfinished:
        raise InputError(f"{path}, which is not complete", "a finished file", "run its compile command again to resume")
    return found


def class_names(attributes: dict[str, Any], path: pathlib.Path) -> tuple[str, ...]:
    """Class names of a file as texts, or an `InputError`."""
    names = tuple(json.loads(text(attributes["class_names"])))
    if not all(isinstance(name, str) for name in names):
        raise InputError(f"class names {names} in {path}", "texts", "compile the file again")
    return names


def split_names(file: h5py.File, path: pathlib.Path) -> list[str]:
    """Splits of a file in their order, at least one, or an `InputError`."""
    names = [name for name in SPLIT_ORDER if name in file]
    if not names:
        raise InputError(f"{path} without splits", f"one of {', '.join(SPLIT_ORDER)}", "compile the file again")
    return names


def stored_digests(group: h5py.Group) -> dict[str, str]:
    """SHA-256 of each dataset as it was stored."""
    return {name: text(dataset.attrs.get("sha256", "none")) for name, dataset in sorted(group.items())}


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
        match(dataset, dtype, shape, f"{where}: {name}")
        arrays[name] = dataset[()]
    for name in ("ids", "groups"):
        if name in group:
            arrays[name] = [text(value) for value in group[name][()].tolist()]
    images = group[kinds[0]]
    match_rows(images, "uint8", (counts["images"], *image_size, 3), where)
    arrays["digests"] = stored_digests(group)
    arrays["encoded"] = kinds[0] == "encoded"
    arrays["offset"] = images.id.get_offset() if kinds[0] == "images" and counts["images"] else None
    _check_offsets(arrays["offsets"], counts["boxes"], where)
    return arrays


def match_rows(dataset: h5py.Dataset, dtype: str, shape: tuple[int, ...], where: str) -> None:
    """Compare the dataset that holds a split's images or vectors with what it should be; InputError otherwise."""
    name = str(dataset.name).rsplit("/", 1)[-1]
    if name == "encoded":
        if dataset.shape != shape[:1]:
            raise InputError(f"{where}: encoded of shape {dataset.shape}", f"{shape[:1]}", "compile the file again")
        return
    match(dataset, dtype, shape, f"{where}: {name}")
    if dataset.chunks is not None:
        raise InputError(f"{where}: {name} in chunks", "one contiguous block", "compile the file again")


def match(dataset: Any, dtype: str, shape: tuple[int, ...], where: str) -> None:
    """Compare type and shape of a dataset with what they should be; InputError otherwise."""
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
        `digests` (dataset → its stored SHA-256), `encoded` (bool) and `offset` (byte at which raw images begin,
        or `None`).

    Raises:
        InputError: the file is missing, cut off, no HDF5, of another schema, incomplete, or its datasets do not match.
    """
    with open_hdf5(path) as file, damage_named(path):
        attributes = read_attributes(file, path, unfinished, SCHEMA, ATTRIBUTES)
        height, width = (int(side) for side in attributes["image_size"])
        json.loads(text(attributes["class_names"]))
        return attributes, {name: _split(file[name], path, (height, width)) for name in split_names(file, path)}
