"""The options of `classify-prune`'s verbs; nothing here loads Keras."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from classify_prune.recipe import Task
from run_tools.config import option, positional

MODEL_HELP = "run folder or .keras file"


@dataclass(frozen=True)
class EvaluateConfig:
    """Measure a classifier on a split: accuracy, each class, calibration, confusion."""

    model: Path = option(help=MODEL_HELP)
    data: Path = option(help="compiled HDF5 file of labelled images or features")
    split: Literal["train", "val", "test"] = option("test", help="split to judge it on")
    task: Task | None = option(None, help="what it tells apart; default: that of the run folder, else type")
    batch_size: int = option(100, help="images a forward pass", minimum=1)
    report: Path | None = option(None, help="folder for report.html, the confusion matrix and the reliability diagram")


@dataclass(frozen=True)
class PredictConfig:
    """Say what pictures, folders of them and videos show."""

    image: tuple[Path, ...] = positional(help="pictures, folders of them, quoted patterns, videos", many=True)
    model: Path = option(help=MODEL_HELP)
    top: int = option(3, help="classes told of each picture, the most probable first", minimum=1)
    recursive: bool = option(False, help="folders with all folders in them")
    batch_size: int = option(32, help="images a forward pass", minimum=1)
    keep_going: bool = option(False, help="leave out files that cannot be read instead of stopping")
