"""Command lines: a program is a list of verbs, a verb is one call of one function."""

from __future__ import annotations

import dataclasses
import errno
import importlib
import importlib.metadata
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from run_tools import files, parsing, quiet
from run_tools.errors import InputError, nearest

DISTRIBUTION = "prune-vision"
OK, FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130


@dataclasses.dataclass(frozen=True)
class Verb:
    """One command of a program.

    Attributes:
        name: one word or two, such as "street" or "compile kitti".
        config: the frozen dataclass with its options; the docstring is the help text.
        function: what it runs, taking the config and returning the result as a dict; or "module:function", imported
            only when the verb runs, so that `--help` stays quick.
        table: the result as a short text for people; or "module:function".
        example: a complete command line, shown in the help.
    """

    name: str
    config: type
    function: Callable[[Any], dict[str, Any]] | str
    table: Callable[[dict[str, Any]], str] | str
    example: str

    @property
    def summary(self) -> str:
        """The first line of the config's docstring."""
        return (self.config.__doc__ or "").strip().split("\n")[0]


def resolve(target: Callable[..., Any] | str) -> Callable[..., Any]:
    """The function behind "module:function"; a function is returned as it is.

    Args:
        target: a function or its address.

    Returns:
        The function.
    """
    if not isinstance(target, str):
        return target
    module, _, name = target.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return found


def main(program: str, verbs: Sequence[Verb], argv: Sequence[str] | None = None) -> int:
    """Runs one verb.

    Args:
        program: the program's name, such as "data-tools".
        verbs: everything it can do.
        argv: the arguments; those of the process when None.

    Returns:
        The exit code: 0 on success, 2 for bad input (one line on stderr), 130 when interrupted, 1 for a fault of
        the program itself.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        return _run(program, verbs, arguments)
    except KeyboardInterrupt:
        _say(program, "interrupted; no finished file was harmed, the same command can be run again")
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output, such as `head`, has gone; there is no one left to tell
        sys.stderr.close()
        return OK
    except Exception as error:  # noqa: BLE001 - the last line of defence: every fault becomes one line
        line, code = explain(error)
        if "--debug" in arguments:
            traceback.print_exc()
        _say(program, line)
        return code


def explain(error: Exception) -> tuple[str, int]:
    """One line and an exit code for an exception.

    Args:
        error: what was raised.

    Returns:
        (line, exit code).
    """
    if isinstance(error, InputError):
        return str(error), BAD_INPUT
    if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
        need = InputError("more work than memory holds", "enough free memory", "use smaller images or batches")
        return str(need), BAD_INPUT
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        where = f" while writing {error.filename}" if error.filename else ""
        return str(
            InputError(f"disk full{where}", "free space on that disk", "free some or write elsewhere")
        ), BAD_INPUT
    if isinstance(error, OSError) and error.filename is not None:
        received = f"{error.filename} ({(error.strerror or type(error).__name__).lower()})"
        return str(InputError(received, "a path that can be used", "check the path and its permissions")), BAD_INPUT
    words = " ".join(str(error).split())
    shown = words if len(words) <= 300 else words[:300] + " …"
    return f"{type(error).__name__}: {shown}; run it again with --debug to see where", FAILED


def _say(program: str, line: str) -> None:
    print(f"{program}: error: {line}", file=sys.stderr)


def _run(program: str, verbs: Sequence[Verb], arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(overview(program, verbs))
        return OK
    if arguments[0] == "--version":
        print(f"{program} {importlib.metadata.version(DISTRIBUTION)}")
        return OK
    verb, rest = _find(program, verbs, arguments)
    if verb is None:
        print(overview(program, [other for other in verbs if other.name.split()[0] == arguments[0]]))
        return OK
    name = f"{program} {verb.name}"
    if "-h" in rest or "--help" in rest:
        print(parsing.parser(verb.config, name, verb.example).format_help().rstrip())
        return OK
    config: Any
    config, json_path = parsing.parse(verb.config, name, rest)
    if json_path is not None and Path(json_path).is_dir():
        raise InputError(f"--json {json_path}, which is a folder", "a file to write", "add a file name")
    with quiet.loading():
        function = resolve(verb.function)
    result = function(config)
    if json_path is not None:
        files.write_json(json_path, result)
    print(resolve(verb.table)(result))
    sys.stdout.flush()
    return OK


def _find(program: str, verbs: Sequence[Verb], arguments: list[str]) -> tuple[Verb | None, list[str]]:
    """The verb the arguments name; None where help is wanted about all verbs of a first word."""
    for verb in sorted(verbs, key=lambda each: -len(each.name.split())):
        words = verb.name.split()
        if arguments[: len(words)] == words:
            return verb, arguments[len(words) :]
    names = [verb.name for verb in verbs]
    first = [name for name in names if name.split()[0] == arguments[0]]
    if first and len(arguments) > 1 and arguments[1] in ("-h", "--help"):
        return None, []
    typed = " ".join(arguments[: 2 if first and len(arguments) > 1 else 1])
    close = nearest(typed, first or names)
    fix = f"did you mean {close!r}?" if close else f"see {program} --help"
    raise InputError(f"unknown verb {typed!r}", f"one of {', '.join(first or names)}", fix)


def overview(program: str, verbs: Sequence[Verb]) -> str:
    """The list of verbs.

    Args:
        program: the program's name.
        verbs: the verbs to list.

    Returns:
        Text with one line a verb.
    """
    width = max((len(verb.name) for verb in verbs), default=0)
    lines = [f"usage: {program} VERB [options]", "", "verbs:"]
    lines += [f"  {verb.name:<{width}}  {verb.summary}" for verb in verbs]
    return "\n".join([*lines, "", f"{program} VERB --help shows a verb's options with an example."])
