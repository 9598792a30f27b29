"""The options of the experiments' verbs; nothing here loads Keras."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from run_tools.config import option
from run_tools.errors import InputError

WEIGHTS_HELP = "source network: run folder, .keras, .npz in Keras layout, or name in the manifest"


@dataclass(frozen=True)
class Paper003Config:
    """Re-run paper 003: its three recipes, its Table 2 beside our numbers, the curves of its Fig. 2."""

    data: Path = option(help="compiled HDF5 file with the splits train, val and test")
    out: Path = option(help="folder of the runs and the report; what is finished there is not run again")
    weights: Path | None = option(
        None, help=f"{WEIGHTS_HELP}; default: a network that is first trained on synthetic scenes rendered for it"
    )
    input: str = option("608x608", help="network input WxH; the paper squeezes its wide images into this square")
    batch_size: int = option(16, help="images a step; the paper's were 16 and 4", minimum=1)
    split: str = option("test", help="split that the table is computed on")
    scenes: int = option(3000, help="synthetic scenes of a source network made without --weights", minimum=30)
    quick: bool = option(False, help="a tenth of the epochs or less, and named so in the report")
    seed: int = option(0, help="of weights and shuffling", minimum=0)


@dataclass(frozen=True)
class StudyConfig:
    """What both studies share."""

    data: Path = option(help="compiled HDF5 file with the splits train, val and test")
    out: Path = option(help="folder of the runs and the report; what is finished there is not run again")
    input: str = option("416x128", help="network input WxH")
    variant: Literal["full", "tiny"] = option("tiny", help="network")
    widths: tuple[int, ...] | None = option(None, help="channels of every convolution but the head")
    classes: Literal["merged", "kitti", "data"] = option("merged", help="class set of the head")
    weights: Path | None = option(None, help=f"warm start of all runs: {WEIGHTS_HELP}; each begins with a fresh head")
    epochs: int = option(40, help="of every run", minimum=1)
    learning_rate: float = option(1e-3, help="largest one, followed by a cosine")
    batch_size: int = option(16, help="images a step", minimum=1)
    split: str = option("test", help="split that the runs are judged on")
    score: float = option(0.5, help="score threshold of precision and recall", minimum=0.0, maximum=1.0)
    seed: int = option(0, help="of weights, shuffling and augmentation", minimum=0)
    bootstrap: int = option(1000, help="resamples of the images for 95 % intervals; 0: none", minimum=0)


@dataclass(frozen=True)
class AnchorStudyConfig(StudyConfig):
    """Square anchors of COCO and VOC against k-means on wide images: the same training with each."""

    anchors: tuple[str, ...] = option(
        ("coco", "voc", "kmeans", "balanced"), help="any of coco, voc, tiny-voc, kmeans, balanced (k-means by class)"
    )
    anchor_count: int = option(5, help="anchors that k-means finds; the published sets have 5", minimum=1)
    train: str = option("all", help="layers that learn: all, head, top:N")

    def __post_init__(self):
        if not self.anchors or len(set(self.anchors)) < len(self.anchors):
            raise InputError(f"anchors {', '.join(self.anchors) or 'none'}", "each set once", "name what to compare")


@dataclass(frozen=True)
class DepthStudyConfig(StudyConfig):
    """How many layers to retrain: the same training with the last 1, 2, 3 ... convolutions free."""

    depths: tuple[int, ...] | None = option(None, help="numbers of convolutions; default: 1 to all", minimum=1)
    anchors: str = option("kmeans", help="kmeans, coco, voc, tiny-voc or w,h;w,h;...")

    def __post_init__(self):
        if self.depths is not None and (not self.depths or len(set(self.depths)) < len(self.depths)):
            raise InputError(f"depths {self.depths}", "each number once", "name what to compare")
