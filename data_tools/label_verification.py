"""Whether a compiled classification file really holds what its schema promises."""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np

from data_tools.label_schema import read_columns
from data_tools.schema import damage_named
from run_tools.errors import InputError

FIX = "compile the file again"


def check_contents(path: pathlib.Path, unfinished: bool = True) -> dict[str, dict[str, int]]:
    """Check all but the images or vectors: labels and attributes in their ranges, no image in two splits.

    Args:
        path: the HDF5 file.
        unfinished: accept a file that is not yet marked complete.

    Returns:
        Number of `images` and of `classes` that occur, for each split.

    Raises:
        InputError: the first thing that is wrong.
    """
    attributes, splits = read_columns(path, unfinished)
    with damage_named(path):
        owner: dict[str, str] = {}
        for split, arrays in splits.items():
            _check_split(arrays, attributes, f"{path}, split {split}")
            for name in arrays["ids"]:
                if name in owner:
                    twice = f"twice in split {split}" if owner[name] == split else f"in {owner[name]} and in {split}"
                    raise InputError(f"image {name} {twice} of {path}", "every image once", FIX)
                owner[name] = split
        return {
            split: {"images": len(arrays["ids"]), "classes": len(np.unique(arrays["labels"]))}
            for split, arrays in splits.items()
        }


def _check_split(arrays: dict[str, Any], attributes: dict[str, Any], where: str) -> None:
    """Labels and attributes of one split."""
    limits = {"labels": len(attributes["class_names"])}
    limits |= {name: len(names) for name, names in attributes["names"].items()}
    for name, values in {"labels": arrays["labels"], **arrays["columns"]}.items():
        good = np.isfinite(values)
        expected = "a finite number"
        if name in limits:
            good &= (values >= 0) & (values < limits[name])
            expected = f"0 to {limits[name] - 1}"
        if not good.all():
            row = int(np.argmin(good))
            raise InputError(f"{name} {values[row]} of image {arrays['ids'][row]} in {where}", expected, FIX)
    sizes = arrays["original_size"]
    if sizes is not None and (sizes <= 0).any():
        raise InputError(f"an original size of {sizes.min()} in {where}", "sizes above 0", FIX)
