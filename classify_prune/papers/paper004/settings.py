"""What paper 004's run can be told; nothing here loads Keras."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from data_tools.label_augment import LabelAugment
from run_tools.config import check_filled, option
from run_tools.errors import InputError

QUICK_IMAGES = 960
QUICK_STEPS = 12
LEAST_STEPS = 6
"""Fewer points show no inflection."""


@dataclass(frozen=True)
class Settings:
    """Paper 004: LeNet-5 on ten vehicles, the 84 units of its dense layer removed one by one; Table 1, Figs. 1, 3, 4.

    Defaults are the paper's where it says anything.
    """

    stored: str | None = option("64x64", help="size to which images of a folder are compiled")
    classes: int = option(10, help="the first so many vehicles; data without vehicle ids: all their classes", minimum=2)
    widths: tuple[int, ...] = option((6, 16, 120, 84), help="of LeNet-5; the units of the last one go")
    standardise: Literal["none", "standard"] = option("standard", help="of the grey images; the paper: standard")
    augment: LabelAugment | None = option(
        LabelAugment(), help="random changes of training images; the paper names them, not their strengths"
    )
    optimizer: Literal["adam", "sgd"] = option("sgd", help="the paper names none; see its readings")
    momentum: float = option(0.0, help="of sgd", minimum=0.0, maximum=0.999)
    rates: tuple[float, ...] = option((0.1, 0.01, 0.05, 0.001), help="learning rates of Table 1", minimum=1e-12)
    learning_rate: float = option(0.01, help="of the base model and of retraining", minimum=1e-12)
    batch_size: int = option(16, help="images a step of training", minimum=1)
    epochs: int = option(200, help="of the base model", minimum=1)
    patience: int | None = option(
        None, help="epochs without a smaller loss before a training stops; the paper: none", minimum=1
    )
    tune_epochs: int = option(200, help="of retraining after every step, at most", minimum=1)
    tune_patience: int | None = option(20, help="likewise of retraining; the paper: none", minimum=1)
    extra: bool = option(True, help="also the merges that are correct and random units, which the paper lacks")
    stride: int = option(1, help="units to go between retrainings; the paper: 1", minimum=1)
    control: int = option(10, help="retrainings of the whole network, the control that the paper lacks", minimum=1)
    patterns: int | None = option(None, help="training images whose activations are compared; default: all", minimum=1)
    samples: int = option(1000, help="of the bootstrap over seeds", minimum=1)
    limit: int | None = option(None, help="learn from only so many images, taken evenly", minimum=1)
    seeds: tuple[int, ...] = option((0, 1, 2), help="everything is run once for each", minimum=0)
    workers: int = option(1, help="threads that prepare batches", minimum=1)

    def __post_init__(self) -> None:
        check_filled(self, "seeds", "widths")
        if self.widths[-1] < LEAST_STEPS * self.stride:
            told = f"{self.widths[-1]} units of which a step removes {self.stride}"
            raise InputError(told, f"at least {LEAST_STEPS} steps", "give a smaller stride")

    def quick(self) -> Settings:
        """For minutes on two cores: a dozen retrainings a curve, few epochs and images, one seed, Adam at 1e-3."""
        return replace(
            self,
            stride=max(self.stride, self.widths[-1] // QUICK_STEPS),
            optimizer="adam",
            learning_rate=1e-3,
            rates=tuple(rate for rate in self.rates if rate <= 0.01),
            epochs=min(self.epochs, 12),
            tune_epochs=min(self.tune_epochs, 2),
            control=min(self.control, 3),
            limit=min(self.limit or QUICK_IMAGES, QUICK_IMAGES),
            patterns=min(self.patterns or QUICK_IMAGES, QUICK_IMAGES),
            seeds=self.seeds[:1],
        )
