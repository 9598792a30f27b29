"""ResNet-18, LeNet-5 and plain dense networks as functional Keras graphs whose widths are arguments.

Source: He et al. (2016), "Deep Residual Learning for Image Recognition", padded as in torchvision, whose weights then
fit; LeCun et al. (1998), "Gradient-based learning applied to document recognition", as paper 004, section 1.4,
describes it; papers 001 (Table 3) and 002 (Table 1).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

from run_tools.errors import InputError, unknown_name

NORM_EPSILON = 1e-5
NORM_MOMENTUM = 0.9
HEAD = "logits"

STAGES = 4
BLOCKS = 2
RESNET18_WIDTHS = tuple(width for width in (64, 128, 256, 512) for _ in range(1 + BLOCKS))
"""Of each stage: the channels of the sum that its blocks add to, then those inside its first and second block. The stem
shares the first stage's sum."""

LENET5_WIDTHS = (6, 16, 120, 84)
"""Two convolutions that are pooled, the convolution that leaves one pixel of a 32x32 image, the dense layer."""
LENET5_LEAST = 32
MLP_WIDTHS = (500,)


@dataclass(frozen=True)
class Network:
    """How one architecture is built.

    Attributes:
        widths: the published ones.
        build: from (inputs, widths, dropout) to what the head reads.
        names: from widths to the layer that makes each of them.
        resolve: from what a user gave to one width a place, InputError where that does not fit.
        least: smallest height and width of an image; 0: takes vectors.
    """

    widths: tuple[int, ...]
    build: Callable[[Any, Sequence[int], float], Any]
    names: Callable[[Sequence[int]], tuple[str, ...]]
    resolve: Callable[[Sequence[int]], tuple[int, ...]]
    least: int


def network(architecture: str) -> Network:
    """The architecture of a name, else InputError."""
    if architecture not in NETWORKS:
        raise unknown_name("architecture", architecture, NETWORKS)
    return NETWORKS[architecture]


def resolve_widths(architecture: str, widths: Sequence[int] | None = None) -> tuple[int, ...]:
    """One width a place of the network.

    Args:
        architecture: "resnet18", "lenet5" or "mlp".
        widths: None: the published ones. ResNet-18 takes twelve (`RESNET18_WIDTHS`) or four, one a stage; LeNet-5
            four; a dense network one a hidden layer, any number of them.

    Raises:
        InputError: for an unknown architecture, or widths that are too many, too few or not positive.
    """
    chosen = network(architecture)
    if widths is None:
        return chosen.widths
    if any(isinstance(width, bool) or int(width) != width or width < 1 for width in widths):
        raise InputError(f"widths {tuple(widths)}", "whole numbers of at least 1", "change them")
    return chosen.resolve([int(width) for width in widths])


def build(
    architecture: str,
    input_shape: tuple[int, ...],
    outputs: int,
    widths: Sequence[int],
    dropout: float,
    mean: Sequence[float] | None,
    deviation: Sequence[float] | None,
) -> tuple[Any, Any]:
    """Input and logits of a network.

    Args:
        architecture: one of `NETWORKS`.
        input_shape: (H, W, channels) or (features,).
        outputs: number of classes.
        widths: as `resolve_widths` returns them.
        dropout: share of a dense network's hidden units dropped while it learns, 0–1.
        mean: subtracted from the input, one a channel or feature; None: the input is taken as it is.
        deviation: what the rest is then divided by, likewise.

    Returns:
        `(inputs, logits)`; the logits are float32, (batch, outputs).
    """
    inputs = keras.Input(input_shape, name="features" if len(input_shape) == 1 else "image")
    x = inputs
    if mean is not None and deviation is not None:
        scale = [1.0 / value for value in deviation]
        offset = [-value * factor for value, factor in zip(mean, scale, strict=True)]
        x = layers.Rescaling(scale, offset, name="standardise")(x)
    x = network(architecture).build(x, widths, dropout)
    # The head stays float32 under mixed precision: the loss needs the digits.
    return inputs, layers.Dense(outputs, dtype="float32", name=HEAD)(x)


