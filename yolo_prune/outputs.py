"""What `detect` leaves behind: drawn pictures, drawn videos, result files; each appears when it is complete."""

import contextlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from data_tools.frames import Frame
from data_tools.image_files import encode_png
from data_tools.kitti import write_labels
from data_tools.video import VideoOutput, output_format
from run_tools import files
from run_tools.errors import InputError
from yolo_prune.drawing import draw
from yolo_prune.records import Detections
from yolo_prune.results import as_boxes

RESULT = re.compile(r"[0-9]{6,}\.(png|txt)|(images|results)\.json")
"""Names of files in the folders that are replaced as a whole."""


@dataclass(frozen=True)
class Wanted:
    """Which files are written.

    Attributes:
        out: folder of all of them.
        names: of the head's classes.
        score: least score drawn.
        result_score: least score in result files.
        kitti: write KITTI's result files.
        video: write drawn videos.
        frames: write the images of videos as pictures, too.
    """

    out: Path
    names: Sequence[str]
    score: float
    result_score: float
    kitti: bool = True
    video: bool = True
    frames: bool = False


def write_picture(path: Path, picture: np.ndarray) -> None:
    """Writes uint8 RGB (H, W, 3) as PNG, all or nothing."""
    with files.atomic_path(path) as temporary:
        temporary.write_bytes(encode_png(picture))


def check_replaced(folders: Iterable[Path]) -> None:
    """Refuses to replace folders that hold anything but results of an earlier run.

    Args:
        folders: those that will be replaced as a whole, if they exist.

    Raises:
        InputError: naming the folder and what is in it.
    """
    for folder in folders:
        strange = [path.name for path in folder.iterdir() if not RESULT.fullmatch(path.name)] if folder.is_dir() else []
        if strange:
            raise InputError(
                f"{folder}, which holds {min(strange)}",
                "no such folder, or one with earlier results alone: it would be replaced",
                "choose another --out",
            )


class Outputs:
    """Writes what was found in each image; use it as a context manager.

    `picture` may be called from several threads, `video_frame` from one, in order. A video's files and folders get
    their names with its last image; left by an error, an unfinished one leaves nothing.

    Args:
        wanted: which files.
    """

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self._unfinished = contextlib.ExitStack()
        self._labels: Path | None = None
        self._pictures: Path | None = None
        self._video: VideoOutput | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._video is not None:
            self._video.release()
        self._unfinished.__exit__(kind, error, trace)

    def picture(self, frame: Frame, found: Detections) -> None:
        """Writes the drawing and result file of a picture; `found` is in its pixels."""
        wanted = self.wanted
        write_picture(wanted.out / f"{frame.source.name}.png", self._drawn(frame, found))
        if wanted.kitti:
            with files.atomic_path(wanted.out / "results" / f"{frame.source.name}.txt") as temporary:
                self._write_labels(temporary, found)

    def video_frame(self, frame: Frame, found: Detections) -> None:
        """Adds the next image of a video; `found` is in its pixels."""
        if frame.index == 0:
            self._begin(frame)
        if self._labels is not None:
            self._write_labels(self._labels / f"{frame.index:06d}.txt", found)
        if self._video is not None or self._pictures is not None:
            drawn = self._drawn(frame, found)
            if self._pictures is not None:
                (self._pictures / f"{frame.index:06d}.png").write_bytes(encode_png(drawn))
            if self._video is not None:
                self._video.add(drawn)
        if frame.last:
            if self._video is not None:
                self._video.close()
            self._unfinished.close()

    def _begin(self, frame: Frame) -> None:
        wanted, name = self.wanted, frame.source.name
        self._labels = self._folder(wanted.out / "results" / name) if wanted.kitti else None
        self._pictures = self._folder(wanted.out / name) if wanted.frames else None
        self._video = None
        if wanted.video:
            path = self._unfinished.enter_context(files.atomic_path(wanted.out / (name + output_format()[1])))
            self._video = VideoOutput(path, frame.rate, frame.image.shape[:2])

    def _folder(self, path: Path) -> Path:
        folder = self._unfinished.enter_context(files.atomic_path(path))
        folder.mkdir()
        return folder

    def _drawn(self, frame: Frame, found: Detections) -> np.ndarray:
        return draw(frame.image, found, class_names=self.wanted.names, score_threshold=self.wanted.score)

    def _write_labels(self, path: Path, found: Detections) -> None:
        write_labels(path, as_boxes(found.take(found.scores >= self.wanted.result_score), self.wanted.names))
