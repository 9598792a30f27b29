"""Paper 000 run again: its two tables, every merge rule, both methods at equal cost, and why 10° hurts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from classify_prune.papers.paper000 import parts, why
from classify_prune.papers.paper000.settings import Settings
from classify_prune.papers.paper000.study import Study
from data_tools.store import open_store
from run_tools.errors import InputError


def run(data: Path, out: Path, settings: Settings) -> dict[str, Any]:
    """Everything, seed by seed; trainings and parts that are done are read back.

    Args:
        data: compiled file of images.
        out: folder; each seed has one of its own in it.
        settings: of the paper.

    Returns:
        `{"seeds": {seed: what `one` returned}}`.

    Raises:
        InputError: for data or settings that do not fit.
    """
    if open_store(data, "classification").content != "images":
        raise InputError(f"{data}, which holds features", "images", "give the images that they were made of")
    return {"seeds": {str(seed): one(Study(data, out / f"seed-{seed}", settings, seed)) for seed in settings.seeds}}


def one(study: Study) -> dict[str, Any]:
    """One seed.

    Returns:
        `{"base", "dense", "magnitude": {percent: judged}, "surgery": see `parts.surgery_grid`, "tuned": see
        `parts.thinned_and_tuned`, "equal": see `parts.equal_cost`, "why": see `why.explain`}`; judged is what
        `tuning.tuned` returns, dense the base model after the same further training as the pruned ones.
    """
    settings = study.settings
    found: dict[str, Any] = {"base": study.base(), "dense": study.tuned("dense", study.copy)}
    found["surgery"] = parts.surgery_grid(study)
    found["why"] = why.explain(study)
    found["magnitude"] = {
        f"{100 * level:g}": study.masked(f"magnitude-{100 * level:g}", level) for level in settings.sparsity
    }
    found["tuned"] = parts.thinned_and_tuned(study)
    found["equal"] = parts.equal_cost(study, found["tuned"])
    return found
