"""Digests of the files that a run began from."""

import hashlib
from pathlib import Path

import pytest

from run_tools import origins
from run_tools.errors import InputError


def test_files_and_run_folders_have_digests(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/best.keras").write_bytes(b"best")
    (tmp_path / "masks.npz").write_bytes(b"masks")
    given = {
        "weights": tmp_path / "run",
        "masks": tmp_path / "masks.npz",
        "teacher": None,
        "named": Path("kitti-tiny"),
        "gone": tmp_path / "gone.npz",
    }
    told = {name: hashlib.sha256(name.encode()).hexdigest() for name in ("best", "masks")}
    assert origins.digests(given) == {"weights": told["best"], "masks": told["masks"]}


def test_other_contents_are_refused_and_what_is_gone_is_not_compared(tmp_path):
    one, other = tmp_path / "one.keras", tmp_path / "other.npz"
    one.write_bytes(b"1")
    other.write_bytes(b"2")
    given = {"weights": one, "masks": other}
    state = {"epoch": 3, origins.FILES: origins.digests(given)}
    assert origins.check(given, state, tmp_path) == state[origins.FILES]
    one.unlink()
    assert origins.check(given, state, tmp_path) == state[origins.FILES]  # kept for when it is back
    other.write_bytes(b"3")
    with pytest.raises(InputError, match=r"masks .*other.npz with other contents than when .* was started; expected"):
        origins.check(given, state, tmp_path)
    # A run of before digests were kept knows those of now from here on.
    assert origins.check(given, {"epoch": 3}, tmp_path) == {"masks": hashlib.sha256(b"3").hexdigest()}
