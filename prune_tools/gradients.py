"""Gradients of a compiled model's loss, on TensorFlow and on JAX; the only module here that knows both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from run_tools.errors import InputError


def gradients(model: keras.Model, variables: Sequence[keras.Variable], batch: Any) -> list[np.ndarray]:
    """The loss's gradients for one batch, in inference mode: batch-norms use, and keep, their moving statistics.

    Args:
        model: compiled with a loss.
        variables: some of the model's weights, trainable or not.
        batch: (inputs, targets) or (inputs, targets, sample weights).

    Returns:
        One array a variable, of its shape; zeros where the loss does not depend on it.

    Raises:
        InputError: for a model without a loss, or a backend that is neither TensorFlow nor JAX.
    """
    if not getattr(model, "compiled", False):
        raise InputError(f"model {model.name!r}, which is not compiled", "a model with a loss", "call compile() first")
    inputs, targets, sample_weight = keras.utils.unpack_x_y_sample_weight(batch)
    backend = _backend()
    functions = {"tensorflow": _tensorflow, "jax": _jax}
    found = functions[backend](model, variables, inputs, targets, sample_weight)
    return [
        np.zeros(tuple(variable.shape), np.float32) if gradient is None else keras.ops.convert_to_numpy(gradient)
        for variable, gradient in zip(variables, found, strict=True)
    ]


def of(function: Callable[[list[Any]], Any], arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The gradients of a number that is computed from arrays.

    Args:
        function: from tensors, one an array, to a scalar; pure, and traceable by the backend.
        arrays: where to take the gradients.

    Returns:
        One array each, of its shape; zeros where the number does not depend on it.

    Raises:
        InputError: for a backend that is neither TensorFlow nor JAX.
    """
    found: Sequence[Any]
    if _backend() == "tensorflow":
        import tensorflow as tf

        tensors = [tf.convert_to_tensor(array) for array in arrays]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(tensors)
            value = function(tensors)
        found = tape.gradient(value, tensors)
    else:
        import jax

        found = jax.grad(function)(list(arrays))
    return [
        np.zeros(array.shape, array.dtype) if gradient is None else keras.ops.convert_to_numpy(gradient)
        for array, gradient in zip(arrays, found, strict=True)
    ]


def _backend() -> str:
    backend: str = keras.backend.backend()
    if backend not in ("tensorflow", "jax"):
        raise InputError(f"the {backend} backend", "tensorflow or jax", "set KERAS_BACKEND")
    return backend


def _tensorflow(model: keras.Model, variables: Sequence[keras.Variable], x: Any, y: Any, weight: Any) -> list[Any]:
    import tensorflow as tf

    with tf.GradientTape(watch_accessed_variables=False) as tape:
        for variable in variables:
            tape.watch(variable.value)
        loss = model.compute_loss(x, y, model(x, training=False), weight, training=False)
    values = [variable.value for variable in variables]
    return list(tape.gradient(loss, values))


def _jax(model: keras.Model, variables: Sequence[keras.Variable], x: Any, y: Any, weight: Any) -> list[Any]:
    import jax

    def loss(values: list[Any]) -> Any:
        with keras.StatelessScope(state_mapping=list(zip(variables, values, strict=True))):
            return model.compute_loss(x, y, model(x, training=False), weight, training=False)

    return list(jax.grad(loss)([variable.value for variable in variables]))
