"""A detector as a SavedModel: the raw head, or finished detections."""

from pathlib import Path
from typing import Any

import keras
import numpy as np

from prune_tools import export as exporter
from run_tools.errors import InputError
from yolo_prune.decode import decode
from yolo_prune.detector import YoloV2

TOLERANCE = 1e-4
"""Largest difference allowed between a model and its SavedModel after reloading, relative to the largest output."""


def export_saved_model(model: YoloV2, path: str | Path, nms: bool = False, **limits: float) -> dict[str, Any]:
    """Writes a SavedModel and checks what it answers against the model.

    Signatures: "serving_default" takes float32 RGB in 0–1, (n, H, W, 3); "uint8" takes uint8 RGB.
    Outputs: `logits`, the raw head; or with `nms`, `boxes` float32 (n, limit, 4) xyxy relative to the image, `scores` and
    `classes` (n, limit), and `count` int32 (n,), how many of them are detections.

    Args:
        model: the detector.
        path: the folder to be.
        nms: decode and suppress inside.
        **limits: `score` (.005), `iou` (.45) and `limit` (100) of `decode.detections`.

    Returns:
        `{"path", "nms", "bytes", "max_difference", "images"}`.

    Raises:
        InputError: when the folder cannot be written or the reloaded model answers otherwise.
    """
    import tensorflow as tf

    shape = [None, *model.image_size, 3]
    head = _detections(model, **limits) if nms else lambda images: {"logits": model(images, training=False)}
    functions = {
        "serving_default": (head, tf.TensorSpec(shape, tf.float32, name="image")),
        "uint8": (
            lambda images: head(tf.cast(images, tf.float32) / 255.0),
            tf.TensorSpec(shape, tf.uint8, name="image"),
        ),
    }
    exporter.saved_model(path, model, functions)
    difference = _check(model, path, nms, limits)
    return {
        "path": str(path),
        "nms": nms,
        "bytes": exporter.folder_bytes(path),
        "max_difference": difference,
    }


def _detections(model: YoloV2, score: float = 0.005, iou: float = 0.45, limit: int = 100):
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


def _check(model: YoloV2, path: str | Path, nms: bool, limits: dict[str, float]) -> float:
    """Largest difference between the model and its SavedModel on two noise images, through both signatures."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (2, *model.image_size, 3), np.uint8)
    images = pixels.astype(np.float32) / np.float32(255)
    wanted = _detections(model, **limits)(images) if nms else {"logits": model(images, training=False)}
    worst = 0.0
    for signature, inputs in (("serving_default", images), ("uint8", pixels)):
        answer = exporter.run_saved_model(path, inputs, signature)
        for name, value in wanted.items():
            expected = keras.ops.convert_to_numpy(value)
            difference = float(np.abs(answer[name].astype(np.float64) - expected).max()) if expected.size else 0.0
            worst = max(worst, difference / max(1.0, float(np.abs(expected).max(initial=0.0))))
    if not worst <= TOLERANCE:
        raise InputError(
            f"{path}, which differs from the model by {worst:.2g}", f"at most {TOLERANCE:g}", "export again"
        )
    return worst
