from __future__ import annotations

import os

import pytest

from run_tools import quiet


def test_banners_are_dropped_and_everything_else_is_shown(capfd: pytest.CaptureFixture[str]) -> None:
    with quiet.loading():
        os.write(2, b"WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\n")
        os.write(2, b"I0000 00:00:1795193575.376756    8285 port.cc:153] oneDNN custom operations are on.\n")
        os.write(2, b"E0000 00:00:1795193575.376756    8285 real.cc:1] something is wrong\n")
        os.write(2, b"said\n")
    os.write(2, b"after\n")
    captured = capfd.readouterr().err
    assert captured.splitlines() == [
        "E0000 00:00:1795193575.376756    8285 real.cc:1] something is wrong",
        "said",
        "after",
    ]


def test_the_stream_comes_back_after_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ImportError), quiet.loading():
        os.write(2, b"why it failed\n")
        raise ImportError
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "why it failed\nafter\n"
