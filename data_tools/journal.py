"""Record of the images already written to a partial file, so that a killed conversion can go on."""

from __future__ import annotations

import os
import pathlib
from types import TracebackType
from typing import BinaryIO, NamedTuple

from run_tools.errors import InputError

Key = tuple[str, int]


class Entry(NamedTuple):
    """Where an image's bytes lie in the partial file, and their CRC-32."""

    offset: int
    length: int
    crc: int


class Journal:
    """Text file: first line the plan's identity, then one line an image: split, index, offset, length, CRC.

    It is locked while open, so that two conversions cannot write one file. A line cut off by a kill is ignored. Lines
    are not forced to the disk one by one: after a power failure the CRC tells which of the images really are there.

    Args:
        path: the file; created where missing.

    Raises:
        InputError: another process has it open.
    """

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path
        self._file: BinaryIO = open(path, "a+b")  # noqa: SIM115 (closed in __exit__)
        try:
            _lock(self._file)
        except OSError:
            self._file.close()
            raise InputError(
                f"{path} in use by another process", "one conversion a file", "wait for it or choose another output"
            ) from None

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def read(self, identity: str) -> dict[Key, Entry] | None:
        """Entries of an earlier run of the same plan; `None` where there was none.

        Args:
            identity: of the plan; a journal of another plan counts as none.
        """
        self._file.seek(0)
        first, *lines = self._file.read().split(b"\n")
        if first.decode("ascii", "replace") != identity or not lines:
            return None
        entries: dict[Key, Entry] = {}
        # What follows the last line end was cut off.
        for line in lines[:-1]:
            fields = line.decode("ascii", "replace").split()
            if len(fields) == 5 and all(field.isdecimal() for field in fields[1:]):
                index, offset, length, crc = map(int, fields[1:])
                entries[fields[0], index] = Entry(offset, length, crc)
        return entries

    def start(self, identity: str, entries: dict[Key, Entry]) -> None:
        """Begin anew with the entries that are known to be good."""
        self._file.truncate(0)
        self._file.write(f"{identity}\n".encode("ascii"))
        for key, entry in entries.items():
            self._write(key, entry)
        self._file.flush()

    def add(self, key: Key, entry: Entry) -> None:
        """Note one image as written."""
        self._write(key, entry)
        self._file.flush()

    def _write(self, key: Key, entry: Entry) -> None:
        self._file.write(f"{key[0]} {key[1]} {entry.offset} {entry.length} {entry.crc}\n".encode("ascii"))


def _lock(file: BinaryIO) -> None:
    """Exclusive lock without waiting; OSError where another process holds it."""
    if os.name == "posix":
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
