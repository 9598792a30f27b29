"""Figures of a pruning: what it cost over how much was pruned, where the zeros are, what became of the weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = 3
BINS = 60
APART = 5.0
"""Points between the curves of a figure at the same level, where they have bars or single runs."""
AXES = 230.0
"""Points that the axes of a panel are wide, at least."""
WIDEST = 9.5
"""Inches; a page makes wider figures so small that their words cannot be read."""


@dataclass(frozen=True)
class Curve:
    """One way of pruning over its levels.

    Attributes:
        label: its name in the legend.
        x: how much is pruned, or left, at each level.
        y: the measure at each level; None where there is none.
        limits: (low, high) of each level's error bar; None where there is none.
        points: (x, measure) of the single runs behind the means.
    """

    label: str
    x: Sequence[float]
    y: Sequence[float | None]
    limits: Sequence[tuple[float, float] | None] = ()
    points: Sequence[tuple[float, float]] = field(default=())


def tradeoff(
    panels: Mapping[str, Sequence[Curve]],
    xlabel: str,
    ylabel: str,
    base: Mapping[str, float | None] | None = None,
    logarithmic: bool = False,
    baseline: str = "unpruned",
) -> Figure:
    """A measure over the levels of a pruning, a panel each for several measures.

    Args:
        panels: title → its curves.
        xlabel: what was pruned or left, and its unit.
        ylabel: the measure.
        base: title → the measure of the unpruned model, a dashed line; None: no line.
        logarithmic: of the horizontal axis.
        baseline: the dashed line's name in the legend.

    Returns:
        A Matplotlib figure that belongs to no window.
    """
    figure, axes = _grid(len(panels), 3, 4.3, 3.5)
    for axis, (title, curves) in zip(axes, panels.items(), strict=True):
        level = (base or {}).get(title)
        if level is not None:
            axis.axhline(level, color="grey", linestyle="--", linewidth=1, label=baseline)
        # Side by side, or bars of several curves at one level would cover each other; lines alone stay in their places.
        step = APART if any(curve.points or any(curve.limits) for curve in curves) else 0.0
        for index, curve in enumerate(curves):
            _draw(axis, curve, index, step)
        axis.set(title=title, xlabel=xlabel, ylabel=ylabel, xscale="log" if logarithmic else "linear")
        if logarithmic:
            _few_ticks(axis)
        # What is drawn beside its place must not leave the axes: the last curve's marker, half of which is 3 points.
        part = (step * (len(curves) - 1) + 5) / AXES
        axis.margins(x=max(0.05, part / (1 - 2 * min(part, 0.4))))
        axis.grid(alpha=0.3)
    if axes:
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=6, fontsize="small", frameon=False)
    return figure


def _draw(axis: Any, curve: Curve, index: int, step: float) -> None:
    known = [(x, y, i) for i, (x, y) in enumerate(zip(curve.x, curve.y, strict=True)) if y is not None]
    if not known:
        return
    line, colour = "-" if index == 0 else ":", f"C{index}"
    beside, before = (_moved(axis, points) for points in (step * index, -APART))  # single runs on the other side
    style = {"color": colour, "transform": beside}
    axis.plot([x for x, _, _ in known], [y for _, y, _ in known], line, marker="o", label=curve.label, **style)
    reach = [(x, y) for x, y, _ in known] + list(curve.points)
    for x, y, place in known:
        limits = curve.limits[place] if place < len(curve.limits) else None
        if limits is not None:  # bars need not hold the mean: they are those of resamples
            low, high = min(limits[0], y), max(limits[1], y)
            axis.errorbar([x], [y], yerr=[[y - low], [high - y]], capsize=3, linewidth=1, **style)
            reach += [(x, low), (x, high)]
    # What is drawn beside its place does not say to the axis how far it reaches.
    axis.update_datalim(reach)
    axis.autoscale_view()
    if curve.points:
        xs, ys = zip(*curve.points, strict=True)
        axis.plot(xs, ys, "x", color=colour, markersize=5, transform=before)


def _moved(axis: Any, points: float) -> Any:
    """The axis's data coordinates, so many points to the right on the paper."""
    from matplotlib.transforms import ScaledTranslation

    return axis.transData + ScaledTranslation(points / 72, 0, axis.figure.dpi_scale_trans)


