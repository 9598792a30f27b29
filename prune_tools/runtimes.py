"""Exported models run by their runtimes, and the weights in them; nothing here loads Keras before it has to.

A runtime's precision is what it computes in: OpenVINO's CPU plugin takes bfloat16 where the processor has it, unless
told "f32"; all others compute in the model's own.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from run_tools.errors import InputError, unknown_name
from run_tools.optional import require

Arrays = dict[str, np.ndarray]
EXTRA = "export"


@dataclass(frozen=True)
class Runner:
    """A model that was read from a file.

    Attributes:
        call: input's name → array, to output's name → array.
        precision: what it computes in, such as "float32"; None: what the model was made for.
        runtime: who runs it, with its version.
    """

    call: Callable[[Arrays], Arrays]
    precision: str | None
    runtime: str


def open_model(
    kind: str, path: str | Path, threads: int = 0, precision: str | None = None, modules: Sequence[str] = ()
) -> Runner:
    """Reads a model and makes it ready to run on the CPU.

    Args:
        kind: "keras", "saved_model", "litert", "onnx" or "openvino".
        path: the file or folder.
        threads: how many it may use; 0: as the runtime likes. TensorFlow takes a number only before it has run.
        precision: "f32" has OpenVINO compute in float32; None: as it likes.
        modules: of the classes in a Keras model that are not Keras's own.

    Raises:
        InputError: for another kind, or a runtime that is not installed.
    """
    openers = {
        "keras": _keras, "saved_model": _saved_model, "litert": _litert, "onnx": _onnx, "openvino": _openvino,
    }  # fmt: skip
    if kind not in openers:
        raise unknown_name("kind of model", kind, openers)
    for module in modules:
        importlib.import_module(module)
    return openers[kind](str(path), threads, precision)


def _tensorflow(threads: int) -> Any:
    import tensorflow as tf

    if threads:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    return tf


def _keras(path: str, threads: int, precision: str | None) -> Runner:
    tf = _tensorflow(threads)
    import keras

    from prune_tools.export.program import packed

    model = keras.saving.load_model(path, compile=False)

    def call(inputs: Arrays) -> Arrays:
        answer = model.predict_on_batch(packed(model, list(inputs.values())))
        return {str(index): value for index, value in enumerate(keras.tree.flatten(answer))}

    return Runner(call, None, f"Keras {keras.__version__}, TensorFlow {tf.__version__}")


def _saved_model(path: str, threads: int, precision: str | None) -> Runner:
    tf = _tensorflow(threads)
    from prune_tools.export.saved import load_signature

    function = load_signature(path)

    def call(inputs: Arrays) -> Arrays:
        answer = function(**{name: tf.constant(value) for name, value in inputs.items()})
        return {name: value.numpy() for name, value in answer.items()}

    return Runner(call, None, f"TensorFlow {tf.__version__}")


def _litert(path: str, threads: int, precision: str | None) -> Runner:
    litert = require("ai_edge_litert.interpreter", EXTRA)
    import importlib.metadata

    interpreter = litert.Interpreter(model_path=path, num_threads=threads or None)
    runner = interpreter.get_signature_runner()
    version = importlib.metadata.version("ai-edge-litert")

    def call(inputs: Arrays) -> Arrays:
        return dict(runner(**inputs))

    return Runner(call, None, f"LiteRT {version}")


def _onnx(path: str, threads: int, precision: str | None) -> Runner:
    runtime = require("onnxruntime", EXTRA)
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    session = runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]

    def call(inputs: Arrays) -> Arrays:
        return dict(zip(names, session.run(names, inputs), strict=True))

    return Runner(call, None, f"onnxruntime {runtime.__version__}")


def _openvino(path: str, threads: int, precision: str | None) -> Runner:
    vino = require("openvino", EXTRA)
    settings: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
    if precision is not None:
        settings["INFERENCE_PRECISION_HINT"] = precision
    if threads:
        settings["INFERENCE_NUM_THREADS"] = threads
    compiled = vino.Core().compile_model(str(Path(path) / "model.xml"), "CPU", settings)
    names = [output.get_any_name() for output in compiled.outputs]

    def call(inputs: Arrays) -> Arrays:
        answer = compiled(inputs)
        return {name: np.array(answer[index]) for index, name in enumerate(names)}

    used = compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
    told = {"f32": "float32", "bf16": "bfloat16", "f16": "float16"}.get(used, used)
    return Runner(call, told, f"OpenVINO {vino.__version__.split('-')[0]}")


def constants(kind: str, path: str | Path, sizes: set[tuple[int, ...]]) -> Iterator[np.ndarray]:
    """The weights in an exported model, as its runtime has them.

    Args:
        kind: "saved_model", "litert", "onnx" or "openvino".
        path: the file or folder.
        sizes: which: the sizes of their axes in ascending order, ones left out.

    Yields:
        Arrays; packed weights unpacked.

    Raises:
        InputError: for another kind, or a package that is not installed.
    """
    readers = {"saved_model": _of_saved_model, "litert": _of_litert, "onnx": _of_onnx, "openvino": _of_openvino}
    if kind not in readers:
        raise unknown_name("kind of model", kind, readers)
    for array in readers[kind](str(path)):
        if tuple(sorted(size for size in array.shape if size != 1)) in sizes:
            yield array


def _of_saved_model(path: str) -> Iterator[np.ndarray]:
    import tensorflow as tf

    reader = tf.train.load_checkpoint(str(Path(path) / "variables" / "variables"))
    kinds = reader.get_variable_to_dtype_map()
    for name in reader.get_variable_to_shape_map():
        if kinds[name].is_floating:
            yield reader.get_tensor(name)


def _of_litert(path: str) -> Iterator[np.ndarray]:
    """Sparse weights are only unpacked when the model runs, so it runs once, on zeros, everything being kept."""
    litert = require("ai_edge_litert.interpreter", EXTRA)
    interpreter = litert.Interpreter(
        model_path=path,
        experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    for given in interpreter.get_input_details():
        interpreter.set_tensor(given["index"], np.zeros(given["shape"], given["dtype"]))
    interpreter.invoke()
    computed = {given["index"] for given in interpreter.get_input_details()}
    for operation in interpreter._get_ops_details():
        if operation["op_name"] != "DENSIFY":
            computed.update(operation["outputs"])
    for details in interpreter.get_tensor_details():
        packed = bool(details["sparsity_parameters"])
        if details["index"] not in computed and not packed and np.issubdtype(details["dtype"], np.floating):
            yield interpreter.get_tensor(details["index"])


def _of_onnx(path: str) -> Iterator[np.ndarray]:
    helper = require("onnx", EXTRA)
    for tensor in helper.load(path).graph.initializer:
        yield helper.numpy_helper.to_array(tensor)


def _of_openvino(path: str) -> Iterator[np.ndarray]:
    vino = require("openvino", EXTRA)
    for operation in vino.Core().read_model(str(Path(path) / "model.xml")).get_ops():
        if operation.get_type_name() == "Constant":
            yield np.array(operation.data)


def check_kinds(names: Sequence[str], known: Sequence[str], what: str) -> list[str]:
    """Names, each once, all of them known.

    Raises:
        InputError: for none, or an unknown one.
    """
    chosen = list(dict.fromkeys(name for item in names for name in str(item).replace(",", " ").split()))
    for name in chosen:
        if name not in known:
            raise unknown_name(what, name, known)
    if not chosen:
        raise InputError(f"no {what}", f"any of {', '.join(known)}", "give at least one")
    return chosen
