"""darknet's `.cfg` and `.weights` files in and out, for networks of the YOLOv2 family.

Names are imported when they are first used, so that reading a cfg does not load Keras.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from yolo_prune.darknet.cfg import parse
    from yolo_prune.darknet.files import load, save
    from yolo_prune.darknet.layers import Reorg
    from yolo_prune.darknet.model import DarknetModel

_HOMES = {"DarknetModel": "model", "Reorg": "layers", "load": "files", "parse": "cfg", "save": "files"}

__all__ = ["DarknetModel", "Reorg", "load", "parse", "save"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
