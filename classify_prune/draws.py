"""Epochs of a feed as arrays, for many short trainings that draw the same ones.

Feature vectors do not change, so they are read once and an epoch is an order of them. Images are changed at random, by
the seed and the epoch's number alone: trainings of one seed that come to the same number get the same images, which
take longer to make than a small network to learn from. They are kept as bytes in a folder, while there is room.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from data_tools.label_pipeline import LabelBatches
from run_tools import files

ROOM = 2 << 30
"""Bytes that a folder of epochs takes at most."""
SCALE = np.float32(1 / 255)


@dataclass(frozen=True, eq=False)
class Epoch:
    """What one pass over the training data gives.

    Attributes:
        inputs: float32, (n, …), an array or a tensor.
        labels: int32, (n,), likewise.
        order: which of them each step sees, int32, (steps, batch).
    """

    inputs: Any
    labels: Any
    order: np.ndarray


class Draws:
    """The epochs of a feed, the same as it gives batch by batch.

    Args:
        batches: the feed; all its batches are of one size, as of every feed that shuffles.
        folder: where changed images are kept; None: nowhere.
        room: bytes kept at most.

    Attributes:
        vectors: inputs and labels of all epochs alike, tensors, one a row of the feed; None where they differ by epoch.
    """

    def __init__(self, batches: LabelBatches, folder: Path | None = None, room: int = ROOM) -> None:
        self.batches, self._room = batches, room
        self._folder = None if folder is None or batches.augment is None else folder / self._key()
        self.vectors: tuple[Any, Any] | None = None
        if len(batches.input_shape) == 1 and batches.preprocess is None:
            read = batches.split.features(batches.rows), batches.labels
            self.vectors = keras.ops.convert_to_tensor(read[0]), keras.ops.convert_to_tensor(read[1])

    def epoch(self, number: int) -> Epoch:
        """The epoch of a number; what the feed then holds is that epoch's too."""
        batches = self.batches
        batches.epoch = number
        rows = np.stack([batches.indices(index) for index in range(len(batches))])
        places = np.searchsorted(batches.rows, rows).astype(np.int32)
        if self.vectors is not None:
            return Epoch(*self.vectors, places)
        order = np.arange(places.size, dtype=np.int32).reshape(places.shape)
        return Epoch(self._images(number), np.asarray(batches.labels)[places.ravel()], order)

    def _images(self, number: int) -> np.ndarray:
        path = None if self._folder is None else self._folder / f"{number}.npy"
        if path is not None and path.is_file():
            # What cannot be read is drawn again.
            with contextlib.suppress(OSError, ValueError, EOFError):
                return np.multiply(np.load(path, allow_pickle=False), SCALE, dtype=np.float32)
        drawn = np.concatenate([self.batches[index][0] for index in range(len(self.batches))])
        if path is not None:
            with contextlib.suppress(OSError):  # a full disk, say
                self._keep(path, drawn)
        return drawn

    def _keep(self, path: Path, drawn: np.ndarray) -> None:
        """Writes images as bytes, if nothing is lost by that and there is room."""
        coded = np.rint(drawn * 255).astype(np.uint8)
        path.parent.mkdir(parents=True, exist_ok=True)
        taken = sum(file.stat().st_size for file in path.parent.iterdir())
        if taken + coded.nbytes > self._room or not np.array_equal(np.multiply(coded, SCALE, dtype=np.float32), drawn):
            return
        with files.atomic_path(path) as temporary, temporary.open("wb") as stream:
            np.save(stream, coded)

    def forget(self) -> None:
        """Deletes what was kept."""
        if self._folder is not None:
            shutil.rmtree(self._folder.parent, ignore_errors=True)

    def _key(self) -> str:
        """What the images depend on beside the epoch, 16 hexadecimal digits."""
        batches = self.batches
        told = (
            *(batches._seed, batches._shuffle, batches.batch_size),
            *(batches.augment, batches.preprocess, batches.split.digests),
        )
        return hashlib.sha256(repr(told).encode() + batches.rows.tobytes()).hexdigest()[:16]


class Served(keras.utils.PyDataset):
    """The epochs of a feed for `fit`, which passes over one after another; which one it is the feed's `epoch` says.

    Args:
        draws: of the feed, which changes its inputs by epoch.
    """

    def __init__(self, draws: Draws) -> None:
        super().__init__(workers=1, use_multiprocessing=False)
        self._draws = draws
        self._now: tuple[int, Epoch] | None = None

    def __len__(self) -> int:
        return len(self._draws.batches)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        number, now = self._draws.batches.epoch, self._now
        if now is None or now[0] != number:
            now = self._now = number, self._draws.epoch(number)
        rows = now[1].order[index]
        return now[1].inputs[rows], now[1].labels[rows]

    def on_epoch_end(self) -> None:
        """As the feed."""
        self._draws.batches.on_epoch_end()
