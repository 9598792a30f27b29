"""The callbacks of a stage: what judges, logs, draws and saves a detector while it learns."""

from typing import TYPE_CHECKING

import keras

from data_tools.pipeline import Batches
from run_tools import checkpoint, origins
from run_tools.callbacks import JsonLines, NanStop, TensorBoardScalars, advice_of
from run_tools.folder import RunFolder
from yolo_prune.averages import Averages
from yolo_prune.board import Board
from yolo_prune.cached import CachedBatches
from yolo_prune.distillation import DISTILLATION
from yolo_prune.loss import COMPONENTS
from yolo_prune.monitor import Pictures, ValidationAP
from yolo_prune.monitor_figures import Judgement
from yolo_prune.prior import PriorEnds

if TYPE_CHECKING:
    from yolo_prune.trainer import Trainer


def callbacks_of(
    trainer: "Trainer", folder: RunFolder, index: int, feed: Batches | CachedBatches, begin: int
) -> list[keras.callbacks.Callback]:
    """What `fit` is given, in the order in which it is called: what changes the weights, what judges, what saves.

    Args:
        trainer: whose stage it is.
        folder: its run folder.
        index: of the stage.
        feed: of the training split.
        begin: the epoch that `fit` begins with, from 0.
    """
    config, plan, held = trainer.config, trainer.plan, trainer.held
    split = "train" if config.limit else "val"
    logdir = folder.path("tensorboard")
    names, end = trainer.classes.names, plan.end(index)
    judged = validated(end, config.ap_every or config.monitor_every)
    validation = ValidationAP(trainer.store, split, trainer.lookup, names, judged, config.limit)
    found: list[keras.callbacks.Callback] = [
        # Keras ends an epoch of the feed once more when it builds metrics; the epoch must not depend on that.
        keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: setattr(feed, "epoch", epoch)),
        NanStop(
            (*COMPONENTS, DISTILLATION),
            lambda batch: "images " + ", ".join(feed.ids(batch % len(feed))),
            advice_of(config),
        ),
        validation,
        *trainer.hosts.callbacks(),
        JsonLines(folder, {"stage": f"{index}:{plan.stages[index].train}"}),
        TensorBoardScalars(logdir),
        Pictures(logdir / "pictures", trainer.store, split, trainer.lookup, names, config.images_every),
        Judgement(logdir / "pictures", validation, config.images_every),
        checkpoint.Checkpoint(
            folder,
            config.monitor,
            index,
            config.patience,
            plan.starts[index],
            trainer.store.digest(),
            config.save_every,
            end,
            held.since if held is not None else 0,
            held.save if held is not None else None,
            {origins.FILES: trainer.digests},
        ),
        Board(folder, config, validation.counted, last=index == len(plan.stages) - 1),
    ]
    if config.ema:
        averages = Averages()
        found = [found[0], averages, *found[1:], averages.back]
    if held is not None:
        found.insert(1, held.callback(begin, logdir))
    stage = plan.stages[index]
    if stage.prior_images is not None:
        steps, start = len(feed), plan.starts[index]
        found.append(PriorEnds(trainer.model.loss, stage.prior_images, config.batch_size, steps, start))
    return found


def validated(end: int, every: int) -> list[int]:
    """Epochs, counted from 1, after which to validate: every so many and the last one of the stage.

    Args:
        end: the last one.
        every: so many.
    """
    return sorted({*range(every, end, every), end})
