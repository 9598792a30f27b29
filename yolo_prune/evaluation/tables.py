"""The metrics as text for people: one table a metric, classes without anything to tell left out."""

from collections.abc import Mapping, Sequence
from typing import Any

RATES = ("precision", "recall", "tp", "fp", "fn")
TITLES = {
    "paper": "paper 003, Algorithm 1 (duplicates count as true positives)",
    "one_to_one": "one-to-one matching, IoU > .5",
    "kitti": "KITTI, AP in percent",
    "coco": "COCO, AP 0-1",
}


def table(result: Mapping[str, Any]) -> str:
    """What `evaluate` returns, as text.

    Args:
        result: any of "paper", "one_to_one", "kitti" and "coco" by class; other keys are passed over.

    Returns:
        One table a metric, with a title line each, separated by empty lines.
    """
    parts = []
    for metric, title in TITLES.items():
        if metric in result:
            body = kitti_table(result[metric]) if metric == "kitti" else _by_class(result[metric])
            parts.append(f"{title}\n{body}")
    return "\n\n".join(parts)


def kitti_table(result: Mapping[str, Mapping[str, Mapping[str, float | None]]]) -> str:
    """KITTI's AP by class and difficulty, as text.

    Args:
        result: `{class: {difficulty: {"AP11", "AP40"}}}` in percent.

    Returns:
        One line a class.
    """
    columns = [(difficulty, key) for difficulty in ("easy", "moderate", "hard") for key in ("AP11", "AP40")]
    head = ["class", *(f"{difficulty} {key}" for difficulty, key in columns)]
    rows = [[name, *(_text(levels[d][key], 2) for d, key in columns)] for name, levels in result.items()]
    return aligned(head, rows)


def _by_class(result: Mapping[str, Mapping[str, Any]]) -> str:
    counts = ("tp", "fp", "fn")
    told = {name for name, row in result.items() if any(row[key] is not None for key in row if key not in counts)}
    shown = {name: row for name, row in result.items() if name in told} or result
    keys = list(next(iter(shown.values()), dict.fromkeys(RATES)))
    return aligned(["class", *keys], [[name, *(_text(row[key], 3) for key in keys)] for name, row in shown.items()])


def _text(value: float | None, digits: int) -> str:
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.{digits}f}"


def aligned(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns of text, the first to the left, the others to the right.

    Args:
        head: the columns' names.
        rows: the cells.

    Returns:
        The table with a rule under its head.
    """
    widths = [max(len(row[k]) for row in [head, *rows]) for k in range(len(head))]
    lines = [head, ["-" * width for width in widths], *rows]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if k == 0 else cell.rjust(width)
            for k, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )
