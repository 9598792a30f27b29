"""SavedModels that hold each weight once, checked before they take their place; TensorFlow only, it is their format."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import keras
import numpy as np

from run_tools import files
from run_tools.errors import InputError

Function = Callable[..., Mapping[str, Any]]
Functions = Mapping[str, tuple[Function, Any]]
Answer = TypeVar("Answer")
MARK = "saved_model.pb"
SERVING = "serving_default"
"""The signature that runtimes take unless told otherwise."""


def saved_model(path: str | Path, model: keras.Model, functions: Functions, check: Callable[[Path], Answer]) -> Answer:
    """Writes a TensorFlow SavedModel that holds each weight once.

    `keras.Model.export` tracks the model and its variables separately and writes every weight twice; here one module
    tracks the variables alone.

    Args:
        path: the folder to be; replaced as a whole when it exists and holds a SavedModel.
        model: whose variables the functions read.
        functions: signature name → (function of tensors that returns named tensors, its `tf.TensorSpec` or several, one
            a tensor, with names). The name "serving_default" is the one that runtimes take unless told otherwise.
        check: called with the written SavedModel before it takes its place; what it raises leaves `path` as it was.

    Returns:
        What `check` returned.

    Raises:
        InputError: on another Keras backend than TensorFlow, or when `path` exists and is no SavedModel.
    """
    check_backend()
    path = Path(path)
    check_place(path, MARK, "SavedModel")
    with files.atomic_path(path) as temporary:
        _write(temporary, model, functions)
        return check(temporary)


def without_optimizer(model: keras.Model) -> keras.Model:
    """A copy of a model that was never compiled, so that what is saved of it has no optimizer."""
    config = keras.saving.serialize_keras_object(model)
    config.pop("compile_config", None)
    copy: keras.Model = keras.saving.deserialize_keras_object(config, safe_mode=True)
    copy.set_weights(model.get_weights())
    return copy


def _write(path: Path, model: keras.Model, functions: Functions) -> None:
    import tensorflow as tf

    module = tf.Module()
    module.variables_ = [variable.value for variable in model.variables]
    signatures = {}
    for name, (function, spec) in functions.items():
        specs = [spec] if isinstance(spec, tf.TensorSpec) else list(spec)
        signatures[name] = tf.function(function, input_signature=specs).get_concrete_function()
    module.functions_ = list(signatures.values())
    tf.saved_model.save(module, str(path), signatures=signatures)


def check_backend() -> None:
    """InputError on another Keras backend than TensorFlow."""
    backend = keras.backend.backend()
    if backend != "tensorflow":
        raise InputError(f"a model on the {backend} backend", "KERAS_BACKEND=tensorflow", "export in such a process")


def check_place(path: Path, mark: str, kind: str) -> None:
    """InputError when a folder would replace something that is not of its kind.

    Args:
        path: the folder to be.
        mark: a file that every folder of the kind holds.
        kind: its name, for the message.
    """
    if path.exists() and not (path / mark).is_file() and not (path.is_dir() and not any(path.iterdir())):
        raise InputError(f"{path}, which is no {kind}", "a new folder", "choose another path")


def run_saved_model(
    path: str | Path, inputs: np.ndarray | Mapping[str, np.ndarray], signature: str = SERVING
) -> dict[str, np.ndarray]:
    """Reads a SavedModel back and runs one of its signatures.

    Args:
        path: its folder.
        inputs: what the signature's one argument takes; or argument's name → array.
        signature: which.

    Returns:
        The named outputs as arrays.

    Raises:
        InputError: when the folder holds no such SavedModel or signature.
    """
    import tensorflow as tf

    function = load_signature(path, signature)
    if not isinstance(inputs, Mapping):
        inputs = {next(iter(function.structured_input_signature[1])): inputs}
    answer = function(**{name: tf.constant(value) for name, value in inputs.items()})
    return {name: value.numpy() for name, value in answer.items()}


def load_signature(path: str | Path, signature: str = SERVING) -> Any:
    """A signature of a SavedModel, which keeps what it needs alive.

    Args:
        path: its folder.
        signature: which.

    Returns:
        A concrete function that takes tensors by name and returns named tensors.

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
    function.owner_ = loaded  # its variables live as long as the loaded object does
    return function


def specs_of(function: Any) -> dict[str, Any]:
    """Argument's name → `tf.TensorSpec` of a signature that `load_signature` returned."""
    return dict(function.structured_input_signature[1])
