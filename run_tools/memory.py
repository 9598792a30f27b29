"""How much memory this process may still take."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

# A group's limit, its use, and the line of memory.stat with the file cache that goes first when memory gets short.
_VERSION_2 = ("memory.max", "memory.current", "inactive_file")
_VERSION_1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")


def available(root: Path = Path("/")) -> int:
    """Memory that can be taken without swapping or being killed.

    The least of what the kernel calls available (`MemAvailable`; elsewhere than on Linux half of the physical memory)
    and what the control groups of this process leave: limit − use + file cache that is not in use, for its own group
    and all groups above it. Containers are such groups.

    Args:
        root: the folder that holds `proc` and `sys`.

    Returns:
        Bytes, at least 0.
    """
    return max(0, min([_system(root), *_groups(root)]))


def _system(root: Path) -> int:
    for line in _lines(root / "proc" / "meminfo"):
        name, _, rest = line.partition(":")
        if name == "MemAvailable":
            return int(rest.split()[0]) * 1024
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def _groups(root: Path) -> Iterator[int]:
    """What each control group leaves, those without a limit or without files omitted."""
    base = root / "sys" / "fs" / "cgroup"
    for line in _lines(root / "proc" / "self" / "cgroup"):
        _, controllers, place = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        mount, names = (base / "memory", _VERSION_1) if controllers else (base, _VERSION_2)
        folder = mount / place.strip("/")
        # A container may see the path of the host, which does not exist in its own view; the mount itself always does.
        for group in (folder, *folder.parents):
            left = _left(group, *names)
            if left is not None:
                yield left
            if group == mount:
                break


def _left(group: Path, limit_name: str, used_name: str, cache_name: str) -> int | None:
    limit, used = "".join(_lines(group / limit_name)), "".join(_lines(group / used_name))
    if not (limit.isdecimal() and used.isdecimal()):  # "max" is no limit
        return None
    stat = dict(line.split(maxsplit=1) for line in _lines(group / "memory.stat"))
    return int(limit) - int(used) + int(stat.get(cache_name, 0))


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return []
