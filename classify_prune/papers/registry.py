"""Which papers there are, and the options of their verbs; nothing here loads Keras."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
import re
from pathlib import Path
from types import ModuleType
from typing import Any

from classify_prune import papers
from run_tools.cli import Verb
from run_tools.config import option

_NAME = re.compile(r"paper(\d{3})")
_FRAME, _SUMMARY = "classify_prune.papers.verb:", "classify_prune.papers.summary:"


def numbers() -> list[str]:
    """The numbers of the papers, rising."""
    found = (_NAME.fullmatch(module.name) for module in pkgutil.iter_modules(papers.__path__))
    return sorted(match.group(1) for match in found if match)


def part(number: str, name: str) -> ModuleType:
    """A module of a paper, such as `part("000", "published")`."""
    return importlib.import_module(f"{papers.__name__}.paper{number}.{name}")


def options_of(number: str) -> type:
    """The options of a paper's verb: its settings, and what all papers take.

    Args:
        number: of the paper.

    Returns:
        A frozen dataclass with the fields of the paper's `Settings` and `data`, `out` and `quick`; its attribute
        `paper` is the number.
    """
    base = part(number, "settings").Settings
    fields = [
        ("data", Path, option(help="compiled HDF5 file, VehicleX's or a studio folder, or a folder of class folders")),
        ("out", Path, option(help="folder of the runs and the report; what is finished there is not run again")),
        ("quick", bool, option(False, help="minutes on two cores instead of the full settings; the report says so")),
    ]
    namespace = {"__doc__": base.__doc__, "paper": number}
    return dataclasses.make_dataclass(f"Paper{number}", fields, bases=(base,), namespace=namespace, frozen=True)


def settings_of(options: Any) -> Any:
    """The paper's own settings among its verb's options, made smaller where that is asked for.

    Args:
        options: an instance of what `options_of` returned.

    Returns:
        An instance of the paper's `Settings`.
    """
    base = part(options.paper, "settings").Settings
    made = base(**{field.name: getattr(options, field.name) for field in dataclasses.fields(base)})
    return made.quick() if options.quick else made


@dataclasses.dataclass(frozen=True)
class SummaryConfig:
    """The papers' claims beside what was found, one Markdown table from the folders of finished runs."""

    runs: tuple[Path, ...] = dataclasses.field(
        metadata={
            "help": "folders that `paper NNN --out` wrote; paper 003's is the detector's, of `yolo-prune paper003`",
            "positional": True,
            "many": True,
        }
    )


def verbs() -> tuple[Verb, ...]:
    """`paper NNN` for every paper, and `paper summary`."""
    made = [
        Verb(
            f"paper {number}",
            options_of(number),
            _FRAME + "paper",
            _FRAME + "table",
            f"classify-prune paper {number} --data vehicle-x/ --out runs/paper{number} --quick",
        )
        for number in numbers()
    ]
    example = "classify-prune paper summary runs/paper000 runs/paper001 runs/paper003"
    return (*made, Verb("paper summary", SummaryConfig, _SUMMARY + "summary", _SUMMARY + "table", example))
