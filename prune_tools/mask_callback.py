"""The callback that keeps masks where no training step looks, and writes down what was reached."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import keras

from prune_tools import holding
from run_tools.errors import InputError

if TYPE_CHECKING:
    from prune_tools.mask_set import Masks


class MaskCallback(keras.callbacks.Callback):
    """Masks averages and weights at the end of every epoch and of `fit`, and before every validation.

    Keras averages weights before constraints and copies the averages over the weights at the end of `fit`: without
    this, pruned weights come back there.

    Args:
        masks: those that hold the model.
        logdir: TensorBoard's folder, or None.
    """

    def __init__(self, masks: Masks, logdir: str | os.PathLike[str] | None = None) -> None:
        super().__init__()
        self.masks = masks
        self.logdir = None if logdir is None else os.fspath(logdir)
        self._file: Any = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Zeroes, in case the weights were set since the masks were."""
        holding.apply(self.model)

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Masks what a callback may have put into the model for validation."""
        holding.apply(self.model)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Masks, checks, and logs `sparsity`, the fraction of zeros among the weights under masks.

        Raises:
            InputError: if a training step brought pruned weights back.
        """
        optimizer = getattr(self.model.optimizer, "inner_optimizer", self.model.optimizer)
        if not getattr(optimizer, "use_ema", False):  # averages may stand in the model now: not held, only masked
            self.check()
        holding.apply(self.model)
        measured = self.masks.measured(self.model)
        if logs is not None:
            logs["sparsity"] = measured["all"]
        self.write(measured, epoch)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Masks the averages that Keras has just copied over the weights."""
        holding.apply(self.model)
        self.check()
        self._file = None

    def check(self) -> None:
        """Looks at the weights.

        Raises:
            InputError: if pruned ones are not zero.
        """
        broken = self.masks.violations(self.model)
        if broken:
            name, count = next(iter(broken.items()))
            raise InputError(
                f"{count} pruned weights of {name} that are not zero",
                "none: the optimizer applies constraints after each step",
                "call hold() on the model that is fitted, and train with a Keras optimizer's apply()",
            )

    def write(self, measured: dict[str, float], step: int) -> None:
        """Adds a point a kernel to TensorBoard.

        Args:
            measured: kernel's name → fraction of zeros.
            step: the place on the axis.
        """
        if self.logdir is None:
            return
        from run_tools import events  # here, because TensorBoard is slow to import

        if self._file is None:
            self._file = events.EventFile(os.path.join(self.logdir, "sparsity"))
        self._file.add([events.scalar(f"sparsity/{name}", value) for name, value in measured.items()], step)
