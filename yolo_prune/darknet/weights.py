"""The bytes of a `.weights` file: a header, then per convolution biases, batch-norm and kernel, float32 little-endian.

Source: darknet, `load_weights_upto` and `save_weights_upto` (parser.c).
"""

import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from run_tools.errors import InputError
from yolo_prune.darknet.structure import Network

_VERSION = struct.Struct("<3i")
FLOAT = np.dtype("<f4")


class Header(NamedTuple):
    """darknet's version, and how many images the network saw in training."""

    major: int = 0
    minor: int = 2
    revision: int = 0
    seen: int = 0

    @property
    def packing(self) -> struct.Struct:
        """From version 0.2 on `seen` takes 64 bits; numbers of 1000 or more mark old files of transposed matrices."""
        wide = self.major * 10 + self.minor >= 2 and self.major < 1000 and self.minor < 1000
        return struct.Struct("<3iQ" if wide else "<3ii")


class Tensors(NamedTuple):
    """What a file has for one convolution.

    Attributes:
        biases: (filters,); with batch-norm its beta.
        norm: scales (gamma), rolling mean and rolling variance, (filters,) each; None without batch-norm.
        kernel: (filters, channels, rows, columns), darknet's order.
    """

    biases: np.ndarray
    norm: tuple[np.ndarray, np.ndarray, np.ndarray] | None
    kernel: np.ndarray


def read(path: str | Path, network: Network, cfg: str) -> tuple[Header, Iterator[Tensors]]:
    """Reads a weights file whose size has been compared with what the cfg describes.

    Args:
        path: the file; its pages are mapped, so that memory holds no more than a layer at a time.
        network: the parsed cfg.
        cfg: the cfg's name, for messages.

    Returns:
        The header, and one `Tensors` a convolution, views on the file.

    Raises:
        InputError: when the file is missing, or shorter or longer than the cfg describes; both sizes are named.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file", "a darknet weights file", "check the path")
    found, needed = path.stat().st_size, network.values * FLOAT.itemsize
    with path.open("rb") as file:
        start = file.read(_VERSION.size)
        packing = Header(*_VERSION.unpack(start)).packing if len(start) == _VERSION.size else Header().packing
        if found != packing.size + needed:
            raise InputError(
                f"{path} of {found} bytes",
                f"{packing.size + needed} bytes, {packing.size} of a header and {network.values} numbers of {cfg}",
                "give the weights that belong to this cfg, whole",
            )
        header = Header(*packing.unpack(start + file.read(packing.size - len(start))))
    # An empty map is an error, and so is one that begins at the end.
    flat = np.memmap(path, FLOAT, "r", packing.size) if needed else np.zeros(0, FLOAT)
    return header, _split(flat, network)


def _split(flat: np.ndarray, network: Network) -> Iterator[Tensors]:
    place = 0

    def take(*shape: int) -> np.ndarray:
        nonlocal place
        begin, place = place, place + int(np.prod(shape))
        return flat[begin:place].reshape(shape)

    for layer in network.convolutions:
        filters = layer.shape[2]
        biases = take(filters)
        norm = (take(filters), take(filters), take(filters)) if layer.normalized else None
        yield Tensors(biases, norm, take(filters, layer.channels, layer.size, layer.size))


def write(path: Path, header: Header, tensors: Iterable[Tensors]) -> int:
    """Writes a weights file.

    Args:
        path: the file, which may be half-written if this fails: give a temporary one.
        header: its first 16 or 20 bytes.
        tensors: one a convolution, in the order of the cfg.

    Returns:
        How many bytes it has.
    """
    with path.open("wb") as file:
        file.write(header.packing.pack(*header))
        for biases, norm, kernel in tensors:
            for array in (biases, *(norm or ()), kernel):
                file.write(np.ascontiguousarray(array, FLOAT).tobytes())
        return file.tell()
