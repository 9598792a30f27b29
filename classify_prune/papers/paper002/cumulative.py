"""Pruning after every epoch, as paper 002 does it, in both readings of its amount."""

from __future__ import annotations

from typing import Any

import keras

from classify_prune.trainer import Trainer
from prune_tools import masks
from prune_tools.mask_callback import MaskCallback
from prune_tools.mask_set import Masks

READINGS = ("of_remaining", "of_total", "random")
"""The amount is a part of what remains, which compounds; of all weights; of all weights, drawn at random."""


class PruneAfterEpochs(MaskCallback):
    """Prunes the smallest weights after every epoch and holds them at zero from then on.

    What is zero when `fit` begins counts as pruned, so a training that was cut off goes on from its checkpoint alone.

    Args:
        amount: fraction in 0–1.
        reading: one of `READINGS`.
        layers: names of the kernels' layers.
        seed: of "random".
    """

    def __init__(self, amount: float, reading: str, layers: tuple[str, ...], seed: int = 0) -> None:
        super().__init__(Masks({}))
        self.amount, self.reading, self.layers, self.seed = amount, reading, layers, seed

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Takes up the masks that a resumed network shows."""
        found = masks.from_zeros(self.model, self.layers)
        if found.pruned:
            self.masks = found
            found.hold(self.model)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Prunes, checks and logs `sparsity`."""
        self.masks = self._chosen()
        self.masks.hold(self.model)
        super().on_epoch_end(epoch, logs)

    def _chosen(self) -> Masks:
        previous = self.masks or None
        if self.reading == "of_remaining":
            return masks.global_magnitude(
                self.model, self.amount, self.layers, previous=previous, amount="of_remaining"
            )
        if previous is not None:  # as many are pruned as ever will be
            return previous
        if self.reading == "random":
            return masks.global_random(self.model, self.amount, self.layers, seed=self.seed)
        return masks.global_magnitude(self.model, self.amount, self.layers)


class CumulativeTrainer(Trainer):
    """A `Trainer` with one more callback, ahead of those that judge and save.

    Args:
        config: as `Trainer`'s.
        pruning: the callback; None: plain training.
    """

    def __init__(self, config: Any, pruning: PruneAfterEpochs | None) -> None:
        super().__init__(config, verbose=0)
        self.pruning = pruning

    def _callbacks(self, *args: Any) -> list[keras.callbacks.Callback]:
        found = super()._callbacks(*args)
        return found if self.pruning is None else [self.pruning, *found]
