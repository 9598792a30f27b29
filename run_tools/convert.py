"""One value at a time: from YAML or the command line to the type a config's field declares."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import yaml

from run_tools.errors import InputError, unknown_name

_TRUE = frozenset({"true", "yes", "on", "1"})
_FALSE = frozenset({"false", "no", "off", "0"})
_NOTHING = frozenset({"none", "null"})
_LEAVES = {int: "a whole number", float: "a number", bool: "true or false", str: "text", Path: "a path"}


def describe(annotation: Any) -> str:
    """What a type is called in messages and help.

    Args:
        annotation: a field's type, such as `tuple[float, ...]`.

    Returns:
        Words such as "one or more values, each a number".
    """
    if annotation in _LEAVES:
        return _LEAVES[annotation]
    if get_origin(annotation) is Literal:
        return "one of " + ", ".join(str(choice) for choice in get_args(annotation))
    if is_union(annotation):
        return " or ".join(describe(part) for part in get_args(annotation) if part is not type(None))
    if is_tuple(annotation):
        count, element = tuple_shape(annotation)
        return f"{'one or more' if count is None else count} values, each {describe(element)}"
    if dataclasses.is_dataclass(annotation):
        name = getattr(annotation, "__name__", "record").lower()
        return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"
    return getattr(annotation, "__name__", str(annotation))


def is_union(annotation: Any) -> bool:
    """Whether a type is `X | Y` or `Optional[X]`."""
    return get_origin(annotation) in (Union, types.UnionType)


def is_tuple(annotation: Any) -> bool:
    """Whether a type is `tuple[...]`."""
    return get_origin(annotation) is tuple


def tuple_shape(annotation: Any) -> tuple[int | None, Any]:
    """Length and element type of a tuple type.

    Args:
        annotation: `tuple[T, ...]` or `tuple[T, T]`.

    Returns:
        (None, T) for any length, else (length, T).
    """
    parts = get_args(annotation)
    return (None, parts[0]) if len(parts) == 2 and parts[1] is Ellipsis else (len(parts), parts[0])


def without_none(annotation: Any) -> Any:
    """The type inside `Optional`, or the type itself."""
    if is_union(annotation):
        rest = [part for part in get_args(annotation) if part is not type(None)]
        if len(rest) == 1:
            return rest[0]
    return annotation


def convert(annotation: Any, value: Any, label: str) -> Any:
    """Turns one value into the type that was declared.

    Args:
        annotation: the declared type: int, float, bool, str, Path, Literal, Optional, tuple, dict or a dataclass.
        value: what YAML or the command line gave; a value of the right type is returned as it is.
        label: how to name the value in messages, such as "--images".

    Returns:
        The converted value.

    Raises:
        InputError: if the value does not fit.
    """
    if annotation is Any:
        return value
    if is_union(annotation):
        return _union(annotation, value, label)
    if get_origin(annotation) is Literal:
        for choice in get_args(annotation):
            if value == choice or str(value) == str(choice):
                return choice
        raise _bad(annotation, value, label, [str(choice) for choice in get_args(annotation)])
    if is_tuple(annotation):
        return _tuple(annotation, value, label)
    if get_origin(annotation) is dict:
        return _dict(annotation, value, label)
    if dataclasses.is_dataclass(annotation):
        return _record(annotation, value, label)
    if annotation in _CONVERTERS:
        try:
            return _CONVERTERS[annotation](value)
        except (ValueError, TypeError, OverflowError):
            raise _bad(annotation, value, label) from None
    raise TypeError(f"{label}: received the field type {annotation!r}; expected one `convert` knows; declare another")


def _bad(annotation: Any, value: Any, label: str, names: list[str] | None = None) -> InputError:
    if names is not None and isinstance(value, str):
        return unknown_name(f"value for {label}:", value, names)
    return InputError(f"{label} {value}", describe(annotation), f"change the value of {label}")


def _whole(value: Any) -> int:
    if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
        raise ValueError
    return int(value)


def _number(value: Any) -> float:
    if isinstance(value, bool) or math.isnan(float(value)):
        raise ValueError
    return float(value)


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    text = str(value).lower()
    if text not in _TRUE | _FALSE:
        raise ValueError
    return text in _TRUE


def _text(value: Any) -> str:
    if isinstance(value, (str, Path)) or (isinstance(value, (int, float)) and not isinstance(value, bool)):
        return str(value)  # YAML reads 256 as a number where the field wants the text "256"
    raise ValueError


def _path(value: Any) -> Path:
    if not isinstance(value, (str, Path)) or not str(value):
        raise ValueError
    return Path(value).expanduser()


_CONVERTERS: dict[Any, Callable[[Any], Any]] = {
    int: _whole,
    float: _number,
    bool: _boolean,
    str: _text,
    Path: _path,
}


def _union(annotation: Any, value: Any, label: str) -> Any:
    parts = [part for part in get_args(annotation) if part is not type(None)]
    optional = len(parts) < len(get_args(annotation))
    if optional and (value is None or (isinstance(value, str) and value.lower() in _NOTHING)):
        return None
    problem: InputError | None = None
    for part in parts:
        try:
            return convert(part, value, label)
        except InputError as error:
            problem = error
    if len(parts) == 1 and problem is not None:
        raise problem
    raise _bad(annotation, value, label)


def _tuple(annotation: Any, value: Any, label: str) -> tuple[Any, ...]:
    count, element = tuple_shape(annotation)
    if isinstance(value, str):  # an inner list on the command line, such as 1.3,1.7 in --anchors 1.3,1.7 3.2,4.0
        value = value.split(",")
    if not isinstance(value, (list, tuple)) or (count is not None and len(value) != count):
        raise _bad(annotation, value, label)
    kinds = (element,) * len(value) if count is None else get_args(annotation)
    return tuple(convert(kind, item, label) for kind, item in zip(kinds, value, strict=True))


def _dict(annotation: Any, value: Any, label: str) -> dict[Any, Any]:
    if isinstance(value, str):
        with contextlib.suppress(yaml.YAMLError):
            value = yaml.safe_load(value)
    if not isinstance(value, Mapping):
        raise InputError(f"{label} {value}", "names and values", "write it as a YAML mapping")
    kind, item = get_args(annotation)
    return {convert(kind, key, label): convert(item, content, f"{label} {key}") for key, content in value.items()}


def _record(annotation: Any, value: Any, label: str) -> Any:
    """A nested config: an instance, a mapping, text that its class can `parse`, or a mapping as YAML text."""
    from run_tools.config import from_mapping  # the two modules describe one recursion: records hold values

    if isinstance(value, annotation):
        return value
    if isinstance(value, str):
        if hasattr(annotation, "parse") and not value.lstrip().startswith("{"):
            try:
                return annotation.parse(value)
            except InputError:
                raise
            except ValueError as error:
                raise InputError(f"{label} {value}", describe(annotation), f"write it differently: {error}") from None
        try:
            value = yaml.safe_load(value)
        except yaml.YAMLError:
            raise _bad(annotation, value, label) from None
    if not isinstance(value, Mapping):
        raise _bad(annotation, value, label)
    return from_mapping(annotation, value, where=label)
