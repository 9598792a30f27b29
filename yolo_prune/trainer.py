"""`Trainer`: the staged recipes, resumed exactly where they were cut off.

Source: paper 003, section 5.1 and appendix A.2.
"""

import dataclasses
import functools
from typing import Any

import keras
import numpy as np

from data_tools.pipeline import Batches
from data_tools.store import Store, open_store
from run_tools import checkpoint, cpu, origins, precision
from run_tools import config as configs
from run_tools.files import parse_size, told_size
from run_tools.folder import RunFolder
from yolo_prune import beginning, cached, distribution, watching
from yolo_prune.averages import swap
from yolo_prune.class_map import OWN, class_set, lookup_of, own_classes
from yolo_prune.detector import YoloV2
from yolo_prune.distillation import distil
from yolo_prune.feeds import Feeds
from yolo_prune.freeze import freeze
from yolo_prune.loss import RegionLoss
from yolo_prune.metrics import region_metrics
from yolo_prune.models import load_detector, load_model
from yolo_prune.network import check_image_size
from yolo_prune.optimizers import optimizer_of
from yolo_prune.pruning.held import Held
from yolo_prune.recipe import Plan, Stage, TrainConfig


class Trainer:
    """Runs one `TrainConfig`.

    Args:
        config: everything the training depends on.
        verbose: Keras's `fit` verbosity.

    Attributes:
        model: the `YoloV2`, once `fit` has begun.

    Example:
        >>> Trainer(TrainConfig(data=Path("kitti.h5"), out=Path("runs/kitti"), stages=(Stage("all", 50),))).fit()
    """

    def __init__(self, config: TrainConfig, verbose: int | str = "auto"):
        self.config = config
        self.verbose = verbose
        self.plan = Plan(config.stages)
        self.store: Store = open_store(config.data, "detection")
        self.classes = own_classes(self.store) if config.classes == OWN else class_set(config.classes)
        self.lookup = lookup_of(self.classes, self.store)
        self.image_size = check_image_size(parse_size(config.input) if config.input else self.store.image_size)
        self.feeds = Feeds(config, self.store, self.lookup, self.image_size, self.plan.epochs)
        self.model: YoloV2 = None  # type: ignore[assignment]  # made by `fit`
        self.held: Held | None = None  # likewise, where the config prunes
        self.teacher: YoloV2 | None = None  # likewise, where it has one
        self.hosts = distribution.Hosts()
        self.digests: dict[str, str] = {}

    def fit(self) -> dict[str, Any]:
        """Trains, or goes on training.

        Returns:
            `{"out", "epochs", "best", "best_epoch", "monitor", "seconds", "images", "parameters", "anchors"}`; the
            checkpoints lie in the folder.

        Raises:
            InputError: for data, weights or a run folder that do not fit the config.
            TrainingDiverged: at losses or weights that are not finite, where going back to the last checkpoint did not
                help (`checkpoint.go_back`).
        """
        keras.utils.set_random_seed(self.config.seed)
        told = [configs.to_dict(self.config), self.store.digest()]
        with (
            distribution.scope(self.config.distribute) as self.hosts,
            precision.scope(self.config.mixed_precision),
            self.hosts.folder(RunFolder(self.config.out), told) as folder,
            folder,
        ):
            with self.hosts.together():
                self.feeds.share = self.hosts.share(self.config.batch_size)
                self._prepare()
                if folder.read_state() is None:
                    # Before the folder is made: what is wrong with weights or anchors must not leave one behind.
                    self._start()
                folder.create(self.config)
            checkpoint.until_done(folder, lambda: self._go(folder), self._again)
            return self._summary(folder)

    def _go(self, folder: RunFolder) -> None:
        """From where the folder stands to the end."""
        state = checkpoint.resume(folder, lambda state: self._restore(folder, state))
        if not (state and state["finished"]):
            self._run_stages(folder, state)
            cached.clear(folder.path("features"))
            checkpoint.finish(folder)

    def _again(self) -> None:
        keras.utils.set_random_seed(self.config.seed)
        self._prepare()

    def _prepare(self) -> None:
        self.feeds.val()  # a file without validation images must not leave a folder behind
        if self.config.prune is not None:
            self.held = Held(self.config.prune, len(self.feeds.train()), self.plan.epochs, self.feeds.plain())

    def _learn_from_teacher(self) -> None:
        config = self.config
        if config.teacher is None:
            return
        self.teacher = load_detector(config.teacher)
        if config.cpu_bfloat16:
            cpu.bfloat16_convolutions(self.teacher)
        own, shown = (told_size(each.image_size) for each in (self.teacher, self.model))
        distil(self.model, self.teacher, config.teacher_weight, config.teacher)
        if own != shown:
            print(f"note: the teacher {config.teacher} was made for {own} and sees {shown}")

    def _start(self) -> None:
        self.digests = origins.digests(beginning.sources(self.config))
        anchors = beginning.anchors_of(self.config, self.store, self.lookup, self.image_size)
        self.model, fresh = beginning.network_of(self.config, self.classes.names, anchors, self.image_size)
        if self.held is not None:
            self.held.start(self.model)  # before anything is frozen: all batch-norms can be recalibrated
        first = self.plan.stages[0].train
        beginning.tell_what_stays_random(self.model, first, freeze(self.model, first), fresh)
        self._learn_from_teacher()

    def _restore(self, folder: RunFolder, state: dict[str, Any]) -> None:
        """The model and optimizer of the last checkpoint; later lines of the log are dropped, they will come again."""
        checkpoint.check_data(state, self.store.digest(), self.config.data, self.config.out)
        self.digests = origins.check(beginning.sources(self.config), state, self.config.out)
        self.model = load_model(folder.path(state["checkpoint"]), compile=True)
        if not state["finished"]:
            self._learn_from_teacher()
        if self.held is not None:
            self.held.restore(self.model, checkpoint.masks_of(folder.path(state["checkpoint"])))
        folder.truncate(lambda row: row.get("epoch", -1) < state["epoch"])
        print(f"resuming {self.config.out} after epoch {state['epoch']} of {self.plan.epochs}")

    def _run_stages(self, folder: RunFolder, state: dict[str, Any] | None) -> None:
        done = state["epoch"] if state else 0
        feed = self.feeds.train()
        shown = self.feeds.for_fit(self.model, feed)
        for index, stage in enumerate(self.plan.stages):
            end = self.plan.end(index)
            if done >= end:
                continue
            # Cut off after the stage ran out of patience and before the next one had an epoch.
            if done > self.plan.starts[index] and checkpoint.out_of_patience(
                state or {}, self.plan.starts[index], self.config.patience
            ):
                done = end
                continue
            # Inside a stage the restored model brings its optimizer's state; at its beginning a new one is due.
            saved = getattr(self.model, "optimizer", None) if done > self.plan.starts[index] else None
            self._compile(stage, len(feed))
            if saved is not None:
                self._go_on(saved)
            ordered = functools.partial(self.feeds.train, shuffle=False)
            # Masks may be those of layers that a cache leaves out of `fit`, and a teacher sees images, not features.
            whole = self.held is not None or self.teacher is not None
            config = dataclasses.replace(self.config, cache="off") if whole else self.config
            learner, train, val = cached.prepare(
                self.model, stage, feed, ordered, self.feeds.val(), folder.path("features"), config
            )
            history = learner.fit(
                shown if train is feed else train,
                validation_data=val,
                initial_epoch=done,
                epochs=end,
                callbacks=self._callbacks(folder, index, train, done),
                validation_freq=watching.validated(end, self.config.monitor_every),
                shuffle=False,
                verbose=0 if self.hosts.index else self.verbose,
            )
            done = end
            if learner.stop_training and len(history.epoch) < stage.epochs:
                print(f"stage {stage.train}: no better checkpoint for {self.config.patience} epochs")

    def _compile(self, stage: Stage, steps: int) -> None:
        names = freeze(self.model, stage.train)
        cpu.fuse_batch_norm(self.model)
        if self.config.cpu_bfloat16:
            cpu.bfloat16_convolutions(self.model)
        print(f"stage {stage.train}: {len(names)} layers learn, {stage.epochs} epochs of {steps} steps")
        loss = RegionLoss(
            self.model.anchors,
            self.model.num_classes,
            coord_scale=self.config.box_scale,
            prior_scale=stage.prior_scale,
            box_loss=self.config.box_loss,
            **dataclasses.asdict(self.config.region),
        )
        optimizer = optimizer_of(self.config, stage, stage.epochs * steps)
        self.model.compile(optimizer, loss=loss, metrics=region_metrics(loss))
        checkpoint.build_optimizer(self.model)

    def _go_on(self, saved: keras.optimizers.Optimizer) -> None:
        """Gives the new optimizer the saved one's state."""
        checkpoint.restore_optimizer(self.model, saved)
        if self.config.ema:
            swap(self.model)

    def _callbacks(
        self, folder: RunFolder, index: int, feed: Batches | cached.CachedBatches, begin: int
    ) -> list[keras.callbacks.Callback]:
        return watching.callbacks_of(self, folder, index, feed, begin)

    def _summary(self, folder: RunFolder) -> dict[str, Any]:
        state, rows = folder.read_state() or {}, folder.metrics()
        return {
            "out": str(self.config.out),
            "epochs": state["epoch"],
            "monitor": state["monitor"],
            "best": state["best"],
            "best_epoch": state["best_epoch"],
            "seconds": round(sum(row.get("seconds", 0.0) for row in rows), 1),
            "images": len(self.store["train"].ids[: self.config.limit]),
            "parameters": int(self.model.count_params()),
            "anchors": [list(np.round(pair, 3)) for pair in self.model.anchors],
        }
