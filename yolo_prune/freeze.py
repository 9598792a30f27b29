"""Which layers learn."""

from fnmatch import fnmatchcase

import keras
from keras import layers

from run_tools.errors import InputError, unknown_name
from yolo_prune.recipe import NAMED, check_train


def freeze(model: keras.Model, train: str) -> list[str]:
    """Sets `trainable` of every layer with weights.

    Args:
        model: a network of convolutions, each followed by its batch-norm.
        train: what `yolo_prune.recipe.Stage.train` may say.

    Returns:
        Names of the layers that learn, in the order of the network.

    Raises:
        InputError: for another word, an N above the number of convolutions, or a name that no layer has.
    """
    count, kind = check_train(train), train.partition(":")[0]
    weighted = [layer for layer in model.layers if layer.weights]
    if kind in NAMED:
        named = _named([layer.name for layer in weighted], train)
        learn = {layer.name for layer in weighted if (layer.name in named) is (kind == "names")}
    elif train == "norm":
        learn = {layer.name for layer in weighted if isinstance(layer, layers.BatchNormalization)}
    else:
        learn = _upper(model, train, count)
    for layer in weighted:
        layer.trainable = layer.name in learn
    return [layer.name for layer in weighted if layer.trainable]


def _named(names: list[str], train: str) -> set[str]:
    """The names that the patterns of "names:…" or "except:…" fit; each must fit some."""
    found: set[str] = set()
    for pattern in train.partition(":")[2].split(","):
        fitting = {name for name in names if fnmatchcase(name, pattern)}
        if not fitting:
            raise unknown_name(f"layer in train {train!r}:", pattern, names)
        found |= fitting
    return found


def _upper(model: keras.Model, train: str, count: int | None) -> set[str]:
    """The last convolutions and their batch-norms."""
    # By number, as in darknet's cfg: Keras lists layers by depth, which puts the passthrough before the one it follows.
    convolutions = sorted((layer for layer in model.layers if isinstance(layer, layers.Conv2D)), key=_number)
    if count is not None and count > len(convolutions):
        raise InputError(f"train {train!r}", f"at most top:{len(convolutions)}", "use all to train every layer")
    first = len(convolutions) - (count or {"head": 1, "all": len(convolutions)}[train])
    names = {layer.name for layer in convolutions[first:]}
    # A batch-norm belongs to the convolution of the same number.
    return names | {name.replace("conv_", "norm_") for name in names}


def _number(layer: keras.Layer) -> int:
    """N of a layer named `conv_N`."""
    return int(layer.name.rsplit("_", 1)[-1])
