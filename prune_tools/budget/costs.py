"""What a network costs as a function of its widths, exact and quick: products of channel counts, one a weight."""

from __future__ import annotations

import collections
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from prune_tools import cost
from prune_tools.budget.latencies import Latencies, ends, timed
from prune_tools.graph import Graph
from run_tools.errors import InputError


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
        rest: {"parameters": …, "macs": …}, what no cut changes; without layers that no output needs, which surgery
            leaves out.

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
        weighed = len(axes)
        # Rows that only count what timed calls read and make.
        self.timed = timed(graph)
        for step in self.timed:
            axes.append([graph.blocks(channels) for channels in ends(graph, step)])
        sizes += [0] * len(self.timed)
        times += [0] * len(self.timed)
        self._times = slice(weighed, len(axes))
        self.latencies: Latencies | None = None
        self.counts = np.ones((len(axes), max((len(one) for one in axes), default=2)))
        self._lost: dict[int, list[tuple[int, int, int]]] = collections.defaultdict(list)
        for row, one in enumerate(axes):
            for axis, blocks in enumerate(one):
                self.counts[row, axis] = len(blocks)
                for block, number in zip(*np.unique(blocks, return_counts=True), strict=True):
                    self._lost[int(block)].append((row, axis, int(number)))
        fixed = np.array(sizes, float) / self.counts.prod(axis=1)
        self.factors = {"parameters": fixed, "macs": fixed * np.array(times, float)}
        live = {id(weight) for layer in layers.values() for weight in getattr(layer, "weights", [])}
        unread = {id(weight) for layer in graph.flat.unread for weight in getattr(layer, "weights", [])} - live
        total = {
            "parameters": sum(_size(weight) for weight in model.weights if id(weight) not in unread),
            "macs": sum(count for kernel, count in kernels if id(kernel.variable) not in unread),
        }
        self.rest = {kind: total[kind] - float(self.sums(kind, self.counts)) for kind in total}

    def loss(self, blocks: Sequence[int]) -> np.ndarray:
        """Channels that each cut axis loses when these blocks go, shape (weights, axes)."""
        found = np.zeros_like(self.counts)
        for block in blocks:
            for row, axis, number in self._lost[block]:
                found[row, axis] += number
        return found

    @property
    def kinds(self) -> list[str]:
        """What can be counted: "milliseconds" once there are latencies."""
        return [*self.rest, *(["milliseconds"] if self.latencies else [])]

    def time(self, latencies: Latencies) -> None:
        """Takes a table of latencies of the same model."""
        latencies.check(self.timed)
        self.latencies = latencies

    def total(self, kind: str, counts: np.ndarray | None = None) -> float:
        """The model's cost with so many channels on each axis; None: that of the given model."""
        found = float(self.sums(kind, self.counts if counts is None else counts))
        return found if kind == "milliseconds" else round(found + self.rest[kind])

    def saved(self, kind: str, counts: np.ndarray, losses: np.ndarray) -> np.ndarray:
        """What each of several losses, shape (choices, weights, axes), would save, shape (choices,)."""
        return self.sums(kind, counts) - self.sums(kind, counts - losses)

    def sums(self, kind: str, counts: np.ndarray) -> np.ndarray:
        """The changing part of the cost, for counts of shape (…, weights, axes): shape (…)."""
        if kind == "milliseconds":
            if self.latencies is None:
                raise InputError("a cost in milliseconds", "a table of latencies", "give one to time()")
            parts = counts[..., self._times, :2] / self.counts[self._times, :2]
            return self.latencies.milliseconds(parts).sum(axis=-1)
        return counts.prod(axis=-1) @ self.factors[kind]


def _size(variable: Any) -> int:
    return int(np.prod(variable.shape, dtype=np.int64))
