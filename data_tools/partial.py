"""The unfinished file: raw pixels at their final place, encoded images in a heap from which the file is made."""

from __future__ import annotations

import os
import pathlib
import threading
import zlib
from collections.abc import Iterable

import cv2
import h5py
import numpy as np

from data_tools import layout
from data_tools.journal import Entry, Key
from data_tools.layout import Plan
from run_tools.errors import InputError


def intact(partial: pathlib.Path, entries: dict[Key, Entry]) -> dict[Key, Entry]:
    """Those journal entries whose bytes really are in the file."""
    good = {}
    with open(partial, "rb") as file:
        for key, entry in entries.items():
            file.seek(entry.offset)
            data = file.read(entry.length)
            if len(data) == entry.length and zlib.crc32(data) == entry.crc:
                good[key] = entry
    return good


class Sink:
    """Puts rendered images into the partial file: raw ones to their place, encoded ones at the end."""

    def __init__(self, partial: pathlib.Path, plan: Plan, done: Iterable[Entry]) -> None:
        self._plan = plan
        self._offsets = {} if plan.encoded else layout.offsets(partial, plan.dataset)
        self._end = max((entry.offset + entry.length for entry in done), default=0)
        self._lock = threading.Lock()
        self._file = open(partial, "r+b", buffering=0)  # noqa: SIM115 (closed in close)

    def put(self, key: Key, image: np.ndarray) -> Entry:
        """Write one image or vector; safe from several threads."""
        if image.shape != self._plan.row_shape or image.dtype != self._plan.dtype:
            raise InputError(
                f"image {key[1]} of {key[0]} as {image.dtype} {image.shape}",
                f"{self._plan.dtype} {self._plan.row_shape}",
                "return such an array from the extractor",
            )
        if self._plan.encoded:
            data = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes()
            offset = None
        else:
            data = np.ascontiguousarray(image).tobytes()
            offset = self._offsets[key[0]] + key[1] * self._plan.row_bytes
        with self._lock:
            if offset is None:
                offset, self._end = self._end, self._end + len(data)
            self._file.seek(offset)
            view = memoryview(data)
            while view:
                view = view[self._file.write(view) :]
        return Entry(offset, len(data), zlib.crc32(data))

    def close(self) -> None:
        """Close the partial file."""
        self._file.close()


def assembled(partial: pathlib.Path) -> pathlib.Path:
    """Name under which `assemble` puts the file together."""
    return partial.with_name(partial.name + ".h5")


def assemble(partial: pathlib.Path, plan: Plan, entries: dict[Key, Entry]) -> None:
    """Turn the heap of encoded images, in the order in which threads finished, into the HDF5 file, in its order."""
    target = assembled(partial)
    layout.create(target, plan)
    with h5py.File(target, "r+", libver="earliest") as file, open(partial, "rb") as heap:
        for split, index in plan.places():
            entry = entries[split, index]
            heap.seek(entry.offset)
            file[split]["encoded"][index] = np.frombuffer(heap.read(entry.length), np.uint8)
    os.replace(target, partial)
