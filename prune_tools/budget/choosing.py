"""Which units go for a budget, over all layers together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from prune_tools.budget import backward, curves, unit_scores
from prune_tools.budget.costs import Costs
from prune_tools.budget.curves import Curve
from prune_tools.budget.knapsack import knapsack
from prune_tools.budget.latencies import Latencies
from prune_tools.budget.removals import Line, Removals
from prune_tools.budget.search import Search
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
        multiple: what the widths that are left should be multiples of; it is halved for a group that is no wider.
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
        if not isinstance(multiple, (int, np.integer)) or multiple < 1 or not 0 <= floor <= 1:
            expected = "a whole multiple of at least 1, floor in 0–1"
            raise InputError(f"multiple {multiple}, floor {floor}", expected, "correct it")
        self.score = score
        self.graph = Graph(model)
        self._groups = _chosen(self.graph, layers, exclude)
        self._costs = Costs(self.graph, input_shape)
        self._input_shape = input_shape
        found = self._curves(statistics, data, seed)
        self._lines = [Line(group, found[group.name], multiple, floor) for group in self._groups]
        self._search = Search(self._costs, self._lines, score in PER_COST)

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
        milliseconds: float | None = None,
        latencies: Latencies | str | Path | None = None,
    ) -> Removals:
        """Units to remove so that the network stays within a budget; exactly one is given.

        Args:
            scope: "global": always the step that costs least, for "damage", "residual" and "sensitivity" least for what
                it saves, and for these a knapsack where the budget is in milliseconds; "uniform": the same part of
                every group.
            keep: part of the multiply-adds that stays at most, in 0–1.
            parameters: at most so many weights.
            macs: at most so many multiply-adds for one input.
            milliseconds: at most so many for one input on this machine, by the table of `latencies`.
            latencies: the table, or a JSON file to read it from and to keep it in; None: measured now.

        Raises:
            InputError: for another number of budgets, budgets out of range, or one that the floor does not allow.
        """
        if scope not in SCOPES:
            raise unknown_name("scope", scope, SCOPES)
        given = {"keep": keep, "parameters": parameters, "macs": macs, "milliseconds": milliseconds}
        kind, limit = self._limit(given)
        if kind == "milliseconds":
            self._time(latencies)
        search = self._search
        steps = search.globally(kind, limit) if scope == "global" else search.uniformly(kind, limit)
        if kind == "milliseconds" and scope == "global" and search.per_cost:
            steps = search.given_back(kind, limit, knapsack(self._costs, kind, limit, self._lines, steps))
        return self._removals(steps)

    def _time(self, latencies: Latencies | str | Path | None) -> None:
        if not isinstance(latencies, Latencies):
            if self._costs.latencies is not None and latencies is None:
                return
            latencies = Latencies.measured(self.graph, self._input_shape, latencies)
        self._costs.time(latencies)

    def _limit(self, given: dict[str, float | None]) -> tuple[str, float]:
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

    def _removals(self, taken: Sequence[int]) -> Removals:
        units: dict[str, np.ndarray] = {}
        rows, predicted = [], 0.0
        for line, count, blocks in zip(self._lines, taken, self._search.blocks(taken), strict=True):
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
        counts = self._search.counts(taken)
        return Removals(units, rows, predicted, {kind: self._costs.total(kind, counts) for kind in self._costs.kinds})


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
    milliseconds: float | None = None,
    multiple: int = 1,
    floor: float = 0.1,
    layers: Sequence[str] | None = None,
    exclude: Sequence[str] = (),
    input_shape: Sequence[Any] | None = None,
    data: Any = None,
    seed: int = 0,
    latencies: Latencies | str | Path | None = None,
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
    return ranking.choose(scope, keep, parameters, macs, milliseconds, latencies)
