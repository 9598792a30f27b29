"""A `.cfg` of the YOLOv2 family as a list of layers whose every shape is known; nothing here needs Keras.

Source: darknet, parser.c (defaults of the options), convolutional_layer.c and maxpool_layer.c (sizes).
"""

import re
from collections.abc import Sequence

from run_tools.errors import InputError
from yolo_prune.darknet.sections import Section, read_sections
from yolo_prune.darknet.structure import Convolution, Layer, MaxPool, Network, Region, ReorgLayer, Route, Shape


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Options without effect on the outputs are let pass by name; one that is not known may have some.
_TRAINING = _words("stopbackward learning_rate onlyforward")
_NET = _words(
    """width height channels batch subdivisions time_steps momentum decay adam B1 B2 eps learning_rate policy burn_in
    max_batches power step steps scale scales gamma angle aspect saturation exposure hue max_crop min_crop max_ratio
    min_ratio center clip random notruth flip mosaic mixup cutmix letter_box optimized_memory workspace_size_limit_MB"""
)
_CONVOLUTION = _TRAINING | _words("batch_normalize filters size stride pad padding activation dot")
_CONVOLUTION_FIXED = {"groups": 1, "dilation": 1} | dict.fromkeys(
    ("binary", "xnor", "flipped", "dontload", "dontloadscales", "dontsave", "numload"), 0
)
_MAXPOOL = _TRAINING | _words("size stride padding")
_ROUTE = _TRAINING | _words("layers")
_REORG = _TRAINING | _words("stride")
_REORG_FIXED = {"reverse": 0, "flatten": 0, "extra": 0}
_REGION = _TRAINING | _words(
    """anchors classes num softmax bias_match jitter rescore object_scale noobject_scale class_scale coord_scale
    mask_scale absolute thresh random classfix max"""
)
_REGION_FIXED = {"coords": 4, "background": 0}


def parse(text: str, source: str = "cfg", layers: int | None = None) -> Network:
    """Reads a cfg.

    Args:
        text: what the file holds.
        source: its name, for messages.
        layers: only the first so many layers, as in darknet's partial weights (`darknet19_448.conv.23`); None: all,
            and the last must be a region.

    Returns:
        The network, all shapes worked out.

    Raises:
        InputError: for a section or option that is not supported, or sizes that do not fit; the line is named.
    """
    sections = read_sections(text, source)
    if not sections or sections[0].kind != "net":
        raise InputError(f"{source} that does not begin with [net]", "a darknet cfg", "check the file")
    net, rest = sections[0], sections[1:]
    if layers is not None and not 1 <= layers <= len(rest):
        raise InputError(f"the first {layers} layers of {source}", f"1 to {len(rest)}, what it has", "give fewer")
    body, end = (rest[:-1], rest[-1:]) if layers is None else (rest[:layers], [])
    for section in [*body, *end]:
        if section.kind not in _READERS and (section in body or section.kind != "region"):
            supported = ", ".join(f"[{kind}]" for kind in _READERS)
            raise section.refused(f"{supported} and one [region], the last", "use a network of the YOLOv2 family")
    if layers is None and (not body or end[0].kind != "region"):
        raise InputError(f"{source} without [region] at its end", "a YOLOv2 detector", "check the file")
    net.allow(_NET, {})
    image = (net.whole("height", None, 1), net.whole("width", None, 1), net.whole("channels", None, 1))
    found: list[Layer] = []
    for section in body:
        found.append(_READERS[section.kind](section, found, image))
    _refuse_unread(found)
    return Network(text, image, tuple(found), _region(end[0], found[-1].shape) if end else None)


def _refuse_unread(found: Sequence[Layer]) -> None:
    """A functional model has no room for layers that do not lead to its output, and their weights would be lost."""
    read, ahead = set(), [found[-1].index]
    while ahead:
        index = ahead.pop()
        if index >= 0 and index not in read:
            read.add(index)
            ahead += found[index].sources
    for layer in found:
        if layer.index not in read:
            raise layer.section.refused("layers that lead to the output", "remove it or read it in a route")


def _before(found: Sequence[Layer], image: Shape) -> Shape:
    return found[-1].shape if found else image


