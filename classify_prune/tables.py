"""The verbs' results as text for people."""

from typing import Any

from data_tools.tables import grid

SHOWN = 20
"""So many lines of classes or pictures; programs get all of them with --json."""


def percent(share: float | None) -> str:
    """A share in 0–1 as percent, or a dash for one that does not exist."""
    return "-" if share is None else f"{100 * share:.1f} %"


def train_table(result: dict[str, Any]) -> str:
    """The result of `train`."""
    told = (
        f"{result['out']}: {result['epochs']} epochs of {result['images']} images in {result['seconds'] / 60:.1f} min, "
        f"{result['parameters']:,} parameters\n"
    )
    if result["best_epoch"] is None:
        return told + f"no best checkpoint: {result['monitor']} was never a number"
    return told + f"best {result['monitor']} {result['best']:.4f} in epoch {result['best_epoch'] + 1}"


def run_lines(run: dict[str, Any]) -> str:
    """Where an evaluation's numbers come from, in a sentence or two."""
    widths = " ".join(map(str, run["widths"]))
    told = f"{run['model']} ({run['network']}, widths {widths}, {run['parameters']:,} parameters) "
    told += f"on the split {run['split']} of {run['data']} ({run['source']}), task {run['task']}"
    if run.get("epochs"):
        told += f"; trained {run['epochs']} epochs in {run['train_seconds'] / 60:.1f} min, seed {run['seed']}"
        told += f", best epoch {run['best_epoch'] + 1}" if run["best_epoch"] is not None else ""
    return told


def headline(result: dict[str, Any]) -> str:
    """Accuracy with its interval and what it compares with."""
    low, high = result["interval"]
    told = f"accuracy {percent(result['accuracy'])} [{percent(low)}, {percent(high)}] of {result['images']} images"
    told += f"; mean over the classes {percent(result['balanced_accuracy'])}"
    if result["top5"] is not None:
        told += f"; among the first five {percent(result['top5'])}"
    told += f"; always answering {result['majority']['class']} {percent(result['majority']['accuracy'])}\n"
    return told + f"cross-entropy {result['loss']:.4f}, expected calibration error {result['ece']:.4f}"


def class_rows(result: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """One row a class that has images or was answered: `(head, rows)`, all texts."""
    rows = [
        [name, str(found["images"]), percent(found["accuracy"]), percent(found["precision"])]
        for name, found in result["classes"].items()
        if found["images"] or found["precision"] is not None
    ]
    return ["class", "images", "accuracy", "precision"], rows


def evaluate_table(result: dict[str, Any]) -> str:
    """The result of `evaluate`."""
    head, rows = class_rows(result)
    parts = [run_lines(result["run"]), headline(result), grid([head, *rows[:SHOWN]])]
    if len(rows) > SHOWN:
        parts[-1] += f"\nand {len(rows) - SHOWN} more"
    return "\n\n".join([*parts, f"open {result['report']}"] if "report" in result else parts)


def predict_table(result: dict[str, Any]) -> str:
    """The result of `predict`: a line a picture or video."""
    told = []
    for name, video in result["videos"].items():
        counts = ", ".join(f"{count} {kind}" for kind, count in video["counts"].items())
        told.append(f"{name}: {_classes(video['mean'])} in the mean; {video['frames']} images: {counts}")
    told += [f"{name}: {_classes(found)}" for name, found in result["images"].items()]
    lines = told[:SHOWN] + ([f"and {len(told) - SHOWN} more"] if len(told) > SHOWN else [])
    return "\n".join([*lines, *(f"left out: {reason}" for reason in result["skipped"].values())])


def _classes(found: list[dict[str, Any]]) -> str:
    return ", ".join(f"{entry['class']} {percent(entry['probability'])}" for entry in found)
