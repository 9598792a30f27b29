"""Whether a compiled file really holds what its schema promises."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Sequence
from typing import Any

import cv2
import h5py
import numpy as np

from data_tools import label_verification
from data_tools.layout import digest
from data_tools.schema import damage_named, kind_of, open_hdf5, read_columns, text
from run_tools.errors import InputError

FIX = "compile the file again"


def verify(path: str | pathlib.Path) -> dict[str, Any]:
    """Check a compiled file: schema, completeness, contents, and every dataset's checksum.

    Args:
        path: the HDF5 file.

    Returns:
        path, `kind`, `bytes`, `checksums` (how many agreed) and `splits`: of each the images, and the boxes or, in a
        classification file, the classes that occur.

    Raises:
        InputError: the first thing that is wrong.
    """
    path = pathlib.Path(path)
    kind = kind_of(path)
    check = label_verification.check_contents if kind == "classification" else check_contents
    counts = check(path, unfinished=False)
    checksums = 0
    with open_hdf5(path) as file, damage_named(path):
        for split in counts:
            for name, dataset in file[split].items():
                _check_digest(dataset, f"{path}, {split}/{name}")
                checksums += 1
            if "encoded" in file[split]:
                _check_encoded(file[split]["encoded"], file.attrs["image_size"], f"{path}, split {split}")
    return {"path": str(path), "kind": kind, "bytes": path.stat().st_size, "checksums": checksums, "splits": counts}


def check_contents(path: pathlib.Path, unfinished: bool = True) -> dict[str, dict[str, int]]:
    """Check all but the images: every box inside its image, values in their ranges, no image or drive in two splits.

    Args:
        path: the HDF5 file.
        unfinished: accept a file that is not yet marked complete.

    Returns:
        Number of images and boxes of each split.

    Raises:
        InputError: the first thing that is wrong.
    """
    attributes, columns = read_columns(path, unfinished)
    with damage_named(path):
        return _check_columns(attributes, columns, path)


def _check_columns(
    attributes: dict[str, Any], columns: dict[str, dict[str, Any]], path: pathlib.Path
) -> dict[str, dict[str, int]]:
    classes = len(json.loads(text(attributes["class_names"])))
    for split, arrays in columns.items():
        _check_split(arrays, tuple(attributes["image_size"]), classes, f"{path}, split {split}")
    _check_apart(columns, "ids", "image", path)
    if text(attributes.get("split", "")) == "drive":
        _check_apart(columns, "groups", "drive", path)
    return {split: {"images": len(arrays["ids"]), "boxes": len(arrays["boxes"])} for split, arrays in columns.items()}


def _first_bad(bad: np.ndarray, arrays: dict[str, Any]) -> tuple[int, str]:
    """Row of the first bad box, and the id of its image."""
    row = int(np.argmax(bad))
    image = int(np.searchsorted(arrays["offsets"], row, "right")) - 1
    return row, arrays["ids"][image]


def _check_split(arrays: dict[str, Any], image_size: tuple[int, ...], classes: int, where: str) -> None:
    height, width = image_size
    boxes = arrays["boxes"]
    left, top, right, bottom = boxes.T
    inside = (left >= 0) & (left < right) & (right <= width) & (top >= 0) & (top < bottom) & (bottom <= height)
    if not inside.all():  # NaN fails every comparison
        row, image = _first_bad(~inside, arrays)
        sides = " ".join(f"{side:g}" for side in boxes[row])
        raise InputError(f"box {sides} of image {image} in {where}", f"a box inside {width}x{height}", FIX)
    for name, low, high in (("classes", -1, classes - 1), ("truncated", -1, 1), ("occluded", -1, 3)):
        bad = ~((arrays[name] >= low) & (arrays[name] <= high))
        if bad.any():
            row, image = _first_bad(bad, arrays)
            raise InputError(f"{name} {arrays[name][row]} of image {image} in {where}", f"{low} to {high}", FIX)
    if (arrays["original_size"] <= 0).any():
        raise InputError(f"an original size of {arrays['original_size'].min()} in {where}", "sizes above 0", FIX)


def _check_apart(columns: dict[str, dict[str, Any]], name: str, what: str, path: pathlib.Path) -> None:
    """No id is twice in the file; no group is in two splits."""
    owner: dict[str, str] = {}
    for split, arrays in columns.items():
        values: Sequence[str] = arrays.get(name, [])
        if name == "ids" and len(set(values)) != len(values):
            twice = next(value for value in values if values.count(value) > 1)
            raise InputError(f"{what} {twice} twice in split {split} of {path}", f"every {what} once", FIX)
        for value in set(values):
            if value in owner:
                raise InputError(
                    f"{what} {value} in the splits {owner[value]} and {split} of {path}",
                    f"each {what} in one split",
                    FIX,
                )
            owner[value] = split


def _check_digest(dataset: h5py.Dataset, where: str) -> None:
    stored = text(dataset.attrs.get("sha256", "none"))
    found = digest(dataset)
    if found != stored:
        raise InputError(f"{where} with SHA-256 {found[:12]}...", f"{stored[:12]}..., as it was written", FIX)


def _check_encoded(dataset: h5py.Dataset, image_size: Sequence[int], where: str) -> None:
    for index in range(len(dataset)):
        image = cv2.imdecode(dataset[index], cv2.IMREAD_COLOR) if len(dataset[index]) else None
        if image is None or image.shape[:2] != tuple(image_size):
            found = "no image" if image is None else f"{image.shape[1]}x{image.shape[0]}"
            raise InputError(f"{found} as encoded image {index} of {where}", f"a PNG of {tuple(image_size)}", FIX)
