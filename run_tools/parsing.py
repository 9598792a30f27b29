"""From a config class to a command line, with jsonargparse."""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import math
import re
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import jsonargparse
import yaml

from run_tools.config import EMPTY, Setting, from_mapping, missing, plain, read_yaml, settings
from run_tools.convert import describe, tuple_shape, without_none
from run_tools.errors import InputError, nearest, unknown_name

Config = TypeVar("Config")

COMMON = {
    "--config": "YAML file with any of these options; the command line wins",
    "--json": "also write the result to this JSON file",
    "--debug": "show the traceback of an error",
    "--help": "show this help",
}


class _Carried(Exception):
    """Carries an `InputError` through argparse, which would otherwise reword every ValueError."""

    def __init__(self, error: InputError) -> None:
        super().__init__(str(error))
        self.error = error


class _Help(argparse.RawDescriptionHelpFormatter):
    """The plain argparse layout: every default is already part of our help lines."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30, width=110)


class _Parser(jsonargparse.ArgumentParser):
    """A parser that raises instead of exiting."""

    def error(self, message: str, ex: Exception | None = None) -> Any:
        raise argparse.ArgumentError(None, message) from ex


def _converter(setting: Setting) -> Callable[[Any], Any]:
    """The `type=` of one argument: one element of a list, or the whole value."""
    inner = without_none(setting.annotation)
    element = setting.annotation
    if setting.many:
        element = tuple_shape(inner)[1]
    one = Setting(
        setting.name,
        element,
        setting.default,
        positional=setting.positional,
        minimum=setting.minimum,
        maximum=setting.maximum,
    )

    def typed(value: Any) -> Any:
        if setting.many and not setting.required and value == EMPTY:
            return EMPTY
        try:
            return one.convert(value)
        except InputError as error:
            raise _Carried(error) from None

    typed.__name__ = setting.name
    return typed


def _help_line(setting: Setting) -> str:
    """One help line with the default; percent signs are doubled because argparse formats the text."""
    default = setting.default
    if setting.required:
        told = " (required)"
    elif default is None or default == () or default is False:
        told = ""
    elif setting.many:
        told = f" (default: {' '.join(map(_shown, default))})"
    else:
        told = f" (default: {_shown(default)})"
    return (setting.help + told).replace("%", "%%")


def _shown(value: Any) -> str:
    """One default as the command line takes it: a nested config as a YAML mapping with all of its options."""
    if dataclasses.is_dataclass(value):
        return yaml.safe_dump(plain(value), default_flow_style=True, sort_keys=False, width=math.inf).strip()
    return str(value)


def _metavar(setting: Setting) -> str:
    kind = without_none(setting.annotation)
    if setting.many:
        kind = without_none(tuple_shape(kind)[1])
    words = describe(kind)
    if words.startswith("one of "):
        return "{" + words.removeprefix("one of ").replace(", ", ",") + "}"
    return {"a whole number": "N", "a number": "X", "a path": "PATH", "text": "TEXT"}.get(words, setting.name.upper())


def _add(parser: _Parser, setting: Setting, default: Any) -> None:
    """Declares one setting; `default` is None where a value is required."""
    keywords: dict[str, Any] = {"help": _help_line(setting)}
    if setting.positional:
        nargs = ("+" if setting.required else "*") if setting.many else (None if setting.required else "?")
        if nargs is not None:
            keywords["nargs"] = nargs
        parser.add_argument(setting.name, metavar=setting.label, type=_converter(setting), **keywords)
        if default is not None:
            parser.set_defaults({setting.name: default})  # add_argument refuses defaults of positionals
        return
    flags = [setting.label] + ([setting.short] if setting.short else [])
    if without_none(setting.annotation) is bool:
        parser.add_argument(*flags, action=jsonargparse.ActionYesNo(no_prefix="no-"), default=default, **keywords)
        return
    if setting.many:
        count, _ = tuple_shape(without_none(setting.annotation))
        keywords["nargs"] = "+" if count is None else count
    parser.add_argument(*flags, metavar=_metavar(setting), type=_converter(setting), default=default, **keywords)


def parser(cls: type, program: str, example: str = "", defaults: dict[str, Any] | None = None) -> _Parser:
    """The command line of a config class.

    Args:
        cls: a frozen dataclass; its docstring is the help text.
        program: the program and verb, such as "data-tools street".
        example: a command line shown at the end of the help.
        defaults: values that replace the class's own, such as those of a YAML file.

    Returns:
        A parser whose namespace holds one value a field, and `config`, `json`, `debug`.
    """
    documented = cls.__doc__ if cls.__doc__ and not cls.__doc__.startswith(cls.__name__ + "(") else ""
    made = _Parser(
        prog=program,
        description=inspect.cleandoc(documented or "").split("\n\nAttributes:")[0],
        epilog=f"example:\n  {example}" if example else None,
        formatter_class=_Help,
        exit_on_error=False,
        add_help=False,
        allow_abbrev=False,
    )
    given = defaults or {}
    for setting in settings(cls):
        default = given.get(setting.name, None if setting.required else setting.default)
        _add(made, setting, list(default) if setting.many and default is not None else default)
    made.add_argument("--config", metavar="FILE.yaml", help=COMMON["--config"])
    made.add_argument("--json", metavar="FILE", help=COMMON["--json"])
    made.add_argument("--debug", action="store_true", help=COMMON["--debug"])
    made.add_argument("--help", "-h", action="store_true", help=COMMON["--help"])
    return made


def _yaml_values(cls: type, argv: Sequence[str]) -> dict[str, Any]:
    """Checked values of every --config file named in `argv`; a later file wins."""
    known = {setting.name: setting for setting in settings(cls)}
    values: dict[str, Any] = {}
    for place, argument in enumerate(argv):
        if argument == "--config" and place + 1 < len(argv):
            path = argv[place + 1]
        elif argument.startswith("--config="):
            path = argument.removeprefix("--config=")
        else:
            continue
        for key, raw in read_yaml(path).items():
            name = str(key).replace("-", "_")
            if name not in known:
                raise unknown_name(f"key in {path}:", str(key), list(known))
            values[name] = known[name].convert(raw, f"{path}: {name}")
    return values


def parse(cls: type[Config], program: str, argv: Sequence[str]) -> tuple[Config, str | None]:
    """Reads a verb's command line.

    Args:
        cls: the verb's config class.
        program: the program and verb, for usage lines.
        argv: the arguments after the verb.

    Returns:
        (config, path of the JSON file to write or None).

    Raises:
        InputError: for anything the user got wrong.
    """
    values = _yaml_values(cls, argv)
    try:
        space = parser(cls, program, defaults=values).parse_args(list(argv))
    except _Carried as carried:
        raise carried.error from None
    except (argparse.ArgumentError, TypeError, ValueError) as error:
        raise _reworded(cls, str(error)) from None
    given = {}
    for setting in settings(cls):
        value = space[setting.name]
        if setting.many and not setting.required and value == [EMPTY]:
            value = []
        if value is None and setting.required:
            raise missing(setting)
        given[setting.name] = value
    return from_mapping(cls, given), space["json"]


def _reworded(cls: type, message: str) -> InputError:
    """An argparse complaint as received / expected / fix."""
    message = re.sub(r"\s+", " ", message).strip()
    by_name = {setting.name: setting for setting in settings(cls)}
    unrecognized = re.search(r"[Uu]nrecognized arguments: (.*)", message)
    if unrecognized:
        word = unrecognized[1].split()[0]
        if not word.startswith("-"):
            places = [setting.label for setting in by_name.values() if setting.positional]
            return InputError(f"one value too many, {word}", " ".join(places) or "only options", "leave it out")
        name = word.split("=")[0]
        options = [setting.label for setting in by_name.values() if not setting.positional] + list(COMMON)
        close = nearest(name, options)
        fix = f"did you mean {close}?" if close else "see --help"
        return InputError(f"unknown option {name}", f"one of {', '.join(options)}", fix)
    required = re.search(r"required: (\w+)|[Kk]ey \"(\w+)\" is required", message)
    if required:
        setting = by_name.get(required[1] or required[2])
        if setting is not None:
            return missing(setting)
    counted = re.search(r"argument (\S+): (expected .*)", message)
    if counted:
        label = counted[1].split("/")[0]
        return InputError(
            f"{label} with the wrong number of values", counted[2].removeprefix("expected "), "see --help"
        )
    return InputError(message, "the options of this verb", "see --help")
