"""Feature vectors for the papers that start from them: those of the data, or what a backbone makes of its images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from run_tools.config import option
from run_tools.errors import InputError
from run_tools.files import parse_size

FEATURES = "features.h5"


@dataclass(frozen=True)
class VectorSettings:
    """What a paper of feature vectors can be told about images; where the data are vectors, nothing of it is used."""

    stored: str | None = option(None, help="size to which images of a folder are compiled; default: as they are")
    backbone: Literal["resnet50", "squeezenet"] = option("resnet50", help="makes vectors, where the data are images")
    feature_weights: Path | None = option(None, help="its weights file; default: resnet50's, which Keras downloads")
    feature_input: str | None = option(None, help="size to which images are resized for it, WxH; default: as stored")


def vectors_of(data: Path, out: Path, settings: VectorSettings) -> Path:
    """The file of feature vectors: the data, or what the backbone makes of its images, in `OUT/features.h5`.

    Args:
        data: compiled file of images or feature vectors.
        out: folder of the run.
        settings: of the paper.

    Raises:
        InputError: for a backbone without its weights.
    """
    # Here, for options load no Keras.
    from data_tools import backbones, features
    from data_tools.store import open_store

    store: Any = open_store(data, "classification")
    if store.content == "features":
        return data
    made = out / FEATURES
    if not made.is_file():
        if settings.backbone != "resnet50" and settings.feature_weights is None:
            raise InputError(
                f"{data}, which holds images, and --backbone {settings.backbone} without --feature-weights",
                "a file of its ImageNet weights in Keras's layout, without the top",
                "add --feature-weights FILE, or use --backbone resnet50",
            )
        weights = None if settings.feature_weights is None else str(settings.feature_weights)
        size = None if settings.feature_input is None else parse_size(settings.feature_input)
        features.extract(data, made, backbones.Backbone(settings.backbone, weights, size), progress=False)
    return made


def told_of(file: Path, store: Any) -> dict[str, Any]:
    """What a report says of a file of vectors that is open: `{"file", "width", "made_by"}`."""
    made_by = str(store.attributes.get("backbone", "given"))
    return {"file": str(file), "width": store.input_shape[0], "made_by": made_by}
