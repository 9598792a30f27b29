"""What a rule sees of one call, and says about it; and the table of rules, open to layers from elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from prune_tools.graph.atoms import Atoms
from prune_tools.graph.steps import Step

Channels = np.ndarray
Rule = Callable[["Call"], "Channels | None | list[Channels | None]"]


@dataclass(frozen=True)
class Read:
    """Where a layer mixes channels with a kernel.

    `kernel` names the weight, None where nothing can be folded; its axis `axis` runs over `channels`, the axis `out`
    over the outputs. `share` is what one output gets of a constant input, as a part of the sum over the kernel's
    window. `view` turns the call's input into the tensor that the kernel reads; None: the input itself.
    """

    kernel: str | None
    channels: Channels
    tensor: int
    axis: int = -2
    out: int = -1
    share: float = 1.0
    view: Callable[[Any], Any] | None = None


@dataclass
class Notes:
    """What the rules said about one layer, over all its calls."""

    produced: Channels | None = None
    weights: dict[str, dict[int, Channels]] = field(default_factory=dict)
    edits: dict[str, tuple[Channels, Callable[[np.ndarray], Any]]] = field(default_factory=dict)
    reads: list[Read] = field(default_factory=list)


class Call:
    """One call of a layer, as a rule sees it.

    A rule gets the channels of the inputs, each an int array of the length of the tensor's last axis (None where that
    is unknown), and returns those of the output. Whatever depends on the channels it declares with the methods.

    Attributes:
        layer: the layer or raw operation.
        inputs: channels of every input tensor.
        shapes: shape of every input tensor, batch first.
        out_shape: shape of the first output.

    Example (four neighbouring channels can only go together, and come out four times):
        >>> def rule(call):
        ...     (channels,) = call.inputs
        ...     call.tie(channels.reshape(-1, 4))
        ...     return np.tile(channels, 4)
        >>> graph.register(Reorg, rule)
    """

    def __init__(self, step: Step, inputs: list[Channels | None], shapes: list, atoms: Atoms, notes: Notes) -> None:
        self.layer, self.name, self.step = step.layer, step.name, step
        self.inputs: list[Any] = inputs
        self.shapes = [shapes[number] for number in step.inputs]
        self.out_shapes = [shapes[number] for number in step.outputs]
        self.out_shape = self.out_shapes[0]
        self._atoms, self._notes = atoms, notes

    @property
    def arguments(self) -> list[Any]:
        """All leaves of the call's arguments, symbolic tensors included."""
        return keras.tree.flatten((self.step.arguments.args, self.step.arguments.kwargs))

    def units(self, count: int) -> Channels:
        """The layer's own units, the same at every call of a shared layer."""
        if self._notes.produced is None:
            self._notes.produced = self._atoms.fresh(count)
        return self._notes.produced

    def join(self, one: Channels, other: Channels) -> None:
        """The channels at equal positions are one channel: both go or none."""
        self._atoms.join(one, other)

    def tie(self, rows: np.ndarray) -> None:
        """The channels of each row are different but can only go together."""
        self._atoms.tie(rows)

    def freeze(self, channels: Channels | None, reason: str) -> None:
        """These channels can never be removed; the error will quote the layer and `reason`."""
        if channels is not None:
            self._atoms.freeze(channels, f"layer {self.name!r} ({type(self.layer).__name__}): {reason}")

    def weight(self, attribute: str, axes: Mapping[int, Channels]) -> None:
        """The axes of the layer's weight run over these channels. Attributes that are None are skipped."""
        variable = getattr(self.layer, attribute, None)
        if variable is None:
            return
        known = self._notes.weights.setdefault(attribute, {})
        for axis, channels in axes.items():
            axis %= len(variable.shape)
            if axis in known:
                self.join(known[axis], channels)
            known[axis] = channels

    def edit(self, key: str, channels: Channels, value: Callable[[np.ndarray], Any]) -> None:
        """An entry of the layer's config depends on the channels that stay.

        Args:
            key: the entry's name, or a raw operation's constructor argument.
            channels: which channels it depends on.
            value: from booleans, one a channel, True for those that stay, to the new entry.
        """
        if key in self._notes.edits:
            self.join(self._notes.edits[key][0], channels)
        self._notes.edits[key] = (channels, value)

    def width(self, key: str, channels: Channels) -> None:
        """An entry of the layer's config counts these channels."""
        self.edit(key, channels, lambda stays: int(stays.sum()))

    def reads(self, kernel: str | None, channels: Channels, **options: Any) -> None:
        """The layer mixes its first input's channels with a kernel: see `Read` for the options."""
        self._notes.reads.append(Read(kernel, channels, self.step.inputs[0], **options))

    def unsupported(self, reason: str) -> list[Channels | None]:
        """Freezes all inputs and gives frozen outputs; what a rule returns for a case that it cannot decide."""
        for channels in self.inputs:
            self.freeze(channels, reason)
        told = f"layer {self.name!r} ({type(self.layer).__name__}): {reason}"
        return [self._atoms.fresh(shape[-1], told) if shape and shape[-1] else None for shape in self.out_shapes]


_LAYERS: dict[type, Rule] = {}
_OPERATIONS: dict[str, Rule] = {}


def register(layer_class: type, rule: Rule) -> None:
    """Teaches the graph a layer.

    Args:
        layer_class: the class; subclasses that keep its `call` follow the same rule.
        rule: takes a `Call` and returns the channels of the output (a list for several outputs).
    """
    _LAYERS[layer_class] = rule


def register_operations(names: str, rule: Rule) -> None:
    """The same for the raw operations behind `keras.ops` and `keras.activations`, by the names of their classes."""
    _OPERATIONS.update(dict.fromkeys(names.split(), rule))


def rule_of(layer: Any) -> Rule | None:
    """The rule for a layer or raw operation, None where there is none."""
    if not isinstance(layer, keras.layers.Layer):
        own = type(layer).__module__.startswith(("keras.src.ops.", "keras.src.activations."))
        return _OPERATIONS.get(type(layer).__name__) if own else None
    for base in type(layer).__mro__:
        # A subclass with a call of its own may do anything.
        if base in _LAYERS and type(layer).call is base.call:  # type: ignore[attr-defined]
            return _LAYERS[base]
    return None
