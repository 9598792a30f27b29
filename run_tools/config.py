"""Configs: one frozen dataclass is the YAML file, the command line's options and the Python arguments of a verb.

Example:
    @dataclass(frozen=True)
    class Anchors:
        \"\"\"k-means anchors of a compiled file.\"\"\"

        file: Path = positional(help="compiled HDF5 file")
        k: int = option(5, help="number of anchors", short="-k", minimum=1)
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml

from run_tools import files
from run_tools.convert import describe
from run_tools.declare import Setting, option, positional, settings
from run_tools.errors import InputError, unknown_name

__all__ = [
    "EMPTY",
    "Setting",
    "check_filled",
    "dump",
    "from_mapping",
    "load",
    "missing",
    "option",
    "positional",
    "read_yaml",
    "settings",
    "to_dict",
    "words",
]

EMPTY = "[]"
"""An empty list on the command line."""

Config = TypeVar("Config")


def from_mapping(cls: type[Config], mapping: Mapping[str, Any], where: str | None = None) -> Config:
    """Builds a config from names and raw values.

    Args:
        cls: a frozen dataclass.
        mapping: names (with "_" or "-") and values as YAML, JSON or the command line give them.
        where: the file or field it came from, for messages; None for the command line.

    Returns:
        An instance of `cls`.

    Raises:
        InputError: for an unknown name, a value that does not fit, or a missing one.
    """
    fields = {setting.name: setting for setting in settings(cls)}
    values: dict[str, Any] = {}
    for key, raw in mapping.items():
        name = str(key).replace("-", "_")
        if name not in fields:
            raise unknown_name(f"key in {where}:" if where else "key", str(key), list(fields))
        values[name] = fields[name].convert(raw, f"{where}: {name}" if where else None)
    for setting in fields.values():
        if setting.required and setting.name not in values:
            raise missing(setting, where)
    return cls(**values)


def missing(setting: Setting, where: str | None = None) -> InputError:
    """The error for a required field that was not given.

    Args:
        setting: the field.
        where: the file or field that lacks it; None for the command line.

    Returns:
        An error, ready to be raised.
    """
    label = setting.name if where else setting.label
    told = f" ({setting.help})" if setting.help else ""
    return InputError(
        f"no {label}" + (f" in {where}" if where else ""), f"{describe(setting.annotation)}{told}", f"add {label}"
    )


def read_yaml(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Reads a YAML mapping.

    Args:
        path: the file.

    Returns:
        Its keys and values; empty for an empty file.

    Raises:
        InputError: if it is missing, is not YAML or is not a mapping.
    """
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (FileNotFoundError, IsADirectoryError):
        raise InputError(f"{path}, which is not a file", "a YAML file", "check the path") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}, which is not YAML ({error})", "a YAML file", "correct that place") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise InputError(f"{path}, which holds a {type(content).__name__}", "keys and values", "write `key: value`")
    return content


def load(cls: type[Config], yaml_path: str | os.PathLike[str] | None = None, **overrides: Any) -> Config:
    """Builds a config from a YAML file, arguments, or both.

    Args:
        cls: a frozen dataclass.
        yaml_path: a YAML file, or None.
        **overrides: fields that win over the file.

    Returns:
        An instance of `cls`.

    Raises:
        InputError: for an unknown key (naming the nearest valid one), a bad or a missing value.
    """
    if yaml_path is None:
        return from_mapping(cls, overrides)
    values = {str(key).replace("-", "_"): value for key, value in read_yaml(yaml_path).items()}
    unknown = set(overrides) - {setting.name for setting in settings(cls)}
    if unknown:
        raise unknown_name("argument", min(unknown), [setting.name for setting in settings(cls)])
    return from_mapping(cls, {**values, **overrides}, where=os.fspath(yaml_path))


def to_dict(config: Any, text: Callable[[Any], str] = os.fspath) -> dict[str, Any]:
    """A config as plain values, ready for YAML or JSON.

    Args:
        config: an instance of a config class.
        text: of a path.

    Returns:
        Field names and values: tuples as lists, paths as text, nested configs as dicts.
    """
    return {field.name: plain(getattr(config, field.name), text) for field in dataclasses.fields(config)}


def plain(value: Any, text: Callable[[Any], str] = os.fspath) -> Any:
    """A value of a config as YAML and JSON hold it: tuples as lists, paths as text, nested configs as dicts."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return to_dict(value, text)
    if isinstance(value, (list, tuple)):
        return [plain(item, text) for item in value]
    if isinstance(value, dict):
        return {key: plain(item, text) for key, item in value.items()}
    return text(value) if isinstance(value, os.PathLike) else value


def dump(config: Any, path: str | os.PathLike[str]) -> None:
    """Writes a config as YAML that `load` reads back to an equal object.

    Args:
        config: an instance of a config class.
        path: the file, written all or nothing.
    """
    # ASCII only: PyYAML writes some other characters, such as U+0085, in a way it does not read back.
    files.write_text(path, yaml.safe_dump(to_dict(config), sort_keys=False, width=120))


def check_filled(options: object, *names: str) -> None:
    """Refuses lists without anything in them, which a YAML file or `EMPTY` can give.

    Args:
        options: of a verb or a paper.
        names: of its lists.

    Raises:
        InputError: naming the first that is empty.
    """
    for name in names:
        if not getattr(options, name):
            raise InputError(f"no {name}", "at least one", "name some, or leave the option out")


def words(config: Any) -> list[str]:
    """What the command line has to say for a config.

    Args:
        config: an instance of a config class.

    Returns:
        The positionals, and each option that is required or has not its default; nested configs are YAML mappings of
        what differs from their own defaults. Null for a list cannot be said there and is left out.
    """
    places: list[str] = []
    options: list[str] = []
    for setting in settings(type(config)):
        value = getattr(config, setting.name)
        unsaid = setting.many and value is None
        if unsaid or (not setting.required and value == setting.default):
            continue
        said = [_word(item) for item in (value if setting.many else (value,))] or [EMPTY]
        if setting.positional:
            places += said
        elif isinstance(value, bool):
            options.append(setting.label if value else setting.label.replace("--", "--no-", 1))
        else:
            options += [setting.label, *said]
    return [*places, *options]


def _word(value: Any) -> str:
    """One value as the command line has it."""
    if value is None:
        return "null"
    if dataclasses.is_dataclass(value):
        value = {
            field.name: getattr(value, field.name) for field in dataclasses.fields(value) if _differs(value, field)
        }
    if isinstance(value, dict):
        return yaml.safe_dump(plain(value), default_flow_style=True, sort_keys=False, width=math.inf).strip()
    return ",".join(map(_word, value)) if isinstance(value, tuple) else str(value)


def _differs(value: Any, field: dataclasses.Field[Any]) -> bool:
    default = field.default
    if field.default_factory is not dataclasses.MISSING:
        default = field.default_factory()
    return bool(getattr(value, field.name) != default)
