"""The report page of a run: what was trained on what, the main table, curves, pictures, and the command behind it."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from run_tools import files
from run_tools.folder import RunFolder
from run_tools.report import Report
from yolo_prune.evaluation.one_to_one import matchings
from yolo_prune.records import Detections, Truth
from yolo_prune.tables import main_table, run_lines

LOSSES = {
    "loss": "total",
    "box": "box",
    "objectness": "objectness",
    "background": "background",
    "classification": "class",
    "prior": "prior",
}
TABLE_CAPTION = """AP50: average precision when a detection counts from an overlap (IoU) of .5, by pycocotools; AP: its
mean over IoU .5 to .95. Precision and recall at score {score:g}: first with each object found at most once, then as
paper 003 counts, which takes duplicates for hits."""
PICTURE_NOTE = """Each picture shows an image twice: above with its true boxes (dashed; hatched regions count as
neither object nor background), below with what the detector found and how sure it is."""


def write_report(
    folder: RunFolder,
    title: str,
    evaluation: dict[str, Any],
    true: Sequence[Truth],
    found: Sequence[Detections],
    class_names: Sequence[str],
    pictures: Mapping[str, np.ndarray],
    notes: str,
    export: Mapping[str, Any] | None = None,
    command: Sequence[str] | None = None,
    path: str | Path | None = None,
) -> Path:
    """Writes the report page of a run.

    Args:
        folder: the run.
        title: heading of the page.
        evaluation: what `evaluate` returned.
        true: truths of the split, for the precision-recall curves.
        found: detections of the split.
        class_names: of the head.
        pictures: caption → uint8 RGB, truth above detections.
        notes: first paragraphs: what the data is.
        export: what `export` returned.
        command: the words that made the run; None: those that the run folder keeps.
        path: where to; None: `report.html` in the run folder.

    Returns:
        The page's path.
    """
    report = Report(title, _subtitle(evaluation["run"]))
    report.text(notes)
    _result(report, evaluation, true, found, class_names)
    _training(report, folder.metrics())
    if pictures:
        report.section("Detections")
        report.text(PICTURE_NOTE)
        for caption, picture in pictures.items():
            report.image(picture, caption)
    if export:
        _export(report, export)
    _origin(report, folder, evaluation["run"], command)
    path = Path(path) if path is not None else folder.path("report.html")
    report.write(path)
    return path


def _subtitle(run: dict[str, Any]) -> str:
    """The run in a line, without paths."""
    height, width = run["input"]
    told = f"{run['parameters']:,} parameters, input {width}x{height}"
    if run.get("epochs"):
        images = f" on {run['train_images']} images" if "train_images" in run else ""
        told += f", trained {run['epochs']} epochs{images} in {run['train_seconds'] / 60:.1f} minutes"
    return f"{told}, judged on {run['images']} images of the split {run['split']}"


def _result(report: Report, evaluation: dict[str, Any], true, found, class_names: Sequence[str]) -> None:
    report.section("Result")
    head, rows = main_table(evaluation)
    # Without a number there is None, so that the column still counts as one of numbers.
    cells = [[None if cell == "-" else cell for cell in row] for row in rows]
    report.table(head, cells, TABLE_CAPTION.format(score=evaluation["run"]["score"]))
    caption = "Precision against recall as the score threshold falls, one-to-one matching at IoU .5."
    report.figure(precision_recall(true, found, class_names), caption)


def _training(report: Report, history: Sequence[dict[str, Any]]) -> None:
    report.section("Training")
    report.figure(loss_curves(history), "The loss and its parts, mean over the images; solid: train, dashed: val.")
    caption = "Left: AP50 on the split val. Right: how well the anchors that answer for a true box fit it; dashed: val."
    report.figure(quality_curves(history), caption)


def _export(report: Report, export: Mapping[str, Any]) -> None:
    report.section("Export")
    report.text(
        "Written as TensorFlow SavedModels, read back and compared with the model on street scenes before they count. "
        "Both take RGB images, float32 in 0 to 1 (signature `serving_default`) or uint8 (signature `uint8`)."
    )
    rows = [
        [name, told["path"], f"{told['bytes'] / 1e6:.1f}", str(told["compared"]), f"{told['max_difference']:.1g}"]
        for name, told in export.items()
    ]
    report.table(["answers", "folder", "MB", "values compared", "largest difference"], rows)


def _origin(report: Report, folder: RunFolder, run: dict[str, Any], command: Sequence[str] | None) -> None:
    """The command and what it ran on."""
    file = folder.path("environment.json")
    kept = files.read_json(file) if file.is_file() else {}
    report.section("How this was made")
    words = command or kept.get("command")
    if words:
        report.code(shlex.join(words))
    report.text(run_lines(run))
    if not kept:
        return
    libraries = ", ".join(f"{name} {version}" for name, version in (kept.get("libraries") or {}).items())
    rows = {
        "libraries": f"Python {kept.get('python')}, {libraries}",
        "machine": f"{kept.get('platform')}, {kept.get('cpus')} CPUs",
        "code": kept.get("git") or kept.get("package"),
        "seed": kept.get("seed"),
        "run folder": folder.path(),
    }
    report.table(["", ""], [[name, str(value)] for name, value in rows.items() if value is not None])


def _figure(width: float = 9.0, height: float = 3.4, columns: int = 1):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, np.atleast_1d(figure.subplots(1, columns))


def _series(history: Sequence[dict[str, Any]], name: str) -> tuple[list[int], list[float]]:
    """Epochs (from 1) and values of a logged quantity, where it was logged."""
    points = [(row["epoch"] + 1, row[name]) for row in history if row.get(name) is not None]
    return [epoch for epoch, _ in points], [value for _, value in points]


def _finish(axes, history: Sequence[dict[str, Any]]) -> None:
    """Grid, whole epochs and a legend where there is anything to name."""
    from matplotlib.ticker import MaxNLocator

    for axis in axes:
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.set_xlim(0.5, max((row["epoch"] for row in history), default=0) + 1.5)
        axis.grid(alpha=0.3)
        if axis.get_legend_handles_labels()[0]:
            axis.legend(fontsize="small", ncols=2)


def loss_curves(history: Sequence[dict[str, Any]]):
    """A figure of the loss's components over the epochs, on a logarithmic scale."""
    figure, (axis,) = _figure()
    for index, (name, label) in enumerate(LOSSES.items()):
        epochs, values = _series(history, name)
        if epochs:
            axis.plot(
                epochs, values, color=f"C{index}", label=label, linewidth=2 if name == "loss" else 1.2, marker="."
            )
        epochs, values = _series(history, f"val_{name}")
        if epochs:
            axis.plot(epochs, values, color=f"C{index}", linestyle="--", marker=".", markersize=3)
    axis.set(xlabel="epoch", ylabel="loss", yscale="log")
    _finish([axis], history)
    return figure


