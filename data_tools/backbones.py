"""Networks that turn images into feature vectors: ResNet-50 of keras.applications, and SqueezeNet 1.1."""

from __future__ import annotations

import pathlib
from typing import Any

import h5py
import keras
import numpy as np
from keras import layers

from data_tools.image_files import resize
from data_tools.schema import open_hdf5
from run_tools.errors import InputError, unknown_name
from run_tools.files import sha256

CAFFE_MEAN = np.array([103.939, 116.779, 123.68], np.float32)
"""Means of ImageNet's blue, green and red, 0-255: what networks first trained in Caffe expect to be subtracted."""
SMALLEST = {"resnet50": 32, "squeezenet": 35}
WIDTHS = {"resnet50": 2048, "squeezenet": 512}
"""Length of the vector of each backbone."""
NAMED = ("imagenet", "random")
RESNET50_FILE = "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5"
FIRES = ((2, 16, 64), (3, 16, 64), (4, 32, 128), (5, 32, 128), (6, 48, 192), (7, 48, 192), (8, 64, 256), (9, 64, 256))
POOLED_BEFORE = (4, 6)
"""Fire modules (number, squeezed channels, channels of each half) and those that a pooling comes before."""


class Backbone:
    """Images → vectors: the mean over the last feature map.

    Args:
        name: "resnet50" (2048 numbers, as papers 001 and 002 have them) or "squeezenet" (512).
        weights: a weights file in Keras's HDF5 layout without the top; "imagenet", which Keras downloads (ResNet-50
            only); or "random", for tests. Default: "imagenet" for ResNet-50; SqueezeNet needs a file.
        input_size: height and width that images are resized to; None: as they are.

    Attributes:
        width: length of a vector.
        model: the network, with the preprocessing left to `vectors`.
        weights: which weights, in words.

    Raises:
        InputError: an unknown name, weights that are missing, do not fit or cannot be downloaded, or a size too small.

    Sources: He et al. (2016), "Deep residual learning"; Iandola et al. (2016), "SqueezeNet", version 1.1.
    """

    def __init__(self, name: str, weights: str | None = None, input_size: tuple[int, int] | None = None) -> None:
        if name not in WIDTHS:
            raise unknown_name("backbone", name, WIDTHS)
        if input_size is not None:
            check_size(name, input_size)
        self.name, self.width, self.input_size = name, WIDTHS[name], input_size
        if weights is None:
            weights = "imagenet" if name == "resnet50" else ""
        if not weights or (weights == "imagenet" and name == "squeezenet"):
            raise InputError(
                f"--backbone {name} {'with --weights imagenet' if weights else 'without --weights'}",
                "a file of its ImageNet weights in Keras's layout, without the top",
                "add --weights squeezenet_imagenet_notop.h5, or use --backbone resnet50",
            )
        self.weights = _described(weights)
        self.model = _resnet50(weights) if name == "resnet50" else _squeezenet(weights)
        if weights == "random":
            _randomise(self.model)
        self.model.trainable = False

    def vectors(self, images: np.ndarray) -> np.ndarray:
        """Feature vectors.

        Args:
            images: uint8 RGB, shape (n, H, W, 3).

        Returns:
            float32, shape (n, width).

        Raises:
            InputError: images are too small, or a vector is not finite.
        """
        size = self.input_size or (images.shape[1], images.shape[2])
        check_size(self.name, size)
        if images.shape[1:3] != size:
            images = np.stack([resize(image, size) for image in images])
        # Both networks were first trained in Caffe: blue first, 0-255, minus the mean.
        inputs = images[..., ::-1].astype(np.float32) - CAFFE_MEAN
        found = np.asarray(self.model.predict_on_batch(inputs), np.float32)
        if not np.isfinite(found).all():
            raise InputError(f"vectors that are not finite from {self.name}, {self.weights}", "numbers", "check them")
        return found


def check_size(name: str, size: tuple[int, int]) -> tuple[int, int]:
    """The size (height, width), if the backbone can take it; InputError otherwise."""
    least = SMALLEST[name]
    if min(size) < least:
        raise InputError(
            f"images of {size[1]}x{size[0]} for {name}",
            f"at least {least}x{least}",
            "have them resized by a larger --input (of papers: --feature-input)",
        )
    return size


