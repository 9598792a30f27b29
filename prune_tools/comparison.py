"""One table of a model's exported forms: bytes, latency, what became of its zeros, how far its answers moved."""

from __future__ import annotations

import dataclasses
import math
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from prune_tools import export, latency, runtimes
from prune_tools.export import kept, program, saved
from run_tools.errors import InputError
from run_tools.optional import missing

RUNTIMES = ("keras", "saved_model", "litert", "onnx", "openvino", "compressed")
NOTE = (
    "Zeros spread over the weights make no network faster on CPUs and GPUs whose runtime has no sparse kernels: it "
    "multiplies by them as by any number. They make files smaller only where these are packed or compressed. "
    "Networks with whole units removed are smaller and do less."
)
# row → (runtime, what it is called in the table, how it is written, precision asked for)
_FORMS: tuple[tuple[str, str, export.Choices, str | None], ...] = (
    ("saved_model", "SavedModel, each weight once", export.Choices(), None),
    ("litert", "LiteRT, dense", export.Choices(sparse=False), None),
    ("litert", "LiteRT, sparse where it pays", export.Choices(), None),
    ("onnx", "ONNX", export.Choices(), None),
    ("openvino", "OpenVINO, as it likes", export.Choices(), None),
    ("openvino", "OpenVINO, float32", export.Choices(), "f32"),
    ("compressed", "compressed, 8-bit codebooks", export.Choices(bits=8), None),
    ("compressed", "compressed, exact", export.Choices(bits=0), None),
)


def compare(
    models: Mapping[str, keras.Model],
    kinds: Sequence[str] = RUNTIMES,
    inputs: program.Arrays | None = None,
    threads: int | None = None,
    rounds: int = 7,
    calls: int = 5,
) -> dict[str, Any]:
    """Writes models in all formats, reads them back, compares and times them.

    Latency is the median of `rounds` · `calls` calls of one batch, one process a runtime, in turns. The compressed form
    is a storage format: it is loaded as a Keras model, whose latency it therefore has.

    Args:
        models: name → built model with the same inputs, such as {"pruned": …, "dense": …}.
        kinds: of `RUNTIMES`.
        inputs: input's name (see `export.functions`) → array; None: random numbers, one image.
        threads: of each runtime; None: as many as there are processors.
        rounds: see `latency.measure`.
        calls: likewise.

    Returns:
        rows, each with model, format, bytes, zip_bytes, milliseconds (None for storage formats), rounds (the median of
        each, likewise), zeros_kept (fraction, None without zeros), exact (weights bit for bit), max_difference (to the
        model's own answer, relative to its largest value or 1), precision, runtime; models: name → parameters, nonzero,
        sparsity of all weights; threads, rounds, calls, batch, note; missing: runtime → the module that is not
        installed.

    Raises:
        InputError: for unknown runtimes, models of different inputs, or one that a format cannot hold.
    """
    chosen = runtimes.check_kinds(kinds, RUNTIMES, "runtime")
    if not models:
        raise InputError("no models", "at least one", "give a model")
    saved.check_backend()
    threads = latency.processors() if threads is None else threads
    if inputs is None:
        _, specs = program.functions(next(iter(models.values())))[saved.SERVING]
        inputs = program.random_inputs(specs)
    absent = {
        kind: gone[0]
        for kind in chosen
        if kind != "keras"
        for gone in [missing([*export.FORMATS[kind].packages, *(["zstandard"] if kind == "compressed" else [])])]
        if gone
    }
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as temporary:
        contenders: list[latency.Contender] = []
        for index, (name, model) in enumerate(models.items()):
            made = _forms(Path(temporary) / str(index), name, model, [k for k in chosen if k not in absent], inputs)
            for row, contender in made:
                row["contender"] = None if contender is None else len(contenders)
                contenders += [] if contender is None else [contender]
                rows.append(row)
        times = latency.measure(contenders, inputs, threads, rounds, calls)
    for row in rows:
        place = row.pop("contender")
        timed = {"milliseconds": None, "rounds": None} if place is None else times[place]
        row |= {key: timed[key] for key in ("milliseconds", "rounds")}
    return {
        "rows": rows,
        "models": {name: _counts(model) for name, model in models.items()},
        "threads": threads, "rounds": rounds, "calls": calls, "batch": len(next(iter(inputs.values()))),
        "note": NOTE, "missing": absent,
    }  # fmt: skip


