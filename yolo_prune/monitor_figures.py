"""Precision-recall curves, confusion matrix and the worst sheets in TensorBoard while a detector trains."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from data_tools.event_images import write_images
from run_tools.figures import pixels
from yolo_prune import evaluation_figures as figures
from yolo_prune.evaluation.outcomes import confusion, outcomes
from yolo_prune.monitor import ValidationAP
from yolo_prune.sheets import worst_sheets

SHEETS = 4


class Judgement(keras.callbacks.Callback):
    """Writes figures of the detections that `ValidationAP` has just judged; put it after that callback.

    Nothing is detected anew: it only draws, on some of the epochs that are validated anyway.

    Args:
        logdir: TensorBoard's folder.
        validation: what judges the model.
        every: epochs between figures. They come with the first validation, then with the first one in each further
            stretch of so many epochs, and with the last one. 0: none.
        score: score threshold of confusion matrix and sheets.
    """

    def __init__(self, logdir: Path, validation: ValidationAP, every: int, score: float = 0.3):
        super().__init__()
        self.logdir = logdir
        self.validation = validation
        self.epochs = chosen_epochs(sorted(validation.epochs), every)
        self.score = score

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Draws and writes the figures."""
        if epoch + 1 in self.epochs:
            write_images(self.logdir, self.pictures(), epoch)

    def pictures(self) -> dict[str, np.ndarray]:
        """TensorBoard's tag → uint8 (H, W, 3) RGB, of the last detections judged."""
        judged = self.validation
        true, found, names = judged.truths, judged.found, judged.class_names
        results = outcomes(true, found, self.score)
        matrix = confusion(true, results, len(names))
        drawn = {
            "curves/coco": figures.coco_curves(true, found, names),
            "curves/kitti_moderate": figures.kitti_curves(true, found, names),
            "confusion": figures.confusion_matrix(matrix, names),
            "scores": figures.score_histograms(true, found, names),
        }
        pictures = {tag: pixels(figure) for tag, figure in drawn.items() if figure is not None}
        sheets = worst_sheets(judged.view, true, found, results, names, self.score, SHEETS)
        return pictures | {f"worst/{rank}": picture for rank, picture in enumerate(sheets.values(), start=1)}


def chosen_epochs(validated: Sequence[int], every: int) -> frozenset[int]:
    """The validated epochs that get figures; which ones depends on nothing else, so a resumed run chooses alike.

    Args:
        validated: epochs, counted from 1, ascending.
        every: epochs between figures; 0: none.
    """
    if not every:
        return frozenset()
    stretches = {(epoch - 1) // every: epoch for epoch in reversed(validated)}
    return frozenset([*stretches.values(), *validated[-1:]])
