"""Exactly so many weights, by score: NumPy, deterministic, quick on tens of millions."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from run_tools.errors import InputError

Arrays = Sequence[np.ndarray]


def check_numbers(scores: np.ndarray) -> None:
    """InputError for weights or scores of which one is NaN."""
    if scores.size and np.isnan(scores.max()):  # quicker than asking each
        raise InputError("weights or scores that are not numbers (NaN)", "finite ones", "look where training diverged")


class AlreadyPruned(InputError):
    """Fewer weights were asked for than are pruned already; what is pruned stays pruned."""


def check_fraction(value: float, name: str = "sparsity") -> float:
    """The value as a float, if it is a fraction.

    Args:
        value: what was given.
        name: what it is called in the message.

    Returns:
        A number in 0–1.

    Raises:
        InputError: if it is none.
    """
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not 0 <= number <= 1:
        raise InputError(f"{name} {value!r}", "a fraction in 0–1", "divide percent by 100")
    return number


def count_to_prune(sparsity: float, total: int, pruned: int = 0, amount: str = "of_total") -> int:
    """How many weights are zero afterwards.

    Args:
        sparsity: fraction in 0–1.
        total: all weights.
        pruned: those pruned before.
        amount: "of_total": round(sparsity · total), earlier ones included; "of_remaining": round(sparsity · remaining)
            on top of the earlier ones, which compounds when repeated, as in paper 002 and in PyTorch's `prune`.

    Returns:
        The count, at least `pruned`.

    Raises:
        InputError: for another `amount` or no fraction.
        AlreadyPruned: for fewer than are pruned already: pruning is monotone.
    """
    sparsity = check_fraction(sparsity)
    if amount == "of_remaining":
        return pruned + round(sparsity * (total - pruned))
    if amount != "of_total":
        raise InputError(f"amount {amount!r}", '"of_total" or "of_remaining"', "choose one")
    count = round(sparsity * total)
    if count < pruned:
        raise AlreadyPruned(
            f"sparsity {sparsity:g} of all ({count} of {total} weights)",
            f"at least the {pruned} that are pruned already",
            "raise it, or start without the previous masks",
        )
    return count


def drop_lowest(scores: Arrays, count: int, previous: Arrays | None = None, floor: float = 0.0) -> list[np.ndarray]:
    """Prunes the lowest scores over all arrays together.

    Among equal scores, the first go first (order of the arrays, then C order), so the result depends on nothing else.

    Args:
        scores: larger is more important; float arrays of any shape.
        count: how many to prune, those of `previous` included.
        previous: what was kept before, bool, same shapes; what was pruned stays pruned.
        floor: least fraction of each array that is kept, as far as `previous` left as many.

    Returns:
        True where kept, same shapes; exactly `count` are False.

    Raises:
        InputError: for scores that are not numbers, or when the floor leaves fewer than `count` to prune.
    """
    floor = check_fraction(floor, "floor")
    flat = np.concatenate([np.ravel(score) for score in scores])
    if not np.issubdtype(flat.dtype, np.floating):
        flat = flat.astype(np.float64)
    check_numbers(flat)
    if previous is not None:
        flat[~np.concatenate([np.ravel(kept) for kept in previous])] = -np.inf
    if floor:
        _protect(flat, [score.size for score in scores], floor, count)
    kept = _above(flat, count)
    ends = np.cumsum([score.size for score in scores])[:-1]
    return [part.reshape(score.shape) for part, score in zip(np.split(kept, ends), scores, strict=True)]


def _above(flat: np.ndarray, count: int) -> np.ndarray:
    """False for exactly `count` lowest entries; equal ones in order."""
    if count <= 0:
        return np.ones(flat.shape, bool)
    if count >= flat.size:
        return np.zeros(flat.shape, bool)
    threshold = np.partition(flat, count - 1)[count - 1]
    kept = flat > threshold
    equal = np.flatnonzero(flat == threshold)
    surplus = flat.size - np.count_nonzero(kept) - count  # of the equal ones, those that stay
    if surplus:
        kept[equal[equal.size - surplus :]] = True
    return kept


def _protect(flat: np.ndarray, sizes: Sequence[int], floor: float, count: int) -> None:
    """Raises the best of each array above all others, in place."""
    start, protected = 0, 0
    for size in sizes:
        part = flat[start : start + size]
        keep = math.ceil(floor * size)
        best = _above(part, size - keep) if keep else np.zeros(size, bool)
        best &= part != -np.inf
        part[~best & (part == np.inf)] = np.finfo(part.dtype).max
        part[best] = np.inf
        protected += int(best.sum())
        start += size
    if protected + count > flat.size:
        raise InputError(
            f"{count} of {flat.size} weights to prune with a floor of {floor:g}",
            f"at most {flat.size - protected}",
            "lower the sparsity or the floor",
        )


def split_count(total: int, densities: Sequence[float], sizes: Sequence[int], most: Sequence[int]) -> list[int]:
    """Whole numbers near `density · size` that add up exactly (largest remainders).

    Args:
        total: what they add up to.
        densities: fraction of each, in 0–1.
        sizes: of each.
        most: upper bound of each.

    Returns:
        One count each, in 0–`most`.

    Raises:
        ValueError: when `most` adds up to less than `total`.
    """
    if not 0 <= total <= sum(most):
        raise ValueError(f"received a total of {total}; expected 0–{sum(most)}; raise `most`")
    exact = [min(density * size, bound) for density, size, bound in zip(densities, sizes, most, strict=True)]
    counts = [math.floor(value) for value in exact]
    order = sorted(range(len(sizes)), key=lambda index: counts[index] - exact[index])
    position = 0
    while (missing := total - sum(counts)) != 0:
        index = order[position % len(order)]
        position += 1
        step = 1 if missing > 0 else -1
        if 0 <= counts[index] + step <= most[index]:
            counts[index] += step
    return counts
