"""What is chosen, and the steps among which it is."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from prune_tools.budget.curves import Curve
from prune_tools.graph import Group


class Removals(Mapping[str, np.ndarray]):
    """Layer name → sorted numbers of the units to remove, as `surgery.remove` takes them.

    Attributes:
        predicted: sum of the scores of the units removed; for "damage" and "residual" the part of their readers'
            output energy that is lost, summed over the layers.
        reached: {"parameters": …, "macs": …} of the smaller network, biases that merging may add not counted; with a
            budget in milliseconds also "milliseconds", as the table of latencies has them.
    """

    def __init__(
        self, units: Mapping[str, np.ndarray], rows: list[dict[str, Any]], predicted: float, reached: dict[str, Any]
    ) -> None:
        self._units, self._rows = dict(units), rows
        self.predicted, self.reached = predicted, reached

    def __getitem__(self, layer: str) -> np.ndarray:
        return self._units[layer]

    def __iter__(self) -> Iterator[str]:
        return iter(self._units)

    def __len__(self) -> int:
        return len(self._units)

    def table(self) -> list[dict[str, Any]]:
        """One row a group that could have been cut: group, before and after (widths), score of the last unit removed
        (None where none was)."""
        return [dict(row) for row in self._rows]

    def __str__(self) -> str:
        lines = [f"{'group':<32}{'before':>8}{'after':>8}{'last score':>14}"]
        for row in self._rows:
            score = "" if row["score"] is None else f"{row['score']:.4g}"
            lines.append(f"{row['group']:<32}{row['before']:>8}{row['after']:>8}{score:>14}")
        return "\n".join(lines)


class Line:
    """One group's curve in whole steps: a step takes so many blocks that the width left is a multiple.

    A group no wider than the multiple could not be cut at all; there it is halved until it could.
    """

    def __init__(self, group: Group, curve: Curve, multiple: int, floor: float) -> None:
        self.group = group
        self.layer = max(group.members, key=lambda name: len(group.members[name]))
        blocks = group.blocks[group.members[self.layer]]
        self.before = len(blocks)
        while multiple > 1 and multiple >= self.before:
            multiple //= 2
        lost = np.array([np.count_nonzero(blocks == block) for block in curve.blocks], dtype=np.int64)
        least = max(1, math.ceil(floor * self.before - 1e-9))
        # (blocks, sum of their scores, the last one's score, width left)
        self.steps: list[tuple[list[int], float, float, int]] = []
        width, taken, score = self.before, 0, 0.0
        for end, (block, own) in enumerate(zip(curve.blocks, lost, strict=True), start=1):
            del block
            width -= int(own)
            score += float(curve.scores[end - 1])
            if width < least:
                break
            if width % multiple == 0:
                self.steps.append((list(curve.blocks[taken:end]), score, float(curve.scores[end - 1]), width))
                taken, score = end, 0.0
