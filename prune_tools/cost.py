"""What a model costs: parameters, non-zeros, multiply-adds.

Zeros that no runtime skips save nothing: a SavedModel, a `.keras` file and dense LiteRT are as large and as slow with
them as without. `macs` is the work of the dense shapes; `macs_nonzero` what a runtime that skips zeros would do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import layers as kl

from prune_tools import holding, targets, tracing
from prune_tools.tracing import Call
from run_tools.errors import InputError

CONVENTIONS = ("macs", "flops", "paper001")

_ACTIVATIONS = (kl.Activation, kl.ReLU, kl.LeakyReLU, kl.PReLU, kl.ELU, kl.Softmax)
# With weights of two and more axes, but no products of weights and inputs worth counting.
_FREE = (
    kl.BatchNormalization, kl.Embedding, kl.GroupNormalization, kl.LayerNormalization, kl.Normalization, kl.PReLU,
    kl.RMSNormalization, kl.UnitNormalization,
)  # fmt: skip
# Operations that multiply tensors: counted nowhere, so never passed over in silence.
_PRODUCTS = (
    "Matmul",
    "Einsum",
    "DotProductAttention",
    "Dot",
    "Tensordot",
    "Conv",
    "ConvTranspose",
    "DepthwiseConv",
    "SeparableConv",
)


def summary(model: keras.Model, input_shape: Sequence[Any] | None = None) -> dict[str, Any]:
    """Parameters, zeros and multiply-adds of a model.

    Args:
        model: a built model, functional, Sequential or subclassed.
        input_shape: shape of its input, or shapes, without the batch; None: as it was built.

    Returns:
        parameters: all weights, batch-norm's statistics included; nonzero: those that are not zero; trainable;
        bytes: of all weights in memory; kernel_parameters, kernel_nonzero: of the prunable kernels; sparsity: fraction
        of zeros in these, 0–1; macs: multiply-adds for one input; macs_nonzero: those with a weight that is not zero;
        layers: for each kernel name, shape, parameters, nonzero, sparsity, macs.

    Raises:
        InputError: as `macs`.
    """
    holding.sync(model)
    counted = {}
    nonzero = 0
    for variable in model.weights:
        counted[id(variable)] = int(np.count_nonzero(keras.ops.convert_to_numpy(variable)))
        nonzero += counted[id(variable)]
    work = {id(kernel.variable): (kernel, count) for kernel, count in macs(model, input_shape)}
    layers: list[dict[str, Any]] = []
    for kernel in targets.walk(model):
        own, count = counted[id(kernel.variable)], work.get(id(kernel.variable), (kernel, 0))[1]
        layers.append({
            "name": kernel.name, "shape": list(kernel.shape), "parameters": kernel.size, "nonzero": own,
            "sparsity": 1 - own / kernel.size, "macs": count,
        })  # fmt: skip
    total, living = sum(row["parameters"] for row in layers), sum(row["nonzero"] for row in layers)
    return {
        "parameters": sum(_size(variable) for variable in model.weights),
        "nonzero": nonzero,
        "trainable": sum(_size(variable) for variable in model.trainable_variables),
        "bytes": sum(_size(v) * _item_bytes(v) for v in model.weights),
        "kernel_parameters": total,
        "kernel_nonzero": living,
        "sparsity": 1 - living / total if total else 0.0,
        "macs": sum(row["macs"] for row in layers),
        # Every weight of a kernel is used equally often, so the parts are exact.
        "macs_nonzero": sum(row["macs"] * row["nonzero"] // row["parameters"] for row in layers),
        "layers": layers,
    }


def flops(model: keras.Model, convention: str = "macs", input_shape: Sequence[Any] | None = None) -> int:
    """The work for one input, as one of three conventions counts it.

    Args:
        model: a built model.
        convention: "macs": a multiply-add is 1, nothing else counts; "flops": a multiply-add is 2, nothing else counts;
            "paper001": a multiply-add is 1, and so are each bias and each activation of every unit but the outputs',
            which gives 2061 · H for 2048–H–11.
        input_shape: as `summary`.

    Returns:
        A count.

    Raises:
        InputError: for another convention, or as `macs`.

    Source: paper 001, section on complexity.
    """
    if convention not in CONVENTIONS:
        raise InputError(f"convention {convention!r}", f"one of {', '.join(CONVENTIONS)}", "choose one of these")
    total = sum(count for _, count in macs(model, input_shape))
    if convention == "macs":
        return total
    if convention == "flops":
        return 2 * total
    for call in tracing.calls(model, input_shape):
        if call.at_output:
            continue
        layer = call.operation
        units = _positions(call.outputs[0], layer)
        if getattr(layer, "bias", None) is not None:
            total += units
        if isinstance(layer, _ACTIVATIONS) or getattr(layer, "activation", None) not in (
            None,
            keras.activations.linear,
        ):
            total += units
    return total


def macs(model: keras.Model, input_shape: Sequence[Any] | None = None) -> list[tuple[targets.Kernel, int]]:
    """Multiply-adds of each kernel for one input, shared layers' calls added up.

    Padding counts as input, as usual; biases, normalisation, activations and pooling do not count. Attention's products
    of two activations are refused rather than left out.

    Args:
        model: a built model.
        input_shape: as `summary`.

    Returns:
        (kernel, count) in the model's order.

    Raises:
        InputError: for layers or operations that multiply in ways not counted here (recurrent ones, attention), sizes
            that are not known, or models that cannot be followed (`tracing.calls`).
    """
    kernels = {id(kernel.variable): kernel for kernel in targets.walk(model)}
    counts = dict.fromkeys(kernels, 0)
    uses = []
    for call in tracing.calls(model, input_shape):
        layer = call.operation
        if not isinstance(layer, keras.layers.Layer):
            if type(layer).__name__ in _PRODUCTS:
                raise _not_counted(f"operation {layer.name}")
            continue
        known = [kernels[id(variable)] for variable in layer.weights if id(variable) in kernels]
        if not known and not isinstance(layer, _FREE) and any(len(v.shape) > 1 for v in layer.trainable_variables):
            raise _not_counted(f"layer {layer.name} ({type(layer).__name__})")
        uses += [(kernel, call) for kernel in known]
    for kernel, call in uses:  # only now, so that what is not counted at all is told first
        counts[id(kernel.variable)] += _work(kernel, call)
    return [(kernel, counts[key]) for key, kernel in kernels.items()]


def _work(kernel: targets.Kernel, call: Call) -> int:
    """Multiply-adds of one call: how often every weight is used, times the weights."""
    layer, given, made = kernel.layer, call.inputs[0], call.outputs[0]
    if isinstance(layer, kl.EinsumDense):
        return _einsum(layer.equation, given, kernel.shape, layer.name)
    if isinstance(layer, kl.Dense):
        return _product(made[1:-1], layer) * kernel.size
    # A transposed convolution spreads each position of its input.
    shape = given if kernel.output_axes == (-2,) else made
    first = layer.data_format == "channels_first"
    return _product(shape[2:] if first else shape[1:-1], layer) * kernel.size


def _einsum(equation: str, given: Sequence[int | None], kernel: Sequence[int], name: str) -> int:
    """All combinations of the indices but the batch's."""
    left, right = equation.split("->")[0].split(",")
    if "..." in left:
        left = left.replace("...", "".join(chr(0x391 + index) for index in range(len(given) - len(left) + 3)))
    sizes = dict(zip(left, given, strict=True)) | dict(zip(right, kernel, strict=True))
    batch = left[0]
    return _product([size for index, size in sizes.items() if index != batch], name)


def _positions(shape: Sequence[int | None], layer: Any) -> int:
    return _product(shape[1:], layer)


def _product(sizes: Sequence[int | None], layer: Any) -> int:
    if any(size is None for size in sizes):
        name = getattr(layer, "name", layer)
        raise InputError(f"layer {name} on an input of unknown size", "a fixed one", "give `input_shape`")
    return int(np.prod([size for size in sizes if size is not None], dtype=np.int64))


def _not_counted(told: str) -> InputError:
    return InputError(told, "convolutions, dense layers and what multiplies no weights", "count this model elsewhere")


def _size(variable: Any) -> int:
    return int(np.prod(variable.shape, dtype=np.int64))


def _item_bytes(variable: Any) -> int:
    return int(keras.ops.convert_to_numpy(variable).dtype.itemsize)
