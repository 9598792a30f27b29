"""Symbolic tensors to call a model on, from the shapes that are given or that it was built with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import tree
from keras.src.models.functional import Functional

from run_tools.errors import InputError

Shape = tuple[int | None, ...]


def arguments(model: keras.Model, functional: Functional | None, input_shape: Any) -> tuple[Any, dict[str, Any]]:
    """Fresh symbolic arguments for a model's `call`.

    Args:
        model: a built model.
        functional: its graph, None for a subclass that has none.
        input_shape: shape of its one input or shapes of its inputs, with or without the batch; None: as it was built.

    Returns:
        Positional and keyword arguments.

    Raises:
        InputError: for shapes that do not fit, and where none is known.
    """
    if functional is not None:
        ranks = [len(tensor.shape) for tensor in functional.inputs]
        shapes = iter(_given(input_shape, ranks))
        return (tree.map_structure(lambda tensor: fresh(tensor, next(shapes)), functional._inputs_struct),), {}
    built = model._build_shapes_dict or {}
    if not built and input_shape is None:
        raise InputError(f"model {model.name!r}, whose input shape is not known", "a shape", "give `input_shape`")
    if input_shape is not None:
        first: Any = next(iter(built.values()), None)
        shape = _given(input_shape, [len(first) if _is_shape(first) else len(input_shape) + 1])[0]
        return (_symbol(shape),), {}
    if len(built) == 1:  # `build` may call it otherwise than `call` does
        return (_symbols(next(iter(built.values()))),), {}
    return (), {name.removesuffix("_shape"): _symbols(shape) for name, shape in built.items()}


def _given(input_shape: Sequence[Any], ranks: list[int]) -> list[Shape]:
    """What the user gave as one shape an input, batch first."""
    listed = [tuple(input_shape)] if _is_shape(input_shape) else [tuple(shape) for shape in input_shape]
    full = [shape if len(shape) == rank else (None, *shape) for shape, rank in zip(listed, ranks, strict=False)]
    if len(listed) != len(ranks) or any(len(shape) != rank for shape, rank in zip(full, ranks, strict=True)):
        told = " and ".join(f"{rank - 1} sizes" for rank in ranks)
        raise InputError(f"input_shape {input_shape}", f"{told} without the batch", "give one shape an input")
    return full


def _is_shape(shape: Any) -> bool:
    return isinstance(shape, (tuple, list)) and all(size is None or isinstance(size, int) for size in shape)


def _symbols(shapes: Any) -> Any:
    if shapes is None:
        return None
    if _is_shape(shapes):
        return _symbol(tuple(shapes))
    if isinstance(shapes, dict):
        return {name: _symbols(shape) for name, shape in shapes.items()}
    return [_symbols(shape) for shape in shapes]


def _symbol(shape: Shape, dtype: str | None = None) -> keras.KerasTensor:
    return keras.KerasTensor(shape, dtype=dtype or keras.config.floatx())


def fresh(tensor: keras.KerasTensor, shape: Shape | None = None) -> keras.KerasTensor:
    """A symbolic tensor like another one, of another shape if one is given; nothing has made it."""
    return _symbol(tuple(tensor.shape) if shape is None else shape, tensor.dtype)
