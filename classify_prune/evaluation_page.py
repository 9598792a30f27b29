"""`evaluate --report`: a page, and the same figures as PNG files beside it."""

from pathlib import Path
from typing import Any

from classify_prune import figures
from classify_prune.tables import class_rows, headline, run_lines
from data_tools.image_files import encode_png
from run_tools import files
from run_tools.figures import pixels
from run_tools.report import Report
from run_tools.summaries import origin

CAPTIONS = {
    "confusion": "What the images of each class were taken for; shades are shares of the row.",
    "calibration": "Images by the probability of the class they were taken for: how many of them were right (bars), "
    "their mean probability (dots), and how many there are (below). On the dashed line a classifier is right as often "
    "as it says.",
}


def write_page(out: Path, result: dict[str, Any]) -> Path:
    """Writes `report.html`, which holds everything, and beside it the figures.

    Args:
        out: the folder; what else is in it stays.
        result: what `verbs.evaluate` returns.

    Returns:
        The page's path.
    """
    drawn = {name: pixels(figure) for name, figure in figures.of(result).items()}
    report = Report("Evaluation of a classifier", run_lines(result["run"]))
    report.section("Result")
    report.text(headline(result))
    head, rows = class_rows(result)
    report.table(head, [[None if cell == "-" else cell for cell in row] for row in rows])
    report.section("Confusion and calibration")
    for name, picture in drawn.items():
        report.image(picture, CAPTIONS[name])
    origin(report)
    for name, picture in drawn.items():
        with files.atomic_path(out / f"{name}.png") as temporary:
            temporary.write_bytes(encode_png(picture))
    report.write(out / "report.html")
    return out / "report.html"
