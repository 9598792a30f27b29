"""Pictures of a compiled file: histograms of its boxes and a sheet of its images. Drawn without a display."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from data_tools import stats
from data_tools.image_files import encode_png
from data_tools.store import SplitView, Store
from run_tools.files import atomic_path

# Easily told apart on grey streets; classes beyond the last colour begin anew.
COLOURS = (
    *((228, 26, 28), (55, 126, 184), (77, 175, 74), (255, 127, 0)),
    *((152, 78, 163), (255, 255, 51), (166, 86, 40), (247, 129, 191)),
)
IGNORED_COLOUR = (160, 160, 160)
SHEET_WIDTH = 1664


def histogram(
    axes: Axes,
    values: list[np.ndarray],
    names: tuple[str, ...],
    label: str,
    counted: str = "boxes",
    logarithmic: bool = True,
) -> None:
    """One stepped histogram a split on common bins, each split's shares adding up to 1.

    Args:
        axes: to draw on.
        values: one array a split.
        names: of the splits.
        label: what the values are.
        counted: what there is one value of each.
        logarithmic: whether the bins are.
    """
    everything = np.concatenate(values)
    if len(everything):
        low, high = float(everything.min()), float(everything.max())
        if logarithmic:
            low = max(low, 1e-3)
            bins = np.geomspace(low, max(high, low * 1.01), 40).tolist()
        else:
            bins = np.linspace(low, max(high, low + 1e-3), 40).tolist()
        for name, part in zip(names, values, strict=True):
            if len(part):
                axes.hist(part, bins, weights=np.full(len(part), 1 / len(part)), histtype="step", label=name)
        axes.legend(frameon=False)
        axes.set_xscale("log" if logarithmic else "linear")
    axes.set(xlabel=label, ylabel=f"share of {counted}")


def bars(axes: Axes, tables: list[dict[str, int]], names: tuple[str, ...], label: str, counted: str = "boxes") -> None:
    """Counts by name, one group of bars a split; logarithmic, so that rare ones stay visible."""
    keys = list(dict.fromkeys(key for table in tables for key in table))
    for number, (name, table) in enumerate(zip(names, tables, strict=True)):
        places = np.arange(len(keys)) + (number - (len(names) - 1) / 2) * 0.8 / len(names)
        axes.bar(places, [table.get(key, 0) for key in keys], 0.8 / len(names), label=name)
    axes.set_xticks(
        np.arange(len(keys)), keys, rotation=45 if len(keys) > 5 else 0, ha="right" if len(keys) > 5 else "center"
    )
    axes.set(xlabel=label, ylabel=counted)
    if any(any(table.values()) for table in tables):
        axes.set_yscale("symlog", linthresh=1)
        axes.yaxis.set_major_formatter("{x:g}")
        # Beside the axes: bars may be as high at every place.
        axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))


def histograms(store: Store) -> dict[str, Figure]:
    """Figures of what the boxes are like.

    Args:
        store: the open file.

    Returns:
        Figures by name: height, width, aspect, classes, occluded, truncated.
    """
    described = stats.describe(store)["splits"]
    measured = [stats.sizes(store[name]) for name in store.splits]
    numbers = {
        "height": ("box height (pixels of the stored image)", [size[:, 1] for size in measured]),
        "width": ("box width (pixels of the stored image)", [size[:, 0] for size in measured]),
        "aspect": ("box width / height", [size[:, 0] / size[:, 1] for size in measured]),
    }
    counts = {
        "classes": ("class", "boxes"),
        "occluded": ("occlusion", "occluded"),
        "truncated": ("truncation", "truncated"),
    }
    figures = {}
    for name in (*numbers, *counts):
        figure = Figure(figsize=(8, 4.5), layout="constrained")
        axes = figure.add_subplot()
        axes.set_title(f"{store.source}: {name}")
        if name in numbers:
            histogram(axes, numbers[name][1], store.splits, numbers[name][0])
        else:
            label, key = counts[name]
            bars(axes, [described[split][key] for split in store.splits], store.splits, label)
        figures[name] = figure
    return figures


def draw_boxes(image: np.ndarray, boxes: np.ndarray, classes: np.ndarray, class_names: tuple[str, ...]) -> np.ndarray:
    """A copy of an image with its boxes and their classes.

    Args:
        image: uint8 RGB, shape (H, W, 3).
        boxes: xyxy in pixels of the image, shape (k, 4).
        classes: index of each box's class, shape (k,); negative: a region to leave alone, drawn grey.
        class_names: class of each index.

    Returns:
        uint8 RGB, shape (H, W, 3).
    """
    image = np.array(image)
    for box, index in zip(np.asarray(boxes), np.asarray(classes), strict=True):
        colour = COLOURS[index % len(COLOURS)] if index >= 0 else IGNORED_COLOUR
        left, top, right, bottom = (round(float(side)) for side in box)
        cv2.rectangle(image, (left, top), (right - 1, bottom - 1), colour, 1)
        name = class_names[index] if index >= 0 else stats.IGNORED
        cv2.putText(image, name, (left, max(8, top - 2)), cv2.FONT_HERSHEY_SIMPLEX, 0.35, colour, 1, cv2.LINE_AA)
    return image


def contact_sheet(view: SplitView, class_names: tuple[str, ...], number: int = 12) -> np.ndarray:
    """Some images of a split, evenly picked, with their boxes.

    Args:
        view: a split that holds an image at least.
        class_names: class of each index.
        number: how many images at most.

    Returns:
        uint8 RGB, shape (rows x height, columns x width, 3).
    """
    picked = np.unique(np.linspace(0, len(view) - 1, min(number, len(view))).round().astype(int))
    return sheet(
        [
            draw_boxes(view.images(index)[0], view.boxes(index), view.classes(index), class_names)
            for index in picked.tolist()
        ],
        min(max(2, SHEET_WIDTH // view.image_size[1]), 4),
    )


def sheet(images: Sequence[np.ndarray], columns: int) -> np.ndarray:
    """Images of one size side by side in rows, made smaller where a row would be wider than a page.

    Args:
        images: uint8 RGB, shape (H, W, 3) each; at least one.
        columns: images a row.

    Returns:
        uint8 RGB, shape (rows x height, columns x width, 3).
    """
    height, width = images[0].shape[:2]
    shrink = min(1.0, SHEET_WIDTH / (columns * width))
    size = max(1, round(width * shrink)), max(1, round(height * shrink))
    tiles = [cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in images]
    blank = np.full_like(tiles[0], 255)
    tiles += [blank] * (-len(tiles) % columns)
    return np.vstack([np.hstack(tiles[row : row + columns]) for row in range(0, len(tiles), columns)])


def write_plots(store: Store, folder: pathlib.Path) -> list[str]:
    """Write all pictures of a file as PNG.

    Args:
        store: the open file.
        folder: where; made if missing.

    Returns:
        Paths of the pictures.
    """
    sheets = {split: contact_sheet(store[split], store.class_names) for split in store.splits if len(store[split])}
    return save(histograms(store), sheets, folder)


def save(figures: Mapping[str, Figure], sheets: Mapping[str, np.ndarray], folder: pathlib.Path) -> list[str]:
    """Write figures as NAME.png and sheets of images as images_SPLIT.png; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, figure in figures.items():
        with atomic_path(folder / f"{name}.png") as path:
            figure.savefig(path, dpi=110, metadata={"Software": None})
        written.append(str(folder / f"{name}.png"))
    for split, image in sheets.items():
        with atomic_path(folder / f"images_{split}.png") as path:
            path.write_bytes(encode_png(image))
        written.append(str(folder / f"images_{split}.png"))
    return written
