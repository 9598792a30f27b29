"""Figures without a screen, and what several pages draw alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NUMBERED = 20
"""Up to so many rows and columns a matrix has numbers in its cells; more would not be read."""


def figure(width: float, height: float, rows: int = 1, columns: int = 1):
    """An empty figure on white and its axes, as `Figure.subplots` gives them; sides in inches."""
    from matplotlib.figure import Figure

    made = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    return made, made.subplots(rows, columns)


def pixels(figure: Figure) -> np.ndarray:
    """A figure as a picture, RGB, uint8, shape (H, W, 3)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[..., :3])


def matrix(counts: np.ndarray, rows: Sequence[str], columns: Sequence[str], across: str, down: str) -> Figure:
    """A matrix of counts, each row shaded by its shares.

    Args:
        counts: whole numbers, (rows, columns).
        rows: their names.
        columns: likewise.
        across: what the columns are.
        down: what the rows are.
    """
    side = float(np.clip(0.75 * len(rows), 3.6, 12.0))
    made, axis = figure(side + 1.4, side)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    image = axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axis.set_xticks(range(len(columns)), columns, rotation=35, ha="right", fontsize="small")
    axis.set_yticks(range(len(rows)), rows, fontsize="small")
    axis.set(xlabel=across, ylabel=down)
    if len(rows) <= NUMBERED:
        for (row, column), count in np.ndenumerate(counts):
            if count:
                ink = "white" if shares[row, column] > 0.5 else "black"
                axis.text(column, row, f"{count:,}", ha="center", va="center", color=ink, fontsize="small")
    made.colorbar(image, ax=axis, label="share of the row", shrink=0.85)
    return made
