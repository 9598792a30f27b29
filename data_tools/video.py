"""Videos in and out, by OpenCV's FFmpeg."""

import functools
import math
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from run_tools.errors import InputError

# FFmpeg writes to the screen what becomes one line here.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

CODECS = (("mp4v", ".mp4"), ("MJPG", ".avi"))
"""MPEG-4 part 2, and motion JPEG where OpenCV was built without it; OpenCV's wheels have no encoder for H.264."""

DEFAULT_RATE = 25.0
# Some containers do not store how many frames they hold, and OpenCV computes it from the length.
TOLERANCE, SLACK = 0.02, 2


def _silent() -> None:
    """Stops OpenCV's own messages, for this process."""
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


class VideoInput:
    """A video to read.

    Args:
        path: the file.

    Attributes:
        count: frames it says to hold; None where it does not say.
        rate: frames a second.

    Raises:
        InputError: if it is missing, or nothing in it can be decoded.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise InputError(f"video {path}, which is not a file", "a video", "check the path")
        _silent()
        self.path = path
        self._capture = cv2.VideoCapture(str(path))
        if not self._capture.isOpened():
            size = path.stat().st_size
            raise InputError(
                f"video {path} of {size} bytes that cannot be opened", "a whole video", "copy it again, or convert it"
            )
        count = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.count = int(count) if count >= 1 else None
        self.rate = rate if math.isfinite(rate) and 0 < rate <= 1000 else DEFAULT_RATE

    def close(self) -> None:
        """Lets go of the file."""
        self._capture.release()

    def frames(self) -> Iterator[np.ndarray]:
        """Every frame, uint8 RGB (H, W, 3), as it is to be seen: a stored rotation is applied.

        Raises:
            InputError: at the end, if there are clearly fewer frames than the file says.
        """
        seen = 0
        while True:
            there, frame = self._capture.read()
            if not there:
                break
            seen += 1
            yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
        wanted = self.count or 1
        if seen < wanted * (1 - TOLERANCE) - SLACK or seen == 0:
            raise InputError(
                f"video {self.path} with {seen} of its {wanted} frames", "a whole video", "copy it again, or convert it"
            )


@functools.cache
def output_format() -> tuple[str, str]:
    """Codec (four letters) and suffix of the videos that OpenCV can write on this machine: the first of `CODECS`.

    Raises:
        InputError: if it can write none.
    """
    _silent()
    with tempfile.TemporaryDirectory() as folder:
        for codec, suffix in CODECS:
            writer = cv2.VideoWriter(f"{folder}/try{suffix}", cv2.VideoWriter.fourcc(*codec), DEFAULT_RATE, (64, 64))
            opened = writer.isOpened()
            writer.release()
            if opened:
                return codec, suffix
    names = " or ".join(codec for codec, _ in CODECS)
    raise InputError("an OpenCV without video encoders", f"one that writes {names}", "give --no-video --frames")


class VideoOutput:
    """A video to write.

    Args:
        path: the file, with the suffix of `output_format`.
        rate: frames a second.
        size: (height, width) of a frame. An odd side loses its last row or column: the codecs want pairs.

    Raises:
        InputError: if no such video can be written.
    """

    def __init__(self, path: Path, rate: float, size: tuple[int, int]) -> None:
        self.path = path
        self.frames = 0
        codec, _ = output_format()
        self._writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), rate, size[::-1])
        if not self._writer.isOpened():
            raise InputError(
                f"a video of {size[1]}x{size[0]} at {rate:g} frames/s", f"one for {codec}", "give --no-video --frames"
            )

    def add(self, frame: np.ndarray) -> None:
        """Appends a frame, uint8 RGB of the video's size."""
        self._writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
        self.frames += 1

    def release(self) -> None:
        """Lets go of the file, whether it is complete or not."""
        self._writer.release()

    def close(self) -> None:
        """Ends the file.

        Raises:
            InputError: if not all frames are in it, which OpenCV does not tell while writing.
        """
        self.release()
        written = cv2.VideoCapture(str(self.path))
        held = int(written.get(cv2.CAP_PROP_FRAME_COUNT)) if written.isOpened() else 0
        written.release()
        if held < self.frames:
            raise InputError(
                f"{held} of {self.frames} frames in the written video", "all of them", "look for space on the disk"
            )
