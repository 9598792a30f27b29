"""How long each layer takes on this machine by the channels it reads and makes: a table, measured once and kept."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from prune_tools import latency, tracing
from prune_tools.graph import Graph
from prune_tools.graph.steps import Step
from run_tools.errors import InputError
from run_tools.files import read_json, write_json

PARTS = (0.125, 0.25, 0.5, 0.75, 1.0)
"""Parts of the channels at which layers are timed; between them times are interpolated."""
SLOPE = 1e-6
"""Least gain of a channel, as a part: where a time is flat, fewer channels are still the better."""


class Latencies:
    """Milliseconds of every layer with a kernel, read × made channels.

    Every layer is timed alone, and all are scaled by one factor so that together they take as long as the whole network
    does: what lies between them (normalisation, activations, pooling) shrinks with the channels as they do.

    Args:
        layers: names of the calls, in the model's order.
        grids: milliseconds, shape (calls, parts read, parts made), at `parts`.
        parts: rising, the last one 1.
        machine: where they were measured.

    Raises:
        InputError: for grids of another shape or with what is no time, and parts that do not rise to 1.
    """

    def __init__(
        self, layers: Sequence[str], grids: np.ndarray, parts: Sequence[float] = PARTS, machine: str = ""
    ) -> None:
        self.layers, self.parts, self.machine = list(layers), np.asarray(parts, float), machine
        grids = np.asarray(grids, float)
        wanted = (len(self.layers), len(self.parts), len(self.parts))
        if len(self.parts) < 2 or not (np.diff(self.parts) > 0).all() or self.parts[0] <= 0 or self.parts[-1] != 1:
            raise InputError(
                f"parts {self.parts.tolist()}", "two or more that rise from above 0 to 1", "mend the table"
            )
        if grids.shape != wanted or not (np.isfinite(grids) & (grids >= 0)).all():
            raise InputError(
                f"latencies of shape {grids.shape}, least {grids.min(initial=np.inf):g}",
                f"milliseconds of at least 0, shape {wanted}: one a layer and width",
                "measure them again",
            )
        # More channels never take less; where they seem to, that is noise or a width that suits the machine ill.
        self.grids = np.maximum.accumulate(np.maximum.accumulate(grids, axis=1), axis=2)

    @classmethod
    def measured(
        cls,
        graph: Graph,
        input_shape: Sequence[Any] | None = None,
        cache: str | Path | None = None,
        calls: int = 10,
        parts: Sequence[float] = PARTS,
    ) -> Latencies:
        """Times a model's layers here and now, in this process, one input at a time.

        Args:
            graph: of the model.
            input_shape: as for `cost.summary`.
            cache: JSON file, machine → layer → milliseconds; what it has is not measured again, what is new is added.
            calls: the median of how many.
            parts: as for the class.

        Raises:
            InputError: for sizes that are not known.
        """
        known: dict[str, dict[str, float]] = _cached(cache) if cache and Path(cache).exists() else {}
        machine = machine_name()
        own = known.setdefault(machine, {})
        ready = len(own)
        shapes: dict[int, list[tuple]] = {}
        for call in tracing.calls(graph.flat.model, input_shape):
            shapes.setdefault(id(call.operation), []).append(call.inputs[0])
        steps = timed(graph)
        grids = np.array([_grid(graph, step, shapes[id(step.layer)].pop(0), parts, calls, own) for step in steps])
        given = [tuple(tensor.shape[1:]) for tensor in graph.flat.model.inputs]
        if input_shape is not None:
            given = [tuple(shape)[-len(one) :] for shape, one in zip(_listed(input_shape), given, strict=True)]
        key = _key("model", [step.layer.get_config() for step in steps], given)
        if key not in own:
            own[key] = _milliseconds(graph.flat.model, given, calls)
        if cache and len(own) > ready:
            write_json(cache, known)
        whole = grids[:, -1, -1].sum()
        return cls([step.name for step in steps], grids * (own[key] / whole if whole > 0 else 1.0), parts, machine)

    def check(self, steps: Sequence[Step]) -> None:
        """Raises an InputError unless these are the calls of the table."""
        names = [step.name for step in steps]
        if names != self.layers:
            other = next((name for name in (*names, *self.layers) if (name in names) != (name in self.layers)), "order")
            raise InputError(f"latencies of another model ({other})", "those of this model", "measure them again")

    def milliseconds(self, counts: np.ndarray) -> np.ndarray:
        """Bilinear between the points of the table.

        Args:
            counts: parts of the channels that are read and made, shape (…, calls, 2).

        Returns:
            Shape (…, calls).
        """
        last = len(self.parts) - 2
        low = np.clip(np.searchsorted(self.parts, counts, side="right") - 1, 0, last)
        width = self.parts[low + 1] - self.parts[low]
        share = np.clip((counts - self.parts[low]) / width, 0, 1)
        call = np.arange(len(self.layers))
        (one, two), (x, y) = np.moveaxis(low, -1, 0), np.moveaxis(share, -1, 0)
        found = (
            (1 - x) * (1 - y) * self.grids[call, one, two]
            + x * (1 - y) * self.grids[call, one + 1, two]
            + (1 - x) * y * self.grids[call, one, two + 1]
            + x * y * self.grids[call, one + 1, two + 1]
        )
        return found * (1 + SLOPE * (counts.sum(axis=-1) - 2))

    def table(self) -> list[dict[str, Any]]:
        """One row a layer and width: layer, read and made (parts of its channels), milliseconds."""
        places = itertools.product(enumerate(self.layers), enumerate(self.parts), enumerate(self.parts))
        return [
            {"layer": name, "read": float(r), "made": float(m), "milliseconds": float(self.grids[at, i, j])}
            for (at, name), (i, r), (j, m) in places
        ]


def timed(graph: Graph) -> list[Step]:
    """The calls that take most of the time: those of layers with a kernel whose channels the graph knows."""
    return [
        step
        for step in graph.flat.steps
        if any(len(getattr(step.layer, name).shape) > 1 for name in graph.notes[step.name].weights)
    ]


def ends(graph: Graph, step: Step) -> list[np.ndarray]:
    """The channels that a call reads, and those that it makes, where it makes any of its own."""
    read, made = graph.tensor_channels(step.inputs[0]), graph.notes[step.name].produced
    return [channels for channels in (read, made) if channels is not None]


def machine_name() -> str:
    """The processor, how many of it, and what computes on it."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = info.read_text(encoding="utf-8", errors="replace").splitlines()
        model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), model)
    return f"{model}, {latency.processors()} processors, Keras {keras.__version__} on {keras.backend.backend()}"


