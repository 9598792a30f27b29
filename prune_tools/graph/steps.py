"""A functional model as a flat list of calls, nested models opened, and the way back from the list to a model."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from run_tools.errors import InputError


@dataclass(frozen=True)
class Step:
    """One call of one layer or raw operation.

    `name` is the layer's, made unique where a nested model repeats it. `inputs` and `outputs` are tensor numbers.
    """

    layer: Any
    name: str
    arguments: Any
    binding: Mapping[int, int]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    training: bool | None = None

    def fill(self, values: Mapping[int, Any]) -> tuple[tuple, dict]:
        """Arguments of the call with `values`, tensor number → value, in place of the symbolic tensors."""
        args, kwargs = self.arguments.fill_in({key: values[number] for key, number in self.binding.items()})
        if self.training is not None and "training" in inspect.signature(self.layer.call).parameters:
            kwargs = {"training": self.training, **kwargs}
        return args, kwargs


@dataclass
class Flat:
    """A model's calls in an order in which they can be made; tensors are numbered.

    `unread` are the layers of nested models that no output needs: they are among no steps, and not in a rebuilt model.
    """

    model: keras.Model
    steps: list[Step] = field(default_factory=list)
    inputs: tuple[int, ...] = ()
    outputs: tuple[int, ...] = ()
    shapes: list[tuple[int | None, ...]] = field(default_factory=list)
    names: dict[int, str] = field(default_factory=dict)
    unread: list[Any] = field(default_factory=list)

    def new_tensor(self, tensor: Any) -> int:
        """Numbers one more tensor."""
        self.shapes.append(tuple(tensor.shape))
        return len(self.shapes) - 1

    def name(self, layer: Any, owner: str | None) -> str:
        """The layer's name in the flat model."""
        if id(layer) not in self.names:
            taken = set(self.names.values())
            name = layer.name
            if name in taken and owner is not None:
                name = f"{owner}_{name}"
            count, plain = 1, name
            while name in taken:
                count, name = count + 1, f"{plain}_{count}"
            self.names[id(layer)] = name
        return self.names[id(layer)]

    def run(self, inputs: Sequence[Any], make: Callable[[Step], Any] = lambda step: step.layer) -> dict[int, Any]:
        """Makes every call, with the layers that `make` gives, on tensors or symbolic tensors.

        Returns:
            Tensor number → value.
        """
        values = dict(zip(self.inputs, inputs, strict=True))
        for step in self.steps:
            args, kwargs = step.fill(values)
            found = keras.tree.flatten(make(step)(*args, **kwargs))
            values.update(zip(step.outputs, found, strict=True))
        return values

    def arrange(self, inputs: Any) -> list[Any]:
        """A batch of inputs, given in a structure that the model takes, as a list in the model's order.

        Args:
            inputs: an array, a list, or a dict by the names of the inputs, of which others are left out.

        Returns:
            One array or tensor an input, of the input's type where it has another one, as calling the model makes it.

        Raises:
            InputError: if they do not fit the model's inputs or each other.
        """
        keys, listed = _input_names(_graph(self.model))
        found = [inputs[key] for key in keys if key in inputs] if isinstance(inputs, dict) else [inputs]
        leaves = list(keras.tree.flatten(found))
        shapes, wanted = [tuple(np.shape(leaf)) for leaf in leaves], [self.shapes[number] for number in self.inputs]
        fits = len(shapes) == len(wanted) and all(map(_fits, shapes, wanted)) and len({one[0] for one in shapes}) == 1
        if not fits or not (listed or isinstance(inputs, dict)):
            named = [
                f"{key} of (batch, {', '.join(map(str, own[1:]))})" for key, own in zip(keys, wanted, strict=False)
            ]
            told = ", ".join(map(str, shapes[:8])) + f" and {len(shapes) - 8} more" * (len(shapes) > 8)
            raise InputError(
                f"inputs of shapes {told or 'none'}",
                f"those of model {self.model.name!r}: {', '.join(named)}",
                "give all inputs, equally many of each, in a dict by their names or in the model's order",
            )
        types = [tensor.dtype for tensor in _graph(self.model).inputs]
        return [_typed(leaf, wanted) for leaf, wanted in zip(leaves, types, strict=True)]

    def pack(self, outputs: Sequence[Any]) -> Any:
        """Outputs, in their order, in the structure in which the model returns them."""
        return keras.tree.pack_sequence_as(_graph(self.model).output, list(outputs))


def _input_names(graph: Any) -> tuple[list[str], bool]:
    """By which names a model's inputs go, in their order, and whether a list of them can be told from that order."""
    if isinstance(graph.input, dict):  # Keras flattens a dict by its sorted keys, and refuses a list for another order
        return sorted(graph.input), list(graph.input) == sorted(graph.input) or len(graph.input) == 1
    return [tensor._keras_history.operation.name for tensor in graph.inputs], True


