"""Which units to remove, and which are to take their part: the published rules by name.

Ties go to the pair with the smallest numbers, and of a pair the unit with the larger number goes, so that the answer
depends on the angles alone.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from prune_tools.distinctiveness.nearest import Nearest
from run_tools.errors import InputError, unknown_name

Pairs = list[tuple[int, "int | None"]]


def select(
    angles: np.ndarray,
    rule: str = "most_similar",
    count: int | None = None,
    below: float = 15.0,
    above: float = 165.0,
    batch: int = 3,
) -> Pairs:
    """Chooses units by their angles.

    Units without an angle (constant ones, NaN on the diagonal) come first, each as (unit, None): fold them into the
    next bias before anything else.

    Args:
        angles: degrees, shape (units, units), as `distinctiveness.angles` gives them.
        rule: "threshold": pairs less than `below` apart, nearest first, a unit in one pair at most (paper 000);
            "classical": the same, and of pairs more than `above` apart both go (Gedeon & Harris);
            "similar_complementary": in turn one of the most similar pair and one of the most complementary pair,
            without bounds (paper 001, approach 1);
            "most_similar": one of the most similar pair, again and again (001, approach 2; 004);
            "most_parallel": the same by |cos|, so that an opposite unit counts as near (004's pseudo-code);
            "batch": of the `batch` units that are most alike all but one, again and again (001, approach 3, "2 of 3").
        count: most units to remove, constant ones included; None: no more than a threshold rule finds, else all but
            one.
        below: degrees, for "threshold" and "classical".
        above: degrees, for "classical".
        batch: size of a set, at least 2, for "batch".

    Returns:
        (removed, kept or None) in the order in which to merge. A kept unit may be removed later.

    Raises:
        InputError: for unknown rules, angles that are not square, and numbers out of range.

    Source: Gedeon & Harris (1991); papers 000, 001 and 004.
    """
    if rule not in _RULES:
        raise unknown_name("selection rule", rule, RULES)
    angles = np.asarray(angles, np.float64)
    if angles.ndim != 2 or angles.shape[0] != angles.shape[1]:
        raise InputError(
            f"angles of shape {angles.shape}", "a square matrix", "give what distinctiveness.angles returns"
        )
    if not (0 <= below <= above <= 180) or batch < 2 or (count is not None and count < 0):
        raise InputError(
            f"below {below}, above {above}, batch {batch}, count {count}",
            "0 <= below <= above <= 180, batch of at least 2, count of at least 0",
            "correct it",
        )
    constant = np.flatnonzero(np.isnan(np.diag(angles))).tolist()
    limit = len(angles) - 1 if count is None else min(count, len(angles) - 1)
    found: Pairs = [(unit, None) for unit in constant[:limit]]
    return found + _RULES[rule](angles, limit - len(found), below, above, batch)


def _pairs_by(angles: np.ndarray, chosen: np.ndarray, keys: np.ndarray) -> list[tuple[int, int]]:
    """The chosen pairs i < j in the order of their keys, a unit in one pair at most."""
    first, second = np.nonzero(np.triu(chosen, 1))
    order = np.lexsort((second, first, keys[first, second]))
    taken: set[int] = set()
    found = []
    for low, high in zip(first[order].tolist(), second[order].tolist(), strict=True):
        if not taken & {low, high}:
            taken |= {low, high}
            found.append((low, high))
    return found


def _threshold(angles: np.ndarray, limit: int, below: float, *_: float) -> Pairs:
    with np.errstate(invalid="ignore"):
        pairs = _pairs_by(angles, angles < below, angles)
    return [(high, low) for low, high in pairs[:limit]]


def _classical(angles: np.ndarray, limit: int, below: float, above: float, *_: float) -> Pairs:
    with np.errstate(invalid="ignore"):
        chosen = (angles < below) | (angles > above)
        # How far inside its bound a pair lies says which comes first.
        keys = np.where(angles < below, angles - below, above - angles)
    found: Pairs = []
    for low, high in _pairs_by(angles, chosen, keys):
        wish: Pairs = [(high, low)] if angles[low, high] < below else [(high, None), (low, None)]
        if len(found) + len(wish) <= limit:
            found += wish
    return found


def _most_similar(angles: np.ndarray, limit: int, *_: float) -> Pairs:
    return _closest(Nearest(angles), limit)


def _most_parallel(angles: np.ndarray, limit: int, *_: float) -> Pairs:
    return _closest(Nearest(np.minimum(angles, 180 - angles)), limit)


def _closest(nearest: Nearest, limit: int) -> Pairs:
    found: Pairs = []
    while len(found) < limit and (pair := nearest.pair()):
        low, high = pair
        nearest.remove(high)
        found.append((high, low))
    return found


def _similar_complementary(angles: np.ndarray, limit: int, *_: float) -> Pairs:
    similar, opposite = Nearest(angles), Nearest(_turned(angles))
    found: Pairs = []
    while len(found) < limit:
        nearest = opposite if len(found) % 2 else similar
        pair = nearest.pair()
        if pair is None:
            break
        low, high = pair
        similar.remove(high)
        opposite.remove(high)
        # A complementary unit has no partner to take its part by adding: its opposite would be wrong.
        found.append((high, low if nearest is similar else None))
    return found


def _turned(angles: np.ndarray) -> np.ndarray:
    turned = 180 - angles
    turned[np.diag_indices_from(turned)] -= 180
    return turned


def _batch(angles: np.ndarray, limit: int, below: float, above: float, batch: int) -> Pairs:
    nearest = Nearest(angles)
    found: Pairs = []
    while len(found) < limit and (pair := nearest.pair()):
        members = list(pair)
        while len(members) < batch:
            total = np.where(nearest.alive, nearest.distances[members].sum(axis=0), np.inf)
            total[members] = np.inf
            best = int(total.argmin())
            if not np.isfinite(total[best]):
                break
            members.append(best)
        kept = min(members)
        for unit in sorted(set(members) - {kept})[: limit - len(found)]:
            nearest.remove(unit)
            found.append((unit, kept))
    return found


_RULES: dict[str, Callable[..., Pairs]] = {
    "threshold": _threshold,
    "classical": _classical,
    "similar_complementary": _similar_complementary,
    "most_similar": _most_similar,
    "most_parallel": _most_parallel,
    "batch": _batch,
}
RULES = tuple(_RULES)
