"""How much each kernel minds being pruned alone: a scan, a table, a plot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import keras
import numpy as np

from prune_tools import holding, masks, targets
from prune_tools.mask_set import Masks
from prune_tools.selection import check_fraction
from prune_tools.targets import Layers
from run_tools.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LEVELS = (0.1, 0.3, 0.5, 0.7, 0.9)


@dataclass(frozen=True)
class Sensitivity:
    """What a scan found.

    Attributes:
        kernels: names, in the model's order.
        sizes: weights of each.
        levels: sparsities in 0–1.
        base: the measure of the model as it was.
        values: the measure with one kernel pruned to one level, shape (kernels, levels).
    """

    kernels: tuple[str, ...]
    sizes: tuple[int, ...]
    levels: tuple[float, ...]
    base: float
    values: np.ndarray

    def table(self) -> tuple[list[str], list[list[object]]]:
        """The scan as a table.

        Returns:
            Headers and rows, as `run_tools.report.Report.table` takes them.
        """
        headers = ["kernel", "weights", *(f"{level:g}" for level in self.levels)]
        rows = [[n, s, *v.tolist()] for n, s, v in zip(self.kernels, self.sizes, self.values, strict=True)]
        return headers, [["none pruned", sum(self.sizes), *[self.base] * len(self.levels)], *rows]

    def plot(self, label: str = "measure") -> Figure:
        """The scan as curves, one a kernel.

        Args:
            label: what was measured.

        Returns:
            A Matplotlib figure that belongs to no window.
        """
        from matplotlib.figure import Figure

        figure = Figure(figsize=(8, 4.5), layout="constrained")
        axes = figure.subplots()
        shades = [0.9 * index / max(1, len(self.kernels) - 1) for index in range(len(self.kernels))]
        import matplotlib

        colours = matplotlib.colormaps["viridis"](shades)
        for name, curve, colour in zip(self.kernels, self.values, colours, strict=True):
            axes.plot([0, *self.levels], [self.base, *curve], marker="o", markersize=3, color=colour, label=name)
        axes.axhline(self.base, color="grey", linewidth=0.8, linestyle=":")
        axes.set(xlabel="sparsity of this kernel alone", ylabel=label, xlim=(0, 1))
        figure.legend(loc="outside right center", fontsize="small", frameon=False)
        return figure


def scan(
    model: keras.Model,
    evaluate: Callable[[keras.Model], float],
    levels: Sequence[float] = LEVELS,
    layers: Layers = None,
    method: Callable[..., Masks] = masks.layer_magnitude,
) -> Sensitivity:
    """Prunes each kernel alone to each level, measures, and puts it back.

    Choose levels by it on validation data, never on test.

    Args:
        model: a built model that no mask holds; the same afterwards, bit for bit.
        evaluate: of the model, any number, such as a loss or an accuracy.
        levels: sparsities in 0–1.
        layers: which kernels, see `targets.kernels`.
        method: makes masks: (model, sparsity, layers=…) → `Masks`.

    Returns:
        The measures.

    Raises:
        InputError: for levels that are no fractions, or a held model.
    """
    chosen = targets.kernels(model, layers)
    levels = [check_fraction(level, "level") for level in levels]
    if holding.held(model):
        raise InputError(f"model {model.name!r}, which masks hold", "a free one", "release it first")
    holding.sync(model)
    base = float(evaluate(model))
    values = np.zeros((len(chosen), len(levels)))
    for row, kernel in enumerate(chosen):
        before = keras.ops.convert_to_numpy(kernel.variable).copy()
        try:
            for column, level in enumerate(levels):
                kept = method(model, level, layers=[kernel.name])[kernel.name]
                kernel.variable.assign(np.where(kept, before, np.zeros((), before.dtype)))
                values[row, column] = float(evaluate(model))
                kernel.variable.assign(before)
        finally:
            kernel.variable.assign(before)
    names, sizes = tuple(k.name for k in chosen), tuple(k.size for k in chosen)
    return Sensitivity(names, sizes, tuple(levels), base, values)
