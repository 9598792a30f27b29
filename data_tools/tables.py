"""Tables for people, as text."""

from __future__ import annotations

from typing import Any


def grid(rows: list[list[Any]]) -> str:
    """Rows as aligned columns: the first to the left, the others to the right.

    Args:
        rows: of equal length; None is left blank.

    Returns:
        Lines.
    """
    texts = [["" if cell is None else str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    return "\n".join(
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))]
        ).rstrip()
        for row in texts
    )
