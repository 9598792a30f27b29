"""Which units go for a budget, over all layers together."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from prune_tools.budget import backward, curves, unit_scores
from prune_tools.budget.costs import Costs
from prune_tools.budget.curves import Curve
from prune_tools.graph import Graph, Group
from prune_tools.statistics import Statistics
from run_tools.errors import InputError, unknown_name

SCORES = ("damage", "residual", "l1", "random", "weight_similarity", "badness", "sensitivity")
MEASURED = ("damage", "residual")
"""Scores that need statistics."""
TAUGHT = ("badness", "sensitivity")
"""Scores that need data with targets."""
PER_COST = ("damage", "residual", "sensitivity")
"""Scores in one unit, of which a removal is worth as much as it saves; the others rank units by themselves."""
SCOPES = ("global", "uniform")


class Removals(Mapping[str, np.ndarray]):
    """Layer name → sorted numbers of the units to remove, as `surgery.remove` takes them.

    Attributes:
        predicted: sum of the scores of the units removed; for "damage" and "residual" the part of their readers'
            output energy that is lost, summed over the layers.
        reached: {"parameters": …, "macs": …} of the smaller network, biases that merging may add not counted.
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


class _Line:
    """One group's curve in whole steps: a step takes so many blocks that the width left is a multiple."""

    def __init__(self, group: Group, curve: Curve, multiple: int, floor: float) -> None:
        self.group = group
        self.layer = max(group.members, key=lambda name: len(group.members[name]))
        blocks = group.blocks[group.members[self.layer]]
        self.before = len(blocks)
        lost = np.array([np.count_nonzero(blocks == block) for block in curve.blocks], dtype=np.int64)
        least = max(1, math.ceil(floor * self.before - 1e-9))
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


class Ranking:
    """Units of all groups in the order in which they should go, from which removals for any budget are cut.

    Args:
        model: functional, or a built Sequential.
        statistics: `statistics.collect(model, data)`; needed by "damage" and "residual".
        score: "damage": what the best projection on one kept unit leaves, ‖ã‖² sin²θ ‖V‖²; "residual": what the
            least-squares refit on all kept units leaves; both as parts of the readers' output energy, summed over the
            readers; "sensitivity": change of the loss when a unit is cut, to first order; "badness": least error
            propagated back to a unit, largest first; "l1": L1 norm of a unit's kernels; "weight_similarity": angle
            between weights; "random".
        multiple: what the widths that are left should be multiples of.
        floor: part of every group's units that stays at least, in 0–1; one stays anyway.
        layers: one layer of each group that may be cut; None: all groups that can be.
        exclude: layers whose groups are left alone.
        input_shape: as for `cost.summary`.
        data: for "badness" and "sensitivity", whose model must be compiled with a loss: `(inputs, targets)` arrays, or
            batches as `fit` takes them.
        seed: of "random".

    Raises:
        InputError: for unknown scores and layers, numbers out of range, missing statistics or data, and groups that
            cannot be cut.
    """

    def __init__(
        self,
        model: keras.Model,
        statistics: Statistics | None = None,
        score: str = "damage",
        multiple: int = 1,
        floor: float = 0.1,
        layers: Sequence[str] | None = None,
        exclude: Sequence[str] = (),
        input_shape: Sequence[Any] | None = None,
        data: Any = None,
        seed: int = 0,
    ) -> None:
        if score not in SCORES:
            raise unknown_name("score", score, SCORES)
        if score in MEASURED and statistics is None:
            fix = "give statistics.collect(model, data), or score='l1'"
            raise InputError(f"score={score!r} without statistics", "statistics of the model on data", fix)
        if score in TAUGHT and data is None:
            raise InputError(f"score={score!r} without data", "inputs and targets", "give data=(inputs, targets)")
        if multiple < 1 or not 0 <= floor <= 1:
            raise InputError(f"multiple {multiple}, floor {floor}", "multiple at least 1, floor in 0–1", "correct it")
        self.score = score
        self.graph = Graph(model)
        self._groups = _chosen(self.graph, layers, exclude)
        self._costs = Costs(self.graph, input_shape)
        found = self._curves(statistics, data, seed)
        self._lines = [_Line(group, found[group.name], multiple, floor) for group in self._groups]

    def _curves(self, statistics: Statistics | None, data: Any, seed: int) -> dict[str, Curve]:
        if statistics is not None and self.score in MEASURED:
            measured = curves.readings(self.graph, statistics)
            curve = curves.by_projection if self.score == "damage" else curves.by_least_squares
            return {group.name: curve(group, measured[group.name]) for group in self._groups}
        if self.score in TAUGHT:
            found = backward.errors(self.graph, self._groups, data)
            by_errors = unit_scores.badness if self.score == "badness" else unit_scores.sensitivity
            return {group.name: by_errors(group, found[group.name]) for group in self._groups}
        generator = np.random.default_rng(seed)
        if self.score == "random":
            return {group.name: unit_scores.random(group, generator) for group in self._groups}
        by_weights = unit_scores.l1 if self.score == "l1" else unit_scores.weight_similarity
        return {group.name: by_weights(self.graph, group) for group in self._groups}

    def choose(
        self,
        scope: str = "global",
        keep: float | None = None,
        parameters: int | None = None,
        macs: int | None = None,
    ) -> Removals:
        """Units to remove so that the network stays within a budget; exactly one is given.

        Args:
            scope: "global": always the step that costs least, for "damage" and "residual" least for what it saves;
                "uniform": the same part of every group.
            keep: part of the multiply-adds that stays at most, in 0–1.
            parameters: at most so many weights.
            macs: at most so many multiply-adds for one input.

        Raises:
            InputError: for another number of budgets, budgets out of range, or one that the floor does not allow.
        """
        if scope not in SCOPES:
            raise unknown_name("scope", scope, SCOPES)
        kind, limit = self._limit(keep, parameters, macs)
        steps = self._globally(kind, limit) if scope == "global" else self._uniformly(kind, limit)
        return self._removals(steps)

    def _limit(self, keep: float | None, parameters: int | None, macs: int | None) -> tuple[str, float]:
        given = {"keep": keep, "parameters": parameters, "macs": macs}
        named = {name: value for name, value in given.items() if value is not None}
        if len(named) != 1:
            told = " and ".join(named) or "no budget"
            raise InputError(told, "exactly one of keep, parameters, macs and milliseconds", "give one")
        ((name, value),) = named.items()
        if not (0 < value <= 1 if name == "keep" else value > 0):
            raise InputError(f"{name} {value}", "above 0" + (", at most 1" * (name == "keep")), "correct it")
        if name == "keep":
            return "macs", value * self._costs.total("macs")
        return name, value

    def _globally(self, kind: str, limit: float) -> list[int]:
        taken = [0] * len(self._lines)
        counts = self._costs.counts.copy()
        heads = np.zeros((len(self._lines), *counts.shape))
        scores = np.full(len(self._lines), np.inf)

        def load(index: int) -> None:
            line, at = self._lines[index], taken[index]
            done = at == len(line.steps)
            scores[index] = np.inf if done else line.steps[at][1] if self.score in PER_COST else line.steps[at][2]
            heads[index] = 0 if done else self._costs.loss(line.steps[at][0])

        for index in range(len(self._lines)):
            load(index)
        while self._costs.total(kind, counts) > limit:
            saved = self._costs.saved(kind, counts, heads)
            useful = np.isfinite(scores) & (saved > 0)
            if not useful.any():
                raise self._too_little(kind, limit, counts)
            price = scores / np.where(useful, saved, 1.0) if self.score in PER_COST else scores
            best = int(np.where(useful, price, np.inf).argmin())
            counts -= heads[best]
            taken[best] += 1
            load(best)
        return self._given_back(kind, limit, taken)

    def _given_back(self, kind: str, limit: float, taken: list[int]) -> list[int]:
        """The same without steps that the last one, larger than it had to be, made needless: the dearest first."""
        lines = sorted(
            range(len(taken)), key=lambda one: -self._lines[one].steps[taken[one] - 1][2] if taken[one] else 0
        )
        for index in lines:
            while taken[index]:
                taken[index] -= 1
                if self._total(kind, taken) > limit:
                    taken[index] += 1
                    break
        return taken

    def _uniformly(self, kind: str, limit: float) -> list[int]:
        parts = sorted({1 - step[3] / line.before for line in self._lines for step in line.steps} | {0.0})

        def steps(part: float) -> list[int]:
            return [sum(1 - step[3] / line.before <= part + 1e-12 for step in line.steps) for line in self._lines]

        low, high = 0, len(parts) - 1
        if self._total(kind, steps(parts[high])) > limit:
            raise self._too_little(kind, limit, self._counts(steps(parts[high])))
        while low < high:
            middle = (low + high) // 2
            if self._total(kind, steps(parts[middle])) <= limit:
                high = middle
            else:
                low = middle + 1
        return steps(parts[low])

    def _too_little(self, kind: str, limit: float, counts: np.ndarray) -> InputError:
        least = self._costs.total(kind, counts)
        return InputError(
            f"a budget of {limit:.0f} {kind}", f"at least {least}, which the floor leaves", "raise it, or lower floor"
        )

    def _blocks(self, taken: Sequence[int]) -> list[list[int]]:
        return [
            [block for step in line.steps[:count] for block in step[0]]
            for line, count in zip(self._lines, taken, strict=True)
        ]

    def _counts(self, taken: Sequence[int]) -> np.ndarray:
        return self._costs.counts - self._costs.loss([block for part in self._blocks(taken) for block in part])

    def _total(self, kind: str, taken: Sequence[int]) -> int:
        return self._costs.total(kind, self._counts(taken))

    def _removals(self, taken: Sequence[int]) -> Removals:
        units: dict[str, np.ndarray] = {}
        rows, predicted = [], 0.0
        for line, count, blocks in zip(self._lines, taken, self._blocks(taken), strict=True):
            done = line.steps[:count]
            predicted += sum(step[1] for step in done)
            left = set(blocks)
            for name in sorted(line.group.members, key=lambda one: -len(line.group.members[one])):
                own = line.group.blocks[line.group.members[name]]
                if found := left & set(own.tolist()):
                    units[name] = np.flatnonzero(np.isin(own, list(found)))
                    left -= found
            rows.append({
                "group": line.group.name, "before": line.before, "after": done[-1][3] if done else line.before,
                "score": done[-1][2] if done else None,
            })  # fmt: skip
        counts = self._counts(taken)
        return Removals(units, rows, predicted, {kind: self._costs.total(kind, counts) for kind in self._costs.rest})


