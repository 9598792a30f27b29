"""Whether the zeros of a model's kernels, and all other bits of them, are in a file that was made of it."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import keras
import numpy as np

from prune_tools import holding, targets


def sizes(model: keras.Model) -> set[tuple[int, ...]]:
    """The sizes of the axes of all kernels, in ascending order, ones left out: what `runtimes.constants` asks for."""
    return {_sizes(kernel.shape) for kernel in targets.walk(model)}


def kept(model: keras.Model, arrays: Iterable[np.ndarray]) -> dict[str, Any]:
    """Looks for each kernel of a model among arrays, whatever the order of its axes there.

    Converters transpose kernels, and some multiply them by the factors of the batch-norm that follows: then the zeros
    are where they were, but the other values are others.

    Args:
        model: a built model.
        arrays: weights that were read from a file.

    Returns:
        zeros: of the kernels; kept: the fraction of them that are zero in the file, at the same place of the array that
        fits best, 0–1, None for a model without zeros; exact: whether all kernels are in the file bit for bit; lost:
        names of the kernels of which some zeros are not there.
    """
    holding.sync(model)
    found: dict[tuple[int, ...], list[np.ndarray]] = {}
    for array in arrays:
        found.setdefault(_sizes(array.shape), []).append(array)
    zeros = there = 0
    exact, lost = True, []
    for kernel in targets.walk(model):
        values = keras.ops.convert_to_numpy(kernel.variable)
        best, same = _best(values, found.get(_sizes(kernel.shape), []))
        own = values.size - int(np.count_nonzero(values))
        zeros, there, exact = zeros + own, there + best, exact and same
        if best < own:
            lost.append(kernel.name)
    return {"zeros": zeros, "kept": there / zeros if zeros else None, "exact": exact, "lost": lost}


def _best(values: np.ndarray, candidates: list[np.ndarray]) -> tuple[int, bool]:
    """The most zeros of a kernel that one array has in the same places, and whether one is equal bit for bit."""
    flat = values.reshape([size for size in values.shape if size != 1])
    most = 0
    for array in candidates:
        array = array.reshape([size for size in array.shape if size != 1])
        for order in itertools.permutations(range(flat.ndim)):
            turned = flat.transpose(order)
            if turned.shape != array.shape:
                continue
            if turned.dtype == array.dtype and turned.tobytes() == array.tobytes():
                return int(values.size - np.count_nonzero(values)), True
            most = max(most, int(np.count_nonzero((turned == 0) & (array == 0))))
    return most, False


def _sizes(shape: Iterable[int]) -> tuple[int, ...]:
    return tuple(sorted(int(size) for size in shape if size != 1))
