"""Parts of a seed's run, kept as they are done: all merge rules without fine-tuning, fine-tuned ones, equal cost."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import keras

from classify_prune.papers.paper000.study import Study
from prune_tools.merge import RULES
from run_tools import files


def kept(path: Path, keys: list[str], make: Callable[[str], dict[str, Any]]) -> dict[str, Any]:
    """What was made for each key, read from a JSON file or made now, and written after each.

    Args:
        path: the file.
        keys: what is wanted.
        make: from a key to its value.

    Returns:
        Key → value, in the order of `keys`.
    """
    done: dict[str, Any] = dict(files.read_json(path)) if path.is_file() else {}
    for key in keys:
        if key not in done:
            print(f"paper 000: {path.stem} {key}", flush=True)
            done[key] = make(key)
            files.write_json(path, done)
            keras.utils.clear_session()  # graphs of models that are gone would pile up
    return {key: done[key] for key in keys}


def surgery_grid(study: Study) -> dict[str, Any]:
    """Every merge rule at every threshold without fine-tuning.

    Returns:
        `{"angle rule": {"removed", "units", judged as it is, "recalibrated": judged with renewed batch-norm
        statistics}}`, angle as in "10".
    """

    def make(key: str) -> dict[str, Any]:
        angle, rule = key.split()
        model = study.thinned(float(angle), rule)
        found = study.removed(float(angle)) | study.judge.judge(model)
        study.judge.recalibrate(model, study.settings.recalibrate)
        again = study.judge.judge(model)
        return found | {"recalibrated": {split: again[split] for split in study.judge.splits}}

    keys = [f"{angle:g} {rule}" for angle in study.settings.angles for rule in RULES]
    return kept(study.out / "surgery.json", keys, make)


def thinned_and_tuned(study: Study) -> dict[str, Any]:
    """Fine-tuned after units went: `{"angle rule": judged with "removed" and "units"}`.

    A threshold under which no pair lies leaves the base model: its fine-tuning is the dense control's.
    """
    settings = study.settings
    wanted: list[tuple[float, str]] = [(angle, settings.merge) for angle in settings.angles]
    wanted += [(angle, rule) for angle in settings.tuned_angles for rule in settings.tuned_rules]
    wanted += [(angle, settings.merge) for angle in settings.equal_angles]
    found = {}
    for angle, rule in dict.fromkeys(wanted):
        gone = study.removed(angle)
        if gone["removed"]:
            told = study.tuned(f"angle-{angle:g}-{rule}", partial(study.thinned, angle, rule))
        else:
            told = study.tuned("dense", study.copy)
        found[f"{angle:g} {rule}"] = told | gone
    return found


def equal_cost(study: Study, tuned: dict[str, Any]) -> dict[str, Any]:
    """Magnitude at the cost of thresholds: `{angle: {"parameters": judged, "macs": judged}}`.

    Args:
        study: of the seed.
        tuned: what `thinned_and_tuned` returned; gives the costs to meet.

    Returns:
        Of each threshold the base model masked to as many parameters that are not zero, and to as many multiply-adds
        with such a parameter, fine-tuned likewise.
    """
    settings = study.settings
    found: dict[str, Any] = {}
    for angle in settings.equal_angles:
        given = tuned.get(f"{angle:g} {settings.merge}")
        if given is None or not given["removed"]:
            continue
        found[f"{angle:g}"] = {
            what: study.masked(f"equal-{angle:g}-{what}", study.sparsity_for(count, given[what]))
            for what, count in (("parameters", "nonzero"), ("macs", "macs_nonzero"))
        }
    return found
