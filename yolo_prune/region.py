"""Options of the region loss as part of a config; nothing here loads Keras."""

import math
from dataclasses import dataclass

from run_tools.errors import InputError


@dataclass(frozen=True)
class Region:
    """What darknet's `[region]` says of the loss; the defaults are those of yolov2.cfg. See `RegionLoss`.

    Attributes:
        object_scale: weight of the objectness of matched anchors, from 0 up.
        noobject_scale: weight of the objectness of all others, from 0 up.
        class_scale: weight of the classification, from 0 up.
        threshold: an unmatched anchor whose box has a larger IoU with a true box is not taught as background, 0–1.
        rescore: the objectness to be learnt is the IoU with the true box, else 1, as in yolov2-tiny.cfg.
        box_weighting: small boxes weigh more, by 2 − w·h.

    Source: darknet `region_layer.c` and `parser.c`; `coord_scale` is the option `box_scale` of a training.
    """

    object_scale: float = 5.0
    noobject_scale: float = 1.0
    class_scale: float = 1.0
    threshold: float = 0.6
    rescore: bool = True
    box_weighting: bool = True

    def __post_init__(self):
        scales = (self.object_scale, self.noobject_scale, self.class_scale)
        if not all(0 <= scale < math.inf for scale in scales) or not 0 <= self.threshold <= 1:
            raise InputError(
                f"object_scale {self.object_scale:g}, noobject_scale {self.noobject_scale:g}, class_scale "
                f"{self.class_scale:g}, threshold {self.threshold:g}",
                "scales from 0 up and a threshold in 0–1",
                "yolov2.cfg has 5, 1, 1 and .6",
            )
