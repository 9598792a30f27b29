"""Random flips, scale and aspect jitter and colour shifts of images and their boxes; the options of all augmentation.

Source: darknet `fill_truth_detection` and `distort_image` (jitter .3; hue ±.1; saturation and exposure ×U[1, 1.5]^±1).
"""

from dataclasses import dataclass

import cv2
import numpy as np

from run_tools.errors import InputError

PADDING = 127


@dataclass(frozen=True)
class Augment:
    """Strength of each random change; the default of each is a moderate one, 0 (or 1 for a factor) turns it off.

    Attributes:
        flip: probability of a left-right flip, 0–1.
        scale: an image is zoomed in by a factor of up to this, drawn log-uniformly, at least 1.
        zoom_out: it is zoomed out by up to scale ** zoom_out, 0–1: 0 only zooms in.
        aspect: width is stretched against height by a factor drawn log-uniformly from [1/(1 + aspect), 1 + aspect].
        hue: shift drawn from ±hue of the colour circle, 0–.5.
        saturation: factor drawn from U[1, saturation], inverted half of the time.
        exposure: the same for the brightness.
        min_visible: a box is dropped when less than this share of its area stays inside the image, 0–1. DontCare
            regions are not: what is left of one must not be taught as background either.
        min_pixels: … or when a side is left with fewer pixels than this.
        mosaic: probability that an image is put together from windows of four, 0–1 (`data_tools.mosaic`).
        mixup: probability that another image shines through, 0–1 (`data_tools.mosaic`).
    """

    flip: float = 0.5
    scale: float = 1.5
    zoom_out: float = 0.5
    aspect: float = 0.1
    hue: float = 0.05
    saturation: float = 1.5
    exposure: float = 1.5
    min_visible: float = 0.3
    min_pixels: float = 2.0
    mosaic: float = 0.0
    mixup: float = 0.0

    def __post_init__(self):
        shares = {name: getattr(self, name) for name in ("flip", "zoom_out", "min_visible", "mosaic", "mixup")}
        for name, value in shares.items():
            if not 0.0 <= value <= 1.0:
                raise InputError(f"augment {name} {value}", "a number in 0-1", "0 turns it off")
        for name in ("scale", "saturation", "exposure"):
            if not getattr(self, name) >= 1.0:
                raise InputError(f"augment {name} {getattr(self, name)}", "a factor of at least 1", "1 turns it off")
        if not (self.aspect >= 0.0 and 0.0 <= self.hue <= 0.5 and self.min_pixels >= 0.0):
            raise InputError(
                f"augment aspect {self.aspect}, hue {self.hue}, min_pixels {self.min_pixels}",
                "aspect and min_pixels at least 0, hue in 0-0.5",
                "0 turns each off",
            )


NO_AUGMENT = Augment(flip=0.0, scale=1.0, zoom_out=0.0, aspect=0.0, hue=0.0, saturation=1.0, exposure=1.0)


def draw_transform(
    rng: np.random.Generator, options: Augment, size: tuple[int, int], out: tuple[int, int]
) -> np.ndarray:
    """A random map from pixels of the stored image to pixels of the network's input.

    Args:
        rng: the source of randomness.
        options: how strong.
        size: (H, W) of the stored image.
        out: (H, W) of the input.

    Returns:
        float64 (2, 3): diagonal scales and offsets; x' = m[0, 0]·x + m[0, 2], y' = m[1, 1]·y + m[1, 2], in continuous
        coordinates where a pixel covers [i, i + 1).
    """
    low, high = -options.zoom_out * np.log(options.scale), np.log(options.scale)
    zoom = np.exp(rng.uniform(low, high))
    stretch = np.exp(rng.uniform(-1.0, 1.0) * np.log1p(options.aspect) / 2)
    across, down = zoom * stretch, zoom / stretch
    # The zoomed image is larger or smaller than the input; place it anywhere that leaves no avoidable border.
    left = rng.uniform(min(0.0, 1.0 - across), max(0.0, 1.0 - across))
    top = rng.uniform(min(0.0, 1.0 - down), max(0.0, 1.0 - down))
    matrix = np.array([[across * out[1] / size[1], 0.0, left * out[1]], [0.0, down * out[0] / size[0], top * out[0]]])
    if rng.random() < options.flip:
        matrix[0] = -matrix[0]
        matrix[0, 2] += out[1]
    return matrix


