"""Models as files for other runtimes, written whole or not at all and checked after reading them back.

TensorFlow only: a SavedModel is its format.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from run_tools import files
from run_tools.errors import InputError

Function = Callable[[Any], Mapping[str, Any]]


def saved_model(path: str | Path, model: keras.Model, functions: Mapping[str, tuple[Function, Any]]) -> None:
    """Writes a TensorFlow SavedModel that holds each weight once.

    `keras.Model.export` tracks the model and its variables separately and writes every weight twice; here one module tracks
    the variables alone.

    Args:
        path: the folder to be; replaced as a whole when it exists and holds a SavedModel.
        model: whose variables the functions read.
        functions: signature name → (function of one tensor that returns named tensors, its `tf.TensorSpec`). The name
            "serving_default" is the one that runtimes take unless told otherwise.

    Raises:
        InputError: on another Keras backend than TensorFlow, or when `path` exists and is no SavedModel.
    """
    import tensorflow as tf

    if keras.backend.backend() != "tensorflow":
        backend = keras.backend.backend()
        raise InputError(f"a model on the {backend} backend", "KERAS_BACKEND=tensorflow", "export in such a process")
    path = Path(path)
    if path.exists() and not (path / "saved_model.pb").is_file():
        raise InputError(f"{path}, which is no SavedModel", "a new folder", "choose another path")
    module = tf.Module()
    module.variables_ = [variable.value for variable in model.variables]
    signatures = {}
    for name, (function, spec) in functions.items():
        compiled = tf.function(function, input_signature=[spec])
        signatures[name] = compiled.get_concrete_function()
    module.functions_ = list(signatures.values())
    with files.atomic_path(path) as temporary:
        tf.saved_model.save(module, str(temporary), signatures=signatures)


def run_saved_model(path: str | Path, inputs: np.ndarray, signature: str = "serving_default") -> dict[str, np.ndarray]:
    """Reads a SavedModel back and runs one of its signatures.

    Args:
        path: its folder.
        inputs: what the signature's one argument takes.
        signature: which.

    Returns:
        The named outputs as arrays.

    Raises:
        InputError: when the folder holds no such SavedModel or signature.
    """
    import tensorflow as tf

    try:
        loaded = tf.saved_model.load(str(path))
    except OSError as error:
        raise InputError(f"{path}: {error}", "a SavedModel", "export it again") from error
    if signature not in loaded.signatures:
        raise InputError(f"signature {signature!r}", f"one of {', '.join(loaded.signatures)}", "export it again")
    function = loaded.signatures[signature]
    argument = next(iter(function.structured_input_signature[1]))
    return {name: value.numpy() for name, value in function(**{argument: tf.constant(inputs)}).items()}


def folder_bytes(path: str | Path) -> int:
    """Bytes of all files below a folder."""
    return sum(file.stat().st_size for file in Path(path).rglob("*") if file.is_file())
