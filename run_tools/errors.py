"""The one exception a user can cause, and helpers that word it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Something the user gave cannot be used.

    The command line prints it as one line and exits with code 2; from Python it is an ordinary `ValueError`.

    Args:
        received: what was given, with its value.
        expected: what would have been right.
        fix: what to do about it, starting with a verb.

    Example:
        >>> str(InputError("--images 0", "a whole number of at least 1", "give a larger number"))
        'received --images 0; expected a whole number of at least 1; give a larger number'
    """

    def __init__(self, received: str, expected: str, fix: str) -> None:
        super().__init__(received, expected, fix)
        self.received = received
        self.expected = expected
        self.fix = fix

    def __str__(self) -> str:
        return " ".join(f"received {self.received}; expected {self.expected}; {self.fix}".split())


def nearest(name: str, valid: Iterable[str]) -> str | None:
    """The valid name that looks most like `name`.

    Args:
        name: what was typed.
        valid: the names that exist.

    Returns:
        The closest name, compared without case and with "-" equal to "_"; None when nothing is similar.
    """
    plain = {_plain(candidate): candidate for candidate in valid}
    matches = difflib.get_close_matches(_plain(name), list(plain), n=1, cutoff=0.5)
    return plain[matches[0]] if matches else None


def _plain(name: str) -> str:
    return name.strip("-").replace("_", "-").lower()


def unknown_name(kind: str, name: str, valid: Iterable[str]) -> InputError:
    """An `InputError` for a name that does not exist, with the nearest one that does.

    Args:
        kind: what the name names, such as "option" or "layer".
        name: what was given.
        valid: the names that exist.

    Returns:
        The error, ready to be raised.
    """
    names = list(valid)
    close = nearest(name, names)
    listed = ", ".join(names) if names else "none"
    before, colon, after = name.partition(":")
    if colon and before in names:
        return InputError(
            f"unknown {kind} {name!r}", f"one of {listed}", f"with a blank after the colon: {before}: {after}"
        )
    if close is not None:
        return InputError(f"unknown {kind} {name!r}", f"one of {listed}", f"did you mean {close!r}?")
    return InputError(f"unknown {kind} {name!r}", f"one of {listed}", "choose one of these names")


class TrainingDiverged(InputError):
    """Training produced a value that is not a number, so going on would only spoil the weights."""
