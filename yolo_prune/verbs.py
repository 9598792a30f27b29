"""What `yolo-prune`'s verbs do: each takes its options and returns a result; `tables.py` prints it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data_tools.image_files import resize
from data_tools.store import SplitView, Store, open_store
from run_tools import config
from run_tools.errors import InputError, unknown_name
from run_tools.folder import RunFolder
from run_tools.report import check_folder
from yolo_prune.class_map import CLASS_SETS, ClassSet, lookup_of, own_classes
from yolo_prune.drawing import draw, grid
from yolo_prune.evaluation import METRICS
from yolo_prune.evaluation import evaluate as judge
from yolo_prune.evaluation_page import write_page
from yolo_prune.models import load_detector
from yolo_prune.options import EvaluateConfig, ExportConfig
from yolo_prune.outputs import write_picture
from yolo_prune.predict import predictions, truths
from yolo_prune.recipe import TrainConfig
from yolo_prune.records import Detections, Truth
from yolo_prune.verbs_bootstrap import resamples, rival, uncertainty


def train(options: TrainConfig) -> dict[str, Any]:
    """Run `train`; see `Trainer.fit` for the result."""
    from yolo_prune.trainer import Trainer

    return Trainer(options, verbose=2).fit()


def classes_of(model, store: Store) -> ClassSet:
    """The class set that a detector was trained with, known by its class names.

    Args:
        model: the detector.
        store: the file that it is to be used on.

    Returns:
        The file's own classes when the names are these, whether in upper or lower case; else a set of `CLASS_SETS`.

    Raises:
        InputError: when the names are neither the file's nor those of a known set.
    """
    names = tuple(name.lower() for name in model.class_names or ())
    # First, so that a file whose classes are called as a known set's need not spell them as KITTI does.
    if names and names == tuple(name.lower() for name in store.class_names):
        return own_classes(store)
    for known in CLASS_SETS.values():
        if known.names == names:
            return known
    named = ", ".join(model.class_names) if model.class_names else f"{model.num_classes} classes without names"
    known_names = "; ".join(f"{known.name}: {len(known.names)} classes" for known in CLASS_SETS.values())
    raise InputError(
        f"a detector of {named}",
        f"one of the class sets ({known_names}) or the classes of {store.path} ({', '.join(store.class_names)})",
        "train it with --classes, or choose the data that it was trained on",
    )


def metric_names(given: Sequence[str]) -> list[str]:
    """The metrics asked for, each once; commas or blanks between them.

    Raises:
        InputError: for none or an unknown one, before any work is done.
    """
    names = list(dict.fromkeys(name for item in given for name in item.replace(",", " ").split()))
    for name in names:
        if name not in METRICS:
            raise unknown_name("metric", name, METRICS)
    if not names:
        raise InputError("no metrics", f"any of {', '.join(METRICS)}", "give at least one")
    return names


def evaluate(options: EvaluateConfig) -> dict[str, Any]:
    """Run `evaluate`.

    Returns:
        The metrics as `evaluation.evaluate` returns them, with `truth`, the number of true boxes a class, and `run`:
        model, data, split, images, epochs and seconds of the training where the model is a run folder; with intervals
        and a rival where they are wanted (`verbs_bootstrap.uncertainty`), and `report`, the page's path.

    Raises:
        InputError: for a metric, model, file or split that is not there, or classes that do not fit each other.
    """
    metrics = metric_names(options.metrics)
    check_folder(options.report)
    check_folder(options.pictures, "--pictures")
    model = load_detector(options.model, options.input)
    store = open_store(options.data, "detection")
    classes, view = classes_of(model, store), store[options.split]
    weights, other = resamples(options, view), rival(options, classes)
    true = truths(store, options.split, lookup_of(classes, store))
    found = list(predictions(model, view, batch_size=options.batch_size, progress=True))
    result = judge(true, found, classes.names, metrics, options.score)
    counted = np.concatenate([truth.classes for truth in true])
    result["truth"] = {name: int((counted == index).sum()) for index, name in enumerate(classes.names)}
    result["run"] = describe(options, store, model)
    if weights is not None:
        result |= uncertainty(options, weights, other, view, true, found, classes.names, metrics)
    if options.pictures is not None:
        chosen = spread(len(true), options.picture_count)
        write_pictures(options.pictures, view, chosen, true, found, classes.names, options.picture_score)
    if options.report is not None:
        page = write_page(options.report, options, result, view, true, found, classes.names)
        result["report"] = str(page)
    return result


def spread(total: int, count: int) -> list[int]:
    """At most `count` indices spread evenly over `total`, the first and last among them."""
    indices: list[int] = np.unique(np.linspace(0, total - 1, min(count, total)).astype(int)).tolist()
    return indices


def describe(options: EvaluateConfig, store: Store, model) -> dict[str, Any]:
    """What was evaluated, and how it was trained where that is known."""
    told: dict[str, Any] = {
        "model": str(options.model),
        "data": str(options.data),
        "source": store.source,
        "split": options.split,
        "images": len(store[options.split]),
        "input": list(model.image_size),
        "parameters": int(model.count_params()),
        "score": options.score,
    }
    if Path(options.model).is_dir():
        folder = RunFolder(options.model)
        state, rows = folder.read_state() or {}, folder.metrics()
        told["epochs"], told["best_epoch"] = state.get("epoch"), state.get("best_epoch")
        told["train_seconds"] = round(sum(row.get("seconds") or 0.0 for row in rows), 1)
        # Known only where the file is the one that the detector learned from.
        if "train" in store and _trained_on(folder, store.path):
            told["train_images"] = len(store["train"])
    return told


def _trained_on(folder: RunFolder, data: Path) -> bool:
    if not folder.path("config.yaml").is_file():
        return False
    named = config.read_yaml(folder.path("config.yaml")).get("data")
    return named is not None and Path(named).absolute() == data.absolute()


def write_pictures(
    out: Path,
    view: SplitView,
    indices: Sequence[int],
    true: Sequence[Truth],
    found: Sequence[Detections],
    names: Sequence[str],
    score: float,
) -> dict[str, np.ndarray]:
    """Writes pictures of a split, at the size the images had on disk, with truth above and detections below.

    Args:
        out: folder for ID.png.
        view: the split.
        indices: which of its images.
        true: one an image of the split, in pixels of the original.
        found: likewise.
        names: of the head's classes.
        score: least score drawn.

    Returns:
        The image's id → the picture, uint8 RGB.
    """
    pictures = {}
    for index in indices:
        image = resize(view.images(index)[0], true[index].size)
        above = draw(image, truth=true[index], class_names=names)
        below = draw(image, found[index], class_names=names, score_threshold=score)
        picture = grid([above, below], columns=1, titles=("truth", f"detections that score {score:g} or more"))
        write_picture(Path(out) / f"{view.ids[index]}.png", picture)
        pictures[view.ids[index]] = picture
    return pictures


def export(options: ExportConfig) -> dict[str, Any]:
    """Run `export`; one entry a format, see `yolo_prune.export.export`."""
    from prune_tools.export import Choices, check_formats
    from yolo_prune.export import export

    choices = Choices(options.sparse, options.bits, options.codec, options.tolerance)
    formats = check_formats(options.formats, choices)  # before the model is read
    detections = (options.nms, options.score, options.iou, options.limit)
    return export(load_detector(options.model), options.out, formats, *detections, choices, options.images)
