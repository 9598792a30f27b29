"""Angles between units' output vectors, from sums that never needed the outputs themselves."""

from __future__ import annotations

import numpy as np

from prune_tools.merge import DEAD
from run_tools.errors import InputError, unknown_name

CENTRES = ("none", "mean", "half")
"""What is subtracted from an output: nothing (papers 000, 004), its mean (001, equation 1), ½ (for sigmoid units)."""


def angles(gram: np.ndarray, sums: np.ndarray, count: int, centre: str = "mean") -> np.ndarray:
    """Angle between every pair of units' output vectors.

    Args:
        gram: sum of outer products of unit outputs, float64, shape (units, units).
        sums: sum of unit outputs, float64, shape (units,).
        count: number of patterns summed.
        centre: "none", "mean" or "half": what is subtracted from an output first. Without centring no two units of
            non-negative output (ReLU, sigmoid) are more than 90° apart.

    Returns:
        Degrees in [0, 180], shape (units, units), symmetric, zero diagonal; NaN in the rows and columns of units whose
        output is (nearly) constant, diagonal included.

    Raises:
        InputError: if `gram` is not square, `sums` does not match it, either is not finite or the centre is unknown.

    Source: Gedeon & Harris (1991), section 2; paper 001, equations 1 and 2.
    """
    gram, sums = np.asarray(gram, np.float64), np.asarray(sums, np.float64)
    if gram.ndim != 2 or gram.shape[0] != gram.shape[1] or sums.shape != gram.shape[:1] or count < 1:
        raise InputError(
            f"a gram of shape {gram.shape} with sums of shape {sums.shape} over {count} patterns",
            "shapes (n, n) and (n,) and at least one pattern",
            "give the fields of one Gram",
        )
    if not (np.isfinite(gram).all() and np.isfinite(sums).all()):  # NaN would pass for constant units
        raise InputError("sums that are not finite numbers", "finite ones", "check the inputs and the model's weights")
    products = _centred(gram, sums, count, centre)
    still = _still(np.diag(gram), sums, count)
    size = np.sqrt(np.where(still, 1.0, np.diag(products)))
    cosine = np.clip(products / np.outer(size, size), -1, 1)
    found = np.degrees(np.arccos((cosine + cosine.T) / 2))
    np.fill_diagonal(found, 0)
    found[still, :] = found[:, still] = np.nan
    return found


def _centred(gram: np.ndarray, sums: np.ndarray, count: int, centre: str) -> np.ndarray:
    if centre not in CENTRES:
        raise unknown_name("centre", centre, CENTRES)
    if centre == "none":
        return gram
    if centre == "mean":
        return gram - np.outer(sums, sums) / count
    # Σ (a − ½)(b − ½) = Σ ab − ½ (Σ a + Σ b) + N / 4
    return gram - (sums[:, None] + sums[None, :]) / 2 + count / 4


def _still(squares: np.ndarray, sums: np.ndarray, count: int) -> np.ndarray:
    return squares - sums**2 / count <= DEAD * squares


def merged(gram: np.ndarray, sums: np.ndarray, count: int, removed: int, kept: int, centre: str = "mean") -> np.ndarray:
    """Lets one unit's output be the sum of two, and says what angles it has then: one row, in O(units).

    That is what the rule "incoming" does to linear units; under the other rules the outputs of kept units stay.

    Args:
        gram, sums: as for `angles`; changed in place, the removed unit's entries left as they are.
        count: number of patterns summed.
        removed, kept: unit numbers.
        centre: as for `angles`.

    Returns:
        The kept unit's new angles to all units in degrees, shape (units,); 0 to itself, NaN where there is none.
    """
    corner = gram[kept, kept] + 2 * gram[removed, kept] + gram[removed, removed]
    gram[kept] += gram[removed]
    gram[:, kept] = gram[kept]
    gram[kept, kept] = corner
    sums[kept] += sums[removed]
    squares = np.diag(gram)
    if centre not in CENTRES:
        raise unknown_name("centre", centre, CENTRES)
    row, sizes = gram[kept].copy(), squares.copy()
    if centre == "mean":
        row, sizes = row - sums[kept] * sums / count, sizes - sums**2 / count
    elif centre == "half":
        row, sizes = row - (sums[kept] + sums) / 2 + count / 4, sizes - sums + count / 4
    still = _still(squares, sums, count)
    sizes = np.sqrt(np.where(still, 1.0, sizes))
    found = np.degrees(np.arccos(np.clip(row / (sizes * sizes[kept]), -1, 1)))
    found[kept] = 0
    found[still] = np.nan
    return np.full_like(found, np.nan) if still[kept] else found
