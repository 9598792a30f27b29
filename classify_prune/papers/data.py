"""`--data` of a paper: a compiled file as it is, or a folder, compiled first."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from data_tools.compiler import DataCompiler
from data_tools.image_folder import ImageFolderExtractor
from data_tools.label_extractor import FEATURE_SUFFIX, IMAGE_SUFFIXES, LabelExtractor
from data_tools.splits import SPLIT_NAMES
from data_tools.store import open_store
from data_tools.tasks import Task
from data_tools.vehiclex import VehicleXExtractor
from run_tools.errors import InputError
from run_tools.files import parse_size

FRACTIONS = (0.6, 0.2, 0.2)
"""Of train, val and test where a folder has no split of its own: VehicleX's shares, 60.17, 19.78 and 20.05 %."""
COMPILED = "data.h5"


def extractor_of(folder: Path) -> LabelExtractor:
    """What reads a folder: VehicleX's layout where it has label files, or files without classes in a split's folder;
    else one folder a class.

    Raises:
        InputError: for a folder that is neither.
    """
    divided = [path for split in SPLIT_NAMES if (path := folder / split).is_dir()]
    if any(folder.glob("*_label.xml")) or any(_holds_files(path) for path in divided):
        return VehicleXExtractor(folder)
    return ImageFolderExtractor(folder)


def _holds_files(folder: Path) -> bool:
    return any(path.suffix.lower() in (*IMAGE_SUFFIXES, FEATURE_SUFFIX) for path in folder.iterdir())


def compiled(data: Path, out: Path, size: str | None = None) -> Path:
    """The HDF5 file of some data.

    Args:
        data: a compiled file; or a folder, which is compiled to `OUT/data.h5` unless that is there.
        out: the run's folder.
        size: WIDTHxHEIGHT or WIDTH of the images of a folder; None: as they are.

    Returns:
        The file.

    Raises:
        InputError: for data that are not there, cannot be read or are no classification data.
    """
    if not data.exists():
        raise InputError(f"{data}: no such file or folder", "a compiled file or a folder of images", "check --data")
    if data.is_file():
        open_store(data, "classification")
        return data
    target = out / COMPILED
    if not target.exists():
        extractor = extractor_of(data)
        images = extractor.content == "images"
        shape = parse_size(size) if size is not None and images else None
        DataCompiler(extractor, shape, fractions=FRACTIONS, progress=False).compile(target)
    return target


def facts(file: Path, task: str = "type", classes: int | None = None) -> dict[str, Any]:
    """What a report says of its data.

    Args:
        file: compiled.
        task: what the paper tells apart.
        classes: only the first so many classes of it; None: all.

    Returns:
        `{"file", "source", "content", "input", "images": {split: count}, "classes": {type: share of training images},
        "majority": {"class", split: accuracy of always answering it}}`, shares in 0–1; input as "WxH" or "N numbers".
        Where other things than types are told apart also "task": `{"name", "classes" (how many), "images",
        "majority"}`.
    """
    store: Any = open_store(file, "classification")
    shape = store.input_shape
    first = "train" if "train" in store.splits else store.splits[0]
    types = store.task("type")
    counts = types.counts(first)
    found = {
        "file": str(file),
        "source": store.source,
        "content": store.content,
        "input": f"{shape[0]} numbers" if len(shape) == 1 else f"{shape[1]}x{shape[0]}",
        "images": {split: len(store[split]) for split in store.splits},
        "classes": {name: float(count / counts.sum()) for name, count in zip(types.class_names, counts, strict=True)},
        "majority": _majority(types, store.splits, first),
    }
    if task != "type":
        apart = store.task(task, classes)
        found["task"] = {
            "name": task,
            "classes": len(apart.class_names),
            "images": {split: len(apart.rows[split]) for split in store.splits},
            "majority": _majority(apart, store.splits, first),
        }
    return found


def _majority(task: Task, splits: Sequence[str], first: str) -> dict[str, Any]:
    """The class that is most frequent in the split `first`, and what always answering it is worth in each."""
    most = int(task.counts(first).argmax())
    counts = {split: task.counts(split) for split in splits}
    worth = {split: float(count[most] / count.sum()) for split, count in counts.items() if count.sum()}
    return {"class": task.class_names[most], **worth}
