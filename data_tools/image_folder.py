"""A folder of images with one subfolder a class."""

from __future__ import annotations

import pathlib

from data_tools.extractor import existing_folder, read_source
from data_tools.label_extractor import IMAGE_SUFFIXES, LabelExtractor
from data_tools.records import Sample
from data_tools.splits import SPLIT_NAMES
from run_tools.errors import InputError


class ImageFolderExtractor(LabelExtractor):
    """Samples of a folder `ROOT/CLASS/IMAGE`, or of `ROOT/train/CLASS/IMAGE`, `ROOT/val/...`, `ROOT/test/...`.

    Args:
        root: the folder. Classes are its subfolders by name; images are PNG or JPEG, other files are left alone.
            `source.txt`, where present, names the source; else the folder's own name does.

    Raises:
        InputError: fewer than two classes, or a class folder with no image or a single one.
    """

    def __init__(self, root: str | pathlib.Path) -> None:
        self.root = existing_folder(root, "one folder of images a class")
        self.source = read_source(self.root, f"images in {self.root.resolve().name}")
        top = _folders(self.root)
        divided = bool(top) and {folder.name for folder in top} <= set(SPLIT_NAMES)
        parts = {folder.name: folder for folder in top} if divided else {"": self.root}
        self._files: dict[str, tuple[pathlib.Path, str]] = {}
        self._splits: dict[str, list[str]] | None = {name: [] for name in SPLIT_NAMES if name in parts} or None
        for split, folder in parts.items():
            for class_folder in _folders(folder):
                for path in _images(class_folder, 1 if divided else 2):
                    sample_id = path.relative_to(self.root).as_posix()
                    self._files[sample_id] = (path, class_folder.name)
                    if self._splits is not None:
                        self._splits[split].append(sample_id)
        self.class_names = tuple(sorted({name for _, name in self._files.values()}))
        if len(self.class_names) < 2:
            raise InputError(
                f"{len(self.class_names)} class folders in {self.root}", "at least 2", "make one folder a class"
            )

    def ids(self) -> list[str]:
        """`CLASS/IMAGE` (with its split before it, where the folder is divided), sorted."""
        return sorted(self._files)

    def sample(self, sample_id: str) -> Sample:
        """File and class of one image."""
        path, name = self._files[sample_id]
        return Sample(sample_id, path, label=name)

    def standard_splits(self) -> dict[str, list[str]] | None:
        """The splits of a folder that is divided into train, val and test; `None` for others."""
        return self._splits


def _folders(folder: pathlib.Path) -> list[pathlib.Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _images(folder: pathlib.Path, least: int) -> list[pathlib.Path]:
    """Images of a class folder, sorted; InputError where they are too few."""
    found = sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file() and not path.name.startswith(".")
    )
    if len(found) < least:
        raise InputError(
            f"class folder {folder} with {len(found)} image{'' if len(found) == 1 else 's'}",
            "enough for every split: at least one each",
            "add images or remove the folder",
        )
    return found
