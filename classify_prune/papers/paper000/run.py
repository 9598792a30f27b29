"""Paper 000 run again: its two tables, every merge rule, both methods at equal cost, and why 10° hurts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from classify_prune.papers.paper000.settings import Settings
from classify_prune.papers.paper000.study import Study


def run(data: Path, out: Path, settings: Settings) -> dict[str, Any]:
    """Everything, seed by seed; trainings and parts that are done are read back.

    Args:
        data: compiled file of images.
        out: folder; each seed has one of its own in it.
        settings: of the paper.

    Returns:
        `{"seeds": {seed: what `one` returned}, "claims"}`.

    Raises:
        InputError: for data or settings that do not fit.
    """
    found = {}
    for seed in settings.seeds:
        found[str(seed)] = one(Study(data, out / f"seed-{seed}", settings, seed))
    return {"seeds": found}


def one(study: Study) -> dict[str, Any]:
    """One seed.

    Returns:
        `{"base", "dense", "magnitude": {percent: judged}}`, judged as `tuning.tuned` returns it; dense is the base
        model after the same further training as the pruned ones.
    """
    settings = study.settings
    found: dict[str, Any] = {"base": study.base()}
    found["dense"] = study.tuned("dense", study.copy)
    found["magnitude"] = {
        f"{100 * level:g}": study.masked(f"magnitude-{100 * level:g}", level) for level in settings.sparsity
    }
    return found
