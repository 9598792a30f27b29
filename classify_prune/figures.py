"""An evaluation as figures: the confusion matrix and confidence against accuracy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from run_tools import figures as shared

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = 40
"""Up to so many classes a confusion matrix is drawn with names; more are drawn without."""


def of(found: dict[str, Any]) -> dict[str, Figure]:
    """The figures of what `metrics.judge` returns: "confusion" and "calibration"."""
    return {"confusion": confusion(found), "calibration": reliability(found)}


def confusion(found: dict[str, Any]) -> Figure:
    """Which class was taken for which, each row shaded by its shares; classes that never occur are left out."""
    counts, names = np.asarray(found["confusion"]), list(found["classes"])
    shown = (counts.sum(axis=0) + counts.sum(axis=1)) > 0
    counts, kept = counts[np.ix_(shown, shown)], [name for name, keep in zip(names, shown, strict=True) if keep]
    labels = kept if len(kept) <= SHOWN else [""] * len(kept)
    return shared.matrix(counts, labels, labels, "taken for", "in truth")


def reliability(found: dict[str, Any]) -> Figure:
    """Accuracy of the images in each bin of confidence, and below how many they are.

    Source: Guo et al. (2017), "On Calibration of Modern Neural Networks", figure 1.
    """
    bins = found["calibration"]
    edges = np.asarray(bins["edges"])
    known = [index for index, count in enumerate(bins["counts"]) if count]
    middle, width = (edges[:-1] + edges[1:]) / 2, np.diff(edges)
    figure, (above, below) = shared.figure(4.6, 4.8, rows=2)
    accuracy = [bins["accuracy"][index] for index in known]
    above.bar(middle[known], accuracy, width[known], edgecolor="white", label="right")
    above.plot([bins["confidence"][index] for index in known], accuracy, "k.", label="mean")
    above.plot([0, 1], [0, 1], color="grey", linestyle="--", label="as sure as right")
    above.set(ylabel="accuracy", xlim=(0, 1), ylim=(0, 1.02), title=f"expected calibration error {found['ece']:.3f}")
    above.legend(fontsize="x-small", loc="upper left")
    below.bar(middle, bins["counts"], width, edgecolor="white", color="grey")
    below.set(xlabel="confidence", ylabel="images", xlim=(0, 1))
    return figure
