"""`evaluate --report`: a page, and the same figures and sheets as PNG files beside it."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from data_tools.store import SplitView
from run_tools import files
from run_tools.figures import pixels
from run_tools.folder import environment
from run_tools.report import Report
from yolo_prune import evaluation_figures as figures
from yolo_prune.evaluation.outcomes import confusion, outcomes
from yolo_prune.evaluation.tables import sections
from yolo_prune.options import EvaluateConfig
from yolo_prune.outputs import write_picture
from yolo_prune.records import Detections, Truth
from yolo_prune.sheets import worst_sheets
from yolo_prune.tables import main_table, run_lines

CAPTIONS = {
    "precision_recall_coco": "Precision against recall as the score threshold falls, by pycocotools: a detection "
    "counts from an overlap (IoU) of .5. AP50 is the mean over the 101 recalls.",
    "precision_recall_kitti": "KITTI's official curve, moderate: IoU above .7 for cars, .5 for pedestrians and "
    "cyclists; 41 recalls, of which AP40 averages all but the first.",
    "confusion": "What the true boxes were called at score {score:g} or more, one-to-one at IoU above .5. The last row "
    "is detections of nothing; shades are shares of the row.",
    "scores": "How high detections score that found a true box of their class, and those that did not; the count is "
    "logarithmic.",
}
SHEETS = """The images with the most mistakes first: true boxes that nobody found and detections that are wrong, both
framed in red, at score {score:g} or more. Above the true boxes (dashed; hatched regions count as neither object nor
background), below the detections."""


def write_page(
    out: Path,
    options: EvaluateConfig,
    evaluation: dict[str, Any],
    view: SplitView,
    true: Sequence[Truth],
    found: Sequence[Detections],
    names: Sequence[str],
) -> Path:
    """Writes `report.html`, which holds everything, and beside it the figures and `worst/RANK_ID.png`.

    Args:
        out: the folder; what else is in it stays, but for an earlier `worst`.
        options: of the verb.
        evaluation: what `verbs.evaluate` returns.
        view: the split.
        true: one an image of the split, in pixels of the original.
        found: likewise.
        names: of the head's classes.

    Returns:
        The page's path.
    """
    drawn = _figures(true, found, names, options.score)
    results = outcomes(true, found, options.picture_score)
    sheets = worst_sheets(view, true, found, results, names, options.picture_score, options.picture_count)
    report = Report("Evaluation of a detector", run_lines(evaluation["run"]))
    report.section("Result")
    for caption, head, rows in [("", *main_table(evaluation)), *sections(evaluation)]:
        # Without a number there is None, so that the column still counts as one of numbers.
        report.table(head, [[None if cell == "-" else cell for cell in row] for row in rows], caption)
    report.section("Curves and confusion")
    for name, figure in drawn.items():
        report.figure(figure, CAPTIONS[name].format(score=options.score))
    report.section("Worst images")
    report.text(SHEETS.format(score=options.picture_score) if sheets else "No image holds a mistake.")
    for name, picture in sheets.items():
        report.image(picture, name)
    _origin(report, options.seed)
    for name, figure in drawn.items():
        write_picture(out / f"{name}.png", pixels(figure))
    with files.atomic_path(out / "worst") as folder:  # anew, as the ranks of an earlier evaluation mean nothing here
        folder.mkdir()
        for rank, (name, picture) in enumerate(sheets.items(), start=1):
            write_picture(folder / f"{rank:02d}_{name}.png", picture)
    report.write(out / "report.html")
    return out / "report.html"


def _figures(true, found, names: Sequence[str], score: float) -> dict[str, Any]:
    matrix = confusion(true, outcomes(true, found, score), len(names))
    drawn = {
        "precision_recall_coco": figures.coco_curves(true, found, names),
        "precision_recall_kitti": figures.kitti_curves(true, found, names),
        "confusion": figures.confusion_matrix(matrix, names),
        "scores": figures.score_histograms(true, found, names),
    }
    return {name: figure for name, figure in drawn.items() if figure is not None}


def _origin(report: Report, seed: int) -> None:
    """The command and what it ran on."""
    kept = environment(seed)
    report.section("How this was made")
    report.code(shlex.join(kept["command"]))
    libraries = ", ".join(f"{name} {version}" for name, version in kept["libraries"].items())
    rows = [["libraries", f"Python {kept['python']}, {libraries}"], ["code", str(kept.get("git") or kept["package"])]]
    report.table(["", ""], rows)
