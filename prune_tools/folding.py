"""Merging rules applied to a model's weights: kernels, biases, and batch normalisations that stand in for a bias."""

from __future__ import annotations

import collections

import keras
import numpy as np

from prune_tools import merge
from prune_tools.cuts import Cuts
from prune_tools.graph import Graph, Group, Reader
from prune_tools.graph.steps import Step
from prune_tools.statistics import Gram, Statistics
from run_tools.errors import InputError


class Folding:
    """The full-width weights with what the removed units gave put elsewhere, and the removed units' rows at zero.

    Attributes:
        weights: layer name → attribute → array, for the weights that differ from the model's.
        new_biases: layers that need a bias they did not have.
    """

    def __init__(self, graph: Graph, cuts: Cuts, rule: str, statistics: Statistics | None, ridge: float) -> None:
        self.weights: dict[str, dict[str, np.ndarray]] = {}
        self.new_biases: set[str] = set()
        self._graph = graph
        self._calls: dict[str, list[Step]] = collections.defaultdict(list)
        self._takers: dict[int, list[Step]] = collections.defaultdict(list)
        for step in graph.flat.steps:
            self._calls[step.name].append(step)
            for tensor in step.inputs:
                self._takers[tensor].append(step)
        for group in graph.groups:
            pairs: merge.Pairs = cuts.pairs.get(group.name, [])
            if pairs:
                if rule not in ("delete", "least_squares") and group.name not in cuts.paired and group.readers:
                    pairs = self._partners(group, [unit for unit, _ in pairs], rule, statistics)
                self._fold(group, pairs, rule, statistics, ridge)

    @staticmethod
    def _partners(group: Group, removed: list[int], rule: str, statistics: Statistics | None) -> merge.Pairs:
        if statistics is None:
            raise InputError(
                f"merge={rule!r} without kept units for those removed from {group.name!r}",
                "(removed, kept) pairs, or statistics to choose them by",
                "give pairs as distinctiveness.select returns them, or statistics=statistics.collect(model, data)",
            )
        return merge.partners(statistics.pooled(group), removed, opposite=rule == "project")

    def _fold(self, group: Group, pairs: merge.Pairs, rule: str, statistics: Statistics | None, ridge: float) -> None:
        if rule == "incoming":
            self._incoming(group, pairs)
        for reader in group.readers:
            if reader.read.kernel is None:
                continue
            gram: Gram | None = None if statistics is None or rule == "delete" else statistics.of(group, reader.layer)
            matrix, shift = merge.compensation(rule, group.units, pairs, gram, ridge)
            self._into(reader, [unit for unit, _ in pairs], matrix, shift)

    def _incoming(self, group: Group, pairs: merge.Pairs) -> None:
        """The kept unit's own weights and bias take the removed one's in."""
        for name, members in group.members.items():
            notes = self._graph.notes[name]
            for attribute, axes in notes.weights.items():
                for axis, channels in axes.items():
                    if notes.produced is None or not np.array_equal(channels, notes.produced):
                        continue
                    array = np.moveaxis(self.weight(name, attribute), axis, -1)
                    for removed, kept in pairs:
                        gone, stays = members == removed, members == kept
                        # Other layers of the group may have neither: a grouped convolution and what it reads.
                        if kept is None or not gone.any() or not stays.any():
                            continue
                        if gone.sum() != stays.sum():
                            raise InputError(
                                f"merge='incoming' of units that {name!r} makes {gone.sum()} and {stays.sum()} times",
                                "units that are made equally often",
                                "choose other pairs, or another rule",
                            )
                        array[..., stays] += array[..., gone]

    def _into(self, reader: Reader, removed: list[int], matrix: np.ndarray, shift: np.ndarray) -> None:
        read, columns = reader.read, reader.sites[0].columns
        kernel = np.moveaxis(self.weight(reader.layer, read.kernel), (read.axis, read.out), (-2, -1))  # type: ignore[arg-type]
        kept = np.flatnonzero(matrix[:, removed].any(axis=1))
        constant = np.zeros(kernel.shape[-1])
        for places in columns:
            gone = [unit for unit in removed if places[unit] >= 0]
            if not gone:  # the removed units stand here less often than others of the group
                continue
            here = kept[places[kept] >= 0]
            rows = kernel[..., places[gone], :]
            constant += read.share * np.tensordot(shift[gone], rows.reshape(-1, *rows.shape[-2:]).sum(axis=0), 1)
            kernel[..., places[here], :] += np.matmul(matrix[np.ix_(here, gone)], rows)
            kernel[..., places[gone], :] = 0
        if constant.any():
            self._constant(reader.layer, constant)

    def weight(self, layer: str, attribute: str) -> np.ndarray:
        """A layer's weight in float64, to be changed in place."""
        known = self.weights.setdefault(layer, {})
        if attribute not in known:
            variable = getattr(self._calls[layer][0].layer, attribute)
            known[attribute] = np.array(keras.ops.convert_to_numpy(variable), dtype=np.float64)
        return known[attribute]

    def _constant(self, layer: str, constant: np.ndarray) -> None:
        """Adds to a layer's bias, or where it has none to what follows."""
        if getattr(self._calls[layer][0].layer, "bias", None) is not None:
            self.weight(layer, "bias")[:] += constant
            return
        norms = self._norms(layer)
        for norm in norms:
            self.weight(norm, "moving_mean")[:] -= constant
        if not norms:
            known = self.weights.setdefault(layer, {})
            known["bias"] = known.get("bias", np.zeros(len(constant))) + constant
            self.new_biases.add(layer)

    def _norms(self, layer: str) -> list[str]:
        """The batch normalisations that take all of a layer's output, none where anything else takes some."""
        calls = self._calls[layer]
        activation = getattr(calls[0].layer, "activation", None)
        tensor = calls[0].outputs[0]
        if len(calls) > 1 or activation not in (None, keras.activations.linear) or tensor in self._graph.flat.outputs:
            return []
        readers = self._takers[tensor]
        norms = all(
            isinstance(step.layer, keras.layers.BatchNormalization)
            and "moving_mean" in self._graph.notes[step.name].weights  # over the channels, not another axis
            for step in readers
        )
        once = all(len(self._calls[step.name]) == 1 for step in readers)
        return [step.name for step in readers] if norms and once else []
