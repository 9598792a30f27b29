"""One model in several formats, each read back by its runtime and compared before it takes its place."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from prune_tools import runtimes
from prune_tools.export import compressed, convert, kept, program, saved, sizes
from prune_tools.export.program import Arrays, Differs
from run_tools import files
from run_tools.errors import InputError
from run_tools.optional import absent, missing

Compare = Callable[[Arrays, float], tuple[float, int]]


@dataclass(frozen=True)
class Format:
    """How a format is called on the disk and what it takes.

    Attributes:
        file: name of its file or folder.
        packages: modules of the extra `export` that write and check it.
        tolerance: largest difference allowed, relative to the largest value of an output or 1, in float32.
        mark: of a folder: a file that it always holds.
    """

    file: str
    packages: tuple[str, ...]
    tolerance: float
    mark: str | None = None


FORMATS: dict[str, Format] = {
    "saved_model": Format("saved_model", (), 1e-4, saved.MARK),
    "litert": Format("model.tflite", ("ai_edge_litert",), 1e-4),
    "onnx": Format("model.onnx", ("tf2onnx", "onnx", "onnxruntime"), 1e-4),
    "openvino": Format("openvino", ("openvino",), 1e-4, "model.xml"),
    "compressed": Format("model.kerasz", (), 0.05),
    "keras": Format("model.keras", (), 1e-4),
}
"""Shared weights are others than the model's, hence the larger tolerance of `compressed`; exact ones get 1e-4."""

KERAS = ("compressed", "keras")
"""Formats that are read back as Keras models."""


@dataclass(frozen=True)
class Choices:
    """What can be chosen about the formats.

    Attributes:
        sparse: LiteRT stores weights with many zeros sparsely.
        bits: of the compressed form's codebooks, 1–8; 0: exact weights.
        codec: of the compressed form, "zstd" or "lzma".
        tolerance: instead of each format's own; infinity: differences are told but never refused.
    """

    sparse: bool = True
    bits: int = compressed.BITS
    codec: str = "zstd"
    tolerance: float | None = None


def check_formats(names: Sequence[str], choices: Choices | None = None) -> list[str]:
    """Names of formats, each once, whose packages are all installed.

    Args:
        names: of `FORMATS`; commas or blanks may stand between them.
        choices: a codec may need a package.

    Returns:
        The names.

    Raises:
        InputError: for none, an unknown one, or a missing package.
    """
    chosen = runtimes.check_kinds(names, list(FORMATS), "format")
    for name in chosen:
        needed = list(FORMATS[name].packages)
        if name == "compressed" and (choices or Choices()).codec == "zstd":
            needed.append("zstandard")
        for module in missing(needed):
            raise absent(module, convert.EXTRA)
    return chosen


def write(
    folder: str | Path,
    model: keras.Model,
    formats: Sequence[str],
    functions: saved.Functions | None = None,
    inputs: Arrays | None = None,
    compare: Compare | None = None,
    choices: Choices | None = None,
) -> dict[str, dict[str, Any]]:
    """Writes a model in several formats below one folder.

    Args:
        folder: where `FORMATS[name].file` is to be for each name.
        model: built.
        formats: names of `FORMATS`.
        functions: as `saved_model` takes them, with "serving_default", the only one that other formats than SavedModel
            get; None: the call of the model.
        inputs: input's name → array, to compare on; None: random numbers.
        compare: (answer of the file, tolerance) → (difference, how many were compared); raises `Differs`. None: the
            difference to what the function answers, see `program.difference`.
        choices: what can be chosen.

    Returns:
        For each format: path, bytes, zip_bytes, max_difference, tolerance, compared, precision, runtime, zeros (see
        `kept.kept`); for OpenVINO also default_precision and default_difference, of its CPU plugin left to itself.

    Raises:
        InputError: as `check_formats`, and for what a format cannot hold or a file that answers otherwise; earlier
            formats are then written, this one is as before.
    """
    choices = choices or Choices()
    formats = check_formats(formats, choices)
    saved.check_backend()
    chosen = dict(functions or program.functions(model))
    function, specs = chosen[saved.SERVING]
    specs = list(specs) if isinstance(specs, (list, tuple)) else [specs]
    if inputs is None:
        inputs = program.random_inputs(specs)
    if compare is None:
        wanted = program.answers(function, inputs, specs)
        compare = _comparing(wanted)
    told: dict[str, dict[str, Any]] = {}
    folder = Path(folder)
    with tempfile.TemporaryDirectory() as temporary:
        source = Path(temporary) / "saved_model"
        if set(formats) - set(KERAS):
            saved.saved_model(source, model, chosen, lambda path: None)
        for name in formats:
            job = _Job(name, model, inputs, compare, choices)
            told[name] = job.kept_in_keras(folder) if name in KERAS else job.converted(folder, source)
    return told


