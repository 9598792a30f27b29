"""A genetic algorithm that chooses features, with a file a generation, so that a search that was cut off goes on.

Selection, crossover, mutation and survival are pymoo's (extra `cluster`). A generation depends on the one before, the
seed and its number alone: a search that goes on, or is made longer, ends as one that was never cut off.

Source: paper 002, section 3.3; Blank & Deb (2020), "pymoo: Multi-Objective Optimization in Python".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import yaml

from run_tools import config, files
from run_tools.arrays import read_npz
from run_tools.config import option
from run_tools.errors import InputError, unknown_name
from run_tools.folder import RunFolder
from run_tools.optional import require

EXTRA = "cluster"
LEAST = 2
"""Features that a choice has at least; fewer have no fitness and die out."""
FITNESSES = ("silhouette", "centroid", "probe")

Fitness = Callable[[np.ndarray], float]
"""From which features are chosen, bool (features,), to how good they are; larger is better."""


@dataclass(frozen=True)
class GeneticConfig:
    """Choose features by a genetic algorithm; population 10 and 2 generations are paper 002's."""

    fitness: Literal["silhouette", "centroid", "probe"] = option(
        "silhouette",
        help="silhouette of the clusters (no labels), or accuracy of the nearest centroid or of a linear probe on a "
        "quarter of the training vectors that is held out",
    )
    population: int = option(10, help="choices a generation", minimum=4)
    generations: int = option(2, help="after the first, which is random", minimum=1)
    share: float = option(0.5, help="of the features, chosen in the first generation", minimum=0.0, maximum=1.0)
    crossover: float = option(0.9, help="how often parents are crossed", minimum=0.0, maximum=1.0)
    mutation: float | None = option(None, help="how often a feature flips; default: 1 / features", minimum=0.0)
    sample: int = option(2000, help="training vectors drawn for the silhouette", minimum=10)
    iterations: int = option(5, help="of fuzzy c-means in the silhouette's fitness", minimum=1)
    seed: int = option(0, help="of everything random", minimum=0)

    @classmethod
    def parse(cls, text: str) -> GeneticConfig:
        """A fitness alone, such as "silhouette", or a mapping such as "{fitness: probe, generations: 40}"."""
        found = yaml.safe_load(text)
        if isinstance(found, dict):
            return config.from_mapping(cls, found, where="genetic")
        if found not in FITNESSES:
            raise unknown_name("fitness", str(found), FITNESSES)
        return config.from_mapping(cls, {"fitness": found})


@dataclass(frozen=True)
class _Kept:
    """What a search's folder is checked by: another search, or other data, is not gone on with."""

    data: str = option(help="what the fitness is computed from")
    features: int = option(help="how many there are")
    search: GeneticConfig = option(help="the search")


