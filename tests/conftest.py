"""What all tests share: quiet libraries, one thread a worker, and the real data where there is some."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MPLBACKEND", "Agg")
if os.environ.get("PYTEST_XDIST_WORKER"):
    # Each worker is a process of its own; their thread pools would fight over the same cores.
    for _name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(_name, "1")

# Hypothesis times single examples; on a busy machine that says nothing about the code.
try:
    import hypothesis
except ModuleNotFoundError:
    pass
else:
    hypothesis.settings.register_profile("suite", deadline=None, derandomize=True)
    hypothesis.settings.load_profile("suite")


@pytest.fixture(scope="session")
def prune_data() -> Path:
    """The folder of real data, or a skip that says why."""
    named = os.environ.get("PRUNE_DATA")
    if not named:
        pytest.skip("real data: the environment variable PRUNE_DATA is not set")
    folder = Path(named)
    if not folder.is_dir():
        pytest.skip(f"real data: PRUNE_DATA names {folder}, which is not a folder")
    return folder
