"""The report page of a run: what was trained on what, curves, the main table, pictures."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

from run_tools.folder import RunFolder
from run_tools.report import Report
from yolo_prune.evaluation.one_to_one import matchings
from yolo_prune.records import Detections, Truth
from yolo_prune.tables import main_table, run_lines

matplotlib.use("Agg")

LOSSES = ("loss", "box", "objectness", "background", "classification", "prior")


def write_report(
    folder: RunFolder,
    title: str,
    evaluation: dict[str, Any],
    true: Sequence[Truth],
    found: Sequence[Detections],
    class_names: Sequence[str],
    pictures: Sequence[np.ndarray],
    notes: str,
    export: dict[str, Any] | None = None,
) -> Path:
    """Writes `report.html` into a run folder.

    Args:
        folder: the run.
        title: heading of the page.
        evaluation: what `evaluate` returned.
        true: truths of the split, for the precision-recall curves.
        found: detections of the split.
        class_names: of the head.
        pictures: uint8 RGB, truth above detections.
        notes: first paragraphs: what the data is.
        export: what `export` returned.

    Returns:
        The page's path.
    """
    report = Report(title, run_lines(evaluation["run"]))
    report.text(notes)
    report.section("Result")
    head, rows = main_table(evaluation)
    caption = f"AP50 by pycocotools; precision and recall at score {evaluation['run']['score']:g}"
    report.table(head, rows, caption)
    report.figure(precision_recall(true, found, class_names), "Precision against recall at IoU .5, one-to-one matching")
    report.section("Training")
    history = folder.metrics()
    report.figure(loss_curves(history), "Loss by component, mean over the images; validation dashed")
    report.figure(quality_curves(history), "Validation AP50, and fit of the responsible anchors")
    report.section("Detections")
    for picture in pictures:
        report.image(picture)
    if export:
        report.section("Export")
        report.table(
            ["format", "folder", "MB", "suppression inside", "largest difference"],
            [
                [name, told["path"], told["bytes"] / 1e6, told["nms"], told["max_difference"]]
                for name, told in export.items()
            ],
        )
    path = folder.path("report.html")
    report.write(path)
    return path


def _figure(width: float = 9.0, height: float = 3.4, columns: int = 1):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, np.atleast_1d(figure.subplots(1, columns))


def _series(history: Sequence[dict[str, Any]], name: str) -> tuple[list[int], list[float]]:
    """Epochs (from 1) and values of a logged quantity, where it was logged."""
    points = [(row["epoch"] + 1, row[name]) for row in history if row.get(name) is not None]
    return [epoch for epoch, _ in points], [value for _, value in points]


def loss_curves(history: Sequence[dict[str, Any]]):
    """A figure of the loss's components over the epochs, on a logarithmic scale."""
    figure, (axis,) = _figure()
    for index, name in enumerate(LOSSES):
        epochs, values = _series(history, name)
        if epochs:
            axis.plot(epochs, values, color=f"C{index}", label=name)
        epochs, values = _series(history, f"val_{name}")
        if epochs:
            axis.plot(epochs, values, color=f"C{index}", linestyle="--", marker=".", markersize=3)
    axis.set(xlabel="epoch", ylabel="loss", yscale="log")
    axis.grid(alpha=0.3)
    axis.legend(ncols=3, fontsize="small")
    return figure


def quality_curves(history: Sequence[dict[str, Any]]):
    """A figure of AP50 a class and of the anchors' average IoU and recall over the epochs."""
    figure, (left, right) = _figure(columns=2)
    names = sorted({name for row in history for name in row if name.startswith("val_ap50")})
    for name in names:
        epochs, values = _series(history, name)
        label = name.removeprefix("val_ap50").lstrip("_") or "mean"
        left.plot(epochs, values, marker=".", label=label, linewidth=2 if label == "mean" else 1)
    left.set(xlabel="epoch", ylabel="AP50 on val", ylim=(0, 1))
    for index, name in enumerate(("average_iou", "recall")):
        for prefix, style in (("", "-"), ("val_", "--")):
            epochs, values = _series(history, prefix + name)
            label = (prefix + name).replace("_", " ")
            right.plot(epochs, values, linestyle=style, color=f"C{index}", label=label)
    right.set(xlabel="epoch", ylim=(0, 1))
    for axis in (left, right):
        axis.grid(alpha=0.3)
        axis.legend(fontsize="small")
    return figure


def precision_recall(true: Sequence[Truth], found: Sequence[Detections], class_names: Sequence[str]):
    """A figure of the precision-recall curve of each class that has true boxes."""
    figure, (axis,) = _figure(width=5.0, height=4.2)
    for name, matching in matchings(true, found, class_names).items():
        curve = matching.curve()
        if len(curve["recall"]) and np.isfinite(curve["recall"]).all():
            axis.plot(curve["recall"], curve["precision"], label=name)
    axis.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
    axis.grid(alpha=0.3)
    axis.legend(fontsize="small")
    return figure
