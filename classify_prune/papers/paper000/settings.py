"""What paper 000's run can be told; nothing here loads Keras."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from data_tools.label_augment import LabelAugment
from run_tools.config import check_filled, option
from run_tools.errors import InputError

QUICK_WIDTHS = (16, 32, 64, 128)
QUICK_IMAGES = 1500


@dataclass(frozen=True)
class Settings:
    """Paper 000: ResNet-18 on vehicle types, pruned by magnitude and by distinctiveness; Tables 1 and 2 and beyond.

    Defaults are the paper's where it says anything.
    """

    stored: str | None = option(None, help="size to which images of a folder are compiled; default: as they are")
    input: str | None = option(None, help="size of the network's images, WxH; default: as stored")
    widths: tuple[int, ...] | None = option(None, help="of ResNet-18: 4, one a stage, or 12; default: the published")
    weights: Path | None = option(
        None, help="begin with these: imagenet, which keras-hub downloads; torchvision's (.npz, .safetensors); .keras"
    )
    standardise: Literal["none", "standard", "imagenet"] = option("none", help="inside the network; the paper: none")
    augment: LabelAugment | None = option(None, help="random changes of training images; the paper: none")
    epochs: int = option(50, help="of the base model, at most", minimum=1)
    batch_size: int = option(100, help="images a step", minimum=1)
    learning_rate: float = option(1e-3, help="of Adam, base model and fine-tuning", minimum=1e-12)
    schedule: Literal["constant", "cosine"] = option("constant", help="of the learning rate, in each training")
    weight_decay: float = option(0.0, help="decoupled, of the kernels", minimum=0.0)
    patience: int | None = option(20, help="epochs without a better checkpoint before a training stops", minimum=1)
    tune_epochs: int = option(10, help="of fine-tuning after a pruning; the paper names no number", minimum=1)
    tune_rate: float = option(1e-3, help="learning rate of fine-tuning; the paper names none", minimum=1e-12)
    limit: int | None = option(None, help="learn from only so many images, taken evenly", minimum=1)
    sparsity: tuple[float, ...] = option((0.3, 0.5, 0.7, 0.95, 0.99), help="levels of Table 1, fractions")
    angles: tuple[float, ...] = option(
        (5.0, 10.0, 15.0, 20.0, 25.0, 30.0), help="thresholds of Table 2, degrees", minimum=0, maximum=180
    )
    centre: Literal["none", "mean"] = option("none", help="what is taken out of outputs before angles are measured")
    pattern: Literal["image", "position"] = option(
        "image", help="what outputs are compared over: each map's mean in every image, or positions of maps"
    )
    merge: Literal["delete", "incoming", "outgoing", "project", "least_squares"] = option(
        "outgoing", help="what becomes of a removed unit's weights in Table 2"
    )
    tuned_rules: tuple[Literal["delete", "incoming", "outgoing", "project", "least_squares"], ...] = option(
        ("delete", "outgoing", "least_squares"), help="merge rules that are also fine-tuned"
    )
    tuned_angles: tuple[float, ...] = option(
        (5.0, 10.0, 20.0), help="thresholds at which they are", minimum=0, maximum=180
    )
    equal_angles: tuple[float, ...] = option(
        (5.0, 10.0, 20.0),
        help="thresholds at whose cost magnitude and distinctiveness are compared",
        minimum=0,
        maximum=180,
    )
    focus: float = option(10.0, help="threshold whose cost is explained layer by layer", minimum=0, maximum=180)
    images: int | None = option(None, help="training images whose outputs are measured; default: all", minimum=1)
    positions: int = option(16, help="positions of each feature map that are patterns", minimum=1)
    recalibrate: int = option(16, help="batches that renew batch-norm's statistics, in a column of its own", minimum=1)
    seeds: tuple[int, ...] = option((0,), help="everything is run once for each", minimum=0)
    cpu_bfloat16: bool = option(False, help="convolutions in bfloat16 on CPUs that have it")
    workers: int = option(1, help="threads that prepare batches", minimum=1)

    def __post_init__(self) -> None:
        check_filled(self, "seeds", "sparsity", "angles")
        for level in self.sparsity:
            if not 0 < level < 1:
                raise InputError(f"sparsity {level:g}", "fractions above 0 and below 1", "divide percent by 100")

    def quick(self) -> Settings:
        """For a few minutes on two cores: a quarter of the widths, 64x64, few epochs, one seed."""
        return replace(
            self,
            stored=self.stored or "64x64",
            input="64x64",
            widths=QUICK_WIDTHS,
            weights=None,
            epochs=min(self.epochs, 10),
            batch_size=min(self.batch_size, 50),
            tune_epochs=1,
            limit=min(self.limit or QUICK_IMAGES, QUICK_IMAGES),
            tuned_angles=tuple(angle for angle in self.tuned_angles if angle == 10) or self.tuned_angles[:1],
            equal_angles=tuple(angle for angle in self.equal_angles if angle == 10) or self.equal_angles[:1],
            images=min(self.images or 500, 500),
            seeds=self.seeds[:1],
        )
