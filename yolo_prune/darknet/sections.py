"""The text of a `.cfg` as sections of options, each with its line number.

Source: darknet, `read_cfg` (parser.c) and `read_option` (option_list.c).
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from run_tools.errors import InputError

_KINDS = {"network": "net", "conv": "convolutional", "max": "maxpool"}
"""darknet's short names of sections."""

_BLANKS = {ord(blank): None for blank in " \t\r"}


@dataclass(frozen=True)
class Option:
    """One line `name=value`; lines count from 1."""

    value: str
    line: int


@dataclass(frozen=True)
class Section:
    """One `[kind]` and its options.

    Attributes:
        kind: the name between the brackets, a short one in full.
        line: where it begins, counted from 1.
        source: the file's name, for messages.
        options: name → option; of a name given twice the first, which is the one that darknet takes.
    """

    kind: str
    line: int
    source: str
    options: dict[str, Option] = field(default_factory=dict)

    def refused(self, expected: str, fix: str, name: str | None = None, told: str = "") -> InputError:
        """The error for an option of this section, or without a name for the section itself.

        Args:
            expected: what would have been right.
            fix: what to do about it.
            name: of the option.
            told: more on what was received.
        """
        option = self.options.get(name) if name is not None else None
        where = f"{self.source}, line {option.line if option else self.line}: "
        what = f"[{self.kind}]"
        if option:
            what = f"{name}={option.value} in [{self.kind}]"
        elif name is not None:
            what = f"[{self.kind}] without {name}"
        return InputError(where + what + (f" {told}" if told else ""), expected, fix)

    def allow(self, used: frozenset[str], fixed: Mapping[str, int]) -> None:
        """Refuses every option that is neither read nor without effect on the outputs.

        Args:
            used: names that are read, or that matter to training alone.
            fixed: name → the one value that is supported.

        Raises:
            InputError: naming the option and its line.
        """
        for name in self.options:
            if name in fixed:
                if self.whole(name, fixed[name]) != fixed[name]:
                    raise self.refused(f"{name}={fixed[name]}", "use a network without it", name)
            elif name not in used:
                known = ", ".join(sorted(used | set(fixed)))
                raise self.refused(
                    f"an option known there ({known})", "correct it, or use a network of the YOLOv2 family", name
                )

    def whole(self, name: str, default: int | None, minimum: int = 0) -> int:
        """A whole number of at least `minimum`; without a default the option is required.

        Raises:
            InputError: for anything else, naming the line.
        """
        if name not in self.options and default is not None:
            return default
        value = self._number(name)
        if not value.isascii() or not value.isdigit() or int(value) < minimum:
            raise self.refused(f"a whole number of at least {minimum}", "correct that line", name)
        return int(value)

    def numbers(self, name: str) -> tuple[float, ...]:
        """Numbers with commas between them.

        Raises:
            InputError: when there are none or one is no number, naming the line.
        """
        try:
            found = tuple(float(part) for part in self._number(name).split(","))
        except ValueError:
            found = ()
        if not found or not all(map(math.isfinite, found)):
            raise self.refused("numbers with commas between them", "correct that line", name)
        return found

    def _number(self, name: str) -> str:
        """The value before a remark; "" where there is none. darknet's `atoi` and `atof` end there, too."""
        value = self.options[name].value if name in self.options else ""
        return re.split("[#;]", value, maxsplit=1)[0]

    def text(self, name: str, default: str) -> str:
        """The value as it stands, without blanks. A remark is part of it, as in darknet."""
        return self.options[name].value if name in self.options else default


def read_sections(text: str, source: str) -> list[Section]:
    """Splits a cfg into its sections, as darknet does: blanks mean nothing anywhere, `#` and `;` begin comment lines.

    A remark behind a value is part of the value here; numbers are read up to it.

    Args:
        text: what the file holds.
        source: its name, for messages.

    Raises:
        InputError: for a line that is neither a section, an option nor a comment, naming its number.
    """
    sections: list[Section] = []
    for number, raw in enumerate(text.split("\n"), start=1):
        line = raw.translate(_BLANKS)
        if not line or line[0] in "#;":
            continue
        if line[0] == "[":
            name = line.strip("[]")
            sections.append(Section(_KINDS.get(name, name), number, source))
            continue
        name, equals, value = line.partition("=")
        if not sections or not name or not equals or not value:
            raise InputError(
                f"{source}, line {number}: {raw.strip()[:60]!r}", "[section], name=value or # comment", "correct it"
            )
        sections[-1].options.setdefault(name, Option(value, number))
    return sections
