"""Keras callbacks that tie `fit` to a run folder; they work on every Keras backend."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from run_tools import arrays
from run_tools.errors import TrainingDiverged
from run_tools.folder import RunFolder

__all__ = ["JsonLines", "NanStop", "TensorBoardScalars", "TrainingDiverged", "advice_of", "learning_rate"]


def learning_rate(model: keras.Model) -> float | None:
    """The optimizer's present learning rate.

    Args:
        model: a compiled model.

    Returns:
        The rate, the schedule's value at this step where there is one; None without an optimizer.
    """
    optimizer = getattr(model, "optimizer", None)
    if optimizer is None:
        return None
    return float(keras.ops.convert_to_numpy(optimizer.learning_rate))


def _numbers(logs: Mapping[str, Any] | None) -> dict[str, float]:
    """The scalar entries of a callback's logs as Python floats."""
    return {name: float(np.asarray(value)) for name, value in (logs or {}).items() if np.size(value) == 1}


class JsonLines(keras.callbacks.Callback):
    """Writes every epoch's metrics to the run folder's `metrics.jsonl`.

    Args:
        folder: the run folder.
        extra: entries added to every line, such as {"stage": "head"}.
    """

    def __init__(self, folder: RunFolder, extra: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self.folder = folder
        self.extra = dict(extra or {})
        self._start = 0.0

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Starts the epoch's clock."""
        self._start = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Writes one line: epoch (from 0), seconds, learning rate, metrics."""
        line: dict[str, Any] = {**self.extra, "epoch": epoch}
        line["seconds"] = round(time.perf_counter() - self._start, 3)
        line.update(_numbers(logs))
        rate = learning_rate(self.model)
        if rate is not None:
            line["learning_rate"] = rate
        self.folder.log(line)


class NanStop(keras.callbacks.Callback):
    """Stops training at the first loss, and after an epoch at weights, that are not finite numbers.

    Keras logs running means, so the first batch whose mean is not finite is the culprit; with
    `steps_per_execution` above 1 it is one of that many batches. A gradient that is not finite shows in the loss of the
    next batch. After the last batch of an epoch there is none, and what comes then saves the weights: hence the look at
    these and at the optimizer's.

    Args:
        components: names of logged metrics in the order in which to blame them; the loss itself comes last and need
            not be named.
        describe_batch: says what batch `i` of the epoch holds, such as its image ids.
        advice: what to try, the end of the message.
    """

    def __init__(
        self,
        components: Sequence[str] = (),
        describe_batch: Callable[[int], str] | None = None,
        advice: str = "lower the learning rate, clip the gradients, or look at that batch",
    ) -> None:
        super().__init__()
        self.advice = advice
        self.components = tuple(components)
        self.describe_batch = describe_batch
        self._epoch = 0

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Remembers the epoch for the message."""
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Looks at the losses after each batch.

        Raises:
            TrainingDiverged: naming the component, the epoch and the batch.
        """
        values = _numbers(logs)
        ordered = [name for name in self.components if name in values]
        ordered += [name for name in values if name not in ordered and name != "loss"] + ["loss"]
        bad = next((name for name in ordered if not math.isfinite(values.get(name, 0.0))), None)
        if bad is None:
            return
        told = f" ({self.describe_batch(batch)})" if self.describe_batch is not None else ""
        raise TrainingDiverged(
            f"{bad} = {values[bad]} in epoch {self._epoch}, batch {batch}{told}",
            "finite losses",
            self.advice,
        )

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Looks at the weights, and at what the optimizer keeps of them.

        Raises:
            TrainingDiverged: naming a variable and the epoch.
        """
        optimizer = getattr(self.model, "optimizer", None)
        for variable in [*self.model.variables, *(optimizer.variables if optimizer is not None else ())]:
            if not arrays.finite(variable):
                raise TrainingDiverged(f"{variable.path} not finite after epoch {epoch}", "finite weights", self.advice)


def advice_of(config: Any) -> str:
    """What to try where the loss of a training is not finite time and again, for `NanStop`.

    Args:
        config: of the training, with `cpu_bfloat16` and `mixed_precision`.
    """
    half = {"--cpu-bfloat16": config.cpu_bfloat16, "--mixed-precision": config.mixed_precision}
    without = "".join(f"leave {name} out, " for name, given in half.items() if given)
    return f"with another --out, {without}lower the learning rate or clip the gradients; or look at that batch"


class TensorBoardScalars(keras.callbacks.Callback):
    """Writes every epoch's metrics for TensorBoard; no TensorFlow is needed.

    Metrics whose name starts with "val_" go to the sub-folder `validation` under the name without it, the others to
    `train`, so that TensorBoard draws both in one chart.

    Args:
        logdir: the folder TensorBoard is given.
    """

    def __init__(self, logdir: str | os.PathLike[str]) -> None:
        super().__init__()
        self.logdir = os.fspath(logdir)
        self._files: dict[str, Any] = {}

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Writes one point a metric and the learning rate."""
        from run_tools import events  # here, because TensorBoard is slow to import

        values = _numbers(logs)
        rate = learning_rate(self.model)
        if rate is not None:
            values["learning_rate"] = rate
        parts: dict[str, list[Any]] = {}
        for name, value in values.items():
            point = events.scalar(f"epoch/{name.removeprefix('val_')}", value)
            parts.setdefault("validation" if name.startswith("val_") else "train", []).append(point)
        for part, points in parts.items():
            if part not in self._files:
                self._files[part] = events.EventFile(os.path.join(self.logdir, part))
            self._files[part].add(points, epoch)

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Another `fit` begins new files."""
        self._files.clear()
