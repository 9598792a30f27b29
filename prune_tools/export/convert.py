"""SavedModels turned into the files of other runtimes: LiteRT, ONNX, OpenVINO."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

from prune_tools.export.saved import SERVING, load_signature, specs_of
from run_tools.errors import InputError
from run_tools.optional import require

EXTRA = "export"
OPSET = 18
"""Version of ONNX's operators: what tf2onnx knows best; onnxruntime 1.14 (2023) and later run it."""


def litert(saved: Path, path: Path, sparse: bool = True) -> None:
    """A LiteRT (TensorFlow Lite) file, in float32.

    Args:
        saved: SavedModel with a signature "serving_default".
        path: file to be, `.tflite`.
        sparse: store weights with many zeros as non-zeros and places (`tf.lite.Optimize.EXPERIMENTAL_SPARSITY`); the
            runtime unpacks them when it starts, and computes with dense ones.

    Raises:
        InputError: for operations that LiteRT does not have.
    """
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_saved_model(str(saved), signature_keys=[SERVING])
    if sparse:
        converter.optimizations = [tf.lite.Optimize.EXPERIMENTAL_SPARSITY]
    with _refusing("LiteRT"):
        path.write_bytes(converter.convert())


def onnx(saved: Path, path: Path) -> None:
    """An ONNX file, in float32.

    Args:
        saved: SavedModel with a signature "serving_default".
        path: file to be, `.onnx`.

    Raises:
        InputError: without tf2onnx, or for operations that it does not convert.
    """
    import tensorflow as tf

    tf2onnx = require("tf2onnx", EXTRA)
    function = load_signature(saved)
    specs = specs_of(function)

    def call(*tensors):
        return function(**dict(zip(specs, tensors, strict=True)))

    named = [tf.TensorSpec(spec.shape, spec.dtype, name=name) for name, spec in specs.items()]
    logging.getLogger("tf2onnx").setLevel(logging.ERROR)
    with _refusing("ONNX"):
        model, _ = tf2onnx.convert.from_function(
            tf.function(call, input_signature=named), input_signature=named, opset=OPSET
        )
        path.write_bytes(model.SerializeToString())


def openvino(saved: Path, path: Path) -> None:
    """OpenVINO's two files, in float32 (OpenVINO itself would round weights to float16 here).

    Args:
        saved: SavedModel with a signature "serving_default".
        path: folder to be, with `model.xml` and `model.bin`.

    Raises:
        InputError: without openvino, or for operations that it does not convert.
    """
    vino = require("openvino", EXTRA)
    with _refusing("OpenVINO"):
        model = vino.convert_model(str(saved))
        path.mkdir()
        vino.save_model(model, str(path / "model.xml"), compress_to_fp16=False)


@contextlib.contextmanager
def _refusing(kind: str) -> Iterator[None]:
    """What a converter raises, in one line."""
    try:
        yield
    except (InputError, OSError, MemoryError):
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        received = f"a model that {kind} cannot hold ({reason})"
        raise InputError(received, "operations that it knows", "leave this format out") from error
