"""What a training prunes, as part of its config; nothing here loads Keras."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from run_tools.errors import InputError

Scope = Literal["global", "layer", "lamp", "erk", "random", "layer-random"]
Amount = Literal["of_total", "of_remaining"]
FLOORED = ("global", "lamp", "random")
"""Scopes that choose over all kernels together, so that one of them may be emptied."""
EACH = ("layer", "layer-random")
"""Scopes that prune the same fraction of each kernel."""


@dataclass(frozen=True)
class Pruning:
    """Prunes before the first step, or along a curve, and holds what is pruned at zero from then on.

    Attributes:
        sparsity: fraction of the weights to prune, above 0 and below 1.
        scope: which go: the smallest magnitudes of all kernels together ("global") or of each kernel ("layer"), by
            layer-adaptive magnitude ("lamp"), by the kernels' Erdős–Rényi densities ("erk"), or at random over all or
            in each kernel ("random", "layer-random"): the control.
        layers: names or shell patterns of the layers whose kernels prune; None: all convolutions but the head.
        amount: what `sparsity` is a fraction of: all these weights, or those that `previous` left.
        floor: least fraction of each kernel that is kept, in 0–1, for the scopes of `FLOORED`.
        schedule: "one-shot", before the first step; or "cubic", bit by bit while it learns.
        ramp: of "cubic": the fraction of the training after which `sparsity` is reached; best checkpoints are those
            from then on.
        every: of "cubic": steps between two prunings; None: twenty prunings.
        previous: masks of an earlier pruning (`masks.npz` of its run folder), which stay pruned.
        rewind: run folder, `.keras` or name of a network of the same shape whose weights come back, as far as they
            live, after the pruning.
        recalibrate: batches of training images whose statistics batch-norm takes over after each pruning; 0: none; a
            curve uses at most 32.
        seed: of the random scopes.

    Source: Han et al. (2015) and paper 003; Zhu & Gupta (2017) for "cubic"; Renda et al. (ICLR 2020) for `rewind`.
    """

    sparsity: float
    scope: Scope = "global"
    layers: tuple[str, ...] | None = None
    amount: Amount = "of_total"
    floor: float = 0.0
    schedule: Literal["one-shot", "cubic"] = "one-shot"
    ramp: float = 0.7
    every: int | None = None
    previous: Path | None = None
    rewind: Path | None = None
    recalibrate: int = 0
    seed: int = 0

    def __post_init__(self):
        check_levels((self.sparsity,), self.amount)
        if not 0 <= self.floor < 1 or not 0 < self.ramp < 1 or self.recalibrate < 0 or (self.every or 1) < 1:
            raise InputError(
                f"floor {self.floor:g}, ramp {self.ramp:g}, every {self.every}, recalibrate {self.recalibrate}",
                "a floor in 0–1, a ramp between 0 and 1, at least one step, no negative number of batches",
                "change them",
            )
        if self.floor and self.scope not in FLOORED:
            raise InputError(f"a floor with scope {self.scope}", f"scope {', '.join(FLOORED)}", "leave the floor out")
        if self.schedule == "cubic" and (self.rewind is not None or self.amount != "of_total"):
            what = "rewind" if self.rewind is not None else f"amount {self.amount}"
            raise InputError(f"{what} with schedule cubic", "schedule one-shot or iterative", "choose another schedule")


def check_levels(levels: tuple[float, ...], amount: str) -> None:
    """InputError unless levels are above 0, below 1, and rise where they are fractions of all weights."""
    if not levels or not all(0 < level < 1 for level in levels):
        told = " ".join(f"{level:g}" for level in levels) or "none"
        raise InputError(f"sparsity {told}", "fractions above 0 and below 1", "divide percent by 100")
    if amount == "of_total" and any(low >= high for low, high in zip(levels, levels[1:], strict=False)):
        told = " ".join(f"{level:g}" for level in levels)
        raise InputError(f"sparsity {told}", "levels that rise", "sort them, each once")
