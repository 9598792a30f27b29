"""Keeps pruned weights at zero while a model learns, by a constraint on each kernel.

The constraint sits on the weight, not in the layer's config, so a held model is saved as the plain model it is.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np


class MaskConstraint(keras.constraints.Constraint):
    """Zero where the mask says so, after the constraint that was there before.

    Args:
        kept: True where the weight lives, the kernel's shape.
        before: the kernel's constraint until now, or None.
    """

    def __init__(self, kept: np.ndarray, before: Callable[[Any], Any] | None) -> None:
        # A variable, so that a compiled TensorFlow step sees a new mask without being compiled again.
        self.kept = keras.Variable(kept, dtype="bool", trainable=False, name="kept")
        self.before = before

    def __call__(self, w: Any) -> Any:
        """The weights, exactly zero where pruned.

        Args:
            w: weights of the mask's shape.

        Returns:
            The same shape and dtype.
        """
        w = keras.ops.convert_to_tensor(w)
        kept, zero = self.kept.value, keras.ops.zeros((), w.dtype)
        w = keras.ops.where(kept, w, zero)  # not a product: that would leave NaN and -0 behind
        if self.before is None:
            return w
        # Norms must be those of the weights that are left, and the zeros must be exact after it.
        return keras.ops.where(kept, self.before(w), zero)


def held(model: keras.Model) -> list[keras.Variable]:
    """The weights of a model that a mask holds.

    Args:
        model: any.

    Returns:
        Variables with a `MaskConstraint`.
    """
    return [variable for variable in model.weights if isinstance(variable.constraint, MaskConstraint)]


def hold(model: keras.Model, masks: Sequence[tuple[keras.Variable, np.ndarray]]) -> None:
    """Zeroes weights, and has every further step zero them.

    Args:
        model: the one that is fitted; a compiled step of it is made anew where it has to be.
        masks: pairs of a weight and what is kept of it, bool, its shape.
    """
    sync(model)
    new = keras.backend.backend() == "jax"  # a compiled JAX step holds masks as constants
    with scope(model):
        for variable, kept in masks:
            constraint = variable.constraint
            if isinstance(constraint, MaskConstraint):
                constraint.kept.assign(kept)
            else:
                variable.constraint = MaskConstraint(kept, constraint)
                new = True
    apply(model)
    if new:
        restart(model)


def release(model: keras.Model, variables: Sequence[keras.Variable]) -> None:
    """Gives weights back the constraint they had; their zeros may grow again, but begin as zeros.

    What writes whole weights, as `EarlyStopping(restore_best_weights=True)` does behind all steps of a `fit`, brings
    pruned ones back: they are zeroed once more, or a released model would be less sparse than its masks say.

    Args:
        model: the one that is fitted.
        variables: weights of it, held or not.
    """
    sync(model)
    apply(model)
    for variable in variables:
        if isinstance(variable.constraint, MaskConstraint):
            variable.constraint = variable.constraint.before
    restart(model)


def apply(model: keras.Model) -> None:
    """Zeroes again what the masks of a model prune, in its weights and in its optimizer's averages of them.

    The optimizer averages weights before it applies constraints, so averages are not held by them; wherever averages
    become the model's weights, call this.

    Args:
        model: with or without held weights.
    """
    variables = held(model)
    if not variables:
        return
    sync(model)
    averages = averages_of(model)
    for variable in variables:
        for target in (variable, averages.get(id(variable))):
            if target is not None:
                kept = keras.ops.convert_to_numpy(variable.constraint.kept)
                values = keras.ops.convert_to_numpy(target)
                if stray(values, kept):
                    target.assign(np.where(kept, values, np.zeros((), values.dtype)))


def stray(values: np.ndarray, kept: np.ndarray) -> int:
    """How many pruned weights are not zero.

    Args:
        values: weights.
        kept: True where they live, the same shape.

    Returns:
        A count; NaN is not zero.
    """
    return int(np.count_nonzero((values != 0) & ~kept))  # many times quicker than picking them out


def averages_of(model: keras.Model) -> dict[int, keras.Variable]:
    """The optimizer's moving averages.

    Args:
        model: compiled or not.

    Returns:
        id of a weight → its average; empty without `use_ema`.
    """
    optimizer: Any = getattr(model, "optimizer", None)
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)  # of a loss-scaling optimizer
    if not getattr(optimizer, "use_ema", False) or not optimizer.built:
        return {}
    pairs = zip(optimizer._trainable_variables, optimizer._model_variables_moving_average, strict=True)
    return {id(weight): average for weight, average in pairs if average is not None}


def sync(model: keras.Model) -> None:
    """Brings the weights that a running JAX `fit` keeps to itself back into the model; it takes them up again.

    Args:
        model: any.
    """
    if hasattr(model, "jax_state_sync"):
        model.jax_state_sync()


def restart(model: keras.Model) -> None:
    """Makes a compiled training step anew: a change of constraints does nothing to one that exists.

    Args:
        model: any, in or out of `fit`.
    """
    if getattr(model, "train_function", None) is not None:
        model.make_train_function(force=True)


@contextlib.contextmanager
def scope(model: keras.Model) -> Iterator[None]:
    """Where new variables lie as the model's do: a copy on every replica of a distribution strategy.

    Args:
        model: any.

    Yields:
        Nothing.
    """
    strategy = getattr(model, "distribute_strategy", None)
    if strategy is None:
        yield
        return
    with strategy.scope():
        yield
