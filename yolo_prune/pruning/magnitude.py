"""Magnitude pruning of a detector, and its controls, as a list of trainings.

Paper 003: pool the kernels of all convolutions, take a percentile of the magnitudes, prune what lies below it, retrain
under the mask, and begin again with more. Paper 003 says nothing of controls; they are what a loss is measured by.

Source: paper 003; Han et al. (2015), "Learning both Weights and Connections for Efficient Neural Networks".
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prune_tools import selection, targets
from run_tools.checkpoint import MASKS
from yolo_prune.models import load_detector
from yolo_prune.pruning.held import make_masks
from yolo_prune.pruning.options import PruneConfig
from yolo_prune.pruning.plan import DENSE, PRUNED, Run, Subject, train_config
from yolo_prune.pruning.settings import Pruning


def plan(options: PruneConfig, subject: Subject) -> list[Run]:
    """Every training, each behind those that it begins from, the first seed's levels and dense control in front.

    Args:
        options: of the verb.
        subject: what is pruned.

    Returns:
        The trainings; with the schedule "iterative", a level begins from the one below of the same seed, or of the
        first seed where that one does not run it, and so does its dense control, which trains as long in all.

    Raises:
        InputError: for layers that are not there, levels that the kernels do not have, or options of no training.
    """
    if options.rewind is not None:
        load_detector(options.rewind)
    sizes = [kernel.size for kernel in targets.kernels(subject.model, options.layers or "conv")]
    counts = _counts(options, sum(sizes))
    make_masks(subject.model, counts[-1] / sum(sizes), options.layers, pruning=_pruning(options, -1, options.scope))
    everything = range(len(options.sparsity))
    seeds = [[seed for seed in options.seeds if _has_seed(options, index, seed)] for index in everything]
    first = [list(options.seeds[:1])] * len(options.sparsity)
    chosen = [index for index in everything if options.control_sparsity is None
              or options.sparsity[index] in options.control_sparsity]  # fmt: skip
    if options.schedule == "iterative" and chosen:
        chosen = list(range(max(chosen) + 1))  # each goes on from the one below
    runs = []
    if DENSE in options.controls:
        runs += _dense(options, subject, seeds)
    runs += _chain(options, subject, PRUNED, options.scope, everything, seeds, counts)
    for kind in options.controls:
        if kind != DENSE:
            runs += _chain(options, subject, kind, kind, chosen, first, counts)
    return sorted(runs, key=lambda run: options.seeds.index(run.seed))


def _has_seed(options: PruneConfig, level: int, seed: int) -> bool:
    others = options.seed_sparsity is None or options.sparsity[level] in options.seed_sparsity
    return seed == options.seeds[0] or others


def _counts(options: PruneConfig, total: int) -> list[int]:
    """How many weights are pruned at each level."""
    counts: list[int] = []
    for level in options.sparsity:
        counts.append(selection.count_to_prune(level, total, counts[-1] if counts else 0, options.amount))
    return counts


def _pruning(options: PruneConfig, level: int, scope: Any, previous: Path | None = None, seed: int = 0) -> Pruning:
    return Pruning(
        sparsity=options.sparsity[level],
        scope=scope,
        layers=options.layers,
        amount=options.amount,
        floor=options.floor if scope == options.scope else 0.0,
        schedule="cubic" if options.schedule == "cubic" else "one-shot",
        ramp=options.ramp,
        previous=previous,
        rewind=options.rewind,
        recalibrate=options.recalibrate,
        seed=seed,
    )


def _dense(options: PruneConfig, subject: Subject, seeds: Sequence[Sequence[int]]) -> list[Run]:
    """The same trainings without masks: one a seed, or a chain of them where levels are one."""
    if options.schedule == "iterative":
        return _chain(options, subject, DENSE, None, range(len(seeds)), seeds, [0] * len(seeds))
    wanted = [seed for seed in options.seeds if any(seed in level for level in seeds)]
    runs = []
    for seed in wanted:
        out = options.out / DENSE / f"seed-{seed}"
        config = train_config(options, subject, out=out, weights=options.model, seed=seed)
        runs.append(Run(DENSE, None, 0.0, 0, seed, config))
    return runs


def _chain(
    options: PruneConfig,
    subject: Subject,
    kind: str,
    scope: Any,
    levels: Sequence[int],
    seeds: Sequence[Sequence[int]],
    counts: Sequence[int],
) -> list[Run]:
    """One kind's trainings, level by level.

    Args:
        kind: its name, and its folder's.
        scope: of `Pruning`; None: nothing is pruned.
        levels: indices of those that it runs.
        seeds: those of each level.
        counts: weights that are pruned at each level.
    """
    total = sum(kernel.size for kernel in targets.kernels(subject.model, options.layers or "conv"))
    made: dict[tuple[int, int], Run] = {}
    for level in levels:
        for seed in seeds[level]:
            before = None
            if options.schedule == "iterative" and level:
                before = made.get((level - 1, seed)) or made[level - 1, options.seeds[0]]
            weights = before.config.out if before else options.model
            prune = None
            if scope is not None:
                prune = _pruning(options, level, scope, before.config.out / MASKS if before else None, seed)
            # A dense control goes on for so many levels, whatever their sparsities; those of what remains may repeat.
            numbered = scope is None or options.amount == "of_remaining"
            name = f"level-{level + 1}" if numbered else f"sparsity-{options.sparsity[level]:g}"
            out = options.out / kind / name / f"seed-{seed}"
            config = train_config(options, subject, out=out, weights=weights, seed=seed, prune=prune)
            made[level, seed] = Run(kind, level, counts[level] / total, counts[level], seed, config)
    return list(made.values())
