"""Raw data sets in, batches out.

Names are imported when they are first used, so that reading a folder of labels does not load Keras.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from data_tools.compiler import DataCompiler
    from data_tools.extractor import DataExtractor
    from data_tools.kitti import KittiExtractor
    from data_tools.pipeline import batches
    from data_tools.records import Box, Sample
    from data_tools.store import open_store, verify
    from data_tools.yad2k import Yad2kData

_HOMES = {
    "Box": "records",
    "DataCompiler": "compiler",
    "DataExtractor": "extractor",
    "KittiExtractor": "kitti",
    "Sample": "records",
    "Yad2kData": "yad2k",
    "batches": "pipeline",
    "open_store": "store",
    "verify": "store",
}

__all__ = [
    "Box",
    "DataCompiler",
    "DataExtractor",
    "KittiExtractor",
    "Sample",
    "Yad2kData",
    "batches",
    "open_store",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
