"""The report of paper 001."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from classify_prune.papers import pages
from classify_prune.papers.paper001 import published
from classify_prune.papers.turns import control_table, interval, plot, turns_table
from run_tools.report import Report

TURNS_NOTE = """Where two straight lines fitted to the mean validation accuracy part: the end of the first. In brackets
the interval of 95 % over seeds drawn anew. Explained: the part of one line's squared error that the second line takes
away; near 0 there is no turn. Accuracies of the base are those of the curve's first point."""
FIGURE = """Fig. 4: accuracy over units removed and over multiply-adds, biases and activations taken away, retrained
after every step. Band: ± one deviation of the seeds. Triangles: the inflection on validation."""


def page(report: Report, result: Mapping[str, Any]) -> None:
    """Adds the paper's sections."""
    seeds, settings = result["seeds"], result["settings"]
    _data(report, result)
    report.section("Base model")
    rows = [[seed, *_base(found)] for seed, found in seeds.items()]
    report.table(["seed", "epochs", "validation %", "test %", "test, paper %", "FLOPs"], rows)
    report.text(
        f"The paper finds no pair of units under 15° or over 165° and therefore prunes without bounds. Here: "
        f"{'; '.join(_angles(seed, found['angles']) for seed, found in seeds.items())}. Units of constant output, "
        "such as a ReLU that never fires, have no angle: every rule but the random one removes them first, so the "
        "curves of all methods begin alike."
    )
    _figures(report, result)
    report.section("Table 4: inflection points")
    head, rows = turns_rows(result)
    report.table(head, rows, "Paper 001's Table 4 beside ours; FLOPs in the paper's convention.")
    head, rows = turns_table(result["turns"])
    report.table(head, rows, TURNS_NOTE)
    report.section("The control: nothing removed, retrained")
    report.table(*control_table(seeds))
    if settings["stride"] > 1:
        report.text(
            f"Retrained after every {settings['stride']} units, not after each iteration of a method as in the paper."
        )


def _base(found: Mapping[str, Any]) -> list[Any]:
    base = found["base"]
    accuracies = [round(100 * base[split]["accuracy"], 2) for split in ("val", "test")]
    return [base["epochs"], *accuracies, published.BASE_TEST, found["flops"]]


def _angles(seed: str, found: Mapping[str, Any]) -> str:
    told = f"seed {seed}: {found['smallest']:.1f}° to {found['largest']:.1f}°, {found['below']} pairs under 15°"
    return told + f", {found['above']} over 165°, {found['constant']} units of constant output"


def _data(report: Report, result: Mapping[str, Any]) -> None:
    report.section("Tables 1 and 2: the data")
    vectors = result["vectors"]
    report.text(f"Vectors of {vectors['width']} numbers, made by {vectors['made_by']} (the paper: 2048, by ResNet-50).")
    total = sum(result["splits"].values())
    rows = []
    for split, count in result["splits"].items():
        vectors, share = published.SPLITS.get(split, (None, None))
        rows.append([split, vectors, count, share, round(100 * count / total, 2)])
    report.table(["split", "vectors, paper", "ours", "% of all, paper", "ours"], rows, "Table 1.")
    named = {name.lower(): (name, shares) for name, shares in published.CLASSES.items()}
    rows = []
    for name, shares in result["shares"].items():
        printed = named[name.lower()][1] if name.lower() in named else (None,) * 3
        ours = [round(100 * share, 2) for share in shares]
        rows.append([name, *(value for pair in zip(printed, ours, strict=False) for value in pair)])
    head = ["class"]
    for split in result["splits"]:
        head += [f"% of {split}, paper", "ours"]
    if all(len(row) == len(head) for row in rows):
        report.table(head, rows, "Table 2.")


def _figures(report: Report, result: Mapping[str, Any]) -> None:
    seeds, turns = result["seeds"], result["turns"]
    report.section("Fig. 4: accuracy over what is pruned")
    scales = {"units removed": 1.0, "FLOPs taken away": result["flops"] / result["settings"]["hidden"]}
    for split in ("test", "val"):
        told = {"test": "accuracy on test, %", "val": "accuracy on validation, %"}[split]
        made = plot(seeds, list(turns), f"{split}_accuracy", turns, scales, told)
        report.figure(made, FIGURE if split == "test" else "The same on validation, where the inflection is found.")


def turns_rows(result: Mapping[str, Any]) -> tuple[list[str], list[list[Any]]]:
    """Our Table 4 beside the paper's."""
    rows: list[list[Any]] = [["base model", 0, "0", published.BASE_FLOPS, result["flops"], None, None]]
    for name, found in result["turns"].items():
        units, reduced = published.TABLE4.get(name, (None, None))
        left = None if reduced is None else round(100 * (1 - reduced / published.BASE_FLOPS), 1)
        ours = round(100 * found["left"], 1)
        rows.append([name, units, interval(found), reduced, round(found["reduced"]), left, ours])
    head = ["method", "units, paper", "units, ours", "FLOPs taken away, paper", "ours", "% left, paper", "ours"]
    return head, rows


def text(result: Mapping[str, Any]) -> str:
    """The tables for a terminal."""
    head, rows = turns_rows(result)
    more, values = turns_table(result["turns"])
    return f"{pages.terminal(head, rows)}\n\n{pages.terminal(more, values)}"
