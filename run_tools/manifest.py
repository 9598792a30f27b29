"""Models by name: `weights/manifest.yaml`, and the download of what it lists."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from run_tools import config
from run_tools.config import option
from run_tools.errors import InputError
from run_tools.files import sha256

PLACES = (Path(__file__).parent / "weights", Path(__file__).parents[1] / "weights")
"""Where the manifest is: inside the installed package, and at the root of the repository."""

NAME = "manifest.yaml"
MODEL_HELP = "run folder, .keras file or name in weights/manifest.yaml"
Kind = Literal["detection", "classification"]
CACHE = "prune-vision"
"""Folder of downloads in Keras's own, which is `~/.keras` or what `KERAS_HOME` says."""


@dataclass(frozen=True)
class Entry:
    """One model of the manifest. Files are addresses, or paths relative to the manifest."""

    kind: Kind = option("detection", help="what it is for")
    model: str | None = option(None, help="a .keras file")
    weights: str | None = option(None, help="a darknet weights file")
    cfg: str | None = option(None, help="the cfg of the weights")
    sha256: str = option("", help="of the model or the weights, 64 hexadecimal digits")
    cfg_sha256: str = option("", help="of the cfg")
    layers: int | None = option(None, help="the weights hold the first so many layers of the cfg", minimum=1)
    size: int | None = option(None, help="of the model or the weights, in bytes")
    description: str = option("", help="what it is")
    origin: str = option("", help="who made it")
    licence: str = option("", help="of the file")
    command: str = option("", help="what made it")
    data: str = option("", help="what it was trained on")
    metrics: dict[str, Any] = option({}, help="what it reaches")

    def __post_init__(self):
        if (self.model is None) == (self.weights is None) or (self.weights is None) != (self.cfg is None):
            raise InputError("an entry of the manifest", "a model, or weights and their cfg", "correct the entry")
        if self.kind == "classification" and self.model is None:
            raise InputError("an entry of classification with weights and cfg", "a model", "correct the entry")


@dataclass(frozen=True)
class Files:
    """What an entry names, on this disk and checked: either `model`, or `cfg` and `weights`."""

    entry: Entry
    model: Path | None = None
    cfg: Path | None = None
    weights: Path | None = None


def location() -> Path:
    """The manifest's own path: inside the installed package, else at the root of the repository.

    Raises:
        InputError: if it is in neither place.
    """
    for folder in PLACES:
        if (folder / NAME).is_file():
            return folder / NAME
    raise InputError(f"no {NAME} in {PLACES[0]}", "the manifest of this package", "install the package again")


def entries(path: Path | None = None) -> dict[str, Entry]:
    """Name → entry.

    Args:
        path: a manifest; None: the package's.

    Raises:
        InputError: for a file that is no manifest.
    """
    path = location() if path is None else path
    return {
        str(name): config.from_mapping(Entry, values or {}, where=f"{path}: {name}")
        for name, values in config.read_yaml(path).items()
    }


def named(source: str | Path, kind: Kind) -> Files | None:
    """The files of a name that a user gave; a file or folder of that name goes before.

    Args:
        source: what was given.
        kind: what the model is wanted for.

    Returns:
        As `fetch`; None where a file or folder is meant, or nothing that the manifest has.

    Raises:
        InputError: for a name of the other kind, or as `fetch`.
    """
    if Path(source).exists() or str(source) not in (known := entries()):
        return None
    if known[str(source)].kind != kind:
        expected = f"a run folder{others(kind)}"
        raise InputError(f"{source}, a model for {known[str(source)].kind}", expected, f"name one for {kind}")
    return fetch(str(source))


def others(kind: Kind) -> str:
    """What may be given where a run folder may, as `run_tools.saved.model_file` says it after "a run folder"."""
    names = [name for name, entry in entries().items() if entry.kind == kind]
    return f", a .keras file or a name in {location()} ({', '.join(names) or f'none for {kind} yet'})"


def fetch(name: str, path: Path | None = None) -> Files:
    """The files of an entry, downloaded where they are not here yet, each checked by its SHA-256.

    Args:
        name: of the entry.
        path: a manifest; None: the package's.

    Raises:
        InputError: for an unknown name, a checksum that is missing or another, or a download that fails.
    """
    path = location() if path is None else path
    known = entries(path)
    if name not in known:
        raise InputError(f"{name!r}", f"a name in {path} ({', '.join(known)})", "choose one")
    entry = known[name]
    if entry.model is not None:
        return Files(entry, model=_file(name, entry.model, entry.sha256, "sha256", path))
    # Nothing is downloaded before all of it can be checked.
    wanted = [(entry.cfg, entry.cfg_sha256, "cfg_sha256"), (entry.weights, entry.sha256, "sha256")]
    for address, digest, label in wanted:
        _require_digest(name, str(address), digest, label, path)
    cfg, weights = (_file(name, str(address), digest, label, path) for address, digest, label in wanted)
    return Files(entry, cfg=cfg, weights=weights)


def _require_digest(name: str, address: str, digest: str, label: str, path: Path) -> None:
    if len(digest) != 64 or set(digest.lower()) - set("0123456789abcdef"):
        raise InputError(
            f"{name} without the checksum of {address}",
            f"64 hexadecimal digits at {label} of {name} in {path}",
            f"fill in what `sha256sum {_file_name(address)}` prints for a file that you trust",
        )


def _file_name(address: str) -> str:
    return Path(urlsplit(address).path).name


def _file(name: str, address: str, digest: str, label: str, path: Path) -> Path:
    """An address's file on this disk; it is exactly what the checksum says."""
    _require_digest(name, address, digest, label, path)
    remote = "://" in address
    file = cache_folder() / _file_name(address) if remote else path.parent / address
    if remote and not file.exists():
        _download(address, file, digest)
    if not file.is_file():
        raise InputError(f"{name}, whose file {file} is missing", "that file", "install the package again")
    found = sha256(file)
    if found != digest.lower():
        fix = "delete it to download it again" if remote else "put the right file there"
        raise InputError(f"{file} with the SHA-256 {found}", f"{digest.lower()}, as {path} says of {name}", fix)
    return file


def cache_folder() -> Path:
    """The folder of downloads."""
    return Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser() / CACHE


def _download(address: str, file: Path, digest: str) -> None:
    import keras  # here alone: the classes of options read MODEL_HELP, and must not load it

    # Keras writes elsewhere where its folder is not there yet.
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        keras.utils.get_file(
            file.name,
            address,
            cache_dir=str(file.parent.parent),
            cache_subdir=file.parent.name,
            file_hash=digest.lower(),
            hash_algorithm="sha256",
        )
    except Exception as error:  # Keras raises plain exceptions for what goes wrong on the way
        reason = " ".join(str(error).split())[:200]
        told = f"{address}, which could not be downloaded ({reason})"
        file.unlink(missing_ok=True)
        raise InputError(
            told, "a connection to it, or the file by hand", f"download it and put it at {file}"
        ) from error
