"""`yolo-prune paper003`: the recipes of paper 003 run again, and what they gave beside what it printed."""

import time
from pathlib import Path
from typing import Any

from data_tools.store import Store, open_store
from run_tools.files import parse_size, write_json
from run_tools.folder import RunFolder
from yolo_prune.class_map import lookup_of
from yolo_prune.experiments import pages, recipes, sources, table2
from yolo_prune.experiments.checks import check_splits
from yolo_prune.experiments.options import Paper003Config
from yolo_prune.experiments.sources import Source
from yolo_prune.models import load_detector
from yolo_prune.network import check_image_size
from yolo_prune.trainer import Trainer

SPLITS = ("train", "val")


def paper003(options: Paper003Config) -> dict[str, Any]:
    """Run `paper003`; one that was cut off goes on where it stopped, and recipes that are done are not run again.

    Args:
        options: data, folder, source weights.

    Returns:
        `{"out", "source", "head", "quick", "input", "data", "images", "rows": {title: what `table2.judge` returned, or
        None}, "paper": {title: {class: [precision, recall]}}, "runs": {title: what `Trainer.fit` returned}, "seconds",
        "report", "figure"}`.

    Raises:
        InputError: for data, weights or a folder that do not fit.
    """
    begun = time.perf_counter()
    store = _checked(options)
    # Before the folder is made: weights that cannot be read must not leave one behind.
    source = None if options.weights is None else _source(options, options.weights)
    with RunFolder(options.out).create(options):
        if source is None:
            made = sources.make(options.out / "made", options.input, options.scenes, options.quick, options.seed)
            source = _source(options, made)
        _say(f"source: {source.told}")
        runs, rows = _run(options, store, source)
        result = {
            "out": str(options.out),
            "source": source.told,
            "head": source.head,
            "quick": options.quick,
            "input": options.input,
            "data": f"{store.source}, split {options.split}",
            "images": {name: len(store[name]) for name in (*SPLITS, options.split)},
            "rows": rows,
            "paper": {title: {name: list(pair) for name, pair in row.items()} for title, row in table2.PAPER.items()},
            "runs": runs,
            "seconds": round(time.perf_counter() - begun, 1),
        }
        figure = pages.loss_figure(_histories(options))
        result["figure"] = str(pages.write_figure(options.out / "fig2.png", figure))
        result["report"] = str(pages.write_paper003(options, result, figure))
        write_json(options.out / "paper003.json", result)
    return result


def table(result: dict[str, Any]) -> str:
    """The result of `paper003`."""
    lines = [f"source weights: {result['source']}"]
    if not result["head"]:
        lines.append("note: the source has no head of COCO's classes, so COCO-FT began with a fresh one")
    if result["quick"]:
        lines.append(f"QUICK: {pages.quick_epochs()}; these are not the paper's recipes")
    images = ", ".join(f"{count} {name}" for name, count in result["images"].items())
    lines += [f"data: {result['data']}; images: {images}; input {result['input']}", "", table2.text(result["rows"]), ""]
    for title, told in result["runs"].items():
        lines.append(f"{title}: {told['epochs']} epochs in {told['seconds'] / 60:.1f} min, {pages.best(told)}")
    return "\n".join([*lines, f"{result['seconds'] / 60:.1f} min now; open {result['report']}"])


def _checked(options: Paper003Config) -> Store:
    """The data, once everything that can be wrong with it has been looked at."""
    check_image_size(parse_size(options.input))
    store = open_store(options.data, "detection")
    lookup_of(table2.class_columns(), store)
    check_splits(store, (*SPLITS, options.split))
    return store


def _source(options: Paper003Config, weights: Path) -> Source:
    return sources.read(weights, check_image_size(parse_size(options.input)), options.seed)


def _run(options: Paper003Config, store: Store, source: Source) -> tuple[dict[str, Any], dict[str, Any]]:
    """What training and judging gave, by the title of the row."""
    runs: dict[str, Any] = {}
    rows: dict[str, Any] = {table2.NOT_TUNED: None}
    if source.head:
        _say(f"{table2.NOT_TUNED}: judging")
        rows[table2.NOT_TUNED] = table2.judge(source.detector, store, options.split)
    for recipe in recipes.RECIPES:
        _say(f"{recipe.title}: training")
        before = recipe.begins_with
        config = recipes.training(
            recipe,
            options.data,
            options.out / recipe.name,
            source.weights if before is None else options.out / before,
            input=options.input,
            batch_size=options.batch_size,
            # A source without COCO's classes lends its body alone.
            new_head=True if before is None and not source.head else None,
            quick=options.quick,
            seed=options.seed,
            **source.network,
        )
        runs[recipe.title] = Trainer(config, verbose=2).fit()
        _say(f"{recipe.title}: judging")
        rows[recipe.title] = table2.judge(load_detector(config.out), store, options.split)
    return runs, rows


def _histories(options: Paper003Config) -> dict[str, list[dict[str, Any]]]:
    return {recipe.title: RunFolder(options.out / recipe.name).metrics() for recipe in recipes.RECIPES}


def _say(text: str) -> None:
    print(f"paper 003, {text}", flush=True)
