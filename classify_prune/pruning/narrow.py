"""A dense network without the hidden units that cannot change while it learns: a training of it costs what lives.

Two kinds of unit of a ReLU layer that reads the data get no gradient, neither on the way in nor out: one whose outgoing
weights are held at zero, and one that fires for no training input, since what it reads does not change. Without weight
decay such a unit stays as it is to the last bit, whatever the others do. The first kind counts for nothing; what the
second kind says of inputs not trained on is the same all the time, and is added to the logits.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from classify_prune.models import Classifier
from classify_prune.networks import HEAD
from classify_prune.pruning.learner import Learner
from classify_prune.recipe import TrainConfig
from prune_tools import holding

HIDDEN, DROPOUT = "dense_1", "dropout_1"
BLOCK = 32
"""Units that a narrow network has more or fewer of, so that a few of them do for all widths."""
MARGIN = 1e-5
"""How far below zero a unit must stay, as a part of the largest value, so that rounding does not make it fire."""


def fits(model: Classifier, config: TrainConfig) -> bool:
    """Whether what is left out would be exact: one hidden layer, no decay, no clipping by what all units say, and none
    but whole units held, by masks alone."""
    kernel = model.get_layer(HEAD).kernel
    return (
        model.architecture == "mlp"
        and len(model.widths) == 1
        and config.clip_norm is None
        and not config.weight_decay
        and keras.backend.backend() == "tensorflow"
        and all(variable is kernel or variable.constraint is None for variable in model.trainable_variables)
        and getattr(kernel.constraint, "before", kernel.constraint) is None
        and bool(np.isin(_lives(model).sum(axis=1), (0, model.num_classes)).all())
    )


def _lives(model: Classifier) -> np.ndarray:
    """Which outgoing weights of the hidden units are not held at zero, (units, classes)."""
    kernel = model.get_layer(HEAD).kernel
    held = isinstance(kernel.constraint, holding.MaskConstraint)
    return keras.ops.convert_to_numpy(kernel.constraint.kept) if held else np.ones(kernel.shape, bool)


@dataclass(frozen=True, eq=False)
class Living:
    """The part of a network that learns.

    Attributes:
        learner: of the narrow network, which has the network's weights.
        units: of the network, in the order of the narrow one; it may have more, which never fire.
        judged: inputs whose logits are looked at, as the narrow network takes them.
        offset: what the other units add to those, (n, classes).
    """

    learner: Learner
    units: np.ndarray
    judged: Any
    offset: np.ndarray

    def logits(self) -> np.ndarray:
        """What the whole network would say of the inputs judged, (n, classes)."""
        return self.learner.logits(self.judged) + self.offset

    def into(self, model: Classifier) -> None:
        """Gives a network the weights of its narrow one."""
        for wide, small, axis in _weights(model, self.learner.model):
            values, taken = wide.numpy(), small.numpy()
            if axis is None:
                values = taken
            else:
                np.moveaxis(values, axis, 0)[self.units] = np.moveaxis(taken, axis, 0)[: len(self.units)]
            wide.assign(values)


class Narrow:
    """Narrow networks by width, each compiled once.

    Args:
        config: as for `Learner`.
        inputs: all training inputs.
        judged: inputs whose logits are looked at.
    """

    def __init__(self, config: TrainConfig, inputs: np.ndarray, judged: np.ndarray) -> None:
        self._config = config
        self._inputs, self._judged = (keras.ops.convert_to_tensor(each) for each in (inputs, judged))
        self._learners: dict[tuple[str, int], tuple[Learner, Any]] = {}
        self._read: tuple[Classifier, Any, Any] | None = None

    def of(self, model: Classifier) -> Living:
        """The living part of a network as it is now."""
        hidden, head = model.get_layer(HIDDEN), model.get_layer(HEAD)
        inputs, judged = self._what_is_read(model)
        outgoing = head.kernel.numpy()
        before = keras.ops.matmul(inputs, hidden.kernel) + hidden.bias
        highest = keras.ops.convert_to_numpy(keras.ops.max(before, axis=0))
        still = highest < -MARGIN * float(keras.ops.max(keras.ops.abs(before)))
        still |= ~_lives(model).any(axis=1)
        rest, units = np.flatnonzero(still), np.flatnonzero(~still)
        fires = keras.ops.relu(keras.ops.matmul(judged, hidden.kernel.numpy()[:, rest]) + hidden.bias.numpy()[rest])
        offset = keras.ops.convert_to_numpy(keras.ops.matmul(fires, outgoing[rest]))
        learner, places = self._learner(model, min(len(still), BLOCK * max(1, -(-len(units) // BLOCK))))
        living = Living(learner, units, self._judged, offset)
        self._fill(living, model, places)
        return living

    def _what_is_read(self, model: Classifier) -> tuple[Any, Any]:
        """What the hidden layer reads of all training inputs and of those judged."""
        if self._read is None or self._read[0] is not model:
            reader = keras.Model(model.input, model.get_layer(HIDDEN).input)
            self._read = model, reader(self._inputs), reader(self._judged)
        return self._read[1:]

    def _learner(self, model: Classifier, width: int) -> tuple[Learner, Any]:
        """The narrow network of a width, and the variable that says which units it has."""
        whole, key = model.widths[0], (str(model.get_config() | {"name": None}), width)
        if key not in self._learners:
            small = model.resized({HIDDEN: width})
            places = keras.Variable(np.zeros(width), dtype="int32", trainable=False, name="places")
            if model.dropout:
                layer = small.get_layer(DROPOUT)
                layer.call = functools.partial(_dropped, layer, whole, places)
            self._learners[key] = Learner(small, self._config), places
        return self._learners[key]

    def _fill(self, living: Living, model: Classifier, places: Any) -> None:
        """Gives the narrow network its weights; units too many never fire."""
        small, units = living.learner.model, living.units
        spare = small.widths[0] - len(units)
        for wide, narrow, axis in _weights(model, small):
            values = wide.numpy()
            if axis is not None:
                values = np.pad(np.moveaxis(values, axis, -1)[..., units], [(0, 0)] * (values.ndim - 1) + [(0, spare)])
                values = np.moveaxis(values, -1, axis)
            narrow.assign(values)
        bias = small.get_layer(HIDDEN).bias
        bias.assign(np.where(np.arange(bias.shape[0]) < len(units), bias.numpy(), -1.0))
        places.assign(np.pad(units, (0, spare)))


def _weights(model: Classifier, small: Classifier) -> list[tuple[Any, Any, int | None]]:
    """Weights of a network and of its narrow one, and which of their axes the hidden units are."""
    axes = {HIDDEN: (1, 0), HEAD: (0, None)}
    return [
        (*pair, axis)
        for name in axes
        for *pair, axis in zip(
            model.get_layer(name).variables, small.get_layer(name).variables, axes[name], strict=True
        )
    ]


def _dropped(layer: Any, units: int, places: Any, inputs: Any, training: bool = False) -> Any:
    """`Dropout.call` with the random numbers that the whole layer would draw."""
    if not training:
        return inputs
    shape = keras.ops.shape(inputs)[0], units
    drawn = keras.random.uniform(shape, dtype=inputs.dtype, seed=layer.seed_generator)
    kept = keras.ops.take(drawn, places, axis=1) >= layer.rate
    return keras.ops.where(kept, inputs / (1 - layer.rate), keras.ops.zeros((), inputs.dtype))
