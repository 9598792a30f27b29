"""Distinctiveness pruning of a whole model in one call: measure, choose, remove."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from prune_tools import statistics as measured
from prune_tools import surgery
from prune_tools.distinctiveness.angles import angles
from prune_tools.distinctiveness.select import select
from prune_tools.graph import Graph, Group
from run_tools.errors import InputError


def prune(
    model: keras.Model,
    data: Any,
    rule: str = "most_similar",
    sparsity: float | None = None,
    layers: Sequence[str] | None = None,
    merge: str = "least_squares",
    centre: str = "mean",
    statistics: measured.Statistics | None = None,
    multiple: int = 1,
    **options: Any,
) -> keras.Model:
    """A model without its least distinct units.

    Args:
        model: functional, or a built Sequential; left as it is.
        data: inputs, as for `statistics.collect`; not looked at where `statistics` are given.
        rule: as for `select`.
        sparsity: part of each group's units to remove, in 0–1, rounded; at least one unit stays. None: what the rule
            finds, which must then be "threshold" or "classical".
        layers: one layer of each group to prune; None: all groups whose units can all go one by one.
        merge: as for `surgery.remove`.
        centre: as for `angles`.
        statistics: of the model, where they are known already.
        multiple: what the widths that are left should be multiples of.
        options: `below`, `above` and `batch` of `select`.

    Returns:
        The new model, not compiled; see `surgery.remove`.

    Raises:
        InputError: for numbers out of range, and layers that cannot be pruned.
    """
    if sparsity is None and rule not in ("threshold", "classical"):
        raise InputError(f"rule {rule!r} without an amount", "sparsity in 0 to 1", "give for example sparsity=0.5")
    if sparsity is not None and not 0 <= sparsity < 1:
        raise InputError(f"sparsity {sparsity}", "a number from 0 to below 1", "give for example 0.5")
    groups = free_groups(Graph(model), layers)
    found = measured.collect(model, data) if statistics is None else statistics
    units = {}
    for name, group in groups.items():
        gram = found[name]
        # Halves up: 2.5 of 5 units are 3.
        count = None if sparsity is None else int(sparsity * len(group.members[name]) + 0.5)
        chosen = select(angles(gram.gram, gram.sums, gram.count, centre), rule, count, **options)
        if chosen:
            units[name] = chosen
    return surgery.remove(model, units, merge, found, multiple=multiple)


def free_groups(graph: Graph, layers: Sequence[str] | None) -> dict[str, Group]:
    """The groups whose units can all go one by one.

    Args:
        graph: of the model.
        layers: one layer of each group; None: all such groups of the model, by their widest layer.

    Returns:
        Layer name → its group.

    Raises:
        InputError: if a named layer makes no units, or units that cannot go one by one.
    """
    if layers is None:
        found = {max(group.members, key=lambda name: len(group.members[name])): group for group in graph.groups}
        return {name: group for name, group in found.items() if _free(group)}
    for name in layers:
        if not _free(graph.group(name)):
            raise InputError(
                f"layer {name!r} to prune by distinctiveness",
                "a layer of which every unit can go alone",
                "leave it out, or choose its units for surgery.remove",
            )
    return {name: graph.group(name) for name in layers}


def _free(group: Group) -> bool:
    alone = len(np.unique(group.blocks)) == group.units and all(
        len(np.unique(members)) == len(members) for members in group.members.values()
    )
    return bool(group.removable.all() and group.readers and alone)
