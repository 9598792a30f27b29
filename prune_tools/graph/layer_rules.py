"""How channels pass through Keras's layers."""

from __future__ import annotations

import math

import keras
import numpy as np
from keras import layers

from prune_tools.graph.call import Call, register
from prune_tools.graph.tensor_rules import concatenate, flatten, merge, pass_through, permute, reshape

ELEMENTWISE = frozenset(
    (
        *("relu", "relu6", "leaky_relu", "elu", "selu", "celu", "gelu", "silu", "swish", "mish", "linear"),
        *("sigmoid", "hard_sigmoid", "log_sigmoid", "sparse_sigmoid", "hard_silu", "hard_swish", "exponential"),
        *("tanh", "hard_tanh", "tanh_shrink", "soft_shrink", "hard_shrink", "threshold"),
        *("softplus", "softsign", "squareplus", "sparse_plus"),
    )
)
"""Names of Keras's activations that look at one value at a time."""

_MIXES = "its activation is not one of Keras's elementwise ones"


def _elementwise(layer) -> bool:
    activation = getattr(layer, "activation", None)
    if activation is None or isinstance(activation, (layers.ReLU, layers.LeakyReLU, layers.ELU)):
        return True
    own = str(getattr(activation, "__module__", "")).startswith("keras.")
    return own and getattr(activation, "__name__", "") in ELEMENTWISE


def _first(call: Call) -> bool:
    return getattr(call.layer, "data_format", "channels_last") == "channels_last"


def _plain(call: Call) -> str | None:
    """Why a layer with a kernel cannot be cut, None where it can."""
    if not _first(call):
        return "data_format 'channels_first' is not supported"
    if getattr(call.layer, "lora_enabled", False) or getattr(call.layer, "quantization_mode", None):
        return "LoRA and quantised weights are not supported"
    if call.inputs[0] is None:
        return "the number of input channels is unknown"
    return None


def _produce(call: Call, key: str):
    """The layer's own units, its bias along them, its config entry `key` their number."""
    units = call.units(getattr(call.layer, key))
    call.weight("bias", {0: units})
    call.width(key, units)
    if not _elementwise(call.layer):
        call.freeze(units, _MIXES)
    return units


def _dense(call: Call):
    if reason := _plain(call):
        return call.unsupported(reason)
    channels, units = call.inputs[0], _produce(call, "units")
    call.weight("kernel", {0: channels, 1: units})
    call.reads("kernel", channels)
    return units


def _conv(call: Call):
    if reason := _plain(call):
        return call.unsupported(reason)
    channels, units, groups = call.inputs[0], _produce(call, "filters"), call.layer.groups
    if groups > 1:
        return _grouped(call, channels, units, groups)
    call.weight("kernel", {-2: channels, -1: units})
    call.reads("kernel", channels)
    return units


