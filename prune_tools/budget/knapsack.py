"""Widths for a latency target: the least damage that fits."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from prune_tools.budget.costs import Costs
from prune_tools.budget.removals import Line

SWEEPS = 20
HALVINGS = 40
CHOICES = 65
"""So many numbers of steps of a line, evenly spread, are tried in an exchange."""


def knapsack(costs: Costs, kind: str, limit: float, lines: Sequence[Line], start: Sequence[int]) -> list[int]:
    """How many steps of each line to take so that the cost stays within a limit and the summed scores are small.

    First scores and cost are weighed by a price λ (Lagrange's multiplier of the knapsack): for a given λ every line in
    turn takes the number of steps that is best with the others as they are, until none moves, and λ is halved in on.
    Then lines exchange steps by twos as long as that helps. A layer's cost depends on the widths on both its sides, so
    the knapsack does not fall apart into its lines, and the answer is a good one but not always the best.

    Args:
        costs: what steps cost.
        kind: of cost.
        limit: of the cost.
        lines: the groups' steps.
        start: a choice within the limit.

    Returns:
        Steps taken of each line, within the limit; their scores add up to no more than those of `start`.
    """
    return _Knapsack(costs, kind, limit, lines).solve(list(start))


class _Knapsack:
    def __init__(self, costs: Costs, kind: str, limit: float, lines: Sequence[Line]) -> None:
        self.costs, self.kind, self.limit = costs, kind, limit
        self.fixed = costs.total(kind, costs.counts) - float(costs.sums(kind, costs.counts))
        # Channels that each axis has lost, and the scores summed, after 0, 1, 2 … steps.
        zero = np.zeros_like(costs.counts)
        self.losses = [np.cumsum([zero, *(costs.loss(step[0]) for step in line.steps)], axis=0) for line in lines]
        self.scores = [np.cumsum([0.0, *(step[1] for step in line.steps)]) for line in lines]

    def solve(self, start: list[int]) -> list[int]:
        """The best choice that is found."""
        best, least = list(start), self.score(start)
        low, high = 0.0, max(least, 1e-12) / max(self.limit, 1e-12)
        while self.cost(self.settle(high, list(start))) > self.limit and high < 1e12:
            low, high = high, 10 * high
        for _ in range(HALVINGS):
            price = (low + high) / 2
            found = self.settle(price, list(best))
            if self.cost(found) > self.limit:
                low = price
                continue
            high = price
            if self.score(found) < least:
                best, least = found, self.score(found)
        pairs = list(itertools.permutations(range(len(best)), 2))
        for _ in range(SWEEPS):
            if not sum(self.exchange(best, one, other) for one, other in pairs):
                break
        return best

    def left(self, taken: Sequence[int]) -> np.ndarray:
        return self.costs.counts - sum(loss[at] for loss, at in zip(self.losses, taken, strict=True))

    def cost(self, taken: Sequence[int]) -> float:
        return self.costs.total(self.kind, self.left(taken))

    def score(self, taken: Sequence[int]) -> float:
        return float(sum(score[at] for score, at in zip(self.scores, taken, strict=True)))

    def settle(self, price: float, taken: list[int]) -> list[int]:
        """Lets the lines, one by one, take what is best at this price."""
        counts = self.left(taken)
        for _ in range(SWEEPS):
            moved = False
            for index, (loss, score) in enumerate(zip(self.losses, self.scores, strict=True)):
                others = counts + loss[taken[index]]
                value = score + price * self.costs.sums(self.kind, others - loss)
                best = int(value.argmin())
                if value[best] < value[taken[index]] * (1 - 1e-12):
                    counts, moved = others - loss[best], True
                    taken[index] = best
            if not moved:
                break
        return taken

    def exchange(self, taken: list[int], one: int, other: int) -> bool:
        """Lets a line take another number of steps, and a second one as few as then fit; in place, if it helps."""
        counts = self.left(taken) + self.losses[one][taken[one]] + self.losses[other][taken[other]]
        length = len(self.scores[other])
        choices = np.unique(np.linspace(0, len(self.scores[one]) - 1, CHOICES).round().astype(int))
        counts = counts - self.losses[one][choices]
        low, high = np.zeros(len(choices), int), np.full(len(choices), length)
        while (low < high).any():  # the fewest steps that fit; `length` where none do
            middle = np.minimum((low + high) // 2, length - 1)
            fits = self.costs.sums(self.kind, counts - self.losses[other][middle]) + self.fixed <= self.limit
            done = low >= high
            high = np.where(fits & ~done, middle, high)
            low = np.where(fits | done, low, middle + 1)
        score = self.scores[one][choices] + np.where(
            low < length, self.scores[other][np.minimum(low, length - 1)], np.inf
        )
        best = int(score.argmin())
        before = self.scores[one][taken[one]] + self.scores[other][taken[other]]
        if not score[best] < before * (1 - 1e-9):
            return False
        taken[one], taken[other] = int(choices[best]), int(low[best])
        return True
