"""What each option of a training is worth: a baseline and variants of it, several seeds each, judged alike."""

import math
import re
import statistics
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import keras

from data_tools.store import open_store
from run_tools import config as configs
from run_tools import files
from run_tools.errors import InputError
from yolo_prune.class_map import lookup_of
from yolo_prune.evaluation import ap50
from yolo_prune.evaluation.bootstrap import mean_difference, replicated, resample
from yolo_prune.evaluation.tables import aligned, signed
from yolo_prune.evaluation.weighted import Values
from yolo_prune.models import load_detector
from yolo_prune.options import AblateConfig
from yolo_prune.predict import predictions, truths
from yolo_prune.recipe import TrainConfig
from yolo_prune.records import Truth, load_detections, save_detections
from yolo_prune.trainer import Trainer

BASELINE = "baseline"
RESULT = "ablation.json"
FOUND = "found-{}.npz"
"""Detections of the best checkpoint on a split, in its run folder."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")

STUDENT = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131),
    *(2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042),
)
"""The .975 quantile of Student's t with 1, 2, … degrees of freedom."""


def ablate(options: AblateConfig) -> dict[str, Any]:
    """Run `ablate`; what is finished in `out` is not done again, what was cut off goes on.

    Returns:
        `{"runs": [{"variant", "seed", "minutes", "best_epoch", "ap50": {split: {class: value or None}}}, …],
        "summary": [{"variant", "runs", "minutes", "ap50": {split: {class: [mean, half of the 95 % interval]}},
        "difference": {split: {class: {"difference", "interval"}}}}, …]}`, AP50 in 0–1; "difference" is that of the
        seeds' mean to the baseline's on the same resampled images (`bootstrap.mean_difference`), None for the baseline
        and without `bootstrap`. Also written to `out`/ablation.json.

    Raises:
        InputError: for options that do not make a training, names that do not make a folder, classes or splits that
            are not there, or an `out` with runs of other options.
    """
    planned = plan(options)
    runs = []
    values: dict[str, list[dict[str, Values]]] = {}
    for number, (name, config) in enumerate(planned, start=1):
        print(f"run {number} of {len(planned)}: {name}, seed {config.seed}", flush=True)
        trainer = Trainer(config, verbose=0)
        runs.append({"variant": name, "seed": config.seed, **_run(trainer, options.splits, options.classes)})
        if options.bootstrap:
            values.setdefault(name, []).append(_replicated(trainer, options))
        # Graphs of finished runs would pile up.
        keras.utils.clear_session()
    result = {"runs": runs, "summary": summary(runs, values)}
    files.write_json(options.out / RESULT, result)
    return result


def plan(options: AblateConfig) -> list[tuple[str, TrainConfig]]:
    """Every run's variant and config, checked before the first begins; a seed of all variants comes before the next."""
    store = open_store(options.data, "detection")
    for split in options.splits:
        images = len(store[split])  # a split that is not there is told before the work, not after it
        if options.bootstrap:
            resample(images, replicates=1)
    if not options.seeds or len(set(options.seeds)) < len(options.seeds):
        raise InputError(f"seeds {options.seeds}", "at least one, each once", "for example 0 1 2")
    configs.check_filled(options, "splits", "classes")
    variants: dict[str, dict[str, Any]] = {BASELINE: {}, **options.variants}
    for name in variants:
        if not NAME.fullmatch(name):
            raise InputError(f"variant {name!r}", "a name of letters, digits, _ . and -", "rename it")
    planned = []
    for seed in options.seeds:
        for name, changes in variants.items():
            own = {"data": options.data, "out": options.out / name / f"seed-{seed}", "seed": seed}
            own |= {} if options.weights is None else {"weights": options.weights}
            taken = sorted({*own} & {*options.base, *changes})
            if taken:
                raise InputError(f"{taken[0]} in {name}", "options that are not set for each run", f"remove {taken[0]}")
            config = configs.from_mapping(TrainConfig, {**options.base, **changes, **own}, where=f"variant {name}")
            if config.distribute == "multihost":
                raise InputError(f"distribute: multihost in {name}", "none or mirrored", "only train has several hosts")
            known = Trainer(config).classes.names
            for wanted in options.classes:
                if wanted not in known:
                    raise InputError(f"class {wanted!r}", f"of {', '.join(known)}", "choose others with --classes")
            planned.append((name, config))
    return planned


