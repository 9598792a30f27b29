"""Random flips, turns and colours of images that keep their label."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from run_tools.errors import InputError

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""ITU-R BT.601, as OpenCV and Pillow make grey."""


@dataclass(frozen=True)
class LabelAugment:
    """Strength of each random change; 0 turns it off.

    Attributes:
        flip: probability of a left-right flip, 0-1.
        rotation: degrees; the image is turned about its middle by an angle drawn from ±rotation, 0-180. What it then
            does not cover repeats its border.
        brightness, contrast, saturation: each factor is drawn from 1 ± this, 0-1.

    Source: paper 004, section 1.2, which names the changes and not their strengths.
    """

    flip: float = 0.5
    rotation: float = 10.0
    brightness: float = 0.2
    contrast: float = 0.2
    saturation: float = 0.2

    def __post_init__(self) -> None:
        for name, most in (("flip", 1), ("brightness", 1), ("contrast", 1), ("saturation", 1), ("rotation", 180)):
            if not 0.0 <= getattr(self, name) <= most:
                raise InputError(f"augment {name} {getattr(self, name)}", f"a number in 0-{most}", "0 turns it off")


def change(rng: np.random.Generator, image: np.ndarray, options: LabelAugment) -> np.ndarray:
    """An image changed at random.

    Args:
        rng: the source of randomness.
        image: uint8 RGB, shape (H, W, 3).
        options: how strong.

    Returns:
        uint8 RGB, shape (H, W, 3).
    """
    # All draws are made whatever is turned off, so that one option does not change what another one draws.
    flipped = rng.random() < options.flip
    angle = rng.uniform(-1.0, 1.0) * options.rotation
    factors = [
        1.0 + strength * rng.uniform(-1.0, 1.0)
        for strength in (options.brightness, options.contrast, options.saturation)
    ]
    return colour(turn(image, flipped, angle), *factors)


def turn(image: np.ndarray, flipped: bool, angle: float) -> np.ndarray:
    """An image flipped left to right, then turned counter-clockwise about its middle.

    Args:
        image: uint8, shape (H, W, 3).
        flipped: whether to flip.
        angle: degrees.

    Returns:
        uint8, shape (H, W, 3), the border repeated where the turned image does not reach.
    """
    image = np.ascontiguousarray(image[:, ::-1]) if flipped else image
    if angle == 0.0:
        return image
    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, 1.0)
    return cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def colour(image: np.ndarray, brightness: float, contrast: float, saturation: float) -> np.ndarray:
    """An image with other brightness, contrast and saturation, in this order.

    Args:
        image: uint8 RGB, shape (H, W, 3).
        brightness: factor of all values.
        contrast: factor of the distance from the image's mean luma.
        saturation: factor of each pixel's distance from its own luma.

    Returns:
        uint8 RGB, shape (H, W, 3).
    """
    if brightness == contrast == saturation == 1.0:
        return image
    pixels = np.minimum(image.astype(np.float32) * np.float32(brightness), 255.0)
    mean = np.float32((pixels @ LUMA).mean())
    pixels = np.clip(mean + np.float32(contrast) * (pixels - mean), 0.0, 255.0)
    grey = (pixels @ LUMA)[..., None]
    return np.rint(np.clip(grey + np.float32(saturation) * (pixels - grey), 0.0, 255.0)).astype(np.uint8)
