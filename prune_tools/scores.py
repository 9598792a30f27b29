"""How important each weight is: larger stays longer. NumPy on kernels' values; `taylor` needs a model and data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import keras
import numpy as np

from prune_tools.gradients import gradients
from run_tools.errors import InputError

Arrays = Sequence[np.ndarray]


def magnitude(weights: Arrays) -> list[np.ndarray]:
    """|w|, never w: a signed threshold would take nearly all negative weights.

    Args:
        weights: kernels.

    Returns:
        Same shapes and dtypes.

    Source: Han et al. (2015), "Learning both Weights and Connections"; papers 000, 002 and 003.
    """
    return [np.abs(array) for array in weights]


def random(weights: Arrays, seed: int = 0) -> list[np.ndarray]:
    """Uniform numbers: the control that any other score must beat.

    Args:
        weights: kernels, for their shapes.
        seed: of the generator.

    Returns:
        Same shapes, float32 in [0, 1).
    """
    generator = np.random.default_rng(seed)
    return [generator.random(array.shape, np.float32) for array in weights]


def lamp(weights: Arrays) -> list[np.ndarray]:
    """Layer-adaptive magnitude: w² over the sum of the squares, in its kernel, of itself and all that are larger.

    The largest of every kernel scores 1, so that none is emptied. Equal magnitudes count in their order.

    Args:
        weights: kernels.

    Returns:
        Same shapes, float64 in [0, 1].

    Source: Lee et al. (ICLR 2021), "Layer-adaptive Sparsity for the Magnitude-based Pruning", equation 4.
    """
    found = []
    for array in weights:
        squares = np.square(np.ravel(array).astype(np.float64))
        order = np.argsort(squares, kind="stable")
        rising = squares[order]
        tails = np.cumsum(rising[::-1])[::-1]
        score = np.empty_like(rising)
        # Where all is zero, so is the score; what is NaN stays NaN and is told by who chooses.
        score[order] = np.divide(rising, tails, out=np.zeros_like(rising), where=~(tails <= 0))
        found.append(score.reshape(array.shape))
    return found


def taylor(
    model: keras.Model, variables: Sequence[keras.Variable], data: Iterable[Any], batches: int = 16
) -> list[np.ndarray]:
    """(gradient · weight)², averaged over batches: the squared change of the loss if the weight were zero.

    Args:
        model: compiled with a loss.
        variables: the kernels.
        data: batches as `fit` takes them: (inputs, targets) or (inputs, targets, sample weights).
        batches: how many to use at most.

    Returns:
        One array a variable, its shape, float64.

    Raises:
        InputError: if there is no batch, or the model is not compiled with a loss.

    Source: Molchanov et al. (CVPR 2019), "Importance Estimation for Neural Network Pruning", equation 8.
    """
    weights = [keras.ops.convert_to_numpy(variable).astype(np.float64) for variable in variables]
    sums = [np.zeros(array.shape) for array in weights]
    seen = 0
    for batch in data:
        if seen == batches:  # here, because endless data would wait for a batch that nobody wants
            break
        seen += 1
        for total, gradient, weight in zip(sums, gradients(model, variables, batch), weights, strict=True):
            total += np.square(gradient.astype(np.float64) * weight)
    if not seen:
        raise InputError("no batch", "at least one", "give data")
    return [total / seen for total in sums]


def erdos_renyi_kernel(shapes: Sequence[tuple[int, ...]], density: float) -> list[float]:
    """The density of each kernel so that all together have `density`, larger ones being sparser.

    A kernel's density is proportional to the sum of its sizes over their product, and at most 1.

    Args:
        shapes: of the kernels.
        density: fraction of all weights that is kept, in 0–1.

    Returns:
        One density a kernel, in 0–1.

    Source: Evci et al. (ICML 2020), "Rigging the Lottery", section 3 (ERK).
    """
    sizes = [float(np.prod(shape)) for shape in shapes]
    raw = [sum(shape) / size for shape, size in zip(shapes, sizes, strict=True)]
    budget = density * sum(sizes)
    full: set[int] = set()
    while len(full) < len(sizes):
        free = [index for index in range(len(sizes)) if index not in full]
        scale = (budget - sum(sizes[index] for index in full)) / sum(raw[index] * sizes[index] for index in free)
        over = {index for index in free if scale * raw[index] > 1}
        if not over:
            return [1.0 if index in full else scale * raw[index] for index in range(len(sizes))]
        full |= over
    return [1.0] * len(sizes)
