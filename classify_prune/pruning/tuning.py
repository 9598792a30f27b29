"""One network after another: made, fine-tuned where that is wanted, judged once, and what was found kept."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras

from classify_prune import inputs, metrics
from classify_prune.loading import load_classifier, quicker
from classify_prune.models import Classifier
from classify_prune.recipe import TrainConfig
from classify_prune.trainer import Trainer
from data_tools.store import open_store
from prune_tools import cost, recalibration, surgery
from prune_tools.mask_set import Masks
from prune_tools.statistics import Statistics, collect
from run_tools import files
from run_tools.checkpoint import MASKS
from run_tools.errors import InputError

JUDGED = "judged.json"
COUNTED = ("parameters", "nonzero", "sparsity", "macs", "macs_nonzero")


class Judge:
    """Judges classifiers on the splits of some data.

    Args:
        data: compiled file.
        splits: their names.
        task: what is told apart.
        classes: only the first so many classes; None: all.
        batch_size: images a forward pass.
    """

    def __init__(
        self,
        data: Path,
        splits: Sequence[str] = ("val", "test"),
        task: str = "type",
        classes: int | None = None,
        batch_size: int = 100,
    ) -> None:
        self.store: Any = open_store(data, "classification")
        self.splits = tuple(splits)
        self.task, self.classes, self.batch_size = task, classes, batch_size
        for split in self.splits:
            _ = self.store[split]

    def feed(self, model: Classifier, split: str, limit: int | None = None, shuffle: bool = False) -> Any:
        """The images of a split, or so many of them, as the network takes them; in their order unless shuffled."""
        options: dict[str, Any] = {"shuffle": shuffle, "limit": limit}
        return inputs.feed(self.store, split, model.inputs_shape, self.batch_size, self.task, self.classes, **options)

    def judge(self, model: Classifier) -> dict[str, Any]:
        """What a network is worth and what it costs.

        Returns:
            `{split: {"accuracy", "interval" (95 %), "loss", "images"}, …}` with the counts of `COUNTED`, see
            `prune_tools.cost.summary`.
        """
        quicker(model)
        found: dict[str, Any] = {}
        for split in self.splits:
            batches = self.feed(model, split)
            told = metrics.judge(*inputs.logits(model, batches), batches.class_names)
            found[split] = {name: told[name] for name in ("accuracy", "interval", "loss", "images")}
        summary = cost.summary(model)
        return {**found, **{name: summary[name] for name in COUNTED}}

    def recalibrate(self, model: Classifier, batches: int) -> None:
        """`prune_tools.recalibration.recalibrate` on shuffled training images."""
        feed = self.feed(model, "train", shuffle=True)
        recalibration.recalibrate(model, (feed[index] for index in range(len(feed))), batches)

    def statistics(
        self, model: Classifier, limit: int | None = None, positions: int | None = 16, average: bool = False
    ) -> Statistics:
        """`prune_tools.statistics.collect` on the training images, or on so many of them, evenly taken."""
        return collect(model, self.feed(model, "train", limit), positions=positions, average=average)


def remove(model: Classifier, units: Any, merge: str, statistics: Statistics | None) -> Classifier:
    """`surgery.remove`, giving a classifier; where nothing is removed, a copy."""
    made: Any = surgery.remove(model, units, merge, statistics if merge != "delete" else None)
    return quicker(made)


def tuned(
    config: TrainConfig,
    judge: Judge,
    start: Callable[[], Classifier] | None = None,
    masks: Callable[[], Masks] | None = None,
    kept: Path | None = None,
) -> dict[str, Any]:
    """Trains one network and judges its best checkpoint, or reads what was found when that was done before.

    Args:
        config: of the training; `config.out` is its folder.
        judge: of the results.
        start: gives the network that it begins with; None: a new one of the config.
        masks: gives those that hold its weights; they are kept in the folder.
        kept: as for `Trainer`.

    Returns:
        What `Judge.judge` returned, with `epochs`, `best_epoch` and `seconds` of the training.

    Raises:
        InputError: as `Trainer.fit`, or where weights under masks are not zero.
    """
    return files.once(config.out / JUDGED, lambda: _tuned(config, judge, start, masks, kept))


def _tuned(
    config: TrainConfig,
    judge: Judge,
    start: Callable[[], Classifier] | None,
    masks: Callable[[], Masks] | None,
    kept: Path | None,
) -> dict[str, Any]:
    held = None
    if masks is not None:
        # Beside the folder, which is the training's own.
        place = config.out.with_name(f"{config.out.name}.{MASKS}")
        if not place.is_file():
            place.parent.mkdir(parents=True, exist_ok=True)
            masks().save(place)
        held, config = Masks.load(place), dataclasses.replace(config, masks=place)
    trained = Trainer(config, verbose=0, start=start, kept=kept).fit()
    keras.utils.clear_session()  # graphs of finished runs would pile up
    model = load_classifier(config.out)
    if held is not None and held.violations(model):
        wrong = sum(held.violations(model).values())
        raise InputError(f"{config.out}: {wrong} pruned weights that are not zero", "zeros", "delete it and run again")
    return judge.judge(model) | {name: trained[name] for name in ("epochs", "best_epoch", "seconds")}
