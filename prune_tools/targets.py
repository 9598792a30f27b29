"""Which kernels prune: found by walking a model's layers, named so that the name outlives saving and loading."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import keras
import numpy as np
from keras import layers as kl
from keras.src.models.functional import Functional

from prune_tools import tracing
from run_tools.errors import InputError, unknown_name

Layers: TypeAlias = "str | keras.layers.Layer | Sequence[str | keras.layers.Layer] | None"

_CONVOLUTIONS = (kl.Conv1D, kl.Conv2D, kl.Conv3D)
_TRANSPOSED = (kl.Conv1DTranspose, kl.Conv2DTranspose, kl.Conv3DTranspose)
_SEPARABLE = (kl.SeparableConv1D, kl.SeparableConv2D)
_DEPTHWISE = (kl.DepthwiseConv1D, kl.DepthwiseConv2D)


@dataclass(frozen=True)
class Kernel:
    """One prunable weight tensor.

    Attributes:
        name: the path of its layer and its own name, such as "conv2d_3/kernel"; unique in the model.
        layer: the layer that holds it.
        variable: the weights, float.
        kind: "conv", "depthwise" or "dense".
        output_axes: the axes that count output units; empty where the layer's equation decides (`EinsumDense`).
        is_output: whether it makes an output of the model (see `tracing.output_layers`); None: not known.
    """

    name: str
    layer: keras.layers.Layer
    variable: keras.Variable
    kind: str
    output_axes: tuple[int, ...]
    is_output: bool | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of its axes."""
        return tuple(self.variable.shape)

    @property
    def size(self) -> int:
        """How many weights it has."""
        return int(np.prod(self.shape))

    def numpy(self) -> np.ndarray:
        """The weights as they are now, float32 or float64, a copy or read-only."""
        values = keras.ops.convert_to_numpy(self.variable)
        return values if values.dtype in (np.float32, np.float64) else values.astype(np.float32)


def kernels(model: keras.Model, layers: Layers = None) -> list[Kernel]:
    """The kernels to prune, in the order of the model's layers; one that is shared counts once.

    Never among them: biases, batch-norm and other normalisation, embeddings, recurrent layers, optimizer state.

    Args:
        model: a built functional, Sequential or subclassed model, nested ones too.
        layers: None or "conv+dense": kernels of convolutions (transposed and pointwise ones too), `Dense` and
            `EinsumDense`; "conv": of convolutions only; "depthwise": of depthwise convolutions only. All of these
            leave out the layers that make the model's outputs. Or layers, their names or shell patterns ("block_*",
            "backbone/*"), one or several: whatever these name is taken, depthwise kernels and the model's outputs too.

    Returns:
        At least one `Kernel`.

    Raises:
        InputError: if the model is not built, a name or pattern fits nothing, nothing is left, a chosen layer is
            quantized or has LoRA weights, or it is not known which layers of a subclassed model make its outputs.
    """
    found = list(walk(model))
    if not model.built or not found:
        told = "not built" if not model.built else "without convolution or dense kernels"
        raise InputError(f"model {model.name!r}, {told}", "a built model with such kernels", "build it on data first")
    if layers is None or (isinstance(layers, str) and layers in ("conv", "conv+dense", "depthwise")):
        kinds = (layers or "conv+dense").split("+")
        chosen = [kernel for kernel in with_outputs(model, found) if kernel.kind in kinds and not kernel.is_output]
    else:
        chosen = _named(found, [layers] if isinstance(layers, (str, keras.layers.Layer)) else layers)
    if not chosen:
        raise InputError(
            f"model {model.name!r}, where {layers or 'conv+dense'} leaves nothing but its outputs",
            "a kernel to prune",
            "name the layers with `layers=`",
        )
    for kernel in chosen:
        check_no_lora(kernel)
        if not keras.backend.is_float_dtype(kernel.variable.dtype):
            raise InputError(f"{kernel.name}, {kernel.variable.dtype}", "a float kernel", "prune before quantizing")
    return chosen


def check_no_lora(kernel: Kernel) -> None:
    """InputError for a kernel to which LoRA adds a product of two others: its zeros are none in what the layer does."""
    if getattr(kernel.layer, "lora_enabled", False):
        raise InputError(f"{kernel.name} with LoRA weights", "a plain kernel", "merge them into the kernel first")


def with_outputs(model: keras.Model, found: Sequence[Kernel]) -> list[Kernel]:
    """The same kernels with `is_output` filled in.

    Args:
        model: a built model.
        found: kernels of it.

    Returns:
        Copies.

    Raises:
        InputError: for a subclassed model that cannot be called on symbolic tensors.
    """
    heads: set[int] = set()
    for layer in tracing.output_layers(model):
        heads.update(id(variable) for variable in layer.weights)
    return [Kernel(k.name, k.layer, k.variable, k.kind, k.output_axes, id(k.variable) in heads) for k in found]


