"""Many short trainings of one network: what `prune_tools.loops.progressive` asks for between its steps.

`Trainer` keeps checkpoints, charts and pictures of every epoch, more work than retraining a small network after one
unit is gone. Here the network is compiled once, its optimizer cleared before each training, and the best epoch is
kept in memory; the loop keeps what comes out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from classify_prune.models import Classifier
from classify_prune.monitor import Reseed
from classify_prune.recipe import TrainConfig
from classify_prune.trainer import optimizer_of
from data_tools.label_pipeline import LabelBatches
from prune_tools import holding
from run_tools import cpu
from run_tools.errors import TrainingDiverged

CHUNK = 2048
"""Inputs a forward pass when a split is judged."""


@dataclass(frozen=True, eq=False)
class Held:
    """A split in memory, as a network takes it.

    Attributes:
        inputs: float32, (n, …).
        labels: int64, (n,).
    """

    inputs: np.ndarray
    labels: np.ndarray

    @classmethod
    def of(cls, batches: LabelBatches) -> Held:
        """Everything that a feed gives, in its order; the feed must not shuffle."""
        pairs = [batches[index] for index in range(len(batches))]
        return cls(np.concatenate([given for given, _ in pairs]), np.concatenate([truth for _, truth in pairs]))

    def measure(self, model: keras.Model) -> tuple[float, float]:
        """Accuracy in 0–1 and mean cross-entropy in nats."""
        right = lost = 0.0
        for start in range(0, len(self.labels), CHUNK):
            labels = self.labels[start : start + CHUNK]
            logits = np.asarray(model.predict_on_batch(self.inputs[start : start + CHUNK]), np.float64)
            logits -= logits.max(axis=1, keepdims=True)
            right += float((logits.argmax(axis=1) == labels).sum())
            lost += float((np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(labels)), labels]).sum())
        return right / len(self.labels), lost / len(self.labels)


class Retrainer:
    """Trains networks in place; call it with a network and the number of the step.

    What comes out depends on the network's weights, the step and the arguments here alone.

    Args:
        train: the training split, shuffled by its epoch.
        val: judges every epoch.
        config: optimizer, rate, epochs, patience and seed.
    """

    def __init__(self, train: LabelBatches, val: Held, config: TrainConfig) -> None:
        self.train, self.val, self.config = train, val, config
        self._reseed = Reseed(config.seed)
        self._model: keras.Model | None = None

    def __call__(self, model: Classifier, step: int) -> dict[str, Any]:
        """Trains until the validation loss has not fallen for `patience` epochs, or for all epochs.

        Returns:
            `{"epochs", "best_epoch" (from 1), "train_loss" of the last epoch}`; the model has the weights of its best
            epoch.

        Raises:
            TrainingDiverged: at a loss that is not finite.
        """
        self._prepare(model)
        config, best, best_epoch, kept = self.config, math.inf, 0, model.get_weights()
        epoch, loss = 0, math.nan
        for epoch in range(1, config.epochs + 1):
            loss = self._epoch(model, step * config.epochs + epoch)
            _, lost = self.val.measure(model)
            if not (math.isfinite(loss) and math.isfinite(lost)):
                raise TrainingDiverged(
                    f"a loss of {loss} in epoch {epoch} of step {step}", "a finite one", "lower the learning rate"
                )
            if lost < best:
                best, best_epoch, kept = lost, epoch, model.get_weights()
            elif config.patience is not None and epoch - best_epoch >= config.patience:
                break
        model.set_weights(kept)
        return {"epochs": epoch, "best_epoch": best_epoch, "train_loss": loss}

    def _prepare(self, model: Classifier) -> None:
        """A compiled model with a new optimizer; the same model is never compiled twice."""
        if model is self._model:
            for variable in model.optimizer.variables:
                if variable is not model.optimizer._learning_rate:
                    variable.assign(keras.ops.zeros_like(variable))
            return
        keras.utils.set_random_seed(self.config.seed)
        model.compile(
            optimizer_of(self.config, 1),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            # XLA's convolutions are slow on CPUs.
            jit_compile=False if cpu.on_cpu() else "auto",
        )
        model.optimizer.build(model.trainable_variables)
        self._reseed.set_model(model)
        self._model = model

    def _epoch(self, model: Classifier, epoch: int) -> float:
        """One pass over the training split; returns its mean loss."""
        self.train.epoch = epoch
        self._reseed.on_epoch_begin(epoch)
        losses = [float(model.train_on_batch(*self.train[index])) for index in range(len(self.train))]
        holding.apply(model)
        return sum(losses) / len(losses)
