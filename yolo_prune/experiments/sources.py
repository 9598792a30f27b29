"""The source network of paper 003's recipes: what `--weights` holds, in words and as a detector to judge.

The paper's source, YOLOv2 with its COCO weights, may or may not be what a reader has; so whatever it was is named
beside every number.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from data_tools.compiler import DataCompiler
from data_tools.kitti import KittiExtractor
from data_tools.scenes import street
from data_tools.store import open_store
from run_tools import config as configs
from run_tools import manifest
from run_tools.errors import InputError
from run_tools.files import parse_size
from run_tools.folder import RunFolder
from yolo_prune import network
from yolo_prune.class_map import class_set
from yolo_prune.detector import YoloV2
from yolo_prune.experiments import recipes
from yolo_prune.models import load_detector
from yolo_prune.recipe import TrainConfig
from yolo_prune.trainer import Trainer
from yolo_prune.transfer import read_npz, transfer

SCENE_SIZE = (375, 1242)
FRACTIONS = (0.9, 0.1, 0.0)
SCENE_SEED = 3


@dataclass(frozen=True)
class Source:
    """A source network.

    Attributes:
        weights: where it lies.
        told: what it is, for people: a sentence.
        network: `variant`, `widths`, `passthrough` and `anchors` of its detector, as `TrainConfig` wants them.
        detector: with COCO's head at the recipes' input.
        head: whether its head has COCO's classes; else that of `detector` is fresh.
        random: layers of the body that it lacks, which begin at random.
    """

    weights: Path
    told: str
    network: dict[str, Any]
    detector: YoloV2
    head: bool
    random: tuple[str, ...]


def read(weights: Path, image_size: tuple[int, int], seed: int) -> Source:
    """The source network of a file or run folder.

    Args:
        weights: a run folder, a `.keras` file, a `.npz` in Keras layout or a name in the manifest.
        image_size: (height, width) of the recipes' input.
        seed: of the layers that it lacks.

    Raises:
        InputError: when it cannot be read or is no YOLOv2.
    """
    given = _of_arrays(weights) if weights.suffix == ".npz" else _of_detector(load_detector(weights), weights)
    classes = class_set("coco")
    keras.utils.set_random_seed(seed)
    detector = YoloV2(len(classes.names), image_size=image_size, class_names=classes.names, **given)
    taken = transfer(detector, weights)
    head = detector.layers[-1].name
    random = tuple(name for name in taken.skipped if name.startswith("conv_") and name != head)
    anchors = ";".join(f"{width:g},{height:g}" for width, height in detector.anchors)
    told = _describe(weights) + f", {'YOLOv2' if detector.variant == 'full' else 'tiny-YOLOv2'}"
    if random:
        told += f"; it lacks {', '.join(random)}, which begin at random"
    return Source(weights, told, {**given, "anchors": anchors}, detector, head in taken.loaded, random)


def _of_detector(model: YoloV2, path: Path) -> dict[str, Any]:
    found = {"anchors": model.anchors, "passthrough": model.passthrough, "widths": model.widths}
    # By its widths, as a model of darknet's files calls itself otherwise.
    return {
        **found,
        "variant": _variant(len(model.widths), f"{path} with {len(model.widths)} convolutions but the head"),
    }


def _of_arrays(path: Path) -> dict[str, Any]:
    """Network of a `.npz`, by its batch-norms: one behind every convolution but the head."""
    arrays = read_npz(path)
    widths: list[int] = []
    while f"norm_{len(widths) + 1}/gamma" in arrays:
        widths.append(len(arrays[f"norm_{len(widths) + 1}/gamma"]))
    variant = _variant(len(widths), f"{path} with {len(widths)} batch-norms")
    # Arrays do not say what the passthrough was. Published weights are darknet's.
    return {"variant": variant, "widths": tuple(widths), "anchors": "coco", "passthrough": "reorg"}


def _variant(count: int, received: str) -> str:
    known = {len(widths): name for name, widths in network.DEFAULT_WIDTHS.items()}
    if count not in known:
        counts = " or ".join(f"{count} ({name})" for count, name in known.items())
        raise InputError(received, f"those of a YOLOv2: {counts}", "check --weights")
    return known[count]


def _describe(weights: Path) -> str:
    """What a file or folder of weights is: its name, and for a run folder what it learned from."""
    if not weights.exists():
        return f"{weights.name} of the manifest ({manifest.entries()[str(weights)].description})"
    folder = RunFolder(weights)
    if not folder.path("config.yaml").is_file():
        return weights.name
    options = configs.load(TrainConfig, folder.path("config.yaml"))
    told = f"run {weights.name}, trained {(folder.read_state() or {}).get('epoch', 0)} epochs on "
    told += open_store(options.data, "detection").source if options.data.is_file() else options.data.name
    return told + (f" from {options.weights.name}" if options.weights is not None else " from scratch")


def make(out: Path, input: str, scenes: int, quick: bool, seed: int) -> Path:
    """Trains a source network on synthetic scenes that it renders first; what is there already is used again.

    Args:
        out: folder for scenes (deleted when they are compiled), compiled file and run.
        input: network input WxH.
        scenes: how many to render.
        quick: few epochs.
        seed: of the training.

    Returns:
        The run folder.
    """
    rendered, data, run = out / "scenes", out / "scenes.h5", out / "source"
    if not data.exists():
        if not rendered.exists():
            print(f"rendering {scenes} synthetic street scenes for a source network")
            street.write(rendered, scenes, SCENE_SEED, SCENE_SIZE, None)
        DataCompiler(KittiExtractor(rendered), parse_size(input), split="random", fractions=FRACTIONS).compile(data)
    shutil.rmtree(rendered, ignore_errors=True)
    Trainer(recipes.source(data, run, input=input, quick=quick, seed=seed), verbose=2).fit()
    return run
