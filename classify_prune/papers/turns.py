"""What pruning curves of papers 001 and 004 say: where they turn, as texts, tables and figures. No Keras here."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from prune_tools.inflection import inflection
from run_tools import figures
from run_tools.summaries import spread

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def over(seeds: Mapping[str, Any], name: str, metric: str = "val_accuracy") -> tuple[list[int], np.ndarray]:
    """Units removed, and one curve a seed, shape (seeds, steps)."""
    curves = [found["curves"][name] for found in seeds.values()]
    return curves[0]["removed"], np.array([curve[metric] for curve in curves], np.float64)


def turn(seeds: Mapping[str, Any], name: str, units: int, cost: float, samples: int) -> dict[str, Any]:
    """Where a method's curve turns, found on validation data; test is only read there.

    Args:
        seeds: seed → its `"curves"`.
        name: of the method.
        units: that the layer had.
        cost: of one unit, in any unit of work.
        samples: of the bootstrap over seeds.

    Returns:
        The `Inflection`'s fields with `edge`, whether it is the last point that could be found, `reduced`, the cost
        taken away there, `left`, the share of it that is left, and
        for val and test accuracy at 0 and at the turn: `{"at": [one a seed], "base": [one a seed]}`.
    """
    removed, curves = over(seeds, name)
    # Two points of a line are enough: the fall may be that late.
    found = inflection(removed, curves, least=2, samples=samples)
    at = removed.index(int(found.x))
    told: dict[str, Any] = {**dataclasses.asdict(found), "explained": found.explained, "edge": at >= len(removed) - 3}
    told |= {"reduced": found.x * cost, "left": 1 - found.x / units}
    for split in ("val", "test"):
        values = over(seeds, name, f"{split}_accuracy")[1]
        told[split] = {"at": values[:, at].tolist(), "base": values[:, 0].tolist()}
    return told


def turns(seeds: Mapping[str, Any], names: Iterable[str], units: int, cost: float, samples: int) -> dict[str, Any]:
    """`turn` of each method, by its name."""
    return {name: turn(seeds, name, units, cost, samples) for name in names}


def interval(found: Mapping[str, Any]) -> str:
    """A turn as text: "224 (210–240)", "224" with one seed; "≥ 480" where the curve ends before it can be told."""
    told = f"{'≥ ' if found['edge'] else ''}{found['x']:g}"
    # At the curve's end an interval of one point says nothing.
    alone = found["low"] is None or (found["edge"] and found["low"] == found["high"])
    return told if alone else f"{told} ({found['low']:g}–{found['high']:g})"


def control_table(seeds: Mapping[str, Any]) -> tuple[list[str], list[list[Any]]]:
    """Headers and rows: the whole network before and after it was retrained as often, a row a seed."""
    rows: list[list[Any]] = []
    for seed, found in seeds.items():
        test, val = found["control"]["test_accuracy"], found["control"]["val_accuracy"]
        rows.append([seed, len(test) - 1, *(round(100 * value, 1) for value in (val[0], val[-1], test[0], test[-1]))])
    return ["seed", "retrainings", "val % before", "val % after", "test % before", "test % after"], rows


def turns_table(turns: Mapping[str, Any]) -> tuple[list[str], list[list[Any]]]:
    """Headers and rows: where each method turns, and what is left there."""
    head = ["method", "units removed (interval)", "units left %", "val %", "test %", "test % of the base", "explained"]
    rows = []
    for name, found in turns.items():
        row = [name, interval(found), round(100 * found["left"], 1), spread(found["val"]["at"])]
        row += [spread(found["test"]["at"]), spread(found["test"]["base"]), round(found["explained"], 2)]
        rows.append(row)
    return head, rows


def plot(
    seeds: Mapping[str, Any],
    names: Sequence[str],
    metric: str,
    turns: Mapping[str, Any],
    scales: Mapping[str, float],
    ylabel: str,
) -> Figure:
    """Curves of methods: mean of the seeds, a band of ± their deviation, a mark where each turns.

    Args:
        seeds: as for `turn`.
        names: of the methods.
        metric: in 0–1, drawn in percent.
        turns: of the methods that have one.
        scales: title of a panel → what a removed unit counts on its horizontal axis.
        ylabel: of the vertical axis.
    """
    made, axes = figures.figure(6.4 * len(scales), 4.6, 1, len(scales))
    for axis, (title, scale) in zip(np.atleast_1d(axes), scales.items(), strict=True):
        for index, name in enumerate(names):
            removed, values = over(seeds, name, metric)
            x, colour = scale * np.array(removed), f"C{index % 10}"
            mean, spread = 100 * values.mean(axis=0), 100 * values.std(axis=0, ddof=1) if len(values) > 1 else None
            style = "--" if name == "random" else "-"
            axis.plot(x, mean, style, color=colour, linewidth=1.3, label=name)
            if spread is not None:
                axis.fill_between(x, mean - spread, mean + spread, color=colour, alpha=0.15, linewidth=0)
            if name in turns:
                at = removed.index(int(turns[name]["x"]))
                axis.plot(x[at], mean[at], "v", color=colour, markersize=8, markeredgecolor="black")
        axis.set(xlabel=title, ylabel=ylabel)
        axis.grid(alpha=0.3)
    handles, labels = np.atleast_1d(axes)[0].get_legend_handles_labels()
    made.legend(handles, labels, loc="outside lower center", ncols=4, fontsize="small", frameon=False)
    return made
