"""`yolo-prune study anchors` and `study depth`: the two studies that paper 003 wished for.

Source: paper 003, section 7: "using the K-means clustering to define new anchor boxes for wide images", and "the effect
of freezing different numbers of layers and effect this has on the time to converge, precision, and recall".
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from data_tools import anchors as anchor_tools
from data_tools import stats
from data_tools.store import Store, open_store
from run_tools.errors import InputError
from run_tools.files import parse_size, write_json
from run_tools.folder import RunFolder
from yolo_prune import network
from yolo_prune.anchors import PRESETS, as_anchors
from yolo_prune.class_map import OWN, ClassSet, class_set, lookup_of, own_classes
from yolo_prune.evaluation import bootstrap
from yolo_prune.experiments import study_judging, study_pages
from yolo_prune.experiments.checks import check_splits, check_weights
from yolo_prune.experiments.options import AnchorStudyConfig, DepthStudyConfig, StudyConfig
from yolo_prune.models import load_detector
from yolo_prune.recipe import Stage, TrainConfig, check_train
from yolo_prune.trainer import Trainer

SPLITS = ("train", "val")
KMEANS = {"kmeans": False, "balanced": True}
"""Names of k-means sets → whether each class counts as the root of its number of boxes."""


def anchors(options: AnchorStudyConfig) -> dict[str, Any]:
    """Run `study anchors`; what is finished is not run again.

    Returns:
        `{"kind": "anchors", "out", "rows": {set: {"anchors", "mean_iou", "iou_by_class", ...what `_times` and
        `study_judging` tell}}, "reference": the set that the others are compared with, "report", "seconds", ...}`.

    Raises:
        InputError: for data, weights, anchors or layers that do not fit.
    """
    known = (*PRESETS, *KMEANS)
    for name in options.anchors:
        if name not in known:
            raise InputError(f"anchors {name!r}", f"any of {', '.join(known)}", "name sets to compare")
    check_train(options.train)
    base = _base(options, (Stage(options.train, options.epochs, options.learning_rate),))
    trainings = {}
    for name in options.anchors:
        trainings[name] = replace(
            base,
            out=options.out / name,
            anchors="kmeans" if name in KMEANS else name,
            anchor_balance=KMEANS.get(name, False),
            anchor_count=options.anchor_count,
        )
    return _study("anchors", options, trainings, _fit_of_anchors)


def depth(options: DepthStudyConfig) -> dict[str, Any]:
    """Run `study depth`; what is finished is not run again.

    Returns:
        `{"kind": "depth", "out", "rows": {"top:N": {"layers", "trainable", ...what `_times` and `study_judging`
        tell}}, "reference": the row that the others are compared with, "report", "seconds", ...}`.

    Raises:
        InputError: for data, weights or numbers of layers that do not fit.
    """
    most = len(network.resolve_widths(options.variant, options.widths)) + 1
    depths = options.depths or tuple(range(1, most + 1))
    if max(depths) > most:
        raise InputError(f"--depths {max(depths)}", f"at most {most}, all convolutions", "leave it out")
    if options.weights is None and min(depths) < most:
        raise InputError(
            "no --weights for a study of frozen layers",
            "a network whose lower layers know something",
            "give a run folder, a .keras or a .npz",
        )
    trainings = {}
    for count in depths:
        stage = Stage(f"top:{count}", options.epochs, options.learning_rate)
        # Every depth computes all layers, or the first one's time would be that of a cache.
        out = options.out / f"top-{count}"
        trainings[stage.train] = replace(_base(options, (stage,)), out=out, anchors=options.anchors, cache="off")
    return _study("depth", options, trainings, _trainable)


def table(result: dict[str, Any]) -> str:
    """The result of either study."""
    return study_pages.text(result)


def _base(options: StudyConfig, stages: tuple[Stage, ...]) -> TrainConfig:
    every = max(1, options.epochs // 8)
    return TrainConfig(
        data=options.data,
        out=options.out,
        input=options.input,
        variant=options.variant,
        widths=options.widths,
        classes=options.classes,
        stages=stages,
        weights=options.weights,
        new_head=options.weights is not None,
        batch_size=options.batch_size,
        weight_decay=0.01,
        monitor_every=every,
        images_every=options.epochs,
        save_every=every,
        seed=options.seed,
    )


def _study(
    kind: str,
    options: AnchorStudyConfig | DepthStudyConfig,
    trainings: Mapping[str, TrainConfig],
    facts: Callable[[TrainConfig, Any, Store], dict[str, Any]],
) -> dict[str, Any]:
    """Trains and judges each of `trainings`, and writes table, figure and report."""
    begun = time.perf_counter()
    store = open_store(options.data, "detection")
    # What does not fit is refused before the folder is made.
    check_splits(store, (*SPLITS, options.split))
    check_weights(options.weights)
    network.resolve_widths(options.variant, options.widths)
    for config in trainings.values():
        Trainer(config)
        if config.anchors != "kmeans":
            as_anchors(config.anchors)
    weights = bootstrap.resample(len(store[options.split]), options.bootstrap) if options.bootstrap else None
    rows: dict[str, Any] = {}
    values: dict[str, Any] = {}
    with RunFolder(options.out).create(options):
        for name, config in trainings.items():
            print(f"study of {kind}: {name}", flush=True)
            told = Trainer(config, verbose=2).fit()
            model = load_detector(config.out)
            judged, values[name] = study_judging.judge(
                model, store, options.split, _classes(config, store), options.score, weights
            )
            rows[name] = facts(config, model, store) | _times(config.out, told) | judged
        # The square set that is named first; all layers, or as many as there are.
        reference = next(iter(rows)) if kind == "anchors" else max(rows, key=lambda name: rows[name]["layers"])
        if weights is not None:
            for name, row in rows.items():
                row |= study_judging.uncertainty(values[name], values[reference])
        result = {
            "kind": kind,
            "out": str(options.out),
            "data": f"{store.source}, split {options.split}",
            "images": {name: len(store[name]) for name in (*SPLITS, options.split)},
            "input": options.input,
            "weights": None if options.weights is None else options.weights.name,
            "epochs": options.epochs,
            "score": options.score,
            "bootstrap": options.bootstrap,
            "reference": reference,
            "rows": rows,
            "seconds": round(time.perf_counter() - begun, 1),
        }
        result |= study_pages.write(options, result)
        write_json(options.out / "study.json", result)
    return result


def _times(run: Path, told: dict[str, Any]) -> dict[str, Any]:
    """What a training cost.

    Returns:
        `{"seconds", "seconds_to_best", "epoch_seconds", "epochs", "best_epoch"}`. `seconds` are those of training and
        validation, `epoch_seconds` those of the fastest epoch, without validation where there is such a one: what else
        the machine does can only make an epoch longer.
    """
    history = RunFolder(run).metrics()
    plain = [row["seconds"] for row in history if "val_loss" not in row] or [row["seconds"] for row in history]
    upto = [row["seconds"] for row in history if row["epoch"] <= (told["best_epoch"] or 0)]
    return {
        "seconds": told["seconds"],
        "seconds_to_best": round(sum(upto), 1),
        "epoch_seconds": round(min(plain), 2),
        "epochs": told["epochs"],
        "best_epoch": told["best_epoch"],
    }


def _classes(config: TrainConfig, store: Store) -> ClassSet:
    return own_classes(store) if config.classes == OWN else class_set(config.classes)


def _fit_of_anchors(config: TrainConfig, model: Any, store: Store) -> dict[str, Any]:
    """The anchors, and the mean IoU of the training boxes with the best of them, in all and by class."""
    classes = _classes(config, store)
    lookup = lookup_of(classes, store)
    stored = tuple(np.flatnonzero(lookup >= 0).tolist())
    stretch = np.array(parse_size(config.input)[::-1]) / np.array(store.image_size[::-1])  # type: ignore[arg-type]
    sizes = stats.sizes(store["train"], stored) * stretch / network.STRIDE
    kinds = lookup[stats.classes(store["train"], stored)]
    return {
        "anchors": [[round(side, 3) for side in pair] for pair in model.anchors],
        "mean_iou": anchor_tools.mean_iou(sizes, model.anchors),
        "iou_by_class": {
            name: anchor_tools.mean_iou(sizes[kinds == index], model.anchors)
            for index, name in enumerate(classes.names)
            if (kinds == index).any()
        },
    }


def _trainable(config: TrainConfig, model: Any, store: Store) -> dict[str, Any]:
    """How many convolutions and weights learned."""
    weights = sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)
    return {"layers": check_train(config.stages[0].train), "trainable": weights}