def _grouped(call: Call, channels, units, groups: int):
    """A group of a grouped convolution goes as a whole, with the channels it reads and the units it makes."""
    call.tie(np.concatenate([channels.reshape(groups, -1), units.reshape(groups, -1)], axis=1))
    call.weight("kernel", {-1: units})
    size = len(units) // groups
    call.edit("groups", units, lambda stays: int(stays.sum()) // size)
    call.reads(None, channels)
    return units


def _conv_transpose(call: Call):
    if reason := _plain(call):
        return call.unsupported(reason)
    channels, units = call.inputs[0], _produce(call, "filters")
    call.weight("kernel", {-1: channels, -2: units})
    # Each output sees one in `stride` taps along each axis, on average.
    call.reads("kernel", channels, axis=-1, out=-2, share=1 / math.prod(call.layer.strides))
    return units


def _separable(call: Call):
    if reason := _plain(call):
        return call.unsupported(reason)
    layer, channels, units = call.layer, call.inputs[0], _produce(call, "filters")
    spread = np.repeat(channels, layer.depth_multiplier)
    call.weight("depthwise_kernel", {-2: channels})
    call.weight("pointwise_kernel", {-2: spread, -1: units})

    def depthwise(inputs):
        """What the pointwise kernel reads is no tensor of the graph."""
        strides = layer.strides if layer.rank > 1 else layer.strides[0]
        # The layer's own autocast does not reach here, where half precision keeps its weights in float32.
        inputs, kernel = (keras.ops.cast(part, layer.compute_dtype) for part in (inputs, layer.depthwise_kernel))
        return keras.ops.depthwise_conv(inputs, kernel, strides, layer.padding, "channels_last", layer.dilation_rate)

    call.reads("pointwise_kernel", spread, view=depthwise)
    return units


def _depthwise(call: Call):
    if reason := _plain(call):
        return call.unsupported(reason)
    channels, times = call.inputs[0], call.layer.depth_multiplier
    call.weight("kernel", {-2: channels})
    made = channels
    if times > 1:
        made = call.units(len(channels) * times)
        call.tie(np.concatenate([channels[:, None], made.reshape(-1, times)], axis=1))
        call.reads(None, channels)
    call.weight("bias", {0: made})
    if not _elementwise(call.layer):
        call.freeze(made, _MIXES)
    return made


def _normalise(call: Call):
    """Batch and layer normalisation over the last axis: one scale and shift a channel."""
    channels, axis, rank = call.inputs[0], call.layer.axis, len(call.shapes[0])
    axes = [axis] if isinstance(axis, int) else list(axis)
    if channels is None or [index % rank for index in axes] != [rank - 1]:
        return call.unsupported("normalises over another axis than the channels")
    for attribute in ("gamma", "beta", "moving_mean", "moving_variance"):
        call.weight(attribute, {0: channels})
    return channels


def _prelu(call: Call):
    channels = call.inputs[0]
    if channels is None:
        return call.unsupported("the number of channels is unknown")
    if call.layer.alpha.shape[-1] > 1:
        call.weight("alpha", {-1: channels})
    return channels


def _activation(call: Call):
    if not _elementwise(call.layer):
        return call.unsupported(_MIXES)
    return pass_through(call)


def _spatial(call: Call):
    """Moves, merges or drops positions, never channels."""
    if not _first(call):
        return call.unsupported("data_format 'channels_first' is not supported")
    return pass_through(call)


def _dropout(call: Call):
    shape = getattr(call.layer, "noise_shape", None)
    if shape is not None and shape[-1] not in (None, 1):
        call.edit("noise_shape", call.inputs[0], lambda stays: (*shape[:-1], int(stays.sum())))
    return pass_through(call)


def _rescaling(call: Call):
    if np.ndim(call.layer.scale) or np.ndim(call.layer.offset):
        return call.unsupported("one scale a channel is not supported")
    return pass_through(call)


def _reshape(call: Call):
    return reshape(call, "target_shape", first=1)


def _flatten(call: Call):
    if not _first(call):
        return call.unsupported("data_format 'channels_first' is not supported")
    return flatten(call)


def _permute(call: Call):
    return permute(call, (0, *call.layer.dims))


def _register() -> None:
    sized = {
        "Conv{}D": _conv,
        "Conv{}DTranspose": _conv_transpose,
        "SeparableConv{}D": _separable,
        "DepthwiseConv{}D": _depthwise,
        **dict.fromkeys(("MaxPooling{}D", "AveragePooling{}D"), _spatial),
        **dict.fromkeys(("GlobalMaxPooling{}D", "GlobalAveragePooling{}D"), _spatial),
        **dict.fromkeys(("ZeroPadding{}D", "Cropping{}D", "UpSampling{}D", "SpatialDropout{}D"), _spatial),
    }
    named = {
        "Dense": _dense,
        **dict.fromkeys(("BatchNormalization", "LayerNormalization"), _normalise),
        **dict.fromkeys(("ReLU", "LeakyReLU", "ELU", "Identity", "ActivityRegularization"), pass_through),
        **dict.fromkeys(("Dropout", "AlphaDropout"), _dropout),
        **dict.fromkeys(("GaussianDropout", "GaussianNoise"), pass_through),
        **dict.fromkeys(("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum"), merge),
        "PReLU": _prelu,
        "Activation": _activation,
        "Rescaling": _rescaling,
        "Resizing": _spatial,
        "Concatenate": concatenate,
        "Reshape": _reshape,
        "Flatten": _flatten,
        "Permute": _permute,
    }
    for pattern, rule in sized.items():
        for rank in (1, 2, 3):
            if layer_class := getattr(layers, pattern.format(rank), None):
                register(layer_class, rule)
    for name, rule in named.items():
        register(getattr(layers, name), rule)


_register()
