"""The report of paper 000."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from classify_prune.papers import pages
from classify_prune.papers.paper000 import findings, published
from classify_prune.papers.paper000.findings import accuracies, over
from data_tools.tables import grid
from prune_tools.merge import RULES
from prune_tools.report import Curve, tradeoff
from run_tools.report import Report
from run_tools.summaries import spread

TABLE1_NOTE = """Paper 000's Table 1: the base model with so many of its convolutions' weights at zero, fine-tuned. "0,
trained as long" is the base model after the same further training: the control that the paper lacks."""
TABLE2_NOTE = """Paper 000's Table 2: the base model without the units under each threshold (rule {merge}), fine-tuned.
0 is the base model before any further training, as in the paper."""
RULES_NOTE = """Accuracy on test, %, of the base model without the units under each threshold, before any fine-tuning;
in brackets with batch-norm's statistics renewed on training images, the one further step that needs no labels."""
TUNED_NOTE = """Accuracy on test, %, after fine-tuning, and what is left of the network."""
EQUAL_NOTE = """Fine-tuned alike. Units: what the threshold leaves, really smaller. Magnitude: the base model masked
until as many parameters that are not zero, or as many multiply-adds with one, are left; its files and its speed on
common runtimes stay those of the base model."""
WHY_NOTE = """First seed. Lengths: share of the error of adding outgoing weights that is there because the two outputs
differ in length, not in direction. Predicted: squared error in what the next layers get, as a share of its variance.
Alone: accuracy on validation, %, where only this group is cut, without fine-tuning."""


def table1(result: Mapping[str, Any]) -> dict[str, Any]:
    """Our Table 1: percent removed → accuracies on validation and test over the seeds."""
    seeds = result["seeds"]
    rows = {"0": accuracies(seeds, "base"), "0, trained as long": accuracies(seeds, "dense")}
    levels = dict.fromkeys(level for seed in seeds.values() for level in seed["magnitude"])
    return rows | {level: accuracies(seeds, "magnitude", level) for level in levels}


def table2(result: Mapping[str, Any]) -> dict[str, Any]:
    """Our Table 2: threshold in degrees → likewise."""
    seeds, merge = result["seeds"], result["settings"]["merge"]
    rows = {"0": accuracies(seeds, "base"), "0, trained as long": accuracies(seeds, "dense")}
    return rows | {f"{a:g}": accuracies(seeds, "tuned", f"{a:g} {merge}") for a in result["settings"]["angles"]}


def page(report: Report, result: Mapping[str, Any]) -> None:
    """Adds the paper's sections."""
    report.section("Table 1: magnitude")
    pages.beside(report, "weights removed %", published.COLUMNS, published.TABLE1, table1(result), TABLE1_NOTE)
    report.section("Table 2: distinctiveness")
    note = TABLE2_NOTE.format(merge=result["settings"]["merge"])
    pages.beside(report, "threshold °", published.COLUMNS, published.TABLE2, table2(result), note)
    _rules(report, result)
    _equal(report, result)
    _why(report, result)


def rule_rows(result: Mapping[str, Any]) -> list[list[Any]]:
    """Threshold, units gone, and accuracy without fine-tuning of every rule, with that after recalibration."""
    seeds, rows = result["seeds"], []
    for angle in result["settings"]["angles"]:
        first = next(iter(over(seeds, "surgery", f"{angle:g} {RULES[0]}")))
        row: list[Any] = [f"{angle:g}", f"{first['removed']} of {first['units']}"]
        for rule in RULES:
            plain = spread(accuracies(seeds, "surgery", f"{angle:g} {rule}")[1])
            again = spread(accuracies(seeds, "surgery", f"{angle:g} {rule}", "recalibrated")[1])
            row.append(f"{plain} ({again})")
        rows.append(row)
    return rows


