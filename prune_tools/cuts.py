"""What is asked to go, checked against the channel groups and put in the groups' own terms."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from prune_tools.graph import Graph, Group
from run_tools.errors import InputError


@dataclass
class Cuts:
    """The units that go.

    Attributes:
        blocks: numbers of the blocks that go, as the graph counts them.
        pairs: group name → (removed unit, kept unit or None) in the order asked for, in the group's own numbers.
        paired: names of the groups for which someone chose the kept units.
    """

    blocks: set[int] = field(default_factory=set)
    pairs: dict[str, list[tuple[int, int | None]]] = field(default_factory=dict)
    paired: set[str] = field(default_factory=set)

    def stays(self, graph: Graph, channels: np.ndarray) -> np.ndarray:
        """Which channels stay, booleans."""
        return ~np.isin(graph.blocks(channels), list(self.blocks))


def plan(graph: Graph, units: Mapping[str, Any], multiple: int = 1) -> Cuts:
    """Checks the wishes and follows them through the groups.

    Args:
        graph: of the model.
        units: layer name → output channels to remove: numbers, booleans, or (removed, kept or None) pairs.
        multiple: what the widths that are left should be multiples of, as of each group's widest layer; for that the
            last ones asked for stay, whichever layer of the group they were asked of.

    Raises:
        InputError: for unknown layers, channels that are not there or cannot go, blocks named in part, kept units
            that are removed, and layers that would be left empty.
    """
    if not isinstance(multiple, (int, np.integer)) or multiple < 1:
        raise InputError(f"multiple {multiple}", "a whole number of at least 1", "for example 8")
    wishes = []
    for layer, wish in units.items():
        channels = graph.channels(layer)
        wanted = _wanted(layer, wish, len(channels))
        _allowed(graph, layer, channels, [removed for removed, _ in wanted])
        wishes.append((layer, channels, wanted))
    stay = _too_many(graph, wishes, multiple)
    cuts = Cuts()
    for layer, channels, wanted in wishes:
        blocks = graph.blocks(channels)
        _add(graph, cuts, layer, channels, [entry for entry in wanted if int(blocks[entry[0]]) not in stay])
    _not_empty(graph, cuts)
    return cuts


def _wanted(layer: str, wish: Any, width: int) -> list[tuple[int, int | None]]:
    """(removed, kept or None) for each channel, the first mention counting."""
    if isinstance(wish, (str, bytes, Mapping)) or not isinstance(wish, Iterable):
        raise InputError(f"{wish!r} of layer {layer!r}", "a list of unit numbers", f"for example {{{layer!r}: [0]}}")
    entries: list[Any] = wish.tolist() if isinstance(wish, np.ndarray) else list(wish)
    if len(entries) == width and all(isinstance(entry, (bool, np.bool_)) for entry in entries):
        entries = np.flatnonzero(entries).tolist()
    found: dict[int, int | None] = {}
    for entry in entries:
        pair = tuple(entry) if isinstance(entry, (tuple, list)) else (entry, None)
        if len(pair) != 2:
            raise InputError(f"{entry!r} of layer {layer!r}", "a number or a (removed, kept) pair", "correct it")
        removed, kept = pair
        for number in (removed, removed if kept is None else kept):
            whole = isinstance(number, (int, np.integer)) and not isinstance(number, bool)
            if not whole or not 0 <= number < width:
                expected = f"a whole number from 0 to {width - 1}"
                raise InputError(f"unit {number!r} of layer {layer!r}", expected, "correct it")
        if kept is not None and (kept == removed or kept in found):
            raise InputError(
                f"unit {removed} of layer {layer!r} merged into {kept}, which is removed before it",
                "a unit that is still there",
                "choose another, or change the order",
            )
        found.setdefault(int(removed), None if kept is None else int(kept))
    return list(found.items())


def _allowed(graph: Graph, layer: str, channels: np.ndarray, wanted: list[int]) -> None:
    blocks = graph.blocks(channels)
    for number in wanted:
        if reason := graph.reason(blocks[number]):
            raise InputError(f"unit {number} of layer {layer!r} to remove", "one that can go", f"keep it: {reason}")
        fellows = np.flatnonzero(blocks == blocks[number]).tolist()
        if not set(fellows) <= set(wanted):
            raise InputError(
                f"unit {number} of layer {layer!r} alone",
                f"its whole block, units {', '.join(map(str, fellows))}, which can only go together",
                "name all of them or none",
            )


def _too_many(graph: Graph, wishes: list, multiple: int) -> set[int]:
    """The blocks that must stay, last asked for first, so that each group's widest layer is left a multiple."""
    asked = [
        int(block) for _, channels, wanted in wishes for block in graph.blocks(channels[[one for one, _ in wanted]])
    ]
    stay: set[int] = set()
    for group in graph.groups if multiple > 1 else []:
        widest = max(group.members.values(), key=len)
        own = set(group.blocks.tolist())
        gone = [block for block in dict.fromkeys(asked) if block in own]
        while gone and np.count_nonzero(~np.isin(group.blocks[widest], gone)) % multiple:
            stay.add(gone.pop())
    return stay


def _add(graph: Graph, cuts: Cuts, layer: str, channels: np.ndarray, wanted: list) -> None:
    units = graph.units(channels)
    for removed, kept in wanted:
        place = graph.place(units[removed])
        if place is None:  # nothing that a supported layer makes: `_allowed` has refused it
            continue
        group, one = place
        # Depthwise and grouped convolutions: the blocks reach into units of other layers of the group.
        cuts.blocks.add(int(graph.blocks(channels[[removed]])[0]))
        pairs = cuts.pairs.setdefault(group.name, [])
        if one in (entry for entry, _ in pairs):
            continue
        target = None if kept is None else graph.place(units[kept])
        if kept is not None:
            if target is None or target[0] is not group or target[1] in (entry for entry, _ in pairs):
                raise InputError(
                    f"unit {removed} of layer {layer!r} merged into {kept}",
                    f"a unit of the same group, {group.name!r}, that is still there",
                    "choose another",
                )
            cuts.paired.add(group.name)
        pairs.append((one, target[1] if target else None))
    for group in graph.groups:
        _complete(cuts, group)


def _complete(cuts: Cuts, group: Group) -> None:
    gone = np.flatnonzero(np.isin(group.blocks, list(cuts.blocks))).tolist()
    if gone:
        pairs = cuts.pairs.setdefault(group.name, [])
        named = {unit for unit, _ in pairs}
        pairs += [(unit, None) for unit in gone if unit not in named]


def _not_empty(graph: Graph, cuts: Cuts) -> None:
    for name, notes in graph.notes.items():
        axes = [channels for weight in notes.weights.values() for channels in weight.values()]
        for channels in [*axes, *([] if notes.produced is None else [notes.produced])]:
            if not cuts.stays(graph, channels).any():
                raise InputError(f"all {len(channels)} channels of layer {name!r}", "at least one left", "keep some")
