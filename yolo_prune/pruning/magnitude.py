"""Magnitude pruning of a detector, and its controls, as a list of trainings.

Paper 003: pool the kernels of all convolutions, take a percentile of the magnitudes, prune what lies below it, retrain
under the mask, and begin again with more. Paper 003 says nothing of controls; they are what a loss is measured by.

Source: paper 003; Han et al. (2015), "Learning both Weights and Connections for Efficient Neural Networks".
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from prune_tools import selection, targets
from run_tools.checkpoint import MASKS
from run_tools.errors import InputError
from yolo_prune.models import load_detector
from yolo_prune.pruning import chains, measuring, results
from yolo_prune.pruning.held import make_masks
from yolo_prune.pruning.options import PruneConfig
from yolo_prune.pruning.plan import PRUNED, Run, Subject, train_config
from yolo_prune.pruning.settings import EACH, Pruning


def plan(options: PruneConfig, subject: Subject) -> list[Run]:
    """Every training; see `chains.trainings`.

    Args:
        options: of the verb.
        subject: what is pruned.

    Returns:
        The trainings, in the order in which they run.

    Raises:
        InputError: for layers that are not there, levels that the kernels do not have, or options of no training.
    """
    measuring.check(options)
    if options.rewind is not None:
        load_detector(options.rewind)
    sizes = [kernel.size for kernel in targets.kernels(subject.model, options.layers or "conv")]
    total, counts = sum(sizes), _counts(options, sizes, options.scope)
    _check_counts(options, counts, total)
    make_masks(subject.model, counts[-1] / total, options.layers, pruning=_pruning(options, -1, options.scope))

    def make(kind: str, level: int, seed: int, before: Run | None) -> Run:
        scope = options.scope if kind == PRUNED else kind
        prune = _pruning(options, level, scope, before.config.out / MASKS if before else None, seed)
        # Levels of what remains may repeat.
        numbered = options.amount == "of_remaining"
        name = f"level-{level + 1}" if numbered else f"sparsity-{options.sparsity[level]:g}"
        out = options.out / kind / name / f"seed-{seed}"
        count = _counts(options, sizes, scope)[level]
        weights = before.config.out if before else options.model
        config = train_config(options, subject, out=out, weights=weights, seed=seed, prune=prune)
        return Run(kind, level, count / total, count, seed, config)

    return chains.trainings(options, subject, make)


def after(options: PruneConfig, subject: Subject, result: Mapping[str, Any]) -> dict[str, Any]:
    """What is measured at the end: `{"measured": what `measuring.measure` returns}` of the level that stands for all.

    Latency and bytes of other levels would say little more: only sparse and compressed files are smaller for zeros.
    """
    run = results.shown(result)
    return {
        "measured": measuring.measure(options, subject, {f"pruned, {results.amount(result, run)}": Path(run["out"])})
    }


def prunable(options: PruneConfig, subject: Subject) -> str:
    """Which kernels prune, and what part of the network they are: what a sparsity is a fraction of.

    Args:
        options: of the verb.
        subject: what is pruned.

    Returns:
        A sentence.
    """
    chosen = targets.kernels(subject.model, options.layers or "conv")
    names = ", ".join(kernel.name.removesuffix("/kernel") for kernel in chosen)
    total = subject.model.count_params()
    return (
        f"Sparsity is that of {names} together, {sum(kernel.size for kernel in chosen):,} of {total:,} weights; all "
        "others stay, and count among those that are not zero."
    )


def emptied(by_kernel: Mapping[str, float]) -> str:
    """What is to be said of kernels without a weight left.

    Args:
        by_kernel: name → fraction of zeros in 0–1.

    Returns:
        A sentence; empty where each kernel has some.
    """
    names = [name.removesuffix("/kernel") for name, sparsity in by_kernel.items() if sparsity == 1]
    if not names:
        return ""
    return (
        f"nothing is left of {', '.join(names)}: no image gets past it, and the detector says the same of all; "
        "keep a `--floor` of each kernel"
    )


def _counts(options: PruneConfig, sizes: Sequence[int], scope: str) -> list[int]:
    """How many weights are pruned at each level, of kernels of these sizes.

    Where each kernel loses the same fraction, its count is rounded, and they need not add up to the rounded fraction of
    all weights.
    """
    pools = sizes if scope in EACH else [sum(sizes)]
    pruned, counts = [0] * len(pools), []
    for level in options.sparsity:
        pruned = [
            selection.count_to_prune(level, size, before, options.amount)
            for size, before in zip(pools, pruned, strict=True)
        ]
        counts.append(sum(pruned))
    return counts


def _check_counts(options: PruneConfig, counts: Sequence[int], total: int) -> None:
    """InputError for a level so low that it prunes nothing, or so high that nothing is left."""
    for level, count in zip(options.sparsity, counts, strict=True):
        if not 0 < count < total:
            what = "prunes nothing" if count == 0 else "would leave nothing of any kernel"
            raise InputError(
                f"sparsity {level:g}, which {what}", f"1 to {total - 1:,} of {total:,} weights", "choose another level"
            )


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
