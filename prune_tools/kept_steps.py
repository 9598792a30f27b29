"""The steps of a loop on disk: rows as they come, and the weights of the last step and of the last good one."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import keras
import numpy as np

from run_tools import files
from run_tools.config import option
from run_tools.errors import InputError
from run_tools.folder import RunFolder


@dataclass(frozen=True)
class _Loop:
    """What a folder of steps was made with."""

    plan: str = option(help="the loop's arguments, as JSON")
    model: str = option(help="SHA-256 of the model that it began with")
    seed: int = option(0, help="of the loop")


class Kept:
    """Rows and weights of a loop, in a run folder or, without one, in memory.

    The weights say which step is done; rows of later ones are dropped, they will come again.

    Args:
        folder: None: memory.
        plan: what the steps depend on, plain values; `seed` among them.
        model: that the loop begins with.

    Attributes:
        rows: of the steps that are done.
    """

    def __init__(self, folder: str | Path | None, plan: Mapping[str, Any], model: keras.Model) -> None:
        self._folder = None if folder is None else RunFolder(folder)
        self._plan, self._model = plan, model
        self._memory: dict[bool, dict[str, np.ndarray]] = {}
        self.rows: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        if self._folder is not None:
            plan = json.dumps(files.plain(dict(self._plan)), sort_keys=True)
            self._folder.create(_Loop(plan=plan, model=fingerprint(self._model), seed=self._plan["seed"]))
            done, good = self._step(False), self._step(True)
            if good > done:  # cut off between the two files: the row and the weights of that step are there
                with files.atomic_path(self._file(False)) as temporary:
                    shutil.copyfile(self._file(True), temporary)
                done = good
            self._folder.truncate(lambda row: row.get("step", done + 1) <= done)
            self.rows = self._folder.metrics()
            if [row["step"] for row in self.rows] != list(range(done + 1)):
                found = f"{len(self.rows)} rows in {self._folder.path('metrics.jsonl')}"
                raise InputError(found, f"one for each of the steps 0 to {done}", "delete the folder and begin again")
        return self

    def __exit__(self, *_: object) -> None:
        if self._folder is not None:
            self._folder.close()

    def keep(self, row: Mapping[str, Any], arrays: Mapping[str, np.ndarray], good: bool) -> None:
        """Keeps a step.

        Args:
            row: plain values with the step's number, `step`.
            arrays: the weights.
            good: whether they are those that the loop should end with as far as is known.
        """
        arrays = {**arrays, "step": np.array(row["step"])}
        if self._folder is None:
            self._memory.update(dict.fromkeys((False, True) if good else (False,), arrays))
            return
        self._folder.log(row)
        for which in (True, False) if good else (False,):
            with files.atomic_path(self._file(which)) as temporary:
                np.savez(temporary, **arrays)  # type: ignore[arg-type]

    def arrays(self, good: bool = False) -> dict[str, np.ndarray]:
        """The weights of the last step, or of the last good one."""
        if self._folder is None:
            return self._memory[good]
        with np.load(self._file(good), allow_pickle=False) as archive:
            return dict(archive)

    def _step(self, good: bool) -> int:
        """Number of the step whose weights are in the file, −1 where there are none."""
        if not self._file(good).exists():
            return -1
        with np.load(self._file(good), allow_pickle=False) as archive:
            return int(archive["step"])

    def _file(self, good: bool) -> Path:
        return self._folder.path("good.npz" if good else "last.npz")  # type: ignore[union-attr]


def fingerprint(model: keras.Model) -> str:
    """SHA-256 of a model's weights and their shapes, 64 hexadecimal digits."""
    digest = hashlib.sha256()
    for variable in model.weights:
        values = np.ascontiguousarray(keras.ops.convert_to_numpy(variable))
        digest.update(f"{values.shape} {values.dtype}".encode())
        digest.update(values.tobytes())
    return digest.hexdigest()
