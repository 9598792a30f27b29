"""Which trainings a pruning runs: its levels, their controls and seeds, each behind the one that it begins from."""

from collections.abc import Callable, Sequence

from yolo_prune.pruning.options import PruneConfig
from yolo_prune.pruning.plan import DENSE, PRUNED, Run, Subject, train_config

Make = Callable[[str, int, int, "Run | None"], Run]
"""(kind, index of the level, seed, the training that it goes on from or None) → the training."""


def trainings(options: PruneConfig, subject: Subject, make: Make) -> list[Run]:
    """Every training, each behind those that it begins from, the first seed's levels and dense control in front.

    Args:
        options: of the verb.
        subject: what is pruned.
        make: one training of a method; dense ones are made here.

    Returns:
        The trainings; with the schedule "iterative", a level begins from the one below of the same seed, or of the
        first seed where that one does not run it, and so does its dense control, which trains as long in all.
    """
    levels, chosen = options.levels, _control_levels(options)
    seeds = [[seed for seed in options.seeds if _has_seed(options, level, seed)] for level in levels]
    first = [list(options.seeds[:1])] * len(levels)
    runs = []
    if DENSE in options.controls:
        runs += _dense(options, subject, seeds)
    runs += _chain(options, PRUNED, range(len(levels)), seeds, make)
    for kind in options.controls:
        if kind != DENSE:
            runs += _chain(options, kind, chosen, first, make)
    return sorted(runs, key=lambda run: options.seeds.index(run.seed))


def _has_seed(options: PruneConfig, level: float, seed: int) -> bool:
    others = options.seed_levels is None or level in options.seed_levels
    return seed == options.seeds[0] or others


def _control_levels(options: PruneConfig) -> list[int]:
    """Indices of the levels of the controls."""
    named = options.control_levels
    chosen = [index for index, level in enumerate(options.levels) if named is None or level in named]
    if options.schedule == "iterative" and chosen:
        return list(range(max(chosen) + 1))  # each goes on from the one below
    return chosen


def _dense(options: PruneConfig, subject: Subject, seeds: Sequence[Sequence[int]]) -> list[Run]:
    """The same trainings without pruning: one a seed, or a chain of them where levels are one."""

    def make(kind: str, level: int | None, seed: int, before: Run | None) -> Run:
        # A dense control goes on for so many levels, whatever is pruned at them.
        room = options.out / DENSE if level is None else options.out / DENSE / f"level-{level + 1}"
        weights = before.config.out if before else options.model
        return Run(
            kind,
            level,
            0.0,
            0,
            seed,
            train_config(options, subject, out=room / f"seed-{seed}", weights=weights, seed=seed),
        )

    if options.schedule == "iterative":
        return _chain(options, DENSE, range(len(seeds)), seeds, make)
    wanted = [seed for seed in options.seeds if any(seed in level for level in seeds)]
    return [make(DENSE, None, seed, None) for seed in wanted]


def _chain(
    options: PruneConfig, kind: str, levels: Sequence[int], seeds: Sequence[Sequence[int]], make: Make
) -> list[Run]:
    """One kind's trainings, level by level."""
    made: dict[tuple[int, int], Run] = {}
    for level in levels:
        for seed in seeds[level]:
            before = None
            if options.schedule == "iterative" and level:
                before = made.get((level - 1, seed)) or made[level - 1, options.seeds[0]]
            made[level, seed] = make(kind, level, seed, before)
    return list(made.values())