def _run(trainer: Trainer, splits: Sequence[str], classes: Sequence[str]) -> dict[str, Any]:
    """Trains, unless that is done, and judges the best checkpoint on the splits that were not judged yet."""
    told = trainer.fit()
    out = trainer.config.out
    judged: dict[str, Any] = files.read_json(out / RESULT) if (out / RESULT).is_file() else {}
    model = None
    for split in splits:
        if split not in judged or not (out / FOUND.format(split)).is_file():
            model = model or load_detector(out)
            found = list(predictions(model, trainer.store[split]))
            save_detections(out / FOUND.format(split), found)
            judged[split] = ap50(_truths(trainer, split), found, trainer.classes.names)
            files.write_json(out / RESULT, judged)
    chosen = {split: {name: judged[split].get(name) for name in classes} for split in splits}
    return {"minutes": told["seconds"] / 60, "best_epoch": told["best_epoch"], "ap50": chosen}


def _truths(trainer: Trainer, split: str) -> list[Truth]:
    return truths(trainer.store, split, lookup_of(trainer.classes, trainer.store))


def _replicated(trainer: Trainer, options: AblateConfig) -> dict[str, Values]:
    """AP50 of a judged run, on the images of each split as they are and on each resample of them; see `replicated`."""
    values = {}
    for split in options.splits:
        weights = resample(len(trainer.store[split]), options.bootstrap)
        found = load_detections(trainer.config.out / FOUND.format(split))
        known = replicated(_truths(trainer, split), found, trainer.classes.names, weights, keys=("AP50",))
        values[split] = {name: known[name] for name in options.classes}
    return values


def summary(
    runs: Sequence[dict[str, Any]], values: Mapping[str, Sequence[Mapping[str, Values]]] = MappingProxyType({})
) -> list[dict[str, Any]]:
    """Mean and interval over the seeds of each variant, in the order of the runs; see `ablate`.

    Args:
        runs: as `ablate` returns them.
        values: variant → split → what `replicated` returned, for each seed; empty: no differences.
    """
    rows = []
    for name in dict.fromkeys(run["variant"] for run in runs):
        mine = [run for run in runs if run["variant"] == name]
        scores = {
            split: {label: interval([run["ap50"][split][label] for run in mine]) for label in labels}
            for split, labels in mine[0]["ap50"].items()
        }
        minutes = statistics.fmean(run["minutes"] for run in mine)
        difference = None
        if values and name != BASELINE:
            difference = {
                split: {
                    label: row["AP50"]
                    for label, row in mean_difference(
                        [each[split] for each in values[name]], [each[split] for each in values[BASELINE]]
                    ).items()
                }
                for split in scores
            }
        rows.append({"variant": name, "runs": len(mine), "minutes": minutes, "ap50": scores, "difference": difference})
    return rows


def interval(values: Sequence[float | None]) -> list[float | None]:
    """Mean, and half of the 95 % confidence interval by Student's t; None for what the values do not give.

    Args:
        values: of independent runs; None where a class has no true box.
    """
    known = [value for value in values if value is not None]
    if not known:
        return [None, None]
    if len(known) < 2:
        return [known[0], None]
    quantile = STUDENT[len(known) - 2] if len(known) - 2 < len(STUDENT) else 1.96
    return [statistics.fmean(known), quantile * statistics.stdev(known) / math.sqrt(len(known))]


def table(result: dict[str, Any]) -> str:
    """The result of `ablate`: AP50 of each variant, ± half of the interval over the seeds, and what it gains."""
    rows = result["summary"]
    columns = [(split, label) for split, labels in rows[0]["ap50"].items() for label in labels]
    named = [f"{split} {label}" for split, label in columns]
    lines = []
    for row in rows:
        scores = [row["ap50"][split][label] for split, label in columns]
        told = ["-" if mean is None else f"{mean:.3f}" + (f" ± {half:.3f}" if half is not None else "")
                for mean, half in scores]  # fmt: skip
        lines.append([row["variant"], str(row["runs"]), *told, f"{row['minutes']:.1f}"])
    text = "AP50, mean and 95 % interval over the seeds\n" + aligned(["variant", "seeds", *named, "minutes"], lines)
    compared = [row for row in rows if row["difference"] is not None]
    if compared:
        lines = [
            [row["variant"], *(signed(row["difference"][split][label], 3) for split, label in columns)]
            for row in compared
        ]
        text += f"\n\nAP50 less the {BASELINE}'s, mean of the seeds [95 % of resamples of the images]\n"
        text += aligned(["variant", *named], lines)
    return text
