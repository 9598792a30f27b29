"""Dealing whole groups to splits so that every quantity comes close to its wanted share.

Quantities (images, objects of each class) are columns. The cost of a deal is the chi-square distance between wanted
and dealt shares, summed over columns; it is brought down by moving and swapping groups, from many random starts.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

STARTS = 48
# Swaps look at all pairs of groups; with many groups single moves already balance well.
MOST_FOR_SWAPS = 400
IMAGE_WEIGHT = 4.0


def _shares(content: np.ndarray) -> np.ndarray:
    """Columns as shares of their totals, weighted so that squared differences add up to the cost.

    A class that lives in few groups cannot be balanced and must not drive the deal: with e = (sum)^2 / sum of squares,
    the number of groups that it is effectively spread over, its weight is 1 - 1/e. The images' column weighs most.
    """
    shares = content / np.maximum(content.sum(0), 1e-12)
    spread = 1 / np.maximum((shares**2).sum(0), 1e-12)
    weights = np.where(content.sum(0) > 0, np.maximum(1 - 1 / np.maximum(spread, 1), 0), 0)
    weights[0] = IMAGE_WEIGHT
    return shares * np.sqrt(weights)


def _improve(shares: np.ndarray, owner: np.ndarray, wanted: np.ndarray) -> float:
    """Move and swap groups in place until no move or swap helps. Returns the final cost."""
    number, splits = len(shares), len(wanted)
    rows = np.arange(number)
    # gap[s] = what split s holds - what it should hold, a weighted share for each column.
    goal = wanted[:, None] * shares.sum(0)[None, :]
    gap = np.stack([shares[owner == s].sum(0) for s in range(splits)]) - goal
    size = (shares**2).sum(1)

    def cost() -> float:
        return float(((gap**2).sum(1) / wanted).sum())

    def move(row: int, to: int) -> None:
        gap[owner[row]] -= shares[row]
        gap[to] += shares[row]
        owner[row] = to

    while True:
        dot = shares @ gap.T
        give = (size - 2 * dot[rows, owner]) / wanted[owner]
        # The last group of a split may not leave: no split ends up empty.
        give = np.where(np.bincount(owner, minlength=splits)[owner] > 1, give, np.inf)
        change = give[:, None] + (size[:, None] + 2 * dot) / wanted[None, :]
        change[rows, owner] = np.inf
        row, to = np.unravel_index(np.argmin(change), change.shape)
        if change[row, to] < -1e-12:
            move(int(row), int(to))
            continue
        if number > MOST_FOR_SWAPS:
            return cost()
        first, second = _best_swap(shares, owner, wanted, dot)
        if first < 0:
            return cost()
        a, b = int(owner[first]), int(owner[second])
        move(first, b)
        move(second, a)


def _best_swap(shares: np.ndarray, owner: np.ndarray, wanted: np.ndarray, dot: np.ndarray) -> tuple[int, int]:
    """The pair of groups whose exchange lowers the cost most; (-1, -1) where none does.

    Exchanging i of split a with j of split b changes the cost by (|d|^2 + 2 d.gap_a) / w_a + (|d|^2 - 2 d.gap_b) / w_b
    with d = shares_j - shares_i.
    """
    square = (shares**2).sum(1)
    distance = square[:, None] + square[None, :] - 2 * shares @ shares.T
    own = dot[np.arange(len(shares)), owner]
    toward = dot[:, owner].T  # toward[i, j] = shares_j . gap of i's split
    change = (distance + 2 * (toward - own[:, None])) / wanted[owner][:, None]
    change += (distance - 2 * (own[None, :] - toward.T)) / wanted[owner][None, :]
    change[owner[:, None] == owner[None, :]] = np.inf
    first, second = np.unravel_index(np.argmin(change), change.shape)
    return (int(first), int(second)) if change[first, second] < -1e-12 else (-1, -1)


def best_assignment(content: np.ndarray, wanted: Sequence[float], rng: np.random.Generator) -> np.ndarray:
    """Split of each group.

    Args:
        content: what each group holds, shape (groups, columns): images first, then objects of each class.
        wanted: share of each split, all above 0, sum 1; at most as many as groups.
        rng: decides the starts.

    Returns:
        Split number of each group, shape (groups,); no split is empty.
    """
    goal, shares = np.asarray(wanted, float), _shares(np.asarray(content, float))
    best, best_cost = np.zeros(len(shares), int), np.inf
    for _ in range(STARTS):
        owner = rng.choice(len(goal), len(shares), p=goal / goal.sum())
        # One group of each split first, so that none starts empty.
        owner[rng.permutation(len(shares))[: len(goal)]] = np.arange(len(goal))
        cost = _improve(shares, owner, goal)
        if cost < best_cost - 1e-12:
            best, best_cost = owner, cost
    return best


def best_choice(
    content: np.ndarray, number: int, share: float, rng: np.random.Generator, tries: int = 4000
) -> list[int]:
    """A given number of groups that together hold close to a share of everything.

    Args:
        content: what each group holds, shape (groups, columns): images first, then objects of each class.
        number: how many groups to choose, below the number of groups.
        share: wanted share of each column, 0-1.
        rng: decides which choices are tried.
        tries: how many random choices are compared.

    Returns:
        Rows of the chosen groups, sorted.
    """
    shares = _shares(np.asarray(content, float))
    goal = share * shares.sum(0)
    best, best_cost = np.arange(number), np.inf
    for _ in range(tries):
        pick = rng.choice(len(shares), number, replace=False)
        cost = float(((shares[pick].sum(0) - goal) ** 2).sum())
        if cost < best_cost:
            best, best_cost = pick, cost
    return sorted(int(row) for row in best)
