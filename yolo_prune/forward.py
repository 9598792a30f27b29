"""The network at work on many images: how many at a time, and how fast."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np

from run_tools import memory
from yolo_prune.detector import YoloV2, has_gpu

SHARE = 0.25
"""Part of the available memory that a batch may fill."""
OVERHEAD = 1.5
"""What runtimes take beside the tensors, as a factor."""
LARGEST, LARGEST_ON_CPU = 16, 4
"""Images a batch at most. On a CPU more only fill its caches, and keep reading and drawing waiting."""


def bytes_per_image(model: keras.Model) -> int:
    """Memory that one image needs inside a functional network.

    Args:
        model: the network; every tensor counts as float32.

    Returns:
        Bytes: the most that are alive at once when operations run one after the other and a tensor is freed after its
        last use, times `OVERHEAD`.
    """
    nodes = [node for depth in sorted(model._nodes_by_depth, reverse=True) for node in model._nodes_by_depth[depth]]
    last = {id(tensor): place for place, node in enumerate(nodes) for tensor in node.input_tensors}
    alive: dict[int, int] = {}
    most = 0
    for place, node in enumerate(nodes):
        alive |= {id(tensor): 4 * int(np.prod(tensor.shape[1:])) for tensor in node.outputs}
        most = max(most, sum(alive.values()))
        alive = {key: size for key, size in alive.items() if last.get(key, len(nodes)) > place}
    return int(most * OVERHEAD)


@dataclass(frozen=True)
class BatchSize:
    """Images a forward pass, and where the number comes from.

    Attributes:
        images: at least 1.
        per_image: bytes an image, see `bytes_per_image`.
        available: bytes that the process could take; None where the number was given.
    """

    images: int
    per_image: int
    available: int | None = None


def choose_batch_size(model: keras.Model, most: int, given: int | None = None) -> BatchSize:
    """The given batch size, or the largest power of two that fits `SHARE` of the available memory.

    Args:
        model: the network.
        most: images that there are.
        given: what the user asked for; None: choose.

    Returns:
        Up to `LARGEST`, never more images than there are, and never fewer than one.
    """
    per_image = bytes_per_image(model)
    if given is not None:
        return BatchSize(max(1, min(given, most)), per_image)
    available = memory.available()
    images = LARGEST if has_gpu() else LARGEST_ON_CPU
    while images > 1 and images * per_image > available * SHARE:
        images //= 2
    return BatchSize(max(1, min(images, most)), per_image, available)


class Forward:
    """Forward passes of one batch size, timed.

    A partly filled batch is filled up, as every other size would be compiled anew; a batch that does not fit into the
    memory of the device is halved, from then on.

    Args:
        model: the detector.
        images: the batch size.

    Attributes:
        images: the present batch size.
        seconds: spent so far, warm-up not counted.
        count: images so far.
    """

    def __init__(self, model: YoloV2, images: int) -> None:
        self.model = model
        self.images = images
        self.seconds = 0.0
        self.count = 0

    def warm_up(self) -> None:
        """One pass that is not counted: it compiles, and it finds out whether the batch fits."""
        self([np.zeros((*self.model.image_size, 3), np.uint8)])
        self.seconds, self.count = 0.0, 0

    def __call__(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """Raw head of some images.

        Args:
            images: of the network's size, (h, w, 3), uint8 or float in 0–1.

        Returns:
            (n, h/32, w/32, anchors · (5 + classes)).
        """
        begun = time.perf_counter()
        done: list[np.ndarray] = []
        place = 0
        while place < len(images):
            chosen = images[place : place + self.images]
            batch = np.stack([*chosen, *[np.zeros_like(images[0])] * (self.images - len(chosen))])
            try:
                done.append(self.model.logits(batch)[: len(chosen)])
            except Exception as error:
                if self.images == 1 or not _out_of_memory(error):
                    raise
                self.images //= 2
            else:
                place += len(chosen)
        self.seconds += time.perf_counter() - begun
        self.count += len(images)
        return np.concatenate(done)


def _out_of_memory(error: Exception) -> bool:
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "ResourceExhaustedError"
        or "RESOURCE_EXHAUSTED" in str(error)
    )
