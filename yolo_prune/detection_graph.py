"""A detector with decoding and suppression behind it, as one TensorFlow function: what `--nms` writes into files."""

from collections.abc import Callable
from typing import Any

from yolo_prune.decode import decode
from yolo_prune.detector import YoloV2

Function = Callable[[Any], dict[str, Any]]


def detections(model: YoloV2, score: float, iou: float, limit: int) -> Function:
    """The network followed by decoding and per-class suppression, for any number of images.

    Args:
        model: the detector.
        score: least score kept.
        iou: per-class suppression threshold.
        limit: most detections an image.

    Returns:
        float32 RGB in 0–1, (n, H, W, 3) → `boxes` float32 (n, limit, 4) xyxy relative to the image, `scores` float32
        and `classes` int32 (n, limit), `count` int32 (n,); zeros behind the last detection.
    """
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


def detections_of_one(model: YoloV2, score: float, iou: float, limit: int) -> Function:
    """Like `detections` for one image, of operations that other runtimes have too.

    Classes do not suppress each other because they are moved apart, each to a place of its own.
    """
    import tensorflow as tf

    def detect(images):
        boxes, scores = decode(model(images, training=False), model.anchors, model.num_classes)
        half = boxes[0, :, 2:] / 2
        corners = tf.clip_by_value(tf.concat([boxes[0, :, :2] - half, boxes[0, :, :2] + half], axis=-1), 0.0, 1.0)
        places = 2.0 * tf.range(model.num_classes, dtype=tf.float32)
        apart = tf.reshape(corners[:, None] + places[None, :, None], (-1, 4))
        every = tf.reshape(scores[0], (-1,))
        kept, count = tf.raw_ops.NonMaxSuppressionV4(
            boxes=tf.gather(apart, [1, 0, 3, 2], axis=-1), scores=every, max_output_size=limit, iou_threshold=iou,
            score_threshold=score, pad_to_max_output_size=True,
        )  # fmt: skip
        found = tf.range(limit) < count  # the places after them are padding
        chosen = tf.where(found, kept, 0)
        shown = tf.cast(found, tf.float32)
        return {
            "boxes": (tf.gather(corners, chosen // model.num_classes) * shown[:, None])[None],
            "scores": (tf.gather(every, chosen) * shown)[None],
            "classes": tf.where(found, chosen % model.num_classes, 0)[None],
            "count": tf.reshape(count, (1,)),
        }

    return detect
