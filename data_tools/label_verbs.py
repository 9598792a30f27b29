"""What the command line verbs do with classification data: each returns a result and has a table for people."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from data_tools import label_stats
from data_tools.compiler import DataCompiler
from data_tools.image_folder import ImageFolderExtractor
from data_tools.label_extractor import LabelExtractor
from data_tools.label_store import LabelStore
from data_tools.options import CompileFolder, CompileVehicleX, Features
from data_tools.tables import grid
from data_tools.vehiclex import VehicleXExtractor
from run_tools.files import parse_size


def compile_vehiclex(options: CompileVehicleX) -> dict[str, Any]:
    """Run `compile vehiclex`; see `DataCompiler.compile` for the result."""
    extractor = VehicleXExtractor(options.root, options.skip_missing)
    result = _compile(extractor, options)
    if extractor.skipped:
        result["notes"].append(f"{len(extractor.skipped)} Items without a file left out ({extractor.skipped[0]}, ...)")
    return result


def compile_folder(options: CompileFolder) -> dict[str, Any]:
    """Run `compile folder`; see `DataCompiler.compile` for the result."""
    return _compile(ImageFolderExtractor(options.root), options)


def _compile(extractor: LabelExtractor, options: CompileVehicleX | CompileFolder) -> dict[str, Any]:
    compiler = DataCompiler(
        extractor,
        image_size=None if options.size is None else parse_size(options.size),
        split=options.split,
        fractions=options.fractions,
        seed=options.seed,
        limit=options.limit,
        workers=options.workers,
        encoded=options.encoded,
    )
    return compiler.compile(options.out)


def features(options: Features) -> dict[str, Any]:
    """Run `features`; see `features.extract` for the result."""
    from data_tools.backbones import Backbone  # Keras takes seconds to load
    from data_tools.features import extract
    from data_tools.store import open_store

    open_store(options.file, "classification")  # a wrong file is told before a network is built
    size = None if options.input is None else parse_size(options.input)
    return extract(options.file, options.out, Backbone(options.backbone, options.weights, size), options.batch_size)


def features_table(result: dict[str, Any]) -> str:
    """The result of `features` for people."""
    height, width = result["input"]
    counts = ", ".join(f"{name} {count}" for name, count in result["splits"].items())
    lines = [
        f"{result['path']}: {result['source']}, {result['feature_width']} numbers an image ({counts})",
        f"{result['backbone']} at {width}x{height}, weights {result['weights']}",
    ]
    if result["resumed"]:
        lines.append(f"note: resumed, {result['resumed']} vectors were already there")
    return "\n".join(lines)


def _size_text(result: dict[str, Any]) -> str:
    """Size of what a file holds, width first."""
    shape = result.get("input_shape") or result.get("image_size") or [result["feature_width"]]
    return f"vectors of {shape[0]}" if len(shape) == 1 else f"{shape[1]}x{shape[0]}"


def compile_table(result: dict[str, Any]) -> str:
    """The result of `compile vehiclex` or `compile folder` for people."""
    head = f"{result['path']}: {result['source']}, {_size_text(result)}, split {result['split']}, seed {result['seed']}"
    notes = [f"note: {note}" for note in result["notes"]]
    if result["resumed"]:
        notes.append(f"note: resumed, {result['resumed']} images were already there")
    rows: list[list[Any]] = [["split", "images", *result["class_names"]]]
    rows += [[name, split["images"], *split["classes"].values()] for name, split in result["splits"].items()]
    return "\n".join([head, grid(rows), *notes])


def inspect(store: LabelStore, plot: Path | None) -> dict[str, Any]:
    """Describe a classification file and, where a folder is given, write its pictures.

    Args:
        store: the open file.
        plot: folder for the pictures, or None.

    Returns:
        `label_stats.describe` and `plots`, the paths written.
    """
    written: list[str] = []
    if plot is not None:
        from data_tools.label_plots import write_plots  # Matplotlib takes a second to load

        written = write_plots(store, plot)
    return label_stats.describe(store) | {"plots": written}


def inspect_table(result: dict[str, Any]) -> str:
    """The result of `inspect` of a classification file for people: paper 001's Tables 1 and 2, and the attributes."""
    splits = result["splits"]
    shares: list[list[Any]] = [["class", *(f"{name} %" for name in splits), *splits]]
    for name in result["class_names"]:
        percent = [f"{100 * split['shares'][name]:.2f}" for split in splits.values()]
        shares.append([name, *percent, *(split["classes"][name] for split in splits.values())])
    totals = [f"{100 * split['share']:.2f}" for split in splits.values()]
    shares.append(["of all images", *totals, *(split["images"] for split in splits.values())])
    lines = [f"{result['path']}: {result['source']}, {_size_text(result)}", grid(shares)]
    others: list[list[Any]] = [["other tasks", "split", "classes", "least", "median", "most images of a class"]]
    spreads: list[list[Any]] = [["attribute", "split", "p0", "p10", "p50", "p90", "p100", "mean"]]
    for name, split in splits.items():
        for task, counts in split["tasks"].items():
            values = np.array(list(counts.values()))
            others.append([task, name, len(values), values.min(), f"{np.median(values):g}", values.max()])
        for key, numbers in split["spread"].items():
            if numbers is not None:
                spreads.append([key.replace("_", " "), name, *(f"{value:.2f}" for value in numbers.values())])
    lines += [grid(rows) for rows in (others, spreads) if len(rows) > 1]
    for name, split in splits.items():
        found = ", ".join(f"{size} ({count})" for size, count in list(split["original_sizes"].items())[:6])
        lines += [f"original sizes of {name}: {found}"] if found else []
    return "\n".join([*lines, *(f"wrote {path}" for path in result["plots"])])
