"""The verbs' results as text for people."""

import math
from typing import Any

from yolo_prune.evaluation.tables import aligned
from yolo_prune.evaluation.tables import table as metric_tables


def number(value: float | None, digits: int = 3) -> str:
    """A number with fixed digits, or a dash for one that does not exist."""
    return "-" if value is None else f"{value:.{digits}f}"


def train_table(result: dict[str, Any]) -> str:
    """The result of `train`."""
    told = (
        f"{result['out']}: {result['epochs']} epochs of {result['images']} images in {result['seconds'] / 60:.1f} min, "
        f"{result['parameters']:,} parameters\n"
    )
    if result["best_epoch"] is None:
        return told + f"no best checkpoint: {result['monitor']} was never measured"
    return told + f"best {result['monitor']} {number(result['best'], 4)} in epoch {result['best_epoch'] + 1}"


def main_table(result: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """The headline of an evaluation: AP50, both kinds of precision and recall, and counts, one row a class with truth.

    Args:
        result: what `verbs.evaluate` returns.

    Returns:
        `(head, rows)`, all texts, with the columns of the metrics that were asked for.
    """
    columns = [
        ("coco", "AP50", "AP50"),
        ("coco", "AP", "AP"),
        ("one_to_one", "precision", f"precision at {result['run']['score']:g}"),
        ("one_to_one", "recall", "recall"),
        ("paper", "precision", "paper's precision"),
        ("paper", "recall", "paper's recall"),
    ]
    shown = [column for column in columns if column[0] in result]
    rows = [
        [name, str(count), *(number(result[metric].get(name, {}).get(key)) for metric, key, _ in shown)]
        for name, count in result["truth"].items()
        if count
    ]
    return ["class", "true boxes", *(title for _, _, title in shown)], rows


def run_lines(run: dict[str, Any]) -> str:
    """Where an evaluation's numbers come from, in a sentence or two."""
    height, width = run["input"]
    told = f"{run['model']} on {run['images']} images of the split {run['split']} of {run['data']} ({run['source']}); "
    told += f"input {width}x{height}, {run['parameters']:,} parameters"
    if run.get("epochs"):
        images = f" of {run['train_images']} images" if "train_images" in run else ""
        told += f"; trained {run['epochs']} epochs{images} in {run['train_seconds'] / 60:.1f} min"
        told += f", best epoch {run['best_epoch'] + 1}" if run["best_epoch"] is not None else ""
    return told


def evaluate_table(result: dict[str, Any]) -> str:
    """The result of `evaluate`: the headline, then one table a metric."""
    head, rows = main_table(result)
    parts = [run_lines(result["run"]), aligned(head, rows), metric_tables(result)]
    return "\n\n".join([*parts, f"open {result['report']}"] if "report" in result else parts)


def export_table(result: dict[str, Any]) -> str:
    """The result of `export`: one line a format."""
    return "\n".join(_exported(name, told) for name, told in result.items())


def _exported(name: str, told: dict[str, Any]) -> str:
    zeros = told["zeros"]
    line = (
        f"{name}: {told['path']}, {told['bytes'] / 1e6:.2f} MB, zipped {told['zip_bytes'] / 1e6:.2f}, "
        f"{'detections' if told['nms'] else 'the raw head'}; read back, {told['compared']} of them differ from the "
        f"model's by at most {told['max_difference']:.1g} in {told['precision']} ({told['tolerance']:g} allowed)"
    )
    if zeros["kept"] is not None:
        line += f"; {zeros['kept']:.2%} of {zeros['zeros']:,} zeros kept"
    line += ", weights bit for bit" if zeros["exact"] else ", other weights changed (batch-norm or codebooks)"
    coarse = told.get("default_precision", told["precision"])
    if coarse != told["precision"]:
        line += f"\n  left to itself OpenVINO computes in {coarse} here"
        apart = told["default_difference"]
        line += "" if math.isnan(apart) else f" and differs by {apart:.1g}"
        line += "; INFERENCE_PRECISION_HINT f32 prevents it"
    return line


def demo_table(result: dict[str, Any]) -> str:
    """The result of `demo`."""
    head, rows = main_table(result["evaluation"])
    return "\n".join(
        [
            "synthetic street scenes, not real images",
            aligned(head, rows),
            "",
            f"{result['seconds'] / 60:.1f} min; open {result['report']}",
        ]
    )
