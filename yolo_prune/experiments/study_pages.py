"""Tables, figures and report pages of the two studies."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from run_tools.report import Report
from yolo_prune.evaluation.tables import aligned, signed, with_limits
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
others keep the weights that they started with. An epoch's seconds are those of the fastest one, training alone.""",
}
NOTE = """AP50 is the mean over the classes shown by name, those with at least 50 true boxes. Precision and recall at
score {score:g} are one-to-one, over all boxes together."""
INTERVALS = """95 % intervals from {count:,} resamples of the test images, the same for all rows. Another seed of the
same training would differ too; that is not in them."""


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


def intervals(result: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """The figures with their intervals, and the differences to the row that the others are compared with.

    Args:
        result: of `studies.anchors` or `studies.depth`, with resamples.

    Returns:
        `(head, rows)`.
    """
    rows: Mapping[str, Any] = result["rows"]
    classes = list(next(iter(rows.values()))["by_class"])
    of_layers = result["kind"] == "depth"
    title = _title(result, result["reference"]) + (" layers" if of_layers else "")
    head = ["layers" if of_layers else "anchors", "AP50", *(f"AP50 {kind}" for kind in classes), "precision", "recall"]
    head += [f"AP50 minus that of {title}", "recall minus"]
    body = []
    for name, row in rows.items():
        limits, against = row["intervals"], row["against"]["all"]
        cells = [_title(result, name), with_limits(row["AP50"], limits["all"]["AP50"], 3)]
        cells += [with_limits(row["by_class"][kind]["AP50"], limits[kind]["AP50"], 3) for kind in classes]
        cells += [with_limits(row[key], limits["all"][key], 3) for key in ("precision", "recall")]
        for key in ("AP50", "recall"):
            cells.append("-" if name == result["reference"] else signed(against[key], 3))
        body.append(cells)
    return head, body


def _title(result: Mapping[str, Any], name: str) -> str:
    """What a row is called in a table."""
    return name if result["kind"] == "anchors" else str(result["rows"][name]["layers"])


def text(result: Mapping[str, Any]) -> str:
    """The tables for a terminal."""
    head, body = columns(result)
    lines = [aligned(head, [[_cell(cell) for cell in row] for row in body]), ""]
    if result["bootstrap"]:
        lines += [aligned(*intervals(result)), INTERVALS.format(count=result["bootstrap"]).replace("\n", " "), ""]
    lines.append(origin_line(result))
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
    if result["bootstrap"]:
        report.table(*intervals(result), INTERVALS.format(count=result["bootstrap"]))
    report.figure(figure, "The same numbers" + (", with their intervals." if result["bootstrap"] else "."))
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
    from matplotlib.ticker import LogLocator, NullFormatter

    figure, (left, right) = new_figure(2)
    rows = result["rows"]
    for (name, row), marker in zip(rows.items(), "os^Dvp*", strict=False):
        wide, high = zip(*row["anchors"], strict=True)
        left.plot(wide, high, marker, label=name, alpha=0.8)
    left.set(xlabel="width, cells", ylabel="height, cells", xscale="log", yscale="log")
    for axis in (left.xaxis, left.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter(NullFormatter())
    left.legend(fontsize="small")
    for index, (key, label) in enumerate({"mean_iou": "fit", **_SCORES}.items()):
        values = [row[key] or 0.0 for row in rows.values()]
        places = [place + (index - 1.5) * 0.2 for place in range(len(rows))]
        right.bar(places, values, 0.2, label=label)
        for place, row in zip(places, rows.values(), strict=True):
            if limits := _limits(row, key):
                right.vlines(place, *limits, color="black", linewidth=1)
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
        (line,) = left.plot([row["layers"] for row in known], [row[key] for row in known], marker=".", label=label)
        sure = [(row["layers"], *limits) for row in known if (limits := _limits(row, key))]
        if sure:
            left.fill_between(*zip(*sure, strict=True), color=line.get_color(), alpha=0.15, linewidth=0)
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


def _limits(row: Mapping[str, Any], key: str) -> list[float] | None:
    """The interval of a row's figure over all classes, if it has one."""
    limits: list[float] | None = row.get("intervals", {}).get("all", {}).get(key)
    return limits


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, int):
        return f"{value:,}"
    return value if isinstance(value, str) else f"{value:.3f}"
