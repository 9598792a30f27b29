"""Reading and writing files so that nothing is ever left half-written."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from run_tools.errors import InputError

_BLOCK = 1 << 20


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path beside `path` that becomes `path` when the block succeeds.

    The temporary name keeps the suffix of `path`, because writers such as Keras and OpenCV choose a format by it.

    Args:
        path: the final file or folder; parent folders are made.

    Yields:
        A path in the same folder at which nothing exists yet. The block may write a file or make a folder there.

    Raises:
        FileNotFoundError: if the block succeeded without writing anything.
    """
    final = Path(path)
    final.parent.mkdir(parents=True, exist_ok=True)
    room = Path(tempfile.mkdtemp(prefix=f".{final.name}.", suffix=".part", dir=final.parent))
    temporary = room / final.name
    try:
        yield temporary
        if final.is_dir() and temporary.is_dir():
            os.replace(final, room / "previous")  # a folder cannot be renamed over a folder that holds files
        os.replace(temporary, final)
    finally:
        shutil.rmtree(room, ignore_errors=True)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Writes `text` as UTF-8, all or nothing.

    Args:
        path: the file.
        text: what it will hold, exactly.
    """
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")


def plain(value: Any) -> Any:
    """A copy of `value` that strict JSON can hold.

    Args:
        value: nested dicts, lists, tuples, sets, paths, NumPy arrays and scalars.

    Returns:
        The same with lists, numbers, strings; NaN and infinities become None, which is JSON's null.

    Raises:
        TypeError: for objects that have no such form.
    """
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return [plain(item) for item in sorted(value)]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "tolist"):  # NumPy arrays and scalars, without importing NumPy
        return plain(value.tolist())
    raise TypeError(f"received {type(value).__name__}; expected something JSON can hold; convert it first")


def write_json(path: str | os.PathLike[str], obj: Any) -> None:
    """Writes `obj` as indented JSON, all or nothing.

    Args:
        path: the file.
        obj: anything `plain` accepts; NaN is written as null.
    """
    write_text(path, json.dumps(plain(obj), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: str | os.PathLike[str]) -> Any:
    """Reads a JSON file.

    Args:
        path: the file.

    Returns:
        What it holds.

    Raises:
        InputError: if it is missing or is not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}, which does not exist", "a JSON file", "check the path") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}, which is not JSON ({error})", "a JSON file", "write it again") from None


def once(path: str | os.PathLike[str], make: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
    """What a JSON file holds; where it is not there yet, that is made and written first.

    Args:
        path: the file; its folder is made where needed.
        make: gives what it is to hold, and is called at most once.

    Returns:
        What was read, so that the first call and later ones give the same: lists for tuples, texts for paths.
    """
    if not os.path.isfile(path):
        write_json(path, dict(make()))
    return dict(read_json(path))


def sha256(path: str | os.PathLike[str]) -> str:
    """The SHA-256 checksum of a file, read in blocks.

    Args:
        path: the file.

    Returns:
        64 lower-case hexadecimal digits.
    """
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def told_size(size: Sequence[int]) -> str:
    """(height, width) as "WIDTHxHEIGHT", which `parse_size` reads."""
    height, width = size
    return f"{width}x{height}"


def parse_size(text: str) -> tuple[int, int]:
    """Reads an image size written as people write it, width first.

    Args:
        text: "1242x375" (width x height, pixels) or "256" for a square.

    Returns:
        (height, width) in pixels, the order of arrays.

    Raises:
        InputError: if the text is not one or two positive whole numbers.

    Example:
        >>> parse_size("1242x375")
        (375, 1242)
    """
    match = re.fullmatch(r"\s*([0-9]{1,6})\s*(?:[xX×]\s*([0-9]{1,6}))?\s*", str(text))
    width = int(match[1]) if match else 0
    height = int(match[2]) if match and match[2] else width
    if width < 1 or height < 1:
        raise InputError(f"size {text!r}", "WIDTHxHEIGHT in pixels", "write it like 1248x384")
    return height, width
