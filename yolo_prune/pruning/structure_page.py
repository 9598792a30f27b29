"""The report page of a structural pruning."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from prune_tools import comparison
from run_tools.report import Report
from yolo_prune.experiments.pages import write_figure
from yolo_prune.pruning import measuring, results
from yolo_prune.pruning.judging import Judge
from yolo_prune.pruning.options import PruneConfig
from yolo_prune.pruning.page import Axis, begin, close, curves, pictures, tables
from yolo_prune.pruning.plan import DENSE, PRUNED, Subject

if TYPE_CHECKING:
    from matplotlib.figure import Figure

METHOD = """Whole channels are removed, so that the network left is a smaller one of the same kind. {score} What the
rest can say of a channel that goes is put into the layers that read it (`{merge}`), batch-norm's statistics are taken
anew from {recalibrate} batches, and the smaller network trains on. {schedule} A loss is always the difference to the
dense model after the same further training."""
SCORES = {
    "damage": "A channel goes the sooner, the less its readers would miss if the most similar one stood in for it: "
    "‖ã‖² sin²θ ‖V‖², as a part of what they get in all, against the multiply-adds that it saves.",
    "residual": "A channel goes the sooner, the less its readers would miss if all others stood in for it as well as "
    "least squares can, as a part of what they get in all, against the multiply-adds that it saves.",
}
SCHEDULES = {
    "iterative": "Each level is cut out of the one above after its training, and so does the dense control train on.",
    "one-shot": "Each level is cut out of the model as it was given, at once.",
}
CONTROLS = {
    "l1": "`l1` removes the channels whose kernels have the smallest L1 norm, the same fraction of each layer, and "
    "makes up for them by `{control}`",
    "random": "`random` draws them, the same fraction of each layer, and makes up for them by `{control}`",
    "uniform": "`uniform` chooses and merges as the pruned ones, but the same fraction of each layer",
}
BEFORE_NOTE = """AP50 on {split} right after surgery, before any training. `Predicted` is the damage of what went,
summed over the layers, each as a part of its readers' output. Certificate: the largest difference between the smaller
network and the given one with the same channels masked where they are read, as a part of the largest output; rounding
alone."""
MERGES_NOTE = """AP50 on {split} right after surgery, without training, at {keep:g} of the multiply-adds: the same
channels removed, and what went put into the next layers by each rule; with batch-norm's statistics as the rule leaves
them, and taken anew from training images."""
WIDTHS_NOTE = "Channels of each convolution as given (grey) and at each level, of the first seed."
MEASURED_NOTE = """One image of {input}, all networks in one run, in turns. In brackets: times as fast, or times
smaller, as the dense one in the same format. {note}"""


def write(options: PruneConfig, subject: Subject, judge: Judge, result: Mapping[str, Any]) -> Path:
    """Writes `report.html`, and its figures as pictures beside it; arguments and result as of `page.write`."""
    report = begin("Pruning by distinctiveness", options, subject, result)
    surgery = options.surgery
    report.text(
        METHOD.format(
            score=SCORES.get(surgery.score, f"Channels are ranked by `{surgery.score}`."),
            merge=surgery.merge, recalibrate=surgery.recalibrate, schedule=SCHEDULES[options.schedule],
        )
    )  # fmt: skip
    told = [CONTROLS[name].format(control=surgery.control_merge) for name in options.controls if name in CONTROLS]
    if told:
        report.text(f"Controls at the same multiply-adds: {'; '.join(told)}.")
    tables(report, options, result)
    _measured(report, result)
    curves(report, options, result, _axes(result))
    _before(report, options, result)
    if result["merges"]:
        _merges(report, options, result)
    _widths(report, options, result)
    if options.pictures:
        pictures(report, options, subject, judge, result)
    return close(report, options, result, ["multiply-adds", "parameters", "channels"], _widths_of)


def _axes(result: Mapping[str, Any]) -> list[Axis]:
    dense = result["start"]["macs"]
    axes = [
        Axis(lambda entry: 100 * entry["macs"] / dense, "multiply-adds, % of the dense", "macs"),
        Axis(lambda entry: entry["parameters"], "parameters", "parameters", logarithmic=True),
    ]
    measured = result["measured"]
    best = measuring.fastest(measured) if measured else None
    if best is not None:
        times = {row["model"]: row["milliseconds"] for row in measured["gains"] if row["format"] == best}
        names = {run["level"]: f"keep {run['cut']['keep']:g}" for run in result["runs"] if run["kind"] == PRUNED}

        def milliseconds(entry: Mapping[str, Any]) -> float | None:
            return times.get(names[entry["level"]]) if entry["kind"] == PRUNED else None

        label = f"milliseconds an image, {best}; dense {times[DENSE]:.3g}"
        axes.append(Axis(milliseconds, label, "latency"))
    return axes


def _measured(report: Report, result: Mapping[str, Any]) -> None:
    measured = result["measured"]
    if measured is None:
        return
    report.section("Bytes and latency")
    names = list(dict.fromkeys(row["model"] for row in measured["gains"]))
    known = {(row["model"], row["format"]): row for row in measured["gains"]}
    note = MEASURED_NOTE.format(input=result["input"], note=comparison.caption(measured))
    timed, sized = [], []
    for kind in dict.fromkeys(row["format"] for row in measured["gains"]):
        mine = [known[name, kind] for name in names]
        sized.append([kind, *(f"{row['bytes'] / 1e6:.2f} ({row['smaller']:.2f}×)" for row in mine)])
        if mine[0]["milliseconds"] is not None:
            timed.append([kind, *(f"{row['milliseconds']:.2f} ({row['faster']:.2f}×)" for row in mine)])
    if timed:
        report.table(["format", *names], timed, f"Milliseconds. {note}")
    report.table(["format", *names], sized, "Megabytes, 10⁶ bytes.")


def _before(report: Report, options: PruneConfig, result: Mapping[str, Any]) -> None:
    report.section("Right after surgery")
    split = options.splits[-1]
    classes = [name.lower() for name in result["classes"]]
    body = []
    for run in _cuts(result):
        cut, judged = run["cut"], run["before_training"]
        certificate = max(item["largest"] / item["scale"] for item in cut["certificate"]["structure"].values())
        found = [results.number(judged["ap50"][split].get(name)) for name in classes]
        predicted = results.number(cut["predicted"] if cut["score"] in SCORES else None)
        body.append([run["kind"], f"{100 * cut['macs']['after'] / cut['macs']['before']:.4g} %", cut["merge"],
                     judged["parameters"], predicted, f"{certificate:.1e}", *found])  # fmt: skip
    head = ["", "multiply-adds of its source", "merge", "parameters", "predicted", "certificate", *result["classes"]]
    report.table(head, body, BEFORE_NOTE.format(split=split))


def _cuts(result: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Runs that begin with a cut, one a cut: seeds may share one."""
    found: dict[tuple[Any, ...], Mapping[str, Any]] = {}
    for run in result["runs"]:
        if "cut" in run:
            found.setdefault((run["kind"], run["level"], run["cut"]["source_sha256"]), run)
    return list(found.values())


def _merges(report: Report, options: PruneConfig, result: Mapping[str, Any]) -> None:
    report.section("What compensation is worth")
    name = result["classes"][0].lower()
    rules = list(dict.fromkeys(row["merge"] for row in result["merges"]))
    lines: dict[tuple[str, int], dict[str, str]] = {}
    for row in result["merges"]:
        lines.setdefault((row["kind"], row["recalibrated"]), {})[row["merge"]] = results.number(row["ap50"][name])
    body = [
        [kind, f"from {batches} batches" if batches else "as the rule leaves them", *(found[rule] for rule in rules)]
        for (kind, batches), found in lines.items()
    ]
    note = MERGES_NOTE.format(split=options.splits[0], keep=options.merges_at or 0)
    report.table(["channels chosen by", "batch-norm statistics", *rules], body, f"{result['classes'][0]}: {note}")


def _widths(report: Report, options: PruneConfig, result: Mapping[str, Any]) -> None:
    report.section("What was removed")
    levels = {}
    for run in result["runs"]:
        if run["kind"] == PRUNED and run["seed"] == options.seeds[0]:
            levels[f"{100 * run['macs'] / result['start']['macs']:.3g} %"] = run["cut"]["widths"]["after"]
    before = next(run["cut"] for run in result["runs"] if run["kind"] == PRUNED)["widths"]["before"]
    figure = width_bars(before, levels)
    report.figure(figure, WIDTHS_NOTE)
    write_figure(options.out / "widths.png", figure)
    table = [run for run in _cuts(result) if run["out"] == results.shown(result)["out"]]
    rows = [[row["group"], row["before"], row["after"], row["score"]] for run in table for row in run["cut"]["table"]]
    caption = f"Groups of channels that can only go together, at {results.amount(result, results.shown(result))}."
    report.table(["group", "before", "after", "score of the last one removed"], rows, caption)


def width_bars(before: Mapping[str, int], levels: Mapping[str, Mapping[str, int]]) -> "Figure":
    """Channels of each layer, as given and at each level.

    Args:
        before: layer → channels.
        levels: title → the same of a smaller network.

    Returns:
        A Matplotlib figure that belongs to no window.
    """
    import matplotlib
    from matplotlib.figure import Figure

    figure = Figure(figsize=(min(14.0, 3 + 0.13 * len(before) * (len(levels) + 2)), 3.6), layout="constrained")
    axis = figure.subplots()
    axis.grid(axis="y", alpha=0.3)
    wide = 0.85 / (len(levels) + 1)
    shades = ["0.75", *matplotlib.colormaps["viridis"](np.linspace(0.9, 0.1, max(1, len(levels))))]
    for place, ((title, widths), shade) in enumerate(zip({"as given": before, **levels}.items(), shades, strict=False)):
        left = np.arange(len(before)) + (place - len(levels) / 2) * wide
        axis.bar(left, [widths[name] for name in before], wide, color=shade, label=title)
    axis.set_xticks(range(len(before)), list(before), rotation=35, ha="right")
    axis.set(ylabel="channels", xlim=(-0.6, len(before) - 0.4))
    figure.legend(loc="outside right center", fontsize="small", frameon=False)
    return figure


def _widths_of(run: Mapping[str, Any]) -> list[Any]:
    channels = " ".join(map(str, run["cut"]["widths"]["after"].values())) if run["kind"] != DENSE else "as given"
    return [run["macs"], run["parameters"], channels]