def _rules(report: Report, result: Mapping[str, Any]) -> None:
    seeds, settings = result["seeds"], result["settings"]
    report.section("Every merge rule")
    head = ["threshold °", "units gone, seed " + next(iter(seeds)), *(rule.replace("_", " ") for rule in RULES)]
    report.table(head, rule_rows(result), RULES_NOTE)
    angles = settings["angles"]
    base = _mean(accuracies(seeds, "base")[1])
    # The rule of Table 2 first: its line is the solid one.
    ordered = sorted(RULES, key=lambda rule: rule != settings["merge"])
    panels = {
        "without fine-tuning": [_curve(result, rule, angles, "surgery") for rule in ordered],
        "batch-norm renewed": [_curve(result, rule, angles, "surgery", "recalibrated") for rule in ordered],
    }
    report.figure(
        tradeoff(panels, "threshold, degrees", "accuracy on test, %", dict.fromkeys(panels, base)),
        "Test accuracy over the threshold; solid: the rule of Table 2; dashed: the base model.",
    )
    rows = []
    for key in next(iter(seeds.values()))["tuned"]:
        angle, rule = key.split()
        first = over(seeds, "tuned", key)[0]
        val, test = accuracies(seeds, "tuned", key)
        costs = [first["removed"], first["parameters"], first["macs"]]
        rows.append([f"{angle}°, {rule.replace('_', ' ')}", spread(val), spread(test), *costs])
    dense = over(seeds, "dense")[0]
    val, test = accuracies(seeds, "dense")
    rows.insert(0, ["nothing removed", spread(val), spread(test), 0, dense["parameters"], dense["macs"]])
    head = ["threshold, rule", "validation %", "test %", "units gone", "parameters", "multiply-adds"]
    report.table(head, rows, TUNED_NOTE)


def _mean(values: list[float]) -> float | None:
    return 100 * sum(values) / len(values) if values else None


def _curve(result: Mapping[str, Any], rule: str, angles: list[float], *keys: str) -> Curve:
    seeds, part, rest = result["seeds"], keys[0], keys[1:]
    ys = [_mean(accuracies(seeds, part, f"{angle:g} {rule}", *rest)[1]) for angle in angles]
    return Curve(rule.replace("_", " "), list(angles), ys)


def _equal(report: Report, result: Mapping[str, Any]) -> None:
    seeds, merge = result["seeds"], result["settings"]["merge"]
    angles = dict.fromkeys(angle for seed in seeds.values() for angle in seed["equal"])
    report.section("Both methods at equal cost")
    if not angles:
        report.text("No unit lies under the thresholds that were to be compared, so there is nothing to compare.")
        return
    rows = []
    for angle in angles:
        ways = {f"units, {rule.replace('_', ' ')}": ("tuned", f"{angle} {rule}") for rule in (merge, "least_squares")}
        ways["magnitude, equal parameters"] = ("equal", angle, "parameters")  # type: ignore[assignment]
        ways["magnitude, equal multiply-adds"] = ("equal", angle, "macs")  # type: ignore[assignment]
        for label, keys in ways.items():
            found = over(seeds, *keys)
            if found:
                val, test = accuracies(seeds, *keys)
                costs = [found[0]["nonzero"], found[0]["macs_nonzero"], found[0]["macs"]]
                rows.append([f"{angle}°", label, spread(val), spread(test), *costs])
    head = ["cost of", "way", "validation %", "test %", "parameters not zero", "multiply-adds with them", "done"]
    report.table(head, rows, EQUAL_NOTE)


def _why(report: Report, result: Mapping[str, Any]) -> None:
    seeds = result["seeds"]
    why = next(iter(seeds.values()))["why"]
    focus = f"{why['focus']:g}"
    report.section(f"Why {focus}° costs what it costs")
    report.text("\n".join(f"- {sentence}" for sentence in findings.story(seeds)))
    rows = []
    for name, group in why["groups"].items():
        kind = f"sum of {group['layers']}" if group["layers"] > 1 else "inside a block"
        row = [name.removesuffix("_conv"), kind, group["units"], group["nearest"], group["nearest_positions"]]
        row += group["removed"].values()
        if "alone" in group:
            alone, errors = group["alone"], group["error"]
            row += [group["lengths"], errors["outgoing"], errors["least_squares"]]
            row += [spread(alone["outgoing"]["accuracy"]), spread(alone["least_squares"]["accuracy"])]
        else:
            row += [None] * 5
        rows.append(row)
    counts = [f"gone at {angle}°" for angle in next(iter(why["groups"].values()))["removed"]]
    head = ["channels of", "kind", "units", "median nearest °", "over positions °", *counts]
    head += [f"lengths, {focus}°", "predicted, outgoing", "predicted, least squares"]
    head += ["alone, outgoing", "alone, least squares"]
    report.table(head, rows, WHY_NOTE)


def text(result: Mapping[str, Any]) -> str:
    """The tables for a terminal."""
    parts = []
    for title, printed, ours in (
        ("weights removed %", published.TABLE1, table1(result)),
        ("threshold °", published.TABLE2, table2(result)),
    ):
        rows = [[title, "test %, paper", "test %, ours"]]
        for label, (_, test) in ours.items():
            rows.append([label, str(printed[label][1]) if label in printed else "-", spread(test) or "-"])
        parts.append(grid(rows))
    parts.append(grid([["threshold °, not tuned", "units gone", *RULES], *rule_rows(result)]))
    return "\n\n".join([*parts, *findings.story(result["seeds"])])
