"""`DataCompiler`: the samples of an extractor become one HDF5 file."""

from __future__ import annotations

import concurrent.futures as futures
import hashlib
import json
import pathlib
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from data_tools import splits
from data_tools.extractor import DataExtractor
from data_tools.items import Item, check_size, columns_of, read_item, render_item
from data_tools.layout import Plan
from data_tools.schema import CREATED_BY, SCHEMA
from data_tools.store_writer import check_output, default_workers, write_store
from data_tools.verification import check_contents
from run_tools.errors import InputError

SPLIT_CHOICES = ("drive", "random", "standard")


class DataCompiler:
    """Turns any `DataExtractor` into the HDF5 file that `open_store` and `batches` read.

    Args:
        extractor: the data set.
        image_size: height and width of the stored images in pixels, multiples of 32. Boxes are scaled along and never
            rounded; the aspect ratio is not kept.
        split: `drive`: whole groups (drives) to a split, class counts balanced; `random`; `standard`: the data set's
            published lists. Default: `drive` where groups are known, else `random`.
        fractions: of train, val and test for `drive` and `random`, sum 1.
        seed: of the split.
        limit: use only the first so many ids.
        workers: threads that decode; default: one a processor.
        encoded: store images as lossless PNG instead of raw pixels: about half the room, many times slower to read.
        progress: show a bar.

    Raises:
        InputError: an argument is out of range, or the split asked for cannot be made from this data set.

    Example:
        DataCompiler(KittiExtractor("kitti"), image_size=(384, 1248)).compile("kitti.h5")
    """

    def __init__(
        self,
        extractor: DataExtractor,
        image_size: tuple[int, int],
        split: str | None = None,
        fractions: Sequence[float] = (0.8, 0.1, 0.1),
        seed: int = 0,
        limit: int | None = None,
        workers: int | None = None,
        encoded: bool = False,
        progress: bool = True,
    ) -> None:
        self.extractor = extractor
        self.image_size = check_size(image_size)
        self.fractions = splits.check_fractions(fractions)
        for name, value, least in (("limit", limit, 1), ("workers", workers, 1), ("seed", seed, 0)):
            if value is not None and value < least:
                raise InputError(f"{name} {value}", f"a whole number from {least}", f"pass a larger {name}")
        if split is not None and split not in SPLIT_CHOICES:
            raise InputError(f"split {split!r}", f"one of {', '.join(SPLIT_CHOICES)}", "choose one of them")
        self.seed, self.limit, self.encoded, self.progress = seed, limit, encoded, progress
        self.workers = workers or default_workers()
        self.split, self.notes = self._choose_split(split)

    def _choose_split(self, split: str | None) -> tuple[str, list[str]]:
        known = self.extractor.groups_known()
        if split is None:
            if known:
                return "drive", [
                    "split by drive, the default where drives are known: neighbouring frames stay together"
                ]
            return "random", ["split at random, the default where drives are unknown: similar images may leak"]
        if split == "drive" and not known:
            raise InputError(
                f"split 'drive' for {self.extractor.source} without drives",
                "an extractor that knows groups (KITTI: devkit/train_mapping.txt and train_rand.txt in the root)",
                "add these or use --split random",
            )
        if split == "standard" and self.extractor.standard_splits() is None:
            raise InputError(
                f"split 'standard' for {self.extractor.source} without lists",
                "an extractor with published lists (KITTI: ImageSets/train.txt and val.txt in the root)",
                "add these or use --split drive or random",
            )
        return split, []

    def compile(self, out: str | pathlib.Path) -> dict[str, Any]:
        """Write the file; an earlier, killed run of the same call is resumed and yields the same bytes.

        Args:
            out: the HDF5 file, replaced at the end where it exists.

        Returns:
            path, source, image_size, split, seed, fractions, class_names, notes, `resumed` (images that were already
            there) and `splits`: for each split its number of images, groups and boxes by class.

        Raises:
            InputError: the data set is empty or has a bad image or label, or the disk is too small. Nothing is left
                half-written under the name `out`.
        """
        check_output(pathlib.Path(out))
        ids = self.extractor.ids()
        if not ids:
            raise InputError(f"{self.extractor.source} without samples", "at least one image", "check the path")
        with futures.ThreadPoolExecutor(self.workers) as pool:
            items = {item.sample.id: item for item in pool.map(self._read, ids[: self.limit])}
        parts, notes = self._divide(items)
        plan = self._plan(items, parts)

        def render(split: str, index: int) -> np.ndarray:
            return render_item(self.extractor, items[parts[split][index]], self.image_size)

        resumed = write_store(out, plan, render, self.workers, self.progress, check_contents)
        return self._summary(pathlib.Path(out), items, parts, [*self.notes, *notes], resumed)

    def _read(self, sample_id: str) -> Item:
        return read_item(self.extractor, sample_id, self.image_size)

    def _divide(self, items: dict[str, Item]) -> tuple[splits.Splits, list[str]]:
        """Ids of each split, and what there is to say about them."""
        ids = list(items)
        counts = {i: np.bincount(item.classes[item.classes >= 0], minlength=len(self.extractor.class_names))
                  for i, item in items.items()}  # fmt: skip
        groups = {i: item.sample.group or i for i, item in items.items()} if self.extractor.groups_known() else None
        if self.split == "random":
            return splits.random(ids, self.fractions, self.seed), []
        if self.split == "drive":
            return splits.by_group(groups or {}, counts, self.fractions, self.seed), []
        lists = self.extractor.standard_splits() or {}
        notes = [
            f"standard {name} list: {len(set(listed) & set(ids))} of {len(listed)} ids present, "
            f"{len(set(listed) - set(ids))} missing"
            for name, listed in lists.items()
        ]
        outside = len(set(ids).difference(*lists.values()))
        if outside:
            notes.append(f"{outside} images are in no standard list and left out")
        return splits.standard(lists, ids, groups, counts, self.seed), notes

    def _plan(self, items: dict[str, Item], parts: splits.Splits) -> Plan:
        attributes = {
            "schema": SCHEMA,
            "source": self.extractor.source,
            "class_names": json.dumps(list(self.extractor.class_names)),
            "image_size": np.array(self.image_size, np.int32),
            "created_by": CREATED_BY,
            "split": self.split,
            "seed": np.int64(self.seed),
        }
        columns = {
            split: columns_of([items[i] for i in ids], self.extractor.groups_known()) for split, ids in parts.items()
        }
        # Another OpenCV may decode or resize differently: a file must not be half one, half the other.
        state = hashlib.sha256("\n".join([cv2.__version__, *(i.state for i in items.values())]).encode()).hexdigest()
        counts = {split: len(ids) for split, ids in parts.items()}
        return Plan(attributes, columns, counts, (*self.image_size, 3), state, self.encoded)

    def _summary(
        self, out: pathlib.Path, items: dict[str, Item], parts: splits.Splits, notes: list[str], resumed: int
    ) -> dict[str, Any]:
        names = (*self.extractor.class_names, "DontCare")
        described = {}
        for split, ids in parts.items():
            classes = np.concatenate([np.empty(0, np.int16), *(items[i].classes for i in ids)])
            counts = np.bincount(np.where(classes < 0, len(names) - 1, classes), minlength=len(names))
            described[split] = {
                "images": len(ids),
                "groups": len({items[i].sample.group for i in ids} - {None}) or None,
                "boxes": dict(zip(names, counts.tolist(), strict=True)),
            }
        return {
            "path": str(out),
            "source": self.extractor.source,
            "image_size": list(self.image_size),
            "split": self.split,
            "fractions": list(self.fractions),
            "seed": self.seed,
            "class_names": list(self.extractor.class_names),
            "encoded": self.encoded,
            "resumed": resumed,
            "notes": notes,
            "splits": described,
        }
