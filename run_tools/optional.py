"""Packages that come with an extra: one line that names the extra where they are missing."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterable
from types import ModuleType

from run_tools.cli import DISTRIBUTION
from run_tools.errors import InputError


def missing(modules: Iterable[str]) -> list[str]:
    """Those of some modules that are not installed; nothing is imported.

    Args:
        modules: top-level names, such as "onnxruntime".

    Returns:
        Names, in the order given.
    """
    return [name for name in modules if importlib.util.find_spec(name) is None]


def require(module: str, extra: str) -> ModuleType:
    """An optional module.

    Args:
        module: its full name, such as "ai_edge_litert.interpreter".
        extra: the extra of this project that brings it.

    Returns:
        The module.

    Raises:
        InputError: when it is not installed.
    """
    top = module.split(".")[0]
    if missing([top]):
        raise absent(top, extra)
    return importlib.import_module(module)


def absent(module: str, extra: str) -> InputError:
    """The error for a module that is not installed.

    Args:
        module: its top-level name.
        extra: the extra of this project that brings it.

    Returns:
        An error, ready to be raised.
    """
    return InputError(
        f"no module {module}", f"the extra {extra!r}", f"install it: pip install '{DISTRIBUTION}[{extra}]'"
    )
