"""A classifier's training in TensorBoard: which charts stand together, its results beside its options."""

from collections.abc import Sequence

from classify_prune.monitor import tag
from classify_prune.recipe import TrainConfig
from run_tools.folder import RunFolder
from run_tools.run_board import RunBoard, best_tag

FIRST = ("network", "task", "widths", "learning_rate", "standardise")
"""Options that people compare most."""


def board_of(folder: RunFolder, config: TrainConfig, class_names: Sequence[str]) -> RunBoard:
    """The callback that describes a run.

    Args:
        folder: the run folder.
        config: the training.
        class_names: those with an accuracy of their own, see `monitor.Validation`.
    """
    return RunBoard(folder, config, config.monitor, charts(class_names), columns(config.monitor), FIRST, block_of)


def charts(class_names: Sequence[str]) -> dict[str, dict[str, list[str]]]:
    """Title of a group → title of a chart → tags, for `run_tools.board.layout`."""
    groups = {
        "accuracy: training and validation": {
            "all images": ["epoch/accuracy"],
            "mean over the classes": ["epoch/balanced_accuracy"],
        },
        "loss: training and validation": {"cross-entropy": ["epoch/loss"]},
        "calibration on the validation images": {"expected calibration error": ["epoch/ece"]},
        "learning rate": {"at the end of each epoch": ["epoch/learning_rate"]},
    }
    if class_names:
        groups["accuracy of each class"] = {name: [f"epoch/accuracy_{tag(name)}"] for name in class_names}
    return groups


def columns(monitor: str) -> list[tuple[str, str, str]]:
    """Tag, sub-folder and title of the columns of results beside a run's options."""
    return [
        (best_tag(monitor), "", f"best {monitor.removeprefix('val_')}"),
        *((f"epoch/{name}", "validation", f"last {name}") for name in ("accuracy", "balanced_accuracy", "ece", "loss")),
        ("epoch/loss", "train", "train loss"),
    ]


def block_of(layer: str) -> str:
    """The box of the drawing that holds a layer: a block of ResNet-18 or its stem."""
    block, _, rest = layer.partition("_")
    if not block.startswith(("stem", "stage")):
        return ""
    return block if block == "stem" else f"{block}/{rest.split('_')[0]}"
