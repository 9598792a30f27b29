"""`classify-prune demo`: from nothing to a pruned and exported classifier of rendered vehicles."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from classify_prune import export, figures, verbs
from classify_prune.options import DemoConfig, EvaluateConfig, ExportConfig
from classify_prune.pruning import page
from classify_prune.pruning.options import PruneConfig
from classify_prune.pruning.verb import prune
from classify_prune.recipe import TrainConfig
from classify_prune.tables import class_rows, headline
from classify_prune.trainer import Trainer
from data_tools.compiler import DataCompiler
from data_tools.scenes import studio_folder
from data_tools.store import open_store
from data_tools.vehiclex import VehicleXExtractor
from run_tools import files
from run_tools.figures import pixels
from run_tools.folder import RunFolder
from run_tools.report import Report
from run_tools.summaries import origin

WIDTHS = (8, 16, 32, 64)
SPARSITY = (0.25, 0.5, 0.75)
TUNE_EPOCHS = 2
FORMATS = ("saved_model", "litert")
TITLE = "Demo: a pruned classifier of synthetic vehicles"
NOTES = """These are synthetic vehicles that the program rendered itself, not real images. The numbers show that every
part works, from images to an exported network; they say nothing about real vehicles.

The classifier is an eighth of ResNet-18's widths, trained from scratch for a minute or two, and judged on {images}
images. `classify-prune paper 000` runs the published experiment."""


def demo(options: DemoConfig) -> dict[str, Any]:
    """Run `demo`; one that was cut off goes on where it stopped.

    Returns:
        `{"out", "seconds", "evaluation", "pruning", "export", "report", "synthetic": True}`: what the verbs returned.

    Raises:
        InputError: for a folder that holds a demo with other options.
    """
    begun, run, data = time.perf_counter(), options.out / "run", options.out / "vehicles.h5"
    with RunFolder(options.out).create(options):
        _data(options, data)
        _say(f"2/5 training a narrow ResNet-18 for {options.epochs} epochs")
        Trainer(_recipe(options, data), verbose=2).fit()
        _say("3/5 evaluating")
        evaluation = verbs.evaluate(EvaluateConfig(model=run, data=data))
        _say("4/5 removing units by distinctiveness, least-squares merging, and fine-tuning")
        pruning = _pruning(options, data)
        pruned = prune(pruning)
        _say("5/5 exporting dense and pruned network, writing the page")
        exported = {
            name: export.export(
                ExportConfig(model=model, out=options.out / "exported" / name, formats=FORMATS, data=data)
            )
            for name, model in (("dense", run), ("pruned", _half(pruned)))
        }
        report = _report(options, data, evaluation, pruning, pruned, exported)
        result = {
            "out": str(options.out),
            "seconds": round(time.perf_counter() - begun, 1),
            "evaluation": evaluation,
            "pruning": pruned,
            "export": exported,
            "report": str(report),
            "synthetic": True,
        }
        files.write_json(options.out / "demo.json", result)
    return result


def _data(options: DemoConfig, data: Path) -> None:
    """Renders and compiles what is not there yet; both appear only when they are complete."""
    images = options.out / "vehicles"
    _say(f"1/5 rendering {11 * options.per_type} synthetic vehicles, not real images, in {images}")
    if not images.exists():
        studio_folder.write(
            images, options.per_type, 11 * max(1, options.per_type // 10), options.seed, options.size, None
        )
    if not data.exists():
        DataCompiler(VehicleXExtractor(images), progress=False).compile(data)


def _recipe(options: DemoConfig, data: Path) -> TrainConfig:
    return TrainConfig(
        data=data,
        out=options.out / "run",
        network="resnet18",
        widths=WIDTHS,
        standardise="standard",
        epochs=options.epochs,
        batch_size=32,
        learning_rate=3e-3,
        schedule="cosine",
        monitor="val_accuracy",
        images_every=options.epochs,
        seed=options.seed,
    )


def _pruning(options: DemoConfig, data: Path) -> PruneConfig:
    return PruneConfig(
        model=options.out / "run",
        data=data,
        out=options.out / "pruned",
        sparsity=SPARSITY,
        epochs=TUNE_EPOCHS,
        learning_rate=1e-3,
        batch_size=32,
        dense=False,
        splits=("test",),
        seeds=(options.seed,),
    )


def _half(pruned: dict[str, Any]) -> Path:
    """The run folder of the level at half the units."""
    level = next(each["level"] for each in pruned["levels"] if each["level"] == 0.5)
    (found,) = Path(pruned["out"]).glob(f"distinctiveness-{100 * level:g}-*/best.keras")
    return found


def _report(
    options: DemoConfig,
    data: Path,
    evaluation: dict[str, Any],
    pruning: PruneConfig,
    pruned: dict[str, Any],
    exported: dict[str, Any],
) -> Path:
    report = Report(TITLE, headline(evaluation).split("\n")[0])
    report.text(NOTES.format(images=evaluation["images"]))
    report.section("The vehicles")
    report.image(_sheet(data), "Training images, one of each type in a column; rendered, not real.")
    report.section("The classifier")
    head, rows = class_rows(evaluation)
    report.table(head, rows, headline(evaluation).split("\n")[0])
    report.image(pixels(figures.confusion(evaluation)), "What the images of each type were taken for.")
    page.add(report, pruning, pruned)
    report.section("Exported, dense and with half of the units")
    report.table(
        ["network", "format", "MB", "difference"],
        [
            [name, kind, round(told["bytes"] / 1e6, 3), told["max_difference"]]
            for name, formats in exported.items()
            for kind, told in formats.items()
        ],
        "Each was read back by its runtime and compared with the model on test images.",
    )
    origin(report)
    report.write(options.out / "report.html")
    return options.out / "report.html"


def _sheet(data: Path, rows: int = 3, side: int = 96) -> np.ndarray:
    """Some training images of every type: uint8 RGB, a column a type."""
    store: Any = open_store(data, "classification")
    view = store["train"]
    columns = []
    for kind in range(len(store.class_names)):
        chosen = np.flatnonzero(view.labels == kind)[:rows]
        images = [cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA) for image in view.images(chosen)]
        images += [np.full((side, side, 3), 255, np.uint8)] * (rows - len(images))
        columns.append(np.concatenate(images))
    return np.concatenate(columns, axis=1)


def table(result: dict[str, Any]) -> str:
    """The result of `demo`: what was reached and where to look."""
    head, rows = page.rows(result["pruning"])
    lines = [headline(result["evaluation"]).split("\n")[0]]
    lines += [f"{row[0]} of the units removed: {row[1]} % right, {row[2]:,} parameters" for row in rows[1:]]
    return "\n".join([*lines, f"{result['seconds'] / 60:.1f} min; open {result['report']}"])


def _say(text: str) -> None:
    print(f"demo {text}", flush=True)
