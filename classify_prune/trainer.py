"""`Trainer`: one training, resumed exactly where it was cut off."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

from classify_prune import inputs
from classify_prune.board import board_of
from classify_prune.draws import Draws, Served
from classify_prune.loading import load_classifier
from classify_prune.models import Classifier
from classify_prune.monitor import Pictures, Reseed, Validation
from classify_prune.networks import HEAD
from classify_prune.recipe import TrainConfig
from classify_prune.transfer import transfer
from data_tools.label_pipeline import LabelBatches
from data_tools.store import open_store
from prune_tools.mask_set import Masks
from run_tools import checkpoint, cpu, origins, precision
from run_tools.callbacks import JsonLines, NanStop, TensorBoardScalars, advice_of
from run_tools.folder import RunFolder

FINAL_RATE = 0.01
"""Where the cosine ends, as a fraction of the learning rate."""


class Trainer:
    """Runs one `TrainConfig`.

    Args:
        config: everything the training depends on.
        verbose: Keras's `fit` verbosity.
        start: gives the network to begin with, such as a pruned one, where it is not to be a new one of the config.
        kept: folder in which changed images are kept, for the next training of the same ones; see `draws`.

    Attributes:
        model: the `Classifier`, once `fit` has begun.

    Example:
        >>> Trainer(TrainConfig(data=Path("types.h5"), out=Path("runs/types"), epochs=20)).fit()
    """

    def __init__(
        self,
        config: TrainConfig,
        verbose: int | str = "auto",
        start: Callable[[], Classifier] | None = None,
        kept: Path | None = None,
    ):
        self.config = config
        self.kept = kept
        self.verbose = verbose
        self.start = start
        self.masks = None if config.masks is None else Masks.load(config.masks)
        self.store: Any = open_store(config.data, "classification")
        self.task = self.store.task(config.task, config.classes)
        self.architecture, self.shape = inputs.resolve(config, self.store)
        self.sources = {"weights": config.weights, "masks": config.masks}
        self.digests: dict[str, str] = {}
        self.model: Classifier = None  # type: ignore[assignment]  # made by `fit`
        self.feeds: tuple[LabelBatches, LabelBatches]  # likewise

    def fit(self) -> dict[str, Any]:
        """Trains, or goes on training.

        Returns:
            `{"out", "epochs", "best", "best_epoch", "monitor", "seconds", "images", "parameters"}`; the checkpoints lie
            in the folder.

        Raises:
            InputError: for data, weights or a run folder that do not fit the config.
            TrainingDiverged: at losses or weights that are not finite, where going back to the last checkpoint did not
                help (`checkpoint.go_back`).
        """
        config, folder = self.config, RunFolder(self.config.out)
        keras.utils.set_random_seed(config.seed)
        self.feeds = self._feeds()
        with precision.scope(config.mixed_precision):
            if folder.read_state() is None:
                # Before the folder is made: what is wrong with widths or weights must not leave one behind.
                self._start()
            with folder.create(config):
                checkpoint.until_done(folder, lambda: self._go(folder), self._again)
                return self._summary(folder, self.feeds[0])

    def _go(self, folder: RunFolder) -> None:
        """From where the folder stands to the end."""
        state = checkpoint.resume(folder, lambda state: self._restore(folder, state))
        if not (state and state["finished"]):
            self._run(folder, state, *self.feeds)
            checkpoint.finish(folder)

    def _again(self) -> None:
        keras.utils.set_random_seed(self.config.seed)
        self.feeds = self._feeds()

    def _feeds(self) -> tuple[LabelBatches, LabelBatches]:
        """Of the training and of the validation split."""
        return self._feed("train", augment=self.config.augment, limit=self.config.limit), self._feed("val")

    def _feed(self, split: str, **options: Any) -> LabelBatches:
        config = self.config
        common = {"seed": config.seed, "workers": config.workers, "classes": config.classes, **options}
        return inputs.feed(self.store, split, self.shape, config.batch_size, config.task, **common)

    def _start(self) -> None:
        self.digests = origins.digests(self.sources)
        self.model = self._new() if self.start is None else self.start()
        if self.masks is not None:
            self.masks.violations(self.model)  # those of another network are told now

    def _new(self) -> Classifier:
        """A network of the config, with the weights of its warm start."""
        config = self.config
        mean, deviation = inputs.standard(config, self.store, self.task, self.shape)
        names = self.task.class_names
        dropout = config.dropout if self.architecture == "mlp" else 0.0
        model = Classifier(self.architecture, len(names), self.shape, config.widths, dropout, mean, deviation, names)
        if config.weights is not None:
            result = transfer(model, config.weights, head=not config.new_head)
            print(f"weights of {config.weights}: loaded {len(result.loaded)} layers")
            for name, reason in result.skipped.items():
                print(f"  {name} starts fresh: {reason}")
        return model

    def _restore(self, folder: RunFolder, state: dict[str, Any]) -> None:
        """The model and optimizer of the last checkpoint; later lines of the log are dropped, they will come again."""
        checkpoint.check_data(state, self.store.digest(), self.config.data, self.config.out)
        self.digests = origins.check(self.sources, state, self.config.out)
        self.model = load_classifier(folder.path(state["checkpoint"]), compile=True)
        folder.truncate(lambda row: row.get("epoch", -1) < state["epoch"])
        print(f"resuming {self.config.out} after epoch {state['epoch']} of {self.config.epochs}")

    def _run(self, folder: RunFolder, state: dict[str, Any] | None, train: LabelBatches, val: LabelBatches) -> None:
        config, done = self.config, state["epoch"] if state else 0
        # Cut off after it ran out of patience, or after its last epoch.
        if done >= config.epochs or (state and checkpoint.out_of_patience(state, 0, config.patience)):
            return
        saved = self.model.optimizer if state else None
        self._compile(len(train))
        if saved is not None:
            checkpoint.restore_optimizer(self.model, saved)
        shared = self.kept is not None and config.augment is not None
        history = self.model.fit(
            Served(Draws(train, self.kept)) if shared else train,
            initial_epoch=done,
            epochs=config.epochs,
            callbacks=self._callbacks(folder, train, val),
            shuffle=False,
            verbose=self.verbose,
        )
        if self.model.stop_training and done + len(history.epoch) < config.epochs:
            print(f"no better {config.monitor} for {config.patience} epochs")

    def _compile(self, steps: int) -> None:
        config = self.config
        for layer in self.model.layers:
            layer.trainable = config.train == "all" or layer.name == HEAD
        cpu.fuse_batch_norm(self.model)
        if config.cpu_bfloat16:
            cpu.bfloat16_convolutions(self.model)
        if self.masks is not None:
            self.masks.hold(self.model)
        self.model.compile(
            optimizer_of(config, steps * config.epochs),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
            # XLA's convolutions are slow on CPUs.
            jit_compile=False if cpu.on_cpu() else "auto",
        )
        checkpoint.build_optimizer(self.model)

    def _callbacks(self, folder: RunFolder, train: LabelBatches, val: LabelBatches) -> list[keras.callbacks.Callback]:
        config, logdir = self.config, folder.path("tensorboard")
        validation = Validation(val, self.task.class_names)
        return [
            # Keras ends an epoch of the feed once more when it builds metrics; the epoch must not depend on that.
            keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: setattr(train, "epoch", epoch)),
            Reseed(config.seed),
            # Before what judges or saves the model.
            *([] if self.masks is None else [self.masks.callback()]),
            NanStop((), lambda batch: "images " + ", ".join(train.ids(batch % len(train))), advice_of(config)),
            validation,
            JsonLines(folder),
            TensorBoardScalars(logdir),
            Pictures(logdir / "pictures", validation, config.images_every),
            checkpoint.Checkpoint(
                folder,
                config.monitor,
                0,
                config.patience,
                data=self.store.digest(),
                every=config.save_every,
                end=config.epochs,
                also={origins.FILES: self.digests},
            ),
            board_of(folder, config, validation.charted),
        ]

    def _summary(self, folder: RunFolder, train: LabelBatches) -> dict[str, Any]:
        state = folder.read_state() or {}
        return {
            "out": str(self.config.out),
            "epochs": state["epoch"],
            "monitor": state["monitor"],
            "best": state["best"],
            "best_epoch": state["best_epoch"],
            "seconds": round(sum(row.get("seconds", 0.0) for row in folder.metrics()), 1),
            "images": len(train.rows),
            "parameters": int(self.model.count_params()),
        }


def optimizer_of(config: TrainConfig, steps: int) -> keras.optimizers.Optimizer:
    """A new optimizer.

    Args:
        config: which one, its rate, decay and clipping.
        steps: of the whole training.

    Returns:
        The optimizer, which decays kernels alone.
    """
    rate: Any = config.learning_rate
    if config.schedule == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(rate, max(1, steps), alpha=FINAL_RATE)
    common: dict[str, Any] = {"global_clipnorm": config.clip_norm, "weight_decay": config.weight_decay or None}
    if config.optimizer == "sgd":
        optimizer: keras.optimizers.Optimizer = keras.optimizers.SGD(rate, momentum=config.momentum, **common)
    else:
        optimizer = keras.optimizers.Adam(rate, **common)
    if config.weight_decay:
        # Decay of scales and offsets would pull batch-norms towards switching their channels off.
        optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    return optimizer
