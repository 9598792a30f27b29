"""Weights of tf_keras models that tensorflow_model_optimization pruned, into the same network in Keras 3.

Neither package is imported: HDF5 files are read by h5py, SavedModels and checkpoints by TensorFlow's checkpoint reader.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from prune_tools import holding, tfmot_files
from prune_tools.tfmot_files import Stored
from run_tools.errors import InputError

WAYS = ("auto", "name", "order")
# Keras 2's name of a weight → Keras 3's, where these differ.
_RENAMED = {"depthwise_kernel": "kernel"}


@dataclass(frozen=True)
class Loaded:
    """What `load_weights` did.

    Attributes:
        by: "name" or "order".
        pairs: (weight in the file, weight in the model), in the file's order.
        zeros: of the loaded weights of two and more axes.
        weights: how many these are.
        masked: weights that were not zero although their mask in the file says so, zeroed here.
        dropped: masks, thresholds and step counters that were in the file.
    """

    by: str
    pairs: tuple[tuple[str, str], ...]
    zeros: int
    weights: int
    masked: int
    dropped: int

    @property
    def sparsity(self) -> float:
        """Fraction of zeros in the loaded weights of two and more axes, 0–1."""
        return self.zeros / self.weights if self.weights else 0.0


@dataclass(frozen=True)
class _Place:
    """A layer of the model that has weights: its name and their names."""

    name: str
    weights: dict[str, keras.Variable]


def load_weights(path: str | Path, model: keras.Model, by: str = "auto", masks: bool = True) -> Loaded:
    """Reads the weights of a tf_keras model, stripped of its pruning wrappers or not, bit for bit.

    Reads `.h5` files of `model.save` and `model.save_weights`, SavedModel folders, TensorFlow checkpoints (the prefix),
    `.keras` archives and `.weights.h5` files. The last two know layers by class and number alone, so they are read by
    that, and only stripped. Nothing of the model changes when anything does not fit.

    Args:
        path: the file, folder or prefix.
        model: the same architecture in Keras 3, built.
        by: "name": layers by their names; "order": the n-th layer with weights of the file is the model's, which is all
            that SavedModels and checkpoints allow; "auto": by name where all names agree, else by order.
        masks: apply masks that are in the file. A step of the optimizer after the last masking leaves pruned weights
            that are not zero.

    Returns:
        What was done.

    Raises:
        InputError: for another file, or layers, weights or shapes that do not fit, naming the first one.
    """
    if by not in WAYS:
        raise InputError(f"by={by!r}", f"one of {', '.join(WAYS)}", "choose one of these")
    holding.sync(model)
    found = tfmot_files.read(Path(path))
    places = _by_class(model) if found.by_class else _places(model)
    pairs, way = _paired(found.layers, places, by, found)
    matched = []
    for stored, place in pairs:
        matched += _weights(stored, place, found.path)
    zeros = weights = masked = 0
    for _, array, mask, variable in matched:
        if masks and mask is not None:
            kept = np.where(mask != 0, array, np.zeros((), array.dtype))
            masked += int(np.count_nonzero(array) - np.count_nonzero(kept))
            array = kept
        variable.assign(array)
        if array.ndim > 1:
            zeros, weights = zeros + array.size - int(np.count_nonzero(array)), weights + array.size
    told = tuple((name, variable.path) for name, _, _, variable in matched)
    return Loaded(way, told, zeros, weights, masked, found.dropped)


def _places(model: keras.Model) -> list[_Place]:
    """The layers that own weights, innermost ones, in the model's order."""
    owners: dict[str, dict[str, keras.Variable]] = {}
    for variable in model.weights:
        parts = variable.path.split("/")
        owners.setdefault("/".join(parts[:-1]), {})[parts[-1]] = variable
    return [_Place(name.split("/")[-1], weights) for name, weights in owners.items()]


def _by_class(model: keras.Model) -> list[_Place]:
    """The layers that own weights, called as `.weights.h5` files call them: by class, numbered in their container."""
    places: list[_Place] = []

    def visit(owner: keras.Model, prefix: str) -> None:
        counts: dict[str, int] = {}
        for layer in owner.layers:
            kind = keras.src.utils.naming.to_snake_case(type(layer).__name__)
            number = counts[kind] = counts.get(kind, -1) + 1
            name = f"{prefix}layers/{kind}" + (f"_{number}" if number else "")
            if isinstance(layer, keras.Model):
                visit(layer, f"{name}/")
            elif layer.weights:
                places.append(_Place(name, {str(index): variable for index, variable in enumerate(layer.weights)}))

    visit(model, "")
    return places


