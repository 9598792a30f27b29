"""The report page of a pruning."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data_tools.image_files import resize
from prune_tools import comparison, targets
from prune_tools import report as figures
from run_tools.report import Report
from yolo_prune.drawing import draw, grid
from yolo_prune.experiments.pages import command, origin, write_figure
from yolo_prune.models import load_detector
from yolo_prune.pruning import magnitude, results
from yolo_prune.pruning.judging import START, Judge
from yolo_prune.pruning.options import PruneConfig
from yolo_prune.pruning.plan import DENSE, PRUNED, Subject
from yolo_prune.verbs import spread

SCORE = 0.3
METHOD = """The weights that are smallest in magnitude are set to zero and held there by the optimizer through every
step of the retraining that follows. {schedule} A loss is always the difference to the dense model after the same
further training, so that what the training itself gains does not hide what the pruning costs."""
SCHEDULES = {
    "iterative": "Each level goes on from the one below, weights and zeros both, and so does the dense control.",
    "one-shot": "Each level starts from the model as it was given and is pruned at once.",
    "cubic": "Each level starts from the model as it was given and is pruned bit by bit while it retrains.",
}
SCOPES = {
    "global": "All kernels have one threshold.",
    "layer": "Each kernel loses the same fraction.",
    "lamp": "What goes is chosen by layer-adaptive magnitude (LAMP).",
    "erk": "Each kernel has its own Erdős–Rényi density.",
    "random": "What goes is chosen at random over all kernels.",
    "layer-random": "What goes is chosen at random in each kernel.",
}


@dataclass(frozen=True)
class Axis:
    """A horizontal axis of the curves: what an entry of `results.levels` has on it (None: nothing), its label, the name
    of its picture, and whether it is logarithmic."""

    value: Callable[[Mapping[str, Any]], float | None]
    label: str
    file: str
    logarithmic: bool = False


AXES = (
    Axis(lambda entry: 100 * entry["sparsity"], "sparsity of the pruned kernels, %", "sparsity"),
    Axis(lambda entry: entry["nonzero"], "weights that are not zero", "nonzero", logarithmic=True),
)
TABLE_NOTE = "By pycocotools, in original pixels; means and standard deviations of the seeds."
DIFFERENCE_NOTE = """Means of the seeds of both. The intervals hold 95 % of {replicates:,} resamples of the {images}
images, both judged on the same; they say nothing of other seeds. Neighbouring frames are alike, which makes them
narrower than they should be."""
CURVE_NOTE = """AP50 on {split}: means of the seeds, crosses the single runs; curves stand side by side at each level.
Bars: 95 % interval of the difference to the dense control, laid at the dense control's AP50, which is the dashed
line{several}; cut off at 0."""
ZEROS_NOTE = """Zeros alone make no file smaller and no network faster: a SavedModel, a `.keras` file and dense LiteRT
hold and multiply them as they do other numbers. Smaller files come from compressed or sparse formats, speed from
removing whole channels."""
RUNS_NOTE = "Sparsity is that of the kernels under masks, counted in the saved model and checked against the masks."


def write(options: PruneConfig, subject: Subject, judge: Judge, result: Mapping[str, Any]) -> Path:
    """Writes `report.html`, and its curves as pictures beside it.

    Args:
        options: of the verb.
        subject: what was pruned.
        judge: knows the detections.
        result: of `verb.prune`, but for the report.

    Returns:
        The page's path.
    """
    report = begin("Pruning by magnitude", options, subject, result)
    told = f"{METHOD.format(schedule=SCHEDULES[options.schedule])} {SCOPES[options.scope]}"
    report.text(f"{told} {magnitude.prunable(options, subject)}")
    tables(report, options, result)
    curves(report, options, result, AXES)
    _zeros(report, options, subject, result)
    _forms(report, result)
    if options.pictures:
        pictures(report, options, subject, judge, result)
    head = ["sparsity", "non-zero", "multiply-adds with a non-zero"]
    return close(report, options, result, head, _sparse, RUNS_NOTE)


def begin(title: str, options: PruneConfig, subject: Subject, result: Mapping[str, Any]) -> Report:
    """The page's head: what was pruned, on what, and for how long it trained."""
    counts = ", ".join(f"{count} {name}" for name, count in result["images"].items())
    seeds = f"seeds {', '.join(map(str, options.seeds))}"
    below = f"{result['model']}, {subject.model.count_params():,} parameters; {result['data']}, images: {counts}; "
    trained = f"{result['epochs']} epoch{'s' * (result['epochs'] != 1)} a level (`{' '.join(result['stages'])}`)"
    return Report(title, f"{below}input {result['input']}; {trained}; {seeds}")


