"""How channels pass through what has no weights: joins, reshapes, and the raw operations behind `keras.ops`."""

from __future__ import annotations

import math
from collections.abc import Sequence

import keras
import numpy as np

from prune_tools.graph.call import Call, register_operations


def pass_through(call: Call):
    """Every channel comes out where it went in."""
    return call.inputs[0]


def merge(call: Call):
    """Adds, multiplies or otherwise joins tensors channel by channel."""
    if _has_array(call):
        return call.unsupported("a constant array takes part; write it as a layer with weights")
    known = [channels for channels in call.inputs if channels is not None]
    if len(known) < len(call.inputs):
        return call.unsupported("the number of channels of an input is unknown")
    wide = max(known, key=len)
    for channels in known:
        if len(channels) == len(wide):
            call.join(wide, channels)
        else:
            call.freeze(channels, "its one channel is spread over all channels of the other input")
    return wide


def unary(call: Call):
    """Looks at one value at a time."""
    return call.unsupported("a constant array takes part") if _has_array(call) else call.inputs[0]


def _has_array(call: Call) -> bool:
    """Whether an array with a value for each channel, which nothing would cut, takes part in the call."""
    given = list(call.arguments)
    if not isinstance(call.layer, keras.layers.Layer):  # `ops.clip` and its like keep their arguments
        given += [value for name, value in vars(call.layer).items() if not name.startswith("_")]
    for value in given:
        if isinstance(value, keras.KerasTensor):
            continue
        shape = np.shape(value) if isinstance(value, (list, tuple)) else tuple(getattr(value, "shape", ()))
        if shape and shape[-1] > 1:
            return True
    return False


def concatenate(call: Call):
    """Side by side along the channels, or along another axis, where the channels must match."""
    if any(channels is None for channels in call.inputs) or _has_array(call):
        return call.unsupported("the number of channels of an input is unknown, or a constant array takes part")
    if call.layer.axis % len(call.shapes[0]) == len(call.shapes[0]) - 1:
        return np.concatenate(call.inputs)
    return merge(call)


