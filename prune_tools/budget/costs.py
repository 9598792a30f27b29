"""What a network costs as a function of its widths, exact and quick: products of channel counts, one a weight."""

from __future__ import annotations

import collections
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from prune_tools import cost
from prune_tools.graph import Graph


class Costs:
    """Parameters and multiply-adds of a model while channels go.

    Every weight is a box whose cut axes count channels: its size is a factor times the product of those counts, and its
    multiply-adds that size times how often each of its entries is used, which the widths do not change.

    Args:
        graph: of the model.
        input_shape: as for `cost.summary`.

    Attributes:
        counts: channels left on each cut axis, float64, shape (weights, axes); 1 where a weight has fewer axes.
        factors: {"parameters": …, "macs": …}, each of shape (weights,).
        rest: {"parameters": …, "macs": …}, what no cut changes.

    Raises:
        InputError: as `cost.macs`.
    """

    def __init__(self, graph: Graph, input_shape: Sequence[Any] | None = None) -> None:
        model: keras.Model = graph.flat.model
        kernels = cost.macs(model, input_shape)
        uses = {id(kernel.variable): count // kernel.size for kernel, count in kernels}
        layers = {step.name: step.layer for step in graph.flat.steps}
        axes: list[list[np.ndarray]] = []
        sizes, times = [], []
        for name, notes in graph.notes.items():
            for attribute, cut in notes.weights.items():
                variable = getattr(layers[name], attribute)
                axes.append([graph.blocks(channels) for channels in cut.values()])
                sizes.append(_size(variable))
                times.append(uses.get(id(variable), 0))
        self._depth = max((len(one) for one in axes), default=1)
        self.counts = np.ones((len(axes), self._depth))
        self._lost: dict[int, list[tuple[int, int, int]]] = collections.defaultdict(list)
        for row, one in enumerate(axes):
            for axis, blocks in enumerate(one):
                self.counts[row, axis] = len(blocks)
                for block, number in zip(*np.unique(blocks, return_counts=True), strict=True):
                    self._lost[int(block)].append((row, axis, int(number)))
        fixed = np.array(sizes, float) / self.counts.prod(axis=1)
        self.factors = {"parameters": fixed, "macs": fixed * np.array(times, float)}
        total = {
            "parameters": sum(map(_size, model.weights)),
            "macs": sum(count for _, count in kernels),
        }
        self.rest = {kind: total[kind] - self._sum(kind, self.counts) for kind in total}

    def loss(self, blocks: Sequence[int]) -> np.ndarray:
        """Channels that each cut axis loses when these blocks go, shape (weights, axes)."""
        found = np.zeros_like(self.counts)
        for block in blocks:
            for row, axis, number in self._lost[block]:
                found[row, axis] += number
        return found

    def total(self, kind: str, counts: np.ndarray | None = None) -> int:
        """The model's "parameters" or "macs" with so many channels on each axis; None: those of the given model."""
        return round(self._sum(kind, self.counts if counts is None else counts) + self.rest[kind])

    def saved(self, kind: str, counts: np.ndarray, losses: np.ndarray) -> np.ndarray:
        """What each of several losses, shape (choices, weights, axes), would save, shape (choices,)."""
        return self._sum(kind, counts) - (counts - losses).prod(axis=-1) @ self.factors[kind]

    def _sum(self, kind: str, counts: np.ndarray) -> float:
        return float(counts.prod(axis=1) @ self.factors[kind])


def _size(variable: Any) -> int:
    return int(np.prod(variable.shape, dtype=np.int64))
