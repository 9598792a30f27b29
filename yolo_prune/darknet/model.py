"""A cfg as a functional Keras model that keeps the cfg."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import layers

from run_tools import saved
from run_tools.errors import InputError
from yolo_prune.class_map import check_names
from yolo_prune.darknet.cfg import parse, with_size, with_widths
from yolo_prune.darknet.layers import Reorg
from yolo_prune.darknet.structure import Convolution, Layer, MaxPool, Network, ReorgLayer, Route
from yolo_prune.darknet.weights import Header
from yolo_prune.detector import YoloV2
from yolo_prune.network import LEAKY_SLOPE, NORM_EPSILON, NORM_MOMENTUM, check_image_size


@keras.saving.register_keras_serializable(package="yolo_prune")
class DarknetModel(YoloV2):
    """The network of a darknet cfg: RGB images in 0–1, (batch, H, W, 3), to the raw head.

    A functional model like every `YoloV2`, and of use wherever one is: it detects, trains, saves and reloads. Only its
    graph comes from the cfg. Convolution N is `conv_N`, followed by `norm_N` and `leaky_N`, as in `YoloV2`; the others
    are called after darknet's layer numbers.

    Batch-norms have Keras's form, epsilon 1e-5 inside the root, which is what darknet computes on a GPU, where the
    published weights were trained, and what its AlexeyAB fork computes everywhere. The original on a CPU adds 1e-6 to
    the standard deviation instead. For a variance v the two scale a channel differently by about 5e-6 / v;
    docs/darknet.md has what that makes in published weights.

    Args:
        cfg: the text of the cfg.
        header: of the weights file: major, minor, revision, images seen.
        class_names: one a class.
        widths: filters of every convolution but the head, where they are not the cfg's, as in a pruned network; the cfg
            that the model keeps is changed accordingly.

    Attributes:
        cfg: the text, as it was read.
        header: `Header`.
        num_classes, anchors, image_size, widths, class_names: as of `YoloV2`; `variant` is "darknet".

    Raises:
        InputError: for a cfg that is not of the YOLOv2 family, or widths or names that do not fit it.
    """

    def __init__(
        self,
        cfg: str,
        header: Sequence[int] = Header(),
        class_names: Sequence[str] | None = None,
        widths: Sequence[int] | None = None,
        **kwargs,
    ):
        network = parse(cfg)
        if widths is not None:
            network = parse(with_widths(network, widths))
        region = network.region
        if region is None:
            raise InputError("a cfg without [region]", "a detector", "give a whole cfg")
        named = check_names(class_names, region.classes)
        inputs, logits = graph(network)
        kwargs.setdefault("name", "darknet")
        # Past YoloV2's own, which builds another graph.
        super(YoloV2, self).__init__(inputs=inputs, outputs=logits, **kwargs)
        self.cfg = network.text
        self.header = Header(*map(int, header))
        self.num_classes = region.classes
        self.anchors = region.anchors
        self.image_size = network.image[:2]
        self.variant = "darknet"
        self.passthrough = (
            "reorg" if any(isinstance(layer, ReorgLayer) for layer in network.layers) else "space_to_depth"
        )
        self.widths = tuple(layer.shape[2] for layer in network.convolutions[:-1])
        self.class_names = named

    def at_size(self, image_size: Sequence[int]) -> "DarknetModel":
        """The same network and weights for another input, (height, width)."""
        cfg = with_size(parse(self.cfg), check_image_size(image_size))
        return self._with_weights(self.from_config({**self.get_config(), "cfg": cfg}))

    def get_config(self):
        """Everything needed to build the network again, and which layers are frozen."""
        return {
            "name": self.name,
            "cfg": self.cfg,
            "header": list(self.header),
            "class_names": None if self.class_names is None else list(self.class_names),
            "frozen": saved.frozen(self),
        }


def graph(network: Network):
    """A parsed cfg as Keras layers, their weights new.

    Args:
        network: what `cfg.parse` returned.

    Returns:
        `(inputs, outputs)`: (batch, height, width, channels), and the output of the last layer, NHWC as well.
    """
    image = keras.Input(network.image, name="image")
    outputs: list = []
    for layer in network.layers:
        sources = [image if source < 0 else outputs[source] for source in layer.sources]
        outputs.append(_BUILDERS[type(layer)](layer, sources, layer is network.layers[-1]))
    return image, outputs[-1]


def _convolution(layer: Convolution, sources, last: bool):
    (x,), number = sources, layer.number
    same = layer.stride == 1 and 2 * layer.padding == layer.size - 1
    if layer.padding and not same:
        x = layers.ZeroPadding2D(layer.padding, name=f"pad_{layer.index}")(x)
    x = layers.Conv2D(
        layer.shape[2],
        layer.size,
        strides=layer.stride,
        padding="same" if same else "valid",
        use_bias=not layer.normalized,
        dtype="float32" if last else None,  # as YoloV2's head under mixed precision
        name=f"conv_{number}",
    )(x)
    if layer.normalized:
        x = layers.BatchNormalization(momentum=NORM_MOMENTUM, epsilon=NORM_EPSILON, name=f"norm_{number}")(x)
    return layers.LeakyReLU(negative_slope=LEAKY_SLOPE, name=f"leaky_{number}")(x) if layer.leaky else x


def _maxpool(layer: MaxPool, sources, last: bool):
    pool = layers.MaxPooling2D(layer.size, strides=layer.stride, padding="same", name=f"maxpool_{layer.index}")
    return pool(sources[0])


def _route(layer: Route, sources, last: bool):
    return layers.Concatenate(name=f"route_{layer.index}")(sources) if len(sources) > 1 else sources[0]


def _reorg(layer: ReorgLayer, sources, last: bool):
    return Reorg(layer.stride, name=f"reorg_{layer.index}")(sources[0])


_BUILDERS: dict[type[Layer], Callable[[Any, list[Any], bool], Any]] = {
    Convolution: _convolution,
    MaxPool: _maxpool,
    Route: _route,
    ReorgLayer: _reorg,
}
