"""A file of images → a file of feature vectors, with the same labels, attributes and splits."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import numpy as np

from data_tools import label_verification
from data_tools.backbones import Backbone, check_size
from data_tools.formats import label_attributes
from data_tools.label_schema import ATTRIBUTE_TYPES, LABEL_TYPE
from data_tools.label_store import LabelStore, LabelView
from data_tools.layout import Plan
from data_tools.schema import LABEL_SCHEMA, fixed_text
from data_tools.store import open_store
from data_tools.store_writer import check_output, write_store
from run_tools.errors import InputError

CREATED_BY = "data-tools features"


class _Vectors:
    """Vectors one by one, made batch by batch: `write_store` asks for them in order."""

    def __init__(self, store: LabelStore, backbone: Backbone, batch_size: int) -> None:
        self._store, self._backbone, self._batch_size = store, backbone, batch_size
        self._batch: tuple[str, int] | None = None
        self._made = np.empty((0, backbone.width), np.float32)

    def __call__(self, split: str, index: int) -> np.ndarray:
        # Batches begin at fixed places, so that a resumed run makes the same ones.
        start = index - index % self._batch_size
        if self._batch != (split, start):
            rows = slice(start, start + self._batch_size)
            self._made, self._batch = self._backbone.vectors(self._store[split].images(rows)), (split, start)
        return self._made[index - start]


def extract(
    path: str | pathlib.Path, out: str | pathlib.Path, backbone: Backbone, batch_size: int = 32, progress: bool = True
) -> dict[str, Any]:
    """Write the vectors of a file's images; a killed run of the same call is resumed.

    Args:
        path: a classification file of images.
        out: the HDF5 file of vectors, replaced at the end where it exists.
        backbone: makes the vectors.
        batch_size: images that go through the network together.
        progress: show a bar.

    Returns:
        path, source, backbone, weights, feature_width, `input` (height and width), `resumed` and `splits` (vectors of
        each).

    Raises:
        InputError: the file holds no images, they are too small, or the output cannot be written.
    """
    store = open_store(path, "classification")
    if store.content != "images":
        raise InputError(f"{path}, which holds {store.content}", "a file of images", "use the file they were made of")
    out = pathlib.Path(out)
    if out.absolute() == store.path:
        raise InputError(f"{out} as input and output", "two files", "choose another name")
    check_output(out)
    if batch_size < 1:
        raise InputError(f"batch size {batch_size}", "at least 1", "raise it")
    size = check_size(backbone.name, backbone.input_size or (store.input_shape[0], store.input_shape[1]))
    # One worker: the network uses all processors by itself, and batches are asked for in order.
    resumed = write_store(
        out,
        _plan(store, backbone, size, batch_size),
        _Vectors(store, backbone, batch_size),
        workers=1,
        progress=progress,
        check=label_verification.check_contents,
    )
    return {
        "path": str(out),
        "source": store.source,
        "backbone": backbone.name,
        "weights": backbone.weights,
        "feature_width": backbone.width,
        "input": list(size),
        "resumed": resumed,
        "splits": {name: len(store[name]) for name in store.splits},
    }


def _plan(store: LabelStore, backbone: Backbone, size: tuple[int, int], batch_size: int) -> Plan:
    attributes: dict[str, object] = {
        "schema": LABEL_SCHEMA,
        "source": store.source,
        "class_names": json.dumps(list(store.class_names)),
        **label_attributes((backbone.width,)),
        "names": json.dumps({key: list(names) for key, names in store.names.items()}),
        "created_by": CREATED_BY,
        "backbone": backbone.name,
        "weights": backbone.weights,
        "input": np.array(size, np.int32),
        "images_digest": store.digest(),
    }
    attributes |= {key: store.attributes[key] for key in ("split", "seed") if key in store.attributes}
    columns = {name: _columns(store[name]) for name in store.splits}
    counts = {name: len(store[name]) for name in store.splits}
    return Plan(attributes, columns, counts, (backbone.width,), f"{store.digest()} batches of {batch_size}")


def _columns(view: LabelView) -> dict[str, np.ndarray]:
    """Labels, ids and attributes of a split as they were."""
    columns = {"labels": view.labels.astype(LABEL_TYPE), "ids": fixed_text(view.ids)}
    return columns | {name: values.astype(ATTRIBUTE_TYPES[name]) for name, values in view.columns.items()}
