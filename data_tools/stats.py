"""What a compiled file holds, in numbers."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from data_tools.store import SplitView, Store

IGNORED = "DontCare"
PERCENTILES = (0, 10, 50, 90, 100)


def spread(values: np.ndarray) -> dict[str, float] | None:
    """Smallest, 10 %, median, 90 %, largest and mean; `None` without values."""
    if not len(values):
        return None
    found = {f"p{p}": float(v) for p, v in zip(PERCENTILES, np.percentile(values, PERCENTILES), strict=True)}
    return found | {"mean": float(values.mean())}


def sizes(view: SplitView, classes: tuple[int, ...] | None = None) -> np.ndarray:
    """Width and height of a split's boxes.

    Args:
        view: the split.
        classes: indices to keep; default: all but DontCare.

    Returns:
        float64 (k, 2), pixels of the stored image.
    """
    boxes = view.all_boxes[_kept(view, classes)].astype(np.float64)
    return boxes[:, 2:] - boxes[:, :2]


def classes(view: SplitView, only: tuple[int, ...] | None = None) -> np.ndarray:
    """Class of each of the boxes that `sizes` tells, in its order: int (k,)."""
    return view.all_classes[_kept(view, only)]


def _kept(view: SplitView, only: tuple[int, ...] | None) -> np.ndarray:
    return view.all_classes >= 0 if only is None else np.isin(view.all_classes, only)


def class_counts(view: SplitView, class_names: tuple[str, ...]) -> dict[str, int]:
    """Number of boxes of each class, DontCare last."""
    indices = np.where(view.all_classes < 0, len(class_names), view.all_classes)
    counts = np.bincount(indices, minlength=len(class_names) + 1).tolist()
    return dict(zip((*class_names, IGNORED), counts, strict=True))


def describe_split(view: SplitView, class_names: tuple[str, ...]) -> dict[str, Any]:
    """Counts and spreads of one split.

    Args:
        view: the split.
        class_names: class of each index.

    Returns:
        images, groups, `boxes` by class, `empty_images`, `boxes_per_image`, `width`, `height` and `aspect` (width over
        height) of the boxes in pixels of the stored image, `height_by_class`, `occluded` and `truncated` counts, and
        `original_sizes` ("WxH": images).
    """
    objects = view.all_classes >= 0
    wide, high = sizes(view).T
    per_image = np.diff(np.append(0, np.cumsum(objects))[view.offsets])
    truncated = view.all_truncated[objects]
    return {
        "images": len(view),
        "groups": len(set(view.groups)) if view.groups is not None else None,
        "boxes": class_counts(view, class_names),
        "empty_images": int((per_image == 0).sum()),
        "boxes_per_image": spread(per_image),
        "width": spread(wide),
        "height": spread(high),
        "aspect": spread(wide / high),
        "height_by_class": {name: spread(sizes(view, (i,))[:, 1]) for i, name in enumerate(class_names)},
        "occluded": {str(k): v for k, v in sorted(Counter(view.all_occluded[objects].tolist()).items())},
        "truncated": {
            "no": int((truncated == 0).sum()),
            "below half": int(((truncated > 0) & (truncated < 0.5)).sum()),
            "half or more": int((truncated >= 0.5).sum()),
            "unknown": int((truncated < 0).sum()),
        },
        "original_sizes": dict(Counter(f"{w}x{h}" for h, w in view.original_size.tolist()).most_common()),
    }


def describe(store: Store) -> dict[str, Any]:
    """Everything `inspect` shows of a file.

    Args:
        store: the open file.

    Returns:
        path, kind, source, image_size, class_names and `splits`: `describe_split` of each.
    """
    return {
        "path": str(store.path),
        "kind": store.kind,
        "source": store.source,
        "image_size": list(store.image_size),
        "class_names": list(store.class_names),
        "splits": {name: describe_split(store[name], store.class_names) for name in store.splits},
    }
