"""What the papers' reports share: published numbers beside ours, contradictions and readings, how it was made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from data_tools.tables import grid
from run_tools.report import Report
from run_tools.summaries import origin, spread

REPORT = "report.html"
QUICK = "QUICK: smaller networks, smaller images or fewer epochs than the paper's; see the settings below."


@dataclass(frozen=True)
class Reading:
    """A place where a paper contradicts itself or leaves something open.

    Attributes:
        where: section, table or figure.
        says: what stands there.
        taken: what was taken here, and why.
    """

    where: str
    says: str
    taken: str


def beside(
    report: Report,
    first: str,
    columns: Sequence[str],
    published: Mapping[str, Sequence[float | None]],
    ours: Mapping[str, Sequence[Any]],
    caption: str,
    factor: float = 100.0,
    digits: int = 1,
) -> None:
    """Adds a table with the paper's numbers beside ours.

    Args:
        report: grows by it.
        first: title of the first column, such as "threshold (°)".
        columns: titles of the measures.
        published: label of a row → the printed numbers as they are printed, one a measure.
        ours: label of a row → for each measure its values over the seeds (or one value); rows that only we have come
            last.
        caption: names the paper's table.
        factor: from our values to the unit of the printed ones.
        digits: of ours, after the point.
    """
    head = [first]
    for column in columns:
        head += [f"{column}, paper", f"{column}, ours"]
    rows = []
    for label in dict.fromkeys([*published, *ours]):
        row: list[Any] = [label]
        for index in range(len(columns)):
            row += [published[label][index] if label in published else None]
            row += [spread(ours[label][index], factor, digits) if label in ours else None]
        rows.append(row)
    report.table(head, rows, caption)


def title_of(number: str, title: str) -> str:
    """The heading of a paper's report."""
    return f"Paper {number}, run again: {title}"


def terminal(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table for the terminal; a dash where there is nothing."""
    return grid([["-" if cell is None else str(cell) for cell in row] for row in (head, *rows)])


def begin(result: Mapping[str, Any], title: str) -> Report:
    """A report with what every reader needs first: the data, whether it was --quick, claims beside findings."""
    data = result["data"]
    counts = ", ".join(f"{count:,} {split}" for split, count in data["images"].items())
    told = f"{'QUICK. ' if result['quick'] else ''}On {data['source']} ({data['content']}, {data['input']}; {counts})"
    report = Report(title_of(result["paper"], title), told)
    report.section("Data")
    if result["quick"]:
        report.text(QUICK)
    # An identity task has another class to beat than the types.
    task = data.get("task")
    most = (task or data)["majority"]
    apart = ""
    if task:
        images = ", ".join(f"{count:,} {split}" for split, count in task["images"].items())
        apart = f"Told apart are {task['classes']:,} classes of the task {task['name']} ({images}). "
    shares = ", ".join(f"{100 * most[split]:.1f} % of {split}" for split in data["images"] if split in most)
    report.text(
        f"Source: {data['source']}. This is not the paper's data unless it says VehicleX; numbers of different data do "
        f"not compare, what is read off them may. {apart}Always answering {most['class']} is right on {shares}."
    )
    report.table(["class", "% of training"], [[name, round(100 * share, 2)] for name, share in data["classes"].items()])
    report.section("What was claimed, and what we find")
    rows = [[claim["claim"], claim["published"], claim["ours"]] for claim in result["claims"]]
    report.table(["claim", "paper", "ours"], rows, "Accuracies on test where nothing else is said.")
    return report


def end(report: Report, result: Mapping[str, Any], readings: Sequence[Reading]) -> None:
    """Adds the contradictions with the readings chosen, the settings, and how the report was made."""
    if readings:
        report.section("Contradictions and gaps of the text, and the readings chosen")
        report.table(
            ["where", "the paper says", "taken here"], [[each.where, each.says, each.taken] for each in readings]
        )
    report.section("Settings")
    report.code(yaml.safe_dump(result["settings"], sort_keys=False, width=110))
    origin(report, seconds=result["seconds"])


def write(report: Report, out: Path) -> Path:
    """Writes the page into the run's folder and returns its path."""
    report.write(out / REPORT)
    return out / REPORT
