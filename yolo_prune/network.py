"""YOLOv2's two networks as functional Keras graphs whose widths are arguments.

Source: `yolov2.cfg` and `yolov2-tiny.cfg` of darknet; Redmon & Farhadi (2016), "YOLO9000", section 3.
"""

from collections.abc import Sequence

import keras
from keras import layers

from run_tools.errors import InputError
from yolo_prune.darknet.layers import Reorg

STRIDE = 32
LEAKY_SLOPE = 0.1
NORM_EPSILON = 1e-5
NORM_MOMENTUM = 0.99

TINY_WIDTHS = (16, 32, 64, 128, 256, 512, 1024, 512)
"""Output channels of convolutions 1–8 of tiny-YOLOv2 (COCO); the ninth is the head."""

FULL_WIDTHS = (
    *(32, 64, 128, 64, 128, 256, 128, 256),
    *(512, 256, 512, 256, 512),
    *(1024, 512, 1024, 512, 1024),
    *(1024, 1024, 64, 1024),
)
"""Output channels of convolutions 1–22 of YOLOv2 in cfg order; 21 is the passthrough, 23 the head."""

# Kernel size of each convolution of the full body; a max-pool follows those in _FULL_POOLED.
_FULL_KERNELS = (3, 3, 3, 1, 3, 3, 1, 3, 3, 1, 3, 1, 3, 3, 1, 3, 1, 3)
_FULL_POOLED = (1, 2, 5, 8, 13)
_FULL_ROUTE = 13
PASSTHROUGHS = ("space_to_depth", "reorg")
DEFAULT_WIDTHS = {"tiny": TINY_WIDTHS, "full": FULL_WIDTHS}


def resolve_widths(variant: str, widths: Sequence[int] | None = None, width_multiplier: float = 1.0) -> tuple[int, ...]:
    """The output channels of every convolution but the head.

    Args:
        variant: "tiny" (8 widths) or "full" (22 widths).
        widths: explicit widths, at least 1 each, taken as they are; None: the published ones.
        width_multiplier: factor on the published widths, rounded to a multiple of 4 and at least 4.

    Returns:
        One int a convolution, in the order of darknet's cfg.

    Raises:
        InputError: if the variant is unknown, the count is wrong or a width is not positive.
    """
    if variant not in DEFAULT_WIDTHS:
        raise InputError(f"variant {variant!r}", "'tiny' or 'full'", "choose one of the two")
    published = DEFAULT_WIDTHS[variant]
    if widths is None:
        if not width_multiplier > 0:
            raise InputError(f"width_multiplier {width_multiplier}", "a number above 0", "for example 0.5")
        if width_multiplier == 1.0:
            return published
        return tuple(max(4, round(width * width_multiplier / 4) * 4) for width in published)
    if len(widths) != len(published):
        raise InputError(f"{len(widths)} widths", f"{len(published)} for variant {variant!r}", "give one a convolution")
    if any(int(width) != width or width < 1 for width in widths):
        raise InputError(f"widths {tuple(widths)}", "whole numbers of at least 1", "remove the layer's entry otherwise")
    return tuple(int(width) for width in widths)


def check_image_size(image_size: Sequence[int]) -> tuple[int, int]:
    """Refuses sizes that the network's five halvings do not divide.

    Args:
        image_size: (height, width) in pixels.

    Returns:
        The same as ints.

    Raises:
        InputError: for a side that is no positive multiple of 32; the nearest size is named.
    """
    height, width = (int(side) for side in image_size)
    if height < STRIDE or width < STRIDE or height % STRIDE or width % STRIDE:
        nearest = tuple(max(STRIDE, round(side / STRIDE) * STRIDE) for side in (height, width))
        raise InputError(
            f"image size {width}x{height}", f"multiples of {STRIDE}", f"use {nearest[1]}x{nearest[0]}, the nearest"
        )
    return height, width


