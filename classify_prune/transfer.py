"""Weights from another network or from ImageNet: by layer, where the shapes agree, and told what was taken."""

import json
import math
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from classify_prune import presets
from classify_prune.loading import load_classifier
from classify_prune.models import Classifier
from classify_prune.networks import HEAD
from run_tools.arrays import read_npz
from run_tools.errors import InputError

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and deviation of the colours of ImageNet, for which torchvision's weights are made."""

SUFFIXES = (".npz", ".safetensors")
_NORM = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}
_TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8"}
_HEADER_LIMIT = 100_000_000


@dataclass(frozen=True)
class Transfer:
    """What `transfer` did.

    Attributes:
        loaded: names of the layers whose every variable was set.
        skipped: layer name → why it kept its own weights.
    """

    loaded: tuple[str, ...]
    skipped: dict[str, str]


def transfer(model: Classifier, source: str | Path | Classifier, head: bool = True) -> Transfer:
    """Copies weights into a network, layer by layer.

    Args:
        model: receives the weights.
        source: a run folder, a `.keras` file, a name in the manifest or a network of this package, with the same layer
            names; or, for ResNet-18, torchvision's weights under torchvision's names (`conv1.weight`,
            `layer1.0.bn2.running_var`, …) as `.npz` or `.safetensors`, or "imagenet": keras-hub's, see `presets`.
        head: take the last layer too, if its shape and classes fit.

    Returns:
        Which layers were loaded; a layer whose shapes differ keeps its own weights.

    Raises:
        InputError: when the source cannot be read or no layer at all fits.
    """
    arrays, names = _arrays(source)
    loaded: list[str] = []
    skipped: dict[str, str] = {}
    for layer in model.layers:
        if not layer.weights:
            continue
        reason = _why_not(layer, arrays, names, model, head)
        if reason is None:
            layer.set_weights([arrays[f"{layer.name}/{variable.name}"] for variable in layer.weights])
            loaded.append(layer.name)
        else:
            skipped[layer.name] = reason
    if not loaded:
        first = next(iter(skipped.items()))
        raise InputError(
            f"{source}: no layer fits ({first[0]}: {first[1]})", "weights of this network", "check its widths and name"
        )
    return Transfer(tuple(loaded), skipped)


def _why_not(layer, arrays: dict[str, np.ndarray], names, model: Classifier, head: bool) -> str | None:
    if layer.name == HEAD:
        if not head:
            return "a new head is wanted"
        if names != model.class_names:
            theirs = "of other classes" if names is None else f"of the classes {_listed(names)}"
            return f"it is {theirs}, here {_listed(model.class_names or ())}"
    missing = [variable.name for variable in layer.weights if f"{layer.name}/{variable.name}" not in arrays]
    if missing:
        return f"the source has no {', '.join(missing)}"
    found = [arrays[f"{layer.name}/{variable.name}"].shape for variable in layer.weights]
    wanted = [tuple(variable.shape) for variable in layer.weights]
    return None if found == wanted else f"shapes {found}, here {wanted}"


def _listed(names) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "") or "without names"


def _arrays(source: str | Path | Classifier) -> tuple[dict[str, np.ndarray], tuple[str, ...] | None]:
    """`layer/variable` → array, and the names of the source's classes."""
    if not isinstance(source, Classifier):
        path = Path(source)
        if str(source) == presets.IMAGENET and not path.exists():
            return presets.imagenet(), None
        if path.suffix in SUFFIXES and not path.is_dir():
            stored = read_npz(path) if path.suffix == ".npz" else read_safetensors(path)
            return from_torchvision(stored), None
        source = load_classifier(path)
    arrays = {
        f"{layer.name}/{variable.name}": keras.ops.convert_to_numpy(variable)
        for layer in source.layers
        for variable in layer.weights
    }
    return arrays, source.class_names


def from_torchvision(stored: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """torchvision's ResNet-18 under our names, in Keras's layout.

    Args:
        stored: `conv1.weight` (out, in, h, w), `bn1.weight`, `layer1.0.conv1.weight`, `layer2.0.downsample.1.bias`,
            `fc.weight` (out, in), …; what is called otherwise is left out.

    Returns:
        `stem_conv/kernel` (h, w, in, out), `stem_norm/gamma`, …
    """
    found = {}
    for name, value in stored.items():
        *place, kind = name.split(".")
        layer = _our_layer(place)
        if layer is None:
            continue
        if layer.endswith("_norm"):
            if kind in _NORM:
                found[f"{layer}/{_NORM[kind]}"] = value
        elif kind == "weight":
            found[f"{layer}/kernel"] = value.transpose(2, 3, 1, 0) if value.ndim == 4 else value.T
        else:
            found[f"{layer}/{kind}"] = value
    return found


def _our_layer(place: list[str]) -> str | None:
    """The layer that torchvision calls `conv1`, `layer2.0.bn2`, `layer2.0.downsample.1` or `fc`."""
    if place in (["conv1"], ["bn1"], ["fc"]):
        return {"conv1": "stem_conv", "bn1": "stem_norm", "fc": HEAD}[place[0]]
    if len(place) < 3 or not place[0].startswith("layer") or not place[1].isdigit():
        return None
    block = f"stage{place[0].removeprefix('layer')}_block{int(place[1]) + 1}"
    if place[2] == "downsample" and len(place) == 4:
        return f"{block}_shortcut_{'conv' if place[3] == '0' else 'norm'}"
    for theirs, ours in (("conv", "conv"), ("bn", "norm")):
        if place[2].startswith(theirs):
            return f"{block}_{place[2].removeprefix(theirs)}_{ours}"
    return None


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a `.safetensors` file: the length of a JSON header (8 bytes), the header, the numbers.

    Raises:
        InputError: when there is no such file, it is cut off, or it holds other kinds of numbers than floats.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file", "a .safetensors file of weights", "check --weights")
    try:
        data = path.read_bytes()
        length = int.from_bytes(data[:8], "little")
        if not 2 <= length <= min(_HEADER_LIMIT, len(data) - 8):
            raise ValueError(f"a header of {length} bytes")
        header = json.loads(data[8 : 8 + length])
        return {
            name: _tensor(name, entry, memoryview(data)[8 + length :])
            for name, entry in header.items()
            if name != "__metadata__"
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise InputError(f"{path}: {reason}", "a whole .safetensors file of floats", "download it again") from error


def _tensor(name: str, entry: dict, numbers: memoryview) -> np.ndarray:
    kind, shape = entry["dtype"], [int(side) for side in entry["shape"]]
    begin, end = (int(offset) for offset in entry["data_offsets"])
    if kind not in _TYPES:
        raise ValueError(f"{name} of type {kind}")
    wanted = np.dtype(_TYPES[kind])
    if not 0 <= begin <= end <= len(numbers) or end - begin != wanted.itemsize * math.prod(shape):
        raise ValueError(f"{name} of shape {tuple(shape)} at bytes {begin} to {end} of {len(numbers)}")
    return np.frombuffer(numbers[begin:end], wanted).reshape(shape)
