"""What reports of several runs share: means over seeds as text, and how a page was made."""

from __future__ import annotations

import shlex
import statistics
from collections.abc import Sequence

from run_tools.folder import environment
from run_tools.report import Report


def spread(values: Sequence[float | None] | float | None, factor: float = 100.0, digits: int = 1) -> str | None:
    """Mean ± standard deviation of the seeds as text.

    Args:
        values: one a seed, or a single one; None where there is none.
        factor: 100 for shares that are shown in percent.
        digits: after the point.

    Returns:
        "38.2 ± 0.4", "38.2" for one value, None without any.
    """
    given = [values] if isinstance(values, (int, float)) or values is None else values
    known = [factor * value for value in given if value is not None]
    if not known:
        return None
    told = f"{statistics.mean(known):.{digits}f}"
    return told + (f" ± {statistics.stdev(known):.{digits}f}" if len(known) > 1 else "")


def origin(report: Report, words: Sequence[str] | None = None, seconds: float | None = None) -> None:
    """Adds the section "How this was made": command, libraries, machine, code.

    Args:
        report: grows by it.
        words: of the command; None: of this process.
        seconds: that it took; None: not told.
    """
    kept = environment(None)
    report.section("How this was made")
    report.code(shlex.join(kept["command"] if words is None else words))
    libraries = ", ".join(f"{name} {version}" for name, version in kept["libraries"].items())
    rows: list[list[object]] = [
        ["libraries", f"Python {kept['python']}, {libraries}"],
        ["machine", f"{kept['platform']}, {kept['cpus']} CPUs"],
        ["code", kept["git"] or kept["package"] or "unknown"],
    ]
    if seconds is not None:
        rows.append(["minutes of this call", f"{seconds / 60:.1f}"])
    report.table(["", ""], rows)