def tables(report: Report, options: PruneConfig, result: Mapping[str, Any]) -> None:
    """What it comes to: the level chosen, AP50 of all levels, and their differences to the dense control."""
    report.section("Result")
    report.text(results.chosen_line(result))
    for split in reversed(options.splits):
        images = result["images"][split]
        report.table(*results.rows(result, split), f"AP50 on {split}, {images} images. {TABLE_NOTE}")
        head, body = results.difference_rows(result, split)
        if body:
            note = DIFFERENCE_NOTE.format(replicates=options.bootstrap, images=images)
            report.table(head, body, f"Difference to the dense control on {split}. {note}")


def curves(report: Report, options: PruneConfig, result: Mapping[str, Any], axes: Sequence[Axis]) -> None:
    """AP50 over what is pruned or left, a figure an axis, each also written as a picture beside the page."""
    report.section("AP50 over what is pruned")
    split = options.splits[-1]
    dense = [entry for entry in result["levels"] if entry["kind"] == DENSE]
    several = "; it is that of the last level, and each level has its own" if len(dense) > 1 else ""
    note = CURVE_NOTE.format(split=split, several=several)
    base = {name: dense[-1]["ap50"][split][name]["mean"] for name in _names(result)} if dense else {}
    for axis in axes:
        panels = {name: _lines(result, split, name, axis.value) for name in _names(result)}
        figure = figures.tradeoff(panels, axis.label, f"AP50 on {split}", base, axis.logarithmic, "dense control")
        report.figure(figure, note)
        write_figure(options.out / f"ap50_over_{axis.file}.png", figure)


def _names(result: Mapping[str, Any]) -> list[str]:
    return list(next(iter(result["levels"]))["ap50"][result["splits"][-1]])


def _lines(
    result: Mapping[str, Any], split: str, name: str, value: Callable[[Mapping[str, Any]], float | None]
) -> list[figures.Curve]:
    found = []
    dense = {entry["level"]: entry["ap50"][split][name]["mean"] for entry in result["levels"] if entry["kind"] == DENSE}
    for kind in dict.fromkeys(entry["kind"] for entry in result["levels"] if entry["kind"] != DENSE):
        mine = [entry for entry in result["levels"] if entry["kind"] == kind]
        placed = [(float(x), entry) for entry in mine if (x := value(entry)) is not None]
        limits: list[tuple[float, float] | None] = []
        for _, entry in placed:
            told = entry["difference"][split][name]["interval"] if entry["difference"] else None
            level = dense.get(entry["level"], dense.get(None))
            limits.append((max(0.0, level + told[0]), level + told[1]) if told and level is not None else None)
        points = [
            (x, single)
            for x, entry in placed
            if len(entry["seeds"]) > 1
            for single in entry["ap50"][split][name]["values"]
        ]
        xs, ys = [x for x, _ in placed], [entry["ap50"][split][name]["mean"] for _, entry in placed]
        found.append(figures.Curve(kind, xs, ys, limits, points))
    return found


def _zeros(report: Report, options: PruneConfig, subject: Subject, result: Mapping[str, Any]) -> None:
    report.section("Where the zeros are")
    chosen = [kernel.name for kernel in targets.kernels(subject.model, options.layers or "conv")]
    bars = {
        f"{100 * entry['sparsity']:.4g} %": {name: entry["by_kernel"][name] for name in chosen}
        for entry in result["levels"]
        if entry["kind"] == PRUNED
    }
    report.figure(figures.sparsity_bars(bars), "Fraction of zeros in each kernel, at each level, of the first seed.")
    for entry in result["levels"]:
        if told := magnitude.emptied(entry["by_kernel"]):
            report.text(f"{entry['kind'].capitalize()}, {results.amount(result, entry)}: {told}.")
    run = results.shown(result)
    weights = [_kernels(model, chosen) for model in (subject.model, load_detector(run["out"]))]
    sparsity = f"{100 * run['sparsity']:.4g} %"
    caption = f"Weights that are not zero, as given and at {sparsity} after retraining; counts on a logarithmic scale."
    report.figure(figures.weight_histograms(*weights), caption)
    report.text(ZEROS_NOTE)


def _forms(report: Report, result: Mapping[str, Any]) -> None:
    """What each exported form is worth: bytes, latency, zeros, difference."""
    measured = result["measured"]
    if measured is None:
        return
    report.section("Exported forms")
    report.table(*comparison.rows(measured), f"One image of {result['input']}. {comparison.caption(measured)}")
    for line in comparison.left_out(measured):
        report.text(line)


def _kernels(model: Any, names: Sequence[str]) -> dict[str, np.ndarray]:
    return {kernel.name: kernel.numpy() for kernel in targets.walk(model) if kernel.name in names}


def pictures(report: Report, options: PruneConfig, subject: Subject, judge: Judge, result: Mapping[str, Any]) -> None:
    """The same images with truth, the dense control's detections and the pruned model's."""
    split, run = options.splits[-1], results.shown(result)
    dense = [each for each in result["runs"] if each["kind"] == DENSE and each["level"] in (None, run["level"])]
    first = Path(dense[0]["out"]) if dense else options.out / START
    named = "dense, trained as long" if dense else "dense, as given"
    sets = {named: judge.detections(first, split)}
    sets[f"pruned, {results.amount(result, run)}"] = judge.detections(Path(run["out"]), split)
    view, names = subject.store[split], subject.classes.names
    report.section("Detections, dense and pruned")
    report.text(f"Images spread over the split {split}; detections that score {SCORE:g} or more.")
    for index in spread(len(view), options.pictures):
        true = judge.truths[split][index]
        image = resize(view.images(index)[0], true.size)
        cells = [draw(image, truth=true, class_names=names)]
        cells += [draw(image, found[index], class_names=names, score_threshold=SCORE) for found in sets.values()]
        report.image(grid(cells, columns=1, titles=("truth", *sets)), view.ids[index])


def _sparse(run: Mapping[str, Any]) -> list[Any]:
    return [f"{100 * run['sparsity']:.4g} %", run["nonzero"], run["macs_nonzero"]]


def close(
    report: Report,
    options: PruneConfig,
    result: Mapping[str, Any],
    head: list[str],
    told: Callable[[Mapping[str, Any]], list[Any]],
    note: str = "",
) -> Path:
    """The page's end: all trainings, and where the numbers come from; writes it.

    Args:
        report: the page.
        options: of the verb.
        result: of `verb.prune`, but for the report.
        head: what the columns of `told` are.
        told: of a run, beside its folder, epochs and minutes.
        note: below the table of the trainings.

    Returns:
        The page's path.
    """
    report.section("The trainings")
    body = []
    for run in result["runs"]:
        best = None if run["best_epoch"] is None else run["best_epoch"] + 1
        folder = str(Path(run["out"]).relative_to(options.out))
        body.append([folder, *told(run), run["epochs"], best, round(run["seconds"] / 60, 1)])
    report.table(["run folder", *head, "epochs", "best", "minutes"], body, note)
    origin(report, command("prune", options))
    path = options.out / "report.html"
    report.write(path)
    return path