def _chosen(graph: Graph, layers: Sequence[str] | None, exclude: Sequence[str]) -> list[Group]:
    left_out = {graph.group(name).name for name in exclude}
    if layers is None:
        found = [group for group in graph.groups if group.removable.any() and group.readers]
    else:
        found = list({graph.group(name).name: graph.group(name) for name in layers}.values())
        for group in found:
            if not group.removable.any() or not group.readers:
                reason = next((one for one in group.frozen if one), "nothing reads it")
                raise InputError(f"layer {group.name!r} to cut", "one whose units can go", f"leave it out: {reason}")
    found = [group for group in found if group.name not in left_out]
    if not found:
        raise InputError("no layer to cut", "at least one whose units can go", "name others")
    return found


def choose(
    model: keras.Model,
    statistics: Statistics | None = None,
    *,
    score: str = "damage",
    scope: str = "global",
    keep: float | None = None,
    parameters: int | None = None,
    macs: int | None = None,
    multiple: int = 1,
    floor: float = 0.1,
    layers: Sequence[str] | None = None,
    exclude: Sequence[str] = (),
    input_shape: Sequence[Any] | None = None,
    data: Any = None,
    seed: int = 0,
) -> Removals:
    """Units to remove for a budget, ranked across layers: `Ranking(…).choose(…)`, whose arguments these are.

    Several budgets of one model share a `Ranking`.

    Returns:
        Layer name → units, for `surgery.remove`, with `table()`, `predicted` and `reached`.

    Example:
        >>> removals = budget.choose(model, statistics.collect(model, images), score="residual", keep=0.5)
        >>> smaller = surgery.remove(model, removals, statistics=found)
    """
    ranking = Ranking(model, statistics, score, multiple, floor, layers, exclude, input_shape, data, seed)
    return ranking.choose(scope, keep, parameters, macs)
