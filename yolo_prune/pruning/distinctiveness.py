"""Structural pruning of a detector, and its controls, as a list of operations and trainings.

The channels that go are those that the others can stand in for: what the layers that read a channel would miss without
it is predicted from activation statistics, in one unit for all layers, so that a single budget of multiply-adds says
how wide each layer is to be. What the rest can say of it goes into the next layer's weights, and the network trains on.

Source: Gedeon & Harris (1991), "Network reduction techniques"; papers 000, 001 and 004.
"""

import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prune_tools import cost
from prune_tools.merge import RULES
from prune_tools.surgery import Surgery
from run_tools import config as configs
from run_tools import cpu
from run_tools.files import told_size
from run_tools.folder import RunFolder
from yolo_prune.detector import YoloV2
from yolo_prune.pruning import chains, measuring, surgeon
from yolo_prune.pruning.judging import Judge
from yolo_prune.pruning.options import PruneConfig
from yolo_prune.pruning.plan import DENSE, PRUNED, Run, Subject, train_config
from yolo_prune.pruning.surgery_options import CutConfig, Score, SurgeryOptions
from yolo_prune.recipe import TrainConfig

BLIND: dict[str, Score] = {"l1": "l1", "random": "random"}
"""Controls that look at no activations → their score."""
MERGES = "merges"
"""The folder of the networks that are judged right after surgery, one a way of choosing and rule of merging."""


def plan(options: PruneConfig, subject: Subject) -> list[Run]:
    """Every training; see `chains.trainings`. The networks that they begin from are cut when their turn comes.

    Args:
        options: of the verb.
        subject: what is pruned.

    Returns:
        The trainings, in the order in which they run.

    Raises:
        InputError: for levels that the network cannot be cut to, or options of no training.
    """

    def make(kind: str, level: int, seed: int, before: Run | None) -> Run:
        keep = options.levels[level]
        room = options.out / kind / f"keep-{keep:g}"
        # Seeds share a cut where they share its source.
        own = seed if before is not None else options.seeds[0]
        cut = cut_of(options, subject, kind, keep, room / f"cut-{own}", before.config.out if before else options.model)
        config = train_config(options, subject, out=room / f"seed-{seed}", weights=cut.out, seed=seed)
        return Run(kind, level, 0.0, 0, seed, config, cut)

    runs = chains.trainings(options, subject, make)
    _check(options, subject)
    return runs


def _check(options: PruneConfig, subject: Subject) -> None:
    """InputError where the smallest level, or layers to keep, are not this network's; before anything is written."""
    measuring.check(options)
    blind = dataclasses.replace(options.surgery, score="l1", merge="delete", scope="global")
    keep = options.levels[-1]
    config = cut_of(options, subject, PRUNED, keep, options.out, options.model)
    surgeon.choose(dataclasses.replace(config, surgery=blind), surgeon.source(config), None)


def cut_of(options: PruneConfig, subject: Subject, kind: str, keep: float, out: Path, source: Path) -> CutConfig:
    """The operation behind a level of a kind.

    Args:
        options: of the verb.
        subject: what is pruned.
        kind: "pruned", or the control that it is.
        keep: fraction of the subject's multiply-adds that stays, whatever it is cut from.
        out: the folder to be.
        source: the network that it is cut from.
    """
    return CutConfig(
        source=source,
        data=options.data,
        out=out,
        input=told_size(subject.model.image_size),
        keep=keep,
        macs=round(keep * cost.summary(subject.model)["macs"]),
        surgery=_way(options.surgery, kind),
        batch_size=options.batch_size,
        seed=options.seeds[0],
    )


def _way(surgery: SurgeryOptions, kind: str) -> SurgeryOptions:
    """How a kind is cut: a control differs in one thing, or as it was published."""
    if kind == PRUNED:
        return surgery
    surgery = dataclasses.replace(surgery, scope="uniform", multiple=surgery.control_multiple)
    score = BLIND.get(kind)
    if score is None:
        return surgery
    # Uniform in all layers, as L1-norm filter pruning is published: norms of different layers are not comparable.
    return dataclasses.replace(surgery, score=score, merge=surgery.control_merge)


