"""What a model does with a batch, call by call: which layers make its outputs, and every call with its shapes.

Keras records calls on symbolic tensors. A functional model has its record; a subclassed one is called once on symbolic
tensors, and so are nested models and layers made of layers. That costs no arithmetic and changes no weight.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras
from keras import tree
from keras.src.models.functional import Functional

from prune_tools import symbols
from prune_tools.symbols import Shape
from run_tools.errors import InputError


@dataclass(frozen=True)
class Call:
    """One use of a layer or operation: shared layers have several.

    Attributes:
        operation: the layer or operation, none that is made of other layers.
        inputs: shapes of the tensors it was given, batch first.
        outputs: shapes of the tensors it returned, batch first.
        at_output: whether it makes an output of the model, up to layers without weights.
    """

    operation: Any
    inputs: tuple[Shape, ...]
    outputs: tuple[Shape, ...]
    at_output: bool


def calls(model: keras.Model, input_shape: Sequence[Any] | None = None) -> list[Call]:
    """Every call of a forward pass, nested models opened up.

    Args:
        model: a built model.
        input_shape: shape of its one input or shapes of its inputs, with or without the batch; None: as it was built.

    Returns:
        One `Call` a use, producers before consumers.

    Raises:
        InputError: if the model is not built, takes no such shape, or does what symbolic tensors cannot.
    """
    with _Tracer() as tracer:
        outputs = tracer.open(model, input_shape)
        makers = {id(node) for node in tracer.makers(outputs)}
        return [
            Call(node.operation, _shapes(node.input_tensors), _shapes(node.outputs), id(node) in makers)
            for node in tracer.leaves(outputs)
        ]


def output_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """The layers with weights whose outputs are the model's, up to layers without weights.

    Activations, reshaping, pooling, dropout and concatenation are looked through; additions are not, or all blocks of
    a residual network without a head would count.

    Args:
        model: a built model.

    Returns:
        The layers, each once. Layers made of layers that cannot be opened stand for all inside them.

    Raises:
        InputError: as `calls`.
    """
    with _Tracer() as tracer:
        nodes = tracer.makers(tracer.open(model, None))
        found = {id(node.operation): node.operation for node in nodes if getattr(node.operation, "weights", None)}
        return list(found.values())


class _Tracer:
    """Follows symbolic tensors back to their makers, opening what is made of layers; leaves no trace on exit."""

    def __init__(self) -> None:
        self._lengths: dict[int, tuple[Any, int, int]] = {}
        self._opened: dict[int, tuple[Any, list[Any] | None]] = {}

    def __enter__(self) -> _Tracer:
        return self

    def __exit__(self, *_: Any) -> None:
        for operation, inbound, outbound in self._lengths.values():
            del operation._inbound_nodes[inbound:]
            del operation._outbound_nodes[outbound:]

    def open(self, model: keras.Model, input_shape: Sequence[Any] | None) -> list[Any]:
        """The symbolic outputs of a model."""
        if not model.built:
            raise InputError(f"model {model.name!r}, which is not built", "a built model", "call it on a batch first")
        functional = _functional(model)
        if functional is not None and input_shape is None:
            return list(functional.outputs)
        args, kwargs = symbols.arguments(model, functional, input_shape)
        try:
            return self._run(model, args, kwargs)
        except Exception as error:
            shown = f"{type(error).__name__}: {str(error).splitlines()[0][:150] if str(error) else ''}"
            raise InputError(
                f"model {model.name!r}, which cannot be called on symbolic tensors ({shown})",
                "a functional or Sequential model, or a subclass written in Keras layers and operations",
                "name the layers with `layers=`, or check `input_shape`",
            ) from error

    def leaves(self, outputs: list[Any]) -> list[Any]:
        """All nodes that are not opened any further, producers first."""
        done: dict[int, Any] = {}
        waiting = [(node, False) for node in map(_node, outputs) if node is not None]
        while waiting:
            node, ready = waiting.pop()
            if id(node) in done:
                continue
            if not ready:
                waiting.append((node, True))
                waiting += [(parent, False) for parent in map(_node, node.input_tensors) if parent is not None]
                continue
            done[id(node)] = node
        found = []
        for node in done.values():
            inside = self._inside(node)
            found += [node] if inside is None else self.leaves(inside)
        return found

    def makers(self, outputs: list[Any]) -> list[Any]:
        """The nodes at the outputs: those with weights, and those without between them and the outputs."""
        found: list[Any] = []
        waiting, seen = list(outputs), set()
        while waiting:
            tensor = waiting.pop()
            node = _node(tensor)
            if node is None or id(node) in seen:
                continue
            seen.add(id(node))
            inside = self._inside(node)
            if inside is not None:
                inner = self.makers(inside)
                found += inner
                if not any(getattr(maker.operation, "weights", None) for maker in inner):
                    waiting += node.input_tensors
                continue
            found.append(node)
            looked_through = len(node.input_tensors) == 1 or type(node.operation).__name__.startswith("Concat")
            if looked_through and not getattr(node.operation, "weights", None):
                waiting += node.input_tensors
        return found

    def _inside(self, node: Any) -> list[Any] | None:
        """The outputs of what is made of layers, in terms of its inner calls; None for a plain operation."""
        operation = node.operation
        if not isinstance(operation, keras.layers.Layer) or not _is_made_of_layers(operation):
            return None
        if id(node) not in self._opened:
            functional = _functional(operation)
            inner = None
            if functional is not None and _shapes(functional.inputs) == _shapes(node.input_tensors):
                inner = list(functional.outputs)
            else:
                # What cannot be opened stays closed: the caller sees one layer with kernels inside.
                with contextlib.suppress(Exception):
                    fresh = {id(tensor): symbols.fresh(tensor) for tensor in node.input_tensors}
                    args, kwargs = node.arguments.fill_in(fresh)
                    inner = self._run(operation, args, kwargs)
            self._opened[id(node)] = (node, inner)  # the node too, so that its id stays its own
        return self._opened[id(node)][1]

    def _run(self, layer: keras.layers.Layer, args: Any, kwargs: Any) -> list[Any]:
        for operation in _operations(layer):
            counts = (operation, len(operation._inbound_nodes), len(operation._outbound_nodes))
            self._lengths.setdefault(id(operation), counts)
        return tree.flatten(layer.call(*args, **kwargs))


def _functional(model: Any) -> Functional | None:
    """The functional graph of a model, if it is one or holds one as `Sequential` does."""
    if isinstance(model, Functional):
        return model
    if isinstance(model, keras.Sequential):
        return model._functional
    return None


def _is_made_of_layers(layer: keras.layers.Layer) -> bool:
    """False too for a layer with weights of its own that only has an activation layer, such as Conv2D's."""
    own = layer._trainable_variables or layer._non_trainable_variables
    return any(inner.weights for inner in layer._layers) if own else bool(layer._layers)


def _operations(layer: keras.layers.Layer) -> Iterator[Any]:
    for inner in layer._flatten_layers():
        yield inner
        functional = _functional(inner)
        if functional is not None:
            yield functional
            yield from functional.operations


def _node(tensor: Any) -> Any:
    """The call that made a tensor; None for what a model is given."""
    history = getattr(tensor, "_keras_history", None)
    if history is None or history.operation is None:
        return None
    node = history.operation._inbound_nodes[history.node_index]
    return None if node.is_input else node


def _shapes(tensors: Sequence[Any]) -> tuple[Shape, ...]:
    return tuple(tuple(tensor.shape) for tensor in tensors)
