"""A channel group in words and lines, as a person would draw it."""

from __future__ import annotations

import collections
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prune_tools.graph.groups import Graph, Group


def render(graph: Graph, group: Group) -> str:
    """A few lines: who makes the units, what they pass through, who reads them.

    Example:
        stem: 16 units
          made by       stem ───┐
                        second ─┘
          pass through  stem_norm, add, relu
          read by       next_a, next_b
    """
    lines = [_title(group)]
    makers = list(group.members)
    lines += _block("made by", _joined(makers) if len(makers) > 1 else makers)
    if through := _through(graph, group):
        lines += _block("pass through", _wrap(through))
    if group.readers:
        lines += _block("read by", _wrap([_reader(group, reader) for reader in group.readers]))
    for reason, count in collections.Counter(reason for reason in group.frozen if reason).items():
        lines += _block("kept", [f"{count} of {group.units}: {reason}"])
    return "\n".join(lines)


def _title(group: Group) -> str:
    sizes = collections.Counter(collections.Counter(group.blocks.tolist()).values())
    block = max(sizes)
    tail = f", removable in blocks of up to {block}" if block > 1 else ""
    return f"{group.name}: {group.units} unit{'s' if group.units > 1 else ''}{tail}"


def _joined(names: list[str]) -> list[str]:
    widest = max(map(len, names)) + 1
    corners = "┐" + "┤" * (len(names) - 2) + "┘"
    return [f"{name} {'─' * (widest - len(name))}{corner}" for name, corner in zip(names, corners, strict=True)]


def _through(graph: Graph, group: Group) -> list[str]:
    """Names of the calls whose output holds units of the group that they did not make."""
    own = {int(unit) for name in group.members for unit in graph.units(graph.channels(name))}
    names = []
    for step in graph.flat.steps:
        channels = graph.tensor_channels(step.outputs[0])
        if step.name not in group.members and channels is not None and own & set(graph.units(channels).tolist()):
            names.append(step.name)
    return list(dict.fromkeys(names))


def _reader(group: Group, reader) -> str:
    copies, absent = len(reader.sites[0].columns), int((reader.sites[0].columns[0] < 0).sum())
    told = [f"{copies} places a unit"] if copies > 1 else []
    told += [f"{group.units - absent} of {group.units} units"] if absent else []
    return reader.layer + (f" ({', '.join(told)})" if told else "")


def _wrap(names: list[str], width: int = 96) -> list[str]:
    lines, line = [], ""
    for index, name in enumerate(names):
        part = name + ("," if index < len(names) - 1 else "")
        if line and len(line) + 1 + len(part) > width:
            lines.append(line)
            line = part
        else:
            line = f"{line} {part}".strip()
    return [*lines, line]


def _block(label: str, lines: list[str]) -> list[str]:
    return [f"  {label if index == 0 else '':<14}{line}" for index, line in enumerate(lines)]
