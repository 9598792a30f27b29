"""Masks by name, scope + criterion: `global_magnitude`, `layer_magnitude`, `lamp`, `erk`, `global_random`, …

Each is a few lines: scores (`scores`), pieces (`structures`), a choice of exactly so many (`selection`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import keras
import numpy as np

from prune_tools import holding, scores, selection, structures, targets
from prune_tools.mask_builders import WEIGHTS, Score, build_global, build_per_kernel, kept_before, values_of
from prune_tools.mask_set import Masks
from prune_tools.structures import Blocks, Filters, Structure, Weights
from prune_tools.targets import Kernel, Layers
from run_tools.errors import InputError, unknown_name

__all__ = [
    "Blocks", "Filters", "Masks", "Weights",
    "build_global", "build_per_kernel", "erk", "from_zeros", "global_magnitude", "global_random", "global_taylor",
    "lamp", "layer_magnitude", "layer_random", "n_of_m",
]  # fmt: skip


def global_magnitude(
    model: keras.Model,
    sparsity: float,
    layers: Layers = None,
    *,
    previous: Masks | None = None,
    amount: str = "of_total",
    floor: float = 0.0,
    structure: Structure = WEIGHTS,
) -> Masks:
    """Prunes the weights that are smallest in magnitude over all kernels together: exactly round(sparsity · weights).

    One threshold empties large kernels first: look at `Masks.by_kernel`, or set a `floor`.

    Args:
        model: a built model; it is only read.
        sparsity: fraction in 0–1 to prune.
        layers: which kernels, see `targets.kernels`; None: of all convolution and dense layers but those that make
            the model's outputs.
        previous: masks of an earlier pruning, of the same kernels: what they prune stays pruned.
        amount: what `sparsity` is a fraction of: "of_total" or "of_remaining", see `selection.count_to_prune`.
        floor: least fraction of each kernel's pieces that is kept, in 0–1.
        structure: what is pruned as one: `Weights()`, `Filters()`, `Blocks(rows, columns)`. Fractions and counts are
            those of the pieces.

    Returns:
        Masks of the chosen kernels.

    Raises:
        InputError: for fractions out of range, layers that do not exist, weights that are not numbers, or a sparsity
            below that of `previous`.

    Source: Han et al. (2015); papers 000 and 003.
    """
    chosen = targets.kernels(model, layers)
    return build_global(model, chosen, scores.magnitude, sparsity, previous, amount, floor, structure)


def from_zeros(model: keras.Model, layers: Layers = ("*",)) -> Masks:
    """Masks of a model that has been pruned already: what is zero stays zero.

    Args:
        model: a built model; it is only read.
        layers: which kernels, see `targets.kernels`; by default all, those of the model's outputs too.

    Returns:
        Masks that keep every weight that is not zero.

    Raises:
        InputError: as `targets.kernels`.
    """
    chosen = targets.kernels(model, layers)
    return Masks({kernel.name: array != 0 for kernel, array in zip(chosen, values_of(model, chosen), strict=True)})


def global_random(
    model: keras.Model, sparsity: float, layers: Layers = None, *, seed: int = 0, previous: Masks | None = None,
    amount: str = "of_total", floor: float = 0.0, structure: Structure = WEIGHTS,
) -> Masks:  # fmt: skip
    """Prunes at random over all kernels together: the control.

    Args:
        model, sparsity, layers, previous, amount, floor, structure: as `global_magnitude`.
        seed: of the generator.

    Returns:
        Masks of the chosen kernels.
    """
    chosen = targets.kernels(model, layers)
    score = partial(scores.random, seed=seed)
    return build_global(model, chosen, score, sparsity, previous, amount, floor, structure)


def global_taylor(
    model: keras.Model, sparsity: float, data: Iterable[Any], layers: Layers = None, *, batches: int = 16,
    previous: Masks | None = None, amount: str = "of_total", floor: float = 0.0, structure: Structure = WEIGHTS,
) -> Masks:  # fmt: skip
    """Prunes the weights whose removal would change the loss least, to first order (`scores.taylor`).

    Args:
        model, sparsity, layers, previous, amount, floor, structure: as `global_magnitude`; compiled with a loss.
        data: batches as `fit` takes them.
        batches: how many to use at most.

    Returns:
        Masks of the chosen kernels.
    """
    chosen = targets.kernels(model, layers)
    holding.sync(model)
    found = scores.taylor(model, [kernel.variable for kernel in chosen], data, batches)
    return build_global(model, chosen, lambda _: found, sparsity, previous, amount, floor, structure)


def lamp(
    model: keras.Model, sparsity: float, layers: Layers = None, *, previous: Masks | None = None,
    amount: str = "of_total", floor: float = 0.0,
) -> Masks:  # fmt: skip
    """Prunes by layer-adaptive magnitude over all kernels together (`scores.lamp`).

    Args:
        model, sparsity, layers, previous, amount, floor: as `global_magnitude`.

    Returns:
        Masks of the chosen kernels.
    """
    chosen = targets.kernels(model, layers)
    return build_global(model, chosen, scores.lamp, sparsity, previous, amount, floor)


def layer_magnitude(
    model: keras.Model, sparsity: float | Mapping[str, float], layers: Layers = None, *,
    previous: Masks | None = None, amount: str = "of_total", structure: Structure = WEIGHTS,
) -> Masks:  # fmt: skip
    """Prunes the smallest magnitudes of each kernel by itself: exactly round(sparsity · its weights).

    Args:
        model, layers, previous, amount, structure: as `global_magnitude`.
        sparsity: one fraction for all, or a kernel's name → its own (then `layers` must be None).

    Returns:
        Masks of the chosen kernels.

    Raises:
        InputError: as `global_magnitude`.
    """
    chosen, wanted = _per_kernel(model, sparsity, layers)
    return build_per_kernel(model, chosen, scores.magnitude, wanted, previous, amount, structure)


def layer_random(
    model: keras.Model, sparsity: float | Mapping[str, float], layers: Layers = None, *, seed: int = 0,
    previous: Masks | None = None, amount: str = "of_total", structure: Structure = WEIGHTS,
) -> Masks:  # fmt: skip
    """Prunes each kernel at random: the control of `layer_magnitude`.

    Args:
        model, sparsity, layers, previous, amount, structure: as `layer_magnitude`.
        seed: of the generator.

    Returns:
        Masks of the chosen kernels.
    """
    chosen, wanted = _per_kernel(model, sparsity, layers)
    return build_per_kernel(model, chosen, partial(scores.random, seed=seed), wanted, previous, amount, structure)


def erk(
    model: keras.Model, sparsity: float, layers: Layers = None, *, previous: Masks | None = None,
    amount: str = "of_total",
) -> Masks:  # fmt: skip
    """Prunes the smallest magnitudes of each kernel, the kernels' densities being Erdős–Rényi's.

    Args:
        model, sparsity, layers, previous, amount: as `global_magnitude`; the total is exact too.

    Returns:
        Masks of the chosen kernels.

    Source: Evci et al. (ICML 2020); see `scores.erdos_renyi_kernel`.
    """
    chosen = targets.kernels(model, layers)
    before = kept_before(chosen, previous)
    sizes = [kernel.size for kernel in chosen]
    most = [int(np.count_nonzero(kept)) for kept in before]
    keep = sum(sizes) - selection.count_to_prune(sparsity, sum(sizes), sum(sizes) - sum(most), amount)
    densities = scores.erdos_renyi_kernel([kernel.shape for kernel in chosen], keep / sum(sizes))
    kept = selection.split_count(keep, densities, sizes, most)
    values = scores.magnitude(values_of(model, chosen))
    arrays = {}
    for kernel, score, count, old in zip(chosen, values, kept, before, strict=True):
        arrays[kernel.name] = selection.drop_lowest([score], kernel.size - count, [old])[0]
    return Masks(arrays)


def n_of_m(
    model: keras.Model, n: int = 2, m: int = 4, layers: Layers = None, *, score: Score = scores.magnitude
) -> Masks:
    """Keeps the `n` best of every `m` consecutive inputs (`structures.n_of_m`).

    Args:
        model: a built model; it is only read.
        n: kept in a group.
        m: size of a group.
        layers: which kernels. With None or "conv" those whose inputs do not divide by `m`, such as the first
            convolution's three colours, and those of `EinsumDense` get no mask; named ones are refused.
        score: function of the kernels' values.

    Returns:
        Masks of the kernels that have the pattern.

    Raises:
        InputError: if a named kernel, or every kernel, does not divide.
    """
    structures.check_pattern(n, m)
    chosen = targets.kernels(model, layers)
    if layers is None or layers in ("conv", "conv+dense"):
        chosen = [kernel for kernel in chosen if kernel.output_axes and structures.divides(kernel, m)]
        if not chosen:
            raise InputError(f"model {model.name!r}", f"a kernel whose inputs divide by {m}", "change m")
    values = score(values_of(model, chosen))
    return Masks({k.name: structures.n_of_m(k, found, n, m) for k, found in zip(chosen, values, strict=True)})


def _per_kernel(
    model: keras.Model, sparsity: float | Mapping[str, float], layers: Layers
) -> tuple[list[Kernel], dict[str, float]]:
    if not isinstance(sparsity, Mapping):
        chosen = targets.kernels(model, layers)
        return chosen, {kernel.name: sparsity for kernel in chosen}
    if layers is not None:
        raise InputError("a sparsity for each kernel, and layers", "one of them", "leave `layers` out")
    known = {kernel.name: kernel for kernel in targets.walk(model)}
    for name in sparsity:
        if name not in known:
            raise unknown_name("kernel", name, known)
    return targets.kernels(model, list(sparsity)), dict(sparsity)
