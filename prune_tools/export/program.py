"""A Keras model as one function of named tensors, numbers to try it on, and the comparison of two answers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from prune_tools.export.saved import SERVING, Functions
from run_tools.errors import InputError

Arrays = dict[str, np.ndarray]


class Differs(Exception):
    """Says how a model that was written and read back answers otherwise."""


def functions(model: keras.Model, names: Sequence[str] | None = None) -> Functions:
    """The call of a model, as `saved_model` takes it.

    Args:
        model: functional or Sequential, or any with `inputs`.
        names: of the inputs, in the model's order; None: the model's own.

    Returns:
        "serving_default" → (function, specs). Own names of inputs are the model's, with "_" for what is no letter or
        digit; outputs by their keys, likewise, where the model returns a dict whose keys stay different, else "output",
        or "output_0", "output_1", ….

    Raises:
        InputError: for a model whose inputs are not known, or other than as many names.
    """
    import tensorflow as tf

    given = getattr(model, "inputs", None)
    if not given:
        raise InputError(f"model {model.name!r}, which does not say its inputs", "a functional model", "give functions")
    if names is not None and len(names) != len(given):
        raise InputError(f"inputs {', '.join(names)}", f"{len(given)}, as the model has", "give one array an input")
    names = [re.sub(r"\W", "_", tensor.name) for tensor in given] if names is None else list(names)
    if len(set(names)) < len(names):
        names = [f"input_{index}" for index in range(len(given))]
    specs = [
        tf.TensorSpec(tensor.shape, keras.backend.standardize_dtype(tensor.dtype), name=name)
        for tensor, name in zip(given, names, strict=True)
    ]

    def call(*tensors: Any) -> dict[str, Any]:
        return _named(model(packed(model, tensors), training=False))

    return {SERVING: (call, specs)}


def packed(model: keras.Model, tensors: Sequence[Any]) -> Any:
    """Inputs in a row, in the structure that a model is called with: alone, in a list, a dict or nested ones."""
    # `model.input` is no help: a Sequential that was never called has none.
    structure = getattr(model, "_inputs_struct", None)
    if structure is None:
        structure = model.inputs[0] if len(model.inputs) == 1 else model.inputs
    return keras.tree.pack_sequence_as(structure, list(tensors))


def _named(result: Any) -> dict[str, Any]:
    if isinstance(result, Mapping):
        named = {re.sub(r"\W", "_", str(name)): value for name, value in result.items()}
        if len(named) == len(result):
            return named
    flat = keras.tree.flatten(result)
    return {"output": flat[0]} if len(flat) == 1 else {f"output_{index}": value for index, value in enumerate(flat)}


def random_inputs(specs: Any, batch: int = 1, seed: int = 0) -> Arrays:
    """Inputs to try a function on: floats evenly spread over 0–1, whole numbers 0 or 1.

    Args:
        specs: `tf.TensorSpec`s with names.
        batch: size of the first axis, where it is free.
        seed: of the numbers.

    Returns:
        Input's name → array.

    Raises:
        InputError: where another axis than the first is free.
    """
    random = np.random.default_rng(seed)
    made = {}
    for spec in specs:
        shape = spec.shape.as_list()
        sizes = [batch if size is None and axis == 0 else size for axis, size in enumerate(shape)]
        if None in sizes:
            raise InputError(f"input {spec.name} of shape {tuple(shape)}", "known sizes", "give inputs to compare on")
        kind = np.dtype(spec.dtype.as_numpy_dtype)
        integer = np.issubdtype(kind, np.integer) or kind == np.bool_
        made[spec.name] = (random.integers(0, 2, sizes) if integer else random.random(sizes)).astype(kind)
    return made


def answers(function: Any, inputs: Mapping[str, np.ndarray], specs: Any) -> Arrays:
    """What a function of tensors answers to arrays, as arrays by name."""
    import tensorflow as tf

    wanted = [spec.name for spec in specs]
    if set(inputs) != set(wanted):
        raise InputError(f"inputs {', '.join(inputs)}", ", ".join(wanted), "name the arrays as the inputs are")
    result = function(*(tf.constant(inputs[spec.name]) for spec in specs))
    return {name: keras.ops.convert_to_numpy(value) for name, value in result.items()}


def outputs(model: keras.Model, inputs: Mapping[str, np.ndarray]) -> Arrays:
    """What a Keras model answers to arrays in the order of its inputs, as arrays called "0", "1", …."""
    answer = model(packed(model, list(inputs.values())), training=False)
    flat = keras.tree.flatten(answer)
    return {str(index): keras.ops.convert_to_numpy(value) for index, value in enumerate(flat)}


def difference(wanted: Mapping[str, np.ndarray], answer: Mapping[str, np.ndarray]) -> tuple[float, int]:
    """How far two answers are apart.

    Args:
        wanted: output's name → array.
        answer: likewise.

    Returns:
        (largest difference of any output relative to that output's largest absolute value or 1, whichever is more,
        infinite where a value is no number; how many values were compared).

    Raises:
        Differs: when they have other names or shapes.
    """
    if set(wanted) != set(answer):
        raise Differs(f"outputs {', '.join(sorted(answer))} instead of {', '.join(sorted(wanted))}")
    worst, count = 0.0, 0
    for name, value in wanted.items():
        if answer[name].shape != value.shape:
            raise Differs(f"{name} of shape {answer[name].shape} instead of {value.shape}")
        if not value.size:
            continue
        expected = value.astype(np.float64)
        apart = np.abs(answer[name].astype(np.float64) - expected).max()
        worst = max(worst, float(apart / max(1.0, np.abs(expected).max())) if np.isfinite(apart) else np.inf)
        count += value.size
    return worst, count
