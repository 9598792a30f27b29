"""The report of paper 000."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from classify_prune.papers import pages
from classify_prune.papers.paper000 import published
from data_tools.tables import grid
from run_tools.report import Report


def accuracies(result: Mapping[str, Any], *keys: str) -> tuple[list[float], list[float]]:
    """Accuracy on validation and on test over the seeds, of what lies at some keys of each seed."""
    found: tuple[list[float], list[float]] = ([], [])
    for seed in result["seeds"].values():
        for key in keys:
            seed = seed.get(key) if isinstance(seed, dict) else None
        if seed is not None:
            found[0].append(seed["val"]["accuracy"])
            found[1].append(seed["test"]["accuracy"])
    return found


def table1(result: Mapping[str, Any]) -> dict[str, tuple[list[float], list[float]]]:
    """Our Table 1: percent removed → accuracies on validation and test over the seeds."""
    first = next(iter(result["seeds"].values()))
    rows = {"0": accuracies(result, "base"), "0, trained as long": accuracies(result, "dense")}
    return rows | {level: accuracies(result, "magnitude", level) for level in first["magnitude"]}


def page(report: Report, result: Mapping[str, Any]) -> None:
    """Adds the paper's sections."""
    report.section("Table 1: magnitude")
    pages.beside(
        report,
        "weights removed %",
        published.COLUMNS,
        published.TABLE1,
        table1(result),
        "Table 1, accuracy after fine-tuning; ± standard deviation of the seeds.",
    )


def text(result: Mapping[str, Any]) -> str:
    """The tables for a terminal."""
    rows = [["weights removed %", "test %, paper", "test %, ours"]]
    for label, (_, test) in table1(result).items():
        printed = published.TABLE1.get(label)
        rows.append([label, "-" if printed is None else str(printed[1]), pages.spread(test) or "-"])
    return grid(rows)
