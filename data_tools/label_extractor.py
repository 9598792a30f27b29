"""`LabelExtractor`: the class to write for a data set with one label an image; and reading feature vectors."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping

import numpy as np

from data_tools.extractor import DataExtractor
from data_tools.records import Sample
from run_tools.errors import InputError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
FEATURE_SUFFIX = ".npy"


class LabelExtractor(DataExtractor):
    """Reads a data set of images, or of feature vectors, with one label each; samples carry `label`, not boxes.

    Attributes:
        content: "images" or "features".
        attributes: names of the attribute columns that every sample has, of `label_schema.ATTRIBUTE_TYPES`.
        names: texts behind numbered attributes, such as {"colour": ("yellow", ...)}.
        ignored_names: none; every image has a class.
    """

    content: str = "images"
    attributes: tuple[str, ...] = ()
    names: Mapping[str, tuple[str, ...]] = {}
    ignored_names: tuple[str, ...] = ()

    def read_vector(self, sample: Sample) -> np.ndarray:
        """Feature vector of a sample, float32 (D,), where `content` is "features"."""
        return read_vector(sample.image)

    def standard_splits(self) -> dict[str, list[str]] | None:
        """The data set's own splits, {"train": ids, "val": ids, "test": ids} or some of them; `None` without."""
        return None


def read_vector(path: pathlib.Path) -> np.ndarray:
    """A feature vector in NumPy's own format.

    Args:
        path: a .npy file of D numbers, shape (D,), (D, 1) or (1, D).

    Returns:
        float32 (D,).

    Raises:
        InputError: it is missing or cut off, holds pickled objects (which could run code), something other than one
            row of real numbers, or NaN or infinity.
    """
    try:
        # Never pickles: a pickle is a program, and a data set is untrusted input.
        array = np.load(path, allow_pickle=False)
    except OSError as error:
        reason = error.strerror or "cut off"
        raise InputError(f"feature file {path} that cannot be read ({reason})", "a .npy file", "check it") from error
    except (ValueError, EOFError) as error:
        told = str(error).lower()
        what = "that holds pickled Python objects" if "pickle" in told else "that is cut off or no .npy file"
        raise InputError(
            f"feature file {path} {what}", "plain numbers as np.save writes them", "download or save the file again"
        ) from error
    real = isinstance(array, np.ndarray) and array.dtype.kind in "fiu"
    if not real or array.size == 0 or max(array.shape, default=0) != array.size:
        found = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else "an archive"
        raise InputError(f"feature file {path} with {found}", "one row of real numbers", "save one vector a file")
    with np.errstate(over="ignore"):
        vector = array.reshape(-1).astype(np.float32)
    if not np.isfinite(vector).all():
        index = int(np.argmin(np.isfinite(vector)))
        raise InputError(f"{vector[index]} as number {index + 1} of {path}", "finite numbers", "save the file again")
    return vector
