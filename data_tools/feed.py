"""What the feeds of all kinds share: which images each batch of each epoch holds."""

import math

import keras
import numpy as np

from data_tools.mapped import MappedSplit
from data_tools.order import epoch_order
from data_tools.store_writer import default_workers
from data_tools.threads import Threads

MOST_THREADS = 4
"""That share the images of one batch; more would only wait for the memory."""


class Feed(keras.utils.PyDataset):
    """Batches whose content depends on the seed, the epoch and their index alone, never on threads.

    A resumed training so sees what an uninterrupted one would have seen: set `epoch` before each `fit`. Keras's `fit`
    calls `on_epoch_end` also before its first epoch, so it begins with `epoch` + 1. It shuffles the order of batches by
    Python's own `random`; pass it `shuffle=False` (images are shuffled here) to keep the order too.

    Args:
        split: where images come from.
        batch_size: images a batch.
        shuffle: new order every epoch; then a last, short batch is left out.
        seed: of the order.
        workers: batches prepared ahead at a time.
        count: images in use.
        repeats: how often each is drawn, against others, (count,) above 0; None: once each.

    Attributes:
        split: the same.
        batch_size: the same.
        epoch: which shuffle and which augmentations are drawn; advances after every pass.
    """

    def __init__(
        self,
        split: MappedSplit,
        batch_size: int,
        shuffle: bool,
        seed: int,
        workers: int,
        count: int,
        repeats: np.ndarray | None = None,
    ):
        super().__init__(workers=workers, use_multiprocessing=False, max_queue_size=max(4, 2 * workers))
        self.split = split
        self.batch_size = batch_size
        self.epoch = 0
        self._shuffle = shuffle
        self._seed = seed
        self._count = count
        self._repeats = repeats
        self._order: tuple[int, np.ndarray, np.ndarray] | None = None
        # Several workers share the processors already.
        self._threads = Threads(max(1, min(MOST_THREADS, default_workers() // workers)))

    def __len__(self) -> int:
        # A short last batch would cost one more compilation and noisy batch statistics; the shuffle varies who is left
        # out.
        drop = self._shuffle and self._count >= self.batch_size
        return self._count // self.batch_size if drop else math.ceil(self._count / self.batch_size)

    def indices(self, index: int) -> np.ndarray:
        """Which images of the split batch `index` of the current epoch holds, int64."""
        return self._permutation(self.epoch)[0][self._range(index)]

    def ids(self, index: int) -> list[str]:
        """Names of these images."""
        return [self.split.ids[i] for i in self.indices(index)]

    def on_epoch_end(self) -> None:
        """Turns to the next epoch; Keras calls it after every pass."""
        self.epoch += 1

    def _range(self, index: int) -> slice:
        if not 0 <= index < len(self):
            raise IndexError(f"batch {index} of {len(self)}")
        return slice(index * self.batch_size, (index + 1) * self.batch_size)

    def _permutation(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """The images of an epoch in order, and how often each was there before."""
        # A tuple, read and written as one, so that no thread sees another epoch's order.
        known = self._order
        if known is None or known[0] != epoch:
            known = self._order = (epoch, *epoch_order(self._count, self._shuffle, (self._seed, epoch), self._repeats))
        return known[1], known[2]
