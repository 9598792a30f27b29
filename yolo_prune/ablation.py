"""What each option of a training is worth: a baseline and variants of it, several seeds each, judged alike."""

import math
import re
import statistics
from collections.abc import Sequence
from typing import Any

import keras

from data_tools.store import open_store
from run_tools import config as configs
from run_tools import files
from run_tools.errors import InputError
from yolo_prune.class_map import lookup_of
from yolo_prune.evaluation import ap50
from yolo_prune.evaluation.tables import aligned
from yolo_prune.models import load_detector
from yolo_prune.options import AblateConfig
from yolo_prune.predict import predictions, truths
from yolo_prune.recipe import TrainConfig
from yolo_prune.trainer import Trainer

BASELINE = "baseline"
RESULT = "ablation.json"
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
        "minus_baseline": likewise, of the differences to the baseline of the same seed}, …]}`, AP50 in 0–1; also
        written to `out`/ablation.json.

    Raises:
        InputError: for options that do not make a training, names that do not make a folder, classes or splits that
            are not there, or an `out` with runs of other options.
    """
    planned = plan(options)
    runs = []
    for number, (name, config) in enumerate(planned, start=1):
        print(f"run {number} of {len(planned)}: {name}, seed {config.seed}", flush=True)
        runs.append({"variant": name, "seed": config.seed, **_run(config, options.splits, options.classes)})
        # Graphs of finished runs would pile up.
        keras.utils.clear_session()
    result = {"runs": runs, "summary": summary(runs)}
    files.write_json(options.out / RESULT, result)
    return result


def plan(options: AblateConfig) -> list[tuple[str, TrainConfig]]:
    """Every run's variant and config, checked before the first begins; a seed of all variants comes before the next."""
    store = open_store(options.data, "detection")
    for split in options.splits:
        store[split]  # told before the work, not after it
    if not options.seeds or len(set(options.seeds)) < len(options.seeds):
        raise InputError(f"seeds {options.seeds}", "at least one, each once", "for example 0 1 2")
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


def _run(config: TrainConfig, splits: Sequence[str], classes: Sequence[str]) -> dict[str, Any]:
    """Trains, unless that is done, and judges the best checkpoint on the splits that were not judged yet."""
    trainer = Trainer(config, verbose=0)
    told = trainer.fit()
    path = config.out / RESULT
    judged: dict[str, Any] = files.read_json(path) if path.is_file() else {}
    model = None
    for split in splits:
        if split not in judged:
            model = model or load_detector(config.out)
            true = truths(trainer.store, split, lookup_of(trainer.classes, trainer.store))
            found = list(predictions(model, trainer.store[split]))
            judged[split] = ap50(true, found, trainer.classes.names)
            files.write_json(path, judged)
    chosen = {split: {name: judged[split].get(name) for name in classes} for split in splits}
    return {"minutes": told["seconds"] / 60, "best_epoch": told["best_epoch"], "ap50": chosen}


def summary(runs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mean and interval over the seeds of each variant, in the order of the runs; see `ablate`."""
    rows = []
    baseline = {run["seed"]: run for run in runs if run["variant"] == BASELINE}
    for name in dict.fromkeys(run["variant"] for run in runs):
        mine = [run for run in runs if run["variant"] == name]
        minutes = statistics.fmean(run["minutes"] for run in mine)
        # What is easy or hard about a seed is so for both, and cancels out.
        pairs = [_minus(run["ap50"], baseline[run["seed"]]["ap50"]) for run in mine if run["seed"] in baseline]
        told = {"ap50": _intervals([run["ap50"] for run in mine]), "minus_baseline": _intervals(pairs)}
        rows.append({"variant": name, "runs": len(mine), "minutes": minutes, **told})
    return rows


Scores = dict[str, dict[str, Any]]
"""Split → class → AP50, None without true boxes; or a list of mean and half of the interval."""


def _minus(scores: Scores, others: Scores) -> Scores:
    return {
        split: {
            label: None if value is None or others[split][label] is None else value - others[split][label]
            for label, value in labels.items()
        }
        for split, labels in scores.items()
    }


def _intervals(several: Sequence[Scores]) -> Scores:
    return {
        split: {label: interval([scores[split][label] for scores in several]) for label in labels}
        for split, labels in (several[0] if several else {}).items()
    }


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
    """The result of `ablate`: a row a variant, AP50 ± half of the interval over the seeds; then minus the baseline."""
    rows = result["summary"]
    names = [f"{split} {label}" for split, labels in rows[0]["ap50"].items() for label in labels]
    absolute, differences = [], []
    for row in rows:
        begin = [row["variant"], str(row["runs"])]
        absolute.append([*begin, *_cells(row["ap50"]), f"{row['minutes']:.1f}"])
        if row["variant"] != BASELINE and row["minus_baseline"]:
            differences.append([*begin, *_cells(row["minus_baseline"], "+")])
    text = "AP50, mean and 95 % interval over the seeds\n" + aligned(["variant", "seeds", *names, "minutes"], absolute)
    if differences:
        text += "\n\nminus the baseline of the same seed\n" + aligned(["variant", "seeds", *names], differences)
    return text


def _cells(scores: Scores, sign: str = "") -> list[str]:
    known = [score for labels in scores.values() for score in labels.values()]
    return [
        "-" if mean is None else f"{mean:{sign}.3f}" + (f" ± {half:.3f}" if half is not None else "")
        for mean, half in known
    ]
