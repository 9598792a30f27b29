"""`yolo-prune prune`: trainings one after the other, each judged, and what they say together."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from run_tools import files
from run_tools.folder import RunFolder
from yolo_prune.distillation import check_teacher
from yolo_prune.evaluation import bootstrap
from yolo_prune.models import digest, load_detector
from yolo_prune.pruning import distinctiveness, magnitude, page, results, structure_page
from yolo_prune.pruning.judging import START, Judge
from yolo_prune.pruning.options import PruneConfig
from yolo_prune.pruning.plan import Run, Subject
from yolo_prune.trainer import Trainer


def _nothing(*_: Any) -> dict[str, Any]:
    return {}


@dataclass(frozen=True)
class Method:
    """What one method of pruning does.

    Attributes:
        plan: makes the list of trainings.
        write: writes the page of the whole.
        before: what else it finds out before the first training, for the result.
        after: likewise when all are judged.
    """

    plan: Callable[[PruneConfig, Subject], list[Run]]
    write: Callable[[PruneConfig, Subject, Judge, dict[str, Any]], Path]
    before: Callable[[PruneConfig, Subject, Judge], dict[str, Any]] = _nothing
    after: Callable[[PruneConfig, Subject, dict[str, Any]], dict[str, Any]] = _nothing


METHODS = {
    "magnitude": Method(magnitude.plan, page.write, after=magnitude.after),
    "distinctiveness": Method(
        distinctiveness.plan, structure_page.write, distinctiveness.before, distinctiveness.after
    ),
}

RESULT = "prune.json"
MAY_CHANGE = (
    *("out", "sparsity", "keep", "controls", "control_sparsity", "control_keep", "seeds", "seed_sparsity", "seed_keep"),
    *("runtimes", "merges_at", "splits", "classes", "tolerance", "bootstrap", "pictures"),
)
"""Options that may differ when a folder is gone on with: each training in it has a config of its own."""


def prune(options: PruneConfig) -> dict[str, Any]:
    """Run `prune`; trainings that are finished are not run again, one that was cut off goes on.

    Args:
        options: of the verb.

    Returns:
        `{"out", "method", "schedule", "scope", "model", "data", "images": {split: count}, "input", "epochs", "stages",
        "classes", "splits", "runs": [{"kind", "level", "sparsity", "seed", "out", "epochs", "best_epoch", "seconds",
        ...what `Judge.judge` returned}, ...], "start": what it returned of the model as it was given, "levels": what
        `results.levels` returned, "chosen": what `results.choose` returned, "measured": what
        `measuring.measure` returned, "report"}`; also written to
        `OUT/prune.json`.

    Raises:
        InputError: for options, data or a folder that do not fit, or a network that is not as sparse as it is to be.
    """
    subject = Subject.of(options)
    if options.teacher is not None:
        check_teacher(subject.model, load_detector(options.teacher), options.teacher)
    method = METHODS[options.method]
    runs = method.plan(options, subject)
    for run in runs:
        Trainer(run.config)  # what does not fit is told before the first begins
    with RunFolder(options.out).create(options, ignore=MAY_CHANGE) as folder:
        for run in runs:
            distinctiveness.check_same(run)  # told now, and not when its turn comes
        weights = {
            name: bootstrap.resample(len(subject.store[name]), options.bootstrap, seed=0) for name in options.splits
        }
        judge = Judge(subject, options.splits, weights)
        start = judge.judge(folder.path(START), lambda: subject.model, digest=digest(options.model))
        folder.renew(options, MAY_CHANGE)
        found, told = method.before(options, subject, judge), []
        for number, run in enumerate(runs, start=1):
            print(f"run {number} of {len(runs)}: {_title(run)}", flush=True)
            told.append(_train(run, judge))
        result = _facts(options, subject, runs) | {"start": start, "runs": told} | found
        result["levels"] = results.levels(told, judge, subject.named)
        result["chosen"] = results.choose(result["levels"], options.splits, subject.named[0], options.tolerance)
        result |= method.after(options, subject, result)
        result["report"] = str(method.write(options, subject, judge, result))
        files.write_json(folder.path(RESULT), result)
    return result


def _title(run: Run) -> str:
    level = "" if run.level is None else f", level {run.level + 1}"
    amount = f"{100 * run.sparsity:.4g} %" if run.cut is None else f"keeps {100 * run.cut.keep:.4g} %"
    return f"{run.kind}{level}, {amount}, seed {run.seed}"


def _train(run: Run, judge: Judge) -> dict[str, Any]:
    """Trains and judges one; see `prune` for what it returns."""
    begun = time.perf_counter()
    config, cut = distinctiveness.ready(run, judge)
    trained = Trainer(config, verbose=0).fit()
    keras.utils.clear_session()  # graphs of finished runs would pile up
    judged = judge.judge(run.config.out, lambda: load_detector(run.config.out), run)
    left = f"sparsity {judged['sparsity']:.4f}" if run.cut is None else f"{judged['parameters']:,} parameters"
    print(f"  {left}, {time.perf_counter() - begun:.0f} s", flush=True)
    if run.cut is None and (told := magnitude.emptied(judged["by_kernel"])):
        print(f"  note: {told}", flush=True)
    own = {"kind": run.kind, "level": run.level, "sparsity": run.sparsity, "seed": run.seed}
    own["out"] = str(run.config.out)
    return own | cut | {name: trained[name] for name in ("epochs", "best_epoch", "seconds")} | judged


def _facts(options: PruneConfig, subject: Subject, runs: Sequence[Run]) -> dict[str, Any]:
    stages = runs[0].config.stages  # all have the same
    return {
        "out": str(options.out),
        "method": options.method,
        "schedule": options.schedule,
        "scope": options.scope if options.method == "magnitude" else options.surgery.scope,
        "model": str(options.model),
        "data": f"{subject.store.source}, {Path(options.data).name}",
        "images": {name: len(subject.store[name]) for name in dict.fromkeys(("train", *options.splits))},
        "input": files.told_size(subject.model.image_size),
        "epochs": sum(stage.epochs for stage in stages),
        "stages": [f"{stage.train}:{stage.epochs}:{stage.learning_rate:g}" for stage in stages],
        "tolerance": options.tolerance,
        "classes": list(subject.named),
        "splits": list(options.splits),
    }


def table(result: dict[str, Any]) -> str:
    """The result of `prune`: one row a level and kind."""
    return results.text(result)
