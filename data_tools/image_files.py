"""PNG and JPEG files: size without decoding, whole or cut off, pixels, encoding, resizing."""

from __future__ import annotations

import io
import pathlib
import struct
import zlib
from typing import BinaryIO

import cv2
import numpy as np

from run_tools.errors import InputError

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
PNG_END = b"IEND\xaeB`\x82"
JPEG_MAGIC = b"\xff\xd8\xff"
# Start-of-frame markers hold the size; C4, C8 and CC share the range but mean other things.
JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# Some writers pad behind the end marker; a cut-off file has no marker at all, so a generous tail is searched.
TAIL = 4096


def _damaged(path: pathlib.Path, what: str) -> InputError:
    return InputError(f"image {path} {what}", "a whole PNG or JPEG file", "copy or download the image again")


def _unreadable(path: pathlib.Path, error: OSError) -> InputError:
    return InputError(
        f"image {path} that cannot be read ({error.strerror})", "a readable PNG or JPEG", "check the path"
    )


def _jpeg_size(file: BinaryIO) -> tuple[int, int] | None:
    """Height and width from the first start-of-frame segment; `None` where there is none."""
    file.seek(2)
    while True:
        marker = file.read(1)
        if marker != b"\xff":
            return None
        while marker == b"\xff":  # it may be repeated as padding
            marker = file.read(1)
        if not marker:
            return None
        if 0xD0 <= marker[0] <= 0xD9:  # these have no length
            continue
        head = file.read(7)
        if len(head) < 7:
            return None
        length, _, height, width = struct.unpack(">HBHH", head)
        if marker[0] in JPEG_FRAMES:
            return height, width
        file.seek(length - len(head), io.SEEK_CUR)


def _size(file: BinaryIO, path: pathlib.Path) -> tuple[int, int]:
    """Height and width from the header, after a look for the end marker."""
    length = file.seek(0, io.SEEK_END)
    file.seek(max(0, length - TAIL))
    tail = file.read()
    file.seek(0)
    head = file.read(24)
    size: tuple[int, int] | None
    if head.startswith(PNG_MAGIC):
        size = struct.unpack(">II", head[16:])[::-1] if len(head) == 24 else None
        end, kind = PNG_END, "PNG"
    elif head.startswith(JPEG_MAGIC):
        size = _jpeg_size(file)
        end, kind = b"\xff\xd9", "JPEG"
    else:
        raise _damaged(path, f"of {length} bytes that is neither PNG nor JPEG" if length else "that is empty")
    if end not in tail:
        raise _damaged(path, f"that is cut off after {length} bytes (no {kind} end marker)")
    if size is None or 0 in size:
        raise _damaged(path, f"without a size in its {kind} header")
    return size


def _check_chunks(data: bytes, path: pathlib.Path) -> None:
    """Compare the checksum of every chunk of a PNG: OpenCV returns what it could decode of a damaged one."""
    position = len(PNG_MAGIC)
    while position + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, position)
        kind, end = data[position + 4 : position + 8], position + 12 + length
        if end > len(data):
            break
        if zlib.crc32(memoryview(data)[position + 4 : end - 4]) != struct.unpack_from(">I", data, end - 4)[0]:
            raise _damaged(path, f"whose PNG chunk at byte {position} has a wrong checksum")
        if kind == b"IEND":
            return
        position = end
    raise _damaged(path, f"that is cut off after {len(data)} bytes (PNG chunk at byte {position})")


def read_size(path: pathlib.Path) -> tuple[int, int]:
    """Size of a PNG or JPEG from its header, after a check that its end is there. Reads a few kilobytes.

    Args:
        path: the file. Its content decides the format, not its name.

    Returns:
        Height and width in pixels.

    Raises:
        InputError: the file is missing, cut off, or neither PNG nor JPEG.
    """
    try:
        with open(path, "rb") as file:
            return _size(file, path)
    except OSError as error:
        raise _unreadable(path, error) from error


def read_rgb(path: pathlib.Path) -> np.ndarray:
    """Pixels of a PNG or JPEG as they lie on disk (an EXIF rotation is not applied: labels do not know it).

    Args:
        path: the file.

    Returns:
        uint8 RGB, shape (height, width, 3); grey and 16-bit images are converted.

    Raises:
        InputError: the file is missing, cut off, or cannot be decoded. OpenCV alone would return a cut-off image with
            its lower part grey.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from error
    size = _size(io.BytesIO(data), path)
    if data.startswith(PNG_MAGIC):
        _check_chunks(data, path)
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise _damaged(path, f"that OpenCV cannot decode ({error.err})") from error
    if image is None or image.shape[:2] != size:
        raise _damaged(path, "that cannot be decoded")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def encode_png(image: np.ndarray, compression: int | None = None) -> bytes:
    """An image as a PNG file's bytes; written by Python, a full disk is told as such, which `cv2.imwrite` does not.

    Args:
        image: uint8 RGB, shape (height, width, 3).
        compression: zlib's level, 0-9; None is OpenCV's default, fast with good results for pictures.

    Returns:
        The whole file.
    """
    options = [] if compression is None else [cv2.IMWRITE_PNG_COMPRESSION, compression]
    data: bytes = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)[1].tobytes()
    return data


def resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Image at another size: area averaging along a side that shrinks, linear interpolation along one that grows.

    Both sides are treated on their own because OpenCV's INTER_AREA averages only where both sides shrink: 1242x375 to
    416x416 in one call would skip two of three columns.

    Args:
        image: uint8, shape (h, w, 3).
        size: wanted height and width in pixels.

    Returns:
        uint8, contiguous, shape (*size, 3); the same array where nothing changes.
    """
    height, width = image.shape[:2]
    smaller = min(height, size[0]), min(width, size[1])
    if smaller != (height, width):
        image = cv2.resize(image, smaller[::-1], interpolation=cv2.INTER_AREA)
    if smaller != tuple(size):
        image = cv2.resize(image, size[::-1], interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(image)