def quality_curves(history: Sequence[dict[str, Any]]):
    """A figure of AP50 a class and of the anchors' average IoU and recall over the epochs."""
    figure, (left, right) = _figure(columns=2)
    names = sorted({name for row in history for name in row if name.startswith("val_ap50")})
    for name in names:
        epochs, values = _series(history, name)
        label = name.removeprefix("val_ap50").lstrip("_") or "mean"
        left.plot(epochs, values, marker=".", label=label, linewidth=2.5 if label == "mean" else 1.2)
    left.set(xlabel="epoch", ylabel="AP50 on val", ylim=(0, 1.02))
    for index, name in enumerate(("average_iou", "recall")):
        for prefix, style in (("", "-"), ("val_", "--")):
            epochs, values = _series(history, prefix + name)
            shown: str | None = None if prefix else {"average_iou": "average IoU", "recall": "share above IoU .5"}[name]
            right.plot(epochs, values, linestyle=style, marker=".", color=f"C{index}", label=shown)
    right.set(xlabel="epoch", ylabel="fit of the anchors", ylim=(0, 1.02))
    _finish((left, right), history)
    return figure


def precision_recall(true: Sequence[Truth], found: Sequence[Detections], class_names: Sequence[str]):
    """A figure of the precision-recall curve of each class that has true boxes."""
    figure, (axis,) = _figure(width=9.0, height=3.8)
    for name, matching in matchings(true, found, class_names).items():
        curve = matching.curve()
        if len(curve["recall"]) and np.isfinite(curve["recall"]).all():
            axis.plot(curve["recall"], curve["precision"], label=f"{name} ({matching.total})")
    axis.set(xlabel="recall", ylabel="precision", xlim=(0, 1.01), ylim=(0, 1.02))
    axis.grid(alpha=0.3)
    if axis.get_legend_handles_labels()[0]:
        axis.legend(title="class (true boxes)", fontsize="small", loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure
