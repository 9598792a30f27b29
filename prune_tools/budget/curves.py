"""In which order the units of a group should go, and what each costs: the predicted damage of a removal.

The unit of damage is the same in all layers: the part of the readers' output energy that is lost. For a reader with
rows V (one a unit, all taps and copies) and centred unit outputs ã, the energy is Σ ‖ãV‖² with the taps of a kernel
taken one by one, over all units that it reads; the lost parts of all readers of a unit are added.

Source: the squared error left by the best projection on one kept unit is ‖ã‖² sin²θ ‖V‖²; by the least-squares fit on
all kept units it is the Schur complement of the covariance, whose inverse is downdated unit by unit as in Hassibi &
Stork (1993), "Second order derivatives for network pruning: Optimal Brain Surgeon".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np

from prune_tools.graph import Graph, Group, Reader
from prune_tools.merge import constant
from prune_tools.statistics import Gram, Statistics

RIDGE = 1e-6
"""Added to the covariance's diagonal, as a part of its mean: what `surgery.remove` has by default."""
DELAY = 32
"""So many downdates wait to be applied as one matrix product."""


@dataclass(frozen=True, eq=False)
class Curve:
    """The blocks of a group in the order in which they go.

    Attributes:
        blocks: numbers of the blocks, as the graph counts them.
        scores: of each, when its turn comes, float64.
    """

    blocks: Sequence[int]
    scores: np.ndarray


@dataclass(frozen=True, eq=False)
class Reading:
    """Readers of one group that read it at the same place.

    Attributes:
        gram: of the group's units there.
        products: VVᵀ, shape (units, units), summed over readers, each as a part of its output energy.
    """

    gram: Gram
    products: np.ndarray

    @property
    def covariance(self) -> np.ndarray:
        """Of the units, shape (units, units)."""
        return self.gram.covariance() / self.gram.count


def row_products(graph: Graph, group: Group, reader: Reader) -> np.ndarray:
    """VVᵀ of one reader's rows for the group's units, over all taps and all copies of a unit, shape (units, units)."""
    layer = next(step.layer for step in graph.flat.steps if step.name == reader.layer)
    kernel = np.asarray(keras.ops.convert_to_numpy(getattr(layer, str(reader.read.kernel))), np.float64)
    kernel = np.moveaxis(kernel, (reader.read.axis, reader.read.out), (-2, -1))
    found = np.zeros((group.units, group.units))
    for places in reader.sites[0].columns:
        rows = np.where((places >= 0)[:, None], kernel[..., places, :], 0.0)
        rows = np.moveaxis(rows, -2, 0).reshape(group.units, -1)
        found += rows @ rows.T
    return found


def readings(graph: Graph, statistics: Statistics) -> dict[str, list[Reading]]:
    """Group name → what its readers make of its units, for all groups that the statistics know."""
    energy: dict[str, float] = {}
    found: dict[str, list[tuple[tuple, str, Gram, np.ndarray]]] = {}
    for group in graph.groups:
        if not group.removable.any():
            continue
        rows = found.setdefault(group.name, [])
        for reader in group.readers:
            if reader.read.kernel is None:
                continue
            gram, products = statistics.of(group, reader.layer), row_products(graph, group, reader)
            own = float((gram.covariance() * products).sum()) / gram.count
            energy[reader.layer] = energy.get(reader.layer, 0.0) + max(own, 0.0)
            key = tuple((site.tensor, id(site.view), site.columns.tobytes()) for site in reader.sites)
            rows.append((key, reader.layer, gram, products))
    merged: dict[str, list[Reading]] = {}
    for name, rows in found.items():
        joined: dict[tuple, Reading] = {}
        for key, layer, gram, products in rows:
            part = products / energy[layer] if energy[layer] > 0 else np.zeros_like(products)
            joined[key] = Reading(gram, part + joined[key].products if key in joined else part)
        merged[name] = list(joined.values())
    return merged


class _Places:
    """The units of each block that can go, padded with −1: shape (blocks, largest block)."""

    def __init__(self, group: Group) -> None:
        self.blocks = list(dict.fromkeys(group.blocks[group.removable].tolist()))
        members = [np.flatnonzero(group.blocks == block) for block in self.blocks]
        self.units = np.full((len(members), max(len(one) for one in members)), -1)
        for row, one in enumerate(members):
            self.units[row, : len(one)] = one
        self.sizes = np.array([len(one) for one in members])

    def of(self, row: int) -> list[int]:
        return [unit for unit in self.units[row].tolist() if unit >= 0]

    def total(self, values: np.ndarray) -> np.ndarray:
        """Sums of values of units, shape (units,), by block."""
        return np.where(self.units >= 0, values[self.units], 0.0).sum(axis=1)


