"""Paper 003 in the summary: the detector's, run by `yolo-prune paper003`, of which only its JSON file is read here.

Source: paper 003, Table 2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NUMBER = "003"
TITLE = "YOLOv2 retrained on KITTI"
RESULT = "paper003.json"
"""In the folder of `yolo-prune paper003 --out`."""
SHOWN = "car"
"""The class told of: the only one with a number in each of the paper's rows and enough boxes for ours."""


def common(found: Mapping[str, Any]) -> dict[str, Any]:
    """What stands beside each of its claims: as for the other papers, and `note`, what the training began from."""
    data, _, split = found["data"].partition(", split ")
    return {
        "paper": NUMBER,
        "title": TITLE,
        "quick": found["quick"],
        "data": data,
        "content": "images",
        "tested": found["images"][split],
        "seeds": 1,
        "note": f"begun from {found['source']}",
    }


def claims(found: Mapping[str, Any]) -> list[dict[str, str]]:
    """`[{"claim", "published", "ours"}]`, precision / recall of cars by the paper's metric, before and after each of
    its recipes."""
    published, ours = found["paper"], found["rows"]
    before, *recipes = published
    rates = {title: ours[title] and ours[title]["paper"][SHOWN] for title in published}
    told = {
        "published": {title: _pair(*row[SHOWN]) for title, row in published.items()},
        "ours": {
            title: "not measured" if row is None else _pair(row["precision"], row["recall"])
            for title, row in rates.items()
        },
    }
    texts = {
        side: f"{row[before]} → " + ", ".join(f"{title} {row[title]}" for title in recipes)
        for side, row in told.items()
    }
    return [{"claim": "retraining on KITTI finds cars (precision / recall)", **texts}]


def _pair(*values: float | None) -> str:
    return " / ".join("–" if value is None else f"{value:.2f}".removeprefix("0") for value in values)
