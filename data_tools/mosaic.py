"""Several images in one: where a mosaic's four windows lie, and mix-up.

Keras's own layers cannot do this for boxes: `keras.layers.CutMix` has no bounding boxes, and `MixUp` (3.15) joins the
boxes of two images but stacks their labels along the batch.

Source: Bochkovskiy et al. (2020), "YOLOv4", section 3.4, "Mosaic"; Zhang et al. (2019), "Bag of Freebies for Training
Object Detection Neural Networks", section 3.1.
"""

import itertools

import cv2
import numpy as np

CENTRE = (0.3, 0.7)
"""Where the four tiles meet, in shares of the height and of the width."""

LONG = 2.0
"""From this ratio of the sides on, the tiles stand in a row."""

SPREAD = 0.1
"""How far the cuts of a row stray from its quarters, in shares of the longer side."""

BETA = 1.5
"""Both parameters of the mix-up ratio's distribution: rather half and half than one of the two (Zhang et al.)."""

Picture = tuple[np.ndarray, np.ndarray]
"""uint8 (H, W, 3), and its objects: xyxy in pixels, class, weight, float64 (k, 6)."""


def tiles(rng: np.random.Generator, size: tuple[int, int]) -> list[tuple[int, int, int, int]]:
    """The four tiles of a mosaic.

    They meet in a random point. In an image at least twice as wide as high (or as high as wide) they stand in a row
    instead: half of a low image's height would cut through most of its objects.

    Args:
        rng: the source of randomness.
        size: (H, W) of the mosaic.

    Returns:
        (top, left, bottom, right) each, in pixels; together they cover the mosaic once.
    """
    height, width = size
    if width >= LONG * height:
        return [(0, left, height, right) for left, right in itertools.pairwise(_cuts(rng, width))]
    if height >= LONG * width:
        return [(top, 0, bottom, width) for top, bottom in itertools.pairwise(_cuts(rng, height))]
    y, x = (round(side * rng.uniform(*CENTRE)) for side in size)
    return [(0, 0, y, x), (0, x, y, width), (y, 0, height, x), (y, x, height, width)]


def _cuts(rng: np.random.Generator, side: int) -> list[int]:
    inner = [round(side * (quarter / 4 + rng.uniform(-SPREAD, SPREAD))) for quarter in (1, 2, 3)]
    return [0, *inner, side]


def blend(rng: np.random.Generator, first: Picture, second: Picture) -> Picture:
    """Mix-up: two pictures of one size shine through each other; the objects of both are there, as faint as they look.

    Args:
        rng: the source of randomness.
        first: a picture.
        second: another of the same size.

    Returns:
        The picture λ · first + (1 − λ) · second with λ from Beta(1.5, 1.5), and the objects of both, their weights
        times λ or 1 − λ.
    """
    share = float(rng.beta(BETA, BETA))
    image = cv2.addWeighted(first[0], share, second[0], 1.0 - share, 0.0)
    objects = np.concatenate([first[1], second[1]])
    objects[:, 5] *= np.repeat([share, 1.0 - share], [len(first[1]), len(second[1])])
    return image, objects
