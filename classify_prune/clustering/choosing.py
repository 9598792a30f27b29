"""Which features are clustered: those that a genetic algorithm or their correlations choose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from classify_prune.clustering import correlation, fitness, naming
from classify_prune.clustering.fuzzy import FuzzyCMeans, hardened
from classify_prune.clustering.genetic import GeneticConfig, GeneticSelection
from run_tools.errors import InputError

if TYPE_CHECKING:
    from classify_prune.clustering.verb import Vectors
    from classify_prune.options import ClusterConfig


@dataclass(frozen=True, eq=False)
class Choice:
    """Features chosen.

    Attributes:
        chosen: bool (features,).
        told: `by` (what chose), `features` and `of` (how many of how many); of a genetic search also `fitness`, `first`
            (the best fitness of the random generation), `generations`, `history` (`GeneticSelection.history_`) and
            `silhouette`: in the chosen features, of all training vectors, None where one cluster holds them all.
    """

    chosen: np.ndarray
    told: dict[str, Any]


def choose(options: ClusterConfig, data: Vectors, clusters: int) -> Choice | None:
    """The features that a `ClusterConfig` asks for, chosen on the training vectors.

    Args:
        options: of the clustering.
        data: its vectors.
        clusters: how many are looked for.

    Returns:
        None: all of them.

    Raises:
        InputError: for two ways at once, and as `GeneticSelection.fit`.
    """
    if options.genetic is not None and options.correlation is not None:
        raise InputError("--genetic and --correlation", "one of them", "choose one")
    if options.genetic is not None:
        return _genetic(options, options.genetic, data, clusters)
    if options.correlation is not None:
        return by_correlation(options.correlation, data, options.most_correlated)
    return None


def by_correlation(how: str, data: Vectors, most: float) -> Choice:
    """The features of "cfs" or "decorrelated".

    Args:
        how: which.
        data: its training vectors.
        most: |r| of two features, for "decorrelated".
    """
    labels, among = data.labels["train"], correlation.correlations(data.train)
    if how == "cfs":
        count = len(data.task.class_names)
        chosen = correlation.cfs(among, correlation.with_classes(data.train, labels, count))
    else:
        chosen = correlation.decorrelated(among, data.train.var(axis=0, dtype=np.float64), most)
        how = f"correlation, none above {most:g}"
    return Choice(chosen, {"by": how, "features": int(chosen.sum()), "of": len(chosen)})


def _genetic(options: ClusterConfig, search: GeneticConfig, data: Vectors, clusters: int) -> Choice:
    def make() -> FuzzyCMeans:
        return FuzzyCMeans(
            clusters, options.fuzziness[0], search.iterations, options.tolerance, options.start, search.seed
        )

    kept = [data.digest, data.task.name, options.classes, options.scale, options.components, clusters]
    kept += [options.fuzziness[0], options.tolerance, options.start]
    found = GeneticSelection(search, options.genetic_out, " ".join(map(str, kept))).fit(
        measure(search, make, data), data.train.shape[1]
    )
    memberships = make().fit(data.train[:, found.chosen_]).memberships_
    whole = naming.silhouette(data.train[:, found.chosen_], hardened(memberships), None, 0)
    return Choice(
        found.chosen_,
        {
            "by": f"genetic {search.fitness}", "features": int(found.chosen_.sum()), "of": len(found.chosen_),
            "fitness": found.fitness_, "first": found.history_[0]["best"], "generations": search.generations,
            "population": search.population, "history": found.history_, "silhouette": whole,
        },
    )  # fmt: skip


def measure(search: GeneticConfig, make: Any, data: Vectors) -> Any:
    """The fitness of a search.

    Args:
        search: its options.
        make: a new clustering, for the silhouette.
        data: its training vectors.

    Returns:
        From features chosen to a number.
    """
    if search.fitness == "silhouette":
        return fitness.Silhouette(data.train, make, search.sample, search.seed)
    kind = {"centroid": fitness.Centroid, "probe": fitness.Probe}[search.fitness]
    return kind(data.train, data.labels["train"], len(data.task.class_names), search.seed)
