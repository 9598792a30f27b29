"""Pictures and videos, one image after the other, each also at the network's size."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from data_tools.image_files import read_rgb, read_size, resize
from data_tools.sources import Source
from data_tools.video import VideoInput
from run_tools.errors import InputError


@dataclass(frozen=True, eq=False)
class Frame:
    """One image.

    Attributes:
        source: where it is from.
        index: its place in a video, from 0; 0 for a picture.
        last: whether it is the last one of its source.
        rate: frames a second of a video.
        image: uint8 RGB, (H, W, 3), as it is to be drawn on.
        small: the same at the network's size.
    """

    source: Source
    index: int
    last: bool
    rate: float
    image: np.ndarray
    small: np.ndarray

    @property
    def label(self) -> str:
        """The name of the picture, or of the video and its frame."""
        return f"{self.source.name}/{self.index:06d}" if self.source.is_video else self.source.label


def look(sources: Sequence[Source], keep_going: bool, skipped: dict[str, str]) -> tuple[list[Source], int]:
    """Looks at every file before the first is used: its beginning and end, a few kilobytes of each.

    Args:
        sources: the files.
        keep_going: leave out what cannot be read.
        skipped: gets the label of each that is left out, and what is wrong with it.

    Returns:
        Those that can be opened, and about how many images they hold.

    Raises:
        InputError: for the first that cannot be read, unless `keep_going`; for none that can.
    """
    good, count = [], 0
    for source in sources:
        try:
            if source.is_video:
                video = VideoInput(source.path)
                count += video.count or 1
                video.close()
            else:
                read_size(source.path)
                count += 1
        except InputError as error:
            if not keep_going:
                raise
            skipped[source.label] = error.received
        else:
            good.append(source)
    if not good:
        raise InputError(f"{next(iter(skipped.values()))}, and nothing else", "a file that can be read", "check them")
    return good, count


def frames(
    sources: Sequence[Source], size: tuple[int, int], keep_going: bool, skipped: dict[str, str]
) -> Iterator[Frame]:
    """Every image of the sources, in order, one decoded at a time.

    Args:
        sources: the files.
        size: (height, width) of the network's input.
        keep_going: leave out pictures that cannot be read, and end videos where they can be read no further.
        skipped: gets the label of each such file, and what is wrong with it.

    Yields:
        The images. Of a video one is held back, so that the last is known as such.

    Raises:
        InputError: for a file that cannot be decoded, unless `keep_going`.
    """
    for source in sources:
        try:
            if source.is_video:
                yield from _of_video(source, size, keep_going, skipped)
            else:
                image = read_rgb(source.path)
                yield Frame(source, 0, True, 0.0, image, resize(image, size))
        except InputError as error:
            if not keep_going:
                raise
            skipped[source.label] = error.received


def _of_video(source: Source, size: tuple[int, int], keep_going: bool, skipped: dict[str, str]) -> Iterator[Frame]:
    video = VideoInput(source.path)
    held: np.ndarray | None = None
    index = 0

    def frame(image: np.ndarray, last: bool) -> Frame:
        return Frame(source, index, last, video.rate, image, resize(image, size))

    try:
        for image in video.frames():
            if held is not None:
                yield frame(held, False)
                index += 1
            held = image
    except InputError as error:
        if not keep_going or held is None:
            raise
        skipped[source.label] = f"{error.received}, which are used"
    finally:
        video.close()
    if held is not None:
        yield frame(held, True)
