"""Widths picked over all layers by predicted damage, beside the same part of every layer, L1 norms and chance.

    python benchmarks/budget.py [--seeds 3] [--epochs 15] [--keep .8 .6 .4 .25 .15] [--json FILE]

A network of three convolutions and a dense layer, trained on scikit-learn's digits (8 x 8), is cut to the same
multiply-adds in different ways and judged on test data without any retraining. "damage" is merged by projection,
"residual" by least squares; the others both as published, that is deleted, and with the same least squares, so that
what ranking and merging bring can be told apart. The second table holds predicted damage against the true one: each
layer by itself cut by 10 … 80 % of its multiply-adds, the rank correlation of what was predicted with the rise of the
test cross-entropy.
A few minutes.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

# Run as a script, only this file's folder is on the path.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.digits import judge, load, train
from run_tools.files import write_json
from run_tools.quiet import loading

with loading():
    import keras

    from prune_tools import budget, statistics, surgery

# What it is called, score, scope, merge rule.
WAYS = (
    ("residual, global", "residual", "global", "least_squares"),
    ("residual, uniform", "residual", "uniform", "least_squares"),
    ("damage, global", "damage", "global", "project"),
    ("sensitivity, global", "sensitivity", "global", "delete"),
    ("badness, uniform", "badness", "uniform", "delete"),
    ("L1, uniform", "l1", "uniform", "delete"),
    ("L1, uniform, refitted", "l1", "uniform", "least_squares"),
    ("L1, global", "l1", "global", "delete"),
    ("weights' angles, uniform", "weight_similarity", "uniform", "outgoing"),
    ("random, uniform", "random", "uniform", "delete"),
    ("random, uniform, refitted", "random", "uniform", "least_squares"),
)
PARTS = (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2)
MERGES = {"residual": "least_squares", "damage": "project"}


def network(seed: int) -> keras.Model:
    """Three convolutions and a dense layer on 64 pixels."""
    keras.utils.set_random_seed(seed)
    x = keras.Input((64,))
    y = keras.layers.Reshape((8, 8, 1))(x)
    for index, width in enumerate((24, 48, 48)):
        y = keras.layers.Conv2D(width, 3, padding="same", activation="relu", name=f"conv_{index + 1}")(y)
        y = keras.layers.MaxPooling2D(2)(y) if index else y
    y = keras.layers.Dense(64, activation="relu", name="dense")(keras.layers.Flatten()(y))
    return keras.Model(x, keras.layers.Dense(10, name="out")(y))


def ranks(values: list[float]) -> np.ndarray:
    """Ranks from 0; equal values in their order."""
    return np.argsort(np.argsort(values, kind="stable"), kind="stable")


def measure(seed: int, epochs: int, keeps: list[float]) -> dict:
    """One network cut in all ways: {"base": accuracy, "accuracy": way → one a budget, "correlation": score → ρ}."""
    data = load(seed)
    model = train(network(seed), data["train"], epochs)
    found = statistics.collect(model, data["train"][0], positions=None)
    base, loss = judge(model, data["test"])
    rankings: dict[str, budget.Ranking] = {}
    accuracy: dict[str, list[float]] = {}
    for name, score, scope, rule in WAYS:
        if score not in rankings:
            rankings[score] = budget.Ranking(model, found, score, floor=0.05, data=data["train"], seed=seed)
        for keep in keeps:
            removals = rankings[score].choose(scope, keep=keep)
            smaller = surgery.remove(model, removals, rule, None if rule == "delete" else found)
            accuracy.setdefault(name, []).append(judge(smaller, data["test"])[0])
    correlation = {}
    for score, rule in MERGES.items():
        predicted, true = [], []
        for layer in ("conv_1", "conv_2", "conv_3", "dense"):
            alone = budget.Ranking(model, found, score, floor=0.05, layers=[layer])
            whole = alone.choose(keep=1.0).reached["macs"]
            least = least_macs(model, layer)
            for part in PARTS:
                removals = alone.choose(macs=round(least + part * (whole - least)))
                predicted.append(removals.predicted)
                true.append(judge(surgery.remove(model, removals, rule, found), data["test"])[1] - loss)
        correlation[score] = float(np.corrcoef(ranks(predicted), ranks(true))[0, 1])
    return {"base": base, "accuracy": accuracy, "correlation": correlation}


def least_macs(model: keras.Model, layer: str) -> int:
    """Multiply-adds if a layer had no units at all: what cutting it cannot save."""
    width = model.get_layer(layer).output.shape[-1]
    whole = budget.choose(model, score="l1", layers=[layer], keep=1.0).reached["macs"]
    one = budget.choose(model, score="l1", layers=[layer], macs=whole - 1).reached["macs"]
    return int(whole - width * (whole - one))


def main(arguments: list[str] | None = None) -> None:
    """Reads the command line, measures, prints and writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--keep", type=float, nargs="+", default=[0.8, 0.6, 0.4, 0.25, 0.15])
    parser.add_argument("--json", type=Path)
    given = parser.parse_args(arguments)
    if min(given.seeds, given.epochs) < 1 or not all(0.1 <= keep <= 1 for keep in given.keep):
        parser.error("received numbers out of range; expected seeds and epochs of at least 1, --keep in 0.1 to 1")
    runs = []
    for seed in range(given.seeds):
        runs.append(measure(seed, given.epochs, given.keep))
        print(f"seed {seed} done", file=sys.stderr, flush=True)
    print(f"{'test accuracy at multiply-adds':<32}" + "".join(f"{keep:>16.0%}" for keep in given.keep))
    base = [run["base"] for run in runs]
    print(f"{'not cut':<32}{f'{np.mean(base):.3f} ± {np.std(base):.3f}':>16}")
    for name, *_ in WAYS:
        table = np.array([run["accuracy"][name] for run in runs])
        cells = zip(table.mean(axis=0), table.std(axis=0), strict=True)
        print(f"{name:<32}" + "".join(f"{f'{mean:.3f} ± {spread:.3f}':>16}" for mean, spread in cells))
    print(
        f"\nrank correlation of predicted damage with the rise of the test loss, {len(PARTS)} cuts of each of 4 layers"
    )
    for score in MERGES:
        values = [run["correlation"][score] for run in runs]
        print(f"{score:<32}{f'{np.mean(values):.3f} ± {np.std(values):.3f}':>16}")
    if given.json:
        write_json(given.json, {**vars(given), "runs": runs})


if __name__ == "__main__":
    main()
