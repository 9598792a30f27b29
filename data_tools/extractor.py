"""`DataExtractor`: the one class to write for a data set of your own.

A child names its classes and answers two questions: which samples are there, and what is in sample X. The compiler
does all the rest (sizes, resizing, splits, checks, HDF5). A child for a folder of PNG images with one CSV of boxes:

    class CsvExtractor(DataExtractor):
        class_names = ("car", "bus")
        source = "my cameras, summer 2024"

        def __init__(self, root):
            self.root = pathlib.Path(root)
            self.rows = collections.defaultdict(list)
            with open(self.root / "boxes.csv", newline="") as file:
                for name, kind, *sides in csv.reader(file):
                    self.rows[name].append(Box(kind, *map(float, sides)))

        def ids(self):
            return sorted(path.stem for path in self.root.glob("*.png"))

        def sample(self, sample_id):
            boxes = tuple(self.rows[sample_id])
            return Sample(sample_id, self.root / f"{sample_id}.png", boxes, group=sample_id.split("_")[0])

        def groups_known(self):  # "street7_0012" and "street7_0013" look alike and stay in one split
            return True

    DataCompiler(CsvExtractor("photos"), image_size=(416, 416), split="drive").compile("photos.h5")
"""

from __future__ import annotations

import abc
import pathlib

import numpy as np

from data_tools import image_files
from data_tools.records import Sample
from run_tools.errors import InputError


class DataExtractor(abc.ABC):
    """Reads one raw data set, sample by sample. See the module's text for a complete child.

    Attributes:
        class_names: the classes, in the order of their indices 0, 1, ... in the HDF5.
        source: what the data is, in a few words; kept in the HDF5 and shown beside every number computed on it.
        ignored_names: labels that mark regions to leave alone (class -1) rather than objects.
        content: "boxes" (detection); children of `LabelExtractor` have "images" or "features".
    """

    class_names: tuple[str, ...]
    source: str
    ignored_names: tuple[str, ...] = ("DontCare",)
    content: str = "boxes"

    @abc.abstractmethod
    def ids(self) -> list[str]:
        """Names of all samples, sorted, without repeats. Called once; cheap checks of the whole folder belong here."""

    @abc.abstractmethod
    def sample(self, sample_id: str) -> Sample:
        """Image file, boxes and group of one sample. Called from several threads at once.

        Raises:
            InputError: the sample's label is bad; the message names the file and the line.
        """

    def read_image(self, sample: Sample) -> np.ndarray:
        """Pixels of a sample, uint8 RGB, shape (H, W, 3). Override for other formats than PNG and JPEG."""
        return image_files.read_rgb(sample.image)

    def image_size(self, sample: Sample) -> tuple[int, int]:
        """Height and width of a sample's image. Override together with `read_image`."""
        if type(self).read_image is not DataExtractor.read_image:
            height, width = self.read_image(sample).shape[:2]
            return height, width
        return image_files.read_size(sample.image)

    def where(self, sample: Sample, index: int) -> str:
        """Where box `index` of a sample was read, for error messages. Override to name a file and a line."""
        return f"sample {sample.id}, box {index + 1}"

    def standard_splits(self) -> dict[str, list[str]] | None:
        """The data set's published split, {"train": ids, "val": ids} or with "test"; `None` where it has none.

        The ids need not all be present.
        """
        return None

    def groups_known(self) -> bool:
        """Whether `sample` gives each sample its group, so that `drive` can be the default split."""
        return False

    def class_index(self, class_name: str) -> int:
        """Index of a class in `class_names`; -1 for an ignored one.

        Raises:
            InputError: the class is neither.
        """
        if class_name in self.ignored_names:
            return -1
        try:
            return self.class_names.index(class_name)
        except ValueError:
            known = ", ".join((*self.class_names, *self.ignored_names))
            raise InputError(
                f"class {class_name!r}", f"one of {known}", "correct the label or add the class to the extractor"
            ) from None


def existing_folder(path: str | pathlib.Path, what: str) -> pathlib.Path:
    """The path as an existing folder.

    Args:
        path: the folder.
        what: what it should hold, for the message.

    Raises:
        InputError: it does not exist or is no folder.
    """
    path = pathlib.Path(path)
    if not path.is_dir():
        found = "a file" if path.exists() else "nothing there"
        raise InputError(f"{path} ({found})", f"a folder that holds {what}", "check the path")
    return path


def read_text(path: pathlib.Path) -> str:
    """A small text file beside the data, or an `InputError` that names it."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no text"
        raise InputError(f"{path} that cannot be read ({reason})", "a text file", "restore or remove it") from error


def read_source(root: pathlib.Path, default: str) -> str:
    """What the data is: the first line of `source.txt` in the root where there is one.

    Args:
        root: the data set's folder.
        default: what to say where there is no such file, or an empty one.

    Returns:
        A few words, kept in the HDF5 and shown beside every number computed on it.
    """
    path = root / "source.txt"
    lines = read_text(path).split("\n") if path.is_file() else []
    return (lines[0].strip() if lines else "") or default
