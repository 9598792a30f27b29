"""What a compiled classification file holds, in numbers."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from data_tools.label_schema import ATTRIBUTE_TYPES
from data_tools.label_store import LabelStore
from data_tools.stats import spread


def describe(store: LabelStore) -> dict[str, Any]:
    """Everything `inspect` shows of a classification file.

    Args:
        store: the open file.

    Returns:
        path, kind, source, content, input_shape, class_names, tasks and `splits`; of each split `images`, `share` of
        all images, `classes` (images by class), `shares` (the same as fractions of the split), `tasks` (images by class
        for each other task), `spread` of the measured attributes, and `original_sizes` ("WxH": images).

    Source: the shares are those of paper 001's Tables 1 and 2, the counts those of paper 002's Fig. 1.
    """
    total = sum(len(store[name]) for name in store.splits)
    return {
        "path": str(store.path),
        "kind": store.kind,
        "source": store.source,
        "content": store.content,
        "input_shape": list(store.input_shape),
        "class_names": list(store.class_names),
        "tasks": list(store.tasks),
        "splits": {name: _describe_split(store, name, total) for name in store.splits},
    }


def class_counts(store: LabelStore, split: str, task: str = "type") -> dict[str, int]:
    """Images of a split by class of a task, in the classes' order."""
    chosen = store.task(task)
    return dict(zip(chosen.class_names, chosen.counts(split).tolist(), strict=True))


def _describe_split(store: LabelStore, name: str, total: int) -> dict[str, Any]:
    view = store[name]
    counts = class_counts(store, name)
    sizes = np.empty((0, 2), np.int32) if view.original_size is None else view.original_size
    return {
        "images": len(view),
        "share": len(view) / max(total, 1),
        "classes": counts,
        "shares": {key: count / max(len(view), 1) for key, count in counts.items()},
        "tasks": {task: class_counts(store, name, task) for task in store.tasks if task != "type"},
        "spread": {key: spread(values) for key, values in view.columns.items() if ATTRIBUTE_TYPES[key] == "float32"},
        "original_sizes": dict(Counter(f"{w}x{h}" for h, w in sizes.tolist()).most_common()),
    }
