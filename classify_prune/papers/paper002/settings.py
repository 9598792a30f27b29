"""What paper 002's run can be told; nothing here loads Keras."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from classify_prune.papers.vectors import VectorSettings
from run_tools.config import check_filled, option
from run_tools.errors import InputError


@dataclass(frozen=True)
class Settings(VectorSettings):
    """Paper 002: a dense network for 1,362 vehicles pruned after every epoch; fuzzy c-means; genetic feature selection.

    Images are turned into feature vectors first. Defaults are the paper's where it says anything.
    """

    standardise: Literal["none", "standard", "minmax"] = option("minmax", help="of the vectors; the paper: unnamed")
    hidden: int | None = option(None, help="hidden units; default: half the input, as in the paper", minimum=2)
    epochs: int = option(100, help="of the base model and of every pruned one", minimum=2)
    long_epochs: int = option(500, help="of the longer base model", minimum=2)
    batch_size: int = option(100, help="vectors a step", minimum=1)
    learning_rate: float = option(0.01, help="of Adam", minimum=1e-12)
    amounts: tuple[float, ...] = option(
        (0.2, 0.3, 0.4, 0.5), help="pruned after every epoch, fractions", minimum=0.0, maximum=0.99
    )
    layers: Literal["hidden", "all"] = option("hidden", help="whose weights: the hidden layer's, or the output's too")
    structured: tuple[float, ...] = option(
        (0.2, 0.3, 0.4, 0.5, 0.9),
        help="fractions of the hidden units removed by distinctiveness",
        minimum=0.0,
        maximum=0.99,
    )
    tune_epochs: int = option(10, help="of training after units were removed", minimum=1)
    tune_rate: float = option(1e-3, help="learning rate of that", minimum=1e-12)
    fuzziness: tuple[float, ...] = option((1.7, 2.5, 3.5, 4.5, 5.5), help="m of Tables 5 and 6; the first is the main")
    iterations: tuple[int, ...] = option((5, 10, 15), help="of fuzzy c-means, Tables 2 and 5", minimum=1)
    search_iterations: int = option(10, help="of fuzzy c-means in chosen features", minimum=1)
    cluster_seeds: tuple[int, ...] = option((0, 1, 2), help="starts of each clustering", minimum=0)
    silhouette: int = option(5000, help="vectors drawn for the silhouettes of the tables; 0: all", minimum=0)
    population: int = option(40, help="of the longer genetic searches (the paper: 10)", minimum=4)
    generations: int = option(60, help="of the longer genetic searches (the paper: 2)", minimum=1)
    search_sample: int = option(2000, help="vectors drawn for the silhouette in a search", minimum=10)
    seeds: tuple[int, ...] = option((0,), help="the networks are trained once for each", minimum=0)

    def __post_init__(self) -> None:
        check_filled(self, "seeds", "amounts", "fuzziness", "iterations", "cluster_seeds")
        # Now, not after hours of making vectors.
        for number in self.fuzziness:
            if not 1 < number < math.inf:
                raise InputError(f"fuzziness {number:g}", "numbers above 1", "for example 1.7; 1 would be k-means")

    def quick(self) -> Settings:
        """For a few minutes on two cores: a tenth of the epochs, shorter searches, one seed."""
        return replace(
            self,
            epochs=min(self.epochs, 10),
            long_epochs=min(self.long_epochs, 30),
            structured=tuple(share for share in self.structured if share in (0.5, 0.9)) or self.structured[:1],
            tune_epochs=min(self.tune_epochs, 2),
            cluster_seeds=self.cluster_seeds[:2],
            silhouette=min(self.silhouette or 1000, 1000),
            population=min(self.population, 16),
            generations=min(self.generations, 12),
            search_sample=min(self.search_sample, 500),
            seeds=self.seeds[:1],
        )
