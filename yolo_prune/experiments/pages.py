"""Figures and report pages of the experiments."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from run_tools import config, files
from run_tools.report import Report
from run_tools.summaries import origin as origin  # the pages of other rooms have it too
from yolo_prune.experiments import table2
from yolo_prune.experiments.options import Paper003Config
from yolo_prune.experiments.recipes import RECIPES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

History = Sequence[Mapping[str, Any]]

TABLE_NOTE = """Precision / recall at score .7 and IoU .5. "Its metric" is the paper's Algorithm 1, which counts every
duplicate of a detection as a hit and takes a true box for found at any overlap; one-to-one is what everybody else
means. A dash: nothing was predicted, there is nothing to find, or the paper's text has lost the number."""
LOSS_NOTE = """Training loss (mean over the epoch's steps, while the weights change) and dev loss (after the epoch, all
validation images). Dotted: the epoch of the lowest dev loss, whose weights are judged. The paper shows the first two
trainings."""
DIFFERENCES = (
    "The source weights are those named above. The paper's are YOLOv2's own COCO weights.",
    "The loss has darknet's gradients; YAD2K's squares errors through the softmax.",
    "Misc and DontCare teach nothing and count nowhere. The paper trained both as classes and left them out of its "
    "table.",
    "Van counts as car and Person_sitting as person in every row, as Table 1 has it.",
    "The images are those of the compiled file. The paper had 800 for training, 100 for dev and 100 for test, and does "
    "not say how they were chosen.",
)


def write_figure(path: Path, figure: "Figure") -> Path:
    """Writes a figure as PNG, all or nothing; returns the path."""
    with files.atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120, bbox_inches="tight", facecolor="white")
    return path


def new_figure(columns: int, height: float = 3.4) -> tuple["Figure", list[Any]]:
    """A figure of axes side by side, each with a grid."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(min(4.2 * columns, 12.0), height), layout="constrained")
    axes = list(figure.subplots(1, columns, squeeze=False)[0])
    for axis in axes:
        axis.grid(alpha=0.3)
    return figure, axes


def loss_figure(histories: Mapping[str, History]) -> "Figure":
    """Fig. 2 of the paper: training and dev loss over the epochs.

    Args:
        histories: title of a training → what its run folder logged, one dict an epoch.

    Returns:
        One panel a training; losses are on a logarithmic scale.
    """
    from matplotlib.ticker import LogFormatter, MaxNLocator

    class Decimals(LogFormatter):
        """The same labels, .6 not as 6e-01."""

        def __call__(self, x: float, pos: int | None = None) -> str:
            return f"{x:g}" if super().__call__(x, pos) else ""

    figure, axes = new_figure(len(histories))
    for axis, (title, rows) in zip(axes, histories.items(), strict=True):
        for name, label in (("loss", "train"), ("val_loss", "dev")):
            points = [(row["epoch"] + 1, row[name]) for row in rows if row.get(name) is not None]
            axis.plot(*zip(*points, strict=True), label=label, marker="." if len(points) < 60 else "")
        best = min((row for row in rows if row.get("val_loss") is not None), key=lambda row: row["val_loss"])
        axis.axvline(best["epoch"] + 1, color="grey", linestyle=":")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.set(title=title, xlabel="epoch", ylabel="loss", yscale="log")
        for which in (axis.yaxis.set_major_formatter, axis.yaxis.set_minor_formatter):
            which(Decimals(minor_thresholds=(2, 0.4)))
        axis.legend()
    return figure


def best(told: Mapping[str, Any]) -> str:
    """The best checkpoint of a `Trainer.fit`'s result, in words."""
    if told["best_epoch"] is None:
        return "no best checkpoint"
    return f"best {told['monitor']} {told['best']:.4g} in epoch {told['best_epoch'] + 1}"


def quick_epochs() -> str:
    """How many epochs `--quick` leaves, in words."""
    given, whole = ("/".join(str(getattr(each, name)) for each in RECIPES) for name in ("quick_epochs", "epochs"))
    return f"{given} epochs instead of {whole}"


def write_paper003(options: Paper003Config, result: Mapping[str, Any], figure: "Figure") -> Path:
    """Writes `report.html` of paper 003's re-run.

    Args:
        options: what was run.
        result: as `paper003` returns it.
        figure: the losses.

    Returns:
        The page's path.
    """
    images = ", ".join(f"{count} {name}" for name, count in result["images"].items())
    quick = f"QUICK RUN, {quick_epochs()}. " if result["quick"] else ""
    report = Report("Paper 003, run again", f"{quick}{result['data']}; {images} images; input {result['input']}")
    report.text(f"Source weights: {result['source']}.")
    if not result["head"]:
        report.text("Its head has other classes: COCO-FT began with a fresh one, and the first row is empty.")
    report.section("Table 2")
    head, body = table2.cells(result["rows"])
    report.table(head, body, TABLE_NOTE)
    _counts(report, result["rows"])
    report.section("Fig. 2")
    report.figure(figure, LOSS_NOTE)
    report.section("The trainings")
    rows = [
        [title, told["epochs"], round(told["seconds"] / 60, 1), best(told), told["parameters"]]
        for title, told in result["runs"].items()
    ]
    report.table(["recipe", "epochs", "minutes", "best", "weights"], rows)
    report.section("What differs from the paper")
    report.text("\n".join(f"- {line}" for line in DIFFERENCES))
    origin(report, command("paper003", options))
    path = options.out / "report.html"
    report.write(path)
    return path


def _counts(report: Report, rows: Mapping[str, Any]) -> None:
    """True boxes, and AP50, which needs no score threshold."""
    known = {title: row for title, row in rows.items() if row is not None}
    if not known:
        return
    truth = next(iter(known.values()))["truth"]
    body = [["true boxes", *(truth[name] for name in table2.COLUMNS)]]
    for title, row in known.items():
        body.append([f"AP50, {title}", *(row["coco"][name]["AP50"] for name in table2.COLUMNS)])
    report.table(["", *table2.COLUMNS], body, "AP50 is ours, by pycocotools; few true boxes make any number here luck.")


def command(verb: str, options: Any) -> list[str]:
    """The words that run a verb again.

    Args:
        verb: its name.
        options: its config; what has its default is left out.
    """
    return ["yolo-prune", *verb.split(), *config.words(options)]
