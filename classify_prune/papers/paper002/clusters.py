"""Paper 002's clusterings: iterations and fuzziness, what keeps centres apart, and features chosen beforehand."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from classify_prune.clustering import baselines, choosing
from classify_prune.clustering.choosing import Choice
from classify_prune.clustering.genetic import GeneticConfig
from classify_prune.clustering.verb import Vectors, cluster, clustered
from classify_prune.options import ClusterConfig
from classify_prune.papers.paper002.settings import Settings
from classify_prune.recipe import Task
from run_tools import files

PAPER = {"population": 10, "generations": 2}
APART: dict[str, Any] = {"fuzziness": (1.1,), "iterations": (50,), "scale": "length", "start": "kmeans++"}
"""A clustering whose centres stay apart in many dimensions."""
FEWEST = 50
"""Classes up to which a probe is a logistic regression; with more that takes hours."""

Progress = Callable[[str], None]


def config_of(data: Path, settings: Settings, **changes: Any) -> ClusterConfig:
    """The clustering of Tables 2, 5 and 6, of types, or another one."""
    common: dict[str, Any] = {
        "data": data, "task": "type", "fuzziness": settings.fuzziness, "iterations": settings.iterations,
        "seeds": settings.cluster_seeds, "scale": settings.standardise, "silhouette": settings.silhouette,
    }  # fmt: skip
    return ClusterConfig(**{**common, **changes})


def once(path: Path, make: Callable[[], dict[str, Any]], told: Progress) -> dict[str, Any]:
    """What a part found, made now or read from its file."""

    def made() -> dict[str, Any]:
        told(path.stem)
        return make()

    return files.once(path, made)


def tables(data: Path, out: Path, settings: Settings, told: Progress) -> dict[str, Any]:
    """`{"paper": Tables 2, 5 and 6, "apart": a clustering that does not collapse}`, each as the verb `cluster`."""
    return {
        "paper": once(out / "paper.json", lambda: cluster(config_of(data, settings)), told),
        "apart": once(out / "apart.json", lambda: cluster(config_of(data, settings, **APART)), told),
    }


def choices(data: Path, out: Path, settings: Settings, told: Progress) -> dict[str, dict[str, Any]]:
    """Clusters in chosen features, at the paper's main fuzziness.

    Returns:
        Way of choosing → result of `cluster`, whose `selection` says what was chosen.
    """
    config = config_of(data, settings, fuzziness=settings.fuzziness[:1], iterations=(settings.search_iterations,))
    loaded: list[Vectors] = []

    def vectors() -> Vectors:
        if not loaded:
            loaded.append(Vectors(config))
        return loaded[0]

    def genetic(name: str, **search: Any) -> dict[str, Any]:
        wanted = GeneticConfig(sample=settings.search_sample, iterations=min(settings.iterations), **search)
        options = dataclasses.replace(config, genetic=wanted, genetic_out=out / f"search-{name}")
        return chosen(choosing.choose(options, vectors(), len(vectors().task.class_names)))

    def chosen(choice: Choice | None) -> dict[str, Any]:
        return clustered(config, vectors(), choice)

    def at_random() -> dict[str, Any]:
        """As many features as the paper's search chose."""
        count = found["genetic, paper"]["selection"]["features"]
        width = vectors().train.shape[1]
        kept = np.zeros(width, bool)
        kept[np.random.default_rng(settings.cluster_seeds[0]).choice(width, count, replace=False)] = True
        return chosen(Choice(kept, {"by": "chance", "features": count, "of": width}))

    long = {"population": settings.population, "generations": settings.generations}
    ways: dict[str, Callable[[], dict[str, Any]]] = {
        "all features": lambda: chosen(None),
        "genetic, paper": lambda: genetic("paper", fitness="silhouette", **PAPER),
        "as many at random": at_random,
        "genetic, silhouette": lambda: genetic("silhouette", fitness="silhouette", **long),
        "genetic, nearest centroid": lambda: genetic("centroid", fitness="centroid", **long),
        "genetic, linear probe": lambda: genetic("probe", fitness="probe", **long),
        "correlation (CFS)": lambda: chosen(choosing.by_correlation("cfs", vectors(), 1.0)),
        "correlation (decorrelated)": lambda: chosen(choosing.by_correlation("decorrelated", vectors(), 0.5)),
    }
    found: dict[str, dict[str, Any]] = {}
    for name, make in ways.items():
        file = "features-" + name.replace(", ", "-").replace(" ", "-").replace("(", "").replace(")", "")
        found[name] = once(out / f"{file}.json", make, told)
    return found


def trivial(data: Path, settings: Settings, task: Task) -> dict[str, dict[str, float]]:
    """What simple rules reach in the task of the networks: name → accuracy on train, val and test."""
    splits = {split: Vectors(config_of(data, settings, task=task, split=split)) for split in ("val", "test")}
    train = splits["test"]
    labels, classes = train.labels["train"], len(train.task.class_names)
    vectors = {"train": train.train, **{split: found.judged for split, found in splits.items()}}
    truth = {"train": labels, **{split: found.labels[split] for split, found in splits.items()}}
    means, most = baselines.class_means(train.train, labels, classes), baselines.majority(labels, classes)
    ridge = baselines.Ridge(train.train, labels, classes)
    found = {
        "majority": {split: np.full(len(each), most) for split, each in vectors.items()},
        "nearest centroid": {split: baselines.nearest_mean(each, means) for split, each in vectors.items()},
        "linear probe": {split: ridge.answers(each) for split, each in vectors.items()},
    }
    if classes <= FEWEST:
        found["linear probe"] = {
            split: baselines.linear_probe(train.train, labels, each) for split, each in vectors.items()
        }
    return {
        name: {split: float((answers == truth[split]).mean()) for split, answers in each.items()}
        for name, each in found.items()
    }