def check_passthrough(variant: str, passthrough: str, widths: Sequence[int]) -> str:
    """How the full network brings fine features to the deep ones, else InputError.

    Args:
        variant: "tiny", which has no passthrough and ignores it, or "full".
        passthrough: "space_to_depth", or "reorg", which is darknet's and fits darknet's weights.
        widths: as `resolve_widths` returns them; the 21st must be divisible by 4 for "reorg".
    """
    if passthrough not in PASSTHROUGHS:
        raise InputError(f"passthrough {passthrough!r}", f"one of {', '.join(PASSTHROUGHS)}", "choose one of the two")
    if variant == "full" and passthrough == "reorg" and widths[20] % 4:
        raise InputError(f"width {widths[20]} of convolution 21", "a multiple of 4 for reorg", "change that width")
    return passthrough


def build(
    image_size: tuple[int, int],
    variant: str,
    widths: Sequence[int],
    outputs: int,
    passthrough: str = "space_to_depth",
):
    """Input and raw head of the network.

    Args:
        image_size: (height, width), multiples of 32.
        variant: "tiny" or "full".
        widths: as `resolve_widths` returns them.
        outputs: channels of the head, anchors · (5 + classes).
        passthrough: of the full network, "space_to_depth" or "reorg".

    Returns:
        `(inputs, logits)`: (batch, height, width, 3) in 0–1 and float32 (batch, height/32, width/32, outputs).
    """
    inputs = keras.Input((*image_size, 3), name="image")
    body = _tiny(inputs, widths) if variant == "tiny" else _full(inputs, widths, passthrough)
    # The head stays float32 under mixed precision: exp(tw) and the loss need the digits.
    logits = layers.Conv2D(outputs, 1, dtype="float32", name=f"conv_{len(widths) + 1}")(body)
    return inputs, logits


def block(x, index: int, width: int, kernel: int):
    """Convolution without bias, batch normalisation, leaky ReLU of slope 0.1.

    Args:
        x: (batch, h, w, channels).
        index: number of the convolution, counted from 1 as in the cfg; the layers are named after it.
        width: output channels.
        kernel: side of the kernel in pixels; zeros are padded so that h and w stay.

    Returns:
        (batch, h, w, width).
    """
    x = layers.Conv2D(width, kernel, padding="same", use_bias=False, name=f"conv_{index}")(x)
    x = layers.BatchNormalization(momentum=NORM_MOMENTUM, epsilon=NORM_EPSILON, name=f"norm_{index}")(x)
    return layers.LeakyReLU(negative_slope=LEAKY_SLOPE, name=f"leaky_{index}")(x)


def _tiny(x, widths: Sequence[int]):
    for index in range(1, 6):
        x = block(x, index, widths[index - 1], 3)
        x = layers.MaxPooling2D(2, name=f"pool_{index}")(x)
    x = block(x, 6, widths[5], 3)
    # darknet's sixth pool has stride 1 and keeps the size by padding right and below.
    x = layers.MaxPooling2D(2, strides=1, padding="same", name="pool_6")(x)
    x = block(x, 7, widths[6], 3)
    return block(x, 8, widths[7], 3)


def _full(x, widths: Sequence[int], way: str):
    route = None
    for index, kernel in enumerate(_FULL_KERNELS, start=1):
        x = block(x, index, widths[index - 1], kernel)
        if index == _FULL_ROUTE:
            route = x
        if index in _FULL_POOLED:
            x = layers.MaxPooling2D(2, name=f"pool_{index}")(x)
    x = block(x, 19, widths[18], 3)
    x = block(x, 20, widths[19], 3)
    passthrough = block(route, 21, widths[20], 1)
    passthrough = Reorg(2, name="reorg")(passthrough) if way == "reorg" else keras.ops.space_to_depth(passthrough, 2)
    x = layers.Concatenate(name="concat")([passthrough, x])
    return block(x, 22, widths[21], 3)
