"""Paper 001 run again: base model, curves of every method, and where each one turns."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from classify_prune.loading import load_classifier
from classify_prune.models import Classifier
from classify_prune.papers import turns as turning
from classify_prune.papers.base import base_config
from classify_prune.papers.curves import Curves, Method
from classify_prune.papers.paper001.settings import Settings
from classify_prune.papers.vectors import told_of, vectors_of
from classify_prune.pruning import tuning
from data_tools.store import open_store
from prune_tools import cost, distinctiveness, statistics

LAYER = "dense_1"
SIMILAR, COMPLEMENTARY = "most similar", "similar + complementary"
LEAST_SQUARES = "most similar, least squares"


def batch_name(size: int) -> str:
    """Name of the batch removal that leaves one of a set."""
    return f"{size - 1} of {size} most similar"


def methods(settings: Settings) -> dict[str, Method]:
    """The paper's three methods, larger sets, and what it lacks."""
    centre = settings.centre
    found = {
        SIMILAR: Method("most_similar", "outgoing", centre),
        COMPLEMENTARY: Method("similar_complementary", "outgoing", centre, 2),
    }
    for size in settings.sets:
        found[batch_name(size)] = Method("batch", "outgoing", centre, size - 1, {"batch": size})
    if settings.extra:
        found[LEAST_SQUARES] = Method("most_similar", "least_squares", centre)
        found["random"] = Method("random", "delete", centre)
    return found


def run(data: Path, out: Path, settings: Settings) -> dict[str, Any]:
    """Everything, seed by seed; what is done is read back.

    Args:
        data: compiled file of images or feature vectors.
        out: folder; each seed has one of its own in it.
        settings: of the paper.

    Returns:
        `{"vectors": {"file", "width", "made_by"}, "splits": {split: vectors}, "shares": {class: [share of each split]},
        "seeds": {seed: see `one`}, "flops": of the base model as the paper counts, "turns": {method: see
        `turns.turn`}}`.

    Raises:
        InputError: for data or settings that do not fit.
    """
    file = vectors_of(data, out, settings)
    store: Any = open_store(file, "classification")
    task = store.task(settings.task)
    counts = {split: task.counts(split) for split in store.splits}
    seeds = {str(seed): one(file, out / f"seed-{seed}", settings, seed) for seed in settings.seeds}
    flops = next(iter(seeds.values()))["flops"]
    per_unit = flops / settings.hidden
    return {
        "vectors": told_of(file, store),
        "splits": {split: int(count.sum()) for split, count in counts.items()},
        "shares": {
            name: [float(count[i] / count.sum()) for count in counts.values()]
            for i, name in enumerate(task.class_names)
        },
        "seeds": seeds,
        "flops": flops,
        "turns": turning.turns(seeds, methods(settings), settings.hidden, per_unit, settings.samples),
    }


def one(data: Path, out: Path, settings: Settings, seed: int) -> dict[str, Any]:
    """One seed.

    Returns:
        `{"base": see `tuning.tuned`, "flops", "angles": see `angles`}` and what `Curves.all` returns.
    """
    config = base_config(
        settings,
        data=data,
        out=out / "base",
        network="mlp",
        widths=(settings.hidden,),
        # Checkpoints and pictures of every epoch would take longer than the epochs.
        save_every=10,
        images_every=100,
        seed=seed,
    )
    base = tuning.tuned(config, tuning.Judge(data, task=settings.task, batch_size=settings.batch_size))
    model = load_classifier(config.out)
    retraining = dataclasses.replace(
        config,
        out=out,
        epochs=settings.tune_epochs,
        patience=settings.tune_patience,
        learning_rate=settings.tune_rate,
    )
    made = Curves(config, retraining, LAYER, settings.patterns)
    return {
        "base": base,
        "flops": cost.flops(model, "paper001"),
        "angles": angles(model, made.seen, settings.centre),
        **made.all(model, methods(settings), settings.stride, settings.control),
    }


def angles(model: Classifier, vectors: np.ndarray, centre: str) -> dict[str, Any]:
    """How alike the base model's units are.

    Returns:
        `{"smallest", "largest" (degrees), "below": pairs under 15°, "above": pairs over 165°, "constant": units without
        an angle}`.
    """
    gram = statistics.collect(model, vectors, batch_size=1024)[LAYER]
    found = distinctiveness.angles(gram.gram, gram.sums, gram.count, centre)
    pairs = found[np.triu_indices(len(found), 1)]
    pairs = pairs[~np.isnan(pairs)]
    return {
        "smallest": float(pairs.min(initial=180.0)),
        "largest": float(pairs.max(initial=0.0)),
        "below": int((pairs < 15).sum()),
        "above": int((pairs > 165).sum()),
        "constant": int(np.isnan(np.diag(found)).sum()),
    }
