"""How a config class declares its fields."""

from __future__ import annotations

import dataclasses
import functools
import typing
from typing import Any

from run_tools.convert import convert, is_tuple, without_none
from run_tools.errors import InputError

_REQUIRED = dataclasses.MISSING


@dataclasses.dataclass(frozen=True)
class Setting:
    """One field of a config, as the command line and YAML see it.

    Attributes:
        name: the field's name, which is also its YAML key.
        annotation: its resolved type.
        default: its default, or `dataclasses.MISSING` when it must be given.
        help: one line for `--help`.
        positional: whether it is given by place instead of by name.
        short: a one-letter option such as "-k", or None.
        minimum: smallest number allowed, or None.
        maximum: largest number allowed, or None.
    """

    name: str
    annotation: Any
    default: Any
    help: str = ""
    positional: bool = False
    short: str | None = None
    minimum: float | None = None
    maximum: float | None = None

    @property
    def required(self) -> bool:
        """Whether a value must be given."""
        return self.default is _REQUIRED

    @property
    def many(self) -> bool:
        """Whether it takes several values on the command line."""
        return is_tuple(without_none(self.annotation))

    @property
    def label(self) -> str:
        """How the command line writes it: "--batch-size", or "OUT" for a positional."""
        return self.name.upper() if self.positional else "--" + self.name.replace("_", "-")

    def convert(self, value: Any, label: str | None = None) -> Any:
        """Turns a raw value into this field's type and checks its bounds.

        Args:
            value: from YAML, the command line or Python.
            label: how to name the field in messages; the command line's way when None.

        Returns:
            The converted value.

        Raises:
            InputError: if it does not fit.
        """
        label = label or self.label
        converted = convert(self.annotation, value, label)
        for number in converted if isinstance(converted, tuple) else (converted,):
            self._check_bounds(number, label)
        return converted

    def _check_bounds(self, number: Any, label: str) -> None:
        if isinstance(number, bool) or not isinstance(number, (int, float)):
            return
        if self.minimum is not None and number < self.minimum:
            raise InputError(f"{label} {number}", f"at least {self.minimum:g}", "give a larger number")
        if self.maximum is not None and number > self.maximum:
            raise InputError(f"{label} {number}", f"at most {self.maximum:g}", "give a smaller number")


def option(
    default: Any = _REQUIRED,
    *,
    help: str,
    short: str | None = None,
    minimum: float | None = None,
    maximum: float | None = None,
) -> Any:
    """Declares a field that the command line gives by name.

    Args:
        default: the value when it is not given; without one the option is required.
        help: one line for `--help`.
        short: a one-letter name such as "-k".
        minimum: smallest number allowed, itself included; for a list, of each element.
        maximum: largest number allowed, itself included.

    Returns:
        A dataclass field.
    """
    metadata = {"help": help, "short": short, "minimum": minimum, "maximum": maximum}
    # Keyword-only, so that required options may follow ones with defaults.
    if isinstance(default, (list, dict, set)):
        return dataclasses.field(
            default_factory=functools.partial(type(default), default), metadata=metadata, kw_only=True
        )
    return dataclasses.field(default=default, metadata=metadata, kw_only=True)


def positional(default: Any = _REQUIRED, *, help: str, many: bool = False) -> Any:
    """Declares a field that the command line gives by place.

    Args:
        default: the value when it is not given; without one it is required.
        help: one line for `--help`.
        many: whether it takes one or more values; the field is then a `tuple[T, ...]`.

    Returns:
        A dataclass field.
    """
    return dataclasses.field(default=default, metadata={"help": help, "positional": True, "many": many})


def settings(cls: type) -> tuple[Setting, ...]:
    """The fields of a config class, with their types resolved.

    Args:
        cls: a frozen dataclass.

    Returns:
        One `Setting` a field, in the order of declaration.
    """
    hints = typing.get_type_hints(cls)
    found = []
    for field in dataclasses.fields(cls):
        default = field.default
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        known = {key: field.metadata.get(key) for key in ("short", "minimum", "maximum")}
        setting = Setting(
            field.name,
            hints[field.name],
            default,
            field.metadata.get("help", ""),
            bool(field.metadata.get("positional")),
            **known,
        )
        if field.metadata.get("many") and not setting.many:
            raise TypeError(f"{cls.__name__}.{field.name} takes many values; declare it as tuple[T, ...]")
        found.append(setting)
    return tuple(found)
