"""The options of `yolo-prune prune`; nothing here loads Keras."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from data_tools.augment import Augment
from run_tools.config import check_filled, option
from run_tools.errors import InputError
from run_tools.manifest import MODEL_HELP
from yolo_prune.pruning.settings import Amount, Scope, check_levels
from yolo_prune.pruning.surgery_options import SurgeryOptions, check_keep

Control = Literal["dense", "random", "layer", "l1", "uniform"]
CONTROLS = {"magnitude": ("dense", "random", "layer"), "distinctiveness": ("dense", "random", "l1", "uniform")}
"""Method → its controls."""
OTHERS = {
    "magnitude": ("keep", "surgery", "merges_at"),
    "distinctiveness": ("scope", "amount", "layers", "floor", "ramp", "recalibrate", "rewind"),
}
"""Method → options that only the other one reads."""
DECIMALS = 9
"""Of levels that are given as what is removed: 1 − .9 is .1."""


@dataclass(frozen=True)
class PruneConfig:
    """Prune a detector level by level, retrain at each, and judge all levels against the dense one trained as long."""

    model: Path = option(help=MODEL_HELP)
    data: Path = option(help="compiled HDF5 file with the splits train, val and those of --splits")
    out: Path = option(help="folder of the runs and the report; what is finished there is not run again")
    method: Literal["magnitude", "distinctiveness"] = option(
        "magnitude",
        help="what is pruned: magnitude: single weights, the smallest first; distinctiveness: whole channels, those "
        "that the others can stand in for",
    )
    sparsity: tuple[float, ...] = option((0.3, 0.5, 0.7, 0.9), help="levels: rising fractions of the weights")
    keep: tuple[float, ...] | None = option(
        None,
        help="levels of distinctiveness: falling fractions of the multiply-adds that stay; default: 1 less --sparsity",
    )
    surgery: SurgeryOptions = option(
        SurgeryOptions(), help="of distinctiveness: how channels are chosen and cut, such as {merge: project}"
    )
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
        ("dense",),
        help="dense: trained as long without pruning; pruned in another way instead: random; with magnitude layer; "
        "with distinctiveness l1 and uniform",
    )
    control_sparsity: tuple[float, ...] | None = option(
        None, help="levels of the controls but dense; default: all. Iterative ones run the levels below too"
    )
    control_keep: tuple[float, ...] | None = option(None, help="the same as levels of --keep")
    seeds: tuple[int, ...] = option((0,), help="of the retrainings; the first runs everything")
    seed_sparsity: tuple[float, ...] | None = option(None, help="levels that the other seeds run; default: all")
    seed_keep: tuple[float, ...] | None = option(None, help="the same as levels of --keep")
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
    train: dict[str, Any] = option({}, help="further options of train for every run, such as {monitor_every: 2}")
    splits: tuple[str, ...] = option(("val", "test"), help="splits to judge on; the first chooses, the last reports")
    classes: tuple[str, ...] | None = option(
        None, help="classes to report, the first one decides; default: car, pedestrian and cyclist, or all of the head"
    )
    tolerance: float = option(0.01, help="AP50 that the chosen level may lose on the first split", minimum=0.0)
    bootstrap: int = option(1000, help="resamples of the images for 95 % intervals", minimum=2)
    runtimes: tuple[str, ...] = option(
        (),
        help="formats whose bytes and latency are measured beside the dense detector's, for the level chosen "
        "(magnitude) or for all (distinctiveness): any of keras, saved_model, litert, onnx, openvino, compressed",
    )
    merges_at: float | None = option(
        None, help="of distinctiveness: at this level judge every rule of merging right after surgery, without training"
    )
    pictures: int = option(6, help="images in the report with the detections of the dense and the pruned", minimum=0)

    def __post_init__(self):
        check_levels(self.sparsity, self.amount)
        self._check_method()
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise InputError(f"seeds {self.seeds}", "at least one, each once", "for example 0 1 2")
        check_filled(self, "splits")
        for name in ("control", "seed"):
            self._check_some(f"{name}_sparsity", "sparsity", self.sparsity)
            self._check_some(f"{name}_keep", "keep", self.keep or ())
        if self.amount == "of_remaining" and self.schedule != "iterative":
            raise InputError(
                f"amount of_remaining with schedule {self.schedule}, which prunes once", "schedule iterative",
                "leave the amount out",
            )  # fmt: skip
        if self.scope == "layer" and "layer" in self.controls or self.scope == "random" and "random" in self.controls:
            raise InputError(f"control {self.scope} of scope {self.scope}", "another control", "leave it out")

    def _check_some(self, name: str, of: str, levels: tuple[float, ...]) -> None:
        for level in getattr(self, name) or ():
            if level not in levels:
                told = " ".join(f"{each:g}" for each in levels) or "none given"
                label = f"--{name.replace('_', '-')}"
                raise InputError(f"{label} {level:g}", f"levels of --{of} ({told})", "choose from these")

    def _check_method(self) -> None:
        for name in OTHERS[self.method]:
            if getattr(self, name) != getattr(type(self), name):  # a dataclass keeps its defaults as its own
                (other,) = set(CONTROLS) - {self.method}
                instead = "give --sparsity instead" if name == "keep" else "leave it out"
                raise InputError(f"{name} with method {self.method}", f"method {other}", instead)
        if self.keep is not None:
            check_keep(self.keep)
        for control in self.controls:
            if control not in CONTROLS[self.method]:
                known = ", ".join(CONTROLS[self.method])
                raise InputError(f"control {control} of method {self.method}", f"any of {known}", "leave it out")
        if self.merges_at is not None:
            check_keep((self.merges_at,))
        if self.method == "distinctiveness" and self.schedule == "cubic":
            raise InputError(
                "schedule cubic with method distinctiveness", "iterative or one-shot", "choose another schedule"
            )

    @property
    def levels(self) -> tuple[float, ...]:
        """What the method's levels are: sparsities, or fractions of the multiply-adds that stay."""
        return self.keep or self._named(self.sparsity) or ()

    @property
    def control_levels(self) -> tuple[float, ...] | None:
        """Those of `levels` that the controls run; None: all."""
        return self.control_keep or self._named(self.control_sparsity)

    @property
    def seed_levels(self) -> tuple[float, ...] | None:
        """Those of `levels` that the seeds but the first run; None: all."""
        return self.seed_keep or self._named(self.seed_sparsity)

    def _named(self, levels: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if levels is None or self.method == "magnitude":
            return levels
        return tuple(round(1 - level, DECIMALS) for level in levels)
