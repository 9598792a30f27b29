"""A detector as files for other runtimes: the raw head, or finished detections."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data_tools.image_files import read_rgb, resize
from data_tools.scenes import street
from prune_tools import export as exporter
from run_tools.errors import InputError
from yolo_prune.decode import decode
from yolo_prune.detector import YoloV2
from yolo_prune.records import Detections

TOLERANCE = 1e-4
"""Largest difference allowed between a model and its SavedModel: of the raw head relative to its largest value, of
boxes relative to the image, of scores as they are."""

NEAR_TIES = 0.02
"""Share of detections that may be without a counterpart: where two scores or an overlap and its threshold differ in the
last digits alone, two correct programs may keep different boxes."""

CHECK_IMAGES = 2


def export(
    model: YoloV2,
    folder: str | Path,
    formats: Sequence[str],
    nms: bool = False,
    score: float = 0.005,
    iou: float = 0.45,
    limit: int = 100,
    choices: exporter.Choices | None = None,
    images: Sequence[str | Path] | None = None,
) -> dict[str, dict[str, Any]]:
    """Writes a detector in several formats, each read back by its runtime and compared before it counts.

    LiteRT, ONNX and OpenVINO files take float32 RGB in 0–1 as `image`; the raw head any number of images, detections
    (`nms`) one image. `exporter.KERAS` are the Keras model itself, raw head and all.

    Args:
        model: the detector.
        folder: where each format's file or folder is to be, see `prune_tools.export.FORMATS`.
        formats: their names.
        nms: decode and suppress inside, as `export_saved_model`.
        score: least score kept, with `nms`.
        iou: per-class suppression threshold, with `nms`.
        limit: most detections an image, with `nms`.
        choices: about the formats.
        images: pictures to compare on; None: synthetic street scenes.

    Returns:
        For each format what `prune_tools.export.write` says of it, with `nms`, `input` and `class_names`.

    Raises:
        InputError: as `prune_tools.export.write`, or for pictures that cannot be read.
    """
    names = exporter.check_formats(formats, choices)
    folder, requests = Path(folder), _requests(model, images)
    about = {"nms": nms, "input": list(model.image_size)}
    about["class_names"] = None if model.class_names is None else list(model.class_names)
    told: dict[str, dict[str, Any]] = {}
    if "saved_model" in names:
        told["saved_model"] = export_saved_model(model, folder / "saved_model", nms, score, iou, limit, images)
    # Together, so that what they are converted from is traced once.
    found = [name for name in names if nms and name not in ("saved_model", *exporter.KERAS)]
    heads = [name for name in names if name != "saved_model" and name not in found]
    if found:
        told |= _write_detections(model, folder, found, score, iou, limit, choices, requests)
    if heads:
        inputs = {"image": requests["serving_default"]}
        told |= exporter.write(folder, model, heads, _head(model), inputs, choices=choices)
    return {name: told[name] | about | {"nms": nms and name not in exporter.KERAS} for name in names}


def _head(model: YoloV2) -> exporter.Functions:
    """The raw head of any number of images."""
    import tensorflow as tf

    spec = tf.TensorSpec([None, *model.image_size, 3], tf.float32, name="image")
    return {"serving_default": (lambda image: {"logits": model(image, training=False)}, spec)}


def _write_detections(
    model: YoloV2,
    folder: Path,
    names: Sequence[str],
    score: float,
    iou: float,
    limit: int,
    choices: Any,
    requests: Any,
) -> dict[str, dict[str, Any]]:
    """Formats with decoding and suppression inside, for one image."""
    import tensorflow as tf

    spec = tf.TensorSpec([1, *model.image_size, 3], tf.float32, name="image")
    wanted = model.detect(requests["uint8"][:1], score, iou, limit)

    def compare(answer: dict[str, np.ndarray], tolerance: float) -> tuple[float, int]:
        if math.isinf(tolerance):  # with coarser numbers other boxes survive: there is no one difference
            return math.nan, 0
        return _compare_detections(wanted, answer, score, limit)

    functions = {"serving_default": (_detections_of_one(model, score, iou, limit), spec)}
    inputs = {"image": requests["serving_default"][:1]}
    return exporter.write(folder, model, names, functions, inputs, compare, choices)


def export_saved_model(
    model: YoloV2,
    path: str | Path,
    nms: bool = False,
    score: float = 0.005,
    iou: float = 0.45,
    limit: int = 100,
    images: Sequence[str | Path] | None = None,
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
        images: pictures to compare on; None: synthetic street scenes.

    Returns:
        `{"path", "nms", "input" (height, width), "class_names", "bytes", "zip_bytes", "max_difference", "tolerance",
        "compared", "precision", "zeros"}`; `compared` is how many detections, or values of the head, were compared,
        `zeros` what `prune_tools.export.kept` says.

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

    requests = _requests(model, images)
    wanted: Any = model.predict_on_batch(requests["serving_default"])
    if nms:
        wanted = model.detect(requests["uint8"], score, iou, limit)

    def check(written: Path) -> dict[str, Any]:
        worst, compared = 0.0, 0
        for signature, images in requests.items():
            answer = exporter.run_saved_model(written, images, signature)
            difference, count = (
                _compare_detections(wanted, answer, score, limit) if nms else _compare_head(wanted, answer)
            )
            worst, compared = max(worst, difference), compared + count
        return {
            "bytes": exporter.folder_bytes(written),
            "zip_bytes": exporter.zip_bytes(written),
            "max_difference": worst,
            "tolerance": TOLERANCE,
            "compared": compared,
            "precision": model.dtype_policy.compute_dtype,
            "zeros": exporter.zeros_kept(model, "saved_model", written),
        }

    try:
        told = exporter.saved_model(path, model, functions, check)
    except _Differs as error:
        received = f"a SavedModel that answers otherwise than its model ({error})"
        raise InputError(received, "the same answers", "export it with the versions it was trained with") from None
    return {
        "path": str(path),
        "nms": nms,
        "input": list(model.image_size),
        "class_names": None if model.class_names is None else list(model.class_names),
        **told,
    }


_Differs = exporter.Differs


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


def _detections_of_one(model: YoloV2, score: float, iou: float, limit: int):
    """Like `_detections` for one image, of operations that other runtimes have too.

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


def _requests(model: YoloV2, images: Sequence[str | Path] | None = None) -> dict[str, np.ndarray]:
    """Signature → images to compare on."""
    pixels = check_images(model, images)
    floats = pixels.astype(np.float32) / np.float32(255)
    if not np.isfinite(model.predict_on_batch(floats)).all():
        raise InputError("a model whose answers are not finite", "numbers", "train it again")
    return {"serving_default": floats, "uint8": pixels}


def _compare_head(wanted: np.ndarray, answer: dict[str, np.ndarray]) -> tuple[float, int]:
    """Largest difference relative to the head's largest value, and how many values were compared."""
    difference = float(np.abs(answer["logits"] - wanted).max() / max(1.0, float(np.abs(wanted).max())))
    if not difference <= TOLERANCE:  # NaN is no agreement either
        raise _Differs(f"by {difference:.2g} of the largest value, at most {TOLERANCE:g} allowed")
    return difference, wanted.size


def _compare_detections(
    wanted: Sequence[Detections], answer: dict[str, np.ndarray], score: float, limit: int
) -> tuple[float, int]:
    """Largest difference between detections and their counterparts, and how many were compared."""
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
        raise _Differs(f"{alone} of {compared} detections have no counterpart")
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
