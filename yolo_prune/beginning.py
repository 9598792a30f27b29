"""What a training begins with: its anchors, its network, and the weights that this takes over."""

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from data_tools import anchors as anchor_tools
from data_tools import stats
from data_tools.store import Store
from run_tools.errors import InputError
from yolo_prune.anchors import as_anchors
from yolo_prune.detector import YoloV2
from yolo_prune.models import load_model
from yolo_prune.network import STRIDE
from yolo_prune.recipe import TrainConfig
from yolo_prune.transfer import transfer

Anchors = tuple[tuple[float, float], ...]


def sources(config: TrainConfig) -> dict[str, Path | None]:
    """The networks and masks that a training reads.

    Args:
        config: of the training.

    Returns:
        The option's name → what was given, as `run_tools.origins` takes it.
    """
    prune = config.prune
    named = {"weights": config.weights, "teacher": config.teacher}
    return named if prune is None else named | {"rewind": prune.rewind, "previous": prune.previous}


def anchors_of(config: TrainConfig, store: Store, lookup: np.ndarray, image_size: tuple[int, int]) -> Anchors:
    """The anchors of a config: those it names, those of its warm start, or k-means of the training boxes.

    Args:
        config: of the training.
        store: its data.
        lookup: class of the head for each stored class, −1 for none; boxes without one do not count.
        image_size: (height, width) of the network's input.

    Returns:
        (width, height) pairs in grid cells.

    Raises:
        InputError: for anchors that are none, a warm start that does not say its own, or fewer boxes than anchors.
    """
    if config.anchors == "weights":
        return _anchors_of_weights(config.weights)
    if config.anchors != "kmeans":
        return as_anchors(config.anchors)
    stored = tuple(np.flatnonzero(lookup >= 0).tolist())
    sizes = stats.sizes(store["train"], stored)
    weights = None
    if config.anchor_balance:
        weights = anchor_tools.class_weights(lookup[stats.classes(store["train"], stored)])
    stretch = np.array(image_size[::-1]) / np.array(store.image_size[::-1])
    found = anchor_tools.kmeans(sizes * stretch / STRIDE, config.anchor_count, config.seed, weights=weights)
    return as_anchors(np.round(found, 4))


def _anchors_of_weights(source: Path | None) -> Anchors:
    """Those of the detector that the training goes on from."""
    origin = None if source is None or source.suffix == ".npz" else load_model(source)
    anchors = getattr(origin, "anchors", None)
    if anchors is None:
        raise InputError(
            "anchors of the weights, and no --weights" if source is None else f"anchors of {source}, which says none",
            "--weights with a detector, whose anchors these are to be",
            "give one, or --anchors as pairs w,h;w,h",
        )
    return anchors


def network_of(
    config: TrainConfig, class_names: Sequence[str], anchors: Anchors, image_size: tuple[int, int]
) -> tuple[YoloV2, set[str] | None]:
    """A new network of a config, with the weights of its warm start.

    Args:
        config: of the training.
        class_names: of the head.
        anchors: of the head.
        image_size: (height, width) of the input.

    Returns:
        The network, and the layers that the warm start left as they were; None without one.

    Raises:
        InputError: for widths or weights that do not fit.
    """
    model = YoloV2(
        len(class_names),
        anchors,
        image_size,
        variant=config.variant,
        width_multiplier=config.width_multiplier,
        widths=config.widths,
        class_names=class_names,
        passthrough=config.passthrough,
    )
    return model, None if config.weights is None else _warm_start(model, config)


def _warm_start(model: YoloV2, config: TrainConfig) -> set[str]:
    """Weights of `config.weights`; returns the layers that these left as they were.

    A head of other classes or anchors is refused unless a new one is asked for.
    """
    source = config.weights
    if source is None:
        return set()
    result = transfer(model, source, head=not config.new_head)
    head = model.layers[-1].name
    other = [result.skipped[head]] if head in result.skipped else list(result.notes)
    if head in result.loaded and not result.described and config.anchors == "kmeans":
        other = ["it does not say its anchors, and these were just found by k-means"]
    if other and not config.new_head:
        raise InputError(
            f"{source} with another head ({other[0]})",
            "the classes and anchors of this training",
            "give those with --classes and --anchors ('weights': its own), or --new-head to begin with a fresh one",
        )
    print(f"weights of {source}: loaded {', '.join(result.loaded)}")
    for name, reason in result.skipped.items():
        print(f"  {name} starts fresh: {reason}")
    return set(result.skipped)


def tell_what_stays_random(model: YoloV2, train: str, learn: Collection[str], fresh: Collection[str] | None) -> None:
    """Says which convolutions the first stage keeps as they begin although nothing was loaded into them.

    Args:
        model: the network.
        train: what the stage trains, in the config's words.
        learn: the layers that it trains.
        fresh: of `network_of`.
    """
    kept = [layer.name for layer in model.layers if layer.weights and layer.name not in learn]
    random = [name for name in kept if name.startswith("conv_") and (fresh is None or name in fresh)]
    if random:
        print(
            f"note: stage {train} keeps {', '.join(random)} as they begin, which is at random; "
            "give --weights that hold them, or let all layers learn first"
        )
