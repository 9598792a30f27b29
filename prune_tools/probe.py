"""Sums over a model's inner tensors at some of their positions, batch by batch.

On TensorFlow the sums are made where the layers run, in float64, and only numbers of patterns leave. NumPy's matrix
products would do too, but the threads of its library go on spinning for a tenth of a second after each, and on two
processors that takes one of them from the next forward pass.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from prune_tools.graph import Graph, Site
from run_tools.arrays import finite
from run_tools.errors import InputError


class _Sums:
    """Running sums over patterns, in NumPy: float64 where the backend has none."""

    def __init__(self, units: int) -> None:
        self.units = units
        self.reset()

    def reset(self) -> None:
        self.products, self.sums, self.count = np.zeros((self.units, self.units)), np.zeros(self.units), 0

    def inside(self, rows: Any) -> Any:
        """What the forward pass returns for its tensor of patterns, shape (patterns, units)."""
        return rows

    def outside(self, returned: np.ndarray) -> None:
        """What is made of it afterwards."""
        rows = returned.astype(np.float64)
        self.products += rows.T @ rows
        self.sums += rows.sum(axis=0)
        self.count += len(rows)

    def arrays(self) -> tuple[np.ndarray, np.ndarray, int]:
        """Products, shape (units, units), sums, shape (units,), and the number of patterns."""
        return self.products, self.sums, self.count


class _TensorFlowSums(_Sums):
    """The same in variables that the forward pass adds to."""

    def reset(self) -> None:
        import tensorflow as tf

        if not hasattr(self, "products"):
            shape = (self.units, self.units)
            self.products: Any = tf.Variable(tf.zeros(shape, tf.float64), trainable=False)
            self.sums: Any = tf.Variable(tf.zeros(self.units, tf.float64), trainable=False)
        self.products.assign(tf.zeros_like(self.products))
        self.sums.assign(tf.zeros_like(self.sums))
        self.count = 0

    def inside(self, rows: Any) -> Any:
        import tensorflow as tf

        rows = tf.cast(rows, tf.float64)
        self.products.assign_add(tf.matmul(rows, rows, transpose_a=True))
        self.sums.assign_add(tf.reduce_sum(rows, axis=0))
        return tf.shape(rows)[0]

    def outside(self, returned: np.ndarray) -> None:
        self.count += int(returned)

    def arrays(self) -> tuple[np.ndarray, np.ndarray, int]:
        products = self.products.numpy()
        # The order in which a product was summed may differ on both sides of the diagonal.
        return (products + products.T) / 2, self.sums.numpy(), self.count


def _kind() -> type[_Sums]:
    if keras.backend.backend() != "tensorflow":
        return _Sums
    import tensorflow as tf

    # Replicas would each add the whole batch to one variable.
    return _Sums if tf.distribute.has_strategy() else _TensorFlowSums


class Probe(keras.Model):
    """Sums of units' outputs; runs the model's own layers, and adds nothing to them.

    Args:
        graph: of the model.
        places: where to look: sites with the columns that count there, shape (copies, units), as in `Site`.
        positions: most positions of an image that count, on an even grid; None: all.
        average: whether an image counts with its mean over all positions instead.
    """

    def __init__(
        self, graph: Graph, places: Sequence[tuple[Site, np.ndarray]], positions: int | None, average: bool
    ) -> None:
        super().__init__(name="probe")
        self.source = graph.flat.model
        self._flat, self._places, self._positions, self._average = graph.flat, places, positions, average
        self._totals = [_kind()(columns.shape[1]) for _, columns in places]
        # XLA pays on accelerators; for TensorFlow on a CPU it only adds minutes of compilation.
        self.compile(jit_compile=keras.backend.backend() != "tensorflow")

    def call(self, inputs):
        """Runs the layers; returns what `_Sums.inside` does, place by place."""
        values = self._flat.run(keras.tree.flatten(inputs))
        seen: dict[tuple[int, int], Any] = {}
        found = []
        for (site, columns), total in zip(self._places, self._totals, strict=True):
            key = site.tensor, id(site.view)
            if key not in seen:
                seen[key] = self._patterns(site, values[site.tensor])
            found.append(total.inside(_units(seen[key], columns)))
        return found

    def _patterns(self, site: Site, tensor: Any) -> Any:
        """The values at one site, shape (patterns, channels)."""
        tensor = tensor if site.view is None else site.view(tensor)
        if self._average and len(tensor.shape) > 2:
            tensor = keras.ops.mean(tensor, axis=tuple(range(1, len(tensor.shape) - 1)))
        elif self._positions is not None:
            tensor = _grid(tensor, self._positions, fixed=None not in self._flat.shapes[site.tensor][1:-1])
        return keras.ops.reshape(tensor, (-1, tensor.shape[-1]))

    def reset(self) -> None:
        """Forgets all sums."""
        for total in self._totals:
            total.reset()

    def add(self, inputs: Any) -> None:
        """Adds a batch; an InputError where it does not fit the model or is not finite."""
        given = self._flat.arrange(inputs)
        for part in given:
            # A compiled ReLU may turn NaN into 0, so that the sums would not tell.
            if not finite(part):
                raise InputError("inputs that are not finite numbers", "finite ones", "clean the data")
        returned = keras.tree.flatten(self.predict_on_batch(given))
        for total, one in zip(self._totals, returned, strict=True):
            total.outside(np.asarray(one))

    def arrays(self) -> list[tuple[np.ndarray, np.ndarray, int]]:
        """Sums of products, sums and number of patterns since the last reset, place by place."""
        return [total.arrays() for total in self._totals]


def _units(rows: Any, columns: np.ndarray) -> Any:
    """Of patterns, shape (patterns, channels), those of the units; every copy of the units is a pattern of its own."""
    copies, units = columns.shape
    if copies == 1 and np.array_equal(columns[0], np.arange(rows.shape[-1])):
        return rows
    rows = keras.ops.take(rows, np.maximum(columns, 0).ravel(), axis=1)
    if (columns < 0).any():  # NaN times 0 would be NaN
        rows = keras.ops.where(columns.ravel() >= 0, rows, keras.ops.zeros_like(rows))
    return keras.ops.reshape(rows, (-1, units))


def _grid(tensor: Any, positions: int, fixed: bool) -> Any:
    """At most `positions` of the positions of (batch, positions…, channels), evenly spread.

    Where the size is not fixed the grid has as many rows as columns, and repeats some in an image smaller than it.
    """
    sizes = tuple(tensor.shape)[1:-1]
    if not sizes or (fixed and math.prod(sizes) <= positions):
        return tensor
    for axis, size in enumerate(sizes, start=1):
        if fixed:
            count = max(1, int(size * (positions / math.prod(sizes)) ** (1 / len(sizes))))
            index = np.floor((np.arange(count) + 0.5) * size / count).astype(np.int32)
        else:
            count = max(1, int(positions ** (1 / len(sizes))))
            odd = np.arange(1, 2 * count, 2, dtype=np.int32)
            index = keras.ops.cast(keras.ops.shape(tensor)[axis], "int32") * odd // (2 * count)
        tensor = keras.ops.take(tensor, index, axis=axis)
    return tensor
