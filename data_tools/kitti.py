"""The KITTI 2D object data set: label files, and `KittiExtractor` for its folder layout."""

from __future__ import annotations

import difflib
import functools
import math
import pathlib
from collections.abc import Sequence

from data_tools import kitti_lists
from data_tools.extractor import DataExtractor, existing_folder, read_source
from data_tools.records import Box, Sample
from run_tools.errors import InputError

KITTI_CLASSES = ("Car", "Van", "Truck", "Pedestrian", "Person_sitting", "Cyclist", "Tram", "Misc")
DONT_CARE = "DontCare"
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")
COLUMNS = (
    *("type", "truncated", "occluded", "alpha", "left", "top", "right", "bottom"),
    *("height", "width", "length", "x", "y", "z", "rotation_y", "score"),
)


def _numbers(fields: Sequence[str], where: str) -> list[float]:
    """Columns 2 to 15 (16) as finite floats."""
    numbers = []
    for name, text in zip(COLUMNS[1:], fields[1:], strict=False):
        try:
            number = float(text)
        except ValueError:
            raise InputError(f"{name} {text!r} in {where}", "a number", "correct the label file") from None
        if not math.isfinite(number):
            raise InputError(f"{name} {text!r} in {where}", "a finite number", "correct the label file")
        numbers.append(number)
    return numbers


def parse_label(line: str, where: str, strict: bool = True) -> Box:
    """One line of a KITTI label or result file.

    Args:
        line: 15 columns separated by blanks, 16 with a score.
        where: file and line number, for error messages.
        strict: only KITTI's types, spelt as KITTI does, and truncation and occlusion in their ranges. False: what the
            devkit's evaluation reads, which takes any type and of a detection neither of the two.

    Returns:
        The box, with all its columns.

    Raises:
        InputError: another number of columns, an unknown type, letters for a number, NaN or infinity, a value outside
            its range, or a box whose right is not right of its left.
    """
    fields = line.split()
    if len(fields) not in (15, 16):
        raise InputError(
            f"{len(fields)} columns in {where}", "15 columns (16 with a score)", "correct the line or leave it out"
        )
    if strict and fields[0] not in (*KITTI_CLASSES, DONT_CARE):
        close = difflib.get_close_matches(fields[0].capitalize(), (*KITTI_CLASSES, DONT_CARE), 1, 0.6)
        raise InputError(
            f"class {fields[0]!r} in {where}",
            f"one of {', '.join(KITTI_CLASSES)}, {DONT_CARE}",
            f"did you mean {close[0]!r}?" if close else "correct the label file",
        )
    truncated, occluded, alpha, left, top, right, bottom, *rest = _numbers(fields, where)
    unread = not strict and len(fields) == 16
    if not (unread or -1 <= truncated <= 1 and -1 <= occluded <= 3 and occluded == int(occluded)):
        raise InputError(
            f"truncated {fields[1]}, occluded {fields[2]} in {where}",
            "truncated in -1 to 1, occluded one of -1, 0, 1, 2, 3",
            "correct the label file",
        )
    # A detector may well write an empty box; the truth must not hold one.
    empty = right < left or bottom < top if len(fields) == 16 else right <= left or bottom <= top
    if empty:
        raise InputError(
            f"box {left:g} {top:g} {right:g} {bottom:g} in {where}",
            "left < right and top < bottom",
            "correct the label file",
        )
    return Box(fields[0], left, top, right, bottom, truncated, int(occluded), alpha, *rest)