class GeneticSelection:
    """Features chosen by a genetic algorithm.

    Args:
        options: of the search.
        folder: where each generation is kept, and gone on from; None: nowhere.
        data: digest of what the fitness depends on besides `options`; a folder of other data is refused.

    Attributes:
        chosen_: bool (features,), the best choice of all.
        fitness_: its fitness.
        history_: a dict a generation: generation (0: the random one), best, mean, worst (of the finite ones), features
            (chosen by its best).
        evaluated_: how many choices were evaluated by this call; those of a folder are not evaluated again.

    Example:
        >>> search = GeneticSelection(GeneticConfig(population=30, generations=20)).fit(fitness, features=2048)
        >>> vectors[:, search.chosen_]
    """

    def __init__(self, options: GeneticConfig, folder: Path | None = None, data: str = ""):
        if options.mutation is not None and options.mutation > 1:
            raise InputError(f"mutation {options.mutation}", "a share in 0–1", "for example 0.01")
        self.options = options
        self.folder = None if folder is None else RunFolder(folder)
        self.data = data

    def fit(
        self, fitness: Fitness, features: int, shown: Callable[[dict[str, Any]], None] | None = None
    ) -> GeneticSelection:
        """Searches, or goes on searching.

        Args:
            fitness: of a choice.
            features: how many there are to choose from, at least 2.
            shown: called with each generation's entry of `history_`.

        Returns:
            This object.

        Raises:
            InputError: without the extra, for too few features, or a folder of another search.
        """
        if features < LEAST:
            raise InputError(f"{features} features", f"at least {LEAST}", "use longer vectors")
        breeding = _Breeding(self.options, features)
        self.evaluated_ = 0
        self.history_: list[dict[str, Any]] = []
        if self.folder is None:
            return self._run(fitness, breeding, shown)
        # More generations are the same search, only longer.
        with self.folder.create(_Kept(data=self.data, features=features, search=self._shortest()), ignore=()):
            return self._run(fitness, breeding, shown)

    def _shortest(self) -> GeneticConfig:
        return config.from_mapping(GeneticConfig, {**config.to_dict(self.options), "generations": 1})

    def _run(
        self, fitness: Fitness, breeding: _Breeding, shown: Callable[[dict[str, Any]], None] | None
    ) -> GeneticSelection:
        choices, values = self._read(0) or self._evaluated(breeding.first(), fitness)
        self._note(0, choices, values, shown)
        for number in range(1, self.options.generations + 1):
            found = self._read(number)
            if found is None:
                born, worth = self._evaluated(breeding.children(choices, values, number), fitness)
                found = breeding.survivors(np.concatenate([choices, born]), np.concatenate([values, worth]))
            choices, values = found
            self._note(number, choices, values, shown)
        # Survivors are sorted, and the best of one generation is among those of the next.
        best = int(values.argmax())
        self.chosen_, self.fitness_ = choices[best], float(values[best])
        return self

    def _evaluated(self, choices: np.ndarray, fitness: Fitness) -> tuple[np.ndarray, np.ndarray]:
        self.evaluated_ += len(choices)
        worth = [fitness(choice) if choice.sum() >= LEAST else -np.inf for choice in choices]
        return choices, np.array(worth, np.float64)

    def _read(self, number: int) -> tuple[np.ndarray, np.ndarray] | None:
        file = self._file(number)
        if file is None or not file.is_file():
            return None
        stored = read_npz(file)
        return stored["chosen"], stored["fitness"]

    def _file(self, number: int) -> Path | None:
        return None if self.folder is None else self.folder.path(f"generation-{number:04d}.npz")

    def _note(
        self,
        number: int,
        choices: np.ndarray,
        values: np.ndarray,
        shown: Callable[[dict[str, Any]], None] | None,
    ) -> None:
        finite = values[np.isfinite(values)]
        entry = {
            "generation": number, "best": float(values.max()), "mean": float(finite.mean()) if len(finite) else None,
            "worst": float(finite.min()) if len(finite) else None, "features": int(choices[values.argmax()].sum()),
        }  # fmt: skip
        self.history_.append(entry)
        file = self._file(number)
        if file is not None and not file.is_file():
            with files.atomic_path(file) as temporary:
                np.savez_compressed(temporary, chosen=choices, fitness=values)
        if shown is not None:
            shown(entry)


class _Breeding:
    """pymoo's binary operators on plain arrays: bool (choices, features) and float64 (choices,)."""

    def __init__(self, options: GeneticConfig, features: int):
        ga = require("pymoo.algorithms.soo.nonconvex.ga", EXTRA)
        problems = require("pymoo.core.problem", EXTRA)
        crossover = require("pymoo.operators.crossover.ux", EXTRA).UX(prob=options.crossover)
        flips = 1 / features if options.mutation is None else options.mutation
        mutation = require("pymoo.operators.mutation.bitflip", EXTRA).BFM(prob_var=flips)
        self.options, self.features = options, features
        self.problem = problems.Problem(n_var=features, n_obj=1, xl=0, xu=1, vtype=bool)
        self.algorithm = ga.GA(pop_size=options.population, crossover=crossover, mutation=mutation)
        self.population = require("pymoo.core.population", EXTRA).Population

    def first(self) -> np.ndarray:
        """The random generation."""
        rng = np.random.default_rng((self.options.seed, 0))
        drawn: np.ndarray = rng.random((self.options.population, self.features)) < self.options.share
        return drawn

    def children(self, choices: np.ndarray, values: np.ndarray, number: int) -> np.ndarray:
        """New choices, none of which is a parent; fewer, or none, where nearly all choices are there already."""
        rng = np.random.default_rng((self.options.seed, number))
        born = self.algorithm.mating.do(
            self.problem, self._as_pymoo(choices, values), self.options.population, random_state=rng
        )
        found: np.ndarray = np.array([child.X for child in born], bool).reshape(-1, self.features)
        return found

    def survivors(self, choices: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The fittest, best first."""
        left = self.algorithm.survival.do(
            self.problem, self._as_pymoo(choices, values), n_survive=self.options.population
        )
        return np.array([one.X for one in left], bool), np.array([-one.F[0] for one in left], np.float64)

    def _as_pymoo(self, choices: np.ndarray, values: np.ndarray) -> Any:
        # pymoo minimises; no constraint is violated.
        made = self.population.new(X=choices, F=-values[:, None])
        made.set("CV", np.zeros((len(choices), 1)))
        return made
