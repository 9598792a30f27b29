"""Vehicle-type classifiers: train, judge, prune, cluster.

Names are imported when they are first used, so that `--help` does not load Keras.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from classify_prune.models import Classifier, lenet5, mlp, resnet18
    from classify_prune.recipe import TrainConfig
    from classify_prune.trainer import Trainer

_HOMES = {
    "Classifier": "models",
    "TrainConfig": "recipe",
    "Trainer": "trainer",
    "lenet5": "models",
    "mlp": "models",
    "resnet18": "models",
}

__all__ = ["Classifier", "TrainConfig", "Trainer", "lenet5", "mlp", "resnet18"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
