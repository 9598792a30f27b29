"""A small folder in KITTI's layout, the file compiled from it and an untrained detector, made once for all tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import keras
import numpy as np
import pytest

from data_tools.compiler import DataCompiler
from data_tools.kitti import KittiExtractor
from data_tools.store import open_store
from run_tools.checkpoint import Checkpoint
from yolo_prune.class_map import class_set
from yolo_prune.detector import YoloV2
from yolo_prune.recipe import Stage, TrainConfig
from yolo_prune.records import Detections

# Original sizes, stored size and network input all differ, and so do their aspects: (height, width).
ORIGINAL = ((120, 200), (150, 240))
STORED = (96, 160)
INPUT = (64, 128)
COUNT = 20


def boxes_of(index: int) -> list[tuple[str, float, float, float, float]]:
    """What is in image `index`: type, left, top, right, bottom in its own pixels; cars and people are over 40 high."""
    boxes = [("Car", 10.0 + index, 38.0, 70.0 + index, 80.0), ("Pedestrian", 120.0, 50.0, 140.5, 100.0)]
    if index % 2:
        boxes.append(("Van", 150.0, 30.0, 190.0, 60.0))
    if index % 3 == 0:
        boxes.append(("Cyclist", 90.0, 5.0, 115.0, 45.0))
        boxes.append(("DontCare", 160.0, 80.0, 195.0, 110.0))
    return boxes


def label_lines(index: int) -> str:
    """KITTI's label file of image `index`."""
    seen = ("0.00 0 1.57", "1.50 1.60 3.90 1.00 1.50 20.00 1.57")
    lines = []
    for name, *sides in boxes_of(index):
        before, after = ("-1 -1 -10", "-1 -1 -1 -1000 -1000 -1000 -10") if name == "DontCare" else seen
        lines.append(f"{name} {before} {' '.join(f'{side:.2f}' for side in sides)} {after}\n")
    return "".join(lines)


def write_kitti(root: Path, count: int = COUNT) -> Path:
    """Writes the folder: grey noise with a bright rectangle for each box."""
    images, labels = root / "training" / "image_2", root / "training" / "label_2"
    images.mkdir(parents=True)
    labels.mkdir()
    rng = np.random.default_rng(0)
    for index in range(count):
        image = rng.integers(60, 120, (*ORIGINAL[index % 2], 3), np.uint8)
        for name, left, top, right, bottom in boxes_of(index):
            if name != "DontCare":
                image[int(top) : int(bottom), int(left) : int(right)] = 40 * (1 + len(name) % 5)
        cv2.imwrite(str(images / f"{index:06d}.png"), image)
        (labels / f"{index:06d}.txt").write_text(label_lines(index))
    return root


@pytest.fixture(scope="session")
def true_boxes() -> Callable[[int], list[tuple[str, float, float, float, float]]]:
    """The function that tells what is in an image."""
    return boxes_of


@pytest.fixture(scope="session")
def small_kitti(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The KITTI folder of `COUNT` images."""
    return write_kitti(tmp_path_factory.mktemp("small") / "kitti")


@pytest.fixture(scope="session")
def small_h5(small_kitti: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its compiled file: 12 images in train, 4 in val, 4 in test."""
    out = tmp_path_factory.mktemp("small") / "small.h5"
    DataCompiler(
        KittiExtractor(small_kitti), STORED, split="random", fractions=(0.6, 0.2, 0.2), progress=False
    ).compile(out)
    return out


def small_detector(classes: str = "merged", anchors: str = "voc", **changes) -> YoloV2:
    """A detector of 10,000 weights whose untrained head says a lot: scores spread over 0-1."""
    keras.utils.set_random_seed(3)
    names = class_set(classes).names
    options = {"image_size": INPUT, "variant": "tiny", "widths": (8,) * 8, "class_names": names} | changes
    model = YoloV2(len(names), anchors, **options)
    head = model.layers[-1]
    kernel, bias = head.get_weights()
    head.set_weights([kernel * 1000, bias])
    return model


@pytest.fixture(scope="session")
def make_detector() -> Callable[..., YoloV2]:
    """The function that builds a small detector."""
    return small_detector


@pytest.fixture(scope="session")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved detector of the merged classes."""
    path = tmp_path_factory.mktemp("small") / "model.keras"
    small_detector().save(path)
    return path


STAGES = (Stage("top:3", 1, 1e-2, "constant", warmup=0, prior_scale=0.01), Stage("all", 3, 1e-2, warmup=2))


def small_config(h5: Path, out: Path, **changes) -> TrainConfig:
    """Two stages, four epochs of three steps, of a network with four channels a layer."""
    options = {"input": "96x64", "widths": (4,) * 8, "anchor_count": 2, "batch_size": 4, "stages": STAGES}
    options |= {"images_every": 0, "weight_decay": 0.01, "data": h5, "out": out}
    return TrainConfig(**{**options, **changes})


@pytest.fixture(scope="session")
def small() -> Callable[..., TrainConfig]:
    """The function that makes the config of a short training."""
    return small_config


@pytest.fixture
def fits(monkeypatch):
    """Replaces training by a record of what would be trained; a checkpoint is written as after the last epoch."""
    calls = []

    def fit(self, feed, *, initial_epoch, epochs, callbacks, **options):
        learn = [layer.name for layer in self.layers if layer.weights and layer.trainable]
        calls.append({"from": initial_epoch, "to": epochs, "learn": learn, "model": self, **options})
        saver = next(callback for callback in callbacks if isinstance(callback, Checkpoint))
        saver.set_model(self)
        saver.on_epoch_end(epochs - 1, {"val_ap50": 0.5})
        return type("History", (), {"epoch": list(range(initial_epoch, epochs))})

    monkeypatch.setattr(YoloV2, "fit", fit)
    return calls


@pytest.fixture
def perfect(monkeypatch, small_h5, true_boxes):
    """Makes every detector answer with the labels of the split `test`, in the order of that split."""
    view = open_store(small_h5)["test"]
    asked = []

    def decoded(self, logits, score=0.005, iou=0.45, limit=100):
        answers = []
        for _ in range(len(logits)):
            position = len(asked)
            asked.append(position)
            rows = [row for row in true_boxes(int(view.ids[position])) if row[0] != "DontCare"]
            height, width = view.original_size[position]
            # By hand: pixels of the original over the original's size.
            boxes = np.array([row[1:] for row in rows]) / [width, height, width, height]
            classes = [class_set("merged").map[row[0]] for row in rows]
            answers.append(Detections(boxes, np.full(len(rows), 0.9), classes))
        return answers

    monkeypatch.setattr(YoloV2, "decoded", decoded)
