"""Paper 002's figures: curves, accuracy against what was pruned, histograms, searches."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from run_tools import figures as shared

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAMES = {"of_total": "amount of all weights", "of_remaining": "amount of what remains", "random": "at random, of all"}
COLOURS = {"of_total": "C0", "of_remaining": "C3", "random": "0.6", "distinctiveness": "C2", "random units": "0.4"}


def curves(result: Mapping[str, Any]) -> Figure:
    """Accuracy on training (thin) and validation data and share of zeros after each epoch, first seed."""
    seed = next(iter(result["seeds"].values()))
    made, (left, right) = shared.figure(9.0, 3.6, columns=2)
    shown = [(f"base, {epochs} epochs", found, "k") for epochs, found in seed["base"].items()][-1:]
    for reading, amounts in seed["cumulative"].items():
        amount = next(iter(amounts))
        shown.append((f"{NAMES[reading]}: {amount}", amounts[amount], COLOURS[reading]))
    for label, found, colour in shown:
        numbers = np.arange(1, len(found["curve"]) + 1)
        train, val = (100 * np.array([row[index] for row in found["curve"]], float) for index in (0, 1))
        left.plot(numbers, train, color=colour, linewidth=0.7, linestyle=":")
        left.plot(numbers, val, color=colour, linewidth=1.2, label=label)
    left.set(xlabel="epoch", ylabel="accuracy, % (dotted: training)")
    left.legend(fontsize="x-small")
    for reading in ("of_total", "of_remaining"):
        for place, (amount, found) in enumerate(seed["cumulative"][reading].items()):
            numbers, zeros = np.arange(1, len(found["sparsities"]) + 1), 100 * np.array(found["sparsities"])
            shade = COLOURS[reading]
            right.plot(numbers, zeros, color=shade, linewidth=1.0, label=NAMES[reading] if not place else None)
            # All amounts of what remains end at nearly 100 %: they are told apart where they begin.
            at = -1 if reading == "of_total" else min(1, len(zeros) - 1)
            where = {"xytext": (-3, 2), "textcoords": "offset points", "ha": "right"}
            right.annotate(amount, (numbers[at], zeros[at]), fontsize="x-small", color=shade, **where)
    right.set(xlabel="epoch", ylabel="zeros in what is pruned, %", ylim=(-2, 103))
    right.legend(fontsize="x-small", loc="lower right")
    return made


def pruned(result: Mapping[str, Any]) -> Figure:
    """Test accuracy against the amount, for weights, and against the share of units removed."""
    seeds = list(result["seeds"].values())
    made, (left, right) = shared.figure(9.0, 3.6, columns=2)
    for reading in seeds[0]["cumulative"]:
        amounts = list(seeds[0]["cumulative"][reading])
        values = [[seed["cumulative"][reading][amount]["test"]["accuracy"] for seed in seeds] for amount in amounts]
        _line(left, [float(amount) for amount in amounts], values, NAMES[reading], COLOURS[reading])
    base = [next(iter(seed["base"].values()))["test"]["accuracy"] for seed in seeds]
    left.axhline(100 * statistics.mean(base), color="k", linestyle="--", linewidth=0.8, label="not pruned")
    left.set(xlabel="amount after every epoch", ylabel="test accuracy, %", title="weights")
    for rule in ("distinctiveness", "random units"):
        shares = list(seeds[0]["structured"][rule])
        for stage, style in (("before", ":"), ("after", "-")):
            values = [
                [seed["structured"][rule][share][stage]["test"]["accuracy"] for seed in seeds] for share in shares
            ]
            label = f"{rule}, {'trained on' if stage == 'after' else 'not trained'}"
            _line(right, [float(share) for share in shares], values, label, COLOURS[rule], style)
    dense = [seed["structured"]["dense"]["test"]["accuracy"] for seed in seeds]
    right.axhline(100 * statistics.mean(dense), color="k", linestyle="--", linewidth=0.8, label="all units, trained on")
    right.set(xlabel="hidden units removed, share", ylabel="test accuracy, %", title="whole units")
    for axis in (left, right):
        # The majority class is far below and would flatten everything: the table has it.
        probe = 100 * result["baselines"]["linear probe"]["test"]
        axis.axhline(probe, color="C1", linestyle="-.", linewidth=0.8, label="linear probe")
        axis.legend(fontsize="x-small")
    return made


def _line(
    axis: Any, places: Sequence[float], values: Sequence[Sequence[float]], label: str, colour: str, style: str = "-"
) -> None:
    means = [100 * statistics.mean(each) for each in values]
    spread = [100 * statistics.stdev(each) if len(each) > 1 else 0.0 for each in values]
    axis.errorbar(places, means, spread, color=colour, marker="o", markersize=3, linestyle=style, label=label)


def histograms(result: Mapping[str, Any], rule: str = "numbered") -> Figure:
    """Fig. 3: test vectors of each type, and those called each type after so many iterations, first start."""
    names = list(result["types"])
    rows = first_start(result["clusters"]["paper"])[:3]
    made, axes = shared.figure(9.0, 5.6, rows=2, columns=2)
    shown = [("actual types", list(result["types"].values()))]
    shown += [(f"{row['iterations']} iterations", row["answers"][rule]) for row in rows]
    for axis, (title, numbers) in zip(axes.flat, shown, strict=False):
        axis.bar(range(len(names)), numbers, color="C0" if title != "actual types" else "0.4")
        axis.set_xticks(range(len(names)), names, rotation=35, ha="right", fontsize="x-small")
        axis.set_title(title, fontsize="small")
        axis.set_ylabel("test vectors", fontsize="small")
        axis.set_ylim(0, 1.05 * max(max(numbers) for _, numbers in shown))
    for axis in axes.flat[len(shown) :]:
        axis.set_axis_off()
    return made


def first_start(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows of the first fuzziness and the first start, by iterations."""
    first = found["rows"][0]
    return [row for row in found["rows"] if (row["fuzziness"], row["seed"]) == (first["fuzziness"], first["seed"])]


def searches(result: Mapping[str, Any]) -> Figure:
    """What each generation of the searches gained, best and mean, and how many features the best has."""
    shown = {name: found["selection"] for name, found in result["choices"].items() if name.startswith("genetic")}
    made, (left, right) = shared.figure(9.0, 3.6, columns=2)
    for index, (name, told) in enumerate(shown.items()):
        numbers = [entry["generation"] for entry in told["history"]]
        # Accuracies and silhouettes are not one scale; what they gain can be drawn together.
        gained = [entry["best"] - told["first"] for entry in told["history"]]
        left.plot(numbers, gained, color=f"C{index}", label=name)
        means = [np.nan if entry["mean"] is None else entry["mean"] - told["first"] for entry in told["history"]]
        left.plot(numbers, means, color=f"C{index}", linestyle=":", linewidth=0.8)
        right.plot(numbers, [entry["features"] for entry in told["history"]], color=f"C{index}", label=name)
    left.set(xlabel="generation", ylabel="gain over generation 0 (dotted: mean)")
    right.set(xlabel="generation", ylabel=f"features of the best, of {result['vectors']['width']}")
    left.legend(fontsize="x-small")
    return made
