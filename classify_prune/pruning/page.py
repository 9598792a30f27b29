"""The report of `classify-prune prune`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from classify_prune.pruning.options import PruneConfig
from prune_tools.report import Curve, tradeoff
from run_tools import config as configs
from run_tools.report import Report
from run_tools.summaries import origin, spread

NOTES = {
    "magnitude": """Zeros alone make no file smaller and no network faster: only compressed or sparse formats store
fewer bytes, and common runtimes multiply by zeros as by any number.""",
    "distinctiveness": """Units are gone: the network is smaller in every format and does less work. Whether it is
faster by as much `classify-prune benchmark` measures; odd widths can run slower than round ones (`--multiple 8`).""",
}
TABLE_NOTE = "Accuracy in percent, mean ± standard deviation of the seeds; {how}."


def rows(result: Mapping[str, Any]) -> tuple[list[str], list[list[Any]]]:
    """One row a network: `(head, rows)`."""
    splits = result["splits"]
    head = ["level", *(f"{split} %" for split in splits), "parameters", "not zero", "multiply-adds", "with a non-zero"]
    body = [_row("as given", [result["start"]], splits)]
    if result["dense"]:
        body.append(_row("dense, trained as long", result["dense"], splits))
    factor = 1 if result["unit"] == "°" else 100
    body += [_row(f"{factor * each['level']:g} {result['unit']}", each["runs"], splits) for each in result["levels"]]
    return head, body


def _row(label: str, runs: list[Mapping[str, Any]], splits: list[str]) -> list[Any]:
    row: list[Any] = [label, *(spread([run[split]["accuracy"] for run in runs]) for split in splits)]
    return row + [runs[0][name] for name in ("parameters", "nonzero", "macs", "macs_nonzero")]


def write(options: PruneConfig, result: Mapping[str, Any]) -> Path:
    """Writes `report.html` and returns its path."""
    report = Report(f"Pruning a classifier by {result['method']}", f"{result['model']} on {result['source']}")
    add(report, options, result)
    report.section("Settings")
    report.code(yaml.safe_dump(configs.to_dict(options), sort_keys=False, width=110))
    origin(report)
    path = options.out / "report.html"
    report.write(path)
    return path


def add(report: Report, options: PruneConfig, result: Mapping[str, Any]) -> None:
    """Adds the table, the curve and what is left of each layer."""
    report.section("Result")
    tuned = f"{options.epochs} epochs of fine-tuning at each level" if options.epochs else "no fine-tuning"
    report.table(*rows(result), TABLE_NOTE.format(how=tuned))
    report.text(result["note"])
    report.section("Accuracy over what is left")
    count = "nonzero" if result["method"] == "magnitude" else "parameters"
    label = "parameters that are not zero" if result["method"] == "magnitude" else "parameters"
    panels, base = {}, {}
    for split in result["splits"]:
        runs = [each["runs"] for each in result["levels"]]
        means = [100 * sum(run[split]["accuracy"] for run in each) / len(each) for each in runs]
        points = (
            [(run[count], 100 * run[split]["accuracy"]) for each in runs for run in each] if len(runs[0]) > 1 else ()
        )
        panels[split] = [Curve(result["method"], [each[0][count] for each in runs], means, points=points)]
        base[split] = 100 * result["start"][split]["accuracy"]
    report.figure(tradeoff(panels, label, "accuracy, %", base, logarithmic=True), "Dashed: the model as given.")
    if result["method"] == "distinctiveness":
        report.section("Units left")
        widths = [each["widths"] for each in result["levels"]]
        factor = 1 if result["unit"] == "°" else 100
        head = ["layer", *(f"{factor * each['level']:g} {result['unit']}" for each in result["levels"])]
        report.table(head, [[name, *(width[name] for width in widths)] for name in widths[0]])
