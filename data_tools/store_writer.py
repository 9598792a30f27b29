"""Fill an HDF5 file with images: in parallel, resumable after a kill, the same bytes every time.

While it is made, `OUT.h5` is `OUT.h5.partial`, with `OUT.h5.partial.journal` beside it. Images are rendered by threads
(OpenCV lets go of Python's lock) and written straight to their place in the file; each finished one is noted in the
journal with its CRC. The next run of the same plan checks what is there and does the rest. At the end checksums are
filled in, the file is checked, marked complete and renamed.
"""

from __future__ import annotations

import concurrent.futures as futures
import errno
import itertools
import os
import pathlib
import shutil
import sys
from collections.abc import Callable

import h5py
import numpy as np
from tqdm import tqdm

from data_tools import layout
from data_tools.journal import Entry, Journal, Key
from data_tools.layout import Plan
from data_tools.partial import Sink, assemble, assembled, intact
from run_tools.errors import InputError

Render = Callable[[str, int], np.ndarray]
MARGIN = 16 << 20
# A guess for lossless photos, to refuse early where the disk clearly is too small.
ENCODED_SHARE = 0.5


def default_workers() -> int:
    """Number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def write_store(
    out: str | pathlib.Path,
    plan: Plan,
    render: Render,
    workers: int | None = None,
    progress: bool = True,
    check: Callable[[pathlib.Path], object] | None = None,
) -> int:
    """Write a complete file, or nothing.

    Args:
        out: the file; replaced at the very end where it exists.
        plan: all of the file but its pixels.
        render: image or vector by split and index, of `plan.dtype` and `plan.row_shape`; called from several threads.
        workers: threads; default: one a processor.
        progress: show a bar.
        check: called with the finished file before it is marked complete; raises where something is wrong.

    Returns:
        How many images an earlier, killed run had already written.

    Raises:
        InputError: the disk is too small or gets full, the output folder is missing, or `render` raised one. After a
            full disk or a kill the partial file stays, and the same call resumes; after other errors it is removed.
    """
    out = pathlib.Path(out)
    check_output(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(out.name + ".partial")
    with Journal(partial.with_name(partial.name + ".journal")) as journal:
        try:
            done = _prepare(partial, plan, journal)
            _fill(partial, plan, render, journal, done, workers or default_workers(), progress)
            _finish(partial, plan, journal, check)
        except KeyboardInterrupt:
            if progress:
                tqdm.write(f"stopped; the same command goes on from {partial}", file=sys.stderr)
            raise
        except OSError as error:
            if _no_space(error):
                raise _disk_full(out, partial) from error
            raise
        except InputError:
            _discard(partial, journal)
            raise
        os.replace(partial, out)
        journal.path.unlink()
    return len(done)


def _discard(partial: pathlib.Path, journal: Journal) -> None:
    for path in (partial, assembled(partial), journal.path):
        path.unlink(missing_ok=True)


def check_output(out: pathlib.Path) -> None:
    """Refuse an output that cannot be written, before any work.

    Args:
        out: the file to write; missing folders on its way will be made.

    Raises:
        InputError: it is a folder, or lies in a file or in a folder that may not be written to.
    """
    if out.is_dir():
        raise InputError(f"output {out} (a folder)", "a file name such as data.h5", "add the file's name")
    folder = next(parent for parent in out.absolute().parents if parent.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        what = "that may not be written to" if folder.is_dir() else "(a file)"
        raise InputError(f"output {out} in {folder} {what}", "a folder to write to", "choose another path")


def _no_space(error: OSError) -> bool:
    """Whether the disk is full; HDF5 tells it only in words."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT) or "No space left" in str(error)


def _disk_full(out: pathlib.Path, partial: pathlib.Path) -> InputError:
    return InputError(
        f"a full disk while writing {out}",
        "more free space",
        f"free some and run the same command, which resumes from {partial.name}; or delete {partial.name}*",
    )


def _check_space(partial: pathlib.Path, plan: Plan) -> None:
    """Refuse before the first byte where the images cannot fit."""
    total = plan.row_bytes * sum(plan.counts.values())
    needed = int(total * (ENCODED_SHARE if plan.encoded else 1)) + MARGIN
    free = shutil.disk_usage(partial.parent).free
    if free < needed:
        raise InputError(
            f"{free / 1e9:.2f} GB free in {partial.parent}",
            f"{needed / 1e9:.2f} GB for {sum(plan.counts.values())} {plan.dataset} of "
            f"{'x'.join(str(side) for side in plan.row_shape[:2][::-1])}",
            "free some space, write elsewhere, or use a smaller --size, a --limit or --encoded",
        )