def zeros_kept(model: keras.Model, name: str, path: Path) -> dict[str, Any]:
    """What `kept.kept` says of a model and a file or folder of the format `name`, `KERAS` excepted."""
    return kept.kept(model, runtimes.constants(name, path, kept.sizes(model)))


def _comparing(wanted: Arrays) -> Compare:
    if not all(np.isfinite(value).all() for value in wanted.values()):
        raise InputError("a model whose answers are not finite", "numbers", "train it again")

    def compare(answer: Arrays, tolerance: float) -> tuple[float, int]:
        worst, count = program.difference(wanted, answer)
        if not worst <= tolerance:
            raise Differs(f"by {worst:.2g} of the largest value, at most {tolerance:g} allowed")
        return worst, count

    return compare


@dataclass(frozen=True)
class _Job:
    """One format of one model."""

    name: str
    model: keras.Model
    inputs: Arrays
    compare: Compare
    choices: Choices

    @property
    def tolerance(self) -> float:
        if self.choices.tolerance is not None:
            return self.choices.tolerance
        return 1e-4 if self.name == "compressed" and not self.choices.bits else FORMATS[self.name].tolerance

    def converted(self, folder: Path, source: Path) -> dict[str, Any]:
        """From the SavedModel `source` to the format, which is run and looked into."""
        form = FORMATS[self.name]
        path = folder / form.file
        if form.mark is not None:
            saved.check_place(path, form.mark, self.name)
        with files.atomic_path(path) as temporary:
            if self.name == "saved_model":
                shutil.copytree(source, temporary)
            elif self.name == "litert":
                convert.litert(source, temporary, self.choices.sparse)
            else:
                {"onnx": convert.onnx, "openvino": convert.openvino}[self.name](source, temporary)
            told = self._run(temporary)
            told["zeros"] = zeros_kept(self.model, self.name, temporary)
            told |= {"bytes": sizes.folder_bytes(temporary), "zip_bytes": sizes.zip_bytes(temporary)}
        return {"path": str(path), **told}

    def _run(self, path: Path) -> dict[str, Any]:
        vino = self.name == "openvino"
        runner = runtimes.open_model(self.name, path, precision="f32" if vino else None)
        precision = runner.precision or self.model.dtype_policy.compute_dtype
        told = {"precision": precision, "runtime": runner.runtime, **self._compared(runner.call(self.inputs))}
        if vino:
            runner = runtimes.open_model(self.name, path)
            told["default_precision"] = runner.precision
            told["default_difference"] = self.compare(runner.call(self.inputs), np.inf)[0]
        return told

    def _compared(self, answer: Arrays) -> dict[str, Any]:
        try:
            difference, count = self.compare(answer, self.tolerance)
        except Differs as error:
            received = f"a {self.name} file that answers otherwise than its model ({error})"
            fix = "take more bits" if self.name == "compressed" else "leave this format out"
            raise InputError(received, "the same answers", fix) from None
        return {"max_difference": difference, "tolerance": self.tolerance, "compared": count}

    def kept_in_keras(self, folder: Path) -> dict[str, Any]:
        """The compressed form or Keras's own: read back as a Keras model, which is called as this one is."""
        path = folder / FORMATS[self.name].file
        with files.atomic_path(path) as temporary:
            if self.name == "compressed":
                told = compressed.save(temporary, self.model, self.choices.bits, self.choices.codec)
                again = compressed.load(temporary)
            else:
                saved.without_optimizer(self.model).save(temporary)
                told = {"bytes": sizes.folder_bytes(temporary)}
                again = keras.saving.load_model(temporary, compile=False, safe_mode=True)
            compare = _comparing(program.outputs(self.model, self.inputs))
            told |= replace(self, compare=compare)._compared(program.outputs(again, self.inputs))
            weights = [keras.ops.convert_to_numpy(variable) for variable in again.weights]
            told["zeros"] = kept.kept(self.model, weights)
            told["zip_bytes"] = sizes.zip_bytes(temporary)
        return {"path": str(path), "precision": self.model.dtype_policy.compute_dtype, "runtime": "Keras", **told}