def _lines(path: pathlib.Path) -> list[tuple[int, str]]:
    """Lines that are not blank, with their numbers from 1."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no text"
        raise InputError(
            f"label file {path} that cannot be read ({reason})", "a KITTI label file", "check the file"
        ) from error
    return [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]


def read_labels(path: str | pathlib.Path, strict: bool = True) -> tuple[Box, ...]:
    """Objects of a KITTI label file, or detections of a result file.

    Args:
        path: the file. An empty file is valid: no objects.
        strict: see `parse_label`.

    Returns:
        One box a line, in the file's order.

    Raises:
        InputError: a line is wrong; the message names the file and the line.
    """
    path = pathlib.Path(path)
    return tuple(parse_label(line, f"{path}, line {number}", strict) for number, line in _lines(path))


def format_label(box: Box) -> str:
    """A box as one line of a label file, two decimals as KITTI writes them; 16 columns where it has a score."""
    numbers = (box.alpha, *box.xyxy, box.height, box.width, box.length, box.x, box.y, box.z, box.rotation_y)
    if box.class_name == DONT_CARE:
        # The development kit's own spelling has no decimals except in the box.
        sides = " ".join(f"{side:.2f}" for side in box.xyxy)
        text = f"{DONT_CARE} -1 -1 -10 {sides} -1 -1 -1 -1000 -1000 -1000 -10"
    else:
        text = f"{box.class_name} {box.truncated:.2f} {box.occluded} " + " ".join(f"{n:.2f}" for n in numbers)
    # Scores rank detections, so they keep more digits than pixels do.
    return text if box.score is None else f"{text} {box.score:.6f}"


def write_labels(path: str | pathlib.Path, boxes: Sequence[Box]) -> None:
    """Write a KITTI label file (15 columns) or result file (16 columns, for boxes with a score).

    Args:
        path: file to write; its folder must exist.
        boxes: objects in the order to write; none gives an empty file, which is valid.
    """
    pathlib.Path(path).write_text("".join(format_label(box) + "\n" for box in boxes), encoding="ascii")


class KittiExtractor(DataExtractor):
    """Samples of a folder in KITTI's 2D object layout.

    Args:
        root: folder that holds `training/image_2` (PNG or JPEG of any size) and `training/label_2`; where present,
            `devkit/train_mapping.txt` and `devkit/train_rand.txt` give each image its drive, `ImageSets/train.txt` and
            `ImageSets/val.txt` the community's standard split, and `source.txt` one line that names the source
            (rendered scenes name themselves synthetic there).

    Raises:
        InputError: a folder is missing, or the devkit's files are malformed.

    Source: Geiger, Lenz & Urtasun (2012), "Are we ready for autonomous driving?"; the object development kit.
    """

    class_names = KITTI_CLASSES
    ignored_names = (DONT_CARE,)

    def __init__(self, root: str | pathlib.Path) -> None:
        self.root = existing_folder(root, "training/image_2 and training/label_2")
        self.image_folder = existing_folder(self.root / "training" / "image_2", "KITTI's images")
        self.label_folder = existing_folder(self.root / "training" / "label_2", "KITTI's label files")
        self.source = read_source(self.root, kitti_lists.DEFAULT_SOURCE)
        self.drives = kitti_lists.read_drives(self.root)

    @functools.cached_property
    def _images(self) -> dict[str, pathlib.Path]:
        """Image file of each id."""
        images: dict[str, pathlib.Path] = {}
        for path in sorted(self.image_folder.iterdir()):
            if path.suffix.lower() not in IMAGE_SUFFIXES or path.name.startswith("."):
                continue
            if path.stem in images:
                raise InputError(
                    f"two images {images[path.stem].name} and {path.name} in {self.image_folder}",
                    "one image an id",
                    "remove one of them",
                )
            images[path.stem] = path
        return images

    def ids(self) -> list[str]:
        """Names of the samples, sorted.

        Raises:
            InputError: no image at all, an image without a label file, or a label file without an image.
        """
        images = set(self._images)
        labels = {path.stem for path in self.label_folder.glob("[!.]*.txt")}
        for lonely, folder, suffix, what in (
            (images - labels, self.label_folder, ".txt", "label file"),
            (labels - images, self.image_folder, ".png or .jpg", "image"),
        ):
            if lonely:
                first = min(lonely)
                owner = self._images[first] if first in images else self.label_folder / f"{first}.txt"
                raise InputError(
                    f"{owner} without its {what} (one of {len(lonely)} such)",
                    f"{folder / first}{suffix}",
                    f"add the {what} (an empty label file means no objects) or remove {owner.name}",
                )
        if not images:
            raise InputError(
                f"no images in {self.image_folder}", "at least one PNG or JPEG", "check that the data was unpacked"
            )
        return sorted(images)

    def sample(self, sample_id: str) -> Sample:
        """Image file, boxes and drive of one id.

        Raises:
            InputError: its label file is bad, or the devkit's mapping does not know the id.
        """
        boxes = read_labels(self._label_path(sample_id))
        return Sample(sample_id, self._images[sample_id], boxes, self._drive(sample_id))

    def _label_path(self, sample_id: str) -> pathlib.Path:
        return self.label_folder / f"{sample_id}.txt"

    def _drive(self, sample_id: str) -> str | None:
        if self.drives is None:
            return None
        if not sample_id.isdecimal() or int(sample_id) >= len(self.drives):
            raise InputError(
                f"image id {sample_id!r}",
                f"a number from 0 to {len(self.drives) - 1}, the ids that devkit/train_mapping.txt knows",
                "rename the image, or remove devkit/ to split at random",
            )
        return self.drives[int(sample_id)]

    def where(self, sample: Sample, index: int) -> str:
        """File and line of a box."""
        path = self._label_path(sample.id)
        return f"{path}, line {_lines(path)[index][0]}"

    def groups_known(self) -> bool:
        """Whether the devkit's mapping files are there."""
        return self.drives is not None

    def standard_splits(self) -> dict[str, list[str]] | None:
        """The ids of `ImageSets/train.txt` and `ImageSets/val.txt`; `None` where there is no such folder."""
        return kitti_lists.read_image_sets(self.root)
