"""A detector over a split: truths and detections in pixels of the original images, ready for the metrics."""

import sys
from collections.abc import Iterator

import numpy as np
from tqdm import tqdm

from data_tools import boxes as box_tools
from data_tools.image_files import resize
from data_tools.store import SplitView, Store
from yolo_prune.class_map import DONTCARE
from yolo_prune.detector import YoloV2
from yolo_prune.records import Detections, Truth

DONTCARE_NAME = "DontCare"


def truths(store: Store, split: str, lookup: np.ndarray) -> list[Truth]:
    """What is true of each image of a split.

    Args:
        store: an open HDF5 file.
        split: its name.
        lookup: class of the head for each stored class, −1 for DontCare (`ClassSet.lookup`).

    Returns:
        One `Truth` an image, in pixels of the original image, with the data set's own class names.
    """
    view = store[split]
    mapped = np.append(lookup, DONTCARE)
    names = np.array([*store.class_names, DONTCARE_NAME])
    found = []
    for index in range(len(view)):
        size = (int(view.original_size[index][0]), int(view.original_size[index][1]))
        stored = view.classes(index)
        found.append(
            Truth(
                boxes=box_tools.scale(view.boxes(index), store.image_size, size),
                classes=mapped[stored],
                size=size,
                truncated=view.truncated(index),
                occluded=view.occluded(index),
                names=tuple(names[stored]),
            )
        )
    return found


def predictions(
    model: YoloV2,
    view: SplitView,
    score: float = 0.005,
    iou: float = 0.45,
    limit: int = 100,
    batch_size: int = 16,
    count: int | None = None,
    progress: bool = False,
) -> Iterator[Detections]:
    """Detections of each image of a split, in pixels of the original image.

    Args:
        model: the detector; stored images are stretched to its size.
        view: one split.
        score: least score kept.
        iou: per-class suppression threshold.
        limit: most detections an image.
        batch_size: images a forward pass, and in memory.
        count: only the first so many images of the split; None: all.
        progress: show a bar.

    Yields:
        One `Detections` an image, in the order of the split.
    """
    count = len(view) if count is None else min(count, len(view))
    # In a log file a line every ten seconds is enough.
    pace = 0.1 if sys.stderr.isatty() else 10.0
    with tqdm(total=count, unit="image", desc="detecting", disable=not progress, mininterval=pace) as bar:
        for start in range(0, count, batch_size):
            indices = np.arange(start, min(start + batch_size, count))
            images = np.stack([resize(image, model.image_size) for image in view.images(indices)])
            for index, found in zip(indices, model.detect(images, score, iou, limit, batch_size), strict=True):
                yield found.in_pixels(tuple(view.original_size[index]))
            bar.update(len(indices))