def _paired(
    layers: Sequence[Stored], places: Sequence[_Place], by: str, found: tfmot_files.Found
) -> tuple[list[tuple[Stored, _Place]], str]:
    """Layers of the file beside those of the model, and by what they were found."""
    names, wanted = [layer.name for layer in layers], [place.name for place in places]
    unique = len(set(names)) == len(names) and len(set(wanted)) == len(wanted)
    agree = found.named and unique and set(names) == set(wanted)
    if not agree and (by == "name" or found.by_class):
        raise _names_differ(found, names, wanted, unique)
    if agree and by != "order" or found.by_class:
        known = {place.name: place for place in places}
        return [(layer, known[layer.name]) for layer in layers], "name"
    if len(layers) != len(places):
        told = f"{len(layers)} layers with weights in {found.path} ({_few(names)})"
        expected = f"{len(places)}, as the model has ({_few(wanted)})"
        raise InputError(told, expected, "build the network that the file is of")
    return list(zip(layers, places, strict=True)), "order"


def _names_differ(found: tfmot_files.Found, names: list[str], wanted: list[str], unique: bool) -> InputError:
    if not found.named:
        return InputError(f"{found.path}, which has no names of layers", "by='order'", "read it by order")
    if not unique:
        return InputError(f"{found.path}: layers of one name", "different names", "read it by order")
    extra, lacking = [n for n in names if n not in wanted], [n for n in wanted if n not in names]
    told = f"{found.path} with layers {_few(extra) or 'none'} that the model has not"
    fix = "build the network that the file is of" + ("" if found.by_class else ", or read it by order")
    return InputError(told, f"the model's, {_few(lacking) or 'none'} of which are missing", fix)


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _weights(
    stored: Stored, place: _Place, path: Path
) -> list[tuple[str, np.ndarray, np.ndarray | None, keras.Variable]]:
    """(name in the file, array, mask, variable) of one layer, each with the right shape."""
    arrays = dict(stored.arrays)
    if set(arrays) != set(place.weights):
        arrays = {_RENAMED.get(name, name): array for name, array in arrays.items()}
    if set(arrays) != set(place.weights):
        received = f"{path}: layer {stored.name} with {', '.join(sorted(stored.arrays))}"
        expected = f"{', '.join(sorted(place.weights))}, as layer {place.name} of the model"
        raise InputError(received, expected, "build the network that the file is of")
    original = {_RENAMED.get(name, name) if name not in place.weights else name: name for name in stored.arrays}
    found: list[tuple[str, np.ndarray, np.ndarray | None, keras.Variable]] = []
    for name, variable in place.weights.items():
        array, source = arrays[name], f"{stored.name}/{original[name]}"
        if tuple(array.shape) != tuple(variable.shape):
            received = f"{path}: {source} of shape {tuple(array.shape)}"
            expected = f"{tuple(variable.shape)}, as {variable.path} of the model"
            raise InputError(received, expected, "build the network that the file is of")
        found.append((source, array, _mask(stored, array), variable))
    return found


def _mask(stored: Stored, array: np.ndarray) -> np.ndarray | None:
    """The mask of a weight: tfmot prunes at most one weight of a layer that has its shape."""
    fitting = [mask for mask in stored.masks if mask.shape == array.shape]
    return fitting[0] if len(fitting) == 1 and array.ndim > 1 else None


def describe(loaded: Loaded) -> str:
    """What `load_weights` did, in a line.

    Args:
        loaded: its answer.

    Returns:
        A sentence.
    """
    told: list[Any] = [f"{len(loaded.pairs)} weights by {loaded.by}, {loaded.sparsity:.2%} of the kernels zero"]
    if loaded.dropped:
        told.append(f"{loaded.dropped} masks, thresholds and counters left out")
    if loaded.masked:
        told.append(f"{loaded.masked} weights zeroed that their masks prune")
    return ", ".join(told)
