"""Several GPUs of one host (TensorFlow's `MirroredStrategy`) or several hosts (`keras.distribution` on JAX).

Keras builds each global batch from what the processes yield, one behind the other, and computes the step on the whole
of it, batch-norm's statistics included. It does not divide a `PyDataset` by itself: each process yields its share.
"""

import contextlib
import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np

from run_tools.errors import InputError
from run_tools.folder import RunFolder

START = (
    "in every process set KERAS_DISTRIBUTION_JOB_ADDRESSES=HOST:PORT (of the first one), "
    "KERAS_DISTRIBUTION_NUM_PROCESSES and KERAS_DISTRIBUTION_PROCESS_ID, or start it under Slurm or Open MPI"
)
LEFT_BEHIND = ("run.lock", "tensorboard", "features")
"""What a copy of a run folder does not need to go on."""


class Hosts:
    """The processes that train one network together, all of which run the same program; alone, the first of one.

    Args:
        index: of this process, from 0.
        count: of processes.
        devices: of all of them together.
        layout: the distribution that is in force; None without one.
    """

    def __init__(self, index: int = 0, count: int = 1, devices: int = 1, layout: "_Shares | None" = None):
        self.index = index
        self.count = count
        self.devices = devices
        self._layout = layout

    def share(self, batch_size: int) -> tuple[int, int]:
        """What `data_tools.batches` is to be told of this process.

        Args:
            batch_size: images of a batch of all processes together.

        Raises:
            InputError: when it cannot be divided among the devices.
        """
        if batch_size % self.devices:
            near = max(self.devices, batch_size // self.devices * self.devices)
            raise InputError(
                f"--batch-size {batch_size} for {self.devices} devices in {self.count} processes",
                "as many images for each device",
                f"give --batch-size {near}",
            )
        return self.index, self.count

    @contextlib.contextmanager
    def folder(self, folder: RunFolder, told: Any) -> Iterator[RunFolder]:
        """Where this process reads and writes: the first one the run folder, each other a copy that is thrown away.

        All do the same, since JAX wants the same computations in the same order of every process, and what is saved
        and judged is computed.

        Args:
            folder: of the run, which all processes can read.
            told: what must be the same in all of them, as JSON has it.

        Raises:
            InputError: when it is not the same, or the folder is not.
        """
        if self.count == 1:
            yield folder
            return
        self._check_same([told, folder.read_state()])
        with contextlib.ExitStack() as stack:
            if self.index:
                scratch = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "run"
                if folder.path().is_dir():
                    shutil.copytree(folder.path(), scratch, ignore=shutil.ignore_patterns(*LEFT_BEHIND))
                folder = RunFolder(scratch)
            self._gather(np.zeros(1, np.uint8))  # nobody writes before all have their copies
            yield folder
            self._gather(np.zeros(1, np.uint8))  # whoever is done finds the run folder complete

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Around what may fail in one process alone, such as opening files: then all stop, and none waits for it.

        Raises:
            InputError: the process's own, or one that names a process that failed.
        """
        try:
            yield
        except Exception:
            self._failures(True)
            raise
        failed = self._failures(False)
        if failed:
            raise InputError(f"an error in process {failed[0]}", "none", "see what that process says")

    def callbacks(self) -> list[keras.callbacks.Callback]:
        """For `fit`, behind what measures and before what logs, saves or stops; none for one device."""
        found: list[keras.callbacks.Callback] = []
        if self._layout is not None:
            found.append(_WholeValidation(self._layout))
        if self.count > 1:
            found.append(_SameLogs(self))
        return found

    def first(self, values: np.ndarray) -> np.ndarray:
        """What the first process gave, bit for bit; all call it with arrays of one shape and type."""
        return self._gather(np.ascontiguousarray(values).view(np.uint8))[0].view(values.dtype)

    def _failures(self, failed: bool) -> list[int]:
        return np.flatnonzero(self._gather(np.array([failed], np.uint8))[:, 0]).tolist() if self.count > 1 else []

    def _check_same(self, told: Any) -> None:
        digest = hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).digest()
        rows = self._gather(np.frombuffer(digest, np.uint8))
        others = np.flatnonzero((rows != rows[0]).any(axis=1))
        if len(others):
            raise InputError(
                f"other options, data or run folder in process {others[0]} than in process 0",
                "the same command and data in every process, and an --out that all of them see",
                "put --out on a file system that all hosts share",
            )

    def _gather(self, row: np.ndarray) -> np.ndarray:
        """Every process's row, uint8 (processes, n)."""
        from jax.experimental import multihost_utils

        return np.asarray(multihost_utils.process_allgather(row)).reshape(self.count, -1)


class _Shares(keras.distribution.DataParallel):
    """Batches are shared between all devices of all processes; while `whole` is set every device has all of them."""

    whole = False

    def get_data_layout(self, data_shape: Any) -> keras.distribution.TensorLayout:
        """Of the arrays of a batch."""
        if self.whole:
            return keras.distribution.TensorLayout([None] * len(data_shape), self.device_mesh)
        return super().get_data_layout(data_shape)


class _WholeValidation(keras.callbacks.Callback):
    """Validation is the same on every device: its last batch is shorter than the others and cannot be divided."""

    def __init__(self, layout: _Shares) -> None:
        super().__init__()
        self.layout = layout

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Whole batches from here on."""
        self.layout.whole = True

    def on_test_end(self, logs: dict[str, Any] | None = None) -> None:
        """Shares again."""
        self.layout.whole = False


class _SameLogs(keras.callbacks.Callback):
    """Puts the first process's numbers in the place of all others': rounding must not stop some and not others."""

    def __init__(self, hosts: Hosts) -> None:
        super().__init__()
        self.hosts = hosts

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Changes `logs`."""
        if logs:
            told = self.hosts.first(np.array([float(value) for value in logs.values()]))
            logs.update(zip(logs, told.tolist(), strict=True))


@contextlib.contextmanager
def scope(kind: str) -> Iterator[Hosts]:
    """Where a model is built and trained.

    Args:
        kind: "none"; "mirrored", every GPU of this host, TensorFlow backend; "multihost", every device of every host,
            JAX backend, one process a host; JAX must not have computed anything before.

    Yields:
        The processes.

    Raises:
        InputError: when the Keras backend does not offer that, or JAX finds no cluster.
    """
    backend = keras.backend.backend()
    needed = {"none": backend, "mirrored": "tensorflow", "multihost": "jax"}[kind]
    if backend != needed:
        raise InputError(f"--distribute {kind} on the {backend} backend", needed, f"set KERAS_BACKEND={needed}")
    if kind == "mirrored":
        import tensorflow as tf

        with tf.distribute.MirroredStrategy().scope():
            yield Hosts()
    elif kind == "multihost":
        hosts, layout = _cluster()
        with layout.scope():
            yield hosts
    else:
        yield Hosts()


def _cluster() -> tuple[Hosts, _Shares]:
    """Joins the cluster, once a process."""
    import jax

    if not jax.distributed.is_initialized():
        try:
            keras.distribution.initialize()
        except (ValueError, RuntimeError) as error:
            why = str(error).splitlines()[0]
            raise InputError(f"--distribute multihost: {why}", "a JAX cluster", START) from None
    count, devices = jax.process_count(), jax.device_count()
    if jax.local_device_count() * count != devices:
        raise InputError(
            f"{jax.local_device_count()} of {devices} devices in one of {count} processes",
            "as many in each",
            "start it on hosts that are alike",
        )
    layout = _Shares(auto_shard_dataset=False)
    return Hosts(jax.process_index(), count, devices, layout), layout
