"""Pruning curves of papers 001 and 004: units go step by step, the network is retrained and measured after each."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from classify_prune import inputs
from classify_prune.models import Classifier
from classify_prune.pruning.retraining import Held, Retrainer
from classify_prune.recipe import TrainConfig
from data_tools.store import open_store
from prune_tools import surgery
from prune_tools.inflection import inflection
from prune_tools.loops import Stop, progressive
from run_tools import figures, files
from run_tools.config import to_dict
from run_tools.summaries import spread

if TYPE_CHECKING:
    from matplotlib.figure import Figure

METRICS = ("val_accuracy", "val_loss", "test_accuracy")
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
        self.retrainer = Retrainer(feed("train", retraining.batch_size, **given), self.val, retraining)

    def measure(self, model: Classifier) -> dict[str, float]:
        """`METRICS` of a model."""
        (accuracy, loss), (test, _) = self.val.measure(model), self.test.measure(model)
        return {"val_accuracy": accuracy, "val_loss": loss, "test_accuracy": test}

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
        path = self.retraining.out / "control.json"
        if path.is_file():
            return dict(files.read_json(path))
        made: Any = surgery.remove(model, {}, merge="delete")
        rows, epochs = [self.measure(made)], [0]
        for step in range(1, count + 1):
            epochs.append(self.retrainer(made, step)["epochs"])
            rows.append(self.measure(made))
        found = {metric: [row[metric] for row in rows] for metric in METRICS}
        told = {"removed": [0] * len(rows), **found, "epochs": epochs}
        files.write_json(path, told)
        return told

    def _note(self) -> dict[str, Any]:
        told = {"base": to_dict(self.config), "retraining": to_dict(self.retraining)}
        return {name: {key: values[key] for key in values if key not in UNTOLD} for name, values in told.items()}


def over(seeds: Mapping[str, Any], name: str, metric: str = "val_accuracy") -> tuple[list[int], np.ndarray]:
    """Units removed, and one curve a seed, shape (seeds, steps)."""
    curves = [found["curves"][name] for found in seeds.values()]
    return curves[0]["removed"], np.array([curve[metric] for curve in curves], np.float64)


def turn(seeds: Mapping[str, Any], name: str, units: int, cost: float, samples: int) -> dict[str, Any]:
    """Where a method's curve turns, found on validation data; test is only read there.

    Args:
        seeds: seed → its `"curves"`.
        name: of the method.
        units: that the layer had.
        cost: of one unit, in any unit of work.
        samples: of the bootstrap over seeds.

    Returns:
        The `Inflection`'s fields with `edge`, whether it is the last point that could be found, `reduced`, the cost
        taken away there, `left`, the share of it that is left, and
        for val and test accuracy at 0 and at the turn: `{"at": [one a seed], "base": [one a seed]}`.
    """
    removed, curves = over(seeds, name)
    # Two points of a line are enough: the fall may be that late.
    found = inflection(removed, curves, least=2, samples=samples)
    at = removed.index(int(found.x))
    told: dict[str, Any] = {**dataclasses.asdict(found), "explained": found.explained, "edge": at >= len(removed) - 3}
    told |= {"reduced": found.x * cost, "left": 1 - found.x / units}
    for split in ("val", "test"):
        values = over(seeds, name, f"{split}_accuracy")[1]
        told[split] = {"at": values[:, at].tolist(), "base": values[:, 0].tolist()}
    return told


def interval(found: Mapping[str, Any]) -> str:
    """A turn as text: "224 (210–240)", "224" with one seed; "≥ 480" where the curve ends before it can be told."""
    told = f"{'≥ ' if found['edge'] else ''}{found['x']:g}"
    # At the curve's end an interval of one point says nothing.
    alone = found["low"] is None or (found["edge"] and found["low"] == found["high"])
    return told if alone else f"{told} ({found['low']:g}–{found['high']:g})"


def control_table(seeds: Mapping[str, Any]) -> tuple[list[str], list[list[Any]]]:
    """Headers and rows: the whole network before and after it was retrained as often, a row a seed."""
    rows: list[list[Any]] = []
    for seed, found in seeds.items():
        test, val = found["control"]["test_accuracy"], found["control"]["val_accuracy"]
        rows.append([seed, len(test) - 1, *(round(100 * value, 1) for value in (val[0], val[-1], test[0], test[-1]))])
    return ["seed", "retrainings", "val % before", "val % after", "test % before", "test % after"], rows


def turns_table(turns: Mapping[str, Any]) -> tuple[list[str], list[list[Any]]]:
    """Headers and rows: where each method turns, and what is left there."""
    head = ["method", "units removed (interval)", "units left %", "val %", "test %", "test % of the base", "explained"]
    rows = []
    for name, found in turns.items():
        row = [name, interval(found), round(100 * found["left"], 1), spread(found["val"]["at"])]
        row += [spread(found["test"]["at"]), spread(found["test"]["base"]), round(found["explained"], 2)]
        rows.append(row)
    return head, rows


def plot(
    seeds: Mapping[str, Any],
    names: Sequence[str],
    metric: str,
    turns: Mapping[str, Any],
    scales: Mapping[str, float],
    ylabel: str,
) -> Figure:
    """Curves of methods: mean of the seeds, a band of ± their deviation, a mark where each turns.

    Args:
        seeds: as for `turn`.
        names: of the methods.
        metric: in 0–1, drawn in percent.
        turns: of the methods that have one.
        scales: title of a panel → what a removed unit counts on its horizontal axis.
        ylabel: of the vertical axis.
    """
    made, axes = figures.figure(6.4 * len(scales), 4.6, 1, len(scales))
    for axis, (title, scale) in zip(np.atleast_1d(axes), scales.items(), strict=True):
        for index, name in enumerate(names):
            removed, values = over(seeds, name, metric)
            x, colour = scale * np.array(removed), f"C{index % 10}"
            mean, spread = 100 * values.mean(axis=0), 100 * values.std(axis=0, ddof=1) if len(values) > 1 else None
            style = "--" if name == "random" else "-"
            axis.plot(x, mean, style, color=colour, linewidth=1.3, label=name)
            if spread is not None:
                axis.fill_between(x, mean - spread, mean + spread, color=colour, alpha=0.15, linewidth=0)
            if name in turns:
                at = removed.index(int(turns[name]["x"]))
                axis.plot(x[at], mean[at], "v", color=colour, markersize=8, markeredgecolor="black")
        axis.set(xlabel=title, ylabel=ylabel)
        axis.grid(alpha=0.3)
    handles, labels = np.atleast_1d(axes)[0].get_legend_handles_labels()
    made.legend(handles, labels, loc="outside lower center", ncols=4, fontsize="small", frameon=False)
    return made
