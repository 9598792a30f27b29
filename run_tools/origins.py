"""Whether the files that a training began from are still what they were."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from run_tools.checkpoint import BEST
from run_tools.errors import InputError
from run_tools.files import sha256

FILES = "files"
"""Entry of the state of a run that holds what `digests` returned when it began."""


def digests(given: Mapping[str, Path | None]) -> dict[str, str]:
    """SHA-256 of the files that are meant.

    Args:
        given: the option's name → a file, or a run folder, whose best checkpoint is meant; None where none was given.

    Returns:
        The option's name → 64 hexadecimal digits; none for names of the manifest, which holds digests itself, and for
        files that are gone.
    """
    named = {name: Path(path) for name, path in given.items() if path is not None}
    files = {name: path / BEST if path.is_dir() else path for name, path in named.items()}
    return {name: sha256(path) for name, path in files.items() if path.is_file()}


def check(given: Mapping[str, Path | None], state: Mapping[str, Any], out: Path) -> dict[str, str]:
    """Compares with what was kept when a run began.

    Args:
        given: as of `digests`.
        state: of the run; one of before digests were kept has none.
        out: the run folder.

    Returns:
        Digests to keep: those of then, and of what has none.

    Raises:
        InputError: for a file with other contents.
    """
    now, before = digests(given), state.get(FILES, {})
    for name, digest in before.items():
        if now.get(name, digest) != digest:
            raise InputError(
                f"{name} {given[name]} with other contents than when {out} was started",
                "the file that it was started with",
                "bring that file back, or choose a new --out",
            )
    return {**now, **before}
