"""What all tests share: quiet libraries, one thread a worker, and the real data where there is some."""

from __future__ import annotations

import gc
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

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


# Traced graphs are made of a great many objects, and a full collection of garbage walks all of them each time.
gc.set_threshold(700, 10, 50)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first: of workers that take file after file none is left alone with a long one."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def pytest_collection_finish() -> None:
    """Takes what was imported out of the garbage collector's sight: it stays to the end."""
    gc.collect()
    gc.freeze()


def _eagerly() -> Iterator[None]:
    """The steps of Keras models run as they stand, and no graph of them is made.

    For tests of what is trained, in which order, and what is told of it: to trace a step takes as long as ten of them,
    and these trainings have three to six. What a traced step does is asked by the tests of the trainers, losses, masks
    and averages, which trace.
    """
    import keras

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(keras.Model, "run_eagerly", property(lambda model: True, lambda model, chosen: None))
        yield


eager = pytest.fixture(_eagerly, name="eager")
eager_module = pytest.fixture(_eagerly, scope="module", name="eager_module")


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


@pytest.fixture(scope="session")
def train_leaving() -> Callable[[Any, Path, int], Any]:
    """The function that runs a trainer to its end, and on the way leaves a copy of its run folder: what a process would
    have left that was cut off at the end of an epoch, before its line and its checkpoint.

    It takes the trainer, the copy and the epoch, from 0. Both trainings are the very same one up to there.
    """
    from run_tools.callbacks import JsonLines

    def run(trainer: Any, copy: Path, epoch: int) -> Any:
        log = JsonLines.on_epoch_end

        def copy_and_log(self, now, logs=None):
            if now == epoch:
                shutil.copytree(self.folder.path(), copy, ignore=shutil.ignore_patterns("run.lock"))
            log(self, now, logs)

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(JsonLines, "on_epoch_end", copy_and_log)
            told = trainer.fit()
        assert copy.is_dir()
        return told

    return run
