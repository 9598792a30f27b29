"""What the compiler does differently for each kind of data set: boxes, labelled images, labelled vectors."""

from __future__ import annotations

import abc
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from data_tools import items, label_items, label_verification, schema, splits, verification
from data_tools.extractor import DataExtractor
from data_tools.items import Item
from data_tools.label_extractor import LabelExtractor
from run_tools.errors import InputError

STRATIFIED_NOTE = "split at random class by class, the default where the data set has no split of its own"


class Format(abc.ABC):
    """A kind of compiled file.

    Attributes:
        split_choices: ways to split.
        schema: name and version.
    """

    split_choices: tuple[str, ...]
    schema: str

    def __init__(self, extractor: Any, image_size: tuple[int, int] | None) -> None:
        self.extractor = extractor
        self.image_size = image_size

    @abc.abstractmethod
    def choose_split(self, split: str | None) -> tuple[str, list[str]]:
        """The split to use, and what to say about the choice; InputError where it cannot be made."""

    @abc.abstractmethod
    def pick(self, ids: list[str], limit: int | None) -> list[str]:
        """The ids that `limit` leaves."""

    @abc.abstractmethod
    def read(self, sample_id: str) -> Item:
        """One sample, all but its pixels."""

    @abc.abstractmethod
    def divide(
        self, found: dict[str, Item], split: str, fractions: Sequence[float], seed: int
    ) -> tuple[splits.Splits, list[str]]:
        """Ids of each split, and what there is to say about them."""

    @abc.abstractmethod
    def row_shape(self, found: Sequence[Item]) -> tuple[int, ...]:
        """Shape of one stored image or vector."""

    @abc.abstractmethod
    def render(self, item: Item, shape: tuple[int, ...]) -> np.ndarray:
        """One image or vector as it is stored."""

    @abc.abstractmethod
    def attributes(self, shape: tuple[int, ...]) -> dict[str, object]:
        """Root attributes that other kinds do not have."""

    @abc.abstractmethod
    def columns(self, found: Sequence[Item]) -> dict[str, np.ndarray]:
        """The small datasets of one split."""

    @abc.abstractmethod
    def check(self, path: pathlib.Path) -> object:
        """Check the finished file."""

    @abc.abstractmethod
    def describe(self, found: Sequence[Item]) -> dict[str, Any]:
        """Counts of one split."""


class BoxFormat(Format):
    """Detection files."""

    split_choices = ("drive", "random", "standard")
    schema = schema.SCHEMA
    extractor: DataExtractor

    def __init__(self, extractor: DataExtractor, image_size: tuple[int, int] | None) -> None:
        if image_size is None:
            raise InputError("no image size", "height and width", "pass image_size")
        super().__init__(extractor, items.check_size(image_size))
        self.size: tuple[int, int] = items.check_size(image_size)

    def choose_split(self, split: str | None) -> tuple[str, list[str]]:
        """By drive where drives are known."""
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

    def pick(self, ids: list[str], limit: int | None) -> list[str]:
        """The first ones."""
        return ids[:limit]

    def read(self, sample_id: str) -> Item:
        """See `items.read_item`."""
        return items.read_item(self.extractor, sample_id, self.size)

    def divide(
        self, found: dict[str, Item], split: str, fractions: Sequence[float], seed: int
    ) -> tuple[splits.Splits, list[str]]:
        """By drive, at random, or by the published lists."""
        ids = list(found)
        counts = {i: np.bincount(item.classes[item.classes >= 0], minlength=len(self.extractor.class_names))
                  for i, item in found.items()}  # fmt: skip
        groups = {i: item.sample.group or i for i, item in found.items()} if self.extractor.groups_known() else None
        if split == "random":
            return splits.random(ids, fractions, seed), []
        if split == "drive":
            return splits.by_group(groups or {}, counts, fractions, seed), []
        lists = self.extractor.standard_splits() or {}
        notes = [
            f"standard {name} list: {len(set(listed) & set(ids))} of {len(listed)} ids present, "
            f"{len(set(listed) - set(ids))} missing"
            for name, listed in lists.items()
        ]
        outside = len(set(ids).difference(*lists.values()))
        if outside:
            notes.append(f"{outside} images are in no standard list and left out")
        return splits.standard(lists, ids, groups, counts, seed), notes

    def row_shape(self, found: Sequence[Item]) -> tuple[int, ...]:
        """The size asked for."""
        return (*self.size, 3)

    def render(self, item: Item, shape: tuple[int, ...]) -> np.ndarray:
        """See `items.render_item`."""
        return items.render_item(self.extractor, item, self.size)

    def attributes(self, shape: tuple[int, ...]) -> dict[str, object]:
        """The image's size."""
        return {"image_size": np.array(self.size, np.int32)}

    def columns(self, found: Sequence[Item]) -> dict[str, np.ndarray]:
        """See `items.columns_of`."""
        return items.columns_of(found, self.extractor.groups_known())

    def check(self, path: pathlib.Path) -> object:
        """Every box inside its image, no image or drive in two splits."""
        return verification.check_contents(path)

    def describe(self, found: Sequence[Item]) -> dict[str, Any]:
        """Images, groups and boxes by class."""
        names = (*self.extractor.class_names, "DontCare")
        classes = np.concatenate([np.empty(0, np.int16), *(item.classes for item in found)])
        counts = np.bincount(np.where(classes < 0, len(names) - 1, classes), minlength=len(names))
        return {
            "images": len(found),
            "groups": len({item.sample.group for item in found} - {None}) or None,
            "boxes": dict(zip(names, counts.tolist(), strict=True)),
        }


