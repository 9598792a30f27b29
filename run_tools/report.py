"""One HTML page with everything inside it: opens anywhere, years later, without a network."""

from __future__ import annotations

import base64
import html
import io
import os
import re
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from run_tools import files
from run_tools.errors import InputError
from run_tools.report_style import PAGE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_NUMBER = re.compile(r"[-+−]?[\d.,]+(e[-+]?\d+)?\s*%?|nan|[-–—]", re.IGNORECASE)
_WHOLE = re.compile(r"\[[^\[\]]*\]|\d ± \d| %")
"""Of a cell, what no line break may part: an interval, a spread, a unit."""


class Report:
    """A page that grows from top to bottom and is written once.

    Args:
        title: the page's heading.
        subtitle: one line below it, such as what was run on what data.

    Example:
        >>> report = Report("Pruning of a detector")
        >>> report.section("Results")
        >>> report.table(["sparsity", "AP50"], [[0.5, 0.71]], "synthetic street scenes, seed 0")
        >>> report.write("report.html")
    """

    def __init__(self, title: str, subtitle: str = "") -> None:
        self.title = title
        self.subtitle = subtitle
        self._parts: list[str] = []
        self._contents: list[tuple[str, str]] = []

    def section(self, heading: str) -> None:
        """Starts a section, which the table of contents names.

        Args:
            heading: its heading.
        """
        name = f"section-{len(self._contents) + 1}"
        self._contents.append((name, heading))
        self._parts.append(f'<h2 id="{name}">{html.escape(heading)}</h2>')

    def text(self, text: str) -> None:
        """Adds paragraphs.

        Args:
            text: plain text; blank lines part paragraphs, lines starting with "- " are list items and `backticks`
                mark code. Nothing else has a meaning, and everything is escaped.
        """
        for block in re.split(r"\n\s*\n", text.strip()):
            lines = block.splitlines()
            if all(line.lstrip().startswith("- ") for line in lines):
                items = "".join(f"<li>{_inline(line.lstrip()[2:])}</li>" for line in lines)
                self._parts.append(f"<ul>{items}</ul>")
            else:
                self._parts.append(f"<p>{_inline(' '.join(line.strip() for line in lines))}</p>")

    def code(self, text: str) -> None:
        """Adds a block in a fixed-width font, such as the command that made the report.

        Args:
            text: shown as it is.
        """
        self._parts.append(f"<pre><code>{html.escape(text)}</code></pre>")

    def table(self, headers: Sequence[str], rows: Iterable[Sequence[Any]], caption: str = "") -> None:
        """Adds a table; columns that hold only numbers are aligned to the right.

        Args:
            headers: one text a column.
            rows: cells; floats are shown with four significant digits, None as a dash.
            caption: shown above the table.

        Raises:
            ValueError: if a row's length is not the headers'.
        """
        shown = [[_cell(value) for value in row] for row in rows]
        for row in shown:
            if len(row) != len(headers):
                raise ValueError(
                    f"received a table row of {len(row)} cells; expected {len(headers)}, one a header; give one each"
                )
        numeric = [
            bool(shown) and all(_NUMBER.fullmatch(row[column]) for row in shown) for column in range(len(headers))
        ]
        head = _row("th", map(str, headers), numeric)
        body = "".join(_row("td", row, numeric) for row in shown)
        title = f"<caption>{_inline(caption)}</caption>" if caption else ""
        self._parts.append(
            f'<div class="scroll"><table>{title}<thead>{head}</thead><tbody>{body}</tbody></table></div>'
        )

    def figure(self, figure: Figure, caption: str = "") -> None:
        """Adds a Matplotlib figure as a PNG picture.

        Args:
            figure: the figure; it is not closed.
            caption: shown below and read out by screen readers.
        """
        buffer = io.BytesIO()
        # White paper under the ink keeps a figure readable on the dark page too.
        figure.savefig(buffer, format="png", dpi=144, bbox_inches="tight", facecolor="white")
        self._picture(buffer.getvalue(), "png", caption, 'class="paper"')

    def image(self, image: np.ndarray, caption: str = "") -> None:
        """Adds a picture, as PNG when small and as JPEG when it would be large.

        Args:
            image: RGB, uint8, shape (height, width, 3); or grey, shape (height, width).
            caption: shown below and read out by screen readers.

        Raises:
            ValueError: if the array is something else.
        """
        if image.dtype != np.uint8 or image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] != 3):
            raise ValueError(
                f"received an image of {image.dtype} with shape {image.shape}; expected uint8 (height, width, 3); "
                "convert it first"
            )
        import cv2

        kind = "jpeg" if image.size > 300_000 else "png"
        ordered = image if image.ndim == 2 else image[..., ::-1]
        quality = [cv2.IMWRITE_JPEG_QUALITY, 88] if kind == "jpeg" else [cv2.IMWRITE_PNG_COMPRESSION, 9]
        _, data = cv2.imencode(f".{kind}", np.ascontiguousarray(ordered), quality)
        size = f'width="{image.shape[1]}" height="{image.shape[0]}"'
        self._picture(data.tobytes(), kind, caption, size)

    def _picture(self, data: bytes, kind: str, caption: str, attributes: str) -> None:
        source = f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"
        below = f"<figcaption>{_inline(caption)}</figcaption>" if caption else ""
        alt = html.escape(caption or "figure", quote=True)
        self._parts.append(f'<figure><img {attributes} alt="{alt}" src="{source}">{below}</figure>')

    def html(self) -> str:
        """The whole page.

        Returns:
            HTML5 that refers to nothing outside itself.
        """
        contents = ""
        if len(self._contents) > 1:
            links = "".join(f'<li><a href="#{name}">{html.escape(text)}</a></li>' for name, text in self._contents)
            contents = f'<nav aria-label="Contents"><ol>{links}</ol></nav>'
        below = f'<p class="subtitle">{_inline(self.subtitle)}</p>' if self.subtitle else ""
        return PAGE.substitute(
            title=html.escape(self.title),
            subtitle=below,
            contents=contents,
            body="\n".join(self._parts),
            date=time.strftime("%Y-%m-%d %H:%M"),
        )

    def write(self, path: str | os.PathLike[str]) -> None:
        """Writes the page, all or nothing.

        Args:
            path: the file, usually ending in .html.

        Raises:
            InputError: if the path is a folder.
        """
        if os.path.isdir(path):
            raise InputError(f"report path {os.fspath(path)}, which is a folder", "a file", "add report.html to it")
        files.write_text(path, self.html())


