"""Proof on data that surgery cut what it meant to cut, and how far the function moved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from prune_tools.statistics import batches
from run_tools.errors import InputError

TOLERANCE = 1e-4
"""What rounding to float32 may change, as a part of an output's largest value."""
HALVES = {"float16": 8 * 2**-10, "bfloat16": 8 * 2**-7}
"""The same of layers that compute in half precision: eight machine epsilons."""


@dataclass(frozen=True)
class Difference:
    """How two outputs differ over a data set: largest and mean absolute difference, and the largest absolute value."""

    largest: float
    mean: float
    scale: float

    @property
    def relative(self) -> float:
        """The largest difference as a part of the largest value."""
        return self.largest / self.scale if self.scale else self.largest


@dataclass(frozen=True)
class Certificate:
    """What a removal did, by output name.

    Attributes:
        structure: the new model against the reference of the old widths, in which the removed units are masked where
            they are read and folded as the rule says; a layer normalisation looks at those that stay alone. Rounding
            errors alone may differ.
        function: the new model against the given one: what the removal cost. Removing duplicates, constants and units
            that nothing reads costs rounding errors alone.
        rounding: what rounding may change at the precision in which the layers compute, as a part of the largest value.
    """

    structure: Mapping[str, Difference]
    function: Mapping[str, Difference]
    rounding: float = TOLERANCE

    def sound(self, tolerance: float | None = None) -> bool:
        """Whether the structure holds: largest differences up to `tolerance` (None: `rounding`) of the largest value
        of the output."""
        tolerance = self.rounding if tolerance is None else tolerance
        return all(difference.relative <= tolerance for difference in self.structure.values())

    def exact(self, tolerance: float | None = None) -> bool:
        """Whether the new model computes what the given one did, to the same tolerance."""
        tolerance = self.rounding if tolerance is None else tolerance
        return self.sound(tolerance) and all(item.relative <= tolerance for item in self.function.values())

    def __str__(self) -> str:
        lines = [f"{'output':<24}{'':<12}{'largest':>12}{'mean':>12}{'of scale':>12}"]
        for kind, found in (("structure", self.structure), ("function", self.function)):
            for name, item in found.items():
                lines.append(f"{name:<24}{kind:<12}{item.largest:>12.3g}{item.mean:>12.3g}{item.scale:>12.3g}")
        return "\n".join(lines)


class MaskedNormalization(keras.layers.LayerNormalization):
    """A layer normalisation over the last axis whose mean and variance are those of some channels.

    Args:
        stays: booleans, one a channel: the channels that count.
        config: as for `keras.layers.LayerNormalization`.
    """

    def __init__(self, stays: np.ndarray, **config: Any) -> None:
        super().__init__(**config)
        self._share = stays / stays.sum()

    def call(self, inputs):
        """All channels, normalised by those that count; shape and type of the inputs."""
        x = keras.ops.cast(inputs, "float64" if self.compute_dtype == "float64" else "float32")
        share = keras.ops.cast(self._share, x.dtype)
        mean = keras.ops.sum(x * share, axis=-1, keepdims=True)
        variance = keras.ops.sum(keras.ops.square(x - mean) * share, axis=-1, keepdims=True)
        # Keras's `rms_scaling` leaves the mean in, and adds no beta.
        x = (x if self.rms_scaling else x - mean) * keras.ops.rsqrt(variance + self.epsilon)
        x = x if self.gamma is None else x * keras.ops.cast(self.gamma, x.dtype)
        x = x if self.beta is None or self.rms_scaling else x + keras.ops.cast(self.beta, x.dtype)
        return keras.ops.cast(x, self.compute_dtype)


class _Running:
    def __init__(self) -> None:
        self.largest, self.total, self.count, self.scale = 0.0, 0.0, 0, 0.0

    def add(self, one: np.ndarray, other: np.ndarray) -> None:
        gap = np.abs(one - other)
        # NaN must not pass for "no difference".
        self.largest = float(np.maximum(self.largest, gap.max(initial=0.0)))
        self.scale = float(np.maximum(self.scale, np.abs(one).max(initial=0.0)))
        self.total, self.count = self.total + float(gap.sum()), self.count + gap.size

    def difference(self) -> Difference:
        return Difference(self.largest, self.total / max(self.count, 1), self.scale)


def _array(tensor: Any) -> np.ndarray:
    return keras.ops.convert_to_numpy(tensor).astype(np.float64)


def certify(
    model: keras.Model, reference: keras.Model, smaller: keras.Model, data: Any, batch_size: int = 32
) -> Certificate:
    """Runs three models over data and compares their outputs, batch by batch.

    Args:
        model: the model as given.
        reference: with the removed units masked and folded.
        smaller: without them.
        data: inputs, as for `statistics.collect`.
        batch_size: for arrays.

    Returns:
        The certificate; outputs go by their layers' names, numbered where a name repeats.

    Raises:
        InputError: if there is no data.
    """
    names = _names(smaller)
    structure = {name: _Running() for name in names}
    function = {name: _Running() for name in names}
    for batch in batches(data, batch_size):
        batch = keras.tree.map_structure(keras.ops.convert_to_tensor, batch)
        # Called as they are: tracing three networks takes longer than the few batches that a check needs.
        outputs = [keras.tree.flatten(one(batch, training=False)) for one in (model, reference, smaller)]
        for name, given, masked, made in zip(names, *outputs, strict=True):
            structure[name].add(_array(masked), _array(made))
            function[name].add(_array(given), _array(made))
    if not all(running.count for running in structure.values()):
        raise InputError("no data", "at least one batch of inputs", "give a data set that is not empty")
    return Certificate(
        {name: running.difference() for name, running in structure.items()},
        {name: running.difference() for name, running in function.items()},
        _rounding(smaller),
    )


def _rounding(model: keras.Model) -> float:
    return max(HALVES.get(layer.compute_dtype, TOLERANCE) for layer in model._flatten_layers())


def _names(model: keras.Model) -> list[str]:
    found: list[str] = []
    for name in model.output_names:
        count, plain = 1, name
        while name in found:
            count, name = count + 1, f"{plain}_{count}"
        found.append(name)
    return found
