"""HDF5 → batches for plain `fit`, on the TensorFlow and JAX backends, without ever holding the data set in memory."""

import math
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from data_tools.augment import Augment
from data_tools.feed import Feed
from data_tools.items import check_size
from data_tools.recycle import Recycler
from data_tools.samples import DONTCARE, Samples
from data_tools.store import SplitView, open_store
from run_tools.errors import InputError

UNIT = np.float32(1 / 255)
SIZES = 2**31
"""Keeps the draws of sizes apart from those of an epoch."""


class Batches(Feed):
    """The feed of `batches`; `self[i]` is batch i of the current epoch.

    Attributes:
        image_size: (H, W) of the images yielded, where sizes do not rotate.
        sizes: (H, W) of those that do, or `image_size` alone.
        max_boxes: rows of `true_boxes`.
        columns: of `true_boxes`: 5, or 6 where boxes have weights.
    """

    split: SplitView

    def __init__(
        self,
        samples: Samples,
        batch_size: int,
        image_size: tuple[int, int],
        shuffle: bool,
        seed: int,
        max_boxes: int,
        workers: int,
        count: int,
        rotation: tuple[Sequence[tuple[int, int]], int] | None = None,
        repeats: np.ndarray | None = None,
        mix_until: float = math.inf,
        share: tuple[int, int] = (0, 1),
    ):
        super().__init__(samples.split, batch_size, shuffle, seed, workers, count, repeats)
        self._share = _share(share, batch_size, shuffle and count >= batch_size)
        self.image_size = image_size
        self.sizes, self._every = rotation or ((image_size,), 1)
        self.max_boxes = max_boxes
        self.columns = samples.columns
        self._samples = samples
        self._mix_until = mix_until
        # One block serves every size; otherwise each would keep its own.
        self._buffers = Recycler((batch_size * max(height * width * 3 for height, width in self.sizes),))

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        epoch = self.epoch
        chosen, visits = (part[self._range(index)][self._share] for part in self._permutation(epoch))
        size, mix = self._size(epoch, index), epoch < self._mix_until
        images = self._buffers.take()[: len(chosen) * math.prod(size) * 3].reshape(len(chosen), *size, 3)
        labels = np.zeros((len(chosen), self.max_boxes, self.columns), np.float32)

        def fill(slots: range) -> None:
            for slot in slots:
                pixels, rows = self._samples.one(int(chosen[slot]), size, epoch, int(visits[slot]), mix)
                to_unit(pixels, images[slot])
                labels[slot, : len(rows)] = rows[: self.max_boxes]

        self._threads.each(fill, len(chosen))
        return images, labels

    def size(self, index: int) -> tuple[int, int]:
        """(H, W) of batch `index` of the current epoch: each size once, in a random order, and again in another one."""
        return self._size(self.epoch, index)

    def _size(self, epoch: int, index: int) -> tuple[int, int]:
        if len(self.sizes) == 1:
            return self.sizes[0]
        block = (epoch * len(self) + index) // self._every
        cycle, place = divmod(block, len(self.sizes))
        return self.sizes[np.random.default_rng((self._seed, SIZES, cycle)).permutation(len(self.sizes))[place]]


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
    sizes: Sequence[tuple[int, int]] | None = None,
    sizes_every: int = 10,
    weights: np.ndarray | None = None,
    repeats: np.ndarray | None = None,
    mix_until: float = math.inf,
    share: tuple[int, int] = (0, 1),
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
        sizes: (H, W) to rotate through at random (`data_tools.sizes.around`) instead of `input_size`.
        sizes_every: batches of one size.
        weights: how much each box of the split counts (`data_tools.weights`), (m,) from 0 up; adds a sixth column to
            `true_boxes`, as mix-up does.
        repeats: how often each image of the split is drawn, against others, (n,) above 0: with shuffling an epoch has
            as many images as ever, some of them more than once and others not always.
        mix_until: the first epoch without mosaic and mix-up.
        share: (i, n) for the i-th of n processes, from 0, that put each batch together: only its n-th part of the
            images is read and yielded. Which images a batch holds does not depend on it.

    Returns:
        A `keras.utils.PyDataset` of `(images, true_boxes)`: float32 RGB in 0–1 (n, H, W, 3), and float32
        (n, max_boxes, 5) rows x, y, w, h, class relative to the image, zero where unused; class −1 is DontCare. With
        weights a sixth column holds them.

    Raises:
        InputError: for a bad file, split, size, class map or augmentation, or batches that cannot be shared.
    """
    store = open_store(path, "detection") if not hasattr(path, "splits") else path
    view = store[split]
    counts = {"batch_size": batch_size, "workers": workers, "max_boxes": max_boxes, "limit": limit}
    counts["sizes_every"] = sizes_every
    for name, value in counts.items():
        if value is not None and value < 1:
            raise InputError(f"{name} {value}", "a whole number of at least 1", f"raise {name}")
    if not len(view):
        raise InputError(f"split {split!r} without images in {store.path}", "at least one image", "compile it again")
    count = len(store.class_names)
    mapped = np.arange(count) if class_map is None else np.asarray(class_map, np.int64)
    if mapped.shape != (count,):
        raise InputError(f"class_map of shape {mapped.shape}", f"({count},), one a stored class", "map every class")
    count = len(view) if limit is None else min(limit, len(view))
    # Stored DontCare is −1, which indexes the last entry.
    lookup = np.append(mapped, DONTCARE)
    weights = _numbers("weights", weights, len(view.all_boxes), 0.0)
    repeats = _numbers("repeats", repeats, len(view), 1e-9)
    samples = Samples(view, lookup, _augment(augment), seed, count, weights)
    if max_boxes is None:
        most = max(1, *(int(np.diff(store[name].offsets).max(initial=0)) for name in store.splits))
        # What meets in one image must not push each other out, or be taught as background.
        max_boxes = most * samples.most
    return Batches(
        samples=samples,
        batch_size=batch_size,
        image_size=store.image_size if input_size is None else _input_size(input_size),
        shuffle=split == "train" if shuffle is None else shuffle,
        seed=seed,
        max_boxes=max_boxes,
        workers=workers,
        count=count,
        rotation=([_input_size(size) for size in sizes], sizes_every) if sizes else None,
        repeats=None if repeats is None else repeats[:count],
        mix_until=mix_until,
        share=share,
    )


def _share(share: tuple[int, int], batch_size: int, whole: bool) -> slice:
    """The rows of a batch that are one process's."""
    index, count = share
    if count > 1 and (batch_size % count or not whole):
        received = (
            f"{'' if whole else 'a last, short batch among '}batches of {batch_size} images for {count} processes"
        )
        raise InputError(received, "whole batches with as many images for each", "choose another batch size")
    size = batch_size // count
    return slice(index * size, (index + 1) * size)


