"""Two small compiled files: images of three classes that differ in their stripes, and vectors of four classes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from classify_prune.recipe import TrainConfig
from classify_prune.trainer import Trainer
from data_tools.compiler import DataCompiler
from data_tools.image_folder import ImageFolderExtractor
from data_tools.label_extractor import LabelExtractor
from data_tools.records import Sample
from run_tools.callbacks import JsonLines

KINDS = ("across", "down", "plain")
EACH = 20
WIDTH = 6
COUNT = 80


def picture(kind: str, rng: np.random.Generator) -> np.ndarray:
    """Stripes across, stripes down or no stripes, with noise: uint8 BGR, (24, 30, 3)."""
    image = rng.integers(100, 130, (24, 30, 3))
    shift = rng.integers(4)
    if kind == "across":
        image[shift::6] += 100
    elif kind == "down":
        image[:, shift::6] += 100
    return image.astype(np.uint8)


@pytest.fixture(scope="session")
def image_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder a class."""
    root, rng = tmp_path_factory.mktemp("classes") / "stripes", np.random.default_rng(0)
    for kind in KINDS:
        (root / kind).mkdir(parents=True)
        for index in range(EACH):
            cv2.imwrite(str(root / kind / f"{index:02d}.png"), picture(kind, rng))
    return root


@pytest.fixture(scope="session")
def images_h5(image_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """36 images in train, 12 in val, 12 in test."""
    out = tmp_path_factory.mktemp("classes") / "images.h5"
    DataCompiler(ImageFolderExtractor(image_folder), (24, 30), fractions=(0.6, 0.2, 0.2), progress=False).compile(out)
    return out


class Vectors(LabelExtractor):
    """Four clouds of points; each point also has one of eight vehicles, two a class."""

    content = "features"
    source = "clouds of points"
    class_names = ("north", "east", "south", "west")
    attributes = ("vehicle_id",)

    def __init__(self, root: Path):
        self.root = root
        root.mkdir()
        rng = np.random.default_rng(1)
        centres = rng.normal(size=(4, WIDTH)) * 3
        for index in range(COUNT):
            np.save(root / f"{index:03d}.npy", (centres[index % 4] + rng.normal(size=WIDTH)).astype(np.float32))

    def ids(self):
        return [f"{index:03d}" for index in range(COUNT)]

    def sample(self, sample_id):
        index = int(sample_id)
        vehicle = {"vehicle_id": index % 8 + 1}
        return Sample(sample_id, self.root / f"{sample_id}.npy", label=self.class_names[index % 4], attributes=vehicle)


@pytest.fixture(scope="session")
def features_h5(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """48 vectors in train, 16 in val, 16 in test."""
    root = tmp_path_factory.mktemp("clouds")
    DataCompiler(Vectors(root / "npy"), fractions=(0.6, 0.2, 0.2), progress=False).compile(root / "features.h5")
    return root / "features.h5"


@pytest.fixture
def train_cut_off(monkeypatch) -> Callable[[TrainConfig, int], None]:
    """The function that starts a training which breaks at the end of an epoch, before its checkpoint."""

    def run(chosen: TrainConfig, epoch: int) -> None:
        log = JsonLines.on_epoch_end

        def log_and_fail(self, now, logs=None):
            if now == epoch:
                raise RuntimeError("cut off")
            log(self, now, logs)

        with monkeypatch.context() as patched:
            patched.setattr(JsonLines, "on_epoch_end", log_and_fail)
            with pytest.raises(RuntimeError, match="cut off"):
                Trainer(chosen, verbose=0).fit()

    return run
