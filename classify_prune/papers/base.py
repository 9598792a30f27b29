"""The training of a paper's base model, from its settings."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from classify_prune.recipe import TrainConfig


def base_config(settings: Any, **own: Any) -> TrainConfig:
    """What settings and trainings call alike, and what a paper has of its own, which wins.

    Args:
        settings: the paper's `Settings`.
        **own: further fields of `TrainConfig`, data and out among them.
    """
    shared = {field.name for field in fields(TrainConfig)} & {field.name for field in fields(settings)}
    return TrainConfig(**{name: getattr(settings, name) for name in shared} | own)