def _forms(
    folder: Path, name: str, model: keras.Model, kinds: Sequence[str], inputs: program.Arrays
) -> list[tuple[dict[str, Any], latency.Contender | None]]:
    """A model's files: rows without times, and what is to be timed."""
    made: list[tuple[dict[str, Any], latency.Contender | None]] = []
    if "keras" in kinds:
        made.append(_keras_form(folder, name, model, inputs))
    wanted = [form for form in _FORMS if form[0] in kinds]
    functions = program.functions(model, list(inputs))
    written: dict[export.Choices, dict[str, dict[str, Any]]] = {}
    # What is chosen alike is written together: it comes from one SavedModel, and one file has both precisions.
    for index, choices in enumerate(dict.fromkeys(form[2] for form in wanted)):
        alike = list(dict.fromkeys(form[0] for form in wanted if form[2] == choices))
        free = dataclasses.replace(choices, tolerance=math.inf)
        written[choices] = export.write(folder / str(index), model, alike, functions, inputs, choices=free)
    for kind, title, choices, precision in wanted:
        told = written[choices][kind]
        by_default = kind == "openvino" and precision is None
        row = {
            "model": name, "format": title, "bytes": told["bytes"], "zip_bytes": told["zip_bytes"],
            "zeros_kept": told["zeros"]["kept"], "exact": told["zeros"]["exact"],
            "max_difference": told["default_difference" if by_default else "max_difference"],
            "precision": told["default_precision" if by_default else "precision"], "runtime": told["runtime"],
        }  # fmt: skip
        contender = None if kind == "compressed" else latency.Contender(kind, told["path"], precision)
        made.append((row, contender))
    return made


def _keras_form(
    folder: Path, name: str, model: keras.Model, inputs: program.Arrays
) -> tuple[dict[str, Any], latency.Contender]:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "model.keras"
    model.save(path)
    again = keras.saving.load_model(path, compile=False)
    zeros = kept.kept(model, [keras.ops.convert_to_numpy(variable) for variable in again.weights])
    apart, _ = program.difference(program.outputs(model, inputs), program.outputs(again, inputs))
    row = {
        "model": name, "format": ".keras", "bytes": path.stat().st_size, "zip_bytes": export.zip_bytes(path),
        "zeros_kept": zeros["kept"], "exact": zeros["exact"], "max_difference": apart,
        "precision": model.dtype_policy.compute_dtype, "runtime": f"Keras {keras.__version__}",
    }  # fmt: skip
    return row, latency.Contender("keras", str(path), None, _modules(model))


def _modules(model: keras.Model) -> tuple[str, ...]:
    """Where the classes of a model come from that Keras does not have, so that another process can read it."""
    kinds = {type(layer).__module__ for layer in [model, *model._flatten_layers(include_self=False)]}
    return tuple(sorted(name for name in kinds if name.split(".")[0] not in ("keras", "__main__")))


def _counts(model: keras.Model) -> dict[str, Any]:
    arrays = [keras.ops.convert_to_numpy(variable) for variable in model.weights]
    total, living = sum(array.size for array in arrays), sum(int(np.count_nonzero(array)) for array in arrays)
    return {"parameters": total, "nonzero": living, "sparsity": 1 - living / total if total else 0.0}


def rows(result: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """What `compare` returns, as texts for a table.

    Args:
        result: of `compare`.

    Returns:
        `(head, rows)`, a row a model and form.
    """
    head = ["model", "format", "MB", "MB as zip", "median ms", "zeros kept", "bit for bit", "difference", "precision"]
    body = [
        [
            row["model"], row["format"], f"{row['bytes'] / 1e6:.3f}", f"{row['zip_bytes'] / 1e6:.3f}",
            "-" if row["milliseconds"] is None else f"{row['milliseconds']:.2f}",
            "-" if row["zeros_kept"] is None else f"{row['zeros_kept']:.2%}".replace("100.00%", "100%"),
            "yes" if row["exact"] else "no", f"{row['max_difference']:.1g}", row["precision"],
        ]
        for row in result["rows"]
    ]  # fmt: skip
    return head, body


def left_out(result: Mapping[str, Any]) -> list[str]:
    """Of each runtime that `compare` could not run: a line that says what is missing."""
    return [
        f"{kind}: left out, no module {module} (pip install 'prune-vision[export]')"
        for kind, module in result["missing"].items()
    ]


def table(result: Mapping[str, Any]) -> str:
    """What `compare` returns, as text with its caption.

    Args:
        result: of `compare`.

    Returns:
        Lines.
    """
    head, body = rows(result)
    every = [head, *body]
    widths = [max(len(row[column]) for row in every) for column in range(len(head))]
    text = [0, 1, len(head) - 1]
    lines = [
        "  ".join(
            cell.ljust(width) if column in text else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in every
    ]
    return "\n".join([*lines, *left_out(result), "", caption(result)])


def caption(result: Mapping[str, Any]) -> str:
    """What a table of `compare` has to be read with.

    Args:
        result: of `compare`.

    Returns:
        A few sentences.
    """
    counted = "; ".join(
        f"{name}: {told['parameters']:,} weights, {told['nonzero']:,} of them not zero"
        for name, told in result["models"].items()
    )
    return (
        f"{counted}. Median of {result['rounds']} rounds of {result['calls']} calls in turns, batch {result['batch']}, "
        f"{result['threads']} threads, one process a runtime; the compressed form is loaded as a Keras model. "
        "Zeros kept: of the zeros in the kernels, those that are zero in the file; not bit for bit: other weights "
        "differ, because batch-norm was folded into them or a codebook replaced them. Difference: largest one of the "
        f"outputs, relative to their largest value or 1. {result['note']}"
    )
