"""A small folder in KITTI's layout, made anew for each test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

CAR = "Car 0.00 0 1.85 {left:.2f} 10.00 {right:.2f} 30.00 1.67 1.87 3.69 -16.53 2.39 58.49 1.57"
PEDESTRIAN = "Pedestrian 0.25 2 0.10 40.00 5.00 48.50 29.00 1.80 0.60 0.80 1.00 1.50 10.00 0.20"
DONT_CARE = "DontCare -1 -1 -10 50.00 2.00 60.00 9.00 -1 -1 -1 -1000 -1000 -1000 -10"


@pytest.fixture
def make_kitti(tmp_path: Path) -> Callable[..., Path]:
    """A function that writes a KITTI folder: `count` noise images of 64x32 with one Car in each, a Pedestrian in every
    second and a DontCare in every third; optionally `drives` drives (image i comes from drive i % drives)."""

    def make(
        count: int = 12,
        drives: int | None = None,
        suffix: str = "png",
        size: tuple[int, int] = (32, 64),
        name: str = "kitti",
    ) -> Path:
        root = tmp_path / name
        images, labels = root / "training" / "image_2", root / "training" / "label_2"
        images.mkdir(parents=True)
        labels.mkdir()
        rng = np.random.default_rng(0)
        for index in range(count):
            cv2.imwrite(str(images / f"{index:06d}.{suffix}"), rng.integers(0, 256, (*size, 3), np.uint8))
            lines = [CAR.format(left=index % 10, right=index % 10 + 20.5)]
            lines += [PEDESTRIAN] * (index % 2 == 0) + [DONT_CARE] * (index % 3 == 0)
            (labels / f"{index:06d}.txt").write_text("".join(line + "\n" for line in lines))
        if drives is not None:
            write_devkit(root, [f"drive_{index % drives:04d}" for index in range(count)])
        return root

    return make


def write_devkit(root: Path, drive_of: list[str]) -> None:
    """Mapping files that give image i the drive `drive_of[i]`: a mapping in reverse order, which train_rand undoes."""
    (root / "devkit").mkdir(exist_ok=True)
    lines = [f"2011_09_26 {drive} {frame:010d}" for frame, drive in enumerate(drive_of)][::-1]
    (root / "devkit" / "train_mapping.txt").write_text("\n".join(lines) + "\n")
    (root / "devkit" / "train_rand.txt").write_text(",".join(str(len(lines) - i) for i in range(len(lines))) + "\n")


@pytest.fixture
def make_vehiclex(tmp_path: Path) -> Callable[..., Path]:
    """A function that writes a VehicleX folder: `count` vehicles of types 0, 1, ... with one image or vector in each of
    train, val and test. Item i (from 0, over splits) has orientation 10 i and camera c001, c002, c003 by split."""

    def make(
        count: int = 4,
        features: bool = False,
        name: str = "vehiclex",
        one_file: bool = False,
        task_folder: str = "",
        size: tuple[int, int] = (24, 32),
        width: int = 8,
        encoding: str = "utf-8",
    ) -> Path:
        root, lines = tmp_path / name, {}
        rng = np.random.default_rng(0)
        suffix = "npy" if features else "jpg"
        for part, split in enumerate(("train", "val", "test")):
            (root / task_folder / split).mkdir(parents=True)
            lines[split] = []
            for vehicle in range(1, count + 1):
                number = part * count + vehicle - 1
                file = f"{vehicle:04d}_c{part + 1:03d}_{number}.{suffix}"
                lines[split].append(vehiclex_item(file, vehicle, part + 1, (vehicle - 1) % 11, 10.0 * number))
                path = root / task_folder / split / file
                if features:
                    np.save(path, rng.normal(size=width).astype(np.float32), allow_pickle=False)
                else:
                    cv2.imwrite(str(path), rng.integers(0, 256, (*size, 3), np.uint8))
        if one_file:
            lines = {"finegrained": [line for part in lines.values() for line in part]}
        for split, items in lines.items():
            (root / f"{split}_label.xml").write_bytes(vehiclex_xml(items, encoding).encode(encoding))
        return root

    return make


def vehiclex_item(file: str, vehicle: int, camera: int, type_id: int, orientation: float) -> str:
    """One line of a label file."""
    return (
        f'<Item typeID="{type_id}" imageName="{file}" cameraID="c{camera:03d}" vehicleID="{vehicle:04d}" '
        f'colorID="{vehicle % 12}" orientation="{orientation:.1f}" lightInt="50.5" lightDir="-12.0" camHei="3.4" '
        'camDis="10.1"/>'
    )


def vehiclex_xml(items: list[str], encoding: str = "utf-8") -> str:
    """A label file."""
    return (
        f'<?xml version="1.0" encoding="{encoding}"?>\n<TrainingImages Version="1.0">\n'
        f'<Items number="{len(items)}">\n' + "\n".join(items) + "\n</Items>\n</TrainingImages>\n"
    )


@pytest.fixture
def make_folder(tmp_path: Path) -> Callable[..., Path]:
    """A function that writes class folders of noise images: {"car": 5, ...} images each, 24 high and 32 wide."""

    def make(counts: dict[str, int], name: str = "classes", size: tuple[int, int] = (24, 32)) -> Path:
        root = tmp_path / name
        rng = np.random.default_rng(0)
        for kind, count in counts.items():
            (root / kind).mkdir(parents=True)
            for index in range(count):
                cv2.imwrite(str(root / kind / f"{index}.png"), rng.integers(0, 256, (*size, 3), np.uint8))
        return root

    return make
