"""What a cfg describes: layers whose every shape is known."""

from dataclasses import dataclass

from yolo_prune.darknet.sections import Section

Shape = tuple[int, int, int]
"""Height, width, channels."""


@dataclass(frozen=True)
class Layer:
    """What every layer has.

    Attributes:
        index: place in the network, from 0 after `[net]`, which is how darknet counts and prints.
        section: where it was read.
        sources: indices of the layers that it reads; −1 is the image.
        shape: of its output.
    """

    index: int
    section: Section
    sources: tuple[int, ...]
    shape: Shape


@dataclass(frozen=True)
class Convolution(Layer):
    """`number` counts the convolutions from 1; `channels` are those of the input; without `leaky` it is linear."""

    number: int
    channels: int
    size: int
    stride: int
    padding: int
    normalized: bool
    leaky: bool

    @property
    def values(self) -> int:
        """How many numbers it has in a weights file: kernel, biases, and with batch-norm three more a filter."""
        filters = self.shape[2]
        return filters * (self.channels * self.size**2 + (4 if self.normalized else 1))


@dataclass(frozen=True)
class MaxPool(Layer):
    """Windows of `size` every `stride` pixels."""

    size: int
    stride: int


@dataclass(frozen=True)
class Route(Layer):
    """Its sources side by side, in channels."""


@dataclass(frozen=True)
class ReorgLayer(Layer):
    """darknet's reorg by `stride`."""

    stride: int


@dataclass(frozen=True)
class Region:
    """The head: (width, height) anchors in cells, and how many classes."""

    anchors: tuple[tuple[float, float], ...]
    classes: int


@dataclass(frozen=True)
class Network:
    """A parsed cfg.

    Attributes:
        text: the cfg as it was given.
        image: shape of the input.
        layers: in darknet's order, the region not among them.
        region: None where only the first layers were asked for.
    """

    text: str
    image: Shape
    layers: tuple[Layer, ...]
    region: Region | None

    @property
    def convolutions(self) -> tuple[Convolution, ...]:
        """The layers that hold weights, in the order of a weights file."""
        return tuple(layer for layer in self.layers if isinstance(layer, Convolution))

    @property
    def values(self) -> int:
        """How many numbers a weights file has after its header."""
        return sum(layer.values for layer in self.convolutions)
