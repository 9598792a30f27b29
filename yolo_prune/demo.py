"""`yolo-prune demo`: the whole main job on synthetic scenes that the program renders itself."""

import time
from typing import Any

import numpy as np

from data_tools.augment import Augment
from data_tools.compiler import DataCompiler
from data_tools.kitti import KittiExtractor
from data_tools.scenes import street
from data_tools.store import open_store
from run_tools.errors import InputError
from run_tools.files import parse_size, write_json
from run_tools.folder import RunFolder
from yolo_prune import verbs
from yolo_prune.export import export_saved_model
from yolo_prune.models import load_detector
from yolo_prune.network import check_image_size
from yolo_prune.options import DemoConfig, EvaluateConfig
from yolo_prune.predict import predictions, truths
from yolo_prune.recipe import Stage, TrainConfig
from yolo_prune.report import write_report
from yolo_prune.trainer import Trainer

SCENE_SIZE = (375, 1242)
WIDTHS = (8, 16, 32, 64, 128, 192, 192, 192)
FRACTIONS = (0.8, 0.1, 0.1)
PICTURES = 12
NOTES = """These are synthetic street scenes that the program rendered itself, not real images: the numbers show that every
part works, from folder to exported detector, and say nothing about KITTI.

The AP of the table is that of the validation scenes, which also chose the best checkpoint."""


def demo(options: DemoConfig) -> dict[str, Any]:
    """Run `demo`.

    Args:
        options: where, how many scenes, how long.

    Returns:
        `{"out", "seconds", "report", "evaluation", "export", "synthetic": True}`.
    """
    begun = time.perf_counter()
    size = check_image_size(parse_size(options.input))
    scenes, data, run = options.out / "scenes", options.out / "street.h5", options.out / "run"
    _say(f"1/5 rendering {options.images} synthetic scenes")
    if not scenes.exists():
        street.write(scenes, options.images, options.seed, SCENE_SIZE, None)
    _say(f"2/5 compiling them to {data}")
    if not data.exists():
        compiler = DataCompiler(KittiExtractor(scenes), size, split="random", fractions=FRACTIONS, seed=options.seed)
        compiler.compile(data)
    _say(f"3/5 training a small tiny-YOLOv2 for {options.epochs} epochs")
    Trainer(recipe(options), verbose=2).fit()
    _say("4/5 evaluating and exporting")
    evaluation = verbs.evaluate(EvaluateConfig(model=run, data=data, split="val"))
    if not any(evaluation["truth"].values()):
        raise InputError(f"{options.images} scenes without objects in val", "more scenes", "raise --images")
    model = load_detector(run)
    exported = {
        "raw head": export_saved_model(model, run / "saved_model_raw"),
        "detections": export_saved_model(model, run / "saved_model", nms=True),
    }
    _say(f"5/5 drawing {PICTURES} detections and writing the report")
    report = _report(options, evaluation, exported, model)
    seconds = time.perf_counter() - begun
    result = {
        "out": str(options.out),
        "seconds": round(seconds, 1),
        "report": str(report),
        "evaluation": evaluation,
        "export": exported,
        "synthetic": True,
    }
    write_json(options.out / "demo.json", result)
    return result


def recipe(options: DemoConfig) -> TrainConfig:
    """The demo's training: a narrow tiny-YOLOv2 from scratch with anchors of its own scenes."""
    return TrainConfig(
        data=options.out / "street.h5",
        out=options.out / "run",
        input=options.input,
        widths=WIDTHS,
        stages=(Stage("all", options.epochs, 3e-3, warmup=50),),
        batch_size=8,
        augment=Augment(scale=1.3),
        monitor_every=max(1, options.epochs // 6),
        images_every=max(1, options.epochs // 3),
        seed=options.seed,
    )


def _report(options: DemoConfig, evaluation: dict[str, Any], exported: dict[str, Any], model):
    classes, store = verbs.classes_of(model), open_store(options.out / "street.h5")
    true = truths(store, "val", classes.lookup(store.class_names))
    found = list(predictions(model, store["val"]))
    chosen = np.unique(np.linspace(0, len(true) - 1, min(PICTURES, len(true))).astype(int))
    pictures = verbs.write_pictures(
        options.out / "run" / "detections", store, "val", chosen, true, found, classes.names, score=0.3
    )
    folder = RunFolder(options.out / "run")
    title = "Demo: a detector of synthetic street scenes"
    return write_report(folder, title, evaluation, true, found, classes.names, pictures, NOTES, exported)


def _say(text: str) -> None:
    print(f"demo {text}", flush=True)
