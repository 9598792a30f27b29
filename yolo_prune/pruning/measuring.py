"""Bytes and latency of the levels beside the dense detector, all in one run, so that they meet the same machine."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prune_tools import comparison
from prune_tools import runtimes as kinds
from run_tools import files
from run_tools.optional import missing
from yolo_prune.export import check_images
from yolo_prune.models import digest, load_detector
from yolo_prune.pruning.options import PruneConfig
from yolo_prune.pruning.plan import DENSE, Subject

MEASURED = "measured.json"


def check(options: PruneConfig) -> None:
    """InputError where `options.runtimes` names what is no runtime."""
    if options.runtimes:
        kinds.check_kinds(options.runtimes, comparison.RUNTIMES, "runtime")


def measure(options: PruneConfig, subject: Subject, networks: Mapping[str, Path]) -> dict[str, Any] | None:
    """Writes the detectors in all formats and times them in turns, or reads what was found of the same ones before.

    Args:
        options: of the verb.
        subject: what is pruned, which is measured as "dense".
        networks: name → run folder or file of a smaller one.

    Returns:
        What `prune_tools.comparison.compare` returns, and `"gains": [{"model", "format", "bytes", "smaller",
        "milliseconds", "faster"}]`, `smaller` and `faster` being how many times against the dense one in that format
        (None where it has no latency); None where no runtime is wanted or nothing was pruned.
    """
    if not options.runtimes or not networks:
        return None
    path = options.out / MEASURED
    asked = {"runtimes": list(options.runtimes), "networks": {name: digest(one) for name, one in networks.items()}}
    if path.is_file():
        known: dict[str, Any] = files.read_json(path)
        # What was left out is measured as soon as its runtime is there.
        if known["asked"] == asked and len(missing(known["missing"].values())) == len(known["missing"]):
            return known
    models = {DENSE: subject.model} | {name: load_detector(one) for name, one in networks.items()}
    inputs = {"image": check_images(subject.model)[:1].astype("float32") / 255}
    result = comparison.compare(models, options.runtimes, inputs)
    result |= {"gains": gains(result["rows"]), "asked": asked}
    files.write_json(path, result)
    read: dict[str, Any] = files.read_json(path)
    return read


def gains(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """How many times smaller and faster each row of `comparison.compare` is than the dense one's of the same format."""
    dense = {row["format"]: row for row in rows if row["model"] == DENSE}
    found = []
    for row in rows:
        base = dense[row["format"]]
        timed = row["milliseconds"] is not None
        found.append({
            "model": row["model"], "format": row["format"], "bytes": row["bytes"], "milliseconds": row["milliseconds"],
            "smaller": base["bytes"] / row["bytes"],
            "faster": base["milliseconds"] / row["milliseconds"] if timed else None,
        })  # fmt: skip
    return found


def rows(measured: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Latency and bytes for a terminal.

    Args:
        measured: of `measure`.

    Returns:
        `(head, rows)`, all texts, a row a network and format; how many times better than the dense one in brackets.
    """
    body = []
    for row in measured["gains"]:
        times = "-" if row["milliseconds"] is None else f"{row['milliseconds']:.2f} ({row['faster']:.2f}×)"
        body.append([row["model"], row["format"], times, f"{row['bytes'] / 1e6:.2f} ({row['smaller']:.2f}×)"])
    return ["", "format", "milliseconds", "megabytes"], body


def fastest(measured: Mapping[str, Any]) -> str | None:
    """The format in which the dense detector is fastest: what a smaller one has to be compared with."""
    timed = [row for row in measured["gains"] if row["model"] == DENSE and row["milliseconds"] is not None]
    return min(timed, key=lambda row: row["milliseconds"])["format"] if timed else None