def _fits(shape: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    """Whether a batch has the sizes that are known of an input."""
    return len(shape) == len(wanted) and all(
        own in (None, size) for size, own in zip(shape[1:], wanted[1:], strict=True)
    )


def _typed(leaf: Any, wanted: str) -> Any:
    if wanted == "string" or (hasattr(leaf, "dtype") and keras.backend.standardize_dtype(leaf.dtype) == wanted):
        return leaf
    return keras.ops.cast(leaf, wanted)


def flatten(model: keras.Model) -> Flat:
    """Lists the calls of a functional or sequential model.

    Raises:
        InputError: if the model has no graph, or calls a nested model in a way that cannot be opened.
    """
    flat = Flat(model)
    graph = _graph(model)
    # Outer names first, so that a nested model's layers give way.
    flat.names = {id(operation): operation.name for operation in graph.operations if not _has_graph(operation)}
    flat.inputs = tuple(flat.new_tensor(tensor) for tensor in graph.inputs)
    flat.outputs = _expand(flat, graph, flat.inputs, None, None)
    _leave_out_unread(flat)
    return flat


def _leave_out_unread(flat: Flat) -> None:
    """A nested model may have outputs that nobody takes; what only they need is no part of the function."""
    needed, steps = set(flat.outputs), []
    for step in reversed(flat.steps):
        if needed & set(step.outputs):
            steps.append(step)
            needed.update(step.inputs)
    live = {id(step.layer) for step in steps}
    flat.unread = list({id(step.layer): step.layer for step in flat.steps if id(step.layer) not in live}.values())
    flat.steps = steps[::-1]


def _has_graph(layer: Any) -> bool:
    return isinstance(layer, keras.Model) and hasattr(getattr(layer, "_functional", None) or layer, "_nodes_by_depth")


def _graph(model: keras.Model) -> Any:
    if not _has_graph(model):
        raise InputError(
            f"model {model.name!r}, which has no graph of layers",
            "a functional model, or a Sequential model that is built",
            "build it with keras.Model(inputs, outputs), or call the Sequential model on its Input first",
        )
    return getattr(model, "_functional", None) or model


def _expand(flat: Flat, graph: Any, inputs: Sequence[int], owner: str | None, training: bool | None) -> tuple[int, ...]:
    known = {id(tensor): number for tensor, number in zip(graph.inputs, inputs, strict=True)}
    for depth in sorted(graph._nodes_by_depth, reverse=True):
        for node in graph._nodes_by_depth[depth]:
            if node.is_input or any(id(tensor) not in known for tensor in node.input_tensors):
                continue
            found = _call(flat, node, known, owner, training)
            known.update((id(tensor), number) for tensor, number in zip(node.outputs, found, strict=True))
    return tuple(known[id(tensor)] for tensor in graph.outputs)


def _call(flat: Flat, node: Any, known: dict[int, int], owner: str | None, training: bool | None) -> tuple[int, ...]:
    layer = node.operation
    inputs = tuple(known[id(tensor)] for tensor in node.input_tensors)
    if _has_graph(layer):
        inner = _graph(layer)
        given = node.arguments.args[0] if node.arguments.args else None
        told = isinstance(given, dict) and not isinstance(layer.input, dict)
        if len(inputs) != len(inner.inputs) or told:
            raise InputError(
                f"nested model {layer.name!r}, called with {len(inputs)} tensors",
                f"its {len(inner.inputs)} inputs in their order",
                "call it with a list",
            )
        asked = node.arguments.kwargs.get("training")
        made = _expand(flat, inner, inputs, layer.name, training if asked is None else asked)
        for number, tensor in zip(made, node.outputs, strict=True):
            flat.shapes[number] = tuple(tensor.shape)  # the call may know sizes that the nested model leaves open
        return made
    binding = {id(tensor): known[id(tensor)] for tensor in node.input_tensors}
    outputs = tuple(flat.new_tensor(tensor) for tensor in node.outputs)
    flat.steps.append(Step(layer, flat.name(layer, owner), node.arguments, binding, inputs, outputs, training))
    return outputs


def rebuild(
    flat: Flat, edits: Mapping[str, Mapping[str, Any]], others: Mapping[str, Callable[..., Any]] | None = None
) -> tuple[keras.Model, dict[str, Any]]:
    """A plain functional model of new layers, without the weights.

    Args:
        flat: the model's calls.
        edits: layer name → entries of its config that change.
        others: layer name → what makes another layer of its config, instead of the layer's own class.

    Returns:
        The model, and its layers and operations by name.
    """
    made: dict[str, Any] = {}

    def make(step: Step) -> Any:
        if step.name not in made:
            made[step.name] = _copy_layer(step, edits.get(step.name, {}), (others or {}).get(step.name))
        return made[step.name]

    graph = _graph(flat.model)
    inputs = [
        keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype, name=tensor._keras_history.operation.name)
        for tensor in graph.inputs
    ]
    values = flat.run(inputs, make)
    outputs = [values[number] for number in flat.outputs]
    model = keras.Model(
        keras.tree.pack_sequence_as(graph.input, inputs),
        keras.tree.pack_sequence_as(graph.output, outputs),
        name=flat.model.name,
    )
    return model, made


def _copy_layer(step: Step, edits: Mapping[str, Any], other: Callable[..., Any] | None = None) -> Any:
    layer = step.layer
    if other is not None:
        return other(**{**layer.get_config(), **edits, "name": step.name})
    if isinstance(layer, keras.layers.Layer):
        try:
            return type(layer).from_config({**layer.get_config(), **edits, "name": step.name})
        except Exception as error:
            told = f"layer {step.name!r} ({type(layer).__name__}), which cannot be made again from its config"
            shown = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            fix = f"give it get_config() and from_config() that fit ({shown[:150]})"
            raise InputError(told, "a layer that can be saved and loaded", fix) from error
    if edits:
        return type(layer)(**edits, name=step.name)
    twin = copy.copy(layer)  # a raw operation: no weights, and the calls are recorded on the copy
    twin.name, twin._inbound_nodes, twin._outbound_nodes = step.name, [], []
    return twin