def _convolution(x, width: int, kernel: int, stride: int, name: str):
    """Convolution without bias and batch normalisation; padded alike on both sides at any stride, unlike "same"."""
    if kernel > 1:
        x = layers.ZeroPadding2D(kernel // 2, name=f"{name}_pad")(x)
    x = layers.Conv2D(
        width, kernel, strides=stride, use_bias=False, kernel_initializer="he_normal", name=f"{name}_conv"
    )(x)
    return layers.BatchNormalization(momentum=NORM_MOMENTUM, epsilon=NORM_EPSILON, name=f"{name}_norm")(x)


def _resnet18(x, widths: Sequence[int], dropout: float):
    x = layers.ReLU(name="stem_relu")(_convolution(x, widths[0], 7, 2, "stem"))
    # What is padded is at least 0, so zeros never win: the same as a pool that leaves them out.
    x = layers.MaxPooling2D(3, 2, name="stem_pool")(layers.ZeroPadding2D(1, name="stem_pool_pad")(x))
    for stage in range(STAGES):
        total, *inner = widths[3 * stage : 3 * stage + 3]
        for block in range(BLOCKS):
            name = f"stage{stage + 1}_block{block + 1}"
            stride = 2 if stage and not block else 1
            y = layers.ReLU(name=f"{name}_relu1")(_convolution(x, inner[block], 3, stride, f"{name}_1"))
            y = _convolution(y, total, 3, 1, f"{name}_2")
            if stride == 2:
                x = _convolution(x, total, 1, 2, f"{name}_shortcut")
            x = layers.ReLU(name=f"{name}_relu2")(layers.Add(name=f"{name}_add")([x, y]))
    return layers.GlobalAveragePooling2D(name="pool")(x)


def _resnet18_names(widths: Sequence[int]) -> tuple[str, ...]:
    found = []
    for stage in range(1, STAGES + 1):
        found.append("stem_conv" if stage == 1 else f"stage{stage}_block1_2_conv")
        found += [f"stage{stage}_block{block}_1_conv" for block in range(1, BLOCKS + 1)]
    return tuple(found)


def _resolve_resnet18(widths: Sequence[int]) -> tuple[int, ...]:
    if len(widths) == STAGES:
        return tuple(width for width in widths for _ in range(1 + BLOCKS))
    return _counted("resnet18", widths, len(RESNET18_WIDTHS), f" or {STAGES}, one a stage")


def _lenet5(x, widths: Sequence[int], dropout: float):
    for index in (1, 2):
        x = layers.Conv2D(widths[index - 1], 5, activation="tanh", name=f"conv_{index}")(x)
        x = layers.AveragePooling2D(2, name=f"pool_{index}")(x)
    x = layers.Conv2D(widths[2], 5, activation="tanh", name="conv_3")(x)
    return layers.Dense(widths[3], activation="tanh", name="dense_1")(layers.Flatten(name="flatten")(x))


def _mlp(x, widths: Sequence[int], dropout: float):
    for index, width in enumerate(widths, start=1):
        x = layers.Dense(width, activation="relu", kernel_initializer="he_normal", name=f"dense_{index}")(x)
        if dropout:
            x = layers.Dropout(dropout, name=f"dropout_{index}")(x)
    return x


def _mlp_names(widths: Sequence[int]) -> tuple[str, ...]:
    return tuple(f"dense_{index}" for index in range(1, len(widths) + 1))


def _resolve_mlp(widths: Sequence[int]) -> tuple[int, ...]:
    if not widths:
        raise InputError("no widths", "at least one hidden layer", "for example 500")
    return tuple(widths)


def _counted(architecture: str, widths: Sequence[int], count: int, more: str = "") -> tuple[int, ...]:
    if len(widths) != count:
        raise InputError(f"{len(widths)} widths", f"{count} for {architecture}{more}", "give one a place")
    return tuple(widths)


NETWORKS: Mapping[str, Network] = {
    "resnet18": Network(RESNET18_WIDTHS, _resnet18, _resnet18_names, _resolve_resnet18, 1),
    "lenet5": Network(
        LENET5_WIDTHS,
        _lenet5,
        lambda widths: ("conv_1", "conv_2", "conv_3", "dense_1"),
        lambda widths: _counted("lenet5", widths, len(LENET5_WIDTHS)),
        LENET5_LEAST,
    ),
    "mlp": Network(MLP_WIDTHS, _mlp, _mlp_names, _resolve_mlp, 0),
}
