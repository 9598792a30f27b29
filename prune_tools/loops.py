"""Prune a little, retrain, measure, again: the loop of papers 001 and 004, for any functional model.

Every new width of a layer makes Keras compile its training step anew, longer than a small network retrains for
an epoch. So within the loop the widths stay: a removed unit's rows in the layers that read it are set to zero and
held there, which makes the unit count for nothing and keeps its own weights from moving. At the end, or every
`cut_every` steps, what is dead is taken out for good; outputs are those of the held model, and without dropout so is
every step of retraining.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np

from prune_tools import distinctiveness, holding
from prune_tools import merge as rules
from prune_tools.held_model import Candidates, Chooser, HeldModel, Pairs, Rule
from prune_tools.kept_steps import Kept
from run_tools import files
from run_tools.errors import InputError, unknown_name

__all__ = ["RULES", "Candidates", "Rule", "Step", "Steps", "Stop", "progressive"]

RULES = (*distinctiveness.RULES, "random")


@dataclass(frozen=True)
class Stop:
    """When a loop ends.

    Attributes:
        units: units that every layer keeps at least.
        steps: most steps; None: as many as there are units for.
        metric: what `evaluate` calls the number to watch; measure it on validation data.
        fall: end when the metric has been worse than the first model's by more than this; None: never.
        patience: for so many steps on end.
        larger_is_better: False for a loss.
    """

    units: int = 1
    steps: int | None = None
    metric: str = "val_accuracy"
    fall: float | None = None
    patience: int = 1
    larger_is_better: bool = True


@dataclass(frozen=True)
class Step:
    """One round of a loop; number 0 is the model as it was given.

    Attributes:
        step: number.
        removed: units gone so far, over all layers.
        units: layer → units left.
        pairs: layer → (removed, kept or None) of this step, in the numbers that the units had at first.
        metrics: what `evaluate` returned.
        retrained: what `retrain` returned.
        seconds: that the step took.
    """

    step: int
    removed: int
    units: Mapping[str, int]
    pairs: Mapping[str, Sequence[Sequence[int | None]]] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    retrained: Mapping[str, Any] | None = None
    seconds: float = 0.0


class Steps(list[Step]):
    """The rows of a loop.

    Attributes:
        model: the smaller model, widths cut, not compiled: of the last step, or with `Stop.fall` of the last one whose
            metric was within it.
        chosen: number of that step.
    """

    model: keras.Model
    chosen: int = 0

    def column(self, metric: str) -> np.ndarray:
        """One metric over the steps, float64, shape (steps,)."""
        return np.array([step.metrics[metric] for step in self], np.float64)

    @property
    def removed(self) -> np.ndarray:
        """Units gone, shape (steps,)."""
        return np.array([step.removed for step in self], np.int64)


def progressive(
    model: keras.Model,
    data: Any,
    *,
    layers: str | Sequence[str],
    rule: str | Rule = "most_similar",
    batch: int = 1,
    merge: str = "outgoing",
    evaluate: Callable[[keras.Model], Mapping[str, float]],
    retrain: Callable[[keras.Model, int], Mapping[str, Any] | None] | None = None,
    stop: Stop | None = None,
    folder: str | Path | None = None,
    centre: str = "mean",
    options: Mapping[str, Any] | None = None,
    batch_size: int = 256,
    cut_every: int | None = None,
    seed: int = 0,
    note: Mapping[str, Any] | None = None,
) -> Steps:
    """Removes units step by step, retraining and measuring after each.

    Args:
        model: functional, or a built Sequential; left as it is.
        data: inputs whose activations the rule and the merge look at, as for `statistics.collect`, but not a generator:
            it is run through at every step.
        layers: one layer of each group to prune.
        rule: of `distinctiveness.select`; "random", the control; or a function of one's own.
        batch: units that a step removes from each layer, or as many as the rule finds or are there.
        merge: as for `surgery.remove`.
        evaluate: from the model to numbers by name.
        retrain: trains the model in place, given the step's number too; it should depend on these two alone, so that
            what is resumed is what would have been. One that compiles the model once, when it first sees it, and then
            clears its optimizer is not slowed down by compiling. None: no retraining.
        stop: when to end; default: with one unit left in each layer.
        folder: where the steps are kept; the same call goes on there. None: nowhere.
        centre: as for `distinctiveness.angles`.
        options: `below`, `above` and `batch` (size of a set) of `distinctiveness.select`.
        batch_size: inputs a forward pass when statistics are collected of arrays.
        cut_every: steps after which dead units are taken out for good, which costs a compilation and saves their
            work; None: only at the end. Use 1 where units are not alone, behind a layer normalisation.
        seed: of "random".
        note: what else the steps depend on, such as the retraining's settings; plain values. A folder with another
            note is refused.

    Returns:
        One `Step` for the model as it was and one a round.

    Raises:
        InputError: for unknown rules, layers that cannot be pruned, numbers out of range, a metric that `evaluate`
            does not return, and a folder of another loop.

    Source: papers 001 (section 2.5) and 004 (section 2).
    """
    stop = stop or Stop()
    names = (layers,) if isinstance(layers, str) else tuple(layers)
    work = HeldModel(model, names, data, batch_size)
    _check(rule, merge, batch, stop, cut_every)
    plan_of = {
        "layers": names, "rule": rule if isinstance(rule, str) else "own", "batch": batch, "merge": merge,
        "stop": asdict(stop), "centre": centre, "options": dict(options or {}), "cut_every": cut_every, "seed": seed,
        "note": dict(note or {}),
    }  # fmt: skip
    with Kept(folder, plan_of, model) as kept:
        steps = Steps(Step(**row) for row in kept.rows)
        if steps:
            work.restore(kept.arrays())
        else:
            steps.append(Step(0, 0, work.left(), metrics=_measured(evaluate, work.model, stop)))
            kept.keep(asdict(steps[0]), work.arrays(), good=True)
        chooser = Chooser(rule, batch, centre, dict(options or {}), seed)
        while not _done(steps, stop) and (pairs := work.choose(chooser, len(steps), stop.units, merge)):
            steps.append(_step(work, pairs, len(steps), merge, retrain, evaluate, stop))
            if cut_every and len(steps) % cut_every == 0:
                work.cut(check=cut_every > 1)
            kept.keep(asdict(steps[-1]), work.arrays(), good=stop.fall is None or _good(steps[-1], steps[0], stop))
        last = kept.arrays(good=True)
    work.restore(last)
    steps.model, steps.chosen = work.finished(check=cut_every != 1), int(last["step"])
    return steps


def _check(rule: str | Rule, how: str, batch: int, stop: Stop, cut_every: int | None) -> None:
    if isinstance(rule, str) and rule not in RULES:
        raise unknown_name("selection rule", rule, RULES)
    rules.check(how)
    if batch < 1 or stop.units < 1 or stop.patience < 1 or (cut_every is not None and cut_every < 1):
        raise InputError(
            f"batch {batch}, units {stop.units}, patience {stop.patience}, cut_every {cut_every}",
            "whole numbers of at least 1",
            "correct it",
        )


def _measured(evaluate: Callable[[keras.Model], Mapping[str, float]], model: keras.Model, stop: Stop) -> dict:
    found = {name: float(value) for name, value in evaluate(model).items()}
    if stop.fall is not None and stop.metric not in found:
        raise unknown_name("metric to stop by", stop.metric, found)
    return found


def _good(step: Step, first: Step, stop: Stop) -> bool:
    sign = 1 if stop.larger_is_better else -1
    return sign * (first.metrics[stop.metric] - step.metrics[stop.metric]) <= (stop.fall or 0.0)


def _done(steps: Steps, stop: Stop) -> bool:
    if stop.steps is not None and len(steps) > stop.steps:
        return True
    last = steps[1:][-stop.patience :]
    fallen = stop.fall is not None and not any(_good(step, steps[0], stop) for step in last)
    return fallen and len(last) == stop.patience


def _step(
    work: HeldModel, pairs: dict[str, Pairs], number: int, how: str, retrain: Any, evaluate: Any, stop: Stop
) -> Step:
    start = time.monotonic()
    named = {name: [list(pair) for pair in some] for name, some in work.named(pairs).items()}  # as JSON has them
    work.fold(pairs, how)
    told = None if retrain is None else files.plain(dict(retrain(work.model, number) or {}))
    holding.apply(work.model)
    metrics = _measured(evaluate, work.model, stop)
    return Step(number, work.removed(), work.left(), named, metrics, told, time.monotonic() - start)