def _prepare(partial: pathlib.Path, plan: Plan, journal: Journal) -> dict[Key, Entry]:
    """A partial file ready to be filled; the images of an earlier run that are intact in it."""
    identity = plan.identity()
    entries = journal.read(identity) if partial.is_file() else None
    if entries is not None:
        done = intact(partial, entries)
        if plan.encoded or _readable(partial, plan):
            journal.start(identity, done)
            return done
    partial.unlink(missing_ok=True)
    _check_space(partial, plan)
    if plan.encoded:
        partial.touch()
    else:
        layout.create(partial, plan)
        _allocate(partial)
    journal.start(identity, {})
    return {}


def _readable(partial: pathlib.Path, plan: Plan) -> bool:
    """Whether the layout survived: a kill in the middle of sealing may have damaged it."""
    try:
        with h5py.File(partial, "r") as file:
            return all(len(file[split][plan.dataset]) == count for split, count in plan.counts.items())
    except (OSError, KeyError, RuntimeError):
        return False


def _allocate(path: pathlib.Path) -> None:
    """Claim the file's room on the disk now: a full disk shows before the work, not in the middle of it."""
    if hasattr(os, "posix_fallocate"):
        size = path.stat().st_size
        with open(path, "r+b") as file:
            try:
                os.posix_fallocate(file.fileno(), 0, size)
            except OSError as error:
                if _no_space(error):
                    raise InputError(
                        f"a disk too full for {size / 1e9:.2f} GB in {path.parent}",
                        "more free space",
                        "free some, write elsewhere, or use a smaller --size, a --limit or --encoded",
                    ) from error
                # Some file systems cannot; pixels are then allocated as they are written.


def _fill(
    partial: pathlib.Path,
    plan: Plan,
    render: Render,
    journal: Journal,
    done: dict[Key, Entry],
    workers: int,
    progress: bool,
) -> None:
    """Render and write every image that is not done."""
    sink = Sink(partial, plan, done.values())
    todo = iter([key for key in plan.places() if key not in done])

    def work(key: Key) -> tuple[Key, Entry]:
        return key, sink.put(key, render(*key))

    # In a log file a line every ten seconds is enough.
    pace = 0.1 if sys.stderr.isatty() else 10.0
    bar = tqdm(
        total=len(plan.places()), initial=len(done), unit="image", desc="images", disable=not progress, mininterval=pace
    )
    pool = futures.ThreadPoolExecutor(workers, thread_name_prefix="compile")
    try:
        # A few images a thread are in flight: enough to keep all busy, little to wait for on an error.
        waiting = {pool.submit(work, key) for key in itertools.islice(todo, 3 * workers)}
        while waiting:
            finished, waiting = futures.wait(waiting, return_when=futures.FIRST_COMPLETED)
            for future in finished:
                journal.add(*future.result())
                bar.update()
            waiting |= {pool.submit(work, key) for key in itertools.islice(todo, len(finished))}
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        sink.close()
        bar.close()


def _finish(
    partial: pathlib.Path, plan: Plan, journal: Journal, check: Callable[[pathlib.Path], object] | None
) -> None:
    """Compare what is on the disk with what was written, fill in the checksums, check, mark complete."""
    entries = intact(partial, journal.read(plan.identity()) or {})
    lost = [key for key in plan.places() if key not in entries]
    if lost:
        raise InputError(
            f"{len(lost)} images that read back differently from {partial} (first: {lost[0][0]} {lost[0][1]})",
            "a disk that keeps what is written",
            "run the same command again, on another disk if it happens again",
        )
    if plan.encoded:
        assemble(partial, plan, entries)
    layout.add_digests(partial)
    if check is not None:
        check(partial)
    layout.mark_complete(partial)
    _flush(partial)


def _flush(path: pathlib.Path) -> None:
    """Force the file to the disk before its name says that it is complete."""
    with open(path, "r+b") as file:
        os.fsync(file.fileno())