def by_projection(group: Group, found: Sequence[Reading]) -> Curve:
    """Greedy by the damage that is left when a unit is projected on the best kept one: ‖ã‖² sin²θ ‖V‖².

    The best partner has the largest |cos θ| over all readers' patterns; its rows take the removed unit's in, so that
    removing it later costs more.
    """
    places = _Places(group)
    if not found:
        return Curve(places.blocks, np.zeros(len(places.blocks)))
    cosines = _squared_cosines(found, group)
    spread = [one.covariance for one in found]
    products = [one.products.copy() for one in found]
    units = np.arange(group.units)
    partner = cosines.argmax(axis=1)
    alive, order, scores = np.ones(len(places.blocks), bool), [], []
    for _ in places.blocks:
        free = cosines[units, partner] <= 0  # without a partner the mean alone is made up for
        error = np.zeros(group.units)
        for c, w in zip(spread, products, strict=True):
            own, other = np.diag(c), c[partner, partner]
            shared = np.where(free | (other <= 0), 0.0, c[units, partner])
            error += np.maximum(own - shared**2 / np.where(other > 0, other, 1.0), 0) * np.diag(w)
        damage = places.total(error)
        row = int(np.where(alive, damage / places.sizes, np.inf).argmin())
        order.append(places.blocks[row])
        scores.append(float(damage[row]))
        alive[row] = False
        gone = places.of(row)
        for unit in gone:
            if not free[unit]:
                _take_in(spread, products, unit, int(partner[unit]))
        cosines[:, gone] = -1
        lost = np.flatnonzero(np.isin(partner, gone))
        partner[lost] = cosines[lost].argmax(axis=1)
    return Curve(order, np.array(scores))


def _squared_cosines(found: Sequence[Reading], group: Group) -> np.ndarray:
    """cos² of the angles between units over all patterns; −1 within a block, 0 where a unit is constant."""
    pooled = Gram(
        sum(one.gram.gram for one in found),  # type: ignore[arg-type]
        sum(one.gram.sums for one in found),  # type: ignore[arg-type]
        sum(one.gram.count for one in found),
    )
    spread, still = pooled.covariance(), constant(pooled)
    size = np.where(still, 1.0, np.diag(spread))
    cosines = spread**2 / np.outer(size, size)
    cosines[still] = cosines[:, still] = 0
    cosines[group.blocks[:, None] == group.blocks[None, :]] = -1
    return cosines


def _take_in(spread: list[np.ndarray], products: list[np.ndarray], unit: int, kept: int) -> None:
    """V_kept += α V_unit, on the products of the rows."""
    for c, w in zip(spread, products, strict=True):
        factor = c[unit, kept] / c[kept, kept] if c[kept, kept] > 0 else 0.0
        w[kept] += factor * w[unit]
        w[:, kept] += factor * w[:, unit]
        w[unit] = w[:, unit] = 0


def by_least_squares(group: Group, found: Sequence[Reading], ridge: float = RIDGE) -> Curve:
    """Backward elimination: each time the block whose removal adds least to what the refit on all kept units leaves."""
    places = _Places(group)
    eliminations = [_Elimination(one, places, ridge) for one in found]
    alive, order, scores = np.ones(len(places.blocks), bool), [], []
    for _ in places.blocks:
        damage = sum((one.damage() for one in eliminations), np.zeros(len(places.blocks)))
        row = int(np.where(alive, damage / places.sizes, np.inf).argmin())
        order.append(places.blocks[row])
        scores.append(max(float(damage[row]), 0.0))
        alive[row] = False
        for one in eliminations:
            for unit in places.of(row):
                one.remove(unit)
    return Curve(order, np.array(scores))


class _Elimination:
    """The inverse covariance P of the units that are left and the products W of their refitted rows.

    Removing unit i adds W_ii / P_ii to the squared error; then P loses p pᵀ / P_ii, and the rows gain β = −p / P_ii
    times that of i. Downdates wait, `DELAY` of them, and are applied as one product; the entries within blocks, which
    every choice looks at, are kept up to date.
    """

    def __init__(self, reading: Reading, places: _Places, ridge: float) -> None:
        covariance = reading.covariance
        covariance[np.diag_indices_from(covariance)] += max(ridge * np.trace(covariance) / len(covariance), 1e-30)
        self._inverse, self._rows = np.linalg.inv(covariance), reading.products.copy()
        self._places, self._real = places, places.units >= 0
        self._waiting: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        both = self._real[:, :, None] & self._real[:, None, :]
        index = places.units[:, :, None], places.units[:, None, :]
        self._inner = np.where(both, self._inverse[index], np.eye(places.units.shape[1]))
        self._own = np.where(both, self._rows[index], 0.0)

    def damage(self) -> np.ndarray:
        """What removing each block would add to the squared error, shape (blocks,)."""
        if self._inner.shape[1] == 1:
            return (self._own / np.where(self._inner > 0, self._inner, 1.0)).ravel()
        return np.trace(np.linalg.solve(self._inner, self._own), axis1=1, axis2=2)

    def remove(self, unit: int) -> None:
        """Takes a unit out."""
        p, w = self._inverse[unit].copy(), self._rows[unit].copy()
        for u, b, h in self._waiting:
            p -= u[unit] * u
            w += b[unit] * h + h[unit] * b
        u, b = p / np.sqrt(p[unit]), -p / p[unit]
        h = w + w[unit] / 2 * b
        self._waiting.append((u, b, h))
        u, b, h = (np.where(self._real, vector[self._places.units], 0.0) for vector in (u, b, h))
        self._inner -= u[:, :, None] * u[:, None, :]
        self._own += b[:, :, None] * h[:, None, :] + h[:, :, None] * b[:, None, :]
        at = self._places.units == unit
        both = at[:, :, None] | at[:, None, :]
        self._inner = np.where(both, np.eye(at.shape[1]), self._inner)
        self._own[both] = 0
        if len(self._waiting) == DELAY:
            us, bs, hs = (np.array(vectors) for vectors in zip(*self._waiting, strict=True))
            self._inverse -= us.T @ us
            crossed = bs.T @ hs
            self._rows += crossed + crossed.T
            self._waiting.clear()
