"""`Held`: prunes the model of a training, holds it, and keeps the masks beside its checkpoints."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import keras

from data_tools.pipeline import Batches
from prune_tools import masks as by_name
from prune_tools import recalibration, schedules
from prune_tools.mask_callback import MaskCallback
from prune_tools.mask_set import Masks
from prune_tools.pruner import Pruner
from prune_tools.targets import Layers
from run_tools.errors import InputError
from yolo_prune.pruning.settings import Pruning
from yolo_prune.transfer import transfer

PRUNINGS = 20
"""Of a curve, where `Pruning.every` does not say."""

SCOPES: dict[str, Callable[..., Masks]] = {
    "global": by_name.global_magnitude,
    "layer": by_name.layer_magnitude,
    "lamp": by_name.lamp,
    "erk": by_name.erk,
    "random": by_name.global_random,
    "layer-random": by_name.layer_random,
}


def make_masks(
    model: keras.Model, sparsity: float, layers: Layers = None, *, pruning: Pruning, previous: Masks | None = None
) -> Masks:
    """Masks of a model as it is, in one of the ways of `Pruning.scope`.

    Args:
        model: a built model; only read.
        sparsity: fraction in 0–1.
        layers: which kernels, as `Pruning.layers`.
        pruning: its scope, amount, floor and seed.
        previous: masks of an earlier pruning, which stay pruned.

    Returns:
        Masks of the chosen kernels.

    Raises:
        InputError: as the functions of `prune_tools.masks`.
    """
    options: dict[str, Any] = {"previous": previous, "amount": pruning.amount}
    if pruning.floor:
        options["floor"] = pruning.floor
    if pruning.scope in ("random", "layer-random"):
        options["seed"] = pruning.seed
    return SCOPES[pruning.scope](model, sparsity, layers or "conv", **options)


class Held:
    """The masks of one training.

    Args:
        pruning: what to prune, and when.
        steps: batches of an epoch.
        epochs: of the whole training.
        plain: training images as they are, for batch-norm's statistics.

    Attributes:
        masks: those that hold now; none before the first pruning of a curve.

    Raises:
        InputError: for masks that cannot be read, or that prune more than a curve is to reach.
    """

    def __init__(self, pruning: Pruning, steps: int, epochs: int, plain: Batches):
        self.pruning = pruning
        self.steps = steps
        self.data = _FirstBatches(plain, pruning.recalibrate)
        self.masks = Masks({}) if pruning.previous is None else Masks.load(pruning.previous)
        self.initial = self.masks.sparsity()
        # Two steps are the least that a curve can have.
        self.end = max(1, min(round(pruning.ramp * steps * epochs), steps * epochs - 1))
        self._pruner: Pruner | None = None
        if pruning.schedule == "cubic" and self.initial > pruning.sparsity:
            raise InputError(
                f"sparsity {pruning.sparsity:g} with masks of {self.initial:g} in {pruning.previous}",
                "at least what is pruned already",
                "raise it, or start without the previous masks",
            )

    @property
    def since(self) -> int:
        """The first epoch at whose end everything is pruned that will be."""
        return self.end // self.steps if self.pruning.schedule == "cubic" else 0

    def start(self, model: keras.Model) -> None:
        """Prunes a model that is about to learn, where that is not left to a curve, and holds it.

        Args:
            model: with the weights that it starts from.

        Raises:
            InputError: for layers, masks or weights that do not fit the model.
        """
        pruning = self.pruning
        if pruning.schedule == "one-shot":
            previous = self.masks or None
            made = make_masks(model, pruning.sparsity, pruning.layers, pruning=pruning, previous=previous)
            if pruning.rewind is not None:
                transfer(model, pruning.rewind)
            self.masks = made
        self.masks.hold(model)
        if pruning.schedule == "one-shot" and pruning.recalibrate:
            recalibration.recalibrate(model, self.data, pruning.recalibrate)

    def restore(self, model: keras.Model, path: Path) -> None:
        """Holds a model that was read back, by the masks that were saved with it.

        Args:
            model: of the checkpoint.
            path: of its masks.
        """
        self.masks = Masks.load(path)
        self.masks.hold(model)

    def save(self, path: Path) -> None:
        """Writes the masks as they are now, all or nothing."""
        (self._pruner or self).masks.save(path)

    def callback(self, epoch: int, logdir: Path) -> MaskCallback:
        """What `fit` needs, before all callbacks that judge or save.

        Args:
            epoch: the one that `fit` begins with, from 0.
            logdir: TensorBoard's folder, which gets the sparsity of each kernel.
        """
        pruning = self.pruning
        if pruning.schedule == "one-shot":
            return self.masks.callback(logdir)
        if self._pruner is not None:  # of the stage before
            self.masks = self._pruner.masks
        every = pruning.every or max(1, self.end // PRUNINGS)
        self._pruner = Pruner(
            schedules.Cubic(pruning.sparsity, 0, self.end, self.initial, every),
            pruning.layers,
            partial(make_masks, pruning=pruning),
            start=epoch * self.steps,
            masks=self.masks,
            recalibrate=self.data if pruning.recalibrate else None,
            logdir=logdir,
        )
        return self._pruner


class _FirstBatches:
    """The first batches of a feed, as often as they are asked for."""

    def __init__(self, feed: Batches, count: int):
        self.feed = feed
        self.count = min(count, len(feed))

    def __iter__(self) -> Iterator[Any]:
        return (self.feed[index] for index in range(self.count))
