"""Table 2 of paper 003: its numbers, ours by its metric, and ours by one-to-one matching.

Source: paper 003, Tables 1 and 2; `evaluation.paper` is its Algorithm 1.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from data_tools.kitti import KITTI_CLASSES
from data_tools.store import Store
from yolo_prune.class_map import ClassSet, lookup_of
from yolo_prune.decode import suppress
from yolo_prune.detector import YoloV2
from yolo_prune.evaluation import evaluate
from yolo_prune.evaluation.tables import aligned
from yolo_prune.predict import predictions, truths
from yolo_prune.records import Detections

SCORE = 0.7
SUPPRESSION = 0.45
COLUMNS = ("person", "cyclist", "car", "train", "truck")
NOT_TUNED = "not fine-tuned"
PAPER: dict[str, dict[str, tuple[float, float]]] = {
    # The name of the first row and two of its cells are lost in the text we have.
    NOT_TUNED: {"car": (0.44, 0.60), "train": (0.00, 0.00), "truck": (0.21, 1.00)},
    "COCO-FT": {
        "person": (0.70, 0.53),
        "cyclist": (0.20, 0.11),
        "car": (0.65, 0.82),
        "train": (1.00, 0.11),
        "truck": (1.00, 0.67),
    },
    "COCO-Full": {
        "person": (0.47, 0.33),
        "cyclist": (1.00, 0.23),
        "car": (0.70, 0.83),
        "train": (0.00, 0.00),
        "truck": (1.00, 0.23),
    },
    "KITTI-FT": {
        "person": (0.67, 0.18),
        "cyclist": (0.00, 0.00),
        "car": (0.97, 0.53),
        "train": (0.00, 0.00),
        "truck": (0.83, 0.36),
    },
}
"""Precision and recall by row and class, at score .7 and IoU .5."""

# Heads name the same things differently; Table 1 says which are one. Where the paper trained on KITTI's classes it does
# not say whether Van counts as car and Person_sitting as person; they do here, so that all rows have the same truth.
_COLUMN_OF = {name: column for column, names in {
    "person": ("person", "pedestrian", "person_sitting"),
    "cyclist": ("bicycle", "cyclist"),
    "car": ("car", "van"),
    "train": ("train", "tram"),
    "truck": ("truck",),
}.items() for name in names}  # fmt: skip


def class_columns() -> ClassSet:
    """KITTI's types as columns of the table; Misc and DontCare are none."""
    named = {name: _COLUMN_OF[name.lower()] for name in KITTI_CLASSES if name.lower() in _COLUMN_OF}
    return ClassSet("table2", COLUMNS, {name: COLUMNS.index(column) for name, column in named.items()})


def judge(model: YoloV2, store: Store, split: str) -> dict[str, Any]:
    """What one network's row holds.

    Args:
        model: a detector whose class names are COCO's, KITTI's or the merged ones.
        store: KITTI data.
        split: its name.

    Returns:
        `{"paper" and "one_to_one": {column: {"precision", "recall", "tp", "fp", "fn"}}, "coco": {"all" or column:
        {"AP50", ...}}, "truth": {column: true boxes}}`.

    Raises:
        InputError: for data without any of KITTI's classes.
    """
    true = truths(store, split, lookup_of(class_columns(), store))
    names = model.class_names or ()
    found = [as_columns(each, names) for each in predictions(model, store[split], progress=True)]
    counted = np.concatenate([truth.classes for truth in true])
    result = evaluate(true, found, COLUMNS, ("paper", "coco"), SCORE)
    result["truth"] = {name: int((counted == index).sum()) for index, name in enumerate(COLUMNS)}
    return result


def as_columns(found: Detections, names: Sequence[str]) -> Detections:
    """Detections of a head's classes as those of the table's columns.

    Classes without a column are left out. Where two of the head's classes share one, as car and van, the boxes suppress
    each other, so that an object called both is not found twice.

    Args:
        found: of one image.
        names: of the head's classes.

    Returns:
        Classes are indices into `COLUMNS`; by descending score.
    """
    columns = np.array([COLUMNS.index(_COLUMN_OF[name]) if name in _COLUMN_OF else -1 for name in names] or [-1])
    classes = columns[found.classes]
    kept = []
    for column in range(len(COLUMNS)):
        chosen = np.flatnonzero(classes == column)
        kept.append(chosen[suppress(found.boxes[chosen], found.scores[chosen], SUPPRESSION)])
    order = np.concatenate(kept)
    order = order[np.argsort(-found.scores[order], kind="stable")]
    return Detections(found.boxes[order], found.scores[order], classes[order])


def cells(rows: Mapping[str, Mapping[str, Any] | None]) -> tuple[list[str], list[list[str | None]]]:
    """The table's head and cells: for each row the paper's numbers, ours by its metric, ours one-to-one.

    Args:
        rows: title → what `judge` returned; None for a row that we do not have.

    Returns:
        `(head, cells)`; precision / recall as text, None where the paper's text has no number or we no row.
    """
    body: list[list[str | None]] = []
    for title, told in PAPER.items():
        body.append([title, "paper", *(_pair(*told[name]) if name in told else None for name in COLUMNS)])
        ours = rows.get(title)
        for label, metric in (("ours, its metric", "paper"), ("ours, one-to-one", "one_to_one")):
            values = [None if ours is None else _rates(ours[metric][name]) for name in COLUMNS]
            body.append([title, label, *values])
    return ["", f"precision / recall at score {SCORE:g}", *COLUMNS], body


def text(rows: Mapping[str, Mapping[str, Any] | None]) -> str:
    """The table for a terminal, with the number of true boxes below."""
    head, body = cells(rows)
    lines = [["-" if cell is None else cell for cell in row] for row in body]
    lines = [[("" if index % 3 else row[0]), *row[1:]] for index, row in enumerate(lines)]
    truth: Mapping[str, int] = next((row["truth"] for row in rows.values() if row is not None), {})
    lines.append(["", "true boxes, ours", *(str(truth.get(name, "-")) for name in COLUMNS)])
    return aligned(head, lines)


def _rates(rates: Mapping[str, float | None]) -> str:
    return _pair(rates["precision"], rates["recall"])


def _pair(precision: float | None, recall: float | None) -> str:
    return " / ".join("-" if value is None else f"{value:.2f}" for value in (precision, recall))