def flatten(call: Call):
    """Position p's channel c becomes p·C + c."""
    channels, shape = call.inputs[0], call.shapes[0][1:]
    if channels is None or None in shape:
        return call.unsupported("the size of its input is unknown")
    return np.tile(channels, math.prod(shape) // len(channels))


def reshape(call: Call, key: str, first: int = 0):
    """Keeps the last axis, or lays whole pixels side by side: both leave index modulo C the channel.

    `first` is the number of leading axes that the entry `key` leaves out.
    """
    channels, width = call.inputs[0], call.out_shape[-1]
    if channels is None or width is None or width % len(channels):
        return call.unsupported("it cuts the channels apart, so which of them is where cannot be decided")
    shape = getattr(call.layer, key)
    spread = np.tile(channels, width // len(channels))
    if len(call.out_shape) == first + len(shape) and shape[-1] != -1:
        call.edit(key, spread, lambda stays: (*shape[:-1], int(stays.sum())))
    return spread


def permute(call: Call, order: Sequence[int]):
    """Allowed where the last axis stays last."""
    if order[-1] % len(order) != len(order) - 1:
        return call.unsupported("it moves the channels to another axis")
    return call.inputs[0]


def _transpose(call: Call):
    rank = len(call.shapes[0])
    return permute(call, tuple(call.layer.axes or range(rank)[::-1]))


def _space_to_depth(call: Call):
    """Channel c becomes c, C + c, 2C + c, …"""
    channels = call.inputs[0]
    if channels is None or call.layer.data_format != "channels_last":
        return call.unsupported("only data_format 'channels_last' is supported")
    return np.tile(channels, call.layer.block_size**2)


def _depth_to_space(call: Call):
    """Channels c, C + c, 2C + c, … become the neighbouring pixels of channel c."""
    channels = call.inputs[0]
    if channels is None or call.layer.data_format != "channels_last":
        return call.unsupported("only data_format 'channels_last' is supported")
    rows = channels.reshape(call.layer.block_size**2, -1)
    for row in rows[1:]:
        call.join(rows[0], row)
    return rows[0]


def _spatial(call: Call):
    if getattr(call.layer, "data_format", "channels_last") != "channels_last":
        return call.unsupported("only data_format 'channels_last' is supported")
    return call.inputs[0]


def _reduce(call: Call):
    axis, rank = call.layer.axis, len(call.shapes[0])
    axes = range(rank) if axis is None else np.atleast_1d(axis)
    if any(index % rank == rank - 1 for index in axes):
        return call.unsupported("it reduces over the channels")
    return call.inputs[0]


def _expand_dims(call: Call):
    rank = len(call.out_shape)
    if any(index % rank == rank - 1 for index in np.atleast_1d(call.layer.axis)):
        return call.unsupported("it moves the channels to another axis")
    return call.inputs[0]


def _squeeze(call: Call):
    rank, axis = len(call.shapes[0]), call.layer.axis
    axes = np.atleast_1d(axis) if axis is not None else [i for i, size in enumerate(call.shapes[0]) if size == 1]
    if any(index % rank == rank - 1 for index in axes):
        return call.unsupported("it removes the axis of the channels")
    return call.inputs[0]


def _pad(call: Call):
    widths = np.broadcast_to(np.asarray(call.layer.pad_width), (len(call.shapes[0]), 2))
    return call.unsupported("it pads the channels") if widths[-1].any() else call.inputs[0]


def _get_item(call: Call):
    args = call.step.arguments.args
    key = args[1] if len(args) > 1 else call.step.arguments.kwargs["key"]
    key = tuple(key) if isinstance(key, (list, tuple)) else (key,)
    dots = [index for index, entry in enumerate(key) if entry is Ellipsis]
    tail = key[dots[0] + 1 :] if dots else key
    untouched = not tail if dots else sum(entry is not None for entry in key) < len(call.shapes[0])
    if untouched or (tail[-1] == slice(None) and isinstance(tail[-1], slice)):
        return call.inputs[0]
    return call.unsupported("it takes some of the channels")


register_operations(
    "Add Subtract Multiply Divide TrueDivide DivideNoNan FloorDivide Power Mod Fmod Maximum Minimum Fmax Fmin Where "
    "Greater GreaterEqual Less LessEqual Equal NotEqual LogicalAnd LogicalOr LogicalXor Arctan2 Hypot Logaddexp",
    merge,
)
register_operations(
    "Relu ReLU Relu6 Mish Sigmoid SparseSigmoid Softplus Softsign SoftShrink SparsePlus Silu Squareplus LogSigmoid "
    "LeakyRelu HardSigmoid HardSilu Elu Selu Gelu Celu TanhShrink HardTanh HardShrink Threshold Tanh Exp Expm1 "
    "Log Log1p Exp2 Log2 Log10 Absolute Negative Square Sqrt Rsqrt Cbrt Reciprocal Sign Sin Cos Tan Sinh Cosh Arcsin "
    "Arccos Arctan Arcsinh Arccosh Arctanh Erf Erfc Floor Ceil Round Trunc Clip NanToNum Isnan Isfinite Isinf "
    "LogicalNot Cast SaturateCast StopGradient Copy Identity",
    unary,
)
register_operations("Mean Max Min Amax Amin Sum Var Std Prod", _reduce)
register_operations("MaxPool AveragePool AdaptiveMaxPool AdaptiveAveragePool Resize", _spatial)
register_operations("Concatenate", concatenate)
register_operations("Reshape", lambda call: reshape(call, "newshape"))
register_operations("Transpose", _transpose)
register_operations("SpaceToDepth", _space_to_depth)
register_operations("DepthToSpace", _depth_to_space)
register_operations("ExpandDims", _expand_dims)
register_operations("Squeeze", _squeeze)
register_operations("Pad", _pad)
register_operations("GetItem", _get_item)
