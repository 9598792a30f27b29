"""What a network reads: images at its size, grey where it wants them so, or feature vectors; and its batches."""

from typing import Any

import numpy as np

from classify_prune.models import Classifier
from classify_prune.recipe import TrainConfig
from classify_prune.transfer import IMAGENET
from data_tools.label_pipeline import LabelBatches, label_batches
from data_tools.label_store import LabelStore
from data_tools.preprocess import FeatureScale, Preprocess
from data_tools.tasks import Task
from run_tools.errors import InputError
from run_tools.files import parse_size


def resolve(config: TrainConfig, store: LabelStore) -> tuple[str, tuple[int, ...]]:
    """The architecture of a training and the shape of its inputs.

    Args:
        config: what was asked for.
        store: the data.

    Returns:
        `(architecture, input shape)`.

    Raises:
        InputError: for a network or size that does not fit what the file holds.
    """
    images = store.content == "images"
    architecture = config.network or ("resnet18" if images else "mlp")
    if images == (architecture == "mlp"):
        fix = "choose resnet18 or lenet5, or make features of the images" if images else "choose mlp"
        raise InputError(f"network {architecture} for {store.path}, which holds {store.content}", "one that fits", fix)
    if not images:
        if config.input is not None or config.augment is not None:
            given = "--input" if config.input is not None else "--augment"
            raise InputError(f"{given} for {store.path}, which holds features", "options of features", "leave it out")
        return architecture, store.input_shape
    default = (32, 32) if architecture == "lenet5" else store.input_shape[:2]
    size = parse_size(config.input) if config.input else default
    return architecture, (*size, 1 if architecture == "lenet5" else 3)


def preprocess_of(shape: tuple[int, ...]) -> Preprocess | None:
    """What makes stored images a network's: its size, grey for one channel; None for features."""
    return Preprocess(size=(shape[0], shape[1]), grey=shape[2] == 1) if len(shape) == 3 else None


def standard(
    config: TrainConfig, store: LabelStore, task: Task, shape: tuple[int, ...]
) -> tuple[list[float], list[float]] | tuple[None, None]:
    """Mean and deviation that the network takes out of its inputs, measured on the training images of the task.

    Raises:
        InputError: for a way that does not fit the inputs.
    """
    way, images = config.standardise, len(shape) == 3
    if way == "none":
        return None, None
    if way == "imagenet" and shape[-1] == 3 and images:
        return list(IMAGENET[0]), list(IMAGENET[1])
    if way == "imagenet" or (way == "minmax" and images):
        raise InputError(f"standardise {way} for inputs {shape}", "a way that fits them", "choose standard or none")
    view, rows = store["train"], task.rows["train"]
    if images:
        measured: Any = preprocess_of(shape).measured(view, rows)  # type: ignore[union-attr]
        return list(measured.mean), list(measured.deviation)
    scale = FeatureScale.measured(view, way, rows)
    return scale.offset.astype(np.float64).tolist(), (1.0 / scale.factor.astype(np.float64)).tolist()


def feed(
    store: LabelStore,
    split: str,
    shape: tuple[int, ...],
    batch_size: int,
    task: str,
    classes: int | None = None,
    **options: Any,
) -> LabelBatches:
    """Batches of a split for a network.

    Args:
        store: the data.
        split: its name.
        shape: of the network's inputs.
        batch_size: images a batch.
        task: what is told apart.
        classes: only the first so many classes.
        **options: of `data_tools.label_batches`.
    """
    return label_batches(
        store, split, batch_size, task=task, classes=classes, preprocess=preprocess_of(shape), **options
    )


def logits(model: Classifier, batches: LabelBatches) -> tuple[np.ndarray, np.ndarray]:
    """What a network says of every image of a feed, in its order.

    Returns:
        `(logits, labels)`: float32 (n, classes), int64 (n,).
    """
    found, labels = [], []
    for index in range(len(batches)):
        inputs, truth = batches[index]
        # Under a distribution strategy every replica sees the whole batch and all their outputs come back.
        found.append(np.asarray(model.predict_on_batch(inputs), np.float32)[: len(inputs)])
        labels.append(np.asarray(truth, np.int64))
    return np.concatenate(found), np.concatenate(labels)