def _named(found: list[Kernel], wanted: Sequence[Any]) -> list[Kernel]:
    taken: set[str] = set()
    for item in wanted:
        if isinstance(item, keras.layers.Layer):
            inside = {id(layer) for layer in item._flatten_layers()}
            names = {kernel.name for kernel in found if id(kernel.layer) in inside}
        else:
            names = {kernel.name for kernel in found if _fits(kernel, str(item))}
        if not names:
            known = dict.fromkeys(kernel.name.rpartition("/")[0] or kernel.name for kernel in found)
            raise unknown_name("prunable layer", getattr(item, "name", str(item)), known)
        taken |= names
    return [kernel for kernel in found if kernel.name in taken]


def _fits(kernel: Kernel, pattern: str) -> bool:
    path = kernel.name.rpartition("/")[0]
    names = {kernel.name, path, kernel.layer.name}
    # A name may hold what a pattern would read as its own.
    return pattern in names or any(fnmatch.fnmatchcase(name, pattern) for name in names)


def walk(model: keras.layers.Layer) -> Iterator[Kernel]:
    """Every kernel that could be pruned, outputs and quantized ones too.

    Args:
        model: any model or layer.

    Yields:
        Kernels in the order of the layers, shared ones once.
    """
    seen: set[int] = set()
    used: set[str] = set()

    def visit(layer: keras.layers.Layer, path: str) -> Iterator[Kernel]:
        if id(layer) in seen:
            return
        seen.add(id(layer))
        for name, variable, kind, axes in _own(layer):
            if id(variable) not in seen:
                seen.add(id(variable))
                yield Kernel(_unique(f"{path}/{name}" if path else name, used), layer, variable, kind, axes)
        for name, child in _children(layer):
            yield from visit(child, f"{path}/{name}" if path else name)

    yield from visit(model, "")


def _unique(name: str, used: set[str]) -> str:
    number, free = 1, name
    while free in used:
        number += 1
        free = f"{name}~{number}"
    used.add(free)
    return free


def _own(layer: keras.layers.Layer) -> Iterator[tuple[str, keras.Variable, str, tuple[int, ...]]]:
    """Name, variable, kind and output axes of a layer's own kernels."""
    kinds: dict[str, tuple[str, tuple[int, ...]]] = {}
    if isinstance(layer, _SEPARABLE):
        kinds = {"depthwise_kernel": ("depthwise", (-2, -1)), "pointwise_kernel": ("conv", (-1,))}
    elif isinstance(layer, _DEPTHWISE):
        kinds = {"kernel": ("depthwise", (-2, -1))}
    elif isinstance(layer, _TRANSPOSED):
        kinds = {"kernel": ("conv", (-2,))}
    elif isinstance(layer, _CONVOLUTIONS):
        kinds = {"kernel": ("conv", (-1,))}
    elif isinstance(layer, kl.Dense):
        kinds = {"kernel": ("dense", (-1,))}
    elif isinstance(layer, kl.EinsumDense):
        kinds = {"kernel": ("dense", ())}
    for variable in layer.weights if kinds else ():
        if variable.name in kinds:
            yield variable.name, variable, *kinds[variable.name]


def _children(layer: keras.layers.Layer) -> list[tuple[str, keras.layers.Layer]]:
    """The layers inside a layer, with names that are the same after saving and loading.

    Layers of functional and Sequential models keep their names. Those of subclasses are named anew each time, so there
    the attribute that holds them counts.
    """
    if isinstance(layer, (Functional, keras.Sequential)):
        return [(child.name, child) for child in layer.layers]
    inner = {id(child): child for child in layer._layers}
    found: list[tuple[str, keras.layers.Layer]] = []

    def take(name: str, value: Any) -> None:
        if not inner:  # plain layers have none, and callbacks walk the model after every epoch
            return
        if id(value) in inner:
            found.append((name, inner.pop(id(value))))
        elif isinstance(value, dict):
            for key, item in value.items():
                take(f"{name}/{key}", item)
        elif isinstance(value, (list, tuple)):
            for index, item in enumerate(value):
                take(f"{name}/{index}", item)

    for name, value in vars(layer).items():
        # Keras's own lists, and those that TensorFlow keeps beside each attribute, would come first.
        if name not in ("_layers", "_tracker", "_metrics") and not name.startswith("_self_"):
            take(name.lstrip("_"), value)
    return found + [(child.name, child) for child in inner.values()]
