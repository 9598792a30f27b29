"""The options of `yolo-prune`'s verbs; nothing here loads Keras."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from run_tools.config import option, positional
from run_tools.manifest import MODEL_HELP

INPUT_HELP = "input WxH, multiples of 32; default: the model's own"


@dataclass(frozen=True)
class EvaluateConfig:
    """Judge a detector on a split: paper 003's precision and recall, one-to-one, KITTI's AP and COCO's AP."""

    model: Path = option(help=MODEL_HELP)
    data: Path = option(help="compiled HDF5 file")
    input: str | None = option(None, help=INPUT_HELP)
    split: str = option("test", help="split of the file")
    metrics: tuple[str, ...] = option(
        ("paper", "coco"), help="any of paper, kitti, coco; commas or blanks between them"
    )
    score: float = option(0.7, help="score threshold of precision and recall", minimum=0.0, maximum=1.0)
    batch_size: int = option(16, help="images a forward pass", minimum=1)
    pictures: Path | None = option(None, help="folder for pictures with truth and detections")
    picture_count: int = option(20, help="how many pictures, spread over the split", minimum=1)
    picture_score: float = option(0.3, help="least score drawn", minimum=0.0, maximum=1.0)
    report: Path | None = option(
        None, help="folder for report.html, curves, confusion matrix and sheets of the worst images"
    )
    bootstrap: int = option(0, help="resamples for 95 % intervals; 0: none", minimum=0)
    bootstrap_by: Literal["image", "drive"] = option("image", help="what is drawn: images, or whole drives")
    seed: int = option(0, help="of the resamples", minimum=0)
    against: Path | None = option(
        None, help="another run folder or .keras file of the same classes: differences with intervals (1000 resamples)"
    )


@dataclass(frozen=True)
class DetectConfig:
    """Find objects in pictures and videos: draws them and writes result files."""

    image: tuple[Path, ...] = positional(help="pictures, folders of them, quoted patterns, videos", many=True)
    model: Path = option(help=MODEL_HELP)
    out: Path = option(Path("detections"), help="folder for NAME.png or NAME.mp4, results/ and coco/")
    input: str | None = option(None, help=INPUT_HELP)
    score: float = option(0.3, help="least score drawn", minimum=0.0, maximum=1.0)
    classes: tuple[str, ...] | None = option(None, help="only these classes of the head")
    results: Literal["kitti", "coco", "both"] = option("kitti", help="format of the result files")
    result_score: float = option(0.005, help="least score in the result files", minimum=0.0, maximum=1.0)
    recursive: bool = option(False, help="folders with all folders in them")
    video: bool = option(True, help="write drawn videos")
    frames: bool = option(False, help="write each image of a video as a picture, too")
    batch_size: int | None = option(None, help="images a forward pass; default: by the free memory", minimum=1)
    keep_going: bool = option(False, help="leave out files that cannot be read instead of stopping")


@dataclass(frozen=True)
class ExportConfig:
    """Write a detector for other runtimes, checked after reading it back."""

    model: Path = option(help=MODEL_HELP)
    out: Path = option(help="folder; holds a file or folder a format")
    formats: tuple[str, ...] = option(
        ("saved_model",),
        help="saved_model, litert, onnx, openvino, compressed, keras; commas or blanks between them",
    )
    nms: bool = option(False, help="decode and suppress inside")
    score: float = option(0.005, help="least score, with --nms", minimum=0.0, maximum=1.0)
    iou: float = option(0.45, help="suppression threshold, with --nms", minimum=0.0, maximum=1.0)
    limit: int = option(100, help="most detections an image, with --nms", minimum=1)
    images: tuple[Path, ...] | None = option(None, help="pictures to compare on; default: synthetic street scenes")
    sparse: bool = option(True, help="LiteRT: store weights with many zeros sparsely")
    bits: int = option(8, help="compressed: bits of a codebook, 1-8; 0: exact weights", minimum=0, maximum=8)
    codec: Literal["zstd", "lzma"] = option("zstd", help="compressed: lzma needs no extra package")
    tolerance: float | None = option(
        None,
        help="largest difference allowed, relative to the head's largest value; default: 1e-4, with codebooks .05",
        minimum=0.0,
    )


@dataclass(frozen=True)
class BenchmarkConfig:
    """Write a detector in every format and compare bytes, latency, zeros and answers in one table."""

    model: Path = option(help=MODEL_HELP)
    against: Path | None = option(None, help="another detector of the same input, such as the dense one")
    runtimes: tuple[str, ...] = option(
        ("keras", "saved_model", "litert", "onnx", "openvino", "compressed"),
        help="any of these; commas or blanks between them",
    )
    image: Path | None = option(None, help="picture to run on; default: a synthetic street scene")
    threads: int | None = option(None, help="of each runtime; default: one a processor", minimum=1)
    rounds: int = option(7, help="turns that each gets", minimum=1)
    calls: int = option(5, help="calls a turn", minimum=1)


@dataclass(frozen=True)
class ImportDarknetConfig:
    """Turn darknet's .cfg and .weights into a .keras file, which keeps the cfg."""

    cfg: Path = positional(help="darknet cfg of the YOLOv2 family")
    weights: Path = positional(help="its weights")
    out: Path = positional(help=".keras file to be")
    names: Path | None = option(
        None, help="text file, one class a line; default: COCO's for 80 classes, VOC's for 20, else none"
    )


@dataclass(frozen=True)
class ExportDarknetConfig:
    """Write a detector as darknet's .cfg and .weights."""

    model: Path = positional(help=MODEL_HELP)
    cfg: Path = positional(help="cfg file to be")
    weights: Path = positional(help="weights file to be")
    names: Path | None = option(None, help="text file to be, one class a line")


@dataclass(frozen=True)
class DemoConfig:
    """The whole main job on built-in synthetic scenes: render, compile, train, evaluate, export, draw, report."""

    out: Path = option(Path("runs/demo"), help="run folder")
    images: int = option(800, help="synthetic scenes", minimum=30)
    epochs: int = option(16, help="passes over the training scenes", minimum=1)
    input: str = option("832x256", help="network input WxH, multiples of 32")
    seed: int = option(0, help="of scenes and training", minimum=0)


@dataclass(frozen=True)
class AblateConfig:
    """Train a baseline and variants of it, several seeds each, and compare their AP50; goes on where it was cut off."""

    data: Path = option(help="compiled HDF5 file")
    out: Path = option(help="folder; holds VARIANT/seed-N, run folders of train")
    base: dict[str, Any] = option({}, help="options of train for every run; in the YAML file")
    variants: dict[str, dict[str, Any]] = option({}, help="name: options of train that it changes; in the YAML file")
    weights: Path | None = option(None, help="warm start of every run, as in train")
    seeds: tuple[int, ...] = option((0, 1, 2), help="one run of every variant each", minimum=0)
    splits: tuple[str, ...] = option(("val", "test"), help="splits to judge the best checkpoints on")
    classes: tuple[str, ...] = option(("car", "pedestrian", "cyclist"), help="classes in the table")
    bootstrap: int = option(
        1000, help="resamples of the images for the 95 % intervals of differences; 0: none", minimum=0
    )
