"""A detector as files for other runtimes: the raw head, or finished detections."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from prune_tools import export as exporter
from run_tools.errors import InputError
from yolo_prune.detection_graph import detections, detections_of_one
from yolo_prune.detector import YoloV2
from yolo_prune.export_checks import TOLERANCE, compare_detections, compare_heads, requests_of


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
    folder, requests = Path(folder), requests_of(model, images)
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
        return compare_detections(wanted, answer, score, limit)

    functions = {"serving_default": (detections_of_one(model, score, iou, limit), spec)}
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
    head = detections(model, score, iou, limit) if nms else lambda images: {"logits": model(images, training=False)}
    functions = {
        "serving_default": (head, tf.TensorSpec(shape, tf.float32, name="image")),
        "uint8": (
            lambda images: head(tf.cast(images, tf.float32) / 255.0),
            tf.TensorSpec(shape, tf.uint8, name="image"),
        ),
    }

    requests = requests_of(model, images)
    wanted: Any = model.predict_on_batch(requests["serving_default"])
    if nms:
        wanted = model.detect(requests["uint8"], score, iou, limit)

    def check(written: Path) -> dict[str, Any]:
        worst, compared = 0.0, 0
        for signature, images in requests.items():
            answer = exporter.run_saved_model(written, images, signature)
            difference, count = (
                compare_detections(wanted, answer, score, limit) if nms else compare_heads(wanted, answer)
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
    except exporter.Differs as error:
        received = f"a SavedModel that answers otherwise than its model ({error})"
        raise InputError(received, "the same answers", "export it with the versions it was trained with") from None
    return {
        "path": str(path),
        "nms": nms,
        "input": list(model.image_size),
        "class_names": None if model.class_names is None else list(model.class_names),
        **told,
    }
