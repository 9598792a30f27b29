"""One labelled image or vector on its way from the raw data set into the HDF5 file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from data_tools import items
from data_tools.items import Item
from data_tools.label_extractor import LabelExtractor
from data_tools.label_schema import ATTRIBUTE_TYPES, LABEL_TYPE
from data_tools.schema import fixed_text
from run_tools.errors import InputError

NO_BOXES = np.empty((0, 4), np.float32)


def read_item(extractor: LabelExtractor, sample_id: str) -> Item:
    """Read and check one sample, all but its pixels.

    Args:
        extractor: the data set.
        sample_id: which sample.

    Returns:
        The sample, its class and the size of its image, or the length of its vector.

    Raises:
        InputError: its label is unknown, its image is no whole file, or its vector is no vector.
    """
    sample = extractor.sample(sample_id)
    if sample.label is None:
        raise InputError(f"sample {sample_id} without label", "one of the class names", "set Sample.label")
    label = np.array([extractor.class_index(sample.label)], np.int16)
    features = extractor.content == "features"
    size = (1, len(extractor.read_vector(sample))) if features else extractor.image_size(sample)
    return Item(sample, size, NO_BOXES, label, items.state_of(sample))


def row_shape(extractor: LabelExtractor, found: Sequence[Item], size: tuple[int, int] | None) -> tuple[int, ...]:
    """Shape of what is stored: one image (H, W, 3), or one vector (D,).

    Args:
        extractor: the data set.
        found: its samples, at least one.
        size: height and width to store images at; None: as they are.

    Returns:
        The shape.

    Raises:
        InputError: images differ in size and no size is given, or vectors differ in length.
    """
    common, _ = Counter(item.size for item in found).most_common(1)[0]
    odd = next((item for item in found if item.size != common), None)
    if extractor.content == "features":
        if odd is not None:
            raise InputError(
                f"a vector of {odd.size[1]} numbers in {odd.sample.image}",
                f"{common[1]}, as in {sum(item.size == common for item in found)} of {len(found)} files",
                "save all vectors with one network or remove the file",
            )
        return (common[1],)
    if size is None and odd is not None:
        raise InputError(
            f"images of {common[1]}x{common[0]} and {odd.size[1]}x{odd.size[0]} ({odd.sample.image})",
            "one size",
            f"add --size, for example --size {common[1]}x{common[0]}",
        )
    return (*(size or common), 3)


def render_item(extractor: LabelExtractor, item: Item, shape: tuple[int, ...]) -> np.ndarray:
    """Pixels of one sample at the stored size, uint8 (H, W, 3), or its vector, float32 (D,).

    Args:
        extractor: the data set.
        item: the sample.
        shape: what `row_shape` gave.

    Raises:
        InputError: the file cannot be decoded, or changed since `read_item`.
    """
    if extractor.content == "images":
        return items.render_item(extractor, item, (shape[0], shape[1]))
    vector = extractor.read_vector(item.sample)
    if vector.shape != shape:
        raise InputError(f"{len(vector)} numbers in {item.sample.image}", f"{shape[0]}", "leave files alone meanwhile")
    return vector


def columns_of(extractor: LabelExtractor, found: Sequence[Item]) -> dict[str, np.ndarray]:
    """The small datasets of one split.

    Args:
        extractor: the data set.
        found: the split's samples, in the file's order.

    Returns:
        Arrays by name, as `label_schema` describes them.
    """
    columns = {
        "labels": np.concatenate([np.empty(0, LABEL_TYPE), *(item.classes for item in found)]).astype(LABEL_TYPE),
        "ids": fixed_text([item.sample.id for item in found]),
    }
    if extractor.content == "images":
        columns["original_size"] = np.array([item.size for item in found], np.int32).reshape(-1, 2)
    for name in extractor.attributes:
        values = [item.sample.attributes[name] for item in found]
        columns[name] = np.array(values).astype(ATTRIBUTE_TYPES[name])
    return columns
