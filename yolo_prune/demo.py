"""`yolo-prune demo`: the whole main job on synthetic scenes that the program renders itself."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import cv2

from data_tools.augment import Augment
from data_tools.compiler import DataCompiler
from data_tools.image_files import resize
from data_tools.kitti import KittiExtractor
from data_tools.scenes import street
from data_tools.store import SplitView, Store, open_store
from run_tools import files
from run_tools.errors import InputError
from run_tools.files import parse_size, write_json
from run_tools.folder import RunFolder
from yolo_prune import verbs
from yolo_prune.class_map import class_set
from yolo_prune.detector import YoloV2
from yolo_prune.drawing import draw, grid
from yolo_prune.export import export_saved_model
from yolo_prune.models import load_detector
from yolo_prune.network import check_image_size
from yolo_prune.options import DemoConfig, EvaluateConfig
from yolo_prune.predict import predictions, truths
from yolo_prune.recipe import Stage, TrainConfig
from yolo_prune.records import Detections, Truth
from yolo_prune.report import write_report
from yolo_prune.trainer import Trainer

SCENE_SIZE = (375, 1242)
WIDTHS = (8, 16, 32, 64, 128, 192, 192, 192)
FRACTIONS = (0.8, 0.1, 0.1)
CLASSES: Literal["merged"] = "merged"
SPLIT = "val"
PICTURES = 12
OVERVIEW, OVERVIEW_WIDTH = 6, 1600
DRAWN_SCORE = 0.3
TITLE = "Demo: a detector of synthetic street scenes"
NOTES = """These are synthetic street scenes that the program rendered itself, not real images. The numbers show that
every part works, from a folder of images to an exported detector; they say nothing about KITTI or real roads.

The detector is a narrow tiny-YOLOv2, trained from scratch for a few minutes so that the demo runs on a laptop. The
result is that of the validation scenes ({images} of them), which also chose the best checkpoint."""


def demo(options: DemoConfig) -> dict[str, Any]:
    """Run `demo`; one that was cut off goes on where it stopped.

    Args:
        options: where, how many scenes, how long.

    Returns:
        `{"out", "seconds", "report", "evaluation", "export", "synthetic": True}`.

    Raises:
        InputError: for a size that does not fit the network, or a folder that holds a demo with other options.
    """
    begun = time.perf_counter()
    check_image_size(parse_size(options.input))
    run = options.out / "run"
    with RunFolder(options.out).create(options):
        store = _data(options)
        _say(f"3/5 training a small tiny-YOLOv2 for {options.epochs} epochs")
        Trainer(recipe(options), verbose=2).fit()
        _say("4/5 evaluating and exporting")
        evaluation = verbs.evaluate(EvaluateConfig(model=run, data=store.path, split=SPLIT))
        model = load_detector(run)
        exported = {
            "raw head": export_saved_model(model, run / "saved_model_raw"),
            "detections": export_saved_model(model, run / "saved_model", nms=True),
        }
        _say(f"5/5 drawing detections in {min(PICTURES, len(store[SPLIT]))} scenes and writing the report")
        report = _report(options, evaluation, exported, model, store)
        result = {
            "out": str(options.out),
            "seconds": round(time.perf_counter() - begun, 1),
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
        classes=CLASSES,
        stages=(Stage("all", options.epochs, 2e-3, warmup=100),),
        batch_size=4,
        # In so few epochs fresh scenes teach more than distorted ones.
        augment=Augment(scale=1.0, aspect=0.0, hue=0.02, saturation=1.2, exposure=1.2),
        monitor_every=max(1, options.epochs // 4),
        images_every=max(1, options.epochs // 3),
        seed=options.seed,
    )


def _data(options: DemoConfig) -> Store:
    """Renders and compiles what is not there yet; both appear only when they are complete."""
    scenes, data, size = options.out / "scenes", options.out / "street.h5", parse_size(options.input)
    _say(f"1/5 rendering {options.images} synthetic street scenes, not real images, in {scenes}")
    if not scenes.exists():
        street.write(scenes, options.images, options.seed, SCENE_SIZE, None)
    _say(f"2/5 compiling them to {data}")
    if not data.exists():
        compiler = DataCompiler(KittiExtractor(scenes), size, split="random", fractions=FRACTIONS, seed=options.seed)
        compiler.compile(data)
    store = open_store(data, "detection")
    lookup = class_set(CLASSES).lookup(store.class_names)
    if not any((truth.classes >= 0).any() for truth in truths(store, SPLIT, lookup)):
        raise InputError(f"{options.images} scenes without an object in {SPLIT}", "more scenes", "raise --images")
    return store


def _report(
    options: DemoConfig, evaluation: dict[str, Any], exported: dict[str, Any], model: YoloV2, store: Store
) -> Path:
    classes, view = verbs.classes_of(model, store), store[SPLIT]
    true, found = truths(store, SPLIT, classes.lookup(store.class_names)), list(predictions(model, view))
    chosen = verbs.spread(len(view), PICTURES)
    write_overview(options.out / "overview.jpg", view, true, found, classes.names)
    drawn = verbs.write_pictures(options.out / "detections", view, chosen, true, found, classes.names, DRAWN_SCORE)
    return write_report(
        RunFolder(options.out / "run"),
        TITLE,
        evaluation,
        true,
        found,
        classes.names,
        {f"synthetic scene {name}": picture for name, picture in drawn.items()},
        NOTES.format(images=len(view)),
        exported,
        command(options),
        options.out / "report.html",
    )


def write_overview(
    path: Path, view: SplitView, true: Sequence[Truth], found: Sequence[Detections], class_names: Sequence[str]
) -> None:
    """Writes one small picture of a few scenes with what was found in them, such as a README shows."""
    drawn = []
    for index in verbs.spread(len(view), OVERVIEW):
        scene = resize(view.images(index)[0], true[index].size)
        drawn.append(draw(scene, found[index], class_names=class_names, score_threshold=DRAWN_SCORE))
    picture = grid(drawn, columns=2)
    small = resize(picture, (picture.shape[0] * OVERVIEW_WIDTH // picture.shape[1], OVERVIEW_WIDTH))
    _, encoded = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 88])
    with files.atomic_path(path) as temporary:
        temporary.write_bytes(encoded.tobytes())


def command(options: DemoConfig) -> list[str]:
    """The words that run this demo again."""
    named = {"images": options.images, "epochs": options.epochs, "input": options.input, "seed": options.seed}
    words = [word for name, value in named.items() for word in (f"--{name}", str(value))]
    return ["yolo-prune", "demo", "--out", str(options.out), *words]


def _say(text: str) -> None:
    print(f"demo {text}", flush=True)
