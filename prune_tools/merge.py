"""What becomes of a removed unit's share in the next layer: rules as pure arithmetic on Gram matrices.

With V the rows of the next layer's kernel, one a unit, and c its bias, every rule is V' = M V and c' = c + mᵀ V; a rule
is told by its M and m.

Source: `outgoing` Srinivas & Babu (2015) and paper 001; `incoming` paper 004's pseudo-code; `project` and
`least_squares` are the least-squares answers for one kept unit and for all of them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from prune_tools.statistics import Gram
from run_tools.errors import InputError, unknown_name

RULES = ("delete", "incoming", "outgoing", "project", "least_squares")
MEASURED = ("project", "least_squares")
"""Rules that need statistics."""

DEAD = 1e-9
"""A unit whose variance is below this part of its mean square is constant: what float32 leaves of it is rounding."""

Pairs = Sequence[tuple[int, "int | None"]]


def check(rule: str) -> str:
    """The rule's name, or an InputError with the nearest one that exists."""
    if rule not in RULES:
        raise unknown_name("merge rule", rule, RULES)
    return rule


def constant(gram: Gram) -> np.ndarray:
    """Which units give (nearly) the same output for every pattern, booleans of shape (units,)."""
    return np.diag(gram.covariance()) <= DEAD * np.diag(gram.gram)


def partners(gram: Gram, removed: Sequence[int], opposite: bool = False) -> list[tuple[int, int | None]]:
    """For each removed unit the kept one whose centred output has the smallest angle to its own.

    Args:
        gram: of all units, n of them.
        removed: unit numbers.
        opposite: whether an angle of 180° is as good as one of 0°, as it is where rows are scaled by a factor of any
            sign.

    Returns:
        (removed, kept) pairs in the given order; kept is None for constant units, and where only such are kept.
    """
    spread = gram.covariance()
    still = constant(gram)
    size = np.sqrt(np.where(still, 1.0, np.diag(spread)))
    cosine = spread / np.outer(size, size)
    if opposite:
        cosine = np.abs(cosine)
    cosine[:, still] = -np.inf
    cosine[:, list(removed)] = -np.inf
    best = cosine.argmax(axis=1)
    return [(unit, None if still[unit] or np.isinf(cosine[unit, best[unit]]) else int(best[unit])) for unit in removed]


def compensation(
    rule: str, units: int, pairs: Pairs, gram: Gram | None, ridge: float = 1e-6
) -> tuple[np.ndarray, np.ndarray]:
    """M and m of a rule.

    Args:
        rule: one of `RULES`.
        units: number of units, kept and removed.
        pairs: (removed, kept or None) in the order in which they are merged; a unit that took another in can be
            removed later. Under `project` a removed unit without a partner leaves its mean in the bias; so does a
            constant one under `outgoing` and `incoming`, where statistics are given. `least_squares` and `delete`
            look at the removed units alone.
        gram: of the units as the next layer reads them; needed by `project` and `least_squares`.
        ridge: penalty on the change of the kept rows under `least_squares`, as a part of the kept units' mean
            variance; the intercept is free.

    Returns:
        M, shape (units, units), whose rows of removed units are zero, and m, shape (units,). Both are zero where
        they multiply nothing, and M is the identity among kept units.

    Raises:
        InputError: if the rule is unknown or lacks statistics.
    """
    check(rule)
    if gram is None and rule in MEASURED:
        raise InputError(
            f"merge={rule!r} without statistics",
            "statistics of the model on data",
            "give statistics=statistics.collect(model, data), or merge='delete'",
        )
    if rule == "least_squares":
        return _least_squares(units, [removed for removed, _ in pairs], gram, ridge)  # type: ignore[arg-type]
    matrix, shift = np.eye(units), np.zeros(units)
    for removed, kept in pairs:
        factor, rest = _one(rule, removed, kept, gram)
        if kept is not None:
            matrix[kept] += factor * matrix[removed]
        shift += rest * matrix[removed]
        matrix[removed] = 0
    return matrix, shift


def _one(rule: str, removed: int, kept: int | None, gram: Gram | None) -> tuple[float, float]:
    """What the kept unit's row and the bias get of the removed unit's row."""
    if rule == "delete" or (rule == "incoming" and kept is not None):
        return 0.0, 0.0
    if rule == "project" or (gram is not None and kept is None and constant(gram)[removed]):
        return _project(removed, kept, gram)  # type: ignore[arg-type]
    return float(rule == "outgoing"), 0.0


def _project(removed: int, kept: int | None, gram: Gram) -> tuple[float, float]:
    mean = gram.mean()
    if kept is None or constant(gram)[kept]:
        return 0.0, float(mean[removed])
    shared = gram.gram[removed, kept] - gram.sums[removed] * gram.sums[kept] / gram.count
    factor = shared / (gram.gram[kept, kept] - gram.sums[kept] ** 2 / gram.count)
    return float(factor), float(mean[removed] - factor * mean[kept])


def _least_squares(units: int, removed: list[int], gram: Gram, ridge: float) -> tuple[np.ndarray, np.ndarray]:
    kept = np.setdiff1d(np.arange(units), removed)
    spread, mean = gram.covariance(), gram.mean()
    # Constant units explain nothing, and dividing by their rounding errors would.
    usable = kept[~constant(gram)[kept]]
    matrix, shift = np.eye(units), np.zeros(units)
    matrix[removed] = 0
    shift[removed] = mean[removed]
    if len(usable) and len(removed):
        own, shared = spread[np.ix_(usable, usable)], spread[np.ix_(usable, removed)]
        penalty = ridge * np.trace(own) / len(usable)
        if ridge > 0:
            factors = np.linalg.solve(own + penalty * np.eye(len(usable)), shared)
        else:
            factors = np.linalg.lstsq(own, shared, rcond=None)[0]
        matrix[np.ix_(usable, removed)] = factors
        shift[removed] -= mean[usable] @ factors
    return matrix, shift
