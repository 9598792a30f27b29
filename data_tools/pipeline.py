"""HDF5 → batches for plain `fit`, on the TensorFlow and JAX backends, without ever holding the data set in memory."""

import math
from collections.abc import Sequence
from typing import Any

import cv2
import keras
import numpy as np

from data_tools import boxes as box_tools
from data_tools.augment import Augment, draw_transform, shift_colours, transform_boxes, transform_image
from data_tools.image_files import resize
from data_tools.items import check_size
from data_tools.recycle import Recycler
from data_tools.store import SplitView, open_store
from data_tools.store_writer import default_workers
from data_tools.threads import Threads
from run_tools.errors import InputError

DONTCARE = -1
MOST_THREADS = 4
"""That share the images of one batch; more would only wait for the memory."""
UNIT = np.float32(1 / 255)


class Batches(keras.utils.PyDataset):
    """The feed of `batches`; `self[i]` is batch i of the current epoch.

    A batch depends on the seed, the epoch and its index alone, never on threads or on what was read before, so a
    resumed training sees what an uninterrupted one would have seen: set `epoch` before each `fit`. Keras's `fit` calls
    `on_epoch_end` also before its first epoch, so it begins with `epoch` + 1. It shuffles the order of batches by
    Python's own `random`; pass it `shuffle=False` (images are shuffled here) to keep the order too.

    Attributes:
        epoch: which shuffle and which augmentations are drawn; advances after every pass.
        image_size: (H, W) of the images yielded.
        max_boxes: rows of `true_boxes`.
    """

    def __init__(
        self,
        split: SplitView,
        batch_size: int,
        image_size: tuple[int, int],
        class_map: np.ndarray,
        augment: Augment | None,
        shuffle: bool,
        seed: int,
        max_boxes: int,
        workers: int,
        count: int,
    ):
        super().__init__(workers=workers, use_multiprocessing=False, max_queue_size=max(4, 2 * workers))
        self.split = split
        self.batch_size = batch_size
        self.image_size = image_size
        self.max_boxes = max_boxes
        self.epoch = 0
        self._class_map = class_map
        self._augment = augment
        self._shuffle = shuffle
        self._seed = seed
        self._count = count
        self._order: tuple[int, np.ndarray] | None = None
        self._buffers = Recycler((batch_size, *image_size, 3))
        # Several workers share the processors already.
        self._threads = Threads(max(1, min(MOST_THREADS, default_workers() // workers)))
        self._plain_rows = self._all_rows() if augment is None else np.zeros((0, 5), np.float32)

    def __len__(self) -> int:
        # A short last batch would cost one more compilation and noisy batch statistics; the shuffle varies who is left
        # out.
        drop = self._shuffle and self._count >= self.batch_size
        return self._count // self.batch_size if drop else math.ceil(self._count / self.batch_size)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        chosen = self.indices(index)
        images = self._buffers.take()[: len(chosen)]
        labels = np.zeros((len(chosen), self.max_boxes, 5), np.float32)

        def fill(slots: range) -> None:
            for slot in slots:
                pixels, rows = self._one(int(chosen[slot]))
                _to_unit(pixels, images[slot])
                labels[slot, : len(rows)] = rows[: self.max_boxes]

        self._threads.each(fill, len(chosen))
        return images, labels

    def indices(self, index: int) -> np.ndarray:
        """Which images of the split batch `index` of the current epoch holds, int64."""
        if not 0 <= index < len(self):
            raise IndexError(f"batch {index} of {len(self)}")
        return self._permutation()[index * self.batch_size : (index + 1) * self.batch_size]

    def ids(self, index: int) -> list[str]:
        """Names of these images."""
        return [self.split.ids[i] for i in self.indices(index)]

    def on_epoch_end(self) -> None:
        """Turns to the next epoch; Keras calls it after every pass."""
        self.epoch += 1

    def _permutation(self) -> np.ndarray:
        if not self._shuffle:
            return np.arange(self._count)
        # A pair, read and written as one, so that no thread sees another epoch's order.
        epoch, known = self.epoch, self._order
        if known is None or known[0] != epoch:
            known = self._order = (epoch, np.random.default_rng((self._seed, epoch)).permutation(self._count))
        return known[1]

    def _stored(self, index: int) -> np.ndarray:
        """One image as it is stored, uint8 and read-only: a view of the file where that can be mapped."""
        mapped = self.split.image_memmap
        return self.split.images(index)[0] if mapped is None else np.asarray(mapped)[index]

    def _one(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """One image at the input's size, uint8, and its rows (k, 5)."""
        image = self._stored(index)
        if self._augment is None:
            first, end = self.split.offsets[index : index + 2]
            return resize(image, self.image_size), self._plain_rows[first:end]
        boxes, classes = self.split.boxes(index), self._class_map[self.split.classes(index)]
        rng = np.random.default_rng((self._seed, self.epoch, index))
        matrix = draw_transform(rng, self._augment, image.shape[:2], self.image_size)
        image = shift_colours(rng, transform_image(image, matrix, self.image_size), self._augment)
        visible, pixels = self._augment.min_visible, self._augment.min_pixels
        boxes, kept = transform_boxes(boxes, matrix, self.image_size, visible, pixels)
        rows = self._rows(boxes[kept], classes[kept])
        # Objects before DontCare regions, so that a short `max_boxes` cuts the latter first.
        return image, rows[np.argsort(rows[:, 4] == DONTCARE, kind="stable")]

    def _rows(self, boxes: np.ndarray, classes: np.ndarray) -> np.ndarray:
        """Rows x, y, w, h, class, float64 (k, 5) relative to the image, of xyxy boxes in pixels of the input."""
        height, width = self.image_size
        rows = np.concatenate([box_tools.xyxy_to_cxcywh(boxes), classes[:, None]], axis=1, dtype=np.float64)
        rows[:, :4] /= (width, height, width, height)
        return rows

    def _all_rows(self) -> np.ndarray:
        """Rows of all boxes of the split as they are without augmentation, float32 (m, 5), in the order of `_one`."""
        boxes = box_tools.scale(self.split.all_boxes, self.split.image_size, self.image_size)
        rows = self._rows(boxes, self._class_map[self.split.all_classes])
        image = np.repeat(np.arange(len(self.split)), np.diff(self.split.offsets))
        return rows[np.lexsort((rows[:, 4] == DONTCARE, image))].astype(np.float32)


def batches(
    path: Any,
    split: str,
    batch_size: int,
    *,
    input_size: tuple[int, int] | None = None,
    class_map: Sequence[int] | np.ndarray | None = None,
    augment: Augment | bool | None = None,
    shuffle: bool | None = None,
    seed: int = 0,
    max_boxes: int | None = None,
    workers: int = 1,
    limit: int | None = None,
) -> Batches:
    """Batches of images and true boxes for `fit`.

    Args:
        path: an HDF5 file of `DataCompiler`, or an open store.
        split: "train", "val" or "test".
        batch_size: images a batch, at least 1.
        input_size: (H, W) of the network's input, multiples of 32; default: the stored size.
        class_map: for each stored class, the class to yield, −1 for a DontCare region; default: unchanged.
        augment: random changes; True for the defaults of `Augment`, None or False for none.
        shuffle: new order every epoch; default: only for the split "train". Then a last, short batch is left out.
        seed: of shuffle and augmentation.
        max_boxes: rows of `true_boxes`; default: the most boxes of any image of the file.
        workers: batches prepared ahead at a time; 1 leaves that to TensorFlow. The images of one batch are shared
            between the processors in any case.
        limit: only the first so many images of the split.

    Returns:
        A `keras.utils.PyDataset` of `(images, true_boxes)`: float32 RGB in 0–1 (n, H, W, 3), and float32
        (n, max_boxes, 5) rows x, y, w, h, class relative to the image, zero where unused; class −1 is DontCare.

    Raises:
        InputError: for a bad file, split, size, class map or augmentation.
    """
    store = open_store(path) if not hasattr(path, "splits") else path
    view = store[split]
    counts = {"batch_size": batch_size, "workers": workers, "max_boxes": max_boxes, "limit": limit}
    for name, value in counts.items():
        if value is not None and value < 1:
            raise InputError(f"{name} {value}", "a whole number of at least 1", f"raise {name}")
    if not len(view):
        raise InputError(f"split {split!r} without images in {store.path}", "at least one image", "compile it again")
    count = len(store.class_names)
    mapped = np.arange(count) if class_map is None else np.asarray(class_map, np.int64)
    if mapped.shape != (count,):
        raise InputError(f"class_map of shape {mapped.shape}", f"({count},), one a stored class", "map every class")
    if max_boxes is None:
        max_boxes = max(1, *(int(np.diff(store[name].offsets).max(initial=0)) for name in store.splits))
    return Batches(
        split=view,
        batch_size=batch_size,
        image_size=store.image_size if input_size is None else _input_size(input_size),
        # Stored DontCare is −1, which indexes the last entry.
        class_map=np.append(mapped, DONTCARE),
        augment=_augment(augment),
        shuffle=split == "train" if shuffle is None else shuffle,
        seed=seed,
        max_boxes=max_boxes,
        workers=workers,
        count=len(view) if limit is None else min(limit, len(view)),
    )


def _input_size(given: Sequence[int]) -> tuple[int, int]:
    if isinstance(given, str) or np.shape(given) != (2,):
        raise InputError(f"input_size {given!r}", "(H, W) in pixels", "give two numbers, multiples of 32")
    return check_size((given[0], given[1]))


def _augment(given: Augment | bool | None) -> Augment | None:
    if given is not None and not isinstance(given, (Augment, bool)):
        raise InputError(f"augment {given!r}", "an Augment, True, False or None", "True takes the defaults")
    return Augment() if given is True else (given or None)


def _to_unit(pixels: np.ndarray, out: np.ndarray) -> None:
    """Writes uint8 (H, W, 3) as float32 in 0-1 to `out`, in one pass without an intermediate array.

    The same to the last bit as `np.multiply(pixels, UNIT, dtype=np.float32)`, at nearly twice the speed.
    """
    flat = pixels.reshape(len(pixels), -1)
    cv2.addWeighted(flat, float(UNIT), flat, 0.0, 0.0, dst=out.reshape(len(out), -1), dtype=cv2.CV_32F)
