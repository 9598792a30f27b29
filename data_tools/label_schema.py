"""The HDF5 schema of classification files: one label an image, or a vector; and the attributes that VehicleX knows."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import h5py
import numpy as np

from data_tools.schema import (
    LABEL_SCHEMA,
    class_names,
    damage_named,
    match,
    match_rows,
    open_hdf5,
    read_attributes,
    split_names,
    stored_digests,
    text,
)
from run_tools.errors import InputError

ATTRIBUTES = ("schema", "source", "class_names", "content", "names", "created_by", "complete")
LABEL_TYPE = "int16"
ATTRIBUTE_TYPES: dict[str, str] = {
    "vehicle_id": "int32",
    "colour": "int16",
    "camera": "int16",
    "orientation": "float32",
    "light_intensity": "float32",
    "light_direction": "float32",
    "camera_height": "float32",
    "camera_distance": "float32",
}
"""Attribute columns that a file may have, one value an image: `orientation` in degrees, the others as published."""
CONTENTS = {"images": ("images", "encoded"), "features": ("features",)}
"""What a file may hold, and the datasets that may hold it."""
FEATURE_TYPE = "float32"


def row_shape(attributes: dict[str, Any], path: pathlib.Path) -> tuple[int, ...]:
    """Shape of one image (H, W, 3) or vector (D,) of a file.

    Args:
        attributes: root attributes.
        path: for messages.

    Raises:
        InputError: the file says neither, or says nonsense.
    """
    content = text(attributes["content"])
    if content not in CONTENTS:
        raise InputError(f"content {content!r} of {path}", f"one of {', '.join(CONTENTS)}", "compile the file again")
    name = "image_size" if content == "images" else "feature_width"
    if name not in attributes:
        raise InputError(f"{path} without {name}", "all root attributes", "compile the file again")
    sides = tuple(int(side) for side in np.ravel(attributes[name]))
    if len(sides) != (2 if content == "images" else 1) or min(sides) < 1:
        raise InputError(f"{name} {sides} of {path}", "numbers above 0", "compile the file again")
    return (*sides, 3) if content == "images" else sides


def read_columns(path: pathlib.Path, unfinished: bool = False) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Everything of a classification file but its images or vectors.

    Args:
        path: the HDF5 file.
        unfinished: also read a file that is not marked complete.

    Returns:
        Root attributes (texts and names decoded), and for each split its columns by name: `ids` (texts), `labels`,
        `original_size` (None for vectors), `columns` (attribute columns by name), `digests`, `encoded` and `offset`.

    Raises:
        InputError: the file is missing, cut off, no HDF5, of another schema, incomplete, or its datasets do not match.
    """
    with open_hdf5(path) as file, damage_named(path):
        attributes = read_attributes(file, path, unfinished, LABEL_SCHEMA, ATTRIBUTES)
        shape = row_shape(attributes, path)
        attributes["class_names"] = class_names(attributes, path)
        attributes["names"] = {key: tuple(names) for key, names in json.loads(text(attributes["names"])).items()}
        for name in ("source", "content"):
            attributes[name] = text(attributes[name])
        content = str(attributes["content"])
        splits = {name: _split(file[name], path, content, shape) for name in split_names(file, path)}
        kept = {name: set(columns["columns"]) for name, columns in splits.items()}
        if len({frozenset(names) for names in kept.values()}) > 1:
            raise InputError(f"{path} with other attributes in each split", "the same", "compile the file again")
        return attributes, splits


def _split(group: h5py.Group, path: pathlib.Path, content: str, shape: tuple[int, ...]) -> dict[str, Any]:
    """A split's columns, after their types and shapes were compared with the schema."""
    where = f"{path}, split {group.name.strip('/')}"
    needed = ("ids", "labels", *(["original_size"] if content == "images" else []))
    missing = [name for name in needed if name not in group]
    held = [name for name in CONTENTS[content] if name in group]
    if missing or len(held) != 1:
        raise InputError(
            f"{where} with {', '.join(sorted(group)) or 'nothing'}",
            f"{', '.join(needed)} and one of {', '.join(CONTENTS[content])}",
            "compile the file again",
        )
    count = len(group["ids"])
    match(group["labels"], LABEL_TYPE, (count,), f"{where}: labels")
    arrays: dict[str, Any] = {"labels": group["labels"][()].astype(np.int32), "original_size": None, "columns": {}}
    if content == "images":
        match(group["original_size"], "int32", (count, 2), f"{where}: original_size")
        arrays["original_size"] = group["original_size"][()]
    for name, dtype in ATTRIBUTE_TYPES.items():
        if name in group:
            match(group[name], dtype, (count,), f"{where}: {name}")
            arrays["columns"][name] = group[name][()]
    arrays["ids"] = [text(value) for value in group["ids"][()].tolist()]
    rows = group[held[0]]
    match_rows(rows, FEATURE_TYPE if content == "features" else "uint8", (count, *shape), where)
    arrays["digests"] = stored_digests(group)
    arrays["encoded"] = held[0] == "encoded"
    arrays["offset"] = rows.id.get_offset() if held[0] != "encoded" and count else None
    return arrays
