"""The options of `yolo-prune prune`; nothing here loads Keras."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from data_tools.augment import Augment
from run_tools.config import option
from run_tools.errors import InputError
from yolo_prune.options import MODEL_HELP
from yolo_prune.pruning.settings import Amount, Scope, check_levels

Control = Literal["dense", "random", "layer"]


@dataclass(frozen=True)
class PruneConfig:
    """Prune a detector level by level, retrain at each, and judge all levels against the dense one trained as long."""

    model: Path = option(help=MODEL_HELP)
    data: Path = option(help="compiled HDF5 file with the splits train, val and those of --splits")
    out: Path = option(help="folder of the runs and the report; what is finished there is not run again")
    method: Literal["magnitude"] = option("magnitude", help="what is pruned: single weights, the smallest first")
    sparsity: tuple[float, ...] = option((0.3, 0.5, 0.7, 0.9), help="levels: rising fractions of the weights")
    schedule: Literal["iterative", "cubic", "one-shot"] = option(
        "iterative",
        help="iterative: each level goes on from the one before; one-shot: each from the dense model; cubic: likewise, "
        "pruned bit by bit during its retraining",
    )
    scope: Scope = option("global", help="which weights go, see docs/prune_detector.md")
    amount: Amount = option("of_total", help="what --sparsity is a fraction of: all weights, or those that remain")
    layers: tuple[str, ...] | None = option(
        None, help="names or patterns of layers to prune; default: all convolutions but the head"
    )
    floor: float = option(0.0, help="least fraction of each kernel that is kept", minimum=0.0, maximum=1.0)
    ramp: float = option(0.7, help="fraction of a retraining after which cubic has reached its level")
    recalibrate: int = option(0, help="batches for new batch-norm statistics after each pruning; 0: none", minimum=0)
    rewind: Path | None = option(
        None, help="network whose weights come back under the masks of each level, such as an early checkpoint"
    )
    controls: tuple[Control, ...] = option(
        ("dense",), help="dense: trained as long without masks; random, layer: pruned that way instead"
    )
    control_sparsity: tuple[float, ...] | None = option(
        None, help="levels of the controls random and layer; default: all. Iterative ones run the levels below too"
    )
    seeds: tuple[int, ...] = option((0,), help="of the retrainings; the first runs everything")
    seed_sparsity: tuple[float, ...] | None = option(None, help="levels that the other seeds run; default: all")
    epochs: int = option(6, help="of retraining at each level", minimum=1)
    learning_rate: float = option(3e-4, help="largest one of each retraining, followed by a cosine")
    batch_size: int = option(16, help="images a batch", minimum=1)
    weight_decay: float = option(0.0, help="decoupled weight decay of the kernels", minimum=0.0)
    ema: float | None = option(None, help="momentum of the weights' averages, which are judged and saved: .998")
    teacher: Path | None = option(
        None, help="every training, controls too, learns from this detector's answers as well, such as that of --model"
    )
    teacher_weight: float = option(1.0, help="of the distillation loss beside the region loss", minimum=0.0)
    augment: Augment | None = option(Augment(), help="random changes of training images; null for none")
    input: str | None = option(None, help="network input WxH, multiples of 32; default: the model's")
    cpu_bfloat16: bool = option(False, help="convolutions in bfloat16 on CPUs that have it: up to twice as fast")
    workers: int = option(1, help="threads that prepare batches", minimum=1)
    train: dict[str, Any] = option({}, help="further options of train for every run; in the YAML file")
    splits: tuple[str, ...] = option(("val", "test"), help="splits to judge on; the first chooses, the last reports")
    classes: tuple[str, ...] | None = option(
        None, help="classes to report, the first one decides; default: car, pedestrian and cyclist, or all of the head"
    )
    tolerance: float = option(0.01, help="AP50 that the chosen level may lose on the first split", minimum=0.0)
    bootstrap: int = option(1000, help="resamples of the images for 95 % intervals", minimum=2)
    pictures: int = option(6, help="images in the report with the detections of the dense and the pruned", minimum=0)

    def __post_init__(self):
        check_levels(self.sparsity, self.amount)
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise InputError(f"seeds {self.seeds}", "at least one, each once", "for example 0 1 2")
        for name in ("control_sparsity", "seed_sparsity"):
            for level in getattr(self, name) or ():
                if level not in self.sparsity:
                    told = " ".join(f"{each:g}" for each in self.sparsity)
                    label = f"--{name.replace('_', '-')}"
                    raise InputError(f"{label} {level:g}", f"levels of --sparsity ({told})", "choose from these")
        if self.amount == "of_remaining" and self.schedule != "iterative":
            raise InputError(
                f"amount of_remaining with schedule {self.schedule}, which prunes once", "schedule iterative",
                "leave the amount out",
            )  # fmt: skip
        if self.scope == "layer" and "layer" in self.controls or self.scope == "random" and "random" in self.controls:
            raise InputError(f"control {self.scope} of scope {self.scope}", "another control", "leave it out")
