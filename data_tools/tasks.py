"""What is learnt from a classification file: which images take part, and the class of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from run_tools.errors import InputError, unknown_name

if TYPE_CHECKING:
    from data_tools.label_store import LabelStore

COLUMN_OF = {"vehicle": "vehicle_id", "colour": "colour", "camera": "camera"}
"""Attribute column of each task but "type"."""


@dataclass(frozen=True)
class Task:
    """Images and classes of one task.

    Attributes:
        name: "type", "vehicle", "colour" or "camera".
        class_names: of the classes, in their order, which is the same for every split.
        rows: for each split int64 (k,), the images that take part, rising.
        labels: for each split int32 (k,), their classes.
    """

    name: str
    class_names: tuple[str, ...]
    rows: Mapping[str, np.ndarray]
    labels: Mapping[str, np.ndarray]

    def counts(self, split: str) -> np.ndarray:
        """How many images of each class a split has, int64 (classes,)."""
        return np.bincount(self.labels[split], minlength=len(self.class_names))


def available(columns: Mapping[str, np.ndarray]) -> tuple[str, ...]:
    """Tasks that a file with these attribute columns offers, "type" first."""
    return ("type", *(name for name, column in COLUMN_OF.items() if column in columns))


def choose(store: LabelStore, name: str, classes: int | None) -> Task:
    """The task `name` of a store; see `LabelStore.task`."""
    if name not in store.tasks:
        known = (*COLUMN_OF, "type")
        if name not in known:
            raise unknown_name("task", name, known)
        raise InputError(
            f"task {name!r} for {store.path} without {COLUMN_OF[name]}",
            f"one of {', '.join(store.tasks)}",
            "choose one of them or compile data that has the attribute",
        )
    found, names = _labels(store, name)
    if classes is not None and not 1 <= classes <= len(names):
        raise InputError(
            f"{classes} classes of the task {name!r}", f"1 to {len(names)}, those of {store.path}", "ask for fewer"
        )
    kept = len(names) if classes is None else classes
    rows = {split: np.flatnonzero(labels < kept) for split, labels in found.items()}
    return Task(name, names[:kept], rows, {split: found[split][rows[split]] for split in found})


def _labels(store: LabelStore, name: str) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """Class of every image of each split, int32, and the classes' names."""
    if name == "type":
        return {split: store[split].labels for split in store.splits}, store.class_names
    values = {split: store[split].columns[COLUMN_OF[name]] for split in store.splits}
    if name in store.names:
        return {split: column.astype(np.int32) for split, column in values.items()}, store.names[name]
    present = np.unique(np.concatenate(list(values.values())))
    # Written as VehicleX writes them: vehicle 0001, camera c001.
    texts = tuple(f"{number:04d}" if name == "vehicle" else f"c{number:03d}" for number in present.tolist())
    return {split: np.searchsorted(present, column).astype(np.int32) for split, column in values.items()}, texts
