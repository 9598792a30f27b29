"""How many steps of every line to take so that a cost comes within a limit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from prune_tools.budget.costs import Costs
from prune_tools.budget.removals import Line
from run_tools.errors import InputError


class Search:
    """Looks for steps; an answer is a number of steps for each line.

    Args:
        costs: what steps cost.
        lines: the groups' steps.
        per_cost: whether scores are in one unit, so that a step is worth as much as it saves.

    Raises:
        InputError: by its methods, where all steps together are not enough.
    """

    def __init__(self, costs: Costs, lines: Sequence[Line], per_cost: bool) -> None:
        self.costs, self.lines, self.per_cost = costs, lines, per_cost

    def globally(self, kind: str, limit: float) -> list[int]:
        """Always the step that costs least, for what it saves where scores are in one unit."""
        taken = [0] * len(self.lines)
        counts = self.costs.counts.copy()
        heads = np.zeros((len(self.lines), *counts.shape))
        scores = np.full(len(self.lines), np.inf)

        def load(index: int) -> None:
            line, at = self.lines[index], taken[index]
            done = at == len(line.steps)
            scores[index] = np.inf if done else line.steps[at][1] if self.per_cost else line.steps[at][2]
            heads[index] = 0 if done else self.costs.loss(line.steps[at][0])

        for index in range(len(self.lines)):
            load(index)
        while self.costs.total(kind, counts) > limit:
            saved = self.costs.saved(kind, counts, heads)
            useful = np.isfinite(scores) & (saved > 0)
            if not useful.any():
                raise self._too_little(kind, limit, counts)
            price = scores / np.where(useful, saved, 1.0) if self.per_cost else scores
            best = int(np.where(useful, price, np.inf).argmin())
            counts -= heads[best]
            taken[best] += 1
            load(best)
        return self.given_back(kind, limit, taken)

    def given_back(self, kind: str, limit: float, taken: list[int]) -> list[int]:
        """The same without steps that the last one, larger than it had to be, made needless: the dearest first."""
        lines = sorted(
            range(len(taken)), key=lambda one: -self.lines[one].steps[taken[one] - 1][2] if taken[one] else 0
        )
        for index in lines:
            while taken[index]:
                taken[index] -= 1
                if self.total(kind, taken) > limit:
                    taken[index] += 1
                    break
        return taken

    def uniformly(self, kind: str, limit: float) -> list[int]:
        """The same part of every line, as little as is enough."""
        parts = sorted({1 - step[3] / line.before for line in self.lines for step in line.steps} | {0.0})

        def steps(part: float) -> list[int]:
            return [sum(1 - step[3] / line.before <= part + 1e-12 for step in line.steps) for line in self.lines]

        low, high = 0, len(parts) - 1
        if self.total(kind, steps(parts[high])) > limit:
            raise self._too_little(kind, limit, self.counts(steps(parts[high])))
        while low < high:
            middle = (low + high) // 2
            if self.total(kind, steps(parts[middle])) <= limit:
                high = middle
            else:
                low = middle + 1
        return steps(parts[low])

    def _too_little(self, kind: str, limit: float, counts: np.ndarray) -> InputError:
        least = self.costs.total(kind, counts)
        return InputError(
            f"a budget of {limit:.6g} {kind}",
            f"at least {least:.6g}, which floor and multiple leave",
            "raise it, or lower these",
        )

    def blocks(self, taken: Sequence[int]) -> list[list[int]]:
        """The blocks that go, line by line."""
        return [
            [block for step in line.steps[:count] for block in step[0]]
            for line, count in zip(self.lines, taken, strict=True)
        ]

    def counts(self, taken: Sequence[int]) -> np.ndarray:
        """The channels that are left on the axes of `costs`."""
        return self.costs.counts - self.costs.loss([block for part in self.blocks(taken) for block in part])

    def total(self, kind: str, taken: Sequence[int]) -> float:
        """The cost that is left."""
        return self.costs.total(kind, self.counts(taken))
