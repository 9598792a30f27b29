"""A run is a folder: its config, its environment, its metrics and where it stands."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

import yaml

from run_tools import config as configs
from run_tools import files, lock
from run_tools.errors import InputError

DISTRIBUTION = "prune-vision"
_LIBRARIES = ("keras", "tensorflow", "jax", "numpy", "h5py")


class RunFolder:
    """One run on disk.

    Files: `config.yaml` (resolved), `environment.json`, `metrics.jsonl` (one object a line), `state.json` (what is
    needed to go on), `run.lock` while a process works in it; anything else belongs to the run.

    Args:
        path: the folder; nothing is written until `create`.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.root = Path(path)
        self._lock: lock.Lock | None = None

    def path(self, *parts: str) -> Path:
        """A path inside the folder.

        Args:
            *parts: names below the folder; none for the folder itself.

        Returns:
            The path; nothing is made.
        """
        return self.root.joinpath(*parts)

    def create(self, config: Any, ignore: tuple[str, ...] = ("out",)) -> RunFolder:
        """Makes the folder, or opens it to go on where it stopped, and locks it for this process.

        Args:
            config: the resolved config, an instance of a config class; a field named `seed` is recorded as the seed.
            ignore: fields that may differ when an existing folder is opened: by default where the run lies.

        Returns:
            This object.

        Raises:
            InputError: if the path cannot be a folder, holds a run with another config, or is in use.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise InputError(f"run folder {self.root}, which is a file", "a folder", "choose another path") from None
        held = lock.acquire(self.path("run.lock"))
        try:
            self.check_same(config, ignore)
            if not self.path("config.yaml").exists():
                configs.dump(config, self.path("config.yaml"))
            files.write_json(self.path("environment.json"), environment(getattr(config, "seed", None)))
        except BaseException:
            held.release()
            raise
        self._lock = held
        return self

    def close(self) -> None:
        """Lets another process use the folder; done by itself when the process ends."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def check_same(self, config: Any, ignore: tuple[str, ...] = ("out",)) -> None:
        """Compares a config with the folder's own; a folder without one, or none at all, fits any.

        A path is the file that it leads to from the working folder, however it is written.

        Args:
            config: as `create` takes it.
            ignore: likewise.

        Raises:
            InputError: if the folder holds a run with another config; nothing is written.
        """
        if not self.path("config.yaml").exists():
            return
        new, old = configs.to_dict(config), configs.read_yaml(self.path("config.yaml"))
        mine, theirs = new, old
        # An option that did not exist when the run was started, nested ones too, had what is its default now. Where the
        # file no longer makes a config, the keys that differ say why.
        with contextlib.suppress(InputError):
            before = configs.from_mapping(type(config), old)
            old = configs.to_dict(before)
            mine, theirs = (configs.to_dict(each, os.path.realpath) for each in (config, before))
        mine, theirs = (yaml.safe_load(yaml.safe_dump(each)) for each in (mine, theirs))
        keys = [key for key in {**theirs, **mine} if key not in ignore and theirs.get(key) != mine.get(key)]
        if keys:
            shown = "; ".join(f"{key}: {old.get(key)} there, {new.get(key)} now" for key in keys)
            raise InputError(
                f"run folder {self.root} with another config ({shown})",
                "the config it was started with, or a new folder",
                "give the same options or another --out",
            )

    def renew(self, config: Any, changed: tuple[str, ...]) -> None:
        """Writes down what a run is gone on with.

        Args:
            config: as `create` took it.
            changed: fields that may differ, as its `ignore`. All others stay as they are written: a path that means the
                same file from today's working folder need not do so from tomorrow's.
        """
        known = configs.read_yaml(self.path("config.yaml"))
        kept = {key: value for key, value in known.items() if key not in changed}
        configs.dump(configs.from_mapping(type(config), configs.to_dict(config) | kept), self.path("config.yaml"))

    def log(self, values: Mapping[str, Any]) -> None:
        """Adds one line to `metrics.jsonl`.

        Args:
            values: names and numbers; NaN and infinities are kept as null.
        """
        line = json.dumps(files.plain(values), ensure_ascii=False, allow_nan=False)
        with open(self.path("metrics.jsonl"), "a+b") as file:
            # A process killed while writing leaves half a line; the new one must not be glued to it.
            if file.seek(0, os.SEEK_END) and not _ends_line(file):
                file.write(b"\n")
            file.write(line.encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def metrics(self) -> list[dict[str, Any]]:
        """Everything logged so far.

        Returns:
            One dict a line, in order; lines that a killed process left half-written are skipped.
        """
        file = self.path("metrics.jsonl")
        if not file.exists():
            return []
        rows = []
        for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                row = json.loads(line)
            except json.JSONDecodeError:
                continue
            if isinstance(row, dict):
                rows.append(row)
        return rows

    def truncate(self, keep: Callable[[dict[str, Any]], bool]) -> None:
        """Drops lines of `metrics.jsonl`, such as those after the checkpoint a run resumes from.

        Args:
            keep: says of one line's dict whether it stays.
        """
        rows = [row for row in self.metrics() if keep(row)]
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        files.write_text(self.path("metrics.jsonl"), text)

    def read_state(self) -> dict[str, Any] | None:
        """Where the run stands.

        Returns:
            What `write_state` was last given; None for a new run.
        """
        file = self.path("state.json")
        if not file.exists():
            return None
        state: dict[str, Any] = files.read_json(file)
        return state

    def write_state(self, state: Mapping[str, Any]) -> None:
        """Keeps where the run stands, all or nothing.

        Args:
            state: anything JSON can hold.
        """
        files.write_json(self.path("state.json"), dict(state))

    @property
    def state(self) -> dict[str, Any] | None:
        """`read_state()`; assigning is `write_state`."""
        return self.read_state()

    @state.setter
    def state(self, value: Mapping[str, Any]) -> None:
        self.write_state(value)


def _ends_line(file: Any) -> bool:
    file.seek(-1, os.SEEK_END)
    return bool(file.read(1) == b"\n")


def environment(seed: int | None = None) -> dict[str, Any]:
    """What a run ran on, so that its numbers can be explained later.

    Args:
        seed: the run's seed, if it has one.

    Returns:
        Versions, machine, command line, git revision; no user names and no absolute paths of ours.
    """
    return {
        "command": [*_program(Path(sys.argv[0])), *sys.argv[1:]],
        "seed": seed,
        "package": _version(DISTRIBUTION),
        "git": git_revision(),
        "python": platform.python_version(),
        "libraries": {name: version for name in _LIBRARIES if (version := _version(name))},
        "keras_backend": os.environ.get("KERAS_BACKEND"),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
    }


def _program(started: Path) -> list[str]:
    """How the process was started, without folders: by its console script, or by `python -m` of a package."""
    return ["python", "-m", started.parent.name] if started.name == "__main__.py" else [started.name]


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def git_revision(folder: Path | None = None) -> str | None:
    """The commit of the code that runs.

    Args:
        folder: a folder inside the checkout; this package's when None.

    Returns:
        40 hexadecimal digits, with "+changes" when files differ from them; None outside a checkout.
    """
    where = folder or Path(__file__).resolve().parent
    try:
        head = _git(where, "rev-parse", "HEAD")
        # An installed copy may lie inside somebody else's checkout; only tracked files have a revision.
        _git(where, "ls-files", "--error-unmatch", ".")
        changed = _git(where, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return None
    return head + ("+changes" if changed else "")


def _git(where: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(where), *arguments], capture_output=True, text=True, timeout=10, check=True)
    return done.stdout.strip()
