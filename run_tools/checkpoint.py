"""Last and best checkpoints, written so that a kill at any moment loses at most the epochs since the last one."""

import math
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras

from run_tools import files
from run_tools.errors import InputError, TrainingDiverged
from run_tools.folder import RunFolder

BEST = "best.keras"
DIVERGED = "diverged"
"""Entry of the state of a run that has gone back: epochs of the checkpoints → what was not finite after them."""
LAST = "last.keras"
MASKS = "masks.npz"
"""Of a finished run that was pruned; those of a checkpoint on the way have its name in front."""


class Checkpoint(keras.callbacks.Callback):
    """Saves the last epoch (with the optimizer) and the best one by `monitor`, which may be later than the last saved.

    `state.json` names the checkpoint to resume from. It is replaced after the checkpoint is complete, and only then is
    the one before deleted, so there is a matching pair at every moment.

    Args:
        folder: the run folder.
        monitor: a logged quantity: the smallest is best if it is a loss, else the largest.
        stage: index of the stage that is running.
        patience: stop the stage when the best is older than so many of its epochs; None: never.
        start: the epoch at which the stage begins.
        data: digest of the data, kept in the state so that a resumed run can compare; None: not kept.
        every: epochs between checkpoints to resume from; the last one of the stage is always one.
        end: the epoch at which the stage is done; None: unknown, every epoch is a checkpoint.
        since: the first epoch that may be the best, for a network that is not yet what it is to be.
        save_masks: writes the masks that hold the model to a path, for each checkpoint to resume from; None: none do.
        also: entries of the state that stay as they are, such as digests of what the training began from.
    """

    def __init__(
        self,
        folder: RunFolder,
        monitor: str,
        stage: int,
        patience: int | None = None,
        start: int = 0,
        data: str | None = None,
        every: int = 1,
        end: int | None = None,
        since: int = 0,
        save_masks: Callable[[Path], None] | None = None,
        also: Mapping[str, Any] | None = None,
    ):
        super().__init__()
        self.folder = folder
        self.monitor = monitor
        self.stage = stage
        self.patience = patience
        self.start = start
        self.data = data
        self.every = every
        self.end = end
        self.since = since
        self.save_masks = save_masks
        self.also = dict(also or {})
        self._state: dict[str, Any] | None = None

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Saves, and stops the stage when it is out of patience."""
        state = self._state or self.folder.read_state() or {}
        best, best_epoch, gone = state.get("best"), state.get("best_epoch"), state.get(DIVERGED)
        value = (logs or {}).get(self.monitor) if epoch >= self.since else None
        if value is not None and math.isfinite(value) and self._better(float(value), best):
            best, best_epoch = float(value), epoch
            _save(self.model, self.folder.path(BEST))
        name = f"epoch-{epoch + 1:04d}.keras"
        self._state = state = {
            **self.also,
            "checkpoint": name,
            "epoch": epoch + 1,
            "stage": self.stage,
            "monitor": self.monitor,
            "best": best,
            "best_epoch": best_epoch,
            "finished": False,
        }
        if self.data is not None:
            state["data"] = self.data
        if gone:
            state[DIVERGED] = gone
        stop = out_of_patience(state, self.start, self.patience)
        if stop:
            self.model.stop_training = True
        if stop or self.end in (None, epoch + 1) or (epoch + 1) % self.every == 0:
            self._keep(name, state)

    def _keep(self, name: str, state: dict[str, Any]) -> None:
        _save(self.model, self.folder.path(name))
        if self.save_masks is not None:
            self.save_masks(masks_of(self.folder.path(name)))
        self.folder.write_state(state)
        for old in self.folder.path().glob("epoch-*"):
            if not old.name.startswith(Path(name).stem):
                old.unlink()

    def _better(self, value: float, best: float | None) -> bool:
        if best is None:
            return True
        return value < best if "loss" in self.monitor else value > best


def out_of_patience(state: dict[str, Any], start: int, patience: int | None) -> bool:
    """Whether the stage that began at epoch `start` has gone `patience` epochs without a better checkpoint.

    Epochs of the stages before do not count, or a stage could end before it had its chance.
    """
    if patience is None or state["best_epoch"] is None:
        return False
    return bool(state["epoch"] - 1 - max(state["best_epoch"], start - 1) >= patience)


def masks_of(checkpoint: Path) -> Path:
    """Where the masks lie that hold the network of a checkpoint: `epoch-0003.masks.npz`, or `masks.npz` at the end."""
    name = MASKS if checkpoint.name == LAST else f"{checkpoint.stem}.{MASKS}"
    return checkpoint.with_name(name)


def check_data(state: Mapping[str, Any], digest: str, data: Path, out: Path) -> None:
    """Whether the data of a run are those that it began with.

    Args:
        state: of the run; one of before digests were kept fits any data.
        digest: of the data as they are.
        data: where they lie.
        out: the run folder.

    Raises:
        InputError: for other contents.
    """
    if state.get("data") not in (None, digest):
        raise InputError(
            f"{data} with other contents than when {out} was started",
            "the same images and labels in the same splits",
            "compile it again with the same options, or choose a new --out",
        )


def until_done(folder: RunFolder, go: Callable[[], None], again: Callable[[], None]) -> None:
    """Trains, from the last checkpoint again where something is not finite (`go_back`).

    Args:
        folder: of the run.
        go: trains from where the folder stands to the end.
        again: prepares for `go` after that, as a process that was cut off and started again would.

    Raises:
        TrainingDiverged: where going back does not help.
    """
    while True:
        try:
            go()
            return
        except TrainingDiverged as error:
            go_back(folder, error)
        again()


def resume(folder: RunFolder, restore: Callable[[dict[str, Any]], None]) -> dict[str, Any] | None:
    """Where a run stands.

    Args:
        folder: of the run.
        restore: takes the state of a run that has a checkpoint.

    Returns:
        That state; None for a run without one, whose log is empty then.
    """
    state = folder.read_state()
    if state:
        restore(state)
    else:
        # A run that was cut off in its first epoch may have logged it.
        folder.truncate(lambda row: False)
    return state


def go_back(folder: RunFolder, error: TrainingDiverged) -> None:
    """Lets a training that was not finite go on from its last checkpoint, once from each.

    Threads add in another order each time, and bfloat16 rounds coarsely: what overflowed once need not do so again. A
    training that comes to the next checkpoint may go back to that one, too.

    Args:
        folder: of the run, whose state will say so.
        error: what stopped it.

    Raises:
        TrainingDiverged: the error itself, if the run has gone back to this checkpoint before or has none yet.
    """
    state = folder.read_state()
    gone = (state or {}).get(DIVERGED, {})
    if not state or str(state["epoch"]) in gone:
        raise error
    folder.write_state({**state, DIVERGED: {**gone, str(state["epoch"]): error.received}})
    print(f"note: {error.received}; back to the checkpoint after epoch {state['epoch']}", flush=True)


def _save(model: keras.Model, path: Path) -> None:
    with files.atomic_path(path) as temporary:
        model.save(temporary)


def finish(folder: RunFolder) -> None:
    """Marks the run as finished and gives its last checkpoint the name `last.keras`."""
    state = folder.read_state() or {}
    last = folder.path(state["checkpoint"])
    if last.name == LAST:
        return
    masks = masks_of(last)
    # Copies, so that state.json names a complete checkpoint at every moment.
    for source, target in ((last, folder.path(LAST)), (masks, folder.path(MASKS))):
        if source.is_file():
            with files.atomic_path(target) as temporary:
                shutil.copyfile(source, temporary)
    folder.write_state({**state, "checkpoint": LAST, "finished": True})
    last.unlink()
    masks.unlink(missing_ok=True)


def build_optimizer(model: keras.Model) -> None:
    """Gives the optimizer of a compiled model its variables, before the first step would.

    TensorFlow traces a step twice that makes variables. Only once: Keras's loss scaling would make its own again.
    """
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)


def restore_optimizer(model: keras.Model, saved: keras.optimizers.Optimizer) -> None:
    """Gives the optimizer that a model was just compiled with the state of a saved one, which then goes on.

    A loaded optimizer itself has forgotten what not to decay.
    """
    build_optimizer(model)
    for variable, value in zip(model.optimizer.variables, saved.variables, strict=True):
        variable.assign(value)