def _convolution(section: Section, found: Sequence[Layer], image: Shape) -> Convolution:
    section.allow(_CONVOLUTION, _CONVOLUTION_FIXED)
    height, width, channels = _before(found, image)
    size, stride = section.whole("size", 1, 1), section.whole("stride", 1, 1)
    padding = size // 2 if section.whole("pad", 0) else section.whole("padding", 0)
    activation = section.text("activation", "logistic")
    if activation not in ("leaky", "linear"):
        told = "" if "activation" in section.options else "(which means logistic)"
        expected = "activation=leaky or activation=linear"
        raise section.refused(expected, "use a network of the YOLOv2 family", "activation", told)
    rows, columns = ((side + 2 * padding - size) // stride + 1 for side in (height, width))
    if min(height, width) + 2 * padding < size:
        told = f"on {width}x{height}"
        raise section.refused("an input of at least that size", "enlarge the network's input", "size", told)
    return Convolution(
        *(len(found), section, (len(found) - 1,), (rows, columns, section.whole("filters", 1, 1))),
        number=1 + sum(isinstance(layer, Convolution) for layer in found),
        channels=channels,
        size=size,
        stride=stride,
        padding=padding,
        normalized=section.whole("batch_normalize", 0) != 0,
        leaky=activation == "leaky",
    )


def _maxpool(section: Section, found: Sequence[Layer], image: Shape) -> MaxPool:
    """darknet pads `padding // 2` on the left and above, and on the other side what the last window needs."""
    section.allow(_MAXPOOL, {})
    height, width, channels = _before(found, image)
    stride = section.whole("stride", 1, 1)
    size = section.whole("size", stride, 1)
    padding = section.whole("padding", size - 1)
    sides = []
    for side in (height, width):
        count = (side + padding - size) // stride + 1
        # "same" pooling begins its first window here, and has the same number of windows.
        before = max((count - 1) * stride + size - side, 0) // 2
        if count != -(-side // stride) or before != padding // 2:
            expected = "size=2 with stride=1 or 2, or other windows whose padding is that of Keras"
            told = f"on {width}x{height}"
            raise section.refused(expected, "use a network of the YOLOv2 family", "size", told)
        sides.append(count)
    return MaxPool(len(found), section, (len(found) - 1,), (sides[0], sides[1], channels), size, stride)


def _route(section: Section, found: Sequence[Layer], image: Shape) -> Route:
    section.allow(_ROUTE, {"groups": 1, "group_id": 0})
    index, sources = len(found), []
    for number in section.numbers("layers"):
        source = int(number) + (index if number < 0 else 0)
        if int(number) != number or not 0 <= source < index:
            raise section.refused(f"layers before this one, which is layer {index}", "correct that line", "layers")
        sources.append(source)
    shapes = [found[source].shape for source in sources]
    if len({shape[:2] for shape in shapes}) > 1:
        told = " and ".join(f"{width}x{height}" for height, width, _ in shapes)
        raise section.refused("layers of one size", "correct that line", "layers", f"of {told}")
    return Route(index, section, tuple(sources), (*shapes[0][:2], sum(shape[2] for shape in shapes)))


def _reorg(section: Section, found: Sequence[Layer], image: Shape) -> ReorgLayer:
    section.allow(_REORG, _REORG_FIXED)
    height, width, channels = _before(found, image)
    stride = section.whole("stride", 1, 1)
    if channels % stride**2 or height % stride or width % stride:
        told = f"of {width}x{height} with {channels} channels"
        raise section.refused(
            f"sides divisible by {stride} and channels by {stride**2}", "change the layers before it", None, told
        )
    shape = (height // stride, width // stride, channels * stride**2)
    return ReorgLayer(len(found), section, (len(found) - 1,), shape, stride)


def _region(section: Section, shape: Shape) -> Region:
    section.allow(_REGION, _REGION_FIXED)
    if section.whole("softmax", 0) != 1:
        raise section.refused("softmax=1", "use a network whose classes exclude each other", "softmax")
    count, classes = section.whole("num", 1, 1), section.whole("classes", 20, 1)
    sides = section.numbers("anchors")
    if len(sides) != 2 * count or min(sides) <= 0:
        raise section.refused(f"{2 * count} numbers above 0, two for each of num={count}", "correct it", "anchors")
    if shape[2] != count * (5 + classes):
        raise section.refused(
            f"{count} anchors x (5 + {classes} classes) = {count * (5 + classes)} filters in the layer before",
            "correct filters, num or classes",
            told=f"after {shape[2]} channels",
        )
    return Region(tuple(zip(sides[::2], sides[1::2], strict=True)), classes)


_READERS = {"convolutional": _convolution, "maxpool": _maxpool, "route": _route, "reorg": _reorg}


def with_size(network: Network, size: tuple[int, int]) -> str:
    """The cfg of the same network for another input.

    Args:
        network: a parsed cfg.
        size: (height, width).

    Returns:
        The text, which differs in the lines `height=` and `width=` of [net] alone.
    """
    lines = network.text.split("\n")
    net = read_sections(network.text, "cfg")[0]
    for name, side in zip(("height", "width"), size, strict=True):
        place = net.options[name].line - 1
        lines[place] = re.sub(r"^(\s*\w+\s*=\s*)[0-9]+", rf"\g<1>{side}", lines[place])
    return "\n".join(lines)


def with_widths(network: Network, widths: Sequence[int]) -> str:
    """The cfg of the same network with other numbers of filters, such as a pruned one's.

    Args:
        network: a parsed cfg.
        widths: filters of every convolution but the last, in the order of the cfg.

    Returns:
        The text, which differs in the lines `filters=` alone.

    Raises:
        InputError: for another count, a width below 1, or a convolution without such a line.
    """
    inner = network.convolutions[:-1]
    if len(widths) != len(inner) or any(int(width) != width or width < 1 for width in widths):
        raise InputError(f"widths {tuple(widths)}", f"{len(inner)} whole numbers of at least 1", "give one a layer")
    lines = network.text.split("\n")
    for layer, width in zip(inner, widths, strict=True):
        if width == layer.shape[2]:
            continue
        option = layer.section.options.get("filters")
        place = option.line - 1 if option else layer.section.line - 1
        lines[place], done = re.subn(r"^(\s*filters\s*=\s*)[0-9]+", rf"\g<1>{int(width)}", lines[place])
        if not done:
            raise layer.section.refused("a line filters=NUMBER", "add one", "filters")
    return "\n".join(lines)
