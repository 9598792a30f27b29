"""`classify-prune prune`: a classifier pruned level by level, fine-tuned and judged."""

from __future__ import annotations

from functools import cached_property, partial
from pathlib import Path
from typing import Any

from classify_prune import inputs
from classify_prune.loading import load_classifier, model_file
from classify_prune.models import Classifier
from classify_prune.pruning import page, tuning
from classify_prune.pruning.options import PruneConfig
from classify_prune.recipe import TrainConfig
from classify_prune.verbs import check_inputs
from data_tools.tables import grid
from prune_tools import distinctiveness, masks, surgery
from prune_tools.statistics import Statistics
from run_tools import files
from run_tools.errors import InputError
from run_tools.files import sha256
from run_tools.folder import RunFolder

RESULT = "prune.json"
START, DENSE = "start", "dense"
MAY_CHANGE = ("out", "sparsity", "angles", "seeds", "dense")
"""Options that may differ when a folder is gone on with: each training in it has a config of its own."""


def prune(options: PruneConfig) -> dict[str, Any]:
    """Run `prune`; levels that are finished are not run again, one that was cut off goes on.

    Returns:
        `{"out", "method", "model", "data", "source", "splits", "unit": of the levels, "start": judged, "dense": [judged
        of each seed], "levels": [{"level", "runs": [judged of each seed], "widths"}], "note", "report"}`; judged is
        what `tuning.tuned` returns. Also written to `OUT/prune.json`.

    Raises:
        InputError: for options, a model, data or a folder that do not fit each other.
    """
    subject = Subject(options)
    with RunFolder(options.out).create(options, ignore=MAY_CHANGE) as folder:
        subject.check_same(folder)
        folder.renew(options, MAY_CHANGE)
        result: dict[str, Any] = {
            "out": str(options.out),
            "method": options.method,
            "model": str(options.model),
            "data": str(options.data),
            "source": subject.judge.store.source,
            "splits": list(options.splits),
            "unit": "°" if options.angles is not None else "%",
            "start": subject.start(),
            "dense": [subject.dense(seed) for seed in options.seeds] if options.dense and options.epochs else [],
            "levels": [subject.level(level) for level in options.levels],
            "note": page.NOTES[options.method],
        }
        result["report"] = str(page.write(options, result))
        files.write_json(folder.path(RESULT), result)
    return result


