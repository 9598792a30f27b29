"""Many short trainings of one network: what `prune_tools.loops.progressive` asks for between its steps.

`Trainer` keeps checkpoints, charts and pictures of every epoch, more work than retraining a small network after one
unit is gone. Here the network is compiled once, its optimizer cleared before each training, and the best epoch is
kept in memory; the loop keeps what comes out.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from classify_prune.draws import Draws
from classify_prune.models import Classifier
from classify_prune.pruning import narrow
from classify_prune.pruning.learner import Learner
from classify_prune.recipe import TrainConfig
from data_tools.label_pipeline import LabelBatches
from prune_tools import holding
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
        starts = range(0, len(self.labels), CHUNK)
        said = [np.asarray(model.predict_on_batch(self.inputs[start : start + CHUNK])) for start in starts]
        return self.score(np.concatenate(said))

    def score(self, logits: np.ndarray) -> tuple[float, float]:
        """The same of the network's logits, (n, classes)."""
        logits = logits.astype(np.float64)
        logits -= logits.max(axis=1, keepdims=True)
        right = float((logits.argmax(axis=1) == self.labels).mean())
        lost = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(self.labels)), self.labels]
        return right, float(lost.mean())


class Retrainer:
    """Trains networks in place; call it with a network and the number of the step.

    What comes out depends on the network's weights, the step and the arguments here alone. Of a dense network only the
    part that can change is trained, see `narrow`.

    Args:
        train: the training split, shuffled by its epoch.
        val: judges every epoch.
        config: optimizer, rate, epochs, patience and seed.
        folder: where changed images are kept for the next network; None: nowhere.
    """

    def __init__(self, train: LabelBatches, val: Held, config: TrainConfig, folder: Path | None = None) -> None:
        self.val, self.config = val, config
        self.draws = Draws(train, folder)
        self._learner: Learner | None = None
        self._narrow: narrow.Narrow | None = None

    def __call__(self, model: Classifier, step: int) -> dict[str, Any]:
        """Trains until the validation loss has not fallen for `patience` epochs, or for all epochs.

        Returns:
            `{"epochs", "best_epoch" (from 1), "train_loss" of the last epoch}`; the model has the weights of its best
            epoch.

        Raises:
            TrainingDiverged: at a loss that is not finite.
        """
        if self.draws.vectors is not None and narrow.fits(model, self.config):
            self._narrow = self._narrow or narrow.Narrow(self.config, self.draws.vectors[0], self.val.inputs)
            living = self._narrow.of(model)
            told = self._train(living.learner, step, lambda: self.val.score(living.logits()))
            living.into(model)
            return told
        if self._learner is None or self._learner.model is not model:
            self._learner = Learner(model, self.config)
        return self._train(self._learner, step, lambda: self.val.measure(model))

    def _train(self, learner: Learner, step: int, judge: Callable[[], tuple[float, float]]) -> dict[str, Any]:
        config, model = self.config, learner.model
        learner.clear()
        best, best_epoch, kept = math.inf, 0, model.get_weights()
        epoch, loss = 0, math.nan
        for epoch in range(1, config.epochs + 1):
            number = step * config.epochs + epoch
            loss = learner.epoch(number, self.draws.epoch(number))
            holding.apply(model)
            _, lost = judge()
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
