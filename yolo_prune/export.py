"""A detector as a SavedModel: the raw head, or finished detections."""

from pathlib import Path
from typing import Any

import numpy as np

from data_tools.image_files import resize
from data_tools.scenes import street
from prune_tools import export as exporter
from run_tools.errors import InputError
from yolo_prune.decode import decode
from yolo_prune.detector import YoloV2
from yolo_prune.records import Detections

TOLERANCE = 1e-4
"""Largest difference allowed between a model and its SavedModel: of the raw head relative to its largest value, of boxes
relative to the image, of scores as they are."""

NEAR_TIES = 0.02
"""Share of detections that may be without a counterpart: where two scores or an overlap and its threshold differ in the
last digits alone, two correct programs may keep different boxes."""

CHECK_IMAGES = 2


def export_saved_model(
    model: YoloV2, path: str | Path, nms: bool = False, score: float = 0.005, iou: float = 0.45, limit: int = 100
) -> dict[str, Any]:
    """Writes a SavedModel whose answers, read back, have been compared with the model's on synthetic street scenes.

    Signatures: "serving_default" takes float32 RGB in 0–1, (n, H, W, 3); "uint8" takes uint8 RGB.
    Outputs: `logits`, the raw head; or with `nms`, `boxes` float32 (n, limit, 4) xyxy relative to the image, `scores`
    float32 and `classes` int32 (n, limit), and `count` int32 (n,), how many of them are detections.

    Args:
        model: the detector.
        path: the folder to be.
        nms: decode and suppress inside.
        score: least score kept, with `nms`.
        iou: per-class suppression threshold, with `nms`.
        limit: most detections an image, with `nms`.

    Returns:
        `{"path", "nms", "input" (height, width), "class_names", "bytes", "max_difference", "compared"}`; the last is how
        many detections, or values of the head, were compared.

    Raises:
        InputError: when the folder cannot be written or the reloaded model answers otherwise; `path` is then as before.
    """
    import tensorflow as tf

    shape = [None, *model.image_size, 3]
    head = _detections(model, score, iou, limit) if nms else lambda images: {"logits": model(images, training=False)}
    functions = {
        "serving_default": (head, tf.TensorSpec(shape, tf.float32, name="image")),
        "uint8": (
            lambda images: head(tf.cast(images, tf.float32) / 255.0),
            tf.TensorSpec(shape, tf.uint8, name="image"),
        ),
    }

    def check(written: Path) -> tuple[float, int, int]:
        differs = [
            _compare_detections(model, written, *request, score, iou, limit) if nms else _compare_head(model, written, *request)
            for request in _requests(model)
        ]
        return max(d for d, _ in differs), sum(n for _, n in differs), exporter.folder_bytes(written)

    try:
        difference, compared, size = exporter.saved_model(path, model, functions, check)
    except _Differs as error:
        raise InputError(f"{path}, whose answers differ from the model's ({error})", "the same answers", "export again") from None
    return {
        "path": str(path),
        "nms": nms,
        "input": list(model.image_size),
        "class_names": None if model.class_names is None else list(model.class_names),
        "bytes": size,
        "max_difference": difference,
        "compared": compared,
    }


class _Differs(Exception):
    """Says how a reloaded model differs."""


def _detections(model: YoloV2, score: float, iou: float, limit: int):
    """The network followed by decoding and per-class suppression, as one TensorFlow function."""
    import tensorflow as tf

    def detect(images):
        boxes, scores = decode(model(images, training=False), model.anchors, model.num_classes)
        half = boxes[..., 2:] / 2
        corners = tf.concat([boxes[..., :2] - half, boxes[..., :2] + half], axis=-1)
        # TensorFlow wants y before x; the image is (0, 0, 1, 1) in both orders.
        corners = tf.clip_by_value(corners, 0.0, 1.0)
        ordered = tf.gather(corners, [1, 0, 3, 2], axis=-1)
        found = tf.image.combined_non_max_suppression(
            ordered[:, :, None], scores, limit, limit, iou_threshold=iou, score_threshold=score, clip_boxes=True
        )
        return {
            "boxes": tf.gather(found.nmsed_boxes, [1, 0, 3, 2], axis=-1),
            "scores": found.nmsed_scores,
            "classes": tf.cast(found.nmsed_classes, tf.int32),
            "count": found.valid_detections,
        }

    return detect


def _requests(model: YoloV2) -> list[tuple[str, np.ndarray]]:
    """Signature and input of each comparison. Streets, because a trained detector finds nothing in noise."""
    height, width = model.image_size
    size = (max(height, street.SMALLEST[0]), max(width, street.SMALLEST[1]))
    scenes = [resize(street.render(0, index, size).image, model.image_size) for index in range(CHECK_IMAGES)]
    pixels = np.stack(scenes)
    return [("serving_default", pixels.astype(np.float32) / np.float32(255)), ("uint8", pixels)]


def _as_float(images: np.ndarray) -> np.ndarray:
    return images.astype(np.float32) / np.float32(255) if images.dtype == np.uint8 else images


def _compare_head(model: YoloV2, path: Path, signature: str, images: np.ndarray) -> tuple[float, int]:
    """Largest difference relative to the head's largest value, and how many values were compared."""
    wanted = model.predict_on_batch(_as_float(images))
    answer = exporter.run_saved_model(path, images, signature)["logits"]
    if not (np.isfinite(wanted).all() and np.isfinite(answer).all()):
        raise _Differs("values that are not finite")
    difference = float(np.abs(answer - wanted).max() / max(1.0, float(np.abs(wanted).max())))
    if difference > TOLERANCE:
        raise _Differs(f"{signature}: by {difference:.2g} of the largest value, at most {TOLERANCE:g} allowed")
    return difference, answer.size


def _compare_detections(
    model: YoloV2, path: Path, signature: str, images: np.ndarray, score: float, iou: float, limit: int
) -> tuple[float, int]:
    """Largest difference between the model's own detections and their counterparts, and how many were compared."""
    answer = exporter.run_saved_model(path, images, signature)
    worst, compared, alone = 0.0, 0, 0
    for index, wanted in enumerate(model.detect(_as_float(images), score, iou, limit)):
        count = int(answer["count"][index])
        found = Detections(*(answer[name][index, :count] for name in ("boxes", "scores", "classes")))
        # What scores no more than the threshold, or than the last of a full list, may be in one list and not the other.
        full = [float(each.scores[-1]) for each in (wanted, found) if len(each) == limit]
        certain = max([score, *full]) + TOLERANCE
        for one, other in ((wanted, found), (found, wanted)):
            apart = _apart(one.take(one.scores > certain), other)
            compared += len(apart)
            alone += int((apart > TOLERANCE).sum())
            worst = max([worst, *apart[apart <= TOLERANCE].tolist()])
    if alone > NEAR_TIES * compared:
        raise _Differs(f"{signature}: {alone} of {compared} detections have no counterpart")
    return worst, compared


def _apart(ones: Detections, others: Detections) -> np.ndarray:
    """For each detection the largest difference in box and score to its nearest counterpart of the same class, float (n,)."""
    if not len(others):
        return np.full(len(ones), np.inf)
    sides = np.abs(ones.boxes[:, None] - others.boxes[None]).max(axis=-1)
    distance = np.maximum(sides, np.abs(ones.scores[:, None] - others.scores[None]))
    distance[ones.classes[:, None] != others.classes[None]] = np.inf
    nearest: np.ndarray = distance.min(axis=1)
    return nearest
