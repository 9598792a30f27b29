"""Where a pruning curve turns: the change point of two straight lines, with an interval over seeds.

Give it validation accuracies. A point chosen on test data is a hyper-parameter fitted to the test.

Source: paper 001, section 3 and Table 4, which read the point off a plot; Quandt (1958) for two lines with a break.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from run_tools.errors import InputError

_BLOCK = 64
"""Curves fitted at a time: bounds the memory, not the answer."""


@dataclass(frozen=True)
class Inflection:
    """The change point of a curve.

    Attributes:
        x: the last point of the first line.
        low, high: ends of the interval of `x` over resampled seeds; None with one seed, which tells no spread.
        level: the interval's share, such as 0.95.
        slopes: of the line up to `x` and of the one behind it.
        intercepts: likewise, at x = 0.
        squares: squared error of the two lines.
        one_line: squared error of one line through all points.
        seeds: curves that were averaged.
    """

    x: float
    low: float | None
    high: float | None
    level: float
    slopes: tuple[float, float]
    intercepts: tuple[float, float]
    squares: float
    one_line: float
    seeds: int

    @property
    def explained(self) -> float:
        """The part of one line's squared error that the second line takes away, 0–1; near 0 there is no turn."""
        return 1 - self.squares / self.one_line if self.one_line > 0 else 0.0

    def line(self, x: Any) -> np.ndarray:
        """The fitted lines at some points, shape of `x`."""
        x = np.asarray(x, np.float64)
        before = x <= self.x
        slope, intercept = np.where(before, *self.slopes), np.where(before, *self.intercepts)
        return slope * x + intercept


def inflection(
    x: Any,
    y_by_seed: Any,
    *,
    joined: bool = False,
    least: int = 3,
    samples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Inflection:
    """Fits two straight lines to the mean of some curves and says where the first one ends.

    Args:
        x: rising, shape (n,): such as units removed.
        y_by_seed: one curve a seed, shape (seeds, n); or one curve, shape (n,).
        joined: whether the lines must meet at the change point (a knee). Otherwise each is fitted alone, so that a
            sudden fall is found too, as in paper 001's Fig. 4.
        least: fewest points of a line, at least 2.
        samples: how often the seeds are drawn anew, with replacement, for the interval.
        level: share of the drawn change points between `low` and `high`, in 0–1.
        seed: of the draws.

    Returns:
        The `Inflection` of least squared error; of equals the smallest x.

    Raises:
        InputError: for too few points, numbers that are not finite, and shapes that do not fit.
    """
    x = np.asarray(x, np.float64)
    curves = np.atleast_2d(np.asarray(y_by_seed, np.float64))
    _check(x, curves, least, samples, level)
    splits = np.arange(least - 1, len(x) - least)
    bases = _bases(x, splits, joined)
    mean = curves.mean(axis=0)
    best = int(splits[_best(bases, mean[None])[0]])
    low = high = None
    if len(curves) > 1:
        drawn = np.random.default_rng(seed).integers(len(curves), size=(samples, len(curves)))
        found = [_best(bases, curves[block].mean(axis=1)) for block in np.array_split(drawn, -(-samples // _BLOCK))]
        edges = ((1 - level) / 2, (1 + level) / 2)
        # A value that was found, not one between two.
        low, high = (float(x[splits[int(i)]]) for i in np.quantile(np.concatenate(found), edges, method="nearest"))
    slopes, intercepts = _lines(x, mean, best, joined)
    fitted = np.where(x <= x[best], slopes[0] * x + intercepts[0], slopes[1] * x + intercepts[1])
    straight = np.polynomial.Polynomial.fit(x, mean, 1)(x)
    one_line = float(((mean - straight) ** 2).sum())
    if one_line <= _nothing(mean):
        one_line = 0.0
    # Two lines are never worse than one, but for rounding.
    squares = min(float(((mean - fitted) ** 2).sum()), one_line)
    return Inflection(float(x[best]), low, high, level, slopes, intercepts, squares, one_line, len(curves))


def _check(x: np.ndarray, curves: np.ndarray, least: int, samples: int, level: float) -> None:
    if x.ndim != 1 or curves.ndim != 2 or curves.shape[1] != len(x):
        shapes = f"x of shape {x.shape} and curves of shape {curves.shape}"
        raise InputError(shapes, "(n,) and (seeds, n)", "give every seed the same points")
    if not (np.isfinite(x).all() and np.isfinite(curves).all()) or not (np.diff(x) > 0).all():
        raise InputError("points that are not finite or x that does not rise", "finite, rising x", "sort the points")
    if least < 2 or len(x) < 2 * least or samples < 1 or not 0 < level < 1:
        raise InputError(
            f"{len(x)} points, least {least}, samples {samples}, level {level}",
            "at least 2 · least points, least of at least 2, one sample or more, a level between 0 and 1",
            "measure more points",
        )


def _bases(x: np.ndarray, splits: np.ndarray, joined: bool) -> np.ndarray:
    """For every split what a second line can express beyond one line, orthonormal: shape (splits, n, 1 or 2).

    One line takes the same part of the error whatever the split, so the best split is the one whose extra columns take
    most of the rest.
    """
    scaled = (x - x.mean()) / (np.ptp(x) or 1.0)
    common, _ = np.linalg.qr(np.stack([np.ones_like(x), scaled], axis=1))
    found = []
    for split in splits:
        behind = scaled > scaled[split]
        ramp = np.where(behind, scaled - scaled[split], 0.0)
        extra = ramp[:, None] if joined else np.stack([behind.astype(np.float64), ramp], axis=1)
        extra -= common @ (common.T @ extra)
        found.append(np.linalg.qr(extra)[0])
    return np.stack(found)


def _best(bases: np.ndarray, curves: np.ndarray) -> np.ndarray:
    """Index of the best split for every curve, shape (curves,)."""
    taken = np.einsum("snk,cn->csk", bases, curves, optimize=True)
    gain = (taken**2).sum(axis=2)
    gain[gain <= _nothing(curves)[:, None]] = 0
    # Rounding must not choose between equals.
    return (gain >= gain.max(axis=1, keepdims=True) * (1 - 1e-12)).argmax(axis=1)


def _nothing(curves: np.ndarray) -> np.ndarray:
    """Squared errors that are rounding, for every curve, shape (curves,)."""
    return (1e-12 * np.linalg.norm(curves, axis=-1)) ** 2


def _lines(x: np.ndarray, y: np.ndarray, split: int, joined: bool) -> tuple[tuple[float, float], tuple[float, float]]:
    """Slopes and intercepts of the two lines."""
    if joined:
        ramp = np.maximum(x - x[split], 0)
        level, slope, turn = np.linalg.lstsq(np.stack([np.ones_like(x), x, ramp], axis=1), y, rcond=None)[0]
        return (float(slope), float(slope + turn)), (float(level), float(level - turn * x[split]))
    parts = [np.polyfit(x[part], y[part], 1) for part in (slice(split + 1), slice(split + 1, None))]
    return (float(parts[0][0]), float(parts[1][0])), (float(parts[0][1]), float(parts[1][1]))
