"""What paper 001's run can be told; nothing here loads Keras."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from classify_prune.papers.vectors import VectorSettings
from run_tools.config import check_filled, option
from run_tools.errors import InputError

QUICK_STEPS = 25
LEAST_STEPS = 6
"""Fewer points show no inflection."""


@dataclass(frozen=True)
class Settings(VectorSettings):
    """Paper 001: a dense network on feature vectors, its hidden units removed step by step; Tables 2 and 4 and Fig. 4.

    Images are turned into feature vectors first. Defaults are the paper's where it says anything.
    """

    task: Literal["type", "vehicle", "colour"] = option("type", help="what to tell apart")
    hidden: int = option(500, help="hidden units", minimum=12)
    dropout: float = option(0.2, help="of the hidden units", minimum=0.0, maximum=0.99)
    standardise: Literal["none", "standard", "minmax"] = option("none", help="of the features; the paper: none")
    optimizer: Literal["adam", "sgd"] = option("adam", help="the paper names none")
    momentum: float = option(0.9, help="of sgd", minimum=0.0, maximum=0.999)
    learning_rate: float = option(0.01, help="of the base model", minimum=1e-12)
    batch_size: int = option(1024, help="vectors a step of training", minimum=1)
    epochs: int = option(500, help="of the base model, at most", minimum=1)
    patience: int | None = option(
        20, help="epochs without a smaller validation loss before a training stops", minimum=1
    )
    tune_epochs: int = option(500, help="of retraining after every iteration, at most", minimum=1)
    tune_patience: int = option(20, help="likewise of retraining", minimum=1)
    tune_rate: float = option(0.01, help="learning rate of retraining; the paper names none", minimum=1e-12)
    sets: tuple[int, ...] = option(
        (3, 5, 9), help="sizes of the sets of which batch removal leaves one; the paper: 3, larger ones its future work"
    )
    extra: bool = option(True, help="also least-squares merging and random units, which the paper lacks")
    centre: Literal["none", "mean"] = option("mean", help="what is taken out of outputs before angles are measured")
    stride: int = option(1, help="units to go between retrainings, at least; the paper: one iteration's", minimum=1)
    control: int = option(20, help="retrainings of the whole network, the control that the paper lacks", minimum=1)
    patterns: int | None = option(None, help="training vectors whose activations are compared; default: all", minimum=1)
    samples: int = option(1000, help="of the bootstrap over seeds", minimum=1)
    limit: int | None = option(None, help="learn from only so many vectors, taken evenly", minimum=1)
    seeds: tuple[int, ...] = option((0, 1, 2), help="everything is run once for each", minimum=0)

    def __post_init__(self) -> None:
        check_filled(self, "seeds")
        if any(size < 2 for size in self.sets):
            raise InputError(f"sets {self.sets}", "sizes of at least 2", "for example 3 5 9")
        step = max(self.stride, 2, *(size - 1 for size in self.sets))
        if self.hidden < LEAST_STEPS * step:
            told = f"hidden {self.hidden}, of which a step removes up to {step}"
            raise InputError(told, f"at least {LEAST_STEPS} steps", "give more units, a smaller stride or smaller sets")

    def quick(self) -> Settings:
        """For minutes on two cores: 25 retrainings a curve, few epochs, two seeds."""
        return replace(
            self,
            stride=max(self.stride, self.hidden // QUICK_STEPS),
            epochs=min(self.epochs, 60),
            tune_epochs=min(self.tune_epochs, 8),
            tune_patience=min(self.tune_patience, 3),
            control=min(self.control, 5),
            sets=self.sets[:2],
            seeds=self.seeds[:2],
        )
