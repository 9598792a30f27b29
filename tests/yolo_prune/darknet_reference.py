"""darknet, literally: its files and forward pass as loops over flat memory, and the published cfgs.

Nothing here uses the package, so that the tests compare two programs.
"""

import struct

import numpy as np


def sections(text):
    """[(kind, {option: value})], the first of an option given twice."""
    found = []
    for line in text.splitlines():
        line = line.replace(" ", "").replace("\t", "")
        if not line or line[0] in "#;":
            continue
        if line[0] == "[":
            found.append((line[1:-1], {}))
        else:
            name, value = line.split("=")
            found[-1][1].setdefault(name, value)
    return found


def shapes_of_weights(text):
    """For every convolution (filters, channels, size, batch_normalize), by walking through the cfg as darknet does."""
    (_, net), *rest = sections(text)
    channels, found = [], []
    for kind, options in rest:
        before = channels[-1] if channels else int(net["channels"])
        if kind == "convolutional":
            size, norm = int(options["size"]), int(options.get("batch_normalize", 0))
            found.append((int(options["filters"]), before, size, norm))
            channels.append(int(options["filters"]))
        elif kind == "route":
            layers = [int(part) for part in options["layers"].split(",")]
            channels.append(sum(channels[at if at >= 0 else len(channels) + at] for at in layers))
        elif kind == "reorg":
            channels.append(before * int(options["stride"]) ** 2)
        else:
            channels.append(before)
    return found


def random_weights(text, seed=0, header=(0, 2, 0, 12_800)):
    """The bytes of a weights file that belongs to a cfg: outputs of about the inputs' size, variances of .5 to 2."""
    rng = np.random.default_rng(seed)
    wide = header[0] * 10 + header[1] >= 2
    parts = [struct.pack("<iii" + ("Q" if wide else "i"), *header)]
    for filters, channels, size, norm in shapes_of_weights(text):
        arrays = [rng.normal(0, 0.3, filters)]
        if norm:
            arrays += [rng.uniform(0.5, 1.5, filters), rng.normal(0, 0.3, filters), rng.uniform(0.5, 2, filters)]
        arrays.append(rng.normal(0, (2 / (channels * size**2)) ** 0.5, (filters, channels, size, size)))
        parts += [array.astype("<f4").tobytes() for array in arrays]
    return b"".join(parts)


def forward(text, weights, image, cpu=False):
    """darknet's output, float64 (channels, h, w), of an image (channels, h, w); `cpu` chooses the batch-norm's form."""
    (_, _), *rest = sections(text)
    major, minor = struct.unpack("<ii", weights[:8])
    numbers = np.frombuffer(weights, "<f4", offset=20 if major * 10 + minor >= 2 else 16).astype(np.float64)
    outputs, x = [], image.astype(np.float64)

    def take(count):
        nonlocal numbers
        taken, numbers = numbers[:count], numbers[count:]
        return taken

    for kind, options in rest:
        if kind == "convolutional":
            x = convolution(x, options, take, cpu)
        elif kind == "maxpool":
            x = maxpool(x, int(options["size"]), int(options["stride"]))
        elif kind == "reorg":
            x = reorg(x, int(options["stride"]))
        elif kind == "route":
            layers = [int(part) for part in options["layers"].split(",")]
            x = np.concatenate([outputs[at if at >= 0 else len(outputs) + at] for at in layers])
        outputs.append(x)
    assert not len(numbers)
    return x


def convolution(x, options, take, cpu):
    """forward_convolutional_layer: padding of zeros on all sides, batch-norm, biases, activation."""
    channels, height, width = x.shape
    filters, size, stride = (int(options[name]) for name in ("filters", "size", "stride"))
    pad = size // 2 if int(options.get("pad", 0)) else int(options.get("padding", 0))
    biases = take(filters)
    norm = [take(filters) for _ in range(3)] if int(options.get("batch_normalize", 0)) else None
    kernel = take(filters * channels * size * size).reshape(filters, channels, size, size)
    out_h, out_w = (height + 2 * pad - size) // stride + 1, (width + 2 * pad - size) // stride + 1
    padded = np.zeros((channels, height + 2 * pad, width + 2 * pad))
    padded[:, pad : pad + height, pad : pad + width] = x
    out = np.zeros((filters, out_h, out_w))
    for j in range(out_h):
        for i in range(out_w):
            window = padded[:, j * stride : j * stride + size, i * stride : i * stride + size]
            out[:, j, i] = (kernel * window).sum(axis=(1, 2, 3))
    for f in range(filters):
        if norm:
            scales, mean, variance = norm
            deviation = variance[f] ** 0.5 + 1e-6 if cpu else (variance[f] + 1e-5) ** 0.5
            out[f] = (out[f] - mean[f]) / deviation * scales[f]
        out[f] += biases[f]
    return np.where(out > 0, out, 0.1 * out) if options["activation"] == "leaky" else out


