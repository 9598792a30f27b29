"""Models as files for other runtimes, written whole or not at all and checked before they take their place.

TensorFlow only: a SavedModel is its format.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import keras
import numpy as np

from run_tools import files
from run_tools.errors import InputError

Function = Callable[[Any], Mapping[str, Any]]
Answer = TypeVar("Answer")
MARK = "saved_model.pb"


def saved_model(
    path: str | Path,
    model: keras.Model,
    functions: Mapping[str, tuple[Function, Any]],
    check: Callable[[Path], Answer],
) -> Answer:
    """Writes a TensorFlow SavedModel that holds each weight once.

    `keras.Model.export` tracks the model and its variables separately and writes every weight twice; here one module
    tracks the variables alone.

    Args:
        path: the folder to be; replaced as a whole when it exists and holds a SavedModel.
        model: whose variables the functions read.
        functions: signature name → (function of one tensor that returns named tensors, its `tf.TensorSpec`). The name
            "serving_default" is the one that runtimes take unless told otherwise.
        check: called with the written SavedModel before it takes its place; what it raises leaves `path` as it was.

    Returns:
        What `check` returned.

    Raises:
        InputError: on another Keras backend than TensorFlow, or when `path` exists and is no SavedModel.
    """
    if keras.backend.backend() != "tensorflow":
        backend = keras.backend.backend()
        raise InputError(f"a model on the {backend} backend", "KERAS_BACKEND=tensorflow", "export in such a process")
    path = Path(path)
    if path.exists() and not (path / MARK).is_file() and not _is_empty_folder(path):
        raise InputError(f"{path}, which is no SavedModel", "a new folder", "choose another path")
    import tensorflow as tf

    module = tf.Module()
    module.variables_ = [variable.value for variable in model.variables]
    signatures = {}
    for name, (function, spec) in functions.items():
        signatures[name] = tf.function(function, input_signature=[spec]).get_concrete_function()
    module.functions_ = list(signatures.values())
    with files.atomic_path(path) as temporary:
        tf.saved_model.save(module, str(temporary), signatures=signatures)
        return check(temporary)


def _is_empty_folder(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())


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

    if not (Path(path) / MARK).is_file():
        raise InputError(f"{path}, which holds no {MARK}", "the folder of a SavedModel", "check the path")
    try:
        loaded = tf.saved_model.load(str(path))
    except (OSError, ValueError, tf.errors.OpError) as error:
        raise InputError(f"{path}: {str(error)[:200]}", "a whole SavedModel", "export it again") from error
    if signature not in loaded.signatures:
        raise InputError(f"signature {signature!r}", f"one of {', '.join(loaded.signatures)}", "choose one of them")
    function = loaded.signatures[signature]
    argument = next(iter(function.structured_input_signature[1]))
    return {name: value.numpy() for name, value in function(**{argument: tf.constant(inputs)}).items()}


def folder_bytes(path: str | Path) -> int:
    """Bytes of all files below a folder."""
    return sum(file.stat().st_size for file in Path(path).rglob("*") if file.is_file())
