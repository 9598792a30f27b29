"""How much each box counts in training, and how often each image is shown: rare classes more, hidden objects less."""

import numpy as np

from data_tools import anchors
from data_tools.store import SplitView
from run_tools.errors import InputError

UNKNOWN_OCCLUSION = 3
"""KITTI's mark, and the largest; its evaluation leaves such objects out at every difficulty."""

COMMON = 0.5
"""A class that is in at least this share of the images needs no repetition."""


def balanced(classes: np.ndarray) -> np.ndarray:
    """Weights with which each class counts as the square root of its number of boxes, 1 on average.

    Weights by the number itself would have a few trams weigh as much as thousands of cars, and steps be as noisy as
    with a few boxes a batch.

    Args:
        classes: class of each box, (m,); −1, DontCare, does not count.

    Returns:
        float64 (m,); 1 for DontCare.
    """
    weights, objects = np.ones(len(classes)), classes >= 0
    if objects.any():
        rare = anchors.class_weights(classes[objects])
        weights[objects] = rare / rare.mean()
    return weights


def visible(view: SplitView, occlusion: float, truncation: float) -> np.ndarray:
    """Weights of boxes by what can be seen of their objects: (1 − occlusion · o/3) · (1 − truncation · t).

    Args:
        view: the split, with o in 0–3 and t in 0–1 of each box; what is negative, so not told, takes nothing off.
        occlusion: weight that the highest level of occlusion takes off, 0–1; KITTI's "unknown" is that level.
        truncation: weight that an object takes off that is wholly outside the image, 0–1.

    Returns:
        float64 (m,), in 0–1.

    Raises:
        InputError: for a number outside 0–1.
    """
    for name, value in (("occlusion", occlusion), ("truncation", truncation)):
        if not 0.0 <= value <= 1.0:
            raise InputError(f"{name} discount {value}", "a share of the weight, 0-1", "0 turns it off")
    hidden = np.clip(view.all_occluded.astype(np.float64), 0, UNKNOWN_OCCLUSION) / UNKNOWN_OCCLUSION
    outside = np.clip(view.all_truncated.astype(np.float64), 0.0, 1.0)
    return (1.0 - occlusion * hidden) * (1.0 - truncation * outside)


def repeats(view: SplitView, classes: np.ndarray) -> np.ndarray:
    """How often each image should be shown, against others: √(.5 / f) for the rarest class in it, at least 1.

    Args:
        view: the split.
        classes: class of each of its boxes, (m,); −1 does not count.

    Returns:
        float64 (images,), at least 1; f is the share of the images that hold a class.

    Source: Gupta et al. (2019), "LVIS", section 4.2, "Repeat factor sampling", with the threshold .5.
    """
    image = np.repeat(np.arange(len(view)), np.diff(view.offsets))
    factors = np.ones(len(view))
    for label in np.unique(classes[classes >= 0]):
        holding = np.unique(image[classes == label])
        factors[holding] = np.maximum(factors[holding], np.sqrt(COMMON * len(view) / len(holding)))
    return factors
