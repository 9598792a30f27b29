"""How a model's units behave on data: sums and Gram matrices of their outputs, for all channel groups in one pass.

A pattern is one position of one image for a convolution, one row for a dense layer. Nothing of the size of the data is
kept: memory is bounded by the widths and one batch.

Source: paper 001, equations 1 and 2, from which the sums follow.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from prune_tools.graph import Graph, Group
from prune_tools.probe import Probe
from run_tools.arrays import finite
from run_tools.errors import InputError, unknown_name


@dataclass(frozen=True, eq=False)
class Gram:
    """Sums over patterns of the outputs of n units.

    Attributes:
        gram: sum of outer products, float64, shape (n, n).
        sums: sum of outputs, float64, shape (n,).
        count: number of patterns.
        readers: where the readers read different tensors (a pooled path and a passthrough), each reader's own sums by
            its name; what is above is then their total.
    """

    gram: np.ndarray
    sums: np.ndarray
    count: int
    readers: Mapping[str, Gram] = field(default_factory=dict)

    def covariance(self) -> np.ndarray:
        """Sum of products of the centred outputs, shape (n, n); divide by `count` for the covariance."""
        return self.gram - np.outer(self.sums, self.sums) / self.count

    def mean(self) -> np.ndarray:
        """Mean outputs, shape (n,)."""
        return self.sums / self.count

    def take(self, units: np.ndarray) -> Gram:
        """The sums of some units, in the order given."""
        return Gram(self.gram[np.ix_(units, units)], self.sums[units], self.count)


def total(grams: list[Gram]) -> Gram:
    """The sums over the patterns of all."""
    return Gram(sum(g.gram for g in grams), sum(g.sums for g in grams), sum(g.count for g in grams))  # type: ignore[arg-type]


class Statistics(Mapping[str, Gram]):
    """Layer name → `Gram` of its units, for every layer whose units can be removed.

    The order of the units is that of the layer's output channels. `of` has them by group and reader, as
    `prune_tools.merge` needs them.
    """

    def __init__(self, groups: list[Group], sums: Mapping[tuple[str, str], list[Gram]]) -> None:
        self._members = {name: (group, members) for group in groups for name, members in group.members.items()}
        self._sums = sums

    def __getitem__(self, layer: str) -> Gram:
        if layer not in self._members:
            raise KeyError(str(unknown_name("layer", layer, self._members)))
        group, members = self._members[layer]
        tensors: dict[int, Gram] = {}
        readers, whole = {}, {}
        for reader in group.readers:
            grams = self._sums[group.name, reader.layer]
            readers[reader.layer] = total(grams).take(members)
            for site, gram in zip(reader.sites, grams, strict=True):
                tensors[site.tensor] = gram
                if (site.columns[0, members] >= 0).all():
                    whole[site.tensor] = gram
        chosen = whole or tensors
        pooled = total(list(chosen.values())).take(members)
        return Gram(pooled.gram, pooled.sums, pooled.count, readers if len(tensors) > 1 else {})

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def of(self, group: Group, reader: str) -> Gram:
        """The sums of a group's units, in the group's order, at the tensors that one reader reads.

        Raises:
            InputError: if the statistics are of another model.
        """
        grams = self._sums.get((group.name, reader))
        if grams is None or len(grams[0].sums) != group.units:
            raise InputError(
                f"statistics without the {group.units} units of {group.name!r} as read by {reader!r}",
                "statistics of the same model",
                "collect them again with statistics.collect(model, data)",
            )
        return total(grams)

    def pooled(self, group: Group) -> Gram:
        """The sums of a group's units, in the group's order, over all readers."""
        return total([self.of(group, reader.layer) for reader in group.readers])


def collect(
    model: keras.Model, data: Any, batch_size: int = 32, positions: int | None = 16, average: bool = False
) -> Statistics:
    """Sums the outputs of all units that can be removed, where their readers read them, over a data set.

    Args:
        model: functional, or a built Sequential.
        data: an array of inputs, or a list or dict of arrays for several inputs; or an iterable of batches (a
            `tf.data.Dataset`, a `keras.utils.PyDataset`, a generator), each the inputs or a tuple beginning with them.
        batch_size: patterns a forward pass, for arrays.
        positions: most positions of an image that count, on an even grid; None: all.
        average: a pattern is an image and not a position: each map counts with its mean over all positions. For angles
            alone; what a layer reads are positions, so merging wants statistics of these.

    Returns:
        `{"layer name": Gram}`, taken after batch normalisation, activation, pooling and additions.

    Raises:
        InputError: if there is no data, or an input, a weight or an output is not a finite number.
    """
    return Collector(Graph(model), positions, average).collect(data, batch_size)


class Collector:
    """Collects statistics of one model again and again, as its weights change, with one compiled forward pass.

    Args:
        graph: of the model.
        positions, average: as for `collect`.
    """

    def __init__(self, graph: Graph, positions: int | None = 16, average: bool = False) -> None:
        if positions is not None and positions < 1:
            raise InputError(f"positions {positions}", "at least 1, or None for all", "give a larger number")
        self._groups = [group for group in graph.groups if group.removable.any() and group.readers]
        # Readers of one tensor share its sums.
        places = {
            (group.name, site.tensor, id(site.view)): (site, _some(site.columns, positions))
            for group in self._groups
            for reader in group.readers
            for site in reader.sites
        }
        self._keys, self._probe = list(places), Probe(graph, list(places.values()), positions, average)

    def collect(self, data: Any, batch_size: int = 32) -> Statistics:
        """The statistics with the weights that the model has now; see the function `collect`."""
        _check_weights(self._probe.source)
        self._probe.reset()
        for batch in batches(data, batch_size):
            self._probe.add(batch)
        grams = {key: Gram(*arrays) for key, arrays in zip(self._keys, self._probe.arrays(), strict=True)}
        return _result(self._groups, grams)


def _check_weights(model: keras.Model) -> None:
    for weight in model.weights:
        if not finite(weight):
            told = f"weights {weight.path!r} that are not finite numbers"
            raise InputError(told, "finite ones", "look where training diverged")


def _result(groups: list[Group], sums: Mapping[tuple[str, int, int], Gram]) -> Statistics:
    found = {}
    for group in groups:
        for reader in group.readers:
            grams = [sums[group.name, site.tensor, id(site.view)] for site in reader.sites]
            if grams[0].count == 0:
                raise InputError("no data", "at least one batch of inputs", "give a data set that is not empty")
            if not all(np.isfinite(gram.gram).all() for gram in grams):
                raise InputError(
                    f"outputs of {group.name!r} that are not finite numbers",
                    "finite activations",
                    "check the inputs and the model's weights",
                )
            found[group.name, reader.layer] = grams
    return Statistics(groups, found)


def _some(columns: np.ndarray, limit: int | None) -> np.ndarray:
    """At most `limit` of the copies, evenly spread: after a flatten every position is one."""
    if limit is None or len(columns) <= limit:
        return columns
    return columns[np.floor((np.arange(limit) + 0.5) * len(columns) / limit).astype(int)]


def _first(data: list) -> Any:
    return data[0] if data else None


def batches(data: Any, batch_size: int = 32) -> Iterator[Any]:
    """Inputs, batch by batch, from whatever `collect` takes.

    Raises:
        InputError: if the data are of no such kind.
    """
    if batch_size < 1:
        raise InputError(f"batch_size {batch_size}", "at least 1", "give a larger number")
    if hasattr(data, "shape") or isinstance(data, dict) or (isinstance(data, list) and hasattr(_first(data), "shape")):
        size = len(keras.tree.flatten(data)[0])
        for start in range(0, size, batch_size):
            yield keras.tree.map_structure(lambda part, start=start: np.asarray(part[start : start + batch_size]), data)
        return
    if isinstance(data, keras.utils.PyDataset):
        data = map(data.__getitem__, range(len(data)))
    if not hasattr(data, "__iter__"):
        raise InputError(f"data of type {type(data).__name__}", "arrays or an iterable of batches", "give such data")
    for batch in data:
        yield batch[0] if isinstance(batch, tuple) else batch
