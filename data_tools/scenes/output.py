"""Writing rendered images: the folder they go to, and several processes that share the work."""

from __future__ import annotations

import multiprocessing
import os
import pathlib
from collections.abc import Callable, Iterator
from typing import TypeVar

import cv2

from run_tools.errors import InputError

WORTH_PROCESSES = 64
"""Images from which on processes are started: starting one costs as much as some dozen images."""
Result = TypeVar("Result")


def check_folder(out: str | os.PathLike[str], seed: int, workers: int | None) -> pathlib.Path:
    """The folder to write, if it is new or empty and seed and workers can be used.

    Raises:
        InputError: otherwise.
    """
    out = pathlib.Path(out)
    if workers is not None and workers < 1:
        raise InputError(f"--workers {workers}", "at least 1", "leave it out for one per core")
    if seed < 0:
        raise InputError(f"--seed {seed}", "a whole number from 0", "choose another seed")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out}, which exists already", "a new or empty folder", "choose another name or remove it")
    return out


def each(job: Callable[[int], Result], count: int, workers: int | None) -> Iterator[Result]:
    """Results of `job` for 0 ... count - 1, in any order.

    Args:
        job: makes image i; must be picklable.
        count: images.
        workers: processes; if None, one per core, or this one alone for a few images.

    Yields:
        What `job` returned.
    """
    workers = min(workers or (os.cpu_count() or 1 if count >= WORTH_PROCESSES else 1), count)
    if workers == 1:
        yield from map(job, range(count))
        return
    # "spawn" because forking a process that already runs threads (OpenCV's, a framework's) can hang.
    with multiprocessing.get_context("spawn").Pool(workers, initializer=cv2.setNumThreads, initargs=(1,)) as pool:
        yield from pool.imap_unordered(job, range(count), chunksize=8)
