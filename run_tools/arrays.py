"""Arrays: files of named ones, and whether one holds numbers only."""

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from run_tools.errors import InputError


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a `.npz` of weights by their names; nothing in it is executed.

    Raises:
        InputError: when there is no such file, or it is no archive of arrays.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file", "a .npz of weights", "check --weights")
    try:
        # NumPy leaves a file open whose archive turns out to be broken.
        with path.open("rb") as file:
            archive = np.load(file, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise ValueError("a single array")
            stored = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"{path}: {reason(error)}", "a .npz of weights", "copy it again") from error
    return stored


def reason(error: Exception) -> str:
    """Why NumPy could not read a file, in a few words. Its own advice is to load what may run code."""
    told = str(error)
    return "neither arrays nor an archive of them" if "pickle" in told else told[:120]


def finite(array: Any) -> bool:
    """Whether an array, a tensor or a variable holds no NaN and no infinity; whole numbers and texts never do."""
    if "float" not in str(array.dtype):
        return True
    if isinstance(array, np.ndarray):
        return bool(np.isfinite(array.astype(np.float32, copy=False)).all())
    import keras  # here, because reading files needs none

    return bool(keras.ops.all(keras.ops.isfinite(array)))  # where it lies: on a GPU, or on several hosts
