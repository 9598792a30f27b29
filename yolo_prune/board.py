"""A detector's training in TensorBoard: which charts stand together, its options, its best result, its network."""

import re
from collections.abc import Sequence
from typing import Any

import keras

from run_tools.folder import RunFolder
from yolo_prune.loss import COMPONENTS
from yolo_prune.recipe import TrainConfig

TITLES = {"box": "boxes", "average_iou": "mean IoU with the true boxes", "recall": "share with an IoU above .5"}
FIRST = ("batch_size", "input", "optimizer", "stages", "weights")
"""Options that people compare most."""


class Board(keras.callbacks.Callback):
    """Writes TensorBoard's layout, hyperparameters and graph once a run, and its best value after every epoch.

    Put it after `Checkpoint`, which decides what is best.

    Args:
        folder: the run folder; the files go into its `tensorboard`.
        config: the training.
        class_names: those with an AP of their own, see `ValidationAP`.
        last: whether this is the last stage, whose end is the end of the run.
    """

    def __init__(self, folder: RunFolder, config: TrainConfig, class_names: Sequence[str], last: bool):
        super().__init__()
        self.folder = folder
        self.config = config
        self.class_names = tuple(class_names)
        self.last = last
        self._file: Any = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Writes what does not change, unless an earlier stage did."""
        from run_tools import board, events  # here, because TensorBoard is slow to import

        logdir = self.folder.path("tensorboard")
        begun = any(logdir.glob("events.out.tfevents.*"))
        self._file = events.EventFile(logdir)
        if begun:
            return
        options = board.hyperparameters(self.config, leave_out=("out",))
        metrics = [board.Metric(*each) for each in metric_columns(self.config.monitor, self.class_names)]
        prior = any(stage.prior_scale for stage in self.config.stages)
        values = [board.layout(charts(self.class_names, prior)), board.experiment(options, metrics, FIRST)]
        self._file.add([*values, board.session_start(options)], 0)
        # On cached features the head learns alone; the network is what it belongs to.
        self._file.add_graph(board.graph(getattr(self.model, "detector", self.model), block_of))

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Writes the best value so far, so that the last one is that of `best.keras`."""
        from run_tools import events

        best = (self.folder.read_state() or {}).get("best")
        if best is not None:
            self._file.add([events.scalar(best_tag(self.config.monitor), best)], epoch)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Marks the run as finished after its last stage."""
        from run_tools import board

        if self.last:
            self._file.add([board.session_end()], 0)


def best_tag(monitor: str) -> str:
    """The tag of the best value of the monitored quantity."""
    return f"best/{monitor.removeprefix('val_')}"


def charts(class_names: Sequence[str], prior: bool) -> dict[str, dict[str, list[str]]]:
    """Title of a group → title of a chart → tags, for `run_tools.board.layout`.

    Args:
        class_names: those with an AP of their own.
        prior: whether the loss has darknet's early pull towards the anchors.
    """
    parts = [name for name in COMPONENTS if prior or name != "prior"]
    return {
        "AP50 on the validation images": {
            "mean over the classes": ["epoch/ap50"],
            **{name: [f"epoch/ap50_{name}"] for name in class_names},
        },
        "loss: training and validation": {
            "total": ["epoch/loss"],
            **{TITLES.get(name, name): [f"epoch/{name}"] for name in parts},
        },
        "boxes of the responsible anchors": {TITLES[name]: [f"epoch/{name}"] for name in ("average_iou", "recall")},
        "learning rate": {"at the end of each epoch": ["epoch/learning_rate"]},
    }


def metric_columns(monitor: str, class_names: Sequence[str]) -> list[tuple[str, str, str]]:
    """Tag, sub-folder and title of the columns of results beside a run's options."""
    name = monitor.removeprefix("val_")
    return [
        (best_tag(monitor), "", f"best {name}"),
        ("epoch/ap50", "validation", "last ap50"),
        *((f"epoch/ap50_{kind}", "validation", f"last ap50 {kind}") for kind in class_names),
        ("epoch/loss", "train", "train loss"),
        ("epoch/loss", "validation", "validation loss"),
    ]


def block_of(layer: str) -> str:
    """The box of the drawing that holds a layer: a convolution with its norm, activation and pooling."""
    number = re.fullmatch(r"(?:conv|norm|leaky|pool)_(\d+)", layer)
    return f"block_{number[1]}" if number else ""
