"""Pruning curves of papers 001 and 004: units go step by step, the network is retrained and measured after each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from classify_prune import inputs
from classify_prune.models import Classifier
from classify_prune.pruning.retraining import Held, Retrainer
from classify_prune.recipe import TrainConfig
from data_tools.store import open_store
from prune_tools import surgery
from prune_tools.loops import Stop, progressive
from run_tools import files
from run_tools.config import to_dict

METRICS = ("val_accuracy", "val_loss", "test_accuracy")
DRAWS = "draws"
"""Folder of the changed images that the curves of a seed share, while they are made."""
UNTOLD = ("data", "out")
"""What a curve depends on without its folder knowing where it lies."""


@dataclass(frozen=True)
class Method:
    """A way to choose units and to make up for them.

    Attributes:
        rule, merge, centre, options: as for `loops.progressive`.
        batch: units that one iteration of the paper removes.
    """

    rule: str
    merge: str
    centre: str = "mean"
    batch: int = 1
    options: Mapping[str, Any] = field(default_factory=dict)


class Curves:
    """The curves of one trained network.

    Args:
        config: of the base model's training; data, task, input and preprocessing are the curves' too.
        retraining: of every step; `out` is the folder in which each curve has one of its own.
        layer: whose units go.
        patterns: training inputs whose activations are looked at, evenly taken; None: all.
    """

    def __init__(self, config: TrainConfig, retraining: TrainConfig, layer: str, patterns: int | None = None) -> None:
        self.config, self.retraining, self.layer = config, retraining, layer
        store: Any = open_store(config.data, "classification")
        _, shape = inputs.resolve(config, store)
        size = max(config.batch_size, 100)

        def feed(split: str, batch_size: int = size, **options: Any) -> Any:
            return inputs.feed(store, split, shape, batch_size, config.task, config.classes, **options)

        self.val, self.test = (Held.of(feed(split, shuffle=False)) for split in ("val", "test"))
        self.seen = Held.of(feed("train", shuffle=False, limit=patterns)).inputs
        given = {"augment": config.augment, "limit": config.limit, "seed": retraining.seed}
        train = feed("train", retraining.batch_size, **given)
        self.retrainer = Retrainer(train, self.val, retraining, retraining.out / DRAWS)

    def measure(self, model: Classifier) -> dict[str, float]:
        """`METRICS` of a model."""
        (accuracy, loss), (test, _) = self.val.measure(model), self.test.measure(model)
        return {"val_accuracy": accuracy, "val_loss": loss, "test_accuracy": test}

    def all(self, model: Classifier, methods: Mapping[str, Method], stride: int, retrainings: int) -> dict[str, Any]:
        """Every method and the control.

        Args:
            model: trained; left as it is.
            methods: by name.
            stride: of `curve`.
            retrainings: of `control`.

        Returns:
            `{"curves": {method: see `curve`}, "control": see `control`}`.
        """
        curves = {name: self.curve(name, model, method, stride) for name, method in methods.items()}
        control = self.control(model, retrainings)
        self.retrainer.draws.forget()
        return {"curves": curves, "control": control}

    def curve(self, name: str, model: Classifier, method: Method, stride: int = 1) -> dict[str, Any]:
        """One method from the whole layer to its last unit, retrained after every iteration.

        Args:
            name: of its folder.
            model: trained; left as it is.
            method: of choosing and merging.
            stride: units to remove between retrainings, at least; rounded up to whole iterations of the method.

        Returns:
            `{"removed": [units], metric: [value], "epochs": [of retraining]}`, one a step, the first without removal.
        """
        print(f"{self.retraining.out.name}: {name}", flush=True)
        steps = progressive(
            model,
            self.seen,
            layers=self.layer,
            rule=method.rule,
            batch=method.batch * -(-stride // method.batch),
            merge=method.merge,
            evaluate=self.measure,
            retrain=self.retrainer,
            stop=Stop(),
            folder=self.retraining.out / name,
            centre=method.centre,
            options=method.options,
            seed=self.config.seed,
            note=self._note(),
        )
        found = {metric: steps.column(metric).tolist() for metric in METRICS}
        epochs = [0 if step.retrained is None else step.retrained["epochs"] for step in steps]
        return {"removed": steps.removed.tolist(), **found, "epochs": epochs}

    def control(self, model: Classifier, count: int) -> dict[str, Any]:
        """The network with nothing removed, retrained as often: what further training alone does.

        Returns:
            As `curve`; `removed` is all 0.
        """
        return files.once(self.retraining.out / "control.json", lambda: self._control(model, count))

    def _control(self, model: Classifier, count: int) -> dict[str, Any]:
        made: Any = surgery.remove(model, {}, merge="delete")
        rows, epochs = [self.measure(made)], [0]
        for step in range(1, count + 1):
            epochs.append(self.retrainer(made, step)["epochs"])
            rows.append(self.measure(made))
        found = {metric: [row[metric] for row in rows] for metric in METRICS}
        return {"removed": [0] * len(rows), **found, "epochs": epochs}

    def _note(self) -> dict[str, Any]:
        told = {"base": to_dict(self.config), "retraining": to_dict(self.retraining)}
        return {name: {key: values[key] for key in values if key not in UNTOLD} for name, values in told.items()}
