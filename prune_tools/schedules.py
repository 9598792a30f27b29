"""How sparse at which step. Any object called with a step that returns (prune now?, sparsity) will do.

That is the protocol of `tfmot.sparsity.keras.PruningSchedule`, so those of tensorflow_model_optimization fit too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any, Protocol

from prune_tools.selection import check_fraction
from run_tools.errors import InputError


class Schedule(Protocol):
    """What a `pruner.Pruner` follows."""

    def __call__(self, step: int) -> tuple[Any, Any]:
        """Whether to prune at this step (from 0), and to which sparsity in 0–1; numbers or scalar tensors."""


@dataclass(frozen=True)
class OneShot:
    """Everything at one step.

    Args:
        sparsity: fraction in 0–1.
        step: when.
    """

    sparsity: float
    step: int = 0

    def __post_init__(self) -> None:
        check_fraction(self.sparsity)
        _check_steps(self.step, self.step, 1)

    def __call__(self, step: int) -> tuple[bool, float]:
        """Whether to prune at this step, and to which sparsity."""
        return step == self.step, self.sparsity if step >= self.step else 0.0


@dataclass(frozen=True)
class Iterative:
    """One level after another, with time to learn in between.

    Args:
        levels: rising fractions in 0–1.
        every: steps between two levels.
        begin: step of the first.

    Source: Han et al. (2015); paper 003.
    """

    levels: Sequence[float]
    every: int
    begin: int = 0

    def __post_init__(self) -> None:
        levels = [check_fraction(level) for level in self.levels]
        if not levels or levels != sorted(levels):
            raise InputError(f"levels {list(self.levels)}", "rising fractions, at least one", "sort them")
        _check_steps(self.begin, self.begin, self.every)

    def __call__(self, step: int) -> tuple[bool, float]:
        """Whether to prune at this step, and to which sparsity."""
        passed, rest = divmod(step - self.begin, self.every)
        if passed < 0:
            return False, 0.0
        return rest == 0 and passed < len(self.levels), self.levels[min(passed, len(self.levels) - 1)]


@dataclass(frozen=True)
class Cubic:
    """Quickly while much is superfluous, then ever more slowly: s = s_f + (s_i − s_f) · (1 − (t − t₀) / (t₁ − t₀))³.

    Args:
        final: sparsity from `end` on, in 0–1.
        begin: first step, t₀.
        end: last step, t₁; pruned there even where `every` does not lead to it.
        initial: sparsity at `begin`, at most `final`.
        every: steps between two prunings.
        power: the exponent, above 0.

    Source: Zhu & Gupta (2017), "To prune, or not to prune", equation 1; tfmot's `PolynomialDecay`.
    """

    final: float
    begin: int
    end: int
    initial: float = 0.0
    every: int = 100
    power: float = 3

    def __post_init__(self) -> None:
        if check_fraction(self.initial) > check_fraction(self.final):
            raise InputError(f"sparsity from {self.initial} to {self.final}", "a rising one", "swap them")
        _check_steps(self.begin, self.end, self.every)
        if not self.power > 0:
            raise InputError(f"power {self.power}", "above 0", "3 is usual")
        if self.end == self.begin:
            raise InputError(f"begin and end {self.begin}", "an end after the begin", "use OneShot for a single step")

    def __call__(self, step: int) -> tuple[bool, float]:
        """Whether to prune at this step, and to which sparsity."""
        if step < self.begin:
            return False, self.initial
        left = max(0.0, 1 - (step - self.begin) / (self.end - self.begin))
        due = step == self.end or (step < self.end and (step - self.begin) % self.every == 0)
        return due, self.final + (self.initial - self.final) * left**self.power


def _check_steps(begin: int, end: int, every: int) -> None:
    # .7 * 90 is 62.99…, which no step ever is.
    if not all(isinstance(number, Integral) for number in (begin, end, every)):
        told = f"begin {begin!r}, end {end!r}, every {every!r} steps"
        raise InputError(told, "whole numbers", "round them, as int(.7 * steps) does")
    if not 0 <= begin <= end or every < 1:
        raise InputError(f"begin {begin}, end {end}, every {every} steps", "0 ≤ begin ≤ end, every ≥ 1", "change them")
