"""The channel groups of a model: which layers' units can only be removed together, and who reads them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from prune_tools.graph.atoms import Atoms
from prune_tools.graph.call import Call, Channels, Notes, Read, rule_of
from prune_tools.graph.steps import Flat, Step, flatten
from run_tools.errors import InputError, unknown_name


@dataclass(frozen=True, eq=False)
class Site:
    """A tensor that a group's units are read at.

    `columns`, shape (copies, units), says where in the tensor's last axis each unit stands, −1 where it does not;
    a unit stands at several places after a flatten or `space_to_depth`. `view` as in `Read`.
    """

    tensor: int
    columns: np.ndarray
    view: Callable[[Any], Any] | None


@dataclass(frozen=True, eq=False)
class Reader:
    """A layer that reads a group's units: with `read.kernel`, at one site for each of its calls."""

    layer: str
    read: Read
    sites: tuple[Site, ...]


@dataclass(eq=False)
class Group:
    """Units that several layers share.

    Attributes:
        name: the first layer's.
        units: how many different units.
        members: layer → the group's unit that each of its output channels is, int array of the layer's width.
        frozen: for every unit why it can never be removed, or None.
        blocks: for every unit the number of the block with which it goes; units of one block go together.
        readers: the layers that read the units.
    """

    name: str
    units: int
    members: dict[str, np.ndarray]
    frozen: list[str | None]
    blocks: np.ndarray
    readers: list[Reader] = field(default_factory=list)

    @property
    def removable(self) -> np.ndarray:
        """Which units can be removed, booleans of shape (units,)."""
        return np.array([reason is None for reason in self.frozen])

    def reader(self, layer: str) -> Reader:
        """The reader of that name."""
        return next(reader for reader in self.readers if reader.layer == layer)


