"""A classifier as files for other runtimes, and all of them side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from classify_prune import inputs as feeds
from classify_prune.loading import load_classifier
from classify_prune.models import Classifier
from classify_prune.options import BenchmarkConfig, ExportConfig
from classify_prune.verbs import check_inputs
from data_tools.store import open_store
from data_tools.tables import grid
from prune_tools import comparison
from prune_tools import export as exporter
from prune_tools.runtimes import check_kinds
from run_tools.errors import InputError

CHECKED = 8
"""Inputs on which a file is compared with the model."""


def export(options: ExportConfig) -> dict[str, Any]:
    """Run `export`; every file is read back by its runtime and compared before it counts.

    Returns:
        For each format what `prune_tools.export.write` says of it, with `input` and `class_names`.

    Raises:
        InputError: as `prune_tools.export.write`, or for data that do not fit the model.
    """
    choices = exporter.Choices(options.sparse, options.bits, options.codec, options.tolerance)
    formats = exporter.check_formats(options.formats, choices)  # before the model is read
    model = load_classifier(options.model)
    shown = {_input_name(model): samples(model, options.data, CHECKED)}
    told = exporter.write(options.out, model, formats, functions(model), shown, choices=choices)
    names = None if model.class_names is None else list(model.class_names)
    about = {"input": list(model.inputs_shape), "class_names": names}
    return {name: each | about for name, each in told.items()}


def functions(model: Classifier) -> exporter.Functions:
    """What files compute: of images (float32 in 0–1) or vectors, any number, `logits` and `probabilities`."""
    import tensorflow as tf

    def call(batch: Any) -> dict[str, Any]:
        logits = model(batch, training=False)
        return {"logits": logits, "probabilities": tf.nn.softmax(logits)}

    return {"serving_default": (call, tf.TensorSpec([None, *model.inputs_shape], tf.float32, name=_input_name(model)))}


def _input_name(model: Classifier) -> str:
    return "features" if model.image_size is None else "image"


def samples(model: Classifier, data: Path | None, count: int) -> np.ndarray:
    """Inputs of a network to try it on.

    Args:
        model: the network.
        data: compiled file whose first test inputs are taken; None: random numbers in 0–1.
        count: how many at most.

    Returns:
        float32, (n, *inputs_shape).
    """
    if data is None:
        return np.random.default_rng(0).random((count, *model.inputs_shape)).astype(np.float32)
    store: Any = open_store(data, "classification")
    check_inputs(model, store)
    split = "test" if "test" in store else store.splits[-1]
    return np.asarray(feeds.feed(store, split, model.inputs_shape, count, "type", shuffle=False)[0][0], np.float32)


def export_table(result: dict[str, Any]) -> str:
    """The result of `export`: a line a format."""
    rows = [["format", "MB", "MB as zip", "difference", "precision", "zeros kept", "bit for bit", "file"]]
    for name, told in result.items():
        kept = told["zeros"]["kept"]
        rows.append([
            name, f"{told['bytes'] / 1e6:.3f}", f"{told['zip_bytes'] / 1e6:.3f}", f"{told['max_difference']:.1g}",
            told["precision"], "-" if kept is None else f"{kept:.2%}", "yes" if told["zeros"]["exact"] else "no",
            told["path"],
        ])  # fmt: skip
    return f"{grid(rows)}\nread back and compared with the model; {comparison.NOTE}"


def benchmark(options: BenchmarkConfig) -> dict[str, Any]:
    """Run `benchmark`.

    Returns:
        What `prune_tools.comparison.compare` returns, with `input` and the paths of both models.

    Raises:
        InputError: for an unknown runtime, or models that are no classifiers or have other inputs.
    """
    kinds = check_kinds(options.runtimes, comparison.RUNTIMES, "runtime")
    models = {"model": load_classifier(options.model)}
    if options.against is not None:
        models["against"] = load_classifier(options.against)
    shapes = {name: model.inputs_shape for name, model in models.items()}
    if len(set(shapes.values())) > 1:
        told = ", ".join(f"{name}: {'x'.join(map(str, shape))}" for name, shape in shapes.items())
        raise InputError(f"classifiers of different inputs ({told})", "one shape", "compare those of the same input")
    first = models["model"]
    given = {_input_name(first): samples(first, options.data, options.batch_size)}
    result = comparison.compare(models, kinds, given, options.threads, options.rounds, options.calls)
    paths = {"model": str(options.model), "against": None if options.against is None else str(options.against)}
    return {**result, "input": list(first.inputs_shape), "paths": paths}
