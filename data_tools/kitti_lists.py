"""Files beside KITTI's images that say where an image comes from and in which split it belongs."""

from __future__ import annotations

import pathlib

from data_tools.extractor import read_text
from run_tools.errors import InputError

DEFAULT_SOURCE = "KITTI 2D object"


def read_drives(root: pathlib.Path) -> list[str] | None:
    """Drive of each training image, from the devkit's mapping.

    Image id i (from 0) is line `train_rand[i]` (from 1) of `train_mapping.txt`, whose columns are date, drive, frame.

    Args:
        root: folder that holds `devkit/train_mapping.txt` and `devkit/train_rand.txt`.

    Returns:
        Drive names by image id; `None` where neither file is there.

    Raises:
        InputError: only one of the two is there, or one is malformed.
    """
    mapping, rand = root / "devkit" / "train_mapping.txt", root / "devkit" / "train_rand.txt"
    there = [path for path in (mapping, rand) if path.is_file()]
    if not there:
        return None
    if len(there) == 1:
        raise InputError(
            f"{there[0]} alone", f"both {mapping.name} and {rand.name}", "add the missing file, or remove devkit/"
        )
    lines = [line for line in read_text(mapping).splitlines() if line.strip()]
    drives = []
    for number, line in enumerate(lines, 1):
        fields = line.split()
        if len(fields) != 3:
            raise InputError(
                f"{line.strip()!r} in {mapping}, line {number}", "date, drive and frame", "restore the file"
            )
        drives.append(fields[1])
    order = [field.strip() for field in read_text(rand).replace("\n", ",").split(",") if field.strip()]
    for position, field in enumerate(order):
        if not (field.isdecimal() and 1 <= int(field) <= len(drives)):
            raise InputError(
                f"{field!r} as entry {position + 1} of {rand}",
                f"a line number of {mapping.name}, 1 to {len(drives)}",
                "restore the file",
            )
    return [drives[int(field) - 1] for field in order]


def read_image_sets(root: pathlib.Path) -> dict[str, list[str]] | None:
    """The community's standard split.

    Args:
        root: folder that holds `ImageSets/train.txt` and `ImageSets/val.txt`, one id a line.

    Returns:
        {"train": ids, "val": ids}; `None` where there is no folder `ImageSets`.

    Raises:
        InputError: a list is missing, a line is no id, or an id is in both lists or twice in one.
    """
    folder = root / "ImageSets"
    if not folder.is_dir():
        return None
    splits: dict[str, list[str]] = {}
    seen: dict[str, str] = {}
    for name in ("train", "val"):
        path = folder / f"{name}.txt"
        splits[name] = []
        for number, line in enumerate(read_text(path).splitlines(), 1):
            sample_id = line.strip()
            if not sample_id:
                continue
            where = f"{path}, line {number}"
            if not sample_id.isdecimal():
                raise InputError(f"{sample_id!r} in {where}", "an image id such as 000123", "restore the file")
            if sample_id in seen:
                raise InputError(f"id {sample_id} in {where} and in {seen[sample_id]}", "each id once", "remove one")
            seen[sample_id] = where
            splits[name].append(sample_id)
    return splits
