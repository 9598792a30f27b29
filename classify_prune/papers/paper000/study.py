"""The networks of paper 000, one seed: base, masked, thinned, and each of them fine-tuned."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from classify_prune.loading import load_classifier
from classify_prune.models import Classifier
from classify_prune.papers.base import base_config
from classify_prune.papers.paper000.settings import Settings
from classify_prune.pruning import tuning
from prune_tools import cost, distinctiveness, masks
from prune_tools.graph import Graph, Group
from prune_tools.mask_set import Masks
from prune_tools.merge import Pairs
from prune_tools.statistics import Statistics


class Study:
    """Everything of one seed; nothing is computed before it is asked for.

    Args:
        data: compiled file.
        out: folder of this seed.
        settings: of the paper.
        seed: of all trainings.
    """

    def __init__(self, data: Path, out: Path, settings: Settings, seed: int) -> None:
        self.out, self.settings = out, settings
        self.judge = tuning.Judge(data, batch_size=settings.batch_size)
        self.base_config = base_config(
            settings,
            data=data,
            out=out / "base",
            network="resnet18",
            new_head=settings.weights is not None,
            monitor="val_accuracy",
            seed=seed,
        )

    def base(self) -> dict[str, Any]:
        """The base model, trained and judged; see `tuning.tuned`."""
        return tuning.tuned(self.base_config, self.judge)

    @cached_property
    def model(self) -> Classifier:
        """The base model's best checkpoint."""
        self.base()
        return load_classifier(self.base_config.out)

    @cached_property
    def statistics(self) -> Statistics:
        """Of the base model on training images."""
        return self.judge.statistics(self.model, self.settings.images, self.settings.positions)

    @cached_property
    def groups(self) -> dict[str, Group]:
        """Channel groups of the base model by the layer that names them, in the network's order."""
        return {group.name: group for group in Graph(self.model).groups if group.removable.all() and group.readers}

    @cached_property
    def angles(self) -> dict[str, np.ndarray]:
        """Degrees between the units of each group, over the patterns of the settings."""
        return self.angles_of(self.settings.pattern)

    def angles_of(self, pattern: str) -> dict[str, np.ndarray]:
        """Degrees between the units of each group, over images (means of the maps) or over positions."""
        found, settings = {}, self.settings
        measured = self.statistics
        if pattern == "image":
            measured = self.judge.statistics(self.model, settings.images, average=True)
        for name in self.groups:
            gram = measured[name]
            found[name] = distinctiveness.angles(gram.gram, gram.sums, gram.count, self.settings.centre)
        return found

    def pairs(self, below: float) -> dict[str, Pairs]:
        """What the threshold rule removes from each group: (removed, kept or None); constant units come first."""
        found = {
            name: distinctiveness.select(angles, "threshold", below=below, above=180.0)
            for name, angles in self.angles.items()
        }
        return {name: pairs for name, pairs in found.items() if pairs}

    def removed(self, below: float) -> dict[str, int]:
        """How many units go at a threshold, and of how many: `{"removed", "units"}`."""
        gone = sum(len(pairs) for pairs in self.pairs(below).values())
        return {"removed": gone, "units": sum(group.units for group in self.groups.values())}

    def thinned(self, below: float, merge: str) -> Classifier:
        """The base model without the units of `pairs`."""
        return tuning.remove(self.model, self.pairs(below), merge, self.statistics)

    def magnitude(self, sparsity: float) -> Masks:
        """Masks of so many of the convolutions' weights, all under one threshold."""
        return masks.global_magnitude(self.model, sparsity, "conv")

    def tuned(
        self,
        name: str,
        start: Callable[[], Classifier],
        held: Callable[[], Masks] | None = None,
    ) -> dict[str, Any]:
        """A network fine-tuned in the folder `name`, and judged; see `tuning.tuned`."""
        print(f"paper 000, seed {self.base_config.seed}: {name}", flush=True)
        settings = self.settings
        config = dataclasses.replace(
            self.base_config,
            out=self.out / name,
            weights=None,
            new_head=False,
            epochs=settings.tune_epochs,
            learning_rate=settings.tune_rate,
        )
        return tuning.tuned(config, self.judge, start, held)

    def copy(self) -> Classifier:
        """The base model again, to be trained on."""
        return load_classifier(self.base_config.out)

    def masked(self, name: str, sparsity: float) -> dict[str, Any]:
        """The base model with so many weights at zero, fine-tuned."""
        return self.tuned(name, self.copy, lambda: self.magnitude(sparsity))

    def sparsity_for(self, count: str, wanted: int) -> float:
        """The sparsity at which masked weights leave so much.

        Args:
            count: "nonzero", parameters that are not zero, or "macs_nonzero", multiply-adds with them.
            wanted: the number to reach, from above or below, as near as can be.

        Returns:
            A fraction in 0–1, found by halving: the counts fall as it rises.
        """
        low, high = 0.0, 1.0
        for _ in range(24):
            middle = (low + high) / 2
            if self._left(count, middle) > wanted:
                low = middle
            else:
                high = middle
        return high

    def _left(self, count: str, sparsity: float) -> int:
        made = self.magnitude(sparsity)
        if count == "nonzero":
            return self._summary["parameters"] - made.pruned
        kept = {row["name"]: row for row in self._summary["layers"]}
        gone = sum(kept[name]["macs"] * made.sparsity(name) for name in made)
        return round(self._summary["macs"] - gone)

    @cached_property
    def _summary(self) -> dict[str, Any]:
        return cost.summary(self.model)
