"""What the command line verbs do: each takes its options, returns a result, and has a table for people."""

from __future__ import annotations

from typing import Any

import numpy as np

from data_tools import anchors as anchor_tools
from data_tools import boxes, label_verbs, stats
from data_tools.compiler import DataCompiler
from data_tools.items import STRIDE, check_size
from data_tools.kitti import KittiExtractor
from data_tools.options import Anchors, CompileKitti, Inspect, Verify
from data_tools.store import open_store
from data_tools.tables import grid
from data_tools.verification import verify as verify_file
from run_tools.errors import InputError, unknown_name
from run_tools.files import parse_size


def compile_kitti(options: CompileKitti) -> dict[str, Any]:
    """Run `compile kitti`; see `DataCompiler.compile` for the result."""
    compiler = DataCompiler(
        KittiExtractor(options.root),
        image_size=check_size(parse_size(options.size)),
        split=options.split,
        fractions=options.fractions,
        seed=options.seed,
        limit=options.limit,
        workers=options.workers,
        encoded=options.encoded,
    )
    return compiler.compile(options.out)


def inspect(options: Inspect) -> dict[str, Any]:
    """Run `inspect`; see `stats.describe` or `label_stats.describe` for the result, plus `plots`, those written."""
    store = open_store(options.file)
    if options.plot is not None and options.plot.exists() and not options.plot.is_dir():
        raise InputError(f"--plot {options.plot} (a file)", "a folder", "choose another name")
    if store.kind == "classification":
        return label_verbs.inspect(store, options.plot)
    plots = []
    if options.plot is not None:
        from data_tools.plots import write_plots  # Matplotlib takes a second to load

        plots = write_plots(store, options.plot)
    return stats.describe(store) | {"plots": plots}


def verify(options: Verify) -> dict[str, Any]:
    """Run `verify`; see `verification.verify` for the result."""
    return verify_file(options.file)


def anchors(options: Anchors) -> dict[str, Any]:
    """Run `anchors`: k-means on the boxes as they are at the network's input.

    Returns:
        `anchors` in grid cells and `pixels` of the input, both [[width, height], ...] from small to large, `mean_iou`
        of all boxes and as `class_iou` of each class, `boxes` (how many counted), `balance`, `input` [height, width]
        and `stride`.
    """
    store = open_store(options.file, "detection")
    size = check_size(parse_size(options.input)) if options.input else store.image_size
    names = store.splits if options.split == "all" else (options.split,)
    classes = tuple(_class_index(name, store.class_names) for name in options.classes) or None
    measured = np.concatenate([stats.sizes(store[name], classes) for name in names])
    if not len(measured):
        raise InputError(
            f"split {options.split} of {options.file} without boxes of the classes asked for",
            "at least one box", "choose another split or other classes",
        )  # fmt: skip
    at_input = boxes.scale(np.hstack([np.zeros_like(measured), measured]), store.image_size, size)[:, 2:]
    kinds = np.concatenate([stats.classes(store[name], classes) for name in names])
    weights = anchor_tools.class_weights(kinds) if options.balance else None
    found = anchor_tools.kmeans(at_input, options.k, options.seed, weights=weights)
    return {
        "path": str(store.path),
        "source": store.source,
        "split": options.split,
        "boxes": len(measured),
        "balance": options.balance,
        "input": list(size),
        "stride": STRIDE,
        "anchors": np.round(found / STRIDE, 4).tolist(),
        "pixels": np.round(found, 2).tolist(),
        "mean_iou": anchor_tools.mean_iou(at_input, found),
        "class_iou": {
            store.class_names[kind]: anchor_tools.mean_iou(at_input[kinds == kind], found) for kind in np.unique(kinds)
        },
    }


def _class_index(name: str, class_names: tuple[str, ...]) -> int:
    lower = [known.lower() for known in class_names]
    if name.lower() not in lower:
        raise unknown_name("class", name, class_names)
    return lower.index(name.lower())


def _split_table(splits: dict[str, Any]) -> str:
    """Images, drives and boxes of each class, one row a split."""
    classes = list(next(iter(splits.values()))["boxes"])
    grouped = any(split["groups"] is not None for split in splits.values())
    rows: list[list[Any]] = [["split", "images", *(["drives"] if grouped else []), *classes]]
    for name, split in splits.items():
        groups = [split["groups"]] if grouped else []
        rows.append([name, split["images"], *groups, *split["boxes"].values()])
    return grid(rows)


def compile_table(result: dict[str, Any]) -> str:
    """The result of `compile kitti` for people."""
    height, width = result["image_size"]
    head = f"{result['path']}: {result['source']}, {width}x{height}, split {result['split']}, seed {result['seed']}"
    notes = [f"note: {note}" for note in result["notes"]]
    if result["resumed"]:
        notes.append(f"note: resumed, {result['resumed']} images were already there")
    return "\n".join([head, _split_table(result["splits"]), *notes])


def inspect_table(result: dict[str, Any]) -> str:
    """The result of `inspect` for people."""
    if result["kind"] == "classification":
        return label_verbs.inspect_table(result)
    height, width = result["image_size"]
    rows: list[list[Any]] = [["boxes in pixels", "", "p0", "p10", "p50", "p90", "p100", "mean"]]
    for name, split in result["splits"].items():
        for what in ("height", "width", "aspect", "boxes_per_image"):
            if split[what] is not None:
                rows.append([name, what.replace("_", " "), *(f"{value:.2f}" for value in split[what].values())])
    sizes = {
        name: ", ".join(f"{size} ({count})" for size, count in list(split["original_sizes"].items())[:6])
        for name, split in result["splits"].items()
    }
    return "\n".join(
        [
            f"{result['path']}: {result['source']}, {width}x{height}",
            _split_table(result["splits"]),
            grid(rows),
            *(f"original sizes of {name}: {text}" for name, text in sizes.items() if text),
            *(f"wrote {path}" for path in result["plots"]),
        ]
    )


def verify_table(result: dict[str, Any]) -> str:
    """The result of `verify` for people."""
    splits = ", ".join(
        " ".join([name, *(f"{count} {what}" for what, count in counts.items())])
        for name, counts in result["splits"].items()
    )
    return f"{result['path']}: good ({result['checksums']} checksums, {result['bytes'] / 1e6:.1f} MB; {splits})"


def anchors_table(result: dict[str, Any]) -> str:
    """The result of `anchors` for people: lines to paste into a command and into a darknet .cfg."""
    height, width = result["input"]
    cells = [f"{w:g},{h:g}" for w, h in result["anchors"]]
    pixels = [f"{w:g}x{h:g}" for w, h in result["pixels"]]
    each = ", ".join(f"{name} {value:.3f}" for name, value in result["class_iou"].items())
    return "\n".join(
        [
            f"{result['path']}: {result['source']}, {result['split']}, {result['boxes']} boxes at {width}x{height}",
            f"mean IoU {result['mean_iou']:.4f} ({each})",
            f"pixels   {'  '.join(pixels)}",
            f"cells of {result['stride']} pixels, as an option and for a darknet .cfg:",
            f"--anchors '{';'.join(cells)}'",  # quoted: a shell ends the command at a semicolon
            f"anchors = {', '.join(cells)}",
        ]
    )
