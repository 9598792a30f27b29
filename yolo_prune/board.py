"""A detector's training in TensorBoard: which charts stand together, its options, its best result, its network."""

import re
from collections.abc import Sequence

import keras

from run_tools.folder import RunFolder
from run_tools.run_board import RunBoard, best_tag
from yolo_prune.loss import COMPONENTS
from yolo_prune.recipe import TrainConfig

TITLES = {"box": "boxes", "average_iou": "mean IoU with the true boxes", "recall": "share with an IoU above .5"}
FIRST = ("batch_size", "input", "optimizer", "stages", "weights")
"""Options that people compare most."""


class Board(RunBoard):
    """`RunBoard` of a detector's stage.

    Args:
        folder: the run folder; the files go into its `tensorboard`.
        config: the training.
        class_names: those with an AP of their own, see `ValidationAP`.
        last: whether this is the last stage, whose end is the end of the run.
    """

    def __init__(self, folder: RunFolder, config: TrainConfig, class_names: Sequence[str], last: bool):
        shown = charts(class_names, any(stage.prior_scale for stage in config.stages))
        columns = metric_columns(config.monitor, class_names)
        super().__init__(folder, config, config.monitor, shown, columns, FIRST, block_of, last)

    def network(self) -> keras.Model:
        """The detector: on cached features the head learns alone, and the network is what it belongs to."""
        return getattr(self.model, "detector", self.model)


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
