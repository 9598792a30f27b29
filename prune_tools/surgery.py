"""Removing units: a new model without them, its weights cut and what was lost made up for as well as can be.

The given model is never touched. The new one keeps the layer names and is not compiled; nested models come out flat.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

from prune_tools import merge as rules
from prune_tools.certificate import Certificate, MaskedNormalization, certify
from prune_tools.cuts import Cuts, plan
from prune_tools.folding import Folding
from prune_tools.graph import Graph
from prune_tools.graph.steps import rebuild
from prune_tools.statistics import Statistics
from run_tools.errors import InputError


def remove(
    model: keras.Model,
    units: Mapping[str, Any],
    merge: str | None = None,
    statistics: Statistics | None = None,
    ridge: float = 1e-6,
    multiple: int = 1,
) -> keras.Model:
    """A new model without some units.

    Args:
        model: functional, a built Sequential, or a subclass with a graph; left as it is.
        units: layer name → output channels to remove: numbers, booleans, or (removed, kept or None) pairs as
            `distinctiveness.select` returns them. Naming one layer of a group removes the unit from the whole group.
        merge: what the readers of a removed unit get for it: "delete", "incoming", "outgoing", "project" or
            "least_squares"; None: "least_squares" with statistics, "delete" without.
        statistics: `statistics.collect(model, data)`.
        ridge: penalty of "least_squares", as a part of the kept units' mean variance.
        multiple: what the widths that are left should be multiples of, such as 8, as of each group's widest layer; the
            last ones asked for stay.

    Returns:
        A plain functional model. A subclass of `keras.Model` that has a method `resized(widths)`, from
        {"layer name": width} to a model of its own class, gets its class back.

    Raises:
        InputError: if the model has no graph, a unit cannot be removed, or the rule lacks statistics.

    Example:
        >>> smaller = surgery.remove(model, {"conv_1": [3, 5]}, statistics=statistics.collect(model, images))
    """
    return Surgery(model, units, merge, statistics, ridge, multiple).smaller()


def widths(model: keras.Model) -> dict[str, int]:
    """Output channels of every layer that makes units: what to rebuild a model's own class from.

    Raises:
        InputError: if the model has no graph.
    """
    return {name: len(members) for group in Graph(model).groups for name, members in group.members.items()}


class Surgery:
    """One removal, of which more can be asked than the new model. Arguments as for `remove`.

    Attributes:
        graph: the channel groups of the given model.
        cuts: what goes.
    """

    def __init__(
        self,
        model: keras.Model,
        units: Mapping[str, Any],
        merge: str | None = None,
        statistics: Statistics | None = None,
        ridge: float = 1e-6,
        multiple: int = 1,
    ) -> None:
        if merge is None:
            merge = "delete" if statistics is None else "least_squares"
        rules.check(merge)
        if not ridge >= 0:
            raise InputError(f"ridge {ridge}", "a number of at least 0", "for example 1e-6")
        self._model = model
        self.graph = Graph(model)
        self.cuts: Cuts = plan(self.graph, units, multiple)
        self._folding = Folding(self.graph, self.cuts, merge, statistics, ridge)

    def smaller(self) -> keras.Model:
        """The new model."""
        plain = self._clone(self._stays)
        resized = getattr(type(self._model), "resized", None)
        if resized is None:
            return plain
        made = {name: notes.produced for name, notes in self.graph.notes.items() if notes.produced is not None}
        own = resized(self._model, {name: int(self._stays(channels).sum()) for name, channels in made.items()})
        _copy_weights(plain, own)
        return own

    def reference(self) -> keras.Model:
        """A model of the old widths that must give the new one's outputs: removed units are read with weights 0.

        A layer normalisation looks at the channels that stay alone.
        """
        norms: dict[str, Callable[..., Any]] = {}
        for step in self.graph.flat.steps:
            channels = self.graph.tensor_channels(step.inputs[0]) if step.inputs else None
            if isinstance(step.layer, keras.layers.LayerNormalization) and channels is not None:
                stays = self._stays(channels)
                if not stays.all():
                    norms[step.name] = functools.partial(MaskedNormalization, stays)
        return self._clone(lambda channels: np.ones(len(channels), bool), norms)

    def certificate(self, data: Any, smaller: keras.Model | None = None, batch_size: int = 32) -> Certificate:
        """Compares the new model with the reference and with the given one on data.

        Args:
            data: inputs, as for `statistics.collect`.
            smaller: the new model, where it was made already.
            batch_size: for arrays.
        """
        made = self.smaller() if smaller is None else smaller
        return certify(self._model, self.reference(), made, data, batch_size)

    def _stays(self, channels: np.ndarray) -> np.ndarray:
        return self.cuts.stays(self.graph, channels)

    def _clone(
        self, stays: Callable[[np.ndarray], np.ndarray], others: Mapping[str, Callable[..., Any]] | None = None
    ) -> keras.Model:
        edits: dict[str, dict[str, Any]] = {name: {"use_bias": True} for name in self._folding.new_biases}
        for name, notes in self.graph.notes.items():
            for key, (channels, value) in notes.edits.items():
                left = stays(channels)
                if not left.all():
                    edits.setdefault(name, {})[key] = value(left)
        model, layers = rebuild(self.graph.flat, edits, others)
        for step in {step.name: step for step in self.graph.flat.steps}.values():
            self._fill(step.name, step.layer, layers[step.name], stays)
        return model

    def _fill(self, name: str, old: Any, new: Any, stays: Callable[[np.ndarray], np.ndarray]) -> None:
        """Gives a new layer the old one's weights, folded and cut."""
        cut: dict[int, tuple[str, dict[int, np.ndarray]]] = {}
        for attribute, axes in self.graph.notes[name].weights.items():
            cut[id(getattr(old, attribute))] = (attribute, axes)
        folded = self._folding.weights.get(name, {})
        fresh = getattr(new, "bias", None) if name in self._folding.new_biases else None
        targets = [variable for variable in getattr(new, "weights", []) if variable is not fresh]
        for variable, target in zip(getattr(old, "weights", []), targets, strict=True):
            attribute, axes = cut.get(id(variable), ("", {}))
            array = folded[attribute] if attribute in folded else keras.ops.convert_to_numpy(variable)
            for axis, channels in axes.items():
                array = np.compress(stays(channels), array, axis=axis)
            target.assign(array.astype(target.dtype) if target.dtype != "bfloat16" else array)
        if fresh is not None:
            fresh.assign(np.compress(stays(self.graph.notes[name].produced), folded["bias"]))  # type: ignore[arg-type]


def _copy_weights(source: keras.Model, target: keras.Model) -> None:
    layers = {layer.name: layer for layer in source.layers if layer.weights}
    for layer in target.layers:
        found = layers.pop(layer.name, None)
        if found is None and not layer.weights:
            continue
        shapes = [[tuple(weight.shape) for weight in one.weights] if one else [] for one in (layer, found)]
        if shapes[0] != shapes[1]:
            raise InputError(
                f"{type(target).__name__}.resized with weights {shapes[0]} in layer {layer.name!r}",
                f"{shapes[1]}",
                "give the layers the widths and biases that surgery asks for, or remove the method",
            )
        layer.set_weights([keras.ops.convert_to_numpy(weight) for weight in found.weights])
    if layers:
        raise InputError(f"{type(target).__name__}.resized without {', '.join(layers)}", "all layers", "keep them")