def ready(run: Run, judge: Judge) -> tuple[TrainConfig, dict[str, Any]]:
    """Cuts what a training begins from, and judges it.

    Args:
        run: the training.
        judge: of the pruning.

    Returns:
        The config with the widths that the cut has left, and of the cut `{"cut": what `surgeon.operate` returned,
        "before_training": what `Judge.judge` returned}`; nothing of one that begins whole.

    Raises:
        InputError: as `surgeon.operate`.
    """
    if run.cut is None:
        return run.config, {}
    told = surgeon.operate(run.cut)
    judged = judge.judge(run.cut.out, lambda: surgeon.load(run.cut))  # type: ignore[arg-type]
    widths = tuple(told["widths"]["after"].values())
    return dataclasses.replace(run.config, widths=widths), {"cut": told, "before_training": judged}


def check_same(run: Run) -> None:
    """InputError where a folder holds another cut or training than the run; widths are known only later."""
    if run.cut is not None:
        RunFolder(run.cut.out).check_same(run.cut)
    RunFolder(run.config.out).check_same(run.config, ("out",) if run.cut is None else ("out", "widths"))


def before(options: PruneConfig, subject: Subject, judge: Judge) -> dict[str, Any]:
    """What is known without training: `{"surgery": the options of the cuts, "merges": what `merges` returns}`."""
    return {"surgery": configs.to_dict(options.surgery), "merges": merges(options, subject, judge)}


def after(options: PruneConfig, subject: Subject, result: Mapping[str, Any]) -> dict[str, Any]:
    """What is measured at the end: `{"measured": what `measuring.measure` returns}`, the first seed's levels."""
    networks = {}
    for run in result["runs"]:
        if run["kind"] == PRUNED and run["seed"] == options.seeds[0]:
            networks[f"keep {run['cut']['keep']:g}"] = Path(run["out"])
    return {"measured": measuring.measure(options, subject, networks)}


def merges(options: PruneConfig, subject: Subject, judge: Judge) -> list[dict[str, Any]]:
    """What each rule of merging is worth without training: AP right after surgery, at one level.

    Args:
        options: of the verb; `merges_at` is the level, None: none.
        subject: what is pruned.
        judge: of the pruning; only its first split is looked at, on which rules would be chosen.

    Returns:
        One row a way of choosing channels, rule, and batch-norm statistics as folded or renewed: `{"kind", "merge",
        "recalibrated": batches, "macs", "parameters", "ap50": {class: value or None}}`.
    """
    if options.merges_at is None:
        return []
    split = judge.splits[0]
    quick = Judge(subject, (split,), judge.weights)
    rows = []
    for kind in (PRUNED, *(control for control in options.controls if control != DENSE)):
        # Cut once a kind: the rules differ in what the next layers get, not in what goes.
        cuts = _Cuts(cut_of(options, subject, kind, options.merges_at, options.out / MERGES, options.model))
        for rule in RULES:
            for batches in dict.fromkeys((0, options.surgery.recalibrate)):
                name = f"{kind}-keep-{options.merges_at:g}-{rule}-{batches}"
                judged = quick.judge(options.out / MERGES / name, functools.partial(cuts.made, rule, batches))
                rows.append({
                    "kind": kind, "merge": rule, "recalibrated": batches, "macs": judged["macs"],
                    "parameters": judged["parameters"], "ap50": judged["ap50"][split],
                })  # fmt: skip
    return rows


class _Cuts:
    """The same channels cut out by several rules."""

    def __init__(self, config: CutConfig):
        self.config = config
        self._known: tuple[YoloV2, Mapping[str, Any]] | None = None

    def made(self, rule: str, batches: int) -> YoloV2:
        """The smaller network, in memory alone."""
        found = surgeon.examine(self.config)
        if self._known is None:
            model = surgeon.source(self.config)
            self._known = model, surgeon.choose(self.config, model, found)
        model, removals = self._known
        smaller: YoloV2 = Surgery(model, removals, rule, found, self.config.surgery.ridge).smaller()
        surgeon.settle(smaller, surgeon.images_of(self.config), batches)
        cpu.fuse_batch_norm(smaller)
        return smaller
