"""`predict`: what pictures and the images of videos show."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from classify_prune.inputs import preprocess_of
from classify_prune.loading import load_classifier
from classify_prune.models import Classifier
from classify_prune.options import PredictConfig
from data_tools.frames import Frame, frames, look
from data_tools.sources import find
from run_tools.errors import InputError


def predict(options: PredictConfig) -> dict[str, Any]:
    """Run `predict`.

    Returns:
        images: label → the most probable classes, `[{"class", "probability"}, …]`; videos: label → frames (their
        number), rate (a second), mean (the same list, of the mean probabilities), counts (class → images of which it
        is the most probable), and each (one class and probability an image); skipped: label → what is wrong with it.

    Raises:
        InputError: for a model of vectors, or a file that cannot be read.
    """
    model = load_classifier(options.model)
    if model.image_size is None:
        raise InputError(f"{options.model}, a classifier of vectors", "one of images", "use evaluate on a file of them")
    names = model.class_names or tuple(str(index) for index in range(model.num_classes))
    skipped: dict[str, str] = {}
    sources, _ = look(find(options.image, None, options.recursive), options.keep_going, skipped)
    found = Told(names, options.top)
    for frame, row in judged(model, frames(sources, model.image_size, options.keep_going, skipped), options.batch_size):
        found.add(frame, row)
    return {"images": found.images, "videos": found.videos(), "skipped": skipped}


def judged(model: Classifier, given: Iterable[Frame], batch_size: int) -> Iterator[tuple[Frame, np.ndarray]]:
    """Each image with the probabilities of its classes, float32 (classes,), in order."""
    waiting: list[Frame] = []
    for frame in given:
        waiting.append(frame)
        if len(waiting) == batch_size:
            yield from zip(waiting, _batch(model, waiting, batch_size), strict=True)
            waiting = []
    if waiting:
        yield from zip(waiting, _batch(model, waiting, batch_size), strict=True)


def _batch(model: Classifier, waiting: list[Frame], size: int) -> np.ndarray:
    prepare: Any = preprocess_of(model.inputs_shape)
    batch = prepare.apply(np.stack([frame.small for frame in waiting]))
    # Filled up, as every other size would be compiled anew.
    filled = np.concatenate([batch, np.zeros((size - len(batch), *batch.shape[1:]), batch.dtype)])
    return model.probabilities(filled)[: len(batch)]


class Told:
    """What was found, collected.

    Args:
        names: of the classes.
        top: classes told of each image.

    Attributes:
        images: label of a picture → its most probable classes.
    """

    def __init__(self, names: tuple[str, ...], top: int) -> None:
        self.names = names
        self.top = top
        self.images: dict[str, list[dict[str, Any]]] = {}
        self._videos: dict[str, tuple[float, list[np.ndarray]]] = {}

    def add(self, frame: Frame, probabilities: np.ndarray) -> None:
        """Adds an image."""
        if frame.source.is_video:
            self._videos.setdefault(frame.source.label, (frame.rate, []))[1].append(probabilities)
        else:
            self.images[frame.source.label] = self._best(probabilities, self.top)

    def videos(self) -> dict[str, dict[str, Any]]:
        """Label of a video → what `predict` tells of it."""
        told = {}
        for label, (rate, rows) in self._videos.items():
            each = [self._best(row, 1)[0] for row in rows]
            counts = Counter(entry["class"] for entry in each)
            mean = self._best(np.mean(rows, axis=0), self.top)
            told[label] = {
                "frames": len(rows), "rate": rate, "mean": mean, "counts": dict(counts.most_common()), "each": each,
            }  # fmt: skip
        return told

    def _best(self, probabilities: np.ndarray, count: int) -> list[dict[str, Any]]:
        order = np.argsort(-probabilities, kind="stable")[:count]
        return [{"class": self.names[index], "probability": float(probabilities[index])} for index in order]
