"""Tables, figures and report pages of the two studies."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from run_tools.report import Report
from yolo_prune.evaluation.tables import aligned
from yolo_prune.experiments.options import StudyConfig
from yolo_prune.experiments.pages import command, new_figure, origin, write_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLES = {
    "anchors": "Anchors for wide images",
    "depth": "How many layers to retrain",
}
WORDS = {
    "anchors": """Every row is the same training with other anchors. The fit is the mean IoU of a training box with the
anchor that fits it best, both laid on one centre, at this input.""",
    "depth": """Every row is the same training with another number of convolutions free, counted from the top; the
others keep the weights that they started with. An epoch's seconds are those of training alone.""",
}
NOTE = """AP50 is the mean over the classes shown by name, those with at least 50 true boxes. Precision and recall at
score {score:g} are one-to-one, over all boxes together."""


def columns(result: Mapping[str, Any]) -> tuple[list[str], list[list[Any]]]:
    """The study's table.

    Args:
        result: of `studies.anchors` or `studies.depth`.

    Returns:
        `(head, rows)`; numbers are numbers, or None where there is none.
    """
    rows: Mapping[str, Any] = result["rows"]
    classes = list(next(iter(rows.values()))["by_class"])
    if result["kind"] == "anchors":
        first = ["anchors", "fit", *(f"fit {kind}" for kind in classes)]
    else:
        first = ["layers", "weights that learn", "s an epoch"]
    head = [*first, "min", "min to best", "AP50", *(f"AP50 {kind}" for kind in classes), "precision", "recall"]
    body = []
    for name, row in rows.items():
        if result["kind"] == "anchors":
            cells = [name, row["mean_iou"], *(row["iou_by_class"].get(kind) for kind in classes)]
        else:
            cells = [str(row["layers"]), row["trainable"], row["epoch_seconds"]]
        cells += [round(row[key] / 60, 2) for key in ("seconds", "seconds_to_best")]
        cells += [row["AP50"], *(row["by_class"][kind]["AP50"] for kind in classes), row["precision"], row["recall"]]
        body.append(cells)
    return head, body


def text(result: Mapping[str, Any]) -> str:
    """The table for a terminal."""
    head, body = columns(result)
    lines = [aligned(head, [[_cell(cell) for cell in row] for row in body]), "", origin_line(result)]
    return "\n".join([*lines, f"{result['seconds'] / 60:.1f} min now; open {result['report']}"])


def origin_line(result: Mapping[str, Any]) -> str:
    """Data, size, weights and budget in a line."""
    images = ", ".join(f"{count} {name}" for name, count in result["images"].items())
    weights = f"from {result['weights']}" if result["weights"] else "from scratch"
    return f"{result['data']}; images: {images}; input {result['input']}; {result['epochs']} epochs each, {weights}"


def write(options: StudyConfig, result: Mapping[str, Any]) -> dict[str, str]:
    """Writes `study.png` and `report.html`.

    Args:
        options: what was run.
        result: its rows and facts.

    Returns:
        `{"figure", "report"}`: their paths.
    """
    figure = anchor_figure(result) if result["kind"] == "anchors" else depth_figure(result)
    report = Report(TITLES[result["kind"]], origin_line(result))
    report.text(WORDS[result["kind"]])
    report.section("Result")
    head, body = columns(result)
    report.table(head, body, NOTE.format(score=result["score"]))
    report.figure(figure, "The same numbers.")
    if result["kind"] == "anchors":
        report.section("The anchors")
        listed = [
            [name, "  ".join(f"{wide:.2f} x {high:.2f}" for wide, high in row["anchors"])]
            for name, row in result["rows"].items()
        ]
        report.table(["set", "width x height, in cells of 32 pixels"], listed)
    origin(report, command(f"study {result['kind']}", options))
    out = options.out
    report.write(out / "report.html")
    return {"figure": str(write_figure(out / "study.png", figure)), "report": str(out / "report.html")}


def anchor_figure(result: Mapping[str, Any]) -> "Figure":
    """Left: the sizes themselves. Right: fit, AP50, precision and recall of each set."""
    figure, (left, right) = new_figure(2)
    rows = result["rows"]
    for (name, row), marker in zip(rows.items(), "os^Dvp*", strict=False):
        wide, high = zip(*row["anchors"], strict=True)
        left.plot(wide, high, marker, label=name, alpha=0.8)
    left.set(xlabel="width, cells", ylabel="height, cells", xscale="log", yscale="log")
    left.legend(fontsize="small")
    for index, (key, label) in enumerate({"mean_iou": "fit", **_SCORES}.items()):
        values = [row[key] or 0.0 for row in rows.values()]
        right.bar([place + (index - 1.5) * 0.2 for place in range(len(rows))], values, 0.2, label=label)
    right.set_xticks(range(len(rows)), rows)
    right.set_ylim(0, 1)
    right.legend(fontsize="small", ncols=2)
    return figure


_SCORES = {"AP50": "AP50", "precision": "precision", "recall": "recall"}


def depth_figure(result: Mapping[str, Any]) -> "Figure":
    """Left: AP50, precision and recall over the number of layers. Right: seconds an epoch, minutes to the best."""
    figure, (left, right) = new_figure(2)
    rows = sorted(result["rows"].values(), key=lambda row: row["layers"])
    layers = [row["layers"] for row in rows]
    for key, label in _SCORES.items():
        known = [row for row in rows if row[key] is not None]
        left.plot([row["layers"] for row in known], [row[key] for row in known], marker=".", label=label)
    left.set(xlabel="convolutions that learn", ylim=(0, 1), xticks=layers)
    left.legend(fontsize="small")
    right.plot(layers, [row["epoch_seconds"] for row in rows], marker=".", label="seconds an epoch")
    right.set(xlabel="convolutions that learn", ylabel="seconds an epoch", xticks=layers, ylim=(0, None))
    other = right.twinx()
    other.plot(layers, [row["seconds_to_best"] / 60 for row in rows], "C1--", marker=".", label="minutes to the best")
    other.set(ylabel="minutes to the best epoch", ylim=(0, None))
    lines = [*right.get_lines(), *other.get_lines()]
    right.legend(lines, [str(line.get_label()) for line in lines], fontsize="small", loc="lower right")
    return figure


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, int):
        return f"{value:,}"
    return value if isinstance(value, str) else f"{value:.3f}"
