"""A model's inner tensors at some of their positions, batch by batch."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np

from prune_tools.graph import Graph, Site


class Probe(keras.Model):
    """The model's inner tensors on even grids of positions; runs the model's own layers, and adds nothing to them."""

    def __init__(self, graph: Graph, sites: list[Site], positions: int | None, average: bool) -> None:
        super().__init__(name="probe")
        self.source = graph.flat.model
        self._flat, self._sites, self._positions, self._average = graph.flat, sites, positions, average
        # XLA pays on accelerators; for TensorFlow on a CPU it only adds minutes of compilation.
        self.compile(jit_compile=keras.backend.backend() != "tensorflow")

    def call(self, inputs):
        """The values at the sites, each (batch, positions…, channels)."""
        values = self._flat.run(keras.tree.flatten(inputs))
        found = []
        for site in self._sites:
            tensor = values[site.tensor] if site.view is None else site.view(values[site.tensor])
            if self._average and len(tensor.shape) > 2:
                found.append(keras.ops.mean(tensor, axis=tuple(range(1, len(tensor.shape) - 1))))
                continue
            fixed = None not in self._flat.shapes[site.tensor][1:-1]
            found.append(tensor if self._positions is None else _grid(tensor, self._positions, fixed))
        return found

    def values(self, inputs: Any) -> list[np.ndarray]:
        """The same as arrays."""
        return [np.asarray(value) for value in keras.tree.flatten(self.predict_on_batch(inputs))]


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