def _numbers(name: str, given: np.ndarray | None, count: int, least: float) -> np.ndarray | None:
    if given is None:
        return None
    array = np.asarray(given, np.float64)
    if array.shape != (count,) or not (np.isfinite(array) & (array >= least)).all():
        expected = f"{count} numbers of at least {least:g}"
        raise InputError(f"{name} of shape {array.shape}", expected, "make them with data_tools.weights")
    return array


def _input_size(given: Sequence[int]) -> tuple[int, int]:
    if isinstance(given, str) or np.shape(given) != (2,):
        raise InputError(f"input_size {given!r}", "(H, W) in pixels", "give two numbers, multiples of 32")
    return check_size((given[0], given[1]))


def _augment(given: Augment | bool | None) -> Augment | None:
    if given is not None and not isinstance(given, (Augment, bool)):
        raise InputError(f"augment {given!r}", "an Augment, True, False or None", "True takes the defaults")
    return Augment() if given is True else (given or None)


def to_unit(pixels: np.ndarray, out: np.ndarray) -> None:
    """Writes uint8 (H, W, 3) as float32 in 0-1 to `out`, in one pass without an intermediate array.

    The same to the last bit as `np.multiply(pixels, UNIT, dtype=np.float32)`, at nearly twice the speed.
    """
    flat = pixels.reshape(len(pixels), -1)
    cv2.addWeighted(flat, float(UNIT), flat, 0.0, 0.0, dst=out.reshape(len(out), -1), dtype=cv2.CV_32F)
