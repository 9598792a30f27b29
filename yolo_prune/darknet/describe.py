"""The cfg of a `YoloV2` that was built and trained here."""

from collections.abc import Iterator

import keras
import numpy as np

from yolo_prune.darknet.weights import Tensors
from yolo_prune.detector import YoloV2

_PASSTHROUGH, _BEFORE_ROUTE = 21, 13
"""Numbers of the convolution on the passthrough of the full network and of the one whose output it reads."""

_STEP = 2
"""Of the passthrough's rearrangement."""


def describe(model: YoloV2) -> tuple[str, Iterator[Tensors]]:
    """A detector as darknet has it.

    The full network's passthrough is, where `passthrough` is "reorg", darknet's own. `space_to_depth` is something else
    than darknet's reorg, but a convolution can express it: the 1×1 convolution of C filters before it and itself are
    one 2×2 convolution of stride 2 with 4 · C filters, each of which reads one of the four pixels; scales, means and
    variances are repeated. Batch-norm and leaky ReLU work pixel by pixel, so nothing is lost.

    Args:
        model: tiny or full, of any widths.

    Returns:
        `(text, tensors)`: the cfg, with the options of yolov2.cfg for training, and what the weights file holds.
    """
    sections = [_net(model)]
    places: dict[int, int] = {}
    folded = _folded(model)
    for number in range(1, len(model.widths) + 2):
        if number == _PASSTHROUGH and model.variant == "full":
            sections.append(_section("route", layers=places[_BEFORE_ROUTE] - len(sections) + 1))
        places[number] = len(sections) - 1
        sections.append(_convolution(model, number, folded))
        sections += _pool(model, number)
        if number == _PASSTHROUGH and model.variant == "full":
            if not folded:
                sections.append(_section("reorg", stride=_STEP))
            deep = places[_PASSTHROUGH - 1] - (len(sections) - 1)
            sections.append(_section("route", layers=f"-1,{deep}"))
    sections.append(_region(model))
    return "\n".join(sections), _tensors(model, folded)


def _folded(model: YoloV2) -> bool:
    return model.variant == "full" and model.passthrough == "space_to_depth"


def _section(kind: str, **options: object) -> str:
    return "".join([f"[{kind}]\n", *(f"{name}={value}\n" for name, value in options.items())])


def _net(model: YoloV2) -> str:
    height, width = model.image_size
    training: dict[str, object] = {
        "momentum": 0.9,
        "decay": 0.0005,
        "learning_rate": 0.001,
        "burn_in": 1000,
        "max_batches": 500200,
    }
    training |= {"policy": "steps", "steps": "400000,450000", "scales": ".1,.1"}
    return _section("net", batch=1, subdivisions=1, width=width, height=height, channels=3, **training)


def _convolution(model: YoloV2, number: int, folded: bool) -> str:
    layer = model.get_layer(f"conv_{number}")
    head = number == len(model.widths) + 1
    shape = {"size": layer.kernel_size[0], "stride": 1, "pad": 1, "filters": layer.filters}
    if folded and number == _PASSTHROUGH:
        shape = {"size": _STEP, "stride": _STEP, "pad": 0, "filters": layer.filters * _STEP**2}
    normalized = {} if head else {"batch_normalize": 1}
    return _section("convolutional", **normalized, **shape, activation="linear" if head else "leaky")


def _pool(model: YoloV2, number: int) -> list[str]:
    pools = [layer for layer in model.layers if layer.name == f"pool_{number}"]
    return [_section("maxpool", size=pool.pool_size[0], stride=pool.strides[0]) for pool in pools]


def _region(model: YoloV2) -> str:
    anchors = ", ".join(f"{width!r},{height!r}" for width, height in model.anchors)
    loss = {"bias_match": 1, "jitter": 0.3, "rescore": 1, "object_scale": 5, "noobject_scale": 1, "class_scale": 1}
    loss |= {"coord_scale": 1, "absolute": 1, "thresh": 0.6, "random": 0}
    told = {"anchors": anchors, "classes": model.num_classes, "coords": 4, "num": len(model.anchors), "softmax": 1}
    return _section("region", **told, **loss)


def _tensors(model: YoloV2, folded: bool) -> Iterator[Tensors]:
    for number in range(1, len(model.widths) + 2):
        tensors = tensors_of(model, number)
        yield _fold(tensors) if folded and number == _PASSTHROUGH else tensors


def _fold(tensors: Tensors) -> Tensors:
    """A 1×1 convolution with batch-norm, and the `space_to_depth` that follows, as one convolution of that stride."""
    biases, norm, kernel = tensors
    filters, channels = kernel.shape[:2]
    wide = np.zeros((_STEP**2 * filters, channels, _STEP, _STEP), kernel.dtype)
    for place in range(_STEP**2):
        # space_to_depth puts the pixel of row r and column c into the channels from (2·r + c)·C on.
        row, column = divmod(place, _STEP)
        wide[place * filters : (place + 1) * filters, :, row, column] = kernel[:, :, 0, 0]
    scales, mean, variance = (np.tile(part, _STEP**2) for part in norm or ())
    return Tensors(np.tile(biases, _STEP**2), (scales, mean, variance), wide)


def tensors_of(model: keras.Model, number: int) -> Tensors:
    """The weights of a convolution and of its batch-norm where it has one, in darknet's order.

    Args:
        model: with layers `conv_N` and `norm_N`.
        number: N, from 1.

    Returns:
        float32: biases (filters,), the batch-norm's three (filters,) each or None, kernel (filters, channels, rows,
        columns).
    """
    kernel, *bias = map(keras.ops.convert_to_numpy, model.get_layer(f"conv_{number}").weights)
    kernel = np.transpose(kernel, (3, 2, 0, 1))
    if bias:
        return Tensors(bias[0], None, kernel)
    norm = model.get_layer(f"norm_{number}")
    parts = (norm.gamma, norm.beta, norm.moving_mean, norm.moving_variance)
    scales, biases, mean, variance = map(keras.ops.convert_to_numpy, parts)
    return Tensors(biases, (scales, mean, variance), kernel)
