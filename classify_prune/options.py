"""The options of `classify-prune`'s verbs; nothing here loads Keras."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from classify_prune.clustering.genetic import GeneticConfig
from classify_prune.recipe import Task
from run_tools.config import check_filled, option, positional
from run_tools.errors import InputError
from run_tools.manifest import MODEL_HELP


@dataclass(frozen=True)
class EvaluateConfig:
    """Measure a classifier on a split: accuracy, each class, calibration, confusion."""

    model: Path = option(help=MODEL_HELP)
    data: Path = option(help="compiled HDF5 file of labelled images or features")
    split: Literal["train", "val", "test"] = option("test", help="split to judge it on")
    task: Task | None = option(None, help="what it tells apart; default: that of the run, else type")
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


@dataclass(frozen=True)
class ClusterConfig:
    """Cluster feature vectors by fuzzy c-means, without labels, and see how far clusters are classes."""

    data: Path = option(help="compiled HDF5 file of features")
    split: Literal["val", "test"] = option("test", help="split to judge on; clusters are found and named on train")
    task: Task = option("type", help="the classes to compare with")
    classes: int | None = option(None, help="only the first so many classes of the task", minimum=2)
    clusters: int | None = option(None, help="default: as many as classes", minimum=2)
    fuzziness: tuple[float, ...] = option((1.7,), help="m, above 1; one clustering each")
    iterations: tuple[int, ...] = option((5, 10, 15), help="after which to look", minimum=1)
    seeds: tuple[int, ...] = option((0,), help="of the starts; one clustering each", minimum=0)
    start: Literal["memberships", "kmeans++"] = option("memberships", help="random memberships, or vectors far apart")
    scale: Literal["none", "standard", "minmax", "length"] = option(
        "none", help="of the features: by the training split's deviation or range; length: each vector to length 1"
    )
    components: int | None = option(None, help="cluster so many principal components instead", minimum=1)
    genetic: GeneticConfig | None = option(
        None,
        help="cluster only features that a genetic algorithm chooses: silhouette, centroid or probe, or a mapping such "
        "as {fitness: silhouette, population: 10, generations: 2}",
    )
    genetic_out: Path | None = option(None, help="folder of the genetic search, which goes on there where it stopped")
    correlation: Literal["cfs", "decorrelated"] | None = option(
        None,
        help="cluster only features chosen by correlation: cfs, those that go with the classes and not with each other "
        "(it sees the labels); decorrelated, the most variable ones of which no two go together",
    )
    most_correlated: float = option(0.9, help="of decorrelated: |r| of any two features", minimum=0.0, maximum=1.0)
    tolerance: float = option(0.0, help="stop when the memberships move less", minimum=0.0)
    silhouette: int = option(5000, help="training vectors drawn for the silhouette; 0: all of them, slow", minimum=0)
    baselines: bool = option(True, help="also the most frequent class, nearest centroid and a linear probe")

    def __post_init__(self) -> None:
        check_filled(self, "fuzziness", "iterations", "seeds")
        if self.genetic_out is not None and self.genetic is None:
            raise InputError(f"--genetic-out {self.genetic_out} without --genetic", "both", "add --genetic silhouette")


@dataclass(frozen=True)
class ExportConfig:
    """Write a classifier for other runtimes, checked after reading it back."""

    model: Path = option(help=MODEL_HELP)
    out: Path = option(help="folder; holds a file or folder a format")
    formats: tuple[str, ...] = option(
        ("saved_model",),
        help="saved_model, litert, onnx, openvino, compressed, keras; commas or blanks between them",
    )
    data: Path | None = option(None, help="compiled file whose test inputs are compared on; default: random numbers")
    sparse: bool = option(True, help="LiteRT: store weights with many zeros sparsely")
    bits: int = option(8, help="compressed: bits of a codebook, 1-8; 0: exact weights", minimum=0, maximum=8)
    codec: Literal["zstd", "lzma"] = option("zstd", help="compressed: lzma needs no extra package")
    tolerance: float | None = option(
        None, help="largest difference allowed, relative to the largest answer; default: that of each format", minimum=0
    )


@dataclass(frozen=True)
class BenchmarkConfig:
    """Write a classifier in every format and compare bytes, latency, zeros and answers in one table."""

    model: Path = option(help=MODEL_HELP)
    against: Path | None = option(None, help="another classifier of the same input, such as the dense one")
    runtimes: tuple[str, ...] = option(
        ("keras", "saved_model", "litert", "onnx", "openvino", "compressed"),
        help="any of these; commas or blanks between them",
    )
    data: Path | None = option(None, help="compiled file whose test inputs are run on; default: random numbers")
    batch_size: int = option(1, help="inputs a call", minimum=1)
    threads: int | None = option(None, help="of each runtime; default: one a processor", minimum=1)
    rounds: int = option(7, help="turns that each gets", minimum=1)
    calls: int = option(5, help="calls a turn", minimum=1)


@dataclass(frozen=True)
class DemoConfig:
    """The whole main job on rendered vehicles: compile, train, prune, export, one page."""

    out: Path = option(Path("runs/classify-demo"), help="run folder")
    per_type: int = option(60, help="synthetic vehicles of each of the 11 types", minimum=10)
    epochs: int = option(16, help="passes over the training images", minimum=1)
    size: int = option(64, help="side of the images in pixels, 32 to 128", minimum=32, maximum=128)
    seed: int = option(0, help="of vehicles and training", minimum=0)
