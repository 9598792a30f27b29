from __future__ import annotations

import errno
import math
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from run_tools.callbacks import JsonLines, NanStop, TensorBoardScalars, learning_rate
from run_tools.cli import explain
from run_tools.errors import InputError, TrainingDiverged
from run_tools.folder import RunFolder

ROOT = Path(__file__).resolve().parents[2]


def line_model(rate: Any = 0.25) -> keras.Model:
    """y = w x with w = 0 at first, trained by plain gradient descent on the mean squared error."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")])
    model.compile(keras.optimizers.SGD(rate), "mse", metrics=["mae"])
    return model


ONES = np.ones((4, 1), np.float32)


def test_json_lines(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    callback = JsonLines(folder, {"stage": "head"})
    line_model().fit(ONES, ONES, epochs=2, verbose=0, validation_data=(ONES, ONES), callbacks=[callback])
    rows = folder.metrics()
    # loss = (w - 1)^2, gradient 2 (w - 1): w goes 0 -> 0.5 -> 0.75; a loss is taken before its step, val_loss after.
    assert [row["loss"] for row in rows] == pytest.approx([1.0, 0.25])
    assert [row["val_loss"] for row in rows] == pytest.approx([0.25, 0.0625])
    assert [row["mae"] for row in rows] == pytest.approx([1.0, 0.5])
    assert [(row["stage"], row["epoch"], row["learning_rate"]) for row in rows] == [
        ("head", 0, 0.25),
        ("head", 1, 0.25),
    ]
    assert all(row["seconds"] >= 0 for row in rows)


def test_learning_rate_of_a_schedule_and_of_none() -> None:
    # Halved at each step: 1, 0.5, 0.25 after two steps.
    schedule = keras.optimizers.schedules.ExponentialDecay(1.0, decay_steps=1, decay_rate=0.5)
    model = line_model(schedule)
    model.fit(ONES, ONES, epochs=2, batch_size=4, verbose=0)
    assert learning_rate(model) == pytest.approx(0.25)
    assert learning_rate(keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])) is None


def test_nan_stop_names_component_epoch_and_batch() -> None:
    inputs = np.ones((8, 1), np.float32)
    inputs[5] = np.nan  # row 5 is in batch 2 of two rows each
    callback = NanStop(["mae"], lambda batch: f"rows {2 * batch} and {2 * batch + 1}")
    with pytest.raises(TrainingDiverged) as caught:
        line_model().fit(
            inputs, np.ones((8, 1)), batch_size=2, epochs=3, shuffle=False, verbose=0, callbacks=[callback]
        )
    assert isinstance(caught.value, InputError)
    assert str(caught.value).startswith("received mae = nan in epoch 0, batch 2 (rows 4 and 5); expected finite losses")


def test_nan_stop_looks_at_the_weights_that_the_last_batch_left() -> None:
    def root(true: Any, predicted: Any) -> Any:
        # 0 where both are equal, but with a gradient of 0 / 0.
        return keras.ops.mean(keras.ops.sqrt(keras.ops.abs(true - predicted)))

    model = line_model()
    model.compile(keras.optimizers.SGD(0.25), root)
    with pytest.raises(TrainingDiverged, match="kernel not finite after epoch 0; expected finite weights"):
        model.fit(ONES, 0 * ONES, batch_size=4, epochs=3, verbose=0, callbacks=[NanStop()])
    model = line_model()
    model.compile(keras.optimizers.SGD(0.25, momentum=0.9), "mse")
    model.fit(ONES, ONES, verbose=0)
    callback = NanStop()
    callback.set_model(model)
    callback.on_epoch_end(0)
    model.optimizer.variables[-1].assign([[math.inf]])
    with pytest.raises(TrainingDiverged, match="momentum not finite after epoch 7"):
        callback.on_epoch_end(7)


def test_nan_stop_lets_sound_training_pass() -> None:
    history = line_model().fit(ONES, ONES, epochs=3, verbose=0, callbacks=[NanStop()])
    assert len(history.epoch) == 3


@pytest.mark.parametrize(
    ("logs", "blamed"),
    [
        ({"loss": math.nan, "coord": math.nan, "class": math.nan}, "class"),  # the order asked for
        ({"loss": math.nan, "coord": math.nan, "class": 1.0}, "coord"),
        ({"loss": math.inf, "coord": 1.0}, "loss"),
        ({"loss": math.nan, "other": math.nan}, "other"),  # a cause that was not named is better than the total
    ],
)
def test_nan_stop_blames_in_order(logs: dict[str, float], blamed: str) -> None:
    with pytest.raises(TrainingDiverged, match=f"received {blamed} = "):
        NanStop(["class", "coord"]).on_train_batch_end(0, logs)


def test_tensorboard_reads_what_was_written(tmp_path: Path) -> None:
    callback = TensorBoardScalars(tmp_path)
    line_model().fit(ONES, ONES, epochs=2, verbose=0, validation_data=(ONES, ONES), callbacks=[callback])

    def read(part: str, tag: str) -> list[tuple[int, float]]:
        events = EventAccumulator(str(tmp_path / part)).Reload()
        return [(event.step, float(event.tensor_proto.float_val[0])) for event in events.Tensors(tag)]

    assert read("train", "epoch/loss") == [(0, pytest.approx(1.0)), (1, pytest.approx(0.25))]
    assert read("validation", "epoch/loss") == [(0, pytest.approx(0.25)), (1, pytest.approx(0.0625))]
    assert read("train", "epoch/learning_rate") == [(0, 0.25), (1, 0.25)]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full, the device that is always full")
def test_a_full_disk_is_told_where_fit_was_called(tmp_path: Path) -> None:
    def fill(epoch: int, logs: Any) -> None:
        (file,) = (tmp_path / "train").iterdir()
        file.unlink()
        file.symlink_to("/dev/full")

    threads = threading.active_count()
    callbacks = [TensorBoardScalars(tmp_path), keras.callbacks.LambdaCallback(on_epoch_end=fill)]
    # The first epoch is written, the second finds the disk full. An error in a thread would fail the test as a warning.
    with pytest.raises(OSError) as caught:
        line_model().fit(ONES, ONES, epochs=3, verbose=0, callbacks=callbacks)
    assert caught.value.errno == errno.ENOSPC
    assert threading.active_count() <= threads
    line, code = explain(caught.value)
    assert code == 2 and "disk full" in line


def test_two_trainings_make_two_files(tmp_path: Path) -> None:
    callback = TensorBoardScalars(tmp_path)
    for first in (0, 1):
        line_model().fit(ONES, ONES, initial_epoch=first, epochs=first + 1, verbose=0, callbacks=[callback])
    assert len(list((tmp_path / "train").iterdir())) == 2
    events = EventAccumulator(str(tmp_path / "train")).Reload()
    assert [event.step for event in events.Tensors("epoch/loss")] == [0, 1]


def test_on_jax(tmp_path: Path) -> None:
    pytest.importorskip("jax")
    code = (
        "import sys, keras, numpy as np\n"
        "from run_tools.callbacks import JsonLines, NanStop, TensorBoardScalars\n"
        "from run_tools.folder import RunFolder\n"
        "folder = RunFolder(sys.argv[1])\n"
        "model = keras.Sequential([keras.Input((1,)),"
        " keras.layers.Dense(1, use_bias=False, kernel_initializer='zeros')])\n"
        "model.compile(keras.optimizers.SGD(0.25), 'mse')\n"
        "x = np.ones((4, 1), 'float32')\n"
        "callbacks = [JsonLines(folder), NanStop(), TensorBoardScalars(sys.argv[1])]\n"
        "model.fit(x, x, epochs=2, verbose=0, callbacks=callbacks)\n"
        "losses = [row['loss'] for row in folder.metrics()]\n"
        "sys.exit(keras.backend.backend() != 'jax' or not np.allclose(losses, [1.0, 0.25]))\n"
    )
    environment = {**os.environ, "KERAS_BACKEND": "jax"}
    words = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.glob("train/events*"))
