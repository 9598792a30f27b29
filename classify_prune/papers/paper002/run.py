"""Paper 002 run again: the pruned networks of Tables 3 and 4, the clusters of Tables 2, 5 and 6, chosen features."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from classify_prune.papers.paper002 import clusters
from classify_prune.papers.paper002.networks import Study
from classify_prune.papers.paper002.settings import Settings
from classify_prune.papers.vectors import told_of, vectors_of
from classify_prune.recipe import Task
from data_tools.store import open_store


def run(data: Path, out: Path, settings: Settings) -> dict[str, Any]:
    """Everything; trainings and parts that are done are read back.

    Args:
        data: compiled file of images or feature vectors.
        out: folder; each seed of the networks has one of its own in it.
        settings: of the paper.

    Returns:
        `{"seeds": {seed: what `networks.Study.all` returned}, "clusters": `clusters.tables`, "choices":
        `clusters.choices`, "baselines": `clusters.trivial`, "types": training share of each type in 0–1, "vectors":
        {"file", "width", "made_by"}, "identity": {"task", "classes"}}`.

    Raises:
        InputError: for data or settings that do not fit.
    """
    file = vectors_of(data, out, settings)
    store: Any = open_store(file, "classification")
    task: Task = "vehicle" if "vehicle" in store.tasks else "type"
    place = out / "clusters"

    def told(name: str) -> None:
        print(f"paper 002: {name}", flush=True)

    found: dict[str, Any] = {
        "vectors": told_of(file, store),
        "identity": {"task": task, "classes": len(store.task(task).class_names)},
        "types": counts(store),
        "clusters": clusters.tables(file, place, settings, told),
        "choices": clusters.choices(file, place, settings, told),
        "baselines": clusters.once(place / "baselines.json", lambda: clusters.trivial(file, settings, task), told),
    }
    found["seeds"] = {
        str(seed): Study(file, out / f"seed-{seed}", settings, task, seed).all() for seed in settings.seeds
    }
    return found


def counts(store: Any) -> dict[str, int]:
    """Test vectors of each type, as Fig. 3's first histogram counts them."""
    task = store.task("type")
    return {name: int(count) for name, count in zip(task.class_names, task.counts("test"), strict=True)}
