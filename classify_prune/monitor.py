"""What a person watches while a classifier trains, and what keeps a resumed training the same."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from classify_prune import figures, inputs, metrics
from data_tools.event_images import write_images
from data_tools.label_pipeline import LabelBatches
from run_tools.figures import pixels

CHARTED = 20
"""Up to so many classes have an accuracy of their own in the log; more charts would not be looked at."""


class Reseed(keras.callbacks.Callback):
    """Gives dropout a state that depends on the seed and the epoch alone: Keras does not save it with a model.

    Args:
        seed: of the training.
    """

    def __init__(self, seed: int):
        super().__init__()
        self.seed = seed

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Sets the state of every random layer."""
        for index, layer in enumerate(self.model.layers):
            generator = getattr(layer, "seed_generator", None)
            if generator is not None:
                drawn = np.random.default_rng((self.seed, epoch, index)).integers(0, 2**31, 2)
                generator.state.assign(drawn.astype(np.uint32))


class Validation(keras.callbacks.Callback):
    """Adds `val_loss`, `val_accuracy`, `val_balanced_accuracy` and `val_ece` to the epoch's logs, and with few classes
    `val_accuracy_<class>`; put it before the callbacks that read them.

    One pass serves all of them, so that `fit` needs no validation data.

    Args:
        batches: the feed of the validation split, not shuffled.
        class_names: one a class.

    Attributes:
        found: `metrics.judge` of the last epoch; empty before the first.
        charted: the classes with an accuracy of their own.
    """

    def __init__(self, batches: LabelBatches, class_names: Sequence[str]):
        super().__init__()
        self.batches = batches
        self.class_names = tuple(class_names)
        self.found: dict[str, Any] = {}
        present = np.bincount(batches.labels, minlength=len(self.class_names)) > 0
        few = len(self.class_names) <= CHARTED
        self.charted = [name for name, there in zip(self.class_names, present, strict=True) if there and few]

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Judges the model and adds to `logs`."""
        self.found = metrics.judge(*inputs.logits(self.model, self.batches), self.class_names)
        if logs is None:
            return
        for name in ("loss", "accuracy", "balanced_accuracy", "ece"):
            logs[f"val_{name}"] = self.found[name]
        for name in self.charted:
            logs[f"val_accuracy_{tag(name)}"] = self.found["classes"][name]["accuracy"]


def tag(name: str) -> str:
    """A class's name as part of a metric's: lower case, without blanks."""
    return "_".join(name.lower().split())


class Pictures(keras.callbacks.Callback):
    """Writes the confusion matrix and the reliability diagram of the last validation for TensorBoard.

    Args:
        logdir: TensorBoard's folder.
        validation: what judges the model; put this callback after it.
        every: epochs between pictures; the first and then every so many.
    """

    def __init__(self, logdir: Path, validation: Validation, every: int):
        super().__init__()
        self.logdir = logdir
        self.validation = validation
        self.every = every

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Draws and writes the pictures."""
        if epoch % self.every:
            return
        drawn = {name: pixels(figure) for name, figure in figures.of(self.validation.found).items()}
        write_images(self.logdir, drawn, epoch)
