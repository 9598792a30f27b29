"""The report of paper 004."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from classify_prune.papers import pages
from classify_prune.papers.paper004 import published
from classify_prune.papers.turns import control_table, plot, turns_table
from run_tools import figures
from run_tools.report import Report
from run_tools.summaries import spread

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TURNS_NOTE = """Where two straight lines fitted to the mean validation accuracy part: the end of the first. In brackets
the interval of 95 % over seeds drawn anew. Explained: the part of one line's squared error that the second line takes
away; near 0 there is no turn."""
FIGURE = """Fig. 4: accuracy over units removed from the dense layer, retrained after every step. Band: ± one deviation
of the seeds. Triangles: where the curve turns on validation."""
TRAINING = """Fig. 3: accuracy of the base model while it learns; each line is a seed. Training accuracy is that of
images changed at random, with the weights of the moment, so it can lie below validation."""
MERGES = """The published merge adds what goes into one unit to what goes into the other and drops what comes out of it.
After tanh the sum of two inputs is not the sum of two outputs, and with |cos| opposite units cancel. Outgoing adds what
comes out; project takes the multiple of the kept unit's output that is nearest to the removed one's, and its mean;
least squares refits what all kept units give to the next layer. Retraining follows each, and may make up for it all."""


def page(report: Report, result: Mapping[str, Any]) -> None:
    """Adds the paper's sections."""
    seeds = result["seeds"]
    report.section("Fig. 1: labels")
    if result["task"] != "vehicle":
        report.text(
            "These data carry no vehicle ids: the network tells their classes apart, all of them, not ten vehicles."
        )
    report.figure(_labels(result["histograms"]), "Fig. 1: images of each class, in all and in every split.")
    report.section("Table 1: learning rates")
    head, rows = rates_rows(result)
    report.table(head, rows, "Best validation accuracy in percent; test accuracy of the checkpoint of least loss.")
    report.section("Fig. 3: training")
    report.figure(_training(seeds), TRAINING)
    report.section("Fig. 4: accuracy over removed units")
    report.text(MERGES)
    scale = {"units removed": 1.0}
    for split, told in (("test", "accuracy on test, %"), ("val", "accuracy on validation, %")):
        made = plot(seeds, list(result["turns"]), f"{split}_accuracy", result["turns"], scale, told)
        report.figure(made, FIGURE if split == "test" else "The same on validation, where the turn is found.")
    head, rows = turns_table(result["turns"])
    report.table(head, rows, TURNS_NOTE)
    report.table(*control_table(seeds), "The control: nothing removed, retrained.")
    first, units = next(iter(seeds.values())), result["settings"]["widths"][-1]
    report.text(
        f"All {units} units cost {first['per_unit'] * units:,} of the network's {first['macs']:,} multiply-adds: what "
        "goes with them is little, whatever the curve shows."
    )


def rates_rows(result: Mapping[str, Any]) -> tuple[list[str], list[list[Any]]]:
    """Our Table 1 beside the paper's."""
    rates = {
        rate: published.TABLE1.get(rate) for rate in (*published.TABLE1, *next(iter(result["seeds"].values()))["rates"])
    }
    rows: list[list[Any]] = []
    for rate, printed in rates.items():
        found = [seed["rates"][rate] for seed in result["seeds"].values() if rate in seed["rates"]]
        rows.append([rate, printed, spread([one["best_val"] for one in found])])
        rows[-1].append(spread([one["test"]["accuracy"] for one in found]))
    return ["learning rate", "best validation %, paper", "ours", "test %, ours"], rows


def _labels(histograms: Mapping[str, Mapping[str, int]]) -> Figure:
    made, axes = figures.figure(3.4 * len(histograms), 3.0, 1, len(histograms))
    for axis, (split, counts) in zip(axes, histograms.items(), strict=True):
        axis.bar(range(len(counts)), list(counts.values()), color="C0")
        axis.set_xticks(range(len(counts)), list(counts), rotation=60, ha="right", fontsize="small")
        axis.set(title=split, ylabel="images")
        axis.grid(axis="y", alpha=0.3)
    return made


def _training(seeds: Mapping[str, Any]) -> Figure:
    made, axis = figures.figure(6.4, 4.0)
    for index, found in enumerate(seeds.values()):
        rows = found["training"]
        for column, colour, told in (("accuracy", "C0", "training"), ("val_accuracy", "C1", "validation")):
            known = [(row["epoch"] + 1, 100 * row[column]) for row in rows if row.get(column) is not None]
            if known:
                axis.plot(*zip(*known, strict=True), color=colour, linewidth=1.2, label=told if index == 0 else None)
    axis.set(xlabel="epoch", ylabel="accuracy, %")
    axis.grid(alpha=0.3)
    axis.legend(frameon=False)
    return made


def text(result: Mapping[str, Any]) -> str:
    """The tables for a terminal."""
    tables = (rates_rows(result), turns_table(result["turns"]))
    return "\n\n".join(pages.terminal(head, rows) for head, rows in tables)