def _cached(path: str | Path) -> dict[str, dict[str, float]]:
    known = read_json(path)
    tables = known.values() if isinstance(known, dict) else [None]
    if not all(isinstance(own, dict) and all(_time(value) for value in own.values()) for own in tables):
        raise InputError(f"{path}, which is no table of latencies", "machine → layer → milliseconds", "delete it")
    return known


def _time(value: Any) -> bool:
    return isinstance(value, (int, float)) and 0 <= value < math.inf


def _listed(shape: Sequence[Any]) -> list[Sequence[Any]]:
    return list(shape) if isinstance(shape[0], (list, tuple)) else [shape]


def _grid(
    graph: Graph, step: Step, shape: tuple, parts: Sequence[float], calls: int, known: dict[str, float]
) -> np.ndarray:
    """Milliseconds of one call, shape (parts read, parts made); the same along an end that has no channels to cut."""
    notes = graph.notes[step.name]
    read, made = graph.tensor_channels(step.inputs[0]), notes.produced
    found = np.zeros((len(parts), len(parts)))
    for (i, part), (j, other) in itertools.product(enumerate(parts), repeat=2):
        if "groups" in notes.edits:  # cut by whole groups, with what they read
            part = other = 1.0
        counts = {
            "read": max(1, round(part * shape[-1])),
            "made": max(1, round(other * len(made))) if made is not None else 0,
        }
        edits = {}
        for entry, (channels, value) in notes.edits.items():
            own = "made" if made is not None and np.array_equal(channels, made) else "read"
            edits[entry] = value(np.arange(len(channels)) < counts[own])
        size = (*shape[1:-1], counts["read"] if read is not None else shape[-1])
        config = {**step.layer.get_config(), **edits, "name": "timed"}
        key = _key(type(step.layer).__name__, config, [size])
        if key not in known:
            inputs = keras.Input(size)
            known[key] = _milliseconds(keras.Model(inputs, type(step.layer).from_config(config)(inputs)), [size], calls)
        found[i, j] = known[key]
        if "groups" in notes.edits:
            found[i, j] *= parts[j]
    return found


def _key(kind: str, config: Any, shapes: Sequence[tuple]) -> str:
    plain = json.dumps([kind, config, [list(shape) for shape in shapes]], sort_keys=True, default=str)
    sizes = " ".join("x".join(map(str, shape)) for shape in shapes)
    return f"{kind} {sizes} {hashlib.sha256(plain.encode()).hexdigest()[:16]}"


def _milliseconds(model: keras.Model, shapes: Sequence[tuple], calls: int) -> float:
    """The median of a model's calls, less what an empty one takes."""
    if any(size is None for shape in shapes for size in shape):
        raise InputError(f"an input of unknown size {shapes}", "a fixed one", "give `input_shape`")
    arrays = [np.zeros((1, *shape), np.float32) for shape in shapes]
    run, empty = _compiled(model), _compiled(None)
    return max(_median(run, arrays, calls) - _median(empty, arrays[:1], calls), 1e-4)


def _median(run: Callable[..., Any], arrays: Sequence[np.ndarray], calls: int) -> float:
    tensors = [keras.ops.convert_to_tensor(array) for array in arrays]
    taken = []
    for turn in range(calls + 3):
        begun = time.perf_counter()
        for made in keras.tree.flatten(run(*tensors)):
            np.asarray(made)
        if turn >= 3:
            taken.append(time.perf_counter() - begun)
    return 1000 * statistics.median(taken)


def _compiled(model: keras.Model | None) -> Callable[..., Any]:
    """A model as one compiled function of its inputs; None: of one element of its input."""

    def work(*tensors: Any) -> Any:
        if model is None:
            return keras.ops.reshape(tensors[0], (-1,))[:1]
        return model(keras.tree.pack_sequence_as(model.input, list(tensors)), training=False)

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.function(work)
    if keras.backend.backend() == "jax":
        import jax

        return jax.jit(work)
    return work
