"""What `yolo-prune`'s verbs do: each takes its options and returns a result; `tables.py` prints it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from data_tools.image_files import read_rgb, resize
from data_tools.kitti import write_labels
from data_tools.records import Box
from data_tools.store import Store, open_store
from run_tools import files
from run_tools.errors import InputError
from run_tools.folder import RunFolder
from yolo_prune.class_map import CLASS_SETS, ClassSet
from yolo_prune.drawing import draw, grid
from yolo_prune.evaluation import evaluate as judge
from yolo_prune.models import load_detector
from yolo_prune.options import DetectConfig, EvaluateConfig, ExportConfig
from yolo_prune.predict import predictions, truths
from yolo_prune.recipe import TrainConfig
from yolo_prune.records import Detections, Truth

# Names in KITTI's files of the classes of our heads.
KITTI_NAMES = {"person": "Pedestrian", "bicycle": "Cyclist", "train": "Tram"}


def train(options: TrainConfig) -> dict[str, Any]:
    """Run `train`; see `Trainer.fit` for the result."""
    from yolo_prune.trainer import Trainer

    return Trainer(options, verbose=2).fit()


def classes_of(model) -> ClassSet:
    """The class set that a detector was trained with; InputError when its class names are of none."""
    for known in CLASS_SETS.values():
        if known.names == model.class_names:
            return known
    named = ", ".join(model.class_names) if model.class_names else f"{model.num_classes} classes without names"
    known_names = "; ".join(f"{known.name}: {len(known.names)} classes" for known in CLASS_SETS.values())
    raise InputError(f"a detector of {named}", f"one of the class sets ({known_names})", "train it with --classes")


def evaluate(options: EvaluateConfig) -> dict[str, Any]:
    """Run `evaluate`.

    Returns:
        The metrics as `evaluation.evaluate` returns them, with `truth`, the number of true boxes a class, and `run`: model,
        data, split, images, epochs and seconds of the training where the model is a run folder.
    """
    model = load_detector(options.model)
    classes, store = classes_of(model), open_store(options.data)
    metrics = [name for item in options.metrics for name in item.split(",") if name]
    true = truths(store, options.split, classes.lookup(store.class_names))
    found = list(predictions(model, store[options.split], batch_size=options.batch_size))
    result = judge(true, found, classes.names, metrics, options.score)
    counted = np.concatenate([truth.classes for truth in true])
    result["truth"] = {name: int((counted == index).sum()) for index, name in enumerate(classes.names)}
    result["run"] = describe(options, store, model)
    if options.pictures is not None:
        chosen = np.unique(np.linspace(0, len(true) - 1, min(options.picture_count, len(true))).astype(int))
        write_pictures(
            options.pictures, store, options.split, chosen, true, found, classes.names, options.picture_score
        )
    return result


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
        told["train_images"] = len(store["train"])
    return told


def write_pictures(
    out: Path,
    store: Store,
    split: str,
    indices: Sequence[int],
    true: Sequence[Truth],
    found: Sequence[Detections],
    names: Sequence[str],
    score: float,
) -> list[np.ndarray]:
    """Writes images with truth (above) and detections (below), named by the image, and returns them."""
    view, pictures = store[split], []
    for index in indices:
        image = resize(view.images(index)[0], true[index].size)
        above = draw(image, truth=true[index], class_names=names)
        below = draw(image, found[index], class_names=names, score_threshold=score)
        pictures.append(grid([above, below], columns=1, titles=("truth", f"detections from {score:g}")))
        write_picture(Path(out) / f"{view.ids[index]}.png", pictures[-1])
    return pictures


def write_picture(path: Path, picture: np.ndarray) -> None:
    """Writes uint8 RGB (H, W, 3) as PNG, all or nothing."""
    with files.atomic_path(path) as temporary:
        if not cv2.imwrite(str(temporary), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)):
            raise OSError(f"could not write {path}")


def detect(options: DetectConfig) -> dict[str, Any]:
    """Run `detect`.

    Returns:
        `{"out", "images": {name: {class: count drawn}}}`.

    Raises:
        InputError: for a picture that is missing or broken, or two of the same name.
    """
    model = load_detector(options.model)
    names = model.class_names or tuple(f"class {index}" for index in range(model.num_classes))
    stems = [path.stem for path in options.image]
    twice = sorted({stem for stem in stems if stems.count(stem) > 1})
    if twice:
        raise InputError(f"two pictures named {twice[0]}", "names that differ", "give them one after the other")
    # All are read before the first is written, so that a broken one leaves nothing behind.
    for path in options.image:
        read_rgb(path)
    told: dict[str, dict[str, int]] = {}
    for path in options.image:
        image = read_rgb(path)
        least = min(options.score, options.result_score)
        relative = model.detect(resize(image, model.image_size)[None], score=least)[0]
        found = relative.in_pixels(image.shape[:2])
        drawn = found.take(found.scores >= options.score)
        write_picture(options.out / f"{path.stem}.png", draw(image, drawn, class_names=names))
        listed = found.take(found.scores >= options.result_score)
        write_labels(options.out / "results" / f"{path.stem}.txt", as_boxes(listed, names))
        told[path.name] = {name: int((drawn.classes == k).sum()) for k, name in enumerate(names) if k in drawn.classes}
    return {"out": str(options.out), "images": told}


def as_boxes(found: Detections, names: Sequence[str]) -> list[Box]:
    """Detections in pixels as KITTI's records; what a picture does not tell has the values that mean "unknown"."""
    kitti = [KITTI_NAMES.get(name, name.capitalize()) for name in names]
    return [
        Box(kitti[index], *map(float, box), truncated=-1.0, occluded=-1, score=float(score))
        for box, score, index in zip(found.boxes, found.scores, found.classes, strict=True)
    ]


def export(options: ExportConfig) -> dict[str, Any]:
    """Run `export`; one entry a format, see `export_saved_model`."""
    from yolo_prune.export import export_saved_model

    model = load_detector(options.model)
    limits = {"score": options.score, "iou": options.iou, "limit": options.limit} if options.nms else {}
    return {name: export_saved_model(model, options.out / name, options.nms, **limits) for name in options.formats}
