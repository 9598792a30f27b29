"""One image with boxes on its way from the raw data set into the HDF5 file: read, checked, scaled."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from data_tools import boxes as box_tools
from data_tools import image_files
from data_tools.extractor import DataExtractor
from data_tools.records import Sample
from data_tools.schema import fixed_text
from run_tools.errors import InputError

STRIDE = 32
# KITTI's own boxes overhang by up to half a pixel of rounding; more than this is a wrong label.
OVERHANG = 1.0


@dataclass(frozen=True)
class Item:
    """A sample as the file will hold it.

    Args:
        sample: what the extractor gave.
        size: height and width of its image on disk, pixels; (1, D) of a vector.
        boxes: float32 (k, 4), xyxy in pixels of the stored image.
        classes: int16 (k,), -1 = ignored; the one label of an image without boxes.
        state: changes when the raw image changes.
    """

    sample: Sample
    size: tuple[int, int]
    boxes: np.ndarray
    classes: np.ndarray
    state: str


def read_item(extractor: DataExtractor, sample_id: str, image_size: tuple[int, int]) -> Item:
    """Read and check one sample, all but its pixels.

    Args:
        extractor: the data set.
        sample_id: which sample.
        image_size: height and width of the stored images.

    Returns:
        The sample with its boxes scaled to the stored image.

    Raises:
        InputError: its label is bad, its image is no whole file, or a box is not inside the image.
    """
    sample = extractor.sample(sample_id)
    size = extractor.image_size(sample)
    classes = np.array([extractor.class_index(box.class_name) for box in sample.boxes], np.int16)
    boxes = box_tools.scale(_checked_boxes(extractor, sample, size), size, image_size)
    # Rounding 8-byte to 4-byte floats may step over the border by one part in ten million.
    boxes = box_tools.clip(boxes.astype(np.float32), image_size)
    return Item(sample, size, boxes, classes, state_of(sample))


def state_of(sample: Sample) -> str:
    """A text that changes when the raw file changes."""
    stat = sample.image.stat()
    return f"{sample.id} {sample.group} {sample.image} {stat.st_size} {stat.st_mtime_ns}"


def _checked_boxes(extractor: DataExtractor, sample: Sample, size: tuple[int, int]) -> np.ndarray:
    """Boxes of a sample in pixels of its image, float64 (k, 4), cut to the image."""
    boxes = np.array([box.xyxy for box in sample.boxes], np.float64).reshape(-1, 4)
    cut = box_tools.clip(boxes, size)
    bad = ~np.isfinite(boxes).all(1) | (np.abs(boxes - cut) > OVERHANG).any(1) | (box_tools.area(cut) <= 0)
    if bad.any():
        index = int(np.argmax(bad))
        sides = " ".join(f"{side:g}" for side in boxes[index])
        raise InputError(
            f"box {sides} in {extractor.where(sample, index)}",
            f"left < right and top < bottom inside the image, {size[1]}x{size[0]}",
            "correct the label file",
        )
    return cut


def render_item(extractor: DataExtractor, item: Item, image_size: tuple[int, int]) -> np.ndarray:
    """Pixels of one sample at the stored size.

    Args:
        extractor: the data set.
        item: the sample.
        image_size: height and width of the stored images.

    Returns:
        uint8 RGB, shape (*image_size, 3).

    Raises:
        InputError: the image cannot be decoded, or is not as large as it said.
    """
    image = extractor.read_image(item.sample)
    if image.dtype != np.uint8 or image.shape != (*item.size, 3):
        raise InputError(
            f"image {item.sample.image} as {image.dtype} {image.shape}",
            f"uint8 {(*item.size, 3)}",
            "make read_image and image_size of the extractor agree",
        )
    return image_files.resize(image, image_size)


def columns_of(items: Sequence[Item], grouped: bool) -> dict[str, np.ndarray]:
    """The small datasets of one split.

    Args:
        items: its samples, in the file's order.
        grouped: whether to keep each sample's group.

    Returns:
        Arrays by name, as `schema.COLUMNS` describes them, with ids (and groups) as fixed-width texts.
    """
    boxes = [box for item in items for box in item.sample.boxes]
    columns = {
        "boxes": np.concatenate([np.empty((0, 4), np.float32), *(item.boxes for item in items)]),
        "classes": np.concatenate([np.empty(0, np.int16), *(item.classes for item in items)]),
        "truncated": np.array([box.truncated for box in boxes], np.float32),
        "occluded": np.array([box.occluded for box in boxes], np.int8),
        "offsets": np.cumsum([0, *(len(item.boxes) for item in items)], dtype=np.int64),
        "ids": fixed_text([item.sample.id for item in items]),
        "original_size": np.array([item.size for item in items], np.int32).reshape(-1, 2),
    }
    if grouped:
        columns["groups"] = fixed_text([item.sample.group or "" for item in items])
    return columns


def check_size(size: tuple[int, int]) -> tuple[int, int]:
    """Height and width as multiples of the detector's stride.

    Args:
        size: height and width in pixels.

    Returns:
        The same.

    Raises:
        InputError: a side is no multiple of 32; the message names the nearest sizes, width first as people write.
    """
    height, width = (int(side) for side in size)
    if height < STRIDE or width < STRIDE or height % STRIDE or width % STRIDE:
        lower = [max(STRIDE, side // STRIDE * STRIDE) for side in (width, height)]
        upper = [max(STRIDE, math.ceil(side / STRIDE) * STRIDE) for side in (width, height)]
        near = " or ".join(dict.fromkeys(f"{w}x{h}" for w, h in (lower, upper)))
        raise InputError(f"size {width}x{height}", f"multiples of {STRIDE}", f"use {near}")
    return height, width