class LabelFormat(Format):
    """Classification files of images or vectors."""

    split_choices = ("standard", "stratified")
    schema = schema.LABEL_SCHEMA
    extractor: LabelExtractor

    def __init__(self, extractor: LabelExtractor, image_size: tuple[int, int] | None) -> None:
        if image_size is not None:
            if extractor.content == "features":
                raise InputError("an image size for feature vectors", "none", "leave --size out")
            if min(image_size) < 1:
                raise InputError(f"size {image_size[1]}x{image_size[0]}", "at least 1x1", "pass a larger size")
        super().__init__(extractor, image_size)

    def choose_split(self, split: str | None) -> tuple[str, list[str]]:
        """The data set's own, else at random class by class."""
        own = self.extractor.standard_splits() is not None
        if split == "standard" and not own:
            raise InputError(
                f"split 'standard' for {self.extractor.source} without one",
                "train, val and test as folders or label files",
                "use --split stratified",
            )
        if split is None:
            return ("standard", ["the split is the data set's own"]) if own else ("stratified", [STRATIFIED_NOTE])
        return split, []

    def pick(self, ids: list[str], limit: int | None) -> list[str]:
        """Evenly through the sorted ids: the first ones would be of one class or one vehicle."""
        if limit is None or limit >= len(ids):
            return ids
        return [ids[i] for i in np.linspace(0, len(ids) - 1, limit).round().astype(int)]

    def read(self, sample_id: str) -> Item:
        """See `label_items.read_item`."""
        return label_items.read_item(self.extractor, sample_id)

    def divide(
        self, found: dict[str, Item], split: str, fractions: Sequence[float], seed: int
    ) -> tuple[splits.Splits, list[str]]:
        """As the data set does it, or at random class by class."""
        if split == "standard":
            return splits.listed(self.extractor.standard_splits() or {}, list(found)), []
        labels: Mapping[str, str] = {i: str(item.sample.label) for i, item in found.items()}
        return splits.stratified(labels, fractions, seed), []

    def row_shape(self, found: Sequence[Item]) -> tuple[int, ...]:
        """See `label_items.row_shape`."""
        return label_items.row_shape(self.extractor, found, self.image_size)

    def render(self, item: Item, shape: tuple[int, ...]) -> np.ndarray:
        """See `label_items.render_item`."""
        return label_items.render_item(self.extractor, item, shape)

    def attributes(self, shape: tuple[int, ...]) -> dict[str, object]:
        """What is stored, its size, and the names behind numbered attributes."""
        names = {key: list(texts) for key, texts in self.extractor.names.items() if key in self.extractor.attributes}
        return label_attributes(shape) | {"names": json.dumps(names)}

    def columns(self, found: Sequence[Item]) -> dict[str, np.ndarray]:
        """See `label_items.columns_of`."""
        return label_items.columns_of(self.extractor, found)

    def check(self, path: pathlib.Path) -> object:
        """Labels and attributes in their ranges, no image in two splits."""
        return label_verification.check_contents(path)

    def describe(self, found: Sequence[Item]) -> dict[str, Any]:
        """Images by class."""
        labels = np.array([item.classes[0] for item in found], np.int64)
        counts = np.bincount(labels, minlength=len(self.extractor.class_names)).tolist()
        return {"images": len(found), "classes": dict(zip(self.extractor.class_names, counts, strict=True))}


def label_attributes(shape: tuple[int, ...]) -> dict[str, object]:
    """Root attributes that say what a classification file holds: `content` and its size."""
    if len(shape) == 1:
        return {"content": "features", "feature_width": np.int64(shape[0])}
    return {"content": "images", "image_size": np.array(shape[:2], np.int32)}


def format_of(extractor: DataExtractor, image_size: tuple[int, int] | None) -> Format:
    """The kind of file that an extractor's data becomes."""
    return (
        LabelFormat(extractor, image_size)
        if isinstance(extractor, LabelExtractor)
        else BoxFormat(extractor, image_size)
    )
