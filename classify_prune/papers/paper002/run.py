"""Paper 002 run again: the pruned networks of Tables 3 and 4, the clusters of Tables 2, 5 and 6, chosen features."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from classify_prune.papers.paper002 import clusters, published
from classify_prune.papers.paper002.networks import Study
from classify_prune.papers.paper002.settings import Settings
from classify_prune.recipe import Task
from data_tools import backbones, features
from data_tools.store import open_store
from run_tools import files

FEATURES = "features.h5"


def run(data: Path, out: Path, settings: Settings) -> dict[str, Any]:
    """Everything; trainings and parts that are done are read back.

    Args:
        data: compiled file of images or feature vectors.
        out: folder; each seed of the networks has one of its own in it.
        settings: of the paper.

    Returns:
        `{"seeds": {seed: what `networks.Study.all` returned}, "clusters": `clusters.tables`, "choices":
        `clusters.choices`, "baselines": `clusters.trivial`, "types": training share of each type in 0–1, "vectors":
        {"file", "width", "made_by"}, "identity": {"task", "classes"}, "claims"}`.

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
        "vectors": {
            "file": str(file), "width": store.input_shape[0], "made_by": str(store.attributes.get("backbone", "given")),
        },
        "identity": {"task": task, "classes": len(store.task(task).class_names)},
        "types": counts(store),
        "clusters": clusters.tables(file, place, settings, told),
        "choices": clusters.choices(file, place, settings, told),
        "baselines": clusters.once(place / "baselines.json", lambda: clusters.trivial(file, settings, task), told),
    }  # fmt: skip
    found["seeds"] = {
        str(seed): Study(file, out / f"seed-{seed}", settings, task, seed).all() for seed in settings.seeds
    }
    return {**found, "claims": claims(found, settings)}


def vectors_of(data: Path, out: Path, settings: Settings) -> Path:
    """The file of feature vectors: the data, or what the backbone makes of its images, in `OUT/features.h5`.

    Raises:
        InputError: for a backbone without its weights.
    """
    store: Any = open_store(data, "classification")
    if store.content == "features":
        return data
    made = out / FEATURES
    if not made.is_file():
        weights = None if settings.feature_weights is None else str(settings.feature_weights)
        size = None if settings.feature_input is None else files.parse_size(settings.feature_input)
        features.extract(data, made, backbones.Backbone(settings.backbone, weights, size), progress=False)
    return made


def counts(store: Any) -> dict[str, int]:
    """Test vectors of each type, as Fig. 3's first histogram counts them."""
    task = store.task("type")
    return {name: int(count) for name, count in zip(task.class_names, task.counts("test"), strict=True)}


def mean(values: list[float]) -> float:
    """Of numbers."""
    return sum(values) / len(values)


def claims(found: dict[str, Any], settings: Settings) -> list[dict[str, str]]:
    """The paper's claims beside what was found, for the table of all papers."""
    seeds, amount = list(found["seeds"].values()), f"{settings.amounts[0]:g}"
    base = mean([seed["base"][str(settings.epochs)]["test"]["accuracy"] for seed in seeds])
    ours = {
        reading: mean([seed["cumulative"][reading][amount]["test"]["accuracy"] for seed in seeds])
        for reading in ("of_total", "of_remaining", "random")
    }
    probe = found["baselines"]["linear probe"]["test"]
    plain, searched = (accuracy(found["choices"][name]) for name in ("all features", "genetic, paper"))
    types = found["choices"]["all features"]["baselines"]
    return [
        {
            "claim": "pruning a share of the weights after every epoch improves the network",
            "published": f"4.11 → {published.TABLE4['0.2'][2]} % test",
            "ours": f"{100 * base:.1f} → {100 * ours['of_total']:.1f} % ({amount} of all), "
            f"{100 * ours['of_remaining']:.1f} % ({amount} of what remains), {100 * ours['random']:.1f} % (at random); "
            f"a linear probe {100 * probe:.1f} %",
        },
        {
            "claim": "fuzzy c-means tells types apart, and better in features a genetic algorithm chose",
            "published": f"{published.TABLE5['10'][0]} → {published.GENETIC} % train",
            "ours": f"{100 * plain:.1f} → {100 * searched:.1f} % test; majority class "
            f"{100 * types['majority']['judged']:.1f} %, linear probe {100 * types['linear probe']['judged']:.1f} %",
        },
    ]


def accuracy(result: dict[str, Any]) -> float:
    """Test accuracy of a clustering by Hungarian names, mean over its rows."""
    return mean([row["judged"]["hungarian"] for row in result["rows"]])
