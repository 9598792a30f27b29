"""The closest pair of units, kept up to date while units go one by one."""

from __future__ import annotations

import numpy as np


class Nearest:
    """The pair of smallest distance among the units that are left.

    Every unit's neighbours are sorted once; then taking k of n units out costs O(k·n) in all, however they lie: each
    unit only ever steps over neighbours that went, at most k of them.

    Args:
        distances: symmetric, shape (units, units); units with NaN on the diagonal take no part.
    """

    def __init__(self, distances: np.ndarray) -> None:
        self.distances = np.array(distances, dtype=np.float64)
        units = len(self.distances)
        self.alive = ~np.isnan(np.diag(self.distances))
        keys = self.distances.copy()
        np.fill_diagonal(keys, np.inf)
        # Stable, so that of equally near neighbours the first counts; NaN sorts last.
        self._order = np.argsort(keys, axis=1, kind="stable")
        self._at = np.zeros(units, dtype=np.int64)
        self._made = np.zeros(units, dtype=np.int64)
        self._changed = np.zeros(units, dtype=np.int64)
        self._clock = 0
        self._near = np.full(units, -1, dtype=np.int64)
        self._value = np.full(units, np.inf)
        for unit in np.flatnonzero(self.alive):
            self._advance(int(unit))

    def _advance(self, unit: int) -> None:
        """Steps to the unit's first neighbour that is there and has not moved since its list was made."""
        order, at = self._order[unit], int(self._at[unit])
        while at < len(order):
            other = order[at]
            if other != unit and self.alive[other] and self._changed[other] <= self._made[unit]:
                break
            at += 1
        self._at[unit] = at
        found = at < len(order)
        self._near[unit] = order[at] if found else -1
        self._value[unit] = self.distances[unit, order[at]] if found else np.inf

    def pair(self) -> tuple[int, int] | None:
        """The closest two, the smaller number first; of equals the first pair; None when fewer than two are left."""
        least = self._value.min(initial=np.inf)
        if not np.isfinite(least):
            return None
        tied = np.flatnonzero(self._value == least)
        near = self._near[tied]
        low, high = np.minimum(tied, near), np.maximum(tied, near)
        first = np.lexsort((high, low))[0]
        return int(low[first]), int(high[first])

    def remove(self, unit: int) -> None:
        """Takes a unit out."""
        self.alive[unit] = False
        self._value[unit], self._near[unit] = np.inf, -1
        for other in np.flatnonzero(self._near == unit):
            self._advance(int(other))

    def update(self, unit: int, row: np.ndarray) -> None:
        """Gives a unit new distances, shape (units,); its own entry is ignored. Costs one sort of n numbers."""
        self.distances[unit], self.distances[:, unit] = row, row
        self.distances[unit, unit] = 0
        self._clock += 1
        self._changed[unit] = self._made[unit] = self._clock
        keys = row.copy()
        keys[unit] = np.inf
        self._order[unit] = np.argsort(keys, kind="stable")
        self._at[unit] = 0
        self._advance(unit)
        for other in np.flatnonzero((self._near == unit) & self.alive):
            if other != unit:
                self._advance(int(other))
