"""What is pruned as one: single weights, blocks, whole filters; and N:M patterns.

A structure turns the scores of a kernel's weights into scores of its pieces, and a choice of pieces back into weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral
from typing import Protocol

import numpy as np

from prune_tools.selection import check_numbers
from prune_tools.targets import Kernel
from run_tools.errors import InputError


class Structure(Protocol):
    """How a kernel falls into pieces."""

    def reduce(self, kernel: Kernel, scores: np.ndarray) -> np.ndarray:
        """Scores of the weights → scores of the pieces."""

    def expand(self, kernel: Kernel, kept: np.ndarray) -> np.ndarray:
        """Pieces kept, bool → weights kept, bool, the kernel's shape."""


@dataclass(frozen=True)
class Weights:
    """Each weight by itself."""

    def reduce(self, kernel: Kernel, scores: np.ndarray) -> np.ndarray:
        """The scores as they are."""
        return scores

    def expand(self, kernel: Kernel, kept: np.ndarray) -> np.ndarray:
        """The choice as it is."""
        return kept


@dataclass(frozen=True)
class Filters:
    """Whole output units: a convolution's filters, a dense layer's columns. A unit's score is its weights' mean.

    A zeroed filter is not a removed one: batch-norm behind it still gives the unit a constant output.

    Source: Li et al. (ICLR 2017), "Pruning Filters for Efficient ConvNets" (with |w| as the score).
    """

    def reduce(self, kernel: Kernel, scores: np.ndarray) -> np.ndarray:
        """Means over all axes but the output's."""
        return scores.mean(axis=_inputs(kernel), dtype=np.float64)

    def expand(self, kernel: Kernel, kept: np.ndarray) -> np.ndarray:
        """The choice of a unit for all its weights."""
        shape = kernel.shape
        return np.broadcast_to(np.expand_dims(kept, _inputs(kernel)), shape).copy()


@dataclass(frozen=True)
class Blocks:
    """Rectangles of the kernel as a matrix (all input axes × outputs), the layout of sparse matrix products.

    Args:
        rows: inputs a block.
        columns: outputs a block. Blocks at the edges are smaller where the sizes do not divide.
    """

    rows: int
    columns: int

    def __post_init__(self) -> None:
        if not all(isinstance(size, Integral) and size >= 1 for size in (self.rows, self.columns)):
            raise InputError(f"a block of {self.rows}x{self.columns}", "at least 1x1", "give whole, positive sizes")

    def reduce(self, kernel: Kernel, scores: np.ndarray) -> np.ndarray:
        """The mean score of each block, shape (row blocks, column blocks)."""
        matrix = _as_matrix(kernel, scores).astype(np.float64)
        rows, columns = np.arange(0, matrix.shape[0], self.rows), np.arange(0, matrix.shape[1], self.columns)
        sums = np.add.reduceat(np.add.reduceat(matrix, rows, axis=0), columns, axis=1)
        heights = np.diff([*rows, matrix.shape[0]])
        widths = np.diff([*columns, matrix.shape[1]])
        return sums / np.outer(heights, widths)

    def expand(self, kernel: Kernel, kept: np.ndarray) -> np.ndarray:
        """The choice of a block for all its weights."""
        height, width = _as_matrix(kernel, np.empty(kernel.shape, bool)).shape
        matrix = np.repeat(np.repeat(kept, self.rows, axis=0)[:height], self.columns, axis=1)[:, :width]
        return _from_matrix(kernel, matrix)


def n_of_m(kernel: Kernel, scores: np.ndarray, n: int, m: int) -> np.ndarray:
    """Keeps the `n` best of every `m` consecutive inputs of each output, as sparse tensor cores read them (2:4).

    Args:
        kernel: whose input axis (the last but the output's) divides by `m`; kernel positions have groups of their own.
        scores: of its weights, its shape.
        n: kept in a group.
        m: size of a group.

    Returns:
        True where kept, the kernel's shape. Among equal scores the later ones stay.

    Raises:
        InputError: if the inputs do not divide by `m`, not 1 ≤ n ≤ m, or scores are not numbers.

    Source: Mishra et al. (2021), "Accelerating Sparse Deep Neural Networks".
    """
    check_pattern(n, m)
    check_numbers(scores)
    if not divides(kernel, m):
        raise InputError(
            f"{kernel.name} of shape {kernel.shape}", f"inputs that divide by {m}", "leave the layer out or change m"
        )
    axis = _input_axis(kernel)
    last = np.moveaxis(scores, axis, -1)
    groups = last.reshape(*last.shape[:-1], -1, m)
    order = np.argsort(groups, axis=-1, kind="stable")
    kept = np.ones(groups.shape, bool)
    np.put_along_axis(kept, order[..., : m - n], False, axis=-1)
    return np.ascontiguousarray(np.moveaxis(kept.reshape(last.shape), -1, axis))


def check_pattern(n: int, m: int) -> None:
    """InputError unless `n` of `m` is a pattern."""
    if not (isinstance(n, Integral) and isinstance(m, Integral) and 1 <= n <= m):
        raise InputError(f"{n} of {m}", "whole numbers, 1 ≤ n ≤ m", "give a pattern such as 2 of 4")


def divides(kernel: Kernel, m: int) -> bool:
    """Whether the inputs of a kernel fall into groups of `m`; depthwise kernels have one input an output.

    Args:
        kernel: any.
        m: size of a group.

    Returns:
        True if they do.
    """
    return kernel.kind != "depthwise" and kernel.shape[_input_axis(kernel)] % m == 0


def _input_axis(kernel: Kernel) -> int:
    _check(kernel)
    return -1 if kernel.output_axes == (-2,) else -2


def _check(kernel: Kernel) -> None:
    if not kernel.output_axes:
        raise InputError(
            f"{kernel.name} of an EinsumDense",
            "a layer whose inputs and outputs have axes of their own",
            "leave it out",
        )


def _inputs(kernel: Kernel) -> tuple[int, ...]:
    _check(kernel)
    rank = len(kernel.shape)
    return tuple(axis for axis in range(rank) if axis - rank not in kernel.output_axes)


def _as_matrix(kernel: Kernel, array: np.ndarray) -> np.ndarray:
    """Inputs × outputs."""
    _check(kernel)
    outputs = len(kernel.output_axes)
    moved = np.moveaxis(array, kernel.output_axes, tuple(range(-outputs, 0)))
    return moved.reshape(-1, int(np.prod(moved.shape[-outputs:])))


def _from_matrix(kernel: Kernel, matrix: np.ndarray) -> np.ndarray:
    outputs = len(kernel.output_axes)
    shape = np.moveaxis(np.empty(kernel.shape, bool), kernel.output_axes, tuple(range(-outputs, 0))).shape
    back = np.moveaxis(matrix.reshape(shape), tuple(range(-outputs, 0)), kernel.output_axes)
    return np.ascontiguousarray(back)
