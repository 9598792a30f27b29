"""Earlier weights brought back under later masks: lottery tickets."""

from __future__ import annotations

import keras
import numpy as np

from prune_tools import holding
from run_tools.errors import InputError


class Snapshot:
    """A model's weights at a moment.

    Args:
        model: a built model; its weights are copied, batch-norm's statistics included.

    Source: Frankle & Carbin (ICLR 2019), "The Lottery Ticket Hypothesis".
    """

    def __init__(self, model: keras.Model) -> None:
        holding.sync(model)
        self.weights: list[np.ndarray] = [keras.ops.convert_to_numpy(v).copy() for v in model.weights]

    def restore(self, model: keras.Model, optimizer: bool = True) -> None:
        """Puts the weights back, except those that a mask holds at zero.

        Args:
            model: the model it was taken of, or one of the same weights.
            optimizer: whether the optimizer forgets its momenta, averages and step count too.

        Raises:
            InputError: if the model has other weights.
        """
        holding.sync(model)
        shapes = [tuple(variable.shape) for variable in model.weights]
        if shapes != [array.shape for array in self.weights]:
            raise InputError(
                f"a model with {len(shapes)} weights of other shapes", f"{len(self.weights)} as in the snapshot",
                "restore the model it was taken of",
            )  # fmt: skip
        for variable, array in zip(model.weights, self.weights, strict=True):
            variable.assign(array)
        if optimizer:
            reset_optimizer(model)
        holding.apply(model)


def reset_optimizer(model: keras.Model) -> None:
    """Gives the optimizer's slots the values they have in a new one of the same settings, in place.

    Args:
        model: compiled or not; a model whose optimizer has not learned yet is left alone.
    """
    old = getattr(model, "optimizer", None)
    if old is None or not old.built:
        return
    with holding.scope(model):
        new = type(old).from_config(old.get_config())
        new.build(model.trainable_variables)
    for mine, fresh in zip(old.variables, new.variables, strict=True):
        mine.assign(keras.ops.convert_to_numpy(fresh))
