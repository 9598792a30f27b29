"""An evaluation as figures: precision against recall, the confusion matrix, and the scores of right and wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from run_tools import figures as shared
from yolo_prune.evaluation import coco, kitti
from yolo_prune.evaluation.one_to_one import matchings
from yolo_prune.evaluation.outcomes import BACKGROUND
from yolo_prune.records import Detections, Truth

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HISTOGRAMS = 6
BINS = np.linspace(0, 1, 41)


def coco_curves(truths: Sequence[Truth], detections: Sequence[Detections], class_names: Sequence[str]) -> Figure:
    """Precision against recall at IoU .5, as pycocotools averages it to AP50.

    Args:
        truths: one an image, boxes in original pixels.
        detections: one an image in the same order, boxes in original pixels.
        class_names: names of classes 0, 1, ...

    Returns:
        A figure with a line for each class that has true boxes, and its AP50 (0-1) in the legend.
    """
    precision = coco.curves(truths, detections, class_names)
    lines = {
        f"{name.lower()}, AP50 {values.mean():.3f}": values
        for name, values in zip(class_names, precision, strict=True)
        if values[0] >= 0
    }
    return _curves(lines)


def kitti_curves(
    truths: Sequence[Truth], detections: Sequence[Detections], class_names: Sequence[str]
) -> Figure | None:
    """KITTI's precision against recall, moderate.

    Args:
        truths: one an image, boxes in original pixels, with `names`.
        detections: one an image in the same order, boxes in original pixels.
        class_names: as of `kitti.kitti`.

    Returns:
        A figure with a line for each class that has such true boxes, and its AP40 (percent) in the legend; None where
        no class has.

    Raises:
        InputError: if a truth has no names.
    """
    curves = kitti.curves(truths, detections, class_names, "moderate")
    part = kitti.AVERAGED["AP40"]
    lines = {f"{name}, AP40 {100 * values[part].mean():.1f} %": values for name, values in curves.items()}
    return _curves(lines) if lines else None


def _curves(lines: dict[str, np.ndarray]) -> Figure:
    """Lines over recalls evenly spaced from 0 to 1."""
    figure, axis = shared.figure(8.0, 3.8)
    for label, values in lines.items():
        axis.plot(np.linspace(0, 1, len(values)), values, label=label)
    axis.set(xlabel="recall", ylabel="precision", xlim=(0, 1.01), ylim=(0, 1.02))
    axis.grid(alpha=0.3)
    if lines:
        axis.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1.0, 1.0))
    else:
        _say(axis, "no true boxes")
    return figure


def confusion_matrix(matrix: np.ndarray, class_names: Sequence[str]) -> Figure:
    """The confusion matrix, each row shaded by its shares; classes neither true nor detected are left out.

    Args:
        matrix: what `outcomes.confusion` returned.
        class_names: names of classes 0, 1, ...
    """
    shown = np.append((matrix.sum(axis=0) + matrix.sum(axis=1))[:-1] > 0, True)
    counts = matrix[np.ix_(shown, shown)]
    names = [name for name, keep in zip([*class_names, BACKGROUND], shown, strict=True) if keep]
    columns, rows = [*names[:-1], "not detected"], [*names[:-1], "nothing there"]
    return shared.matrix(counts, rows, columns, "detected as", "in truth")


def score_histograms(truths: Sequence[Truth], detections: Sequence[Detections], class_names: Sequence[str]) -> Figure:
    """How high right and wrong detections score, one-to-one at IoU above .5.

    Args:
        truths: one an image, boxes in original pixels.
        detections: one an image in the same order, boxes in original pixels.
        class_names: names of classes 0, 1, ...

    Returns:
        A figure with a panel for each of the six classes of most true boxes among those detected; counts logarithmic.
    """
    every = matchings(truths, detections, class_names)
    told = sorted((name for name in every if len(every[name].scores)), key=lambda name: -every[name].total)[:HISTOGRAMS]
    figure, axes = shared.figure(9.0, 2.3 * max(1, -(-len(told) // 3)), rows=max(1, -(-len(told) // 3)), columns=3)
    for axis, name in zip(axes.flat, told, strict=False):
        matching = every[name]
        for label, part, colour in (("right", matching.hits, "C0"), ("wrong", ~matching.hits, "C1")):
            axis.hist(matching.scores[part], BINS, histtype="stepfilled", alpha=0.45, color=colour, label=label)
            axis.hist(matching.scores[part], BINS, histtype="step", color=colour)
        axis.set(title=f"{name} ({matching.total} true boxes)", xlim=(0, 1), yscale="symlog")
        axis.set_ylim(bottom=0)
        axis.title.set_fontsize("small")
        axis.tick_params(labelsize="x-small")
    for axis in axes.flat[max(1, len(told)) :]:
        axis.set_visible(False)
    if told:
        axes.flat[0].legend(fontsize="x-small")
    else:
        _say(axes.flat[0], "no detections")
    figure.supxlabel("score", fontsize="small")
    figure.supylabel("detections", fontsize="small")
    return figure


def _say(axis, text: str) -> None:
    axis.text(0.5, 0.5, text, ha="center", va="center", transform=axis.transAxes)