def maxpool(x, size, stride):
    """forward_maxpool_layer: padding size - 1, half of it, rounded down, left and above; outside is -infinity."""
    channels, height, width = x.shape
    pad = size - 1
    out = np.full((channels, (height + pad - size) // stride + 1, (width + pad - size) // stride + 1), -np.inf)
    for k, i, j in np.ndindex(out.shape):
        for n in range(size):
            for m in range(size):
                row, column = -(pad // 2) + i * stride + n, -(pad // 2) + j * stride + m
                if 0 <= row < height and 0 <= column < width:
                    out[k, i, j] = max(out[k, i, j], x[k, row, column])
    return out


def reorg(x, stride):
    """reorg_cpu as forward_reorg_layer calls it: with the sizes of its input and forward = 0."""
    channels, height, width = x.shape
    flat, out = x.reshape(-1), np.zeros(x.size)
    in_c = channels // stride**2
    for k in range(channels):
        for j in range(height):
            for i in range(width):
                in_index = i + width * (j + height * k)
                c2, offset = k % in_c, k // in_c
                w2 = i * stride + offset % stride
                h2 = j * stride + offset // stride
                out[in_index] = flat[w2 + width * stride * (h2 + height * stride * c2)]
    return out.reshape(channels * stride**2, height // stride, width // stride)


# ---- cfgs


def net(width, height, channels=3):
    return f"[net]\n# Testing\nbatch=1\nsubdivisions=1\nwidth={width}\nheight = {height}\nchannels={channels}\n"


def conv(filters, size=3, norm=1, activation="leaky", stride=1, pad="pad=1"):
    normalized = "batch_normalize=1\n" if norm else ""
    shape = f"filters={filters}\nsize={size}\nstride={stride}\n{pad}\n"
    return f"\n[convolutional]\n{normalized}{shape}activation={activation}\n"


def pool(size=2, stride=2):
    return f"\n[maxpool]\nsize={size}\nstride={stride}\n"


def route(layers):
    return f"\n[route]\nlayers={layers}\n"


def head(anchors, classes):
    """The 1×1 convolution without batch-norm and the region, as the published cfgs have them."""
    count = len(anchors.split(",")) // 2
    last = conv(count * (5 + classes), size=1, norm=0, activation="linear")
    region = f"\n[region]\nanchors = {anchors}\nbias_match=1\nclasses={classes}\ncoords=4\nnum={count}\nsoftmax=1\n"
    return last + region + "jitter=.2\nrescore=1\nobject_scale=5\nnoobject_scale=1\nabsolute=1\nthresh = .6\nrandom=1\n"


COCO = "0.57273, 0.677385, 1.87446, 2.06253, 3.33843, 5.47434, 7.88282, 3.52778, 9.77052, 9.16828"
TINY_VOC = "1.08,1.19,  3.42,4.41,  6.63,11.38,  9.42,5.11,  16.62,10.52"


def tiny(widths=(16, 32, 64, 128, 256, 512, 1024, 512), classes=80, anchors=COCO, size=(416, 416)):
    """yolov2-tiny.cfg; width 8 of 1024, 20 classes and `TINY_VOC` make it yolov2-tiny-voc.cfg."""
    text = net(*size)
    for width in widths[:5]:
        text += conv(width) + pool()
    return text + conv(widths[5]) + pool(2, 1) + conv(widths[6]) + conv(widths[7]) + head(anchors, classes)


def darknet19(of=1):
    """The 23 layers of Darknet-19 below its classifier, all widths divided by `of`."""
    text = ""
    for group in ((32,), (64,), (128, 64, 128), (256, 128, 256), (512, 256, 512, 256, 512)):
        text += "".join(conv(width // of, 1 if at % 2 else 3) for at, width in enumerate(group)) + pool()
    return text + "".join(conv(width // of, 1 if at % 2 else 3) for at, width in enumerate((1024, 512) * 2 + (1024,)))


def full(classes=80, anchors=COCO, size=(608, 608), of=1):
    """yolov2.cfg."""
    text = net(*size) + darknet19(of) + conv(1024 // of) + conv(1024 // of)
    text += route("-9") + conv(64 // of, 1) + "\n[reorg]\nstride=2\n" + route("-1,-4")
    return text + conv(1024 // of) + head(anchors, classes)
