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

DIFFICULTIES = ("easy", "moderate", "hard")
INTERVALS = {
    "one_to_one": ("precision", "recall"),
    "kitti": tuple(f"{difficulty} AP40" for difficulty in DIFFICULTIES),
    "coco": ("AP50", "AP"),
}
"""The columns of the tables of intervals; "kitti" has AP11's in the result only."""

Section = tuple[str, list[str], list[list[str]]]


def table(result: Mapping[str, Any]) -> str:
    """What `evaluate` returns, as text.

    Args:
        result: any of "paper", "one_to_one", "kitti", "coco", "intervals" and "against"; other keys are passed over.

    Returns:
        The `sections`, separated by empty lines.
    """
    return "\n\n".join(f"{title}\n{aligned(head, rows)}" for title, head, rows in sections(result))


def sections(result: Mapping[str, Any]) -> list[Section]:
    """What `evaluate` returns, as tables: a title, the columns' names and the cells of each.

    Args:
        result: any of "paper", "one_to_one", "kitti" and "coco" by class, "intervals" and "against"; other keys are
            passed over.

    Returns:
        One table a metric, then those of the intervals and of the differences.
    """
    found: list[Section] = []
    for metric, title in TITLES.items():
        if metric in result:
            found.append((title, *(_by_difficulty if metric == "kitti" else _by_class)(result[metric])))
    if "intervals" in result:
        found += _intervals(result)
    if "against" in result:
        found.append(_differences(result["against"], result["intervals"]["resampling"]))
    return found


def kitti_table(result: Mapping[str, Mapping[str, Mapping[str, float | None]]]) -> str:
    """KITTI's AP by class and difficulty, as text.

    Args:
        result: `{class: {difficulty: {"AP11", "AP40"}}}` in percent.

    Returns:
        One line a class.
    """
    return aligned(*_by_difficulty(result))


def _by_difficulty(result: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    columns = [(difficulty, key) for difficulty in DIFFICULTIES for key in ("AP11", "AP40")]
    head = ["class", *(f"{difficulty} {key}" for difficulty, key in columns)]
    return head, [[name, *(_text(levels[d][key], 2) for d, key in columns)] for name, levels in result.items()]


def _by_class(result: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    counts = ("tp", "fp", "fn")
    told = {name for name, row in result.items() if any(row[key] is not None for key in row if key not in counts)}
    shown = {name: row for name, row in result.items() if name in told} or result
    keys = list(next(iter(shown.values()), dict.fromkeys(RATES)))
    return ["class", *keys], [[name, *(_text(row[key], 3) for key in keys)] for name, row in shown.items()]


def _intervals(result: Mapping[str, Any]) -> list[Section]:
    """One table a metric, each figure with its interval; classes without any left out."""
    limits = result["intervals"]
    found: list[Section] = []
    for metric, keys in INTERVALS.items():
        if metric not in limits:
            continue
        rows = []
        for name, row in limits[metric].items():
            if metric == "kitti":
                cells = [with_limits(result[metric][name][d]["AP40"], row[d]["AP40"], 1) for d in DIFFICULTIES]
            else:
                cells = [with_limits(result[metric][name][key], row[key], 3) for key in keys]
            if any(cell != "-" for cell in cells):
                rows.append([name, *cells])
        found.append((f"{TITLES[metric]}: {_resampled(limits['resampling'])}", ["class", *keys], rows))
    return found


def _differences(against: Mapping[str, Any], resampling: Mapping[str, Any]) -> Section:
    rows = []
    for name, row in against["coco"].items():
        cells = [signed(row[key], 3) for key in INTERVALS["coco"]]
        if any(cell != "-" for cell in cells):
            rows.append([name, *cells])
    title = f"COCO, minus that of {against['model']}: {_resampled(resampling)}, both judged on the same"
    return title, ["class", *INTERVALS["coco"]], rows


def _resampled(told: Mapping[str, Any]) -> str:
    """How the intervals came about, in a few words."""
    unit = told["by"] + "s"
    return f"{100 * told['level']:g} % intervals from {told['replicates']:,} resamples of {told['units']} {unit}"


def with_limits(value: float | None, limits: Sequence[float] | None, digits: int, sign: str = "") -> str:
    """A figure with its interval, "0.500 [0.400, 0.600]".

    Args:
        value: the figure; None prints as a dash.
        limits: [low, high]; None: the figure alone.
        digits: behind the point.
        sign: "+" for differences.
    """
    if value is None:
        return "-"
    if limits is None:
        return f"{value:{sign}.{digits}f}"
    low, high = limits
    return f"{value:{sign}.{digits}f} [{low:{sign}.{digits}f}, {high:{sign}.{digits}f}]"


def signed(told: Mapping[str, Any], digits: int) -> str:
    """A difference with its sign and interval, "+0.100 [-0.050, +0.200]".

    Args:
        told: `{"difference", "interval"}` of `bootstrap.mean_difference`.
        digits: behind the point.
    """
    return with_limits(told["difference"], told["interval"], digits, "+")


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