class Graph:
    """The channels of a functional model.

    Attributes:
        flat: the model's calls.
        groups: the channel groups, in the order of the model's layers.
        notes: layer name → what its rule said about its weights and widths.
    """

    def __init__(self, model: keras.Model) -> None:
        self.flat: Flat = flatten(model)
        self.notes: dict[str, Notes] = {}
        self._channels: dict[int, Channels | None] = {}
        atoms = Atoms()
        self._walk(atoms)
        self._unit, self._block = atoms.same(), atoms.tied()
        self._reasons = atoms.frozen()
        self.groups = self._find_groups()
        self._places = self._find_places()
        self._find_readers()

    def _walk(self, atoms: Atoms) -> None:
        for number in self.flat.inputs:
            width = self.flat.shapes[number][-1] if self.flat.shapes[number] else None
            self._channels[number] = atoms.fresh(width, "it is an input of the model") if width else None
        for step in self.flat.steps:
            notes = self.notes.setdefault(step.name, Notes())
            given = [self._channels[number] for number in step.inputs]
            call = Call(step, given, self.flat.shapes, atoms, notes)
            rule = rule_of(step.layer)
            found = rule(call) if rule else call.unsupported("layers of this kind are not supported")
            self._note(step, found if isinstance(found, list) else [found])
        for number in self.flat.outputs:
            channels = self._channels[number]
            if channels is not None:
                atoms.freeze(channels, "it is an output of the model", first=True)

    def _note(self, step: Step, found: list[Channels | None]) -> None:
        for number, channels in zip(step.outputs, found, strict=True):
            width = self.flat.shapes[number][-1] if self.flat.shapes[number] else None
            if channels is not None and len(channels) != width:
                raise InputError(
                    f"a rule that gives {len(channels)} channels for layer {step.name!r}",
                    f"{width}, the width of its output",
                    f"mend the rule registered for {type(step.layer).__name__}",
                )
            self._channels[number] = channels

    def _find_groups(self) -> list[Group]:
        """Layers whose units share a block are one group."""
        producers = {name: notes.produced for name, notes in self.notes.items() if notes.produced is not None}
        home: dict[int, list[str]] = {}
        for name, atoms in producers.items():
            touched = [home[block] for block in dict.fromkeys(self._block[atoms].tolist()) if block in home]
            names: list[str] = list(dict.fromkeys([*(entry for group in touched for entry in group), name]))
            for member in names:
                home.update(dict.fromkeys(self._block[producers[member]].tolist(), names))
        order = list(producers)
        found = {tuple(sorted(names, key=order.index)) for names in home.values()}
        return [self._group(names, producers) for names in sorted(found, key=lambda names: order.index(names[0]))]

    def _group(self, names: Iterable[str], producers: dict[str, np.ndarray]) -> Group:
        names = list(names)
        # The widest layer's order is the group's, so that in all but odd graphs a unit's number is its channel's.
        widest = sorted(names, key=lambda name: -len(producers[name]))
        units = list(dict.fromkeys(int(unit) for name in widest for unit in self._unit[producers[name]]))
        index = {unit: position for position, unit in enumerate(units)}
        members = {name: np.array([index[int(unit)] for unit in self._unit[producers[name]]]) for name in names}
        blocks = self._block[units]
        return Group(names[0], len(units), members, [self._reasons.get(int(block)) for block in blocks], blocks)

    def _find_places(self) -> dict[int, tuple[Group, int]]:
        places: dict[int, tuple[Group, int]] = {}
        for group in self.groups:
            for name, members in group.members.items():
                units = self._unit[self.notes[name].produced].tolist()
                places.update(zip(units, ((group, int(member)) for member in members), strict=True))
        return places

    def _find_readers(self) -> None:
        for name, notes in self.notes.items():
            sites: dict[str, list[tuple[Read, Site]]] = {}
            for read in notes.reads:
                places = [self._places.get(int(unit)) for unit in self._unit[read.channels]]
                for group in {id(place[0]): place[0] for place in places if place}.values():
                    columns = _columns([place[1] if place and place[0] is group else None for place in places], group)
                    sites.setdefault(group.name, []).append((read, Site(read.tensor, columns, read.view)))
            for group_name, found in sites.items():
                reader = Reader(name, found[0][0], tuple(site for _, site in found))
                self.group(group_name).readers.append(reader)

    def group(self, layer: str) -> Group:
        """The group in which a layer makes units.

        Raises:
            InputError: if no layer of that name does.
        """
        for group in self.groups:
            if layer in group.members:
                return group
        raise unknown_name("layer with units", layer, [name for group in self.groups for name in group.members])

    def channels(self, layer: str) -> Channels:
        """The channels that leave a layer, of any kind, as the graph numbers them.

        Raises:
            InputError: if there is no such layer, or its channels are unknown.
        """
        steps = [step for step in self.flat.steps if step.name == layer]
        if not steps:
            raise unknown_name("layer", layer, [step.name for step in self.flat.steps])
        channels = self._channels[steps[0].outputs[0]]
        if channels is None:
            raise InputError(f"layer {layer!r}", "a layer with a known number of channels", "name another layer")
        return channels

    def tensor_channels(self, tensor: int) -> Channels | None:
        """The channels of a numbered tensor."""
        return self._channels[tensor]

    def units(self, channels: Channels) -> np.ndarray:
        """Equal numbers for channels that are the same unit."""
        return self._unit[channels]

    def place(self, unit: int) -> tuple[Group, int] | None:
        """The group of a unit and its number there; None for what no supported layer makes."""
        return self._places.get(int(unit))

    def blocks(self, channels: Channels) -> np.ndarray:
        """Equal numbers for channels that can only be removed together."""
        return self._block[channels]

    def reason(self, block: int) -> str | None:
        """Why a block can never be removed, None where it can."""
        return self._reasons.get(int(block))

    def __str__(self) -> str:
        from prune_tools.graph.render import render

        return "\n\n".join(render(self, group) for group in self.groups)


def _columns(units: list[int | None], group: Group) -> np.ndarray:
    seen: dict[int, list[int]] = {}
    for column, unit in enumerate(units):
        if unit is not None:
            seen.setdefault(unit, []).append(column)
    copies = max(len(columns) for columns in seen.values())
    found = np.full((copies, group.units), -1, dtype=np.int64)
    for unit, columns in seen.items():
        found[: len(columns), unit] = columns
    return found
