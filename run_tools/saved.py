"""Saved models: from what a user names to a Keras model, with every fault as one line."""

import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import keras

from run_tools.checkpoint import BEST
from run_tools.errors import InputError

Model = TypeVar("Model", bound=keras.Model)
COMPRESSED = ".kerasz"
"""Suffix of the files of `prune_tools.export.compressed`, which has a `load` of its own."""


def model_file(source: str | Path, others: Callable[[], str] = lambda: " or a .keras file") -> Path:
    """The `.keras` file that a user means.

    Args:
        source: a run folder, whose best checkpoint is meant, or a file.
        others: says, after "a run folder", what else may be named.

    Raises:
        InputError: when there is none.
    """
    path = Path(source)
    if path.is_dir():
        path = path / BEST
        if not path.is_file():
            raise InputError(
                f"{source}: a folder without {BEST}", "a finished run folder", "train it to its first epoch"
            )
    if not path.is_file():
        raise InputError(f"{source}: no such file", f"a run folder{others()}", "check the path")
    return path


def load(path: Path, compile: bool = False) -> keras.Model:
    """The model of a `.keras` file, in Keras's safe mode; the classes that it names must be registered.

    Args:
        path: the file.
        compile: restore optimizer and loss as well.

    Raises:
        InputError: when it does not hold a model.
    """
    # Keras says "file not found" of an archive that was cut off.
    if not zipfile.is_zipfile(path):
        raise InputError(f"{path}, which is no whole .keras archive", "a .keras model of this project", "copy it again")
    try:
        return keras.saving.load_model(path, compile=compile, safe_mode=True)
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{path}: {reason}", "a .keras model of this project", "train or export it again") from error


def frozen(model: keras.Model) -> list[str]:
    """Names of the layers that hold weights and do not learn, for a config that `from_config` reads."""
    return [layer.name for layer in model.layers if layer.weights and not layer.trainable]


def from_config(make: Callable[..., Model], config: Mapping[str, Any]) -> Model:
    """The network of a config, without its weights.

    Args:
        make: the network's class.
        config: its arguments, and under "frozen" what `frozen` returned.
    """
    arguments = dict(config)
    names = arguments.pop("frozen", ())
    model = make(**arguments)
    # A saved optimizer has slots for the layers that learned, so these must be the same after loading.
    for name in names:
        model.get_layer(name).trainable = False
    return model
