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
from data_tools.formats import format_of
from data_tools.items import Item
from data_tools.layout import Plan
from data_tools.schema import CREATED_BY
from data_tools.store_writer import check_output, default_workers, write_store
from run_tools.errors import InputError


class DataCompiler:
    """Turns any `DataExtractor` into the HDF5 file that `open_store` and the feeds read.

    Args:
        extractor: the data set: of images with boxes, or a `LabelExtractor` with one label an image or vector.
        image_size: height and width of the stored images in pixels; the aspect ratio is not kept. With boxes, multiples
            of 32; boxes are scaled along and never rounded. With labels any size; None: as the images are.
        split: `drive`: whole groups (drives) to a split, class counts balanced; `random`; `stratified`: at random,
            every class in the same shares; `standard`: the data set's own. Boxes default to `drive` where groups are
            known, else `random`; labels to `standard` where there is one, else `stratified`.
        fractions: of train, val and test for all but `standard`, sum 1.
        seed: of the split.
        limit: use only so many ids: the first with boxes, evenly through the sorted ids with labels.
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
        image_size: tuple[int, int] | None = None,
        split: str | None = None,
        fractions: Sequence[float] = (0.8, 0.1, 0.1),
        seed: int = 0,
        limit: int | None = None,
        workers: int | None = None,
        encoded: bool = False,
        progress: bool = True,
    ) -> None:
        self.extractor = extractor
        self.format = format_of(extractor, image_size)
        self.fractions = splits.check_fractions(fractions)
        for name, value, least in (("limit", limit, 1), ("workers", workers, 1), ("seed", seed, 0)):
            if value is not None and value < least:
                raise InputError(f"{name} {value}", f"a whole number from {least}", f"pass a larger {name}")
        choices = self.format.split_choices
        if split is not None and split not in choices:
            raise InputError(f"split {split!r}", f"one of {', '.join(choices)}", "choose one of them")
        self.seed, self.limit, self.encoded, self.progress = seed, limit, encoded, progress
        if encoded and extractor.content == "features":
            raise InputError("--encoded for feature vectors", "images", "leave --encoded out")
        self.workers = workers or default_workers()
        self.split, self.notes = self.format.choose_split(split)

    def compile(self, out: str | pathlib.Path) -> dict[str, Any]:
        """Write the file; an earlier, killed run of the same call is resumed and yields the same bytes.

        Args:
            out: the HDF5 file, replaced at the end where it exists.

        Returns:
            path, source, content, split, seed, fractions, class_names, notes, `resumed` (images that were already
            there), `image_size` or `feature_width`, and `splits`: for each split its number of images, with boxes the
            groups and boxes by class, with labels `classes`, the images by class.

        Raises:
            InputError: the data set is empty or has a bad image or label, or the disk is too small. Nothing is left
                half-written under the name `out`.
        """
        check_output(pathlib.Path(out))
        ids = self.extractor.ids()
        if not ids:
            raise InputError(f"{self.extractor.source} without samples", "at least one image", "check the path")
        with futures.ThreadPoolExecutor(self.workers) as pool:
            items = {item.sample.id: item for item in pool.map(self.format.read, self.format.pick(ids, self.limit))}
        shape = self.format.row_shape(list(items.values()))
        parts, notes = self.format.divide(items, self.split, self.fractions, self.seed)
        found = {split: [items[i] for i in members] for split, members in parts.items()}
        plan = self._plan(found, items, shape)

        def render(split: str, index: int) -> np.ndarray:
            return self.format.render(found[split][index], shape)

        resumed = write_store(out, plan, render, self.workers, self.progress, self.format.check)
        return self._summary(pathlib.Path(out), found, shape, [*self.notes, *notes], resumed)

    def _plan(self, found: dict[str, list[Item]], items: dict[str, Item], shape: tuple[int, ...]) -> Plan:
        attributes: dict[str, object] = {
            "schema": self.format.schema,
            "source": self.extractor.source,
            "class_names": json.dumps(list(self.extractor.class_names)),
            **self.format.attributes(shape),
            "created_by": CREATED_BY,
            "split": self.split,
            "seed": np.int64(self.seed),
        }
        columns = {split: self.format.columns(members) for split, members in found.items()}
        # Another OpenCV may decode or resize differently: a file must not be half one, half the other.
        state = hashlib.sha256("\n".join([cv2.__version__, *(i.state for i in items.values())]).encode()).hexdigest()
        counts = {split: len(members) for split, members in found.items()}
        return Plan(attributes, columns, counts, shape, state, self.encoded)

    def _summary(
        self, out: pathlib.Path, found: dict[str, list[Item]], shape: tuple[int, ...], notes: list[str], resumed: int
    ) -> dict[str, Any]:
        size = {"feature_width": shape[0]} if len(shape) == 1 else {"image_size": list(shape[:2])}
        return {
            "path": str(out),
            "source": self.extractor.source,
            "content": self.extractor.content,
            **size,
            "split": self.split,
            "fractions": list(self.fractions),
            "seed": self.seed,
            "class_names": list(self.extractor.class_names),
            "encoded": self.encoded,
            "resumed": resumed,
            "notes": notes,
            "splits": {split: self.format.describe(members) for split, members in found.items()},
        }
