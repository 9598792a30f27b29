"""From scores to masks: values, pieces, a choice, weights again. What `masks` and own criteria are made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import keras
import numpy as np

from prune_tools import holding, selection
from prune_tools.mask_set import Masks
from prune_tools.structures import Structure, Weights
from prune_tools.targets import Kernel
from run_tools.errors import InputError

Score = Callable[[Sequence[np.ndarray]], list[np.ndarray]]
WEIGHTS = Weights()


def build_global(
    model: keras.Model, chosen: Sequence[Kernel], score: Score, sparsity: float, previous: Masks | None = None,
    amount: str = "of_total", floor: float = 0.0, structure: Structure = WEIGHTS,
) -> Masks:  # fmt: skip
    """Masks by any score, one choice over all kernels.

    Args:
        model: whose kernels they are.
        chosen: of `targets.kernels`.
        score: function of the kernels' values, larger stays longer.
        sparsity, previous, amount, floor, structure: as `global_magnitude`.

    Returns:
        Masks of the chosen kernels.
    """
    before = kept_before(chosen, previous)
    values = values_of(model, chosen)
    if previous is not None:  # LAMP's sums are those of what lives
        values = [np.where(kept, array, 0) for array, kept in zip(values, before, strict=True)]
    found = score(values)
    pieces = [structure.reduce(kernel, array) for kernel, array in zip(chosen, found, strict=True)]
    old = [structure.reduce(kernel, kept) > 0 for kernel, kept in zip(chosen, before, strict=True)]
    total = sum(array.size for array in pieces)
    count = selection.count_to_prune(sparsity, total, total - sum(int(np.count_nonzero(kept)) for kept in old), amount)
    kept = selection.drop_lowest(pieces, count, old if previous is not None else None, floor)
    return _masks(chosen, kept, before, structure)


def build_per_kernel(
    model: keras.Model, chosen: Sequence[Kernel], score: Score, sparsity: Mapping[str, float],
    previous: Masks | None = None, amount: str = "of_total", structure: Structure = WEIGHTS,
) -> Masks:  # fmt: skip
    """Masks by any score, a choice in each kernel.

    Args:
        model, chosen, score, previous, amount, structure: as `build_global`.
        sparsity: kernel's name → fraction in 0–1.

    Returns:
        Masks of the chosen kernels.
    """
    before = kept_before(chosen, previous)
    values = score(values_of(model, chosen))
    kept = []
    for kernel, array, living in zip(chosen, values, before, strict=True):
        pieces, old = structure.reduce(kernel, array), structure.reduce(kernel, living) > 0
        count = selection.count_to_prune(
            sparsity[kernel.name], pieces.size, pieces.size - int(np.count_nonzero(old)), amount
        )
        kept += selection.drop_lowest([pieces], count, [old])
    return _masks(chosen, kept, before, structure)


def _masks(chosen: Sequence[Kernel], kept: list[np.ndarray], before: list[np.ndarray], structure: Structure) -> Masks:
    return Masks({k.name: structure.expand(k, new) & old for k, new, old in zip(chosen, kept, before, strict=True)})


def values_of(model: keras.Model, chosen: Sequence[Kernel]) -> list[np.ndarray]:
    """The kernels' weights as they are now, in a running `fit` too.

    Args:
        model: whose kernels they are.
        chosen: of `targets.kernels`.

    Returns:
        One array a kernel.
    """
    holding.sync(model)
    return [kernel.numpy() for kernel in chosen]


def kept_before(chosen: Sequence[Kernel], previous: Masks | None) -> list[np.ndarray]:
    """What an earlier pruning left of each kernel.

    Args:
        chosen: of `targets.kernels`.
        previous: masks of some or all of them; None: nothing was pruned.

    Returns:
        One bool array a kernel.

    Raises:
        InputError: if `previous` has other kernels or shapes.
    """
    names = {kernel.name for kernel in chosen}
    stray = sorted(set(previous or ()) - names)
    if stray:
        raise InputError(f"previous masks of {stray[0]}", "masks of the chosen layers", "choose the same `layers`")
    found = []
    for kernel in chosen:
        kept = None if previous is None else previous.get(kernel.name)
        if kept is not None and kept.shape != kernel.shape:
            raise InputError(
                f"a previous mask of {kept.shape} for {kernel.name}", f"{kernel.shape}", "use this model's"
            )
        found.append(np.ones(kernel.shape, bool) if kept is None else kept)
    return found
