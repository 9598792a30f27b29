"""Weights from another network: by layer, where the shapes agree, and told what was taken and what was not."""

from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from run_tools import arrays as archives
from run_tools.errors import InputError
from yolo_prune.detector import YoloV2
from yolo_prune.models import load_model

# Names of our layers' variables in a Keras-layout `.npz` (`conv2d_1/kernel`, `batch_normalization_1/gamma`, …).
_PREFIXES = {"conv": "conv2d", "norm": "batch_normalization"}


@dataclass(frozen=True)
class Transfer:
    """What `transfer` did.

    Attributes:
        loaded: names of layers whose every variable was set.
        skipped: layer name → why it kept its own weights.
        notes: what else there is to know, such as other anchors.
        described: whether the source says what its anchors are; a `.npz` does not.
    """

    loaded: tuple[str, ...]
    skipped: dict[str, str]
    notes: tuple[str, ...] = ()
    described: bool = True


def transfer(model: YoloV2, source: str | Path | keras.Model, head: bool = True) -> Transfer:
    """Copies weights into `model`, layer by layer.

    Args:
        model: receives the weights.
        source: a run folder, a `.keras` file, a name in the manifest, a built model with the same layer names, or a
            `.npz` in Keras layout.
        head: take the head too, if its shape and classes fit.

    Returns:
        Which layers were loaded; a layer whose shapes differ (a head of other classes) keeps its own weights.

    Raises:
        InputError: when the source cannot be read or no layer at all fits.
    """
    arrays, origin = _arrays(source)
    loaded, skipped = [], _other_classes(model, origin) if head else {model.layers[-1].name: "a new head is wanted"}
    skipped |= _other_passthrough(model, origin)
    for layer in model.layers:
        if not layer.weights or layer.name in skipped:
            continue
        missing = [name for name in map(_variable_name, layer.weights) if _key(layer, name) not in arrays]
        if missing:
            skipped[layer.name] = f"the source has no {', '.join(missing)}"
            continue
        values = [arrays[_key(layer, _variable_name(variable))] for variable in layer.weights]
        shapes = [tuple(variable.shape) for variable in layer.weights]
        if [value.shape for value in values] != shapes:
            skipped[layer.name] = f"shapes {[value.shape for value in values]}, here {shapes}"
            continue
        convolution = layer.name.replace("norm_", "conv_")
        if convolution in skipped:
            skipped[layer.name] = f"its statistics are those of another {convolution}"
            continue
        layer.set_weights(values)
        loaded.append(layer.name)
    if not loaded:
        # The lowest one: that a head has other classes is no news where nothing below it fits.
        first = next(layer.name for layer in model.layers if layer.name in skipped)
        raise InputError(
            f"{source}: no layer fits ({first}: {skipped[first]})", "weights of this network", "check --widths"
        )
    notes = _other_anchors(model, origin) if model.layers[-1].name in loaded else ()
    return Transfer(tuple(loaded), skipped, notes, getattr(origin, "anchors", None) is not None)


def _other_classes(model: YoloV2, origin: keras.Model | None) -> dict[str, str]:
    """A head of as many, but other classes fits by its shape alone: a channel of cars must not become one of trams."""
    theirs = getattr(origin, "class_names", None)
    if theirs is None or model.class_names is None or tuple(theirs) == model.class_names:
        return {}
    head = model.layers[-1].name
    return {head: f"its classes are {', '.join(theirs)}, here {', '.join(model.class_names)}"}


def _other_passthrough(model: YoloV2, origin: keras.Model | None) -> dict[str, str]:
    """Behind another passthrough the same channels mean other places, so the convolution that reads them starts new."""
    theirs = getattr(origin, "passthrough", model.passthrough)
    if model.variant != "full" or theirs == model.passthrough:
        return {}
    return {"conv_22": f"it reads a {theirs} passthrough, here {model.passthrough} (see --passthrough)"}


def _other_anchors(model: YoloV2, origin: keras.Model | None) -> tuple[str, ...]:
    theirs = getattr(origin, "anchors", None)
    if theirs is None or np.shape(theirs) != np.shape(model.anchors) or np.allclose(theirs, model.anchors, rtol=1e-3):
        return ()
    return (f"the head was trained with other anchors, {_listed(theirs)}; here {_listed(model.anchors)}",)


def _listed(anchors) -> str:
    return " ".join(f"{width:.3f},{height:.3f}" for width, height in anchors)


def _variable_name(variable) -> str:
    return variable.path.rsplit("/", 1)[-1]


def _key(layer, variable: str) -> str:
    return f"{layer.name}/{variable}"


def _arrays(source: str | Path | keras.Model) -> tuple[dict[str, np.ndarray], keras.Model | None]:
    """`layer/variable` → array, and the model they come from where there is one."""
    if not isinstance(source, keras.Model):
        path = Path(source)
        if path.suffix == ".npz":
            return read_npz(path), None
        source = load_model(path)
    arrays = {
        _key(layer, _variable_name(variable)): keras.ops.convert_to_numpy(variable)
        for layer in source.layers
        for variable in layer.weights
    }
    return arrays, source


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a `.npz` in Keras layout by our layers' names, `conv_1/kernel` and so on.

    Raises:
        InputError: when there is no such file, or it is no archive of arrays.
    """
    renamed = {}
    for name, value in archives.read_npz(path).items():
        for ours, theirs in _PREFIXES.items():
            if name.startswith(f"{theirs}_"):
                name = name.replace(theirs, ours, 1)
        renamed[name] = value
    return renamed
