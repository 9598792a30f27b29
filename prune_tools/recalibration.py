"""Batch-norm statistics after pruning: those of the dense network are no longer its own."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import keras

from prune_tools import holding
from run_tools.errors import InputError


def recalibrate(model: keras.Model, data: Iterable[Any], batches: int = 32) -> int:
    """Replaces batch-norm's moving statistics by the plain average of those of the batches; nothing else changes.

    The model runs as in training, but dropout and noise are off. Frozen batch-norms keep their statistics.

    Args:
        model: a built model.
        data: batches, inputs alone or as `fit` takes them. Iterated once.
        batches: how many to use at most.

    Returns:
        How many batches were used; 0, and no batch taken, if nothing in the model is to be recalibrated.

    Raises:
        InputError: if there is no batch.

    Source: Li et al. (ECCV 2020), "EagleEye: Fast Sub-net Evaluation for Efficient Neural Network Pruning".
    """
    holding.sync(model)
    layers = model._flatten_layers()
    norms = [layer for layer in layers if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable]
    if not norms:
        return 0
    noise = ("rate", "stddev")
    quiet = [
        (layer, name) for layer in layers for name in noise if hasattr(layer, "seed_generator") and hasattr(layer, name)
    ]
    settings = [(layer, name, getattr(layer, name)) for layer, name in quiet]
    settings += [(layer, "momentum", layer.momentum) for layer in norms]
    used = 0
    try:
        for layer, name in quiet:
            setattr(layer, name, 0)
        for batch in itertools.islice(data, batches):
            for layer in norms:  # m ← m · k / (k + 1) + batch / (k + 1) is the average of k + 1 batches
                layer.momentum = used / (used + 1)
            model(keras.utils.unpack_x_y_sample_weight(batch)[0], training=True)
            used += 1
    finally:
        for layer, name, value in settings:
            setattr(layer, name, value)
    if not used:
        raise InputError("no batch", "at least one", "give data")
    return used
