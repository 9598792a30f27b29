"""ImageNet weights of ResNet-18 by name: keras-hub's preset, downloaded once, under our layers' names."""

from __future__ import annotations

import re
from typing import Any

import keras
import numpy as np

from run_tools import optional
from run_tools.errors import InputError

IMAGENET = "imagenet"
"""What `--weights` calls them."""
PRESET = "resnet_18_imagenet"
_BLOCK = re.compile(r"stack(\d)_block(\d)_([012])_(conv|bn)")
_STEM = {"conv1_conv": "stem_conv", "conv1_bn": "stem_norm"}


def imagenet() -> dict[str, np.ndarray]:
    """The preset's weights, without a head.

    Returns:
        `stem_conv/kernel` (h, w, in, out), `stem_norm/gamma`, …

    Raises:
        InputError: when keras-hub is not installed, or the weights are not here yet and cannot be downloaded.
    """
    hub: Any = optional.require("keras_hub", "hub")
    try:
        return from_hub(hub.models.ResNetBackbone.from_preset(PRESET))
    except OSError as error:  # no connection, a refusal of the server, a full disk
        raise InputError(
            f"--weights {IMAGENET}, which cannot be downloaded ({type(error).__name__})",
            "a connection to Kaggle, once, or a file",
            "go online once, or pass torchvision's weights: --weights resnet18.safetensors",
        ) from error


def from_hub(backbone: keras.Model) -> dict[str, np.ndarray]:
    """keras-hub's ResNet of basic blocks under our names; its layout is Keras's own.

    Args:
        backbone: a `keras_hub.models.ResNetBackbone` with two blocks a stack.

    Returns:
        As `imagenet`.
    """
    return {
        f"{_our_layer(layer.name)}/{variable.name}": keras.ops.convert_to_numpy(variable)
        for layer in backbone.layers
        for variable in layer.weights
    }


def _our_layer(name: str) -> str:
    """The layer that keras-hub calls `conv1_bn`, `stack1_block0_0_conv` (a shortcut) or `stack3_block1_2_bn`."""
    if name in _STEM:
        return _STEM[name]
    found = _BLOCK.fullmatch(name)
    if found is None:
        return name
    stack, block, place, kind = found.groups()
    part = "shortcut" if place == "0" else place
    return f"stage{int(stack) + 1}_block{int(block) + 1}_{part}_{'conv' if kind == 'conv' else 'norm'}"
