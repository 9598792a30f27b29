"""Options of the command line verbs; light, so that `--help` is quick."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from run_tools.config import option, positional


@dataclass(frozen=True)
class CompileKitti:
    """Compile a folder in KITTI's layout into one HDF5 file.

    ROOT holds training/image_2 (PNG or JPEG) and training/label_2; where present, devkit/train_mapping.txt and
    train_rand.txt tell each image's drive, and ImageSets/ holds the standard split. A killed run resumes with the same
    command.
    """

    root: Path = positional(help="KITTI folder")
    out: Path = positional(help="HDF5 file to write; replaced when the new one is complete")
    size: str = option(help="size of the stored images, WIDTHxHEIGHT, multiples of 32")
    split: Literal["drive", "random", "standard"] | None = option(
        None, help="drive: no drive in two splits, classes balanced (default with devkit/); random (default without); "
        "standard: test = ImageSets/val.txt, val = a tenth of the drives of ImageSets/train.txt"
    )  # fmt: skip
    fractions: tuple[float, float, float] = option(
        (0.8, 0.1, 0.1), help="shares of train, val and test for drive and random; their sum is 1"
    )
    seed: int = option(0, help="seed of the split", minimum=0)
    limit: int | None = option(None, help="use only the first N images", minimum=1)
    workers: int | None = option(None, help="threads that decode; default: one a processor", minimum=1)
    encoded: bool = option(False, help="store lossless PNG instead of raw pixels: smaller, but slow to read")


@dataclass(frozen=True)
class CompileVehicleX:
    """Compile a folder in VehicleX's layout, images or feature vectors, into one HDF5 file.

    ROOT holds train_label.xml, val_label.xml, test_label.xml or finegrained_label.xml, and the files in train/, val/,
    test/. A killed run resumes with the same command.
    """

    root: Path = positional(help="VehicleX folder")
    out: Path = positional(help="HDF5 file to write; replaced when the new one is complete")
    size: str | None = option(None, help="size of the stored images, WIDTH or WIDTHxHEIGHT; default: as they are")
    skip_missing: bool = option(False, help="leave out Items of the label files whose image or vector is not there")
    split: Literal["standard", "stratified"] | None = option(
        None, help="standard: as published (default where folders or label files tell it); stratified: at random, "
        "every type in the same shares"
    )  # fmt: skip
    fractions: tuple[float, float, float] = option(
        (0.8, 0.1, 0.1), help="shares of train, val and test for stratified; their sum is 1"
    )
    seed: int = option(0, help="seed of the split", minimum=0)
    limit: int | None = option(None, help="use only N images, evenly through the sorted names", minimum=1)
    workers: int | None = option(None, help="threads that decode; default: one a processor", minimum=1)
    encoded: bool = option(False, help="store lossless PNG instead of raw pixels: smaller, but slow to read")


@dataclass(frozen=True)
class CompileFolder:
    """Compile a folder of images with one subfolder a class into one HDF5 file.

    ROOT holds CLASS/IMAGE, or train/CLASS/IMAGE, val/CLASS/IMAGE, test/CLASS/IMAGE. A killed run resumes with the same
    command.
    """

    root: Path = positional(help="folder of class folders")
    out: Path = positional(help="HDF5 file to write; replaced when the new one is complete")
    size: str | None = option(None, help="size of the stored images, WIDTH or WIDTHxHEIGHT; default: as they are")
    split: Literal["standard", "stratified"] | None = option(
        None, help="standard: the folder's train, val and test (default where it has them); stratified: at random, "
        "every class in the same shares"
    )  # fmt: skip
    fractions: tuple[float, float, float] = option(
        (0.8, 0.1, 0.1), help="shares of train, val and test for stratified; their sum is 1"
    )
    seed: int = option(0, help="seed of the split", minimum=0)
    limit: int | None = option(None, help="use only N images, evenly through the sorted names", minimum=1)
    workers: int | None = option(None, help="threads that decode; default: one a processor", minimum=1)
    encoded: bool = option(False, help="store lossless PNG instead of raw pixels: smaller, but slow to read")


@dataclass(frozen=True)
class Features:
    """Turn the images of a compiled classification file into feature vectors.

    OUT.h5 holds the vectors with the labels, attributes and splits of FILE.h5. A killed run resumes with the same
    command.
    """

    file: Path = positional(help="compiled classification file of images")
    out: Path = positional(help="HDF5 file to write; replaced when the new one is complete")
    backbone: Literal["resnet50", "squeezenet"] = option(help="network: resnet50 gives 2048 numbers, squeezenet 512")
    weights: str | None = option(
        None, help="weights file in Keras's HDF5 layout without the top; imagenet: downloaded by Keras (resnet50, its "
        "default); random: untrained"
    )  # fmt: skip
    input: str | None = option(
        None, help="size that images are resized to first, WIDTH or WIDTHxHEIGHT; default: as stored"
    )
    batch_size: int = option(32, help="images that go through the network together", minimum=1)


@dataclass(frozen=True)
class Inspect:
    """Show what a compiled file holds: counts by split and class, sizes of images and boxes, attributes."""

    file: Path = positional(help="compiled HDF5 file")
    plot: Path | None = option(None, help="folder for histograms and contact sheets, as PNG")


@dataclass(frozen=True)
class Verify:
    """Check a compiled file: schema, completeness, every box inside its image, every label known, checksums."""

    file: Path = positional(help="compiled HDF5 file")


@dataclass(frozen=True)
class Anchors:
    """Find anchor sizes by k-means under the distance 1 - IoU."""

    file: Path = positional(help="compiled HDF5 file")
    k: int = option(5, help="number of anchors", short="-k", minimum=1)
    input: str | None = option(None, help="network input, WIDTHxHEIGHT; default: the size of the file's images")
    split: str = option("train", help="split whose boxes count, or all")
    classes: tuple[str, ...] = option((), help="classes that count; default: all but DontCare")
    balance: bool = option(False, help="each class counts as the square root of its number of boxes")
    seed: int = option(0, help="seed of the starts", minimum=0)
