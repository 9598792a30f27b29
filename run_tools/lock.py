"""One process at a time in a run folder."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import socket
from pathlib import Path

from run_tools.errors import InputError


class Lock:
    """A lock file held by this process; made by `acquire`.

    Args:
        path: the lock file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._pid = os.getpid()
        atexit.register(self.release)

    def release(self) -> None:
        """Removes the file, unless it has gone or a forked child calls this."""
        atexit.unregister(self.release)
        if os.getpid() == self._pid:
            with contextlib.suppress(FileNotFoundError):
                self.path.unlink()


def acquire(path: Path) -> Lock:
    """Takes a lock, also over from a process that has died.

    Args:
        path: the lock file.

    Returns:
        The lock.

    Raises:
        InputError: if a live process holds it, or a process of another machine, of which nothing can be known.
    """
    for _ in range(3):  # taking over a dead lock can be lost to another process that does the same
        try:
            handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        except FileExistsError:
            _refuse_if_held(path)
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
            continue
        with os.fdopen(handle, "w") as file:
            json.dump({"pid": os.getpid(), "host": socket.gethostname(), "started": _started(os.getpid())}, file)
        return Lock(path)
    raise InputError(f"{path.parent}, which another process has just taken", "a free folder", "try again")


def _refuse_if_held(path: Path) -> None:
    try:
        holder = json.loads(path.read_text())
        pid, host, started = int(holder["pid"]), str(holder["host"]), holder.get("started")
    except FileNotFoundError:
        return
    except (ValueError, KeyError, TypeError):
        return  # cut off while it was written: its writer is gone
    if host == socket.gethostname() and not _alive(pid, started):
        return
    where = "" if host == socket.gethostname() else f" on {host}"
    raise InputError(
        f"{path.parent}, in use by process {pid}{where}",
        "a folder no other process works in",
        f"wait for it, choose another folder, or delete {path.name} if that process is gone",
    )


def _alive(pid: int, started: str | None) -> bool:
    """Whether the process that took the lock still runs; its start time tells it from a later one with its number."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it lives and belongs to somebody else
    return started is None or _started(pid) in (None, started)


def _started(pid: int) -> str | None:
    """When a process started, in the kernel's ticks; None where /proc does not tell."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19]
    except (OSError, IndexError):
        return None
