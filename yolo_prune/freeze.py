"""Which layers learn."""

import keras
from keras import layers

from run_tools.errors import InputError
from yolo_prune.recipe import check_train


def freeze(model: keras.Model, train: str) -> list[str]:
    """Sets `trainable` of every layer with weights.

    Args:
        model: a network of convolutions, each followed by its batch-norm.
        train: "all", "head", "top:N" (the last N convolutions and their batch-norms) or "norm" (batch-norms alone).

    Returns:
        Names of the layers that learn, in the order of the network.

    Raises:
        InputError: for another word, or an N above the number of convolutions.
    """
    count = check_train(train)
    # By number, as in darknet's cfg: Keras lists layers by depth, which puts the passthrough before the one it follows.
    convolutions = sorted((layer for layer in model.layers if isinstance(layer, layers.Conv2D)), key=_number)
    if count is not None and count > len(convolutions):
        raise InputError(f"train {train!r}", f"at most top:{len(convolutions)}", "use all to train every layer")
    first = len(convolutions) - {"head": 1, "all": len(convolutions), "norm": len(convolutions)}.get(train, count or 0)
    open_names = {layer.name for layer in convolutions[first:]} if train != "norm" else set()
    # A batch-norm belongs to the convolution of the same number.
    open_names |= {name.replace("conv_", "norm_") for name in open_names}
    for layer in model.layers:
        if layer.weights:
            norm = train == "norm" and isinstance(layer, layers.BatchNormalization)
            layer.trainable = norm or layer.name in open_names
    return [layer.name for layer in model.layers if layer.weights and layer.trainable]


def _number(layer: keras.Layer) -> int:
    """N of a layer named `conv_N`."""
    return int(layer.name.rsplit("_", 1)[-1])
