"""Paper 004 run again: learning rates, base model, and the curves of the published merge and of correct ones."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from classify_prune.loading import load_classifier
from classify_prune.papers import turns as turning
from classify_prune.papers.base import base_config
from classify_prune.papers.curves import DRAWS, Curves, Method
from classify_prune.papers.paper004 import published
from classify_prune.papers.paper004.settings import Settings
from classify_prune.pruning import tuning
from classify_prune.recipe import TrainConfig
from data_tools.store import open_store
from prune_tools import cost
from run_tools.errors import InputError
from run_tools.folder import RunFolder

LAYER = "dense_1"
CHARTED = ("epoch", "accuracy", "val_accuracy", "loss", "val_loss")


def methods(settings: Settings) -> dict[str, Method]:
    """The published way, and what it lacks."""
    found = {published.MERGE: Method("most_parallel", "incoming", "none")}
    if settings.extra:
        found["outgoing"] = Method("most_similar", "outgoing", "none")
        # Centred, and either sign: what is left of a unit is then a multiple of another one and a constant.
        found["project"] = Method("most_parallel", "project", "mean")
        found["least squares"] = Method("most_parallel", "least_squares", "mean")
        found["random"] = Method("random", "delete")
    return found


def run(data: Path, out: Path, settings: Settings) -> dict[str, Any]:
    """Everything, seed by seed; what is done is read back.

    Args:
        data: compiled file of images.
        out: folder; each seed has one of its own in it.
        settings: of the paper.

    Returns:
        `{"task", "classes": how many of its first ones, None: all, "tested": test images of its classes, "histograms":
        {split: {class: images}}, "seeds": {seed: see `one`}, "turns": {method: see `turns.turn`}}`; the split "all" is
        all of them together.

    Raises:
        InputError: for data or settings that do not fit.
    """
    store: Any = open_store(data, "classification")
    if store.content != "images":
        raise InputError(f"{data}, which holds features", "images", "give the images that they were made of")
    name = "vehicle" if "vehicle" in store.tasks else "type"
    classes = min(settings.classes, len(store.task(name).class_names)) if name == "vehicle" else None
    task = store.task(name, classes)
    counts = {split: task.counts(split) for split in store.splits}
    histograms = {"all": sum(counts.values()), **counts}
    seeds = {str(seed): one(data, out / f"seed-{seed}", settings, seed, name, classes) for seed in settings.seeds}
    units = settings.widths[-1]
    per_unit = next(iter(seeds.values()))["per_unit"]
    return {
        "task": name,
        "classes": classes,
        "tested": int(counts["test"].sum()),
        "histograms": {
            split: dict(zip(task.class_names, count.tolist(), strict=True)) for split, count in histograms.items()
        },
        "seeds": seeds,
        "turns": turning.turns(seeds, methods(settings), units, per_unit, settings.samples),
    }


def one(data: Path, out: Path, settings: Settings, seed: int, task: str, classes: int | None) -> dict[str, Any]:
    """One seed.

    Returns:
        `{"rates": {rate: see `tuning.tuned`}, "base": likewise, "training": rows of `CHARTED`, "per_unit":
        multiply-adds that a unit costs, "macs"}` and what `Curves.all` returns.
    """
    config = base_config(
        settings,
        data=data,
        out=out / f"rate-{settings.learning_rate:g}",
        task=task,
        classes=classes,
        network="lenet5",
        input="32x32",
        images_every=50,
        seed=seed,
    )
    judge = tuning.Judge(data, task=task, classes=classes)
    rates = {}
    for rate in dict.fromkeys((*settings.rates, settings.learning_rate)):
        print(f"{out.name}: learning rate {rate:g}", flush=True)
        chosen = dataclasses.replace(config, out=out / f"rate-{rate:g}", learning_rate=rate)
        tuned = tuning.tuned(chosen, judge, kept=out / DRAWS)
        rates[f"{rate:g}"] = tuned | {"best_val": max(row["val_accuracy"] for row in log(chosen))}
    model = load_classifier(config.out)
    retraining = dataclasses.replace(config, out=out, epochs=settings.tune_epochs, patience=settings.tune_patience)
    made = Curves(config, retraining, LAYER, settings.patterns)
    layer = model.get_layer(LAYER)
    return {
        "rates": rates,
        "base": rates[f"{settings.learning_rate:g}"],
        "training": [{key: row[key] for key in CHARTED if key in row} for row in log(config)],
        # Its row in, and its row out.
        "per_unit": (layer.kernel.shape[0] + model.num_classes),
        "macs": cost.flops(model, "macs"),
        **made.all(model, methods(settings), settings.stride, settings.control),
    }


def log(config: TrainConfig) -> list[dict[str, Any]]:
    """The epochs of a training."""
    return [row for row in RunFolder(config.out).metrics() if "val_accuracy" in row]
