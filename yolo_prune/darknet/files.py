"""darknet's two files into a model, and a model into darknet's two files."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import keras

from run_tools.errors import InputError
from run_tools.files import atomic_path
from yolo_prune.class_map import COCO_NAMES, VOC_NAMES
from yolo_prune.darknet import weights as weights_file
from yolo_prune.darknet.cfg import parse
from yolo_prune.darknet.describe import describe, tensors_of
from yolo_prune.darknet.model import DarknetModel, graph
from yolo_prune.darknet.structure import Network
from yolo_prune.darknet.weights import Header, Tensors
from yolo_prune.detector import YoloV2

USUAL_NAMES = {len(names): names for names in (COCO_NAMES, VOC_NAMES)}
"""A cfg does not name its classes; 80 are taken for COCO's and 20 for VOC's, the sets of the published networks."""


def load(
    cfg: str | Path, weights: str | Path, class_names: Sequence[str] | None = None, layers: int | None = None
) -> keras.Model:
    """A darknet network with its weights.

    Args:
        cfg: file of the YOLOv2 family: convolutional, maxpool, route and reorg sections, and a region at the end.
        weights: the file of weights that belongs to it, with either kind of header.
        class_names: one a class, in lower case; None: COCO's for 80 classes, VOC's for 20, else none.
        layers: build only the first so many layers, for darknet's partial weights; None: the whole detector.

    Returns:
        A functional model, RGB images in 0–1, (batch, H, W, 3), to the raw head, (batch, gh, gw, anchors · (5 +
        classes)). It is a `DarknetModel`, which keeps the cfg's text, the header, anchors and classes, also in a
        `.keras` file; see there which of darknet's batch-norms it equals. With `layers`, a plain `keras.Model` that
        ends in the output of the last of them.

    Raises:
        InputError: for a section or option that is not supported, named with its line, or weights whose size is not
            what the cfg describes; both sizes are named.

    Example:
        >>> model = darknet.load("yolov2-tiny.cfg", "yolov2-tiny.weights")
        >>> found = model.detect(images, score=0.3)  # (n, 416, 416, 3), float in 0–1 or uint8
    """
    network = read_cfg(cfg, layers)
    header, tensors = weights_file.read(weights, network, str(cfg))
    if network.region is not None:
        names = USUAL_NAMES.get(network.region.classes) if class_names is None else class_names
        model: keras.Model = DarknetModel(network.text, header, names)
    else:
        image, output = graph(network)
        model = keras.Model(image, output, name="darknet")
    for number, (biases, norm, kernel) in enumerate(tensors, start=1):
        # Filters, channels, rows, columns → rows, columns, channels, filters.
        values = [kernel.transpose(2, 3, 1, 0)]
        if norm is None:
            values.append(biases)
        else:
            scales, mean, variance = norm
            model.get_layer(f"norm_{number}").set_weights([scales, biases, mean, variance])
        model.get_layer(f"conv_{number}").set_weights(values)
    return model


def read_cfg(path: str | Path, layers: int | None = None) -> Network:
    """The network that a cfg file describes.

    Args:
        path: the file, in any encoding.
        layers: only the first so many layers; None: all.

    Returns:
        See `cfg.parse`; its text encodes to the same bytes ("utf-8", "surrogateescape").

    Raises:
        InputError: when there is no such file or it is no text, or as `cfg.parse`.
    """
    if not Path(path).is_file():
        raise InputError(f"{path}: no such file", "a darknet cfg", "check the path")
    data = Path(path).read_bytes()
    if b"\0" in data:
        raise InputError(f"{path}, which is no text", "a darknet cfg", "give the cfg first, then its weights")
    # Comments are in any encoding, and the same bytes are written back.
    return parse(data.decode("utf-8", "surrogateescape"), str(path), layers)


def save(model: YoloV2, cfg: str | Path, weights: str | Path) -> dict[str, int]:
    """Writes a detector as darknet's two files, both or neither.

    A `DarknetModel` comes back as it came: the same cfg, the same header, and if its weights were not changed the same
    bytes. For another `YoloV2` the cfg is made up, see `describe`; its header is version 0.2 with no images seen.

    Args:
        model: the detector.
        cfg: the cfg file to be.
        weights: the weights file to be.

    Returns:
        `{"bytes", "values", "seen"}`: size of the weights file, the numbers in it, images seen as in its header.

    Raises:
        InputError: when the two names are one, or the model is no `YoloV2`.
    """
    if Path(cfg).absolute() == Path(weights).absolute():
        raise InputError(f"{cfg} twice", "two files", "give the cfg and the weights names of their own")
    if not isinstance(model, YoloV2):
        raise InputError(f"a {type(model).__name__}", "a YoloV2 or an imported detector", "build it as one of these")
    if isinstance(model, DarknetModel):
        text, header, tensors = model.cfg, model.header, _tensors(model)
    else:
        (text, tensors), header = describe(model), Header()
    with atomic_path(cfg) as cfg_part, atomic_path(weights) as weights_part:
        size = weights_file.write(weights_part, header, tensors)
        cfg_part.write_bytes(text.encode("utf-8", "surrogateescape"))
    values = (size - header.packing.size) // weights_file.FLOAT.itemsize
    return {"bytes": size, "values": values, "seen": header.seen}


def _tensors(model: keras.Model) -> Iterator[Tensors]:
    """What the weights file has for every convolution of a `DarknetModel`."""
    for layer in parse(model.cfg).convolutions:
        yield tensors_of(model, layer.number)