def check_folder(out: Path | None, option: str = "--report") -> None:
    """Refuses results where no folder can be, before any work is done.

    Args:
        out: the folder that the page, or whatever, is to lie in, there or not; None: none is wanted.
        option: that named it.

    Raises:
        InputError: if the path is a file.
    """
    if out is not None and out.exists() and not out.is_dir():
        raise InputError(f"{option} {out}, which is a file", "a folder", "choose another name")


def _inline(text: str) -> str:
    """Escaped text in which `backticks` become code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text))


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if isinstance(value, (float, np.floating)):
        return f"{float(value):.4g}"
    if isinstance(value, (int, np.integer)):
        return f"{int(value):,}"
    return _WHOLE.sub(lambda found: found[0].replace(" ", "\u00a0"), str(value))


def _row(tag: str, cells: Iterable[str], numeric: Sequence[bool]) -> str:
    scope = ' scope="col"' if tag == "th" else ""
    inside = "".join(
        f"<{tag}{scope}{_classes(tag, cell, right)}>{html.escape(cell)}</{tag}>"
        for cell, right in zip(cells, numeric, strict=True)
    )
    return f"<tr>{inside}</tr>"


def _classes(tag: str, cell: str, right: bool) -> str:
    """The class of a cell: numbers stand at the right, and a heading of one word is not parted at its hyphen."""
    names = ["number"] * right + ["word"] * (tag == "th" and " " not in cell)
    return f' class="{" ".join(names)}"' if len(names) > 1 else "".join(f" class={name}" for name in names)