def transform_image(image: np.ndarray, matrix: np.ndarray, out: tuple[int, int]) -> np.ndarray:
    """The image under a `draw_transform` matrix: uint8 (out H, out W, 3), grey where it has no pixels."""
    exact = matrix[0, 0] == 1.0 and matrix[1, 1] == 1.0 and not matrix[:, 2].any()
    if exact and image.shape[:2] == tuple(out):
        return image
    centred = matrix.copy()
    # OpenCV's coordinates are of pixel centres, ours of pixel edges: half a pixel apart on both sides.
    centred[:, 2] += 0.5 * (matrix[:, 0] + matrix[:, 1]) - 0.5
    border = (PADDING,) * 3
    flags = cv2.INTER_LINEAR
    return cv2.warpAffine(
        image, centred, (out[1], out[0]), flags=flags, borderMode=cv2.BORDER_CONSTANT, borderValue=border
    )


def transform_boxes(
    boxes: np.ndarray, matrix: np.ndarray, out: tuple[int, int], min_visible: float | np.ndarray, min_pixels: float
) -> tuple[np.ndarray, np.ndarray]:
    """Boxes under a `draw_transform` matrix, clipped to the input.

    Args:
        boxes: (k, 4) xyxy in stored pixels.
        matrix: (2, 3).
        out: (H, W) of the input.
        min_visible: least share of a box's area that must stay inside; one for all, or one a box, (k,).
        min_pixels: least side left, in pixels.

    Returns:
        `(boxes, kept)`: (k, 4) xyxy in input pixels, and bool (k,), which of them still show enough.
    """
    if not len(boxes):
        return np.zeros((0, 4), np.float64), np.zeros(0, bool)
    x = boxes[:, [0, 2]] * matrix[0, 0] + matrix[0, 2]
    y = boxes[:, [1, 3]] * matrix[1, 1] + matrix[1, 2]
    moved = np.stack([x.min(axis=1), y.min(axis=1), x.max(axis=1), y.max(axis=1)], axis=1)
    area = (moved[:, 2] - moved[:, 0]) * (moved[:, 3] - moved[:, 1])
    clipped = np.clip(moved, 0.0, [out[1], out[0], out[1], out[0]])
    sides = clipped[:, 2:] - clipped[:, :2]
    kept = (sides.prod(axis=1) >= min_visible * area) & (sides >= min_pixels).all(axis=1) & (area > 0)
    return clipped, kept


def shift_colours(rng: np.random.Generator, image: np.ndarray, options: Augment) -> np.ndarray:
    """Hue, saturation and exposure changed at random: uint8 (H, W, 3) RGB in and out."""
    hue = rng.uniform(-options.hue, options.hue)
    factors = []
    for strength in (options.saturation, options.exposure):
        factor = rng.uniform(1.0, strength)
        factors.append(1.0 / factor if rng.random() < 0.5 else factor)
    if hue == 0.0 and factors == [1.0, 1.0]:
        return image
    levels = np.arange(256, dtype=np.float64)
    # HSV_FULL spreads the colour circle over 0–255, so a hue shift is an addition modulo 256.
    tables = [np.mod(levels + hue * 256.0, 256.0), levels * factors[0], levels * factors[1]]
    table = np.stack([np.clip(channel, 0, 255) for channel in tables], axis=1).astype(np.uint8)[None]
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV_FULL)
    return cv2.cvtColor(cv2.LUT(hsv, table), cv2.COLOR_HSV2RGB_FULL)
