"""What an experiment looks at before it makes its folder."""

from collections.abc import Iterable
from pathlib import Path

from data_tools.store import Store
from run_tools.errors import InputError
from yolo_prune.models import load_model
from yolo_prune.transfer import read_npz


def check_splits(store: Store, names: Iterable[str]) -> None:
    """InputError unless the file has these splits, each with an image."""
    for name in names:
        if not len(store[name]):
            raise InputError(f"split {name!r} without images in {store.path}", "at least one image", "compile it again")


def check_weights(path: Path | None) -> None:
    """InputError unless `--weights` is something that can be read, or was not given."""
    if path is not None and path.suffix == ".npz":
        read_npz(path)
    elif path is not None:
        load_model(path)
