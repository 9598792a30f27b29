"""Pictures of a compiled classification file: histograms of classes and attributes, and sheets of its images."""

from __future__ import annotations

import pathlib

import numpy as np
from matplotlib.figure import Figure

from data_tools import label_stats, plots
from data_tools.label_schema import ATTRIBUTE_TYPES
from data_tools.label_store import LabelStore, LabelView

MOST_BARS = 40
PER_CLASS = 8


def histograms(store: LabelStore) -> dict[str, Figure]:
    """Figures of what the images are like.

    Args:
        store: the open file.

    Returns:
        Figures by name: one a task (classes on the axis, or how many images a class has where they are many), and one
        a measured attribute.
    """
    figures = {}
    for task in store.tasks:
        figure, axes = _page(store, task)
        tables = [label_stats.class_counts(store, split, task) for split in store.splits]
        if len(tables[0]) <= MOST_BARS:
            plots.bars(axes, tables, store.splits, task, "images")
        else:
            counts = [np.array(list(table.values()), np.float64) for table in tables]
            label = f"images of a class ({len(tables[0])} classes)"
            plots.histogram(axes, counts, store.splits, label, "classes", logarithmic=False)
        figures[task] = figure
    for name in store[store.splits[0]].columns:
        if ATTRIBUTE_TYPES[name] == "float32":
            figure, axes = _page(store, name)
            values = [store[split].columns[name].astype(np.float64) for split in store.splits]
            plots.histogram(axes, values, store.splits, name.replace("_", " "), "images", logarithmic=False)
            figures[name] = figure
    return figures


def _page(store: LabelStore, name: str):
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(f"{store.source}: {name.replace('_', ' ')}")
    return figure, axes


def contact_sheet(view: LabelView, per_class: int = PER_CLASS) -> np.ndarray:
    """Images of a split, one row a class that occurs, evenly picked.

    Args:
        view: a split that holds an image at least.
        per_class: images a row; a class with fewer repeats them.

    Returns:
        uint8 RGB, shape (classes x height, per_class x width, 3).
    """
    images = []
    for label in np.unique(view.labels):
        members = np.flatnonzero(view.labels == label)
        picked = np.linspace(0, len(members) - 1, per_class).round().astype(int)
        images += list(view.images(members[picked]))
    return plots.sheet(images, per_class)


def write_plots(store: LabelStore, folder: pathlib.Path) -> list[str]:
    """Write all pictures of a file as PNG.

    Args:
        store: the open file.
        folder: where; made if missing.

    Returns:
        Paths of the pictures.
    """
    shown = [split for split in store.splits if len(store[split]) and store.content == "images"]
    return plots.save(histograms(store), {split: contact_sheet(store[split]) for split in shown}, folder)
