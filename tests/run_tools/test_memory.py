"""Free memory, read from made-up systems."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from run_tools.memory import available

GB = 1 << 30


@pytest.fixture
def system(tmp_path: Path) -> Path:
    """16 GiB available, process in the group /a/b of version 2."""
    for name, text in {
        "proc/meminfo": f"MemTotal: {32 * GB // 1024} kB\nMemAvailable:   {16 * GB // 1024} kB\n",
        "proc/self/cgroup": "0::/a/b\n",
    }.items():
        write(tmp_path, name, text)
    return tmp_path


def write(root: Path, name: str, text: object) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(str(text))


def group(root: Path, place: str, limit: object, used: int, cache: int) -> None:
    folder = f"sys/fs/cgroup/{place}"
    write(root, f"{folder}/memory.max", f"{limit}\n")
    write(root, f"{folder}/memory.current", f"{used}\n")
    write(root, f"{folder}/memory.stat", f"anon 5\ninactive_file {cache}\n")


def test_without_groups_it_is_what_the_kernel_says(system: Path) -> None:
    assert available(system) == 16 * GB
    group(system, "a/b", "max", GB, 0)
    assert available(system) == 16 * GB


def test_the_tightest_group_counts(system: Path) -> None:
    group(system, "a/b", 8 * GB, 5 * GB, 1 * GB)  # 8 - 5 + 1 = 4
    assert available(system) == 4 * GB
    group(system, "a", 6 * GB, 5 * GB, 0)  # 1 is left to the group above
    assert available(system) == 1 * GB
    group(system, "a", 6 * GB, 7 * GB, 0)  # over its limit
    assert available(system) == 0


def test_a_container_that_sees_the_path_of_its_host(system: Path) -> None:
    group(system, ".", 3 * GB, 1 * GB, 0)
    assert available(system) == 2 * GB


def test_version_1(system: Path) -> None:
    write(system, "proc/self/cgroup", "4:memory:/x\n3:cpu,cpuacct:/y\n0::/\n")
    for name, value in {"limit_in_bytes": 4 * GB, "usage_in_bytes": 3 * GB}.items():
        write(system, f"sys/fs/cgroup/memory/x/memory.{name}", value)
    write(system, "sys/fs/cgroup/memory/x/memory.stat", f"cache 1\ntotal_inactive_file {GB // 2}")
    assert available(system) == GB + GB // 2


def test_where_there_is_no_proc(tmp_path: Path) -> None:
    assert available(tmp_path) == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def test_this_machine() -> None:
    assert 0 < available() <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