def _few_ticks(axis: Any) -> None:
    """Numbers that can be read where an axis has less than two powers of ten."""
    from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter

    axis.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.xaxis.set_major_formatter(EngFormatter(sep=""))
    axis.xaxis.set_minor_formatter(NullFormatter())


def sparsity_bars(levels: Mapping[str, Mapping[str, float]]) -> Figure:
    """How sparse each kernel is at each level: one threshold for all empties large kernels first.

    Args:
        levels: title of a level → kernel's name → fraction of zeros in 0–1. All have the same kernels.

    Returns:
        A Matplotlib figure that belongs to no window.
    """
    import matplotlib
    from matplotlib.figure import Figure

    names = list(next(iter(levels.values()), {}))
    figure = Figure(figsize=(min(WIDEST, 2.5 + 0.16 * len(names) * (len(levels) + 1.5)), 3.6), layout="constrained")
    axis = figure.subplots()
    wide = 0.85 / max(1, len(levels))
    shades = matplotlib.colormaps["viridis"](np.linspace(0.9, 0.1, max(1, len(levels))))
    for place, ((title, values), shade) in enumerate(zip(levels.items(), shades, strict=False)):
        left = np.arange(len(names)) + (place - (len(levels) - 1) / 2) * wide
        axis.bar(left, [100 * values[name] for name in names], wide, color=shade, label=title)
    axis.set_xticks(range(len(names)), [name.removesuffix("/kernel") for name in names], rotation=35, ha="right")
    axis.set(ylabel="zeros, %", ylim=(0, 100), xlim=(-0.6, len(names) - 0.4))
    axis.grid(axis="y", alpha=0.3)
    figure.legend(loc="outside right center", fontsize="small", frameon=False)
    return figure


def weight_histograms(before: Mapping[str, np.ndarray], after: Mapping[str, np.ndarray]) -> Figure:
    """How the weights of each kernel are spread before and after, zeros left out.

    Args:
        before: kernel's name → weights.
        after: the same kernels of the pruned model.

    Returns:
        A Matplotlib figure that belongs to no window; counts are on a logarithmic scale.
    """
    figure, axes = _grid(len(before), COLUMNS, WIDEST / COLUMNS, 2.1)
    for axis, (name, values) in zip(axes, before.items(), strict=True):
        pruned = after[name]
        most = float(max(np.abs(values).max(initial=0.0), np.abs(pruned).max(initial=0.0))) or 1.0
        bins = np.linspace(-most, most, BINS + 1)
        for array, label, colour in ((values, "before", "0.7"), (pruned, "after", "C0")):
            living = array[array != 0]
            axis.hist(living.ravel(), bins, color=colour, label=label, histtype="stepfilled", alpha=0.8)
        gone = 100 * (1 - np.count_nonzero(pruned) / pruned.size)
        axis.set_title(f"{name.removesuffix('/kernel')}: {gone:.1f} % zero of {pruned.size:,}", fontsize="small")
        axis.set_yscale("symlog")
        axis.set_ylim(bottom=0)
        axis.tick_params(labelsize="x-small")
        axis.locator_params(axis="x", nbins=5)
    if axes:
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=2, fontsize="small", frameon=False)
    figure.supylabel("number of weights", fontsize="small")
    figure.supxlabel("value", fontsize="small")
    return figure


def _grid(count: int, columns: int, width: float, height: float) -> tuple[Figure, list[Any]]:
    """A figure of at least one axis, row by row."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    columns = 2 if count == 4 and columns == 3 else min(columns, max(1, count))  # no row of one
    rows = -(-max(1, count) // columns)
    engine = ConstrainedLayoutEngine(h_pad=0.12)  # a title stands nearer to its own axis than to the one above
    figure = Figure(figsize=(width * columns, height * rows), layout=engine)
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axis in axes[count:]:
        axis.set_visible(False)
    return figure, axes[:count]
