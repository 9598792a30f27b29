"""What `classify-prune train` and `evaluate` do: each takes its options and returns a result; `tables.py` prints it."""

from pathlib import Path
from typing import Any

import numpy as np

from classify_prune import inputs, metrics
from classify_prune.evaluation_page import write_page
from classify_prune.loading import load_classifier
from classify_prune.models import Classifier
from classify_prune.options import EvaluateConfig
from classify_prune.recipe import TrainConfig
from data_tools.store import open_store
from run_tools import config
from run_tools.errors import InputError
from run_tools.folder import RunFolder
from run_tools.report import check_folder


def train(options: TrainConfig) -> dict[str, Any]:
    """Run `train`; see `Trainer.fit` for the result."""
    from classify_prune.trainer import Trainer

    return Trainer(options, verbose=2).fit()


def evaluate(options: EvaluateConfig) -> dict[str, Any]:
    """Run `evaluate`.

    Returns:
        What `metrics.judge` returns, with `majority`: the class that is the most frequent one in training (where the
        file has no training split: in this one), and the accuracy of always answering it; `run`: model, network, data,
        split, task, parameters, and epochs of the training where the model is a run folder; and `report`, the page's
        path, where one is wanted.

    Raises:
        InputError: for a model, file or split that is not there, or data of other inputs or classes than the model's.
    """
    check_folder(options.report)
    model = load_classifier(options.model)
    store: Any = open_store(options.data, "classification")
    view = store[options.split]
    name = options.task or _trained_task(options.model)
    task, count = _task_of(model, store, name)
    check_inputs(model, store)
    batches = inputs.feed(store, options.split, model.inputs_shape, options.batch_size, name, count, shuffle=False)
    logits, labels = inputs.logits(model, batches)
    result = metrics.judge(logits, labels, task.class_names)
    result["majority"] = majority(task, "train" if "train" in store else options.split, labels)
    result["run"] = {
        "model": str(options.model),
        "network": model.architecture,
        "widths": list(model.widths),
        "parameters": int(model.count_params()),
        "data": str(options.data),
        "source": store.source,
        "split": view.name,
        "task": name,
        **_training(options.model),
    }
    if options.report is not None:
        result["report"] = str(write_page(options.report, result))
    return result


def majority(task: Any, split: str, labels: np.ndarray) -> dict[str, Any]:
    """What always answering the most frequent class is worth.

    Args:
        task: of the store.
        split: in which the class is the most frequent one.
        labels: on which it is judged, (n,).

    Returns:
        `{"class", "accuracy"}`.
    """
    most = int(task.counts(split).argmax())
    return {"class": task.class_names[most], "accuracy": float((labels == most).mean())}


def check_inputs(model: Classifier, store: Any) -> None:
    """Refuses a file whose contents the model cannot take.

    Raises:
        InputError: for images where it takes vectors, vectors where it takes images or vectors of another length.
    """
    images = model.image_size is not None
    if images != (store.content == "images") or (not images and store.input_shape != model.inputs_shape):
        held = "images" if store.content == "images" else f"vectors of {store.input_shape[0]} numbers"
        wanted = "images" if images else f"vectors of {model.inputs_shape[0]} numbers"
        raise InputError(f"{store.path}, which holds {held}", f"{wanted}, which the model takes", "choose that file")


def _task_of(model: Classifier, store: Any, name: str) -> tuple[Any, int | None]:
    """The task with the model's classes, and how many of its first classes these are; None: all."""
    task = store.task(name)
    names = model.class_names or ()
    if task.class_names == names:
        return task, None
    if 2 <= len(names) < len(task.class_names) and task.class_names[: len(names)] == names:
        return store.task(name, len(names)), len(names)
    told = ", ".join(names[:6]) + (" …" if len(names) > 6 else "") if names else f"{model.num_classes} without names"
    raise InputError(
        f"a classifier of the classes {told}",
        f"those of the task {name} in {store.path} ({', '.join(task.class_names[:6])}"
        f"{' …' if len(task.class_names) > 6 else ''})",
        "choose another --task, or the data that it was trained on",
    )


def _trained_task(model: Path) -> str:
    kept = _config(model)
    return str(kept.get("task", "type"))


def _config(model: Path) -> dict[str, Any]:
    """The options of the run that the model is, or whose folder its file lies in; nothing where there are none."""
    file = RunFolder(model.parent if model.is_file() else model).path("config.yaml")
    return config.read_yaml(file) if file.is_file() else {}


def _training(model: Path) -> dict[str, Any]:
    """How a run folder was trained; nothing for a file."""
    if not Path(model).is_dir():
        return {}
    folder = RunFolder(model)
    state = folder.read_state() or {}
    seconds = sum(row.get("seconds") or 0.0 for row in folder.metrics())
    return {
        "epochs": state.get("epoch"),
        "best_epoch": state.get("best_epoch"),
        "train_seconds": round(seconds, 1),
        "seed": _config(model).get("seed"),
    }
