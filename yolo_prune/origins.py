"""Whether the files that a training began from are still what they were."""

from collections.abc import Mapping
from pathlib import Path

from run_tools.checkpoint import BEST
from run_tools.errors import InputError
from run_tools.files import sha256
from yolo_prune.recipe import TrainConfig


def sources(config: TrainConfig) -> dict[str, Path]:
    """The networks and masks that a training reads.

    Args:
        config: of the training.

    Returns:
        The option's name → what was given.
    """
    prune = config.prune
    named = {"weights": config.weights, "teacher": config.teacher}
    if prune is not None:
        named |= {"rewind": prune.rewind, "previous": prune.previous}
    return {name: Path(given) for name, given in named.items() if given is not None}


def digests(given: Mapping[str, Path]) -> dict[str, str]:
    """SHA-256 of the files that are meant.

    Args:
        given: as of `sources`.

    Returns:
        The option's name → 64 hexadecimal digits; none for names of the manifest, which holds digests itself, and for
        files that are gone.
    """
    files = {name: path / BEST if path.is_dir() else path for name, path in given.items()}
    return {name: sha256(path) for name, path in files.items() if path.is_file()}


def check(given: Mapping[str, Path], before: Mapping[str, str], out: Path) -> dict[str, str]:
    """Compares with what was kept when a run began.

    Args:
        given: as of `sources`.
        before: what `digests` said then; a run of before digests were kept has none.
        out: the run folder.

    Returns:
        Digests to keep: those of then, and of what has none.

    Raises:
        InputError: for a file with other contents.
    """
    now = digests(given)
    for name, digest in before.items():
        if now.get(name, digest) != digest:
            raise InputError(
                f"{name} {given[name]} with other contents than when {out} was started",
                "the file that it was started with",
                "bring that file back, or choose a new --out",
            )
    return {**now, **before}
