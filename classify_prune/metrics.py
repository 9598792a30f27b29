"""How good a classifier is: accuracy, per class and balanced, loss, calibration. Plain NumPy."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from run_tools.errors import InputError

BINS = 15
"""Of confidence, all equally wide, as in Guo et al. (2017)."""
Z95 = 1.959963984540054


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities of logits along the last axis, float32."""
    shifted = np.asarray(logits, np.float32)
    powers = np.exp(shifted - shifted.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def confusion(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """How often each class was taken for which.

    Args:
        labels: true classes, (n,), 0 up to `classes` - 1.
        predicted: likewise.
        classes: how many.

    Returns:
        int64, (classes, classes); row: the true class, column: the predicted one.
    """
    matrix = np.zeros((classes, classes), np.int64)
    np.add.at(matrix, (labels, predicted), 1)
    return matrix


def class_accuracy(matrix: np.ndarray) -> np.ndarray:
    """Share of each class's images that were recognised (its recall), float64 (classes,); NaN without images."""
    return _shares(np.diag(matrix), matrix.sum(axis=1))


def class_precision(matrix: np.ndarray) -> np.ndarray:
    """Share of what was taken for each class that is of it, float64 (classes,); NaN where nothing was."""
    return _shares(np.diag(matrix), matrix.sum(axis=0))


def balanced_accuracy(matrix: np.ndarray) -> float:
    """Mean of `class_accuracy` over the classes that have images; NaN without images."""
    known = class_accuracy(matrix)
    known = known[~np.isnan(known)]
    return float(known.mean()) if len(known) else math.nan


def cross_entropy(logits: np.ndarray, labels: np.ndarray) -> float:
    """Mean negative logarithm of the probability of the true class, of logits (n, classes)."""
    exact = np.asarray(logits, np.float64)
    exact = exact - exact.max(axis=1, keepdims=True)
    chosen = exact[np.arange(len(labels)), labels]
    return float(np.mean(np.log(np.exp(exact).sum(axis=1)) - chosen))


def top_accuracy(logits: np.ndarray, labels: np.ndarray, count: int) -> float:
    """Share of images whose class is among the `count` most probable; a tie with the last of them counts as a miss."""
    chosen = np.take_along_axis(logits, np.asarray(labels)[:, None], axis=1)
    # The class itself ties with itself.
    return float(((logits >= chosen).sum(axis=1) <= count).mean())


@dataclass(frozen=True, eq=False)
class Calibration:
    """Confidence against accuracy.

    Attributes:
        edges: of the bins of confidence, (bins + 1,), 0 to 1; a bin has its upper edge.
        counts: images in each bin.
        confidence: their mean probability of the predicted class; NaN in an empty bin.
        accuracy: how many of them were right; NaN likewise.
        error: the expected calibration error, 0–1.
    """

    edges: np.ndarray
    counts: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray
    error: float


def calibration(probabilities: np.ndarray, labels: np.ndarray, bins: int = BINS) -> Calibration:
    """Whether a classifier is as often right as it says.

    Args:
        probabilities: (n, classes), rows that add up to 1.
        labels: true classes, (n,).
        bins: equally wide ones.

    Returns:
        The bins, and the mean over the images of |accuracy − confidence| of their bin (expected calibration error).

    Source: Guo et al. (2017), "On Calibration of Modern Neural Networks", equations 1 to 3.
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == labels
    edges = np.linspace(0.0, 1.0, bins + 1)
    place = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)
    counts = np.bincount(place, minlength=bins)
    mean = _shares(np.bincount(place, confidence, bins), counts)
    accuracy = _shares(np.bincount(place, right, bins), counts)
    filled = counts > 0
    gaps = np.abs(accuracy[filled] - mean[filled])
    error = float((gaps * counts[filled]).sum() / max(1, counts.sum()))
    return Calibration(edges, counts, mean, accuracy, error)


def interval(right: int, count: int, z: float = Z95) -> tuple[float, float]:
    """Wilson's interval of a share, by default of 95 %.

    Args:
        right: successes.
        count: trials, at least 1.
        z: quantile of the normal distribution.

    Returns:
        (low, high) in 0–1.

    Source: Wilson (1927), "Probable inference, the law of succession, and statistical inference".
    """
    share, spread = right / count, z * z / count
    middle = (share + spread / 2) / (1 + spread)
    half = z / (1 + spread) * math.sqrt(share * (1 - share) / count + spread / (4 * count))
    return max(0.0, middle - half), min(1.0, middle + half)


def judge(logits: np.ndarray, labels: np.ndarray, class_names: tuple[str, ...]) -> dict[str, Any]:
    """Everything about one split.

    Args:
        logits: (n, classes).
        labels: true classes, (n,).
        class_names: one a class.

    Returns:
        images, right, accuracy, interval (95 %), top5 (from six classes up, else None), balanced_accuracy, loss, ece;
        classes: name → images, accuracy, precision (None where undefined); confusion: rows of counts, true class by
        predicted one; calibration: edges, counts, confidence, accuracy. All shares in 0–1.

    Raises:
        InputError: without images.
    """
    if not len(labels):
        raise InputError("a split without images", "at least one image", "choose another split or task")
    predicted = logits.argmax(axis=1)
    matrix = confusion(labels, predicted, len(class_names))
    right = int(np.trace(matrix))
    bins = calibration(softmax(logits), labels)
    known, precise = class_accuracy(matrix), class_precision(matrix)
    return {
        "images": len(labels),
        "right": right,
        "accuracy": right / len(labels),
        "interval": list(interval(right, len(labels))),
        "top5": top_accuracy(logits, labels, 5) if len(class_names) > 5 else None,
        "balanced_accuracy": balanced_accuracy(matrix),
        "loss": cross_entropy(logits, labels),
        "ece": bins.error,
        "classes": {
            name: {"images": int(matrix[i].sum()), "accuracy": _known(known[i]), "precision": _known(precise[i])}
            for i, name in enumerate(class_names)
        },
        "confusion": matrix.tolist(),
        "calibration": {
            "edges": bins.edges.tolist(),
            "counts": bins.counts.tolist(),
            "confidence": [_known(value) for value in bins.confidence],
            "accuracy": [_known(value) for value in bins.accuracy],
        },
    }  # fmt: skip


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _shares(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part / whole; NaN where whole is 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(whole > 0, part / whole, np.nan)