def _described(weights: str) -> str:
    """Which weights, in words that stay true when the file moves."""
    if weights in NAMED:
        return weights
    path = pathlib.Path(weights)
    if not path.is_file():
        raise InputError(
            f"--weights {weights} ({'a folder' if path.is_dir() else 'nothing there'})",
            f"a weights file or one of {', '.join(NAMED)}",
            "check the path",
        )
    return f"{path.name}, SHA-256 {sha256(path)}"


def _open(path: pathlib.Path) -> h5py.File:
    """A weights file for reading."""
    return open_hdf5(path, "a whole weights file in Keras's HDF5 layout", "download or copy it again")


def _resnet50(weights: str) -> keras.Model:
    """ResNet-50 up to its global average pooling."""
    if weights not in NAMED:
        with _open(pathlib.Path(weights)):
            pass  # a file that is no HDF5 is told as such
    try:
        return keras.applications.ResNet50(
            include_top=False, weights=None if weights == "random" else weights, pooling="avg", name="resnet50"
        )
    except ValueError as error:
        reason = str(error).split("\n")[0][:120]
        raise InputError(
            f"--weights {weights}, which do not fit ({reason})", "ResNet-50's without the top", "check the file"
        ) from error
    except Exception as error:
        if weights != "imagenet" or "URL fetch failure" not in str(error):  # Keras raises a bare Exception for it
            raise
        raise InputError(
            "no connection to Keras's server for the ImageNet weights of ResNet-50",
            "a download or a file",
            f"go online once, or pass --weights {RESNET50_FILE} (of papers: --feature-weights)",
        ) from error


def _randomise(model: keras.Model) -> None:
    """Kernels drawn by He's rule, the same every time, without touching the process's own random numbers."""
    rng = np.random.default_rng(0)
    for layer in model.layers:
        arrays = layer.get_weights()
        drawn = [rng.normal(0, (2 / np.prod(a.shape[:-1])) ** 0.5, a.shape) if a.ndim > 1 else a for a in arrays]
        layer.set_weights(drawn)


def squeezenet() -> keras.Model:
    """SqueezeNet 1.1 up to the mean over its last feature map, untrained.

    Returns:
        A functional model: BGR images minus `CAFFE_MEAN`, float32 (n, H, W, 3), to vectors (n, 512).
    """
    inputs = layers.Input((None, None, 3), name="images")
    x = layers.Conv2D(64, 3, strides=2, activation="relu", name="conv1")(inputs)
    x = layers.MaxPooling2D(3, strides=2, name="pool1")(x)
    for number, squeezed, expanded in FIRES:
        if number in POOLED_BEFORE:
            x = layers.MaxPooling2D(3, strides=2, name=f"pool{number - 1}")(x)
        fire = f"fire{number}"
        x = layers.Conv2D(squeezed, 1, activation="relu", name=f"{fire}_squeeze1x1")(x)
        one = layers.Conv2D(expanded, 1, activation="relu", name=f"{fire}_expand1x1")(x)
        three = layers.Conv2D(expanded, 3, padding="same", activation="relu", name=f"{fire}_expand3x3")(x)
        x = layers.Concatenate(name=f"{fire}_concat")([one, three])
    return keras.Model(inputs, layers.GlobalAveragePooling2D(name="mean")(x), name="squeezenet")


def _squeezenet(weights: str) -> keras.Model:
    """SqueezeNet with weights from a file of its first Keras port, layer by layer."""
    model = squeezenet()
    if weights == "random":
        return model
    path = pathlib.Path(weights)
    with _open(path) as file:
        for layer in model.layers:
            if isinstance(layer, layers.Conv2D):
                # Keras 3 allows no slash in a name, the file was written with them: fire2/squeeze1x1.
                layer.set_weights(_arrays(file, layer.name.replace("_", "/"), layer, path))
    return model


def _arrays(file: h5py.File, name: str, layer: Any, path: pathlib.Path) -> list[np.ndarray]:
    """Kernel and bias of one layer of a weights file; InputError where they do not fit."""
    found: list[np.ndarray] = []

    def collect(_: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            found.append(item[()])

    if isinstance(file.get(name), h5py.Group):
        file[name].visititems(collect)
    # Names inside differ from port to port; a kernel has four dimensions and a bias one.
    found.sort(key=lambda array: -array.ndim)
    wanted = [tuple(variable.shape) for variable in layer.weights]
    if [array.shape for array in found] != wanted:
        held = ", ".join(str(array.shape) for array in found) or "nothing"
        raise InputError(
            f"{path} with {held} as {name}", f"{', '.join(map(str, wanted))}", "use SqueezeNet 1.1's without the top"
        )
    return found
