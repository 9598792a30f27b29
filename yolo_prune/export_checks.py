"""Whether an exported detector answers as its model does: on which images, and how near is the same."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from data_tools.image_files import read_rgb, resize
from data_tools.scenes import street
from prune_tools.export import Differs
from run_tools.errors import InputError
from yolo_prune.detector import YoloV2
from yolo_prune.records import Detections

TOLERANCE = 1e-4
"""Largest difference allowed between a model and its SavedModel: of the raw head relative to its largest value, of
boxes relative to the image, of scores as they are."""

NEAR_TIES = 0.02
"""Share of detections that may be without a counterpart: where two scores or an overlap and its threshold differ in the
last digits alone, two correct programs may keep different boxes."""

CHECK_IMAGES = 2


def check_images(model: YoloV2, images: Sequence[str | Path] | None = None) -> np.ndarray:
    """Images to compare on, of the network's size.

    Args:
        model: the detector.
        images: pictures; None: synthetic street scenes, because a trained detector finds nothing in noise.

    Returns:
        uint8 RGB, (n, H, W, 3).
    """
    if images:
        pictures = [read_rgb(Path(path)) for path in images]
    else:
        height, width = model.image_size
        size = (max(height, street.SMALLEST[0]), max(width, street.SMALLEST[1]))
        pictures = [street.render(0, index, size).image for index in range(CHECK_IMAGES)]
    return np.stack([resize(picture, model.image_size) for picture in pictures])


def requests_of(model: YoloV2, images: Sequence[str | Path] | None = None) -> dict[str, np.ndarray]:
    """What each signature is asked: name → images to compare on, float32 in 0–1 or uint8, (n, H, W, 3).

    Raises:
        InputError: for a detector whose answers are not finite.
    """
    pixels = check_images(model, images)
    floats = pixels.astype(np.float32) / np.float32(255)
    if not np.isfinite(model.predict_on_batch(floats)).all():
        raise InputError("a model whose answers are not finite", "numbers", "train it again")
    return {"serving_default": floats, "uint8": pixels}


def compare_heads(wanted: np.ndarray, answer: dict[str, np.ndarray]) -> tuple[float, int]:
    """Largest difference relative to the head's largest value, and how many values were compared.

    Raises:
        Differs: where it is above `TOLERANCE`.
    """
    difference = float(np.abs(answer["logits"] - wanted).max() / max(1.0, float(np.abs(wanted).max())))
    if not difference <= TOLERANCE:  # NaN is no agreement either
        raise Differs(f"by {difference:.2g} of the largest value, at most {TOLERANCE:g} allowed")
    return difference, wanted.size


def compare_detections(
    wanted: Sequence[Detections], answer: dict[str, np.ndarray], score: float, limit: int
) -> tuple[float, int]:
    """Largest difference between detections and their counterparts, and how many were compared.

    Args:
        wanted: of the model, one an image.
        answer: of the file, as `detection_graph.detections` names it.
        score: least score that both keep.
        limit: most detections an image that both keep.

    Raises:
        Differs: where more than `NEAR_TIES` of them have no counterpart within `TOLERANCE`.
    """
    worst, compared, alone = 0.0, 0, 0
    for index, expected in enumerate(wanted):
        count = int(answer["count"][index])
        found = Detections(*(answer[name][index, :count] for name in ("boxes", "scores", "classes")))
        # What scores no more than the threshold, or than the last of a full list, may be in one list and not the other.
        full = [float(each.scores[-1]) for each in (expected, found) if len(each) == limit]
        certain = max([score, *full]) + TOLERANCE
        for ones, others in ((expected, found), (found, expected)):
            apart = _apart(ones.take(ones.scores > certain), others)
            agreed = apart <= TOLERANCE
            compared, alone = compared + len(apart), alone + int((~agreed).sum())
            worst = max([worst, *apart[agreed].tolist()])
    if alone > NEAR_TIES * compared:
        raise Differs(f"{alone} of {compared} detections have no counterpart")
    return worst, compared


def _apart(ones: Detections, others: Detections) -> np.ndarray:
    """Largest difference in box and score of each detection to its nearest one of the same class, float (n,)."""
    if not len(others):
        return np.full(len(ones), np.inf)
    sides = np.abs(ones.boxes[:, None] - others.boxes[None]).max(axis=-1)
    distance = np.maximum(sides, np.abs(ones.scores[:, None] - others.scores[None]))
    distance[ones.classes[:, None] != others.classes[None]] = np.inf
    nearest: np.ndarray = distance.min(axis=1)
    return nearest
