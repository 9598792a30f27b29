"""Classification files → batches for plain `fit`."""

from __future__ import annotations

from typing import Any

import numpy as np

from data_tools.feed import Feed
from data_tools.label_augment import LabelAugment, change
from data_tools.label_store import LabelStore, LabelView
from data_tools.preprocess import FeatureScale, Preprocess
from data_tools.store import open_store
from data_tools.tasks import Task
from run_tools.errors import InputError


class LabelBatches(Feed):
    """The feed of `label_batches`; `self[i]` is batch i of the current epoch.

    Attributes:
        task: what is learnt.
        class_names: its classes.
        rows: int64 (k,), the images of the split that take part, rising.
        labels: int32 (k,), their classes.
        input_shape: (H, W, C) or (D,) of one input.
        preprocess, augment: as given.
    """

    split: LabelView

    def __init__(
        self,
        store: LabelStore,
        split: str,
        batch_size: int,
        task: Task,
        preprocess: Preprocess | FeatureScale | None,
        augment: LabelAugment | None,
        shuffle: bool,
        seed: int,
        limit: int | None,
        workers: int,
    ):
        rows, labels = task.rows[split], task.labels[split]
        if limit is not None and limit < len(rows):
            kept = np.linspace(0, len(rows) - 1, limit).round().astype(np.int64)
            rows, labels = rows[kept], labels[kept]
        super().__init__(store[split], batch_size, shuffle, seed, workers, len(rows))
        self.task = task
        self.class_names = task.class_names
        self.rows, self.labels = rows, labels
        self.preprocess, self.augment = preprocess, augment
        shape = store.input_shape
        self.input_shape: tuple[int, ...] = shape if preprocess is None else preprocess.shape(shape)
        self._vectors = store.content == "features"

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        epoch = self.epoch
        chosen = self._permutation(epoch)[0][self._range(index)]
        rows, labels = self.rows[chosen], self.labels[chosen]
        if self._vectors:
            vectors = self.split.features(rows)
            return vectors if self.preprocess is None else self.preprocess.apply(vectors), labels
        images = np.empty((len(rows), *self.input_shape), np.float32)
        prepare = self.preprocess if isinstance(self.preprocess, Preprocess) else Preprocess()

        def fill(slots: range) -> None:
            for slot in slots:
                images[slot] = prepare.one(self._image(int(rows[slot]), epoch))

        self._threads.each(fill, len(rows))
        return images, labels

    def _image(self, row: int, epoch: int) -> np.ndarray:
        """One stored image, changed at random where asked for: uint8 (H, W, 3)."""
        mapped = self.split.image_memmap
        image = self.split.images(row)[0] if mapped is None else np.asarray(mapped)[row]
        if self.augment is None:
            return image
        return change(np.random.default_rng((self._seed, epoch, row)), image, self.augment)

    def indices(self, index: int) -> np.ndarray:
        """Which images of the split batch `index` of the current epoch holds, int64."""
        return self.rows[super().indices(index)]


def label_batches(
    path: Any,
    split: str,
    batch_size: int,
    *,
    task: str = "type",
    classes: int | None = None,
    preprocess: Preprocess | FeatureScale | None = None,
    augment: LabelAugment | bool | None = None,
    shuffle: bool | None = None,
    seed: int = 0,
    limit: int | None = None,
    workers: int = 1,
) -> LabelBatches:
    """Batches of images, or vectors, and labels for `fit`.

    Args:
        path: a classification file, or an open store.
        split: "train", "val" or "test".
        batch_size: images a batch, at least 1.
        task: "type", or where the file has the attribute "vehicle", "colour", "camera".
        classes: only the first so many classes of the task (paper 004: the vehicles 1 to 10).
        preprocess: `Preprocess` for images, `FeatureScale` for vectors; None: images in 0-1, vectors as they are.
        augment: random changes of images; True for the defaults of `LabelAugment`, None or False for none.
        shuffle: new order every epoch; default: only for the split "train". Then a last, short batch is left out.
        seed: of shuffle and augmentation.
        limit: only so many images, taken evenly through the split.
        workers: batches prepared ahead at a time; the images of one batch are shared between the processors anyway.

    Returns:
        A `keras.utils.PyDataset` of `(inputs, labels)`: float32 (n, H, W, C) or (n, D), and int32 (n,).

    Raises:
        InputError: for a bad file, split, task, preprocessing or augmentation.
    """
    store = path if isinstance(path, LabelStore) else open_store(path, "classification")
    for name, value in {"batch_size": batch_size, "workers": workers, "limit": limit}.items():
        if value is not None and value < 1:
            raise InputError(f"{name} {value}", "a whole number of at least 1", f"raise {name}")
    vectors = store.content == "features"
    wanted: type = FeatureScale if vectors else Preprocess
    if preprocess is not None and not isinstance(preprocess, wanted):
        raise InputError(
            f"preprocess {type(preprocess).__name__} for {store.path} of {store.content}",
            wanted.__name__,
            "pass that or None",
        )
    if augment is not None and not isinstance(augment, (LabelAugment, bool)):
        raise InputError(f"augment {augment!r}", "a LabelAugment, True, False or None", "True takes the defaults")
    if augment and vectors:
        raise InputError(f"augment for {store.path} of features", "none", "augment the images instead")
    chosen = store.task(task, classes)
    _ = store[split]  # a split that is not there is told by its name
    if not len(chosen.rows[split]):
        raise InputError(f"split {split!r} of {store.path} without images of the task", "one at least", "use another")
    return LabelBatches(
        store,
        split,
        batch_size,
        chosen,
        preprocess,
        LabelAugment() if augment is True else (augment or None),
        split == "train" if shuffle is None else shuffle,
        seed,
        limit,
        workers,
    )
