"""The files that tf_keras writes, as layers with named arrays; see `from_tfmot`."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from run_tools.errors import InputError

WRAPPER = "prune_low_magnitude"
OWN = ("mask", "threshold", "pruning_step", "step")
"""What a pruning wrapper adds to a layer's weights."""
_READ = "a .h5, .weights.h5 or .keras file, a SavedModel folder or a checkpoint of tf_keras"


@dataclass
class Stored:
    """One layer of a file.

    Attributes:
        name: its name; "layer 3" where the file knows none.
        arrays: weight's name, such as "kernel", → array.
        masks: of its pruned weights, in the wrapper's order.
    """

    name: str
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    masks: list[np.ndarray] = field(default_factory=list)


@dataclass(frozen=True)
class Found:
    """What a file holds.

    Attributes:
        path: where it lies.
        layers: those with weights, in the file's order.
        named: whether the layers' names are the model's.
        by_class: whether they are those of `.weights.h5` files, by class and number.
        dropped: how many masks, thresholds and counters there were.
    """

    path: Path
    layers: list[Stored]
    named: bool
    by_class: bool
    dropped: int


def read(path: Path) -> Found:
    """Reads any of the files.

    Args:
        path: file, folder, or prefix of a checkpoint.

    Returns:
        What it holds.

    Raises:
        InputError: when there is nothing, nothing of this kind, or no weights.
    """
    if path.is_dir() or Path(f"{path}.index").is_file():
        found = _checkpoint(path)
    elif not path.is_file():
        raise InputError(f"{path}: no such file", _READ, "check the path")
    elif zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if "model.weights.h5" not in archive.namelist():
                raise InputError(f"{path}, an archive without model.weights.h5", _READ, "check the path")
            found = _hdf5(path, io.BytesIO(archive.read("model.weights.h5")))
    else:
        found = _hdf5(path, path)
    if not found.layers:
        raise InputError(f"{path}, which holds no weights", _READ, "save the model again")
    return found


def _hdf5(path: Path, source: Any) -> Found:
    try:
        with h5py.File(source, "r") as file:
            group = file.get("model_weights", file)
            if "layer_names" in group.attrs or "layer_names0" in group.attrs:
                return _legacy(path, group)
            if "layers" in group:
                return _numbered(path, group)
    except (OSError, KeyError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{path}: {reason}", _READ, "check the file") from error
    raise InputError(f"{path}, without names of layers", _READ, "check the file")


def _legacy(path: Path, group: h5py.Group) -> Found:
    """HDF5 of Keras 2: attributes list the layers and the names of their weights, such as "conv/kernel:0".

    A nested model is one entry whose weights are those of all its layers.
    """
    layers: dict[tuple[str, str], Stored] = {}
    dropped = 0
    for outer in _texts(group, "layer_names"):
        for full in _texts(group[outer], "weight_names"):
            owner, _, name = full.removesuffix(":0").rpartition("/")
            array = np.asarray(group[outer][full])
            # A layer that was wrapped before it was built has the wrapper's name in that of its own weights.
            inner = (owner or outer).split("/")[-1].removeprefix(f"{WRAPPER}_")
            layer = layers.setdefault((outer, inner), Stored(inner))
            if not (outer.startswith(WRAPPER) and _is_own(name)):
                layer.arrays[name] = array
                continue
            dropped += 1
            if name.startswith("mask"):
                layer.masks.append(array)
    return Found(path, [layer for layer in layers.values() if layer.arrays], True, False, dropped)


def _is_own(name: str) -> bool:
    """Whether a wrapper calls one of its weights so; TensorFlow numbers equal names: mask, mask_1, …."""
    return re.sub(r"_\d+$", "", name) in OWN


def _texts(group: h5py.Group, name: str) -> list[str]:
    """An attribute that lists texts; long lists are cut into name0, name1, …."""
    keys = [name] if name in group.attrs else [f"{name}{index}" for index in range(len(group.attrs))]
    values = [value for key in keys if key in group.attrs for value in group.attrs[key]]
    return [value.decode() if isinstance(value, bytes) else str(value) for value in values]


def _numbered(path: Path, group: h5py.Group) -> Found:
    """Keras 3's and late tf_keras's `.weights.h5`: layers/conv2d_1/vars/0, nested models with layers of their own."""
    layers: dict[str, Stored] = {}

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and name.startswith("layers/"):
            owner, _, number = name.rpartition("/")
            if WRAPPER in name:
                told = f"{path}, whose pruning wrappers are still there"
                fix = "strip it (strip_pruning) or save it as .h5 (save_format='h5')"
                raise InputError(told, "a .weights.h5 or .keras file without wrappers", fix)
            owner = owner.removesuffix("/vars").removesuffix("/cell")  # a recurrent layer's weights are its cell's
            layers.setdefault(owner, Stored(owner)).arrays[number] = np.asarray(item)

    group.visititems(visit)
    return Found(path, list(layers.values()), True, True, 0)


def _checkpoint(path: Path) -> Found:
    """A SavedModel's variables or a checkpoint: its graph of objects says whose each weight is, but no layer's name."""
    import tensorflow as tf
    from tensorflow.core.protobuf import trackable_object_graph_pb2

    inner = path / "variables" / "variables"
    prefix = inner if Path(f"{inner}.index").is_file() else path
    try:
        reader = tf.train.load_checkpoint(str(prefix))
        graph = trackable_object_graph_pb2.TrackableObjectGraph()
        graph.ParseFromString(reader.get_tensor("_CHECKPOINTABLE_OBJECT_GRAPH"))
    except (ValueError, OSError, tf.errors.OpError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{path}: {reason}", _READ, "check the path") from error
    layers: list[Stored] = []
    dropped = 0
    for number in _with_weights(graph, 0):
        layer = Stored(f"layer {len(layers)}")
        for name, key in _variables(graph, number, set()):
            array = reader.get_tensor(key)
            if _is_own(name):
                dropped += 1
                if name.startswith("mask"):
                    layer.masks.append(array)
            else:
                layer.arrays[name] = array
        if layer.arrays:
            layers.append(layer)
    return Found(path, layers, False, False, dropped)


def _with_weights(graph: Any, number: int) -> Iterator[int]:
    """Nodes of the innermost layers with weights, in the model's order."""
    children = {child.local_name: child.node_id for child in graph.nodes[number].children}
    found = sorted(
        (int(name.rpartition("-")[2]), node)
        for name, node in children.items()
        if re.fullmatch(r"layer_with_weights-\d+", name)
    )
    if not found and number:
        yield number
    for _, node in found:
        yield from _with_weights(graph, node)


def _variables(graph: Any, number: int, seen: set[int]) -> Iterator[tuple[str, str]]:
    """(name, key in the checkpoint) of a layer's weights, those of a wrapped layer or cell included."""
    seen.add(number)
    for child in graph.nodes[number].children:
        node = graph.nodes[child.node_id]
        if child.node_id in seen or child.local_name in ("keras_api", "variables", "trainable_variables"):
            continue
        values = [a.checkpoint_key for a in node.attributes if a.name == "VARIABLE_VALUE"]
        if values:
            seen.add(child.node_id)
            yield child.local_name, values[0]
        elif child.local_name in ("layer", "cell"):
            yield from _variables(graph, child.node_id, seen)
