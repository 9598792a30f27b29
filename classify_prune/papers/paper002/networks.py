"""The networks of paper 002, one seed: base models, networks pruned after every epoch, networks with fewer units."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import keras
import numpy as np

from classify_prune.loading import load_classifier
from classify_prune.models import Classifier
from classify_prune.networks import HEAD
from classify_prune.papers.base import base_config
from classify_prune.papers.paper002.cumulative import READINGS, CumulativeTrainer, PruneAfterEpochs
from classify_prune.papers.paper002.settings import Settings
from classify_prune.pruning import tuning
from classify_prune.recipe import Task, TrainConfig
from classify_prune.trainer import Trainer
from data_tools.store import open_store
from prune_tools import distinctiveness
from prune_tools.merge import Pairs
from prune_tools.statistics import Statistics
from run_tools import files
from run_tools.checkpoint import LAST
from run_tools.folder import RunFolder

HIDDEN = "dense_1"
SPLITS = ("train", "val", "test")
STRUCTURED = ("distinctiveness", "random units")
NEVER = 1_000_000
"""Epochs between confusion matrices in TensorBoard: of 1,362 classes none can be read."""


class Study:
    """Everything of one seed; trainings and judgements that are done are read back.

    Args:
        data: compiled file of features.
        out: folder of this seed.
        settings: of the paper.
        task: what is told apart.
        seed: of all trainings.
    """

    def __init__(self, data: Path, out: Path, settings: Settings, task: Task, seed: int) -> None:
        self.out, self.settings, self.seed = out, settings, seed
        store: Any = open_store(data, "classification")
        self.judge = tuning.Judge(data, SPLITS, task, batch_size=1000)
        self.layers = (HIDDEN,) if settings.layers == "hidden" else (HIDDEN, HEAD)
        self.config = base_config(
            settings, data=data, out=out, task=task, network="mlp",
            widths=(settings.hidden or store.input_shape[0] // 2,), dropout=0.0, monitor="val_accuracy", patience=None,
            save_every=max(1, settings.epochs // 10), images_every=NEVER, seed=seed,
        )  # fmt: skip

    def trained(self, name: str, epochs: int, pruning: PruneAfterEpochs | None = None) -> dict[str, Any]:
        """A network of the folder `name`, judged after its last epoch.

        Returns:
            What `tuning.Judge.judge` returns, with `kernels` (name → sparsity), `curve` (accuracy on training and on
            validation after each epoch) and `sparsities` (after each epoch; empty where nothing is pruned).
        """
        config = dataclasses.replace(self.config, out=self.out / name, epochs=epochs)
        return self._kept(config, lambda: CumulativeTrainer(config, pruning))

    def _kept(self, config: TrainConfig, trainer: Callable[[], Trainer]) -> dict[str, Any]:
        def made() -> dict[str, Any]:
            print(f"paper 002, seed {self.seed}: {config.out.relative_to(self.out)}", flush=True)
            trainer().fit()
            keras.utils.clear_session()  # graphs of finished runs would pile up
            rows = RunFolder(config.out).metrics()
            return self._judged(load_classifier(config.out / LAST)) | {
                "curve": [[row.get("accuracy"), row.get("val_accuracy")] for row in rows],
                "sparsities": [row["sparsity"] for row in rows if "sparsity" in row],
            }

        return files.once(config.out / tuning.JUDGED, made)

    def _judged(self, model: Classifier) -> dict[str, Any]:
        kernels = {layer.name: layer.kernel for layer in model.layers if layer.name in (HIDDEN, HEAD)}
        values = {name: keras.ops.convert_to_numpy(kernel) for name, kernel in kernels.items()}
        zeros = {name: 1 - float(np.count_nonzero(value)) / value.size for name, value in values.items()}
        return {**self.judge.judge(model), "kernels": zeros, "units": list(model.widths)}

    def base(self) -> dict[str, Any]:
        """Table 3: epochs → judged."""
        return {
            str(epochs): self.trained(f"base-{epochs}", epochs)
            for epochs in (self.settings.epochs, self.settings.long_epochs)
        }

    def cumulative(self) -> dict[str, dict[str, Any]]:
        """Table 4: reading → amount → judged."""
        epochs = self.settings.epochs
        return {
            reading: {
                f"{amount:g}": self.trained(
                    f"{reading}-{100 * amount:g}", epochs, PruneAfterEpochs(amount, reading, self.layers, self.seed)
                )
                for amount in self.settings.amounts
            }
            for reading in READINGS
        }

    @cached_property
    def model(self) -> Classifier:
        """The base model after its last epoch."""
        return load_classifier(self.out / f"base-{self.settings.epochs}" / LAST)

    @cached_property
    def statistics(self) -> Statistics:
        """Of the base model's hidden units on all training vectors."""
        return self.judge.statistics(self.model)

    def structured(self) -> dict[str, Any]:
        """Units removed from the base model, then trained a little; the whole base model trained as long beside them.

        Returns:
            `{"dense": judged, rule of STRUCTURED: {share: {"before": judged without training, "after": judged}}}`.
        """
        found: dict[str, Any] = {"dense": self._tuned("dense", lambda: load_classifier(self._base / LAST))}
        for rule in STRUCTURED:
            found[rule] = {f"{share:g}": self._thinned(rule, share) for share in self.settings.structured}
        return found

    @property
    def _base(self) -> Path:
        return self.out / f"base-{self.settings.epochs}"

    def _tuned(self, name: str, start: Callable[[], Classifier]) -> dict[str, Any]:
        settings = self.settings
        config = dataclasses.replace(
            self.config,
            out=self.out / name,
            epochs=settings.tune_epochs,
            learning_rate=settings.tune_rate,
            save_every=1,
        )
        return self._kept(config, lambda: Trainer(config, verbose=0, start=start))

    def _thinned(self, rule: str, share: float) -> dict[str, Any]:
        name = f"{rule.replace(' ', '-')}-{100 * share:g}"
        before = files.once(self.out / name / "before.json", lambda: self._judged(self._smaller(rule, share)))
        return {"before": before, "after": self._tuned(f"{name}/tuned", self._maker(rule, share))}

    def _maker(self, rule: str, share: float) -> Callable[[], Classifier]:
        return lambda: self._smaller(rule, share)

    def _smaller(self, rule: str, share: float) -> Classifier:
        return tuning.remove(self.model, {HIDDEN: self._units(rule, share)}, "least_squares", self.statistics)

    def _units(self, rule: str, share: float) -> Pairs:
        gram = self.statistics[HIDDEN]
        count = min(round(share * len(gram.sums)), len(gram.sums) - 1)
        if rule == "random units":
            drawn = np.random.default_rng(self.seed).choice(len(gram.sums), count, replace=False)
            return [(int(unit), None) for unit in np.sort(drawn)]
        angles = distinctiveness.angles(gram.gram, gram.sums, gram.count, "mean")
        return distinctiveness.select(angles, "most_similar", count)

    def all(self) -> Mapping[str, Any]:
        """Everything, in the order of the report."""
        return {"base": self.base(), "cumulative": self.cumulative(), "structured": self.structured()}
