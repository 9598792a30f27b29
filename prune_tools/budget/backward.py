"""The error that comes back to every unit, pattern by pattern."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from prune_tools import gradients
from prune_tools.graph import Graph, Group, Site
from run_tools.errors import InputError

Place = tuple[int, int]
"""Number of a call and of the tensor that it reads."""


@dataclass
class Errors:
    """Sums over patterns for the units of a group; δ is the derivative of the loss by a unit's output a.

    Attributes:
        squares: Σ δ² over patterns and positions, shape (units,).
        changes: Σ over patterns of |Σ a δ| over positions and readers, shape (units,).
        patterns: how many images or rows.
    """

    squares: np.ndarray
    changes: np.ndarray
    patterns: int = 0


def errors(graph: Graph, groups: Sequence[Group], data: Any) -> dict[str, Errors]:
    """Propagates the loss back to where the readers read the units, in inference mode.

    Args:
        graph: of a model that is compiled with a loss, one that is a mean over the patterns of a batch.
        groups: whose units to look at.
        data: `(inputs, targets)` or `(inputs, targets, sample weights)`, arrays; or batches of such tuples.

    Returns:
        Group name → its errors.

    Raises:
        InputError: if the model has no loss, or there are no targets or no data.
    """
    model = graph.flat.model
    if not getattr(model, "compiled", False):
        raise InputError(f"model {model.name!r}, which is not compiled", "a model with a loss", "call compile() first")
    found = {group.name: Errors(np.zeros(group.units), np.zeros(group.units)) for group in groups}
    for batch in _batches(data):
        if not isinstance(batch, tuple) or len(batch) < 2:
            raise InputError("data without targets", "(inputs, targets), or batches of them", "give targets")
        values, deltas, size = _back(graph, groups, batch)
        for group in groups:
            _add(found[group.name], graph, group, values, deltas, size)
    if not all(one.patterns for one in found.values()):
        raise InputError("no data", "at least one batch", "give a data set that is not empty")
    return found


def _batches(data: Any, size: int = 32) -> Iterator[Any]:
    if isinstance(data, tuple):
        for start in range(0, len(keras.tree.flatten(data)[0]), size):
            yield keras.tree.map_structure(lambda part, start=start: np.asarray(part)[start : start + size], data)
    elif isinstance(data, keras.utils.PyDataset):
        yield from map(data.__getitem__, range(len(data)))
    else:
        yield from data


def _places(graph: Graph, group: Group) -> Iterator[tuple[Place, np.ndarray]]:
    """Where each reader of a group reads it, and the units' columns there: a shared layer has a site for each call."""
    for reader in group.readers:
        if reader.read.kernel is None:
            continue
        calls = [number for number, step in enumerate(graph.flat.steps) if step.name == reader.layer]
        for site in reader.sites:
            width = graph.flat.shapes[site.tensor][-1]
            columns = _columns(site, len(reader.read.channels) // int(width or 1))
            yield from (
                ((call, site.tensor), columns) for call in calls if site.tensor in graph.flat.steps[call].inputs
            )


def _back(graph: Graph, groups: Sequence[Group], batch: tuple) -> tuple[dict[int, Any], dict[Place, Any], int]:
    """Values of tensors and the loss's derivatives by what each call reads of them, for each pattern; batch size."""
    flat, model = graph.flat, graph.flat.model
    inputs, targets, weights = keras.utils.unpack_x_y_sample_weight(batch)
    given = [keras.ops.convert_to_tensor(part) for part in flat.arrange(inputs)]
    size = int(given[0].shape[0])
    places = list(dict.fromkeys(place for group in groups for place, _ in _places(graph, group)))
    known = flat.run(given)
    values = {tensor: keras.ops.convert_to_numpy(known[tensor]) for _, tensor in places}

    def loss(nudges: list[Any]) -> Any:
        nudge = dict(zip(places, nudges, strict=True))
        found = dict(zip(flat.inputs, given, strict=True))
        for number, step in enumerate(flat.steps):
            read = {
                key: found[key] + nudge[number, key] if (number, key) in nudge else found[key] for key in step.inputs
            }
            args, kwargs = step.fill(read)
            found.update(zip(step.outputs, keras.tree.flatten(step.layer(*args, **kwargs)), strict=True))
        made = flat.pack([found[number] for number in flat.outputs])
        return model.compute_loss(inputs, targets, made, weights, training=False)

    deltas = gradients.of(loss, [np.zeros_like(values[tensor]) for _, tensor in places])
    # The loss is a mean over the batch; a pattern's own error is wanted.
    return values, {place: size * delta for place, delta in zip(places, deltas, strict=True)}, size


def _add(total: Errors, graph: Graph, group: Group, values: Any, deltas: Any, size: int) -> None:
    changes = np.zeros((size, group.units))
    back: dict[int, np.ndarray] = {}
    for place, columns in _places(graph, group):
        parts = [_units(array, columns, size) for array in (values[place[1]], deltas[place])]
        changes += (parts[0] * parts[1]).sum(axis=1)
        # Readers of the same positions send their errors to the same place, through a concatenation or not.
        positions = parts[1].shape[1]
        back[positions] = back[positions] + parts[1] if positions in back else parts[1]
    total.squares += sum(np.square(part).sum(axis=(0, 1)) for part in back.values())
    total.changes += np.abs(changes).sum(axis=0)
    total.patterns += size


def _columns(site: Site, times: int) -> np.ndarray:
    """Where each unit stands in the tensor itself, −1 where it does not; a view spreads channels `times` out."""
    if site.view is None:
        return site.columns
    columns = np.where(site.columns >= 0, site.columns // times, -1)
    again = [(columns[:row] == own).any(axis=0) for row, own in enumerate(columns)]
    return np.where(again, -1, columns)


def _units(array: np.ndarray, columns: np.ndarray, size: int) -> np.ndarray:
    """Of (batch, positions…, channels) the units' values, shape (batch, positions and copies, units), float64."""
    rows = array.reshape(size, -1, array.shape[-1])[:, :, columns]
    return np.where(columns >= 0, rows, 0.0).astype(np.float64).reshape(size, -1, columns.shape[1])
