"""Raw data sets in, batches out.

Names are imported when they are first used, so that reading a folder of labels does not load Keras.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from data_tools.compiler import DataCompiler
    from data_tools.extractor import DataExtractor
    from data_tools.image_folder import ImageFolderExtractor
    from data_tools.kitti import KittiExtractor
    from data_tools.label_augment import LabelAugment
    from data_tools.label_extractor import LabelExtractor
    from data_tools.label_pipeline import label_batches
    from data_tools.pipeline import batches
    from data_tools.preprocess import FeatureScale, Preprocess
    from data_tools.records import Box, Sample
    from data_tools.store import open_store, verify
    from data_tools.vehiclex import VehicleXExtractor
    from data_tools.yad2k import Yad2kData

_HOMES = {
    "Box": "records",
    "DataCompiler": "compiler",
    "DataExtractor": "extractor",
    "FeatureScale": "preprocess",
    "ImageFolderExtractor": "image_folder",
    "KittiExtractor": "kitti",
    "LabelAugment": "label_augment",
    "LabelExtractor": "label_extractor",
    "Preprocess": "preprocess",
    "Sample": "records",
    "VehicleXExtractor": "vehiclex",
    "Yad2kData": "yad2k",
    "batches": "pipeline",
    "label_batches": "label_pipeline",
    "open_store": "store",
    "verify": "store",
}

__all__ = [
    "Box",
    "DataCompiler",
    "DataExtractor",
    "FeatureScale",
    "ImageFolderExtractor",
    "KittiExtractor",
    "LabelAugment",
    "LabelExtractor",
    "Preprocess",
    "Sample",
    "VehicleXExtractor",
    "Yad2kData",
    "batches",
    "label_batches",
    "open_store",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
