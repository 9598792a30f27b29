"""YOLOv2 on KITTI: train, judge, prune, export.

Names are imported when they are first used, so that `--help` does not load Keras.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from yolo_prune import darknet
    from yolo_prune.detector import YoloV2
    from yolo_prune.loss import RegionLoss
    from yolo_prune.recipe import Stage, TrainConfig
    from yolo_prune.trainer import Trainer

_HOMES = {
    "RegionLoss": "loss",
    "Stage": "recipe",
    "TrainConfig": "recipe",
    "Trainer": "trainer",
    "YoloV2": "detector",
}

__all__ = ["RegionLoss", "Stage", "TrainConfig", "Trainer", "YoloV2", "darknet"]


def __getattr__(name: str) -> Any:
    if name in ("YoloV2", "darknet"):
        # Registers every class that a saved model may name, so that Keras can load it.
        importlib.import_module(f"{__name__}.models")
    if name == "darknet":
        return importlib.import_module(f"{__name__}.darknet")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
