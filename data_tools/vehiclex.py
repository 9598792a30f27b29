"""The VehicleX data set: images or feature vectors of vehicles with one label file a split, or one for all."""

from __future__ import annotations

import pathlib

from data_tools.extractor import existing_folder, read_source
from data_tools.label_extractor import FEATURE_SUFFIX, IMAGE_SUFFIXES, LabelExtractor
from data_tools.records import Sample
from data_tools.splits import SPLIT_NAMES
from data_tools.vehiclex_labels import COLOURS, TYPES, Label, read_labels, read_list
from run_tools.errors import InputError

ALL_LABELS = "finegrained_label.xml"
TASK_FOLDERS = ("", "Classification Task", "ClassificationTask")
POOL_FOLDERS = ("images", "image", "")
DEFAULT_SOURCE = "VehicleX"


class VehicleXExtractor(LabelExtractor):
    """Samples of a folder in VehicleX's layout, of the image release or of the feature release.

    Args:
        root: folder that holds the label files: `train_label.xml`, `val_label.xml`, `test_label.xml` (some of them) or
            `finegrained_label.xml` for all images. Files lie in `train/`, `val/`, `test/`, in `Classification Task/`
            or beside the labels, in `image_train/` or `sys_image_train/` and so on, or all in `images/`. Where
            present, `list_type.txt` and `list_color.txt` name types and colours, and `source.txt` the source
            (rendered images name themselves synthetic there).
        skip_missing: leave out Items whose file is not there, instead of refusing.

    Attributes:
        content: "images" or "features", as the files are.
        skipped: names of the Items left out.

    Raises:
        InputError: there is no label file, one is malformed, or the files do not match it.

    Source: Yao, Zheng, Yang, Naphade & Gedeon (2020), "Simulating content consistent vehicle datasets with attribute
    descent"; papers 000 to 002 and 004 use its classification release.
    """

    def __init__(self, root: str | pathlib.Path, skip_missing: bool = False) -> None:
        self.root = existing_folder(root, "VehicleX's label files and images")
        self.skip_missing = skip_missing
        self.class_names = read_list(self.root / "list_type.txt", TYPES)
        colours = read_list(self.root / "list_color.txt", COLOURS)
        self.names = {"colour": colours}
        labels = self._read_labels(colours)
        self.source = read_source(self.root, DEFAULT_SOURCE)
        self._labels, self._files, self._splits = self._matched(labels)
        kinds = {path.suffix.lower() == FEATURE_SUFFIX for path in self._files.values()}
        if len(kinds) > 1:
            raise InputError(
                f"both images and {FEATURE_SUFFIX} files in {self.root}", "one of them", "compile them separately"
            )
        self.content = "features" if kinds == {True} else "images"
        first = next(iter(self._labels.values()))
        self.attributes = tuple(first.attributes)
        for label in self._labels.values():
            if set(label.attributes) != set(self.attributes):
                odd = min(set(label.attributes) ^ set(self.attributes))
                raise InputError(f"{odd} not in all label files ({label.where})", "it in all or none", "complete them")

    def _read_labels(self, colours: tuple[str, ...]) -> dict[str, list[Label]]:
        """Labels of each label file, by split; "" is the file for all."""
        found = {split: self.root / f"{split}_label.xml" for split in SPLIT_NAMES}
        found = {split: path for split, path in found.items() if path.is_file()}
        if not found and (self.root / ALL_LABELS).is_file():
            found = {"": self.root / ALL_LABELS}
        if not found:
            names = ", ".join(f"{split}_label.xml" for split in SPLIT_NAMES)
            raise InputError(
                f"{self.root} without label files", f"{names} or {ALL_LABELS}", "add the XML that came with the images"
            )
        return {split: read_labels(path, self.class_names, colours) for split, path in found.items()}

    def _folders(self, split: str) -> list[pathlib.Path]:
        """Folders that may hold a split's files, the likeliest first."""
        paths = [self.root / task / split for task in TASK_FOLDERS]
        paths += [self.root / f"image_{split}", self.root / f"sys_image_{split}"]
        return [path for path in paths if path.is_dir()][:1]

    def _matched(
        self, labels: dict[str, list[Label]]
    ) -> tuple[dict[str, Label], dict[str, pathlib.Path], dict[str, list[str]]]:
        """Label and file of each sample by id, and the ids of each split."""
        by_key: dict[str, Label] = {}
        split_of: dict[str, str] = {}
        for split, found in labels.items():
            for label in found:
                if (key := _key(label.name)) in by_key:
                    raise InputError(f"{label.where} and {by_key[key].where}", "each image once", "remove one of them")
                by_key[key], split_of[key] = label, split
        files: dict[str, tuple[pathlib.Path, str]] = {}
        folders = {split: self._folders(split) for split in SPLIT_NAMES}
        if not any(folders.values()):
            pools = [self.root / name for name in POOL_FOLDERS if (self.root / name).is_dir()]
            folders = {"": [folder for folder in pools if _listed(folder)][:1]}
        for folder_split, paths in folders.items():
            for path in (file for folder in paths for file in _listed(folder)):
                key = _key(path.stem)
                if key not in by_key or (folder_split and split_of[key] not in ("", folder_split)):
                    raise self._unlabelled(path, folder_split, labels)
                if key in files:
                    raise InputError(f"{path} and {files[key][0]}", "one file an image", "remove one of them")
                files[key] = (path, folder_split or split_of[key])
        self.skipped = self._missing([label for key, label in by_key.items() if key not in files], len(files))
        ids = {key: path.stem for key, (path, _) in files.items()}
        splits = {name: sorted(ids[key] for key, (_, split) in files.items() if split == name) for name in SPLIT_NAMES}
        return (
            {ids[key]: by_key[key] for key in files},
            {ids[key]: path for key, (path, _) in files.items()},
            {name: members for name, members in splits.items() if members},
        )

    def _unlabelled(self, path: pathlib.Path, split: str, labels: dict[str, list[Label]]) -> InputError:
        divided = "" not in labels
        if split and divided and split not in labels:
            return InputError(
                f"{path.parent} without {split}_label.xml",
                f"it beside {', '.join(f'{name}_label.xml' for name in labels)}",
                "add the XML that came with the images, or remove the folder",
            )
        where = f"{split}_label.xml" if split and divided else "the label files" if divided else ALL_LABELS
        return InputError(
            f"{path}, which is not in {where}", "an Item for every file", "add its Item or remove the file"
        )

    def _missing(self, labels: list[Label], present: int) -> list[str]:
        """Names of the Items without a file, which are refused unless they may be skipped."""
        if not present:
            raise InputError(f"no images and no .npy files under {self.root}", "VehicleX's files", "check the path")
        if labels and not self.skip_missing:
            raise InputError(
                f"no file for {labels[0].where} (one of {len(labels)} such)",
                f"{labels[0].name}.jpg or {labels[0].name}{FEATURE_SUFFIX} in its split's folder",
                "restore the files, or leave them out: data-tools compile vehiclex --skip-missing",
            )
        return [label.name for label in labels]

    def ids(self) -> list[str]:
        """Names of all files without their suffix, sorted."""
        return sorted(self._files)

    def sample(self, sample_id: str) -> Sample:
        """File, type and attributes of one image."""
        label = self._labels[sample_id]
        name = self.class_names[label.type_id]
        return Sample(sample_id, self._files[sample_id], label=name, attributes=label.attributes)

    def standard_splits(self) -> dict[str, list[str]] | None:
        """The splits as published: those of the folders or label files; `None` where all lie together."""
        return self._splits or None


def _key(stem: str) -> str:
    """What file names and Items are matched by: ids are of 4 digits in some releases and of 5 in others."""
    return stem.lstrip("0")


def _listed(folder: pathlib.Path) -> tuple[pathlib.Path, ...]:
    """Images and feature files of a folder, sorted."""
    suffixes = (*IMAGE_SUFFIXES, FEATURE_SUFFIX)
    return tuple(sorted(p for p in folder.iterdir() if p.suffix.lower() in suffixes and not p.name.startswith(".")))
