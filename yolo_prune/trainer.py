"""`Trainer`: the staged recipes, resumed exactly where they were cut off.

Source: paper 003, section 5.1 and appendix A.2.
"""

import dataclasses
import functools
from typing import Any

import keras
import numpy as np

from data_tools import anchors as anchor_tools
from data_tools import stats
from data_tools.pipeline import Batches
from data_tools.store import Store, open_store
from run_tools import checkpoint, cpu, precision
from run_tools.callbacks import JsonLines, NanStop, TensorBoardScalars
from run_tools.errors import InputError
from run_tools.files import parse_size
from run_tools.folder import RunFolder
from yolo_prune import cached, distribution, origins
from yolo_prune.anchors import as_anchors
from yolo_prune.averages import Averages, swap
from yolo_prune.board import Board
from yolo_prune.class_map import OWN, class_set, lookup_of, own_classes
from yolo_prune.detector import YoloV2
from yolo_prune.distillation import DISTILLATION, distil
from yolo_prune.feeds import Feeds
from yolo_prune.freeze import freeze
from yolo_prune.loss import COMPONENTS, RegionLoss
from yolo_prune.metrics import region_metrics
from yolo_prune.models import load_detector, load_model
from yolo_prune.monitor import Pictures, ValidationAP
from yolo_prune.monitor_figures import Judgement
from yolo_prune.network import STRIDE, check_image_size
from yolo_prune.optimizers import optimizer_of
from yolo_prune.prior import PriorEnds
from yolo_prune.pruning.held import Held
from yolo_prune.recipe import Plan, Stage, TrainConfig
from yolo_prune.transfer import transfer


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
        self.digests: dict[str, str] = {}

    def fit(self) -> dict[str, Any]:
        """Trains, or goes on training.

        Returns:
            `{"out", "epochs", "best", "best_epoch", "monitor", "seconds", "images", "parameters", "anchors"}`; the
            checkpoints lie in the folder.

        Raises:
            InputError: for data, weights or a run folder that do not fit the config.
            TrainingDiverged: at the first loss that is not finite.
        """
        folder = RunFolder(self.config.out)
        keras.utils.set_random_seed(self.config.seed)
        self._prepare()
        with distribution.scope(self.config.distribute), precision.scope(self.config.mixed_precision):
            if folder.read_state() is None:
                # Before the folder is made: what is wrong with weights or anchors must not leave one behind.
                self._start()
            with folder.create(self.config):
                state = folder.read_state()
                if state:
                    self._restore(folder, state)
                else:
                    # A run that was cut off in its first epoch may have logged it.
                    folder.truncate(lambda row: False)
                if not (state and state["finished"]):
                    self._run_stages(folder, state)
                    cached.clear(folder.path("features"))
                    checkpoint.finish(folder)
                return self._summary(folder)

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
        distil(self.model, self.teacher, config.teacher_weight, config.teacher)

    def _start(self) -> None:
        self.digests = origins.digests(origins.sources(self.config))
        anchors = self._anchors()
        self.model = YoloV2(
            len(self.classes.names),
            anchors,
            self.image_size,
            variant=self.config.variant,
            width_multiplier=self.config.width_multiplier,
            widths=self.config.widths,
            class_names=self.classes.names,
            passthrough=self.config.passthrough,
        )
        fresh = self._warm_start() if self.config.weights is not None else None
        learn = set(freeze(self.model, self.plan.stages[0].train))
        kept = [layer.name for layer in self.model.layers if layer.weights and layer.name not in learn]
        random = [name for name in kept if name.startswith("conv_") and (fresh is None or name in fresh)]
        if random:
            print(
                f"note: stage {self.plan.stages[0].train} keeps {', '.join(random)} as they begin, which is at random; "
                "give --weights that hold them, or let all layers learn first"
            )
        self._learn_from_teacher()
        if self.held is not None:
            self.held.start(self.model)

    def _warm_start(self) -> set[str]:
        """Weights of `config.weights`; returns the layers that these left as they were.

        A head of other classes or anchors is refused unless a new one is asked for.
        """
        result = transfer(self.model, self.config.weights, head=not self.config.new_head)
        head = self.model.layers[-1].name
        other = [result.skipped[head]] if head in result.skipped else list(result.notes)
        if head in result.loaded and not result.described and self.config.anchors == "kmeans":
            other = ["it does not say its anchors, and these were just found by k-means"]
        if other and not self.config.new_head:
            raise InputError(
                f"{self.config.weights} with another head ({other[0]})",
                "the classes and anchors of this training",
                "give those with --classes and --anchors, or --new-head to begin with a fresh one",
            )
        print(f"weights of {self.config.weights}: loaded {', '.join(result.loaded)}")
        for name, reason in result.skipped.items():
            print(f"  {name} starts fresh: {reason}")
        return set(result.skipped)

    def _restore(self, folder: RunFolder, state: dict[str, Any]) -> None:
        """The model and optimizer of the last checkpoint; later lines of the log are dropped, they will come again."""
        # A state of before digests were kept has none.
        if state.get("data") not in (None, self.store.digest()):
            raise InputError(
                f"{self.config.data} with other contents than when {self.config.out} was started",
                "the same images and labels in the same splits",
                "compile it again with the same options, or choose a new --out",
            )
        self.digests = origins.check(origins.sources(self.config), state.get("files", {}), self.config.out)
        self.model = load_model(folder.path(state["checkpoint"]), compile=True)
        if not state["finished"]:
            self._learn_from_teacher()
        if self.held is not None:
            self.held.restore(self.model, checkpoint.masks_of(folder.path(state["checkpoint"])))
        folder.truncate(lambda row: row.get("epoch", -1) < state["epoch"])
        print(f"resuming {self.config.out} after epoch {state['epoch']} of {self.plan.epochs}")

    def _anchors(self) -> tuple[tuple[float, float], ...]:
        if self.config.anchors != "kmeans":
            return as_anchors(self.config.anchors)
        stored = tuple(np.flatnonzero(self.lookup >= 0).tolist())
        sizes = stats.sizes(self.store["train"], stored)
        weights = None
        if self.config.anchor_balance:
            weights = anchor_tools.class_weights(self.lookup[stats.classes(self.store["train"], stored)])
        stretch = np.array(self.image_size[::-1]) / np.array(self.store.image_size[::-1])
        count, seed = self.config.anchor_count, self.config.seed
        found = anchor_tools.kmeans(sizes * stretch / STRIDE, count, seed, weights=weights)
        return as_anchors(np.round(found, 4))

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
                validation_freq=self._validated(end, self.config.monitor_every),
                shuffle=False,
                verbose=self.verbose,
            )
            done = end
            if learner.stop_training and len(history.epoch) < stage.epochs:
                print(f"stage {stage.train}: no better checkpoint for {self.config.patience} epochs")

    def _validated(self, end: int, every: int) -> list[int]:
        """Epochs, counted from 1, after which to validate: every so many and the last one of the stage."""
        return sorted({*range(every, end, every), end})

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
        )
        optimizer = optimizer_of(self.config, stage, stage.epochs * steps)
        self.model.compile(optimizer, loss=loss, metrics=region_metrics(loss))

    def _go_on(self, saved: keras.optimizers.Optimizer) -> None:
        """Gives the new optimizer the saved one's state."""
        checkpoint.restore_optimizer(self.model, saved)
        if self.config.ema:
            swap(self.model)

    def _callbacks(
        self, folder: RunFolder, index: int, feed: Batches | cached.CachedBatches, begin: int
    ) -> list[keras.callbacks.Callback]:
        config, stage = self.config, self.plan.stages[index]
        split = "train" if config.limit else "val"
        logdir = folder.path("tensorboard")
        names = self.classes.names
        end = self.plan.end(index)
        judged = self._validated(end, config.ap_every or config.monitor_every)
        validation = ValidationAP(self.store, split, self.lookup, names, judged, config.limit)
        found: list[keras.callbacks.Callback] = [
            # Keras ends an epoch of the feed once more when it builds metrics; the epoch must not depend on that.
            keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: setattr(feed, "epoch", epoch)),
            NanStop((*COMPONENTS, DISTILLATION), lambda batch: "images " + ", ".join(feed.ids(batch % len(feed)))),
            validation,
            JsonLines(folder, {"stage": f"{index}:{stage.train}"}),
            TensorBoardScalars(logdir),
            Pictures(logdir / "pictures", self.store, split, self.lookup, names, config.images_every),
            Judgement(logdir / "pictures", validation, config.images_every),
            checkpoint.Checkpoint(
                folder,
                config.monitor,
                index,
                config.patience,
                self.plan.starts[index],
                self.store.digest(),
                config.save_every,
                end,
                self.held.since if self.held is not None else 0,
                self.held.save if self.held is not None else None,
                {"files": self.digests},
            ),
            Board(folder, config, validation.counted, last=index == len(self.plan.stages) - 1),
        ]
        if config.ema:
            averages = Averages()
            found = [found[0], averages, *found[1:], averages.back]
        if self.held is not None:
            found.insert(1, self.held.callback(begin, logdir))
        if stage.prior_images is not None:
            steps, start = len(feed), self.plan.starts[index]
            found.append(PriorEnds(self.model.loss, stage.prior_images, config.batch_size, steps, start))
        return found

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
