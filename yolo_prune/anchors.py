"""Published anchor sets, in grid cells of 32 pixels, (width, height) each.

Source: `cfg/yolov2.cfg`, `cfg/yolov2-voc.cfg` and `cfg/yolov2-tiny-voc.cfg` of darknet. Anchors for a data set of your
own come from `data_tools.anchors.kmeans`.
"""

from collections.abc import Sequence

import numpy as np

from run_tools.errors import InputError

PRESETS: dict[str, tuple[tuple[float, float], ...]] = {
    "coco": (
        (0.57273, 0.677385),
        (1.87446, 2.06253),
        (3.33843, 5.47434),
        (7.88282, 3.52778),
        (9.77052, 9.16828),
    ),
    "voc": (
        (1.3221, 1.73145),
        (3.19275, 4.00944),
        (5.05587, 8.09892),
        (9.47112, 4.84053),
        (11.2364, 10.0071),
    ),
    "tiny-voc": ((1.08, 1.19), (3.42, 4.41), (6.63, 11.38), (9.42, 5.11), (16.62, 10.52)),
}


def as_anchors(anchors: str | Sequence[Sequence[float]] | np.ndarray) -> tuple[tuple[float, float], ...]:
    """Anchors in any of the forms that users give them.

    Args:
        anchors: a preset's name, "w,h;w,h;...", or pairs, shape (k, 2), of positive numbers, in grid cells.

    Returns:
        (width, height) each, in grid cells, in the order given.

    Raises:
        InputError: for an unknown name, an empty list, or a pair that is not two positive finite numbers.
    """
    if isinstance(anchors, str) and "," not in anchors:
        if anchors not in PRESETS:
            raise InputError(
                f"anchors {anchors!r}", f"one of {', '.join(PRESETS)}, or pairs w,h;w,h", "see yolo_prune.anchors"
            )
        return PRESETS[anchors]
    try:
        pairs = [pair.split(",") for pair in anchors.split(";")] if isinstance(anchors, str) else anchors
        array = np.asarray(pairs, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"anchors {anchors!r}", "pairs of numbers, w,h;w,h", "give two numbers an anchor") from None
    if array.ndim != 2 or array.shape[1] != 2 or not len(array) or not np.all(np.isfinite(array) & (array > 0)):
        raise InputError(
            f"anchors of shape {array.shape}",
            "(k, 2) positive widths and heights in grid cells",
            "run data-tools anchors",
        )
    return tuple((float(width), float(height)) for width, height in array)
