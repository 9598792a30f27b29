"""Big arrays used again: a fresh one costs as much in page faults as filling it does in work.

A batch of sixteen 1248x384 images in float32 is 92 MB, which the allocator always takes from, and returns to, the
operating system, so that every batch would fault in (and have zeroed) all its pages anew.
"""

from __future__ import annotations

import collections
import math
from typing import Any

import numpy as np

ALIGNMENT = 64
"""Bytes. What TensorFlow and JAX ask of a NumPy array before they use it in place instead of copying it."""


class Recycler:
    """Hands out float32 arrays of one shape; memory returns by itself when the last view of an array is gone.

    Nobody has to give anything back, and an array that somebody keeps (a prefetched batch, a tensor that shares its
    memory) is never written to again. Safe from several threads; a pickled copy starts empty.

    Args:
        shape: of the arrays.
        keep: most unused blocks kept for later.
    """

    def __init__(self, shape: tuple[int, ...], keep: int = 2) -> None:
        self.shape = tuple(shape)
        self.keep = keep
        # Appending to and popping from a deque are atomic.
        self._free: collections.deque[np.ndarray] = collections.deque(maxlen=keep)

    def __reduce__(self) -> tuple[Any, ...]:
        return Recycler, (self.shape, self.keep)

    def take(self) -> np.ndarray:
        """A float32 array of `shape`, aligned, with arbitrary contents."""
        try:
            block = self._free.pop()
        except IndexError:
            block = np.empty(4 * math.prod(self.shape) + ALIGNMENT, np.uint8)
        return np.asarray(_Lease(self._free, block, self.shape))


class _Lease:
    """What all views of one array hold on to, and whose end frees the block. NumPy reads `__array_interface__`."""

    def __init__(self, free: collections.deque[np.ndarray], block: np.ndarray, shape: tuple[int, ...]) -> None:
        self._free, self._block = free, block
        address = block.ctypes.data
        self.__array_interface__ = {
            "version": 3,
            "typestr": np.dtype(np.float32).str,
            "shape": shape,
            "data": (address + -address % ALIGNMENT, False),
        }

    def __del__(self) -> None:
        self._free.append(self._block)