class Subject:
    """The classifier that is pruned, and what it is judged on.

    Args:
        options: of the verb.
    """

    def __init__(self, options: PruneConfig) -> None:
        self.options = options
        self.model: Classifier = load_classifier(options.model)
        self.judge = tuning.Judge(options.data, options.splits, options.task, options.classes, options.batch_size)
        check_inputs(self.model, self.judge.store)
        names = self.judge.store.task(options.task, options.classes).class_names
        if self.model.class_names != names:
            told = ", ".join((self.model.class_names or ())[:6]) or f"{self.model.num_classes} without names"
            raise InputError(
                f"a classifier of the classes {told}", f"those of the data ({', '.join(names[:6])})", "see --task"
            )
        # Before the folder is made: what a training would refuse must not leave one behind.
        for split in ("train", "val") if options.epochs else ("train",):
            _ = self.judge.store[split]
        inputs.resolve(self._recipe(options.out, 0), self.judge.store)

    def check_same(self, folder: RunFolder) -> None:
        """Refuses to go on with another model than the folder was begun with."""
        place, digest = folder.path("model.json"), sha256(model_file(self.options.model))
        if place.is_file() and files.read_json(place)["sha256"] != digest:
            raise InputError(
                f"{self.options.model} with other contents than when {self.options.out} was begun",
                "the same model",
                "bring it back, or choose a new --out",
            )
        files.write_json(place, {"sha256": digest})

    @cached_property
    def statistics(self) -> Statistics:
        """Of the model on training inputs."""
        return self.judge.statistics(self.model, self.options.images)

    def start(self) -> dict[str, Any]:
        """The model as it was given, judged."""
        return self.judge.judge(self.model)

    def dense(self, seed: int) -> dict[str, Any]:
        """The model trained as long as the pruned ones, judged."""
        return self._tuned(f"{DENSE}-{seed}", seed, self._copy)

    def level(self, level: float) -> dict[str, Any]:
        """One level: `{"level", "runs", "widths": {layer: units left} or None}`."""
        label = f"{level:g}deg" if self.options.angles is not None else f"{100 * level:g}"
        widths = None
        if self.options.method == "distinctiveness":
            widths = surgery.widths(self._thinned(level))
        runs = [self._run(f"{self.options.method}-{label}-{seed}", level, seed) for seed in self.options.seeds]
        return {"level": level, "runs": runs, "widths": widths}

    def _run(self, name: str, level: float, seed: int) -> dict[str, Any]:
        if self.options.method == "distinctiveness":
            return self._tuned(name, seed, partial(self._thinned, level))
        return self._tuned(name, seed, self._copy, partial(masks.global_magnitude, self.model, level))

    def _copy(self) -> Classifier:
        return load_classifier(self.options.model)

    def _thinned(self, level: float) -> Classifier:
        options = self.options
        threshold = options.angles is not None
        # Another rule's second threshold, which must not lie under the first.
        bounds: dict[str, Any] = {"below": level, "above": 180.0} if threshold else {}
        made: Any = distinctiveness.prune(
            self.model,
            None,
            rule="threshold" if threshold else options.rule,
            sparsity=None if threshold else level,
            merge=options.merge,
            centre=options.centre,
            statistics=self.statistics,
            multiple=options.multiple,
            **bounds,
        )
        return made

    def _tuned(self, name: str, seed: int, start: Any, held: Any = None) -> dict[str, Any]:
        print(f"prune: {name}", flush=True)
        options = self.options
        out = options.out / name
        if not options.epochs:
            return self._untuned(out, start, held)
        return tuning.tuned(self._recipe(out, seed), self.judge, start, held)

    def _recipe(self, out: Path, seed: int) -> TrainConfig:
        """Of the fine-tuning at a level."""
        options, shape = self.options, self.model.inputs_shape
        return TrainConfig(
            data=options.data,
            out=out,
            task=options.task,
            classes=options.classes,
            network=self.model.architecture,  # type: ignore[arg-type]
            input=f"{shape[1]}x{shape[0]}" if len(shape) == 3 else None,
            dropout=self.model.dropout,
            epochs=options.epochs,
            batch_size=options.batch_size,
            learning_rate=options.learning_rate,
            schedule="cosine",
            augment=options.augment,
            monitor="val_accuracy",
            cpu_bfloat16=options.cpu_bfloat16,
            workers=options.workers,
            seed=seed,
        )

    def _untuned(self, out: Path, start: Any, held: Any) -> dict[str, Any]:
        """Without fine-tuning there is no training: the network is saved where its best checkpoint would be."""

        def judged() -> dict[str, Any]:
            model = start()
            if held is not None:
                made = held()
                made.hold(model)
                made.release(model)
            with files.atomic_path(out / "best.keras") as temporary:
                model.save(temporary)
            return self.judge.judge(model) | {"epochs": 0, "best_epoch": None, "seconds": 0.0}

        return files.once(out / tuning.JUDGED, judged)


def table(result: dict[str, Any]) -> str:
    """The result of `prune` for people."""
    head, rows = page.rows(result)
    cells = [[_text(cell) for cell in row] for row in rows]
    title = f"{result['model']} on {result['data']} ({result['source']})"
    return "\n".join([title, grid([head, *cells]), result["note"].replace("\n", " "), f"open {result['report']}"])


def _text(cell: Any) -> str:
    if cell is None:
        return "-"
    return f"{cell:,}" if isinstance(cell, int) else str(cell)
