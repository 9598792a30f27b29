"""What a person watches while a detector trains: AP on the validation images, and pictures with what was found."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from data_tools.event_images import write_images
from data_tools.image_files import resize
from data_tools.store import Store
from yolo_prune.drawing import draw, grid
from yolo_prune.evaluation.coco import ap50
from yolo_prune.predict import predictions, truths
from yolo_prune.records import Detections

MIN_BOXES = 50
"""A class counts towards the monitored mean when the validation images hold at least so many true boxes of it; with
fewer, luck would choose the checkpoint."""


class ValidationAP(keras.callbacks.Callback):
    """Adds `val_ap50`, and `val_ap50_<class>`, to the epoch's logs; put it before the callbacks that read them.

    Args:
        store: an open HDF5 file.
        split: the split to validate on.
        lookup: class of the head for each stored class (`ClassSet.lookup`).
        class_names: of the head.
        epochs: after which to validate, counted from 1, as `fit`'s `validation_freq`.
        limit: only the first images of the split; None: all.

    Attributes:
        found: detections of each image at the last validation; none before the first.
    """

    def __init__(
        self,
        store: Store,
        split: str,
        lookup: np.ndarray,
        class_names: Sequence[str],
        epochs: Sequence[int],
        limit: int | None = None,
    ):
        super().__init__()
        self.view = store[split]
        self.truths = truths(store, split, lookup)[:limit]
        self.class_names = tuple(class_names)
        self.epochs = frozenset(epochs)
        self.found: list[Detections] = []
        classes = np.concatenate([truth.classes for truth in self.truths])
        counts = [int((classes == index).sum()) for index in range(len(self.class_names))]
        # In a small validation split no class may reach the count; then all that occur do.
        least = MIN_BOXES if max(counts, default=0) >= MIN_BOXES else 1
        self.counted = [name for name, count in zip(self.class_names, counts, strict=True) if count >= least]

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Judges the model and adds to `logs`."""
        if logs is None or epoch + 1 not in self.epochs:
            return
        self.found = list(predictions(self.model, self.view, count=len(self.truths)))
        result = ap50(self.truths, self.found, self.class_names)
        for name in self.counted:
            logs[f"val_ap50_{name}"] = result[name]
        logs["val_ap50"] = float(np.mean([result[name] for name in self.counted])) if self.counted else 0.0


class Pictures(keras.callbacks.Callback):
    """Writes validation images with truth above prediction for TensorBoard.

    Args:
        logdir: TensorBoard's folder.
        store: an open HDF5 file.
        split: its split.
        lookup: class of the head for each stored class.
        class_names: of the head.
        every: epochs between pictures; the first and then every so many; 0: none.
        count: images drawn, spread over the split.
        score: least score drawn.
    """

    def __init__(
        self,
        logdir: Path,
        store: Store,
        split: str,
        lookup: np.ndarray,
        class_names: Sequence[str],
        every: int,
        count: int = 4,
        score: float = 0.3,
    ):
        super().__init__()
        view = store[split]
        self.indices = np.unique(np.linspace(0, len(view) - 1, min(count, len(view))).astype(int))
        self.images = view.images(self.indices)
        everything = truths(store, split, lookup)
        self.truths = [everything[index] for index in self.indices]
        self.ids = [view.ids[index] for index in self.indices]
        self.logdir = logdir
        self.class_names = tuple(class_names)
        self.every = every
        self.score = score

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Draws and writes the pictures."""
        if not self.every or epoch % self.every:
            return
        inputs = np.stack([resize(image, self.model.image_size) for image in self.images])
        detected = self.model.detect(inputs, score=self.score)
        pictures = {}
        for name, image, truth, found in zip(self.ids, self.images, self.truths, detected, strict=True):
            original = resize(image, truth.size)
            above = draw(original, truth=truth, class_names=self.class_names)
            below = draw(original, found.in_pixels(truth.size), class_names=self.class_names)
            pictures[f"detections/{name}"] = grid([above, below], columns=1, titles=("truth", "prediction"))
        write_images(self.logdir, pictures, epoch)
