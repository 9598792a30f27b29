"""What each merge rule leaves of a small network's accuracy without any retraining: scikit-learn's digits.

    python benchmarks/digits.py [--seeds 3] [--units 100] [--epochs 40] [--json FILE]

64 pixels, one hidden layer of 100 units (ReLU, tanh or sigmoid), 10 classes. Units are removed one of the most similar
pair at a time (`distinctiveness.select`), ReLU down to 50, tanh and sigmoid down to 10, and what the output layer gets
for them is left to the rule. The ridge of "least_squares" is the one with the least cross-entropy on a held-out part.
Test accuracy, mean and standard deviation over seeds; a minute or two.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

# Run as a script, only this file's folder is on the path.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from run_tools.files import write_json
from run_tools.quiet import loading

with loading():
    import keras

    from prune_tools import distinctiveness, merge, statistics, surgery

LEFT = {"relu": 0.5, "tanh": 0.1, "sigmoid": 0.1}
RIDGES = tuple(10.0**power for power in range(-8, 1))


def load(seed: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """ "train" (1,200), "held" (200) and "test" (397): images of 64 pixels in 0–1, and classes, shuffled by seed."""
    from sklearn.datasets import load_digits

    data = load_digits()
    order = np.random.default_rng(seed).permutation(len(data.data))
    x, y = (data.data[order] / 16).astype(np.float32), data.target[order]
    return {"train": (x[:1200], y[:1200]), "held": (x[1200:1400], y[1200:1400]), "test": (x[1400:], y[1400:])}


def judge(model: keras.Model, part: tuple[np.ndarray, np.ndarray]) -> tuple[float, float]:
    """Accuracy in 0–1 and cross-entropy of a model that gives logits."""
    logits = keras.ops.convert_to_numpy(model(part[0], training=False)).astype(np.float64)
    peak = logits.max(axis=1, keepdims=True)
    logits = logits - peak - np.log(np.exp(logits - peak).sum(axis=1, keepdims=True))
    rows = np.arange(len(part[1]))
    return float((logits.argmax(axis=1) == part[1]).mean()), float(-logits[rows, part[1]].mean())


def train(model: keras.Model, part: tuple[np.ndarray, np.ndarray], epochs: int) -> keras.Model:
    """Fits a model that gives logits."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(3e-3), loss, metrics=["accuracy"])
    model.fit(*part, epochs=epochs, batch_size=64, verbose=0)
    return model


def measure(activation: str, units: int, epochs: int, seed: int) -> dict[str, float]:
    """Test accuracies of one network: "base", and one for each rule; "ridge" that was chosen."""
    data = load(seed)
    keras.utils.set_random_seed(seed)
    x = keras.Input((64,))
    hidden = keras.layers.Dense(units, activation=activation, name="hidden")(x)
    model = train(keras.Model(x, keras.layers.Dense(10, name="out")(hidden)), data["train"], epochs)
    found = statistics.collect(model, data["train"][0])
    gram = found["hidden"]
    angles = distinctiveness.angles(gram.gram, gram.sums, gram.count)
    pairs = {"hidden": distinctiveness.select(angles, "most_similar", units - round(LEFT[activation] * units))}
    result = {"base": judge(model, data["test"])[0]}
    for rule in merge.RULES:
        ridges = RIDGES if rule == "least_squares" else RIDGES[:1]
        made = {ridge: surgery.remove(model, pairs, rule, found, ridge) for ridge in ridges}
        best = min(made, key=lambda ridge: judge(made[ridge], data["held"])[1])
        result[rule] = judge(made[best], data["test"])[0]
    return {**result, "ridge": best}


def main(arguments: list[str] | None = None) -> None:
    """Reads the command line, measures, prints and writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--units", type=int, default=100)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args(arguments)
    if min(given.seeds, given.epochs) < 1 or given.units < 10:
        parser.error("received too small a number; expected at least 1 seed, 1 epoch, 10 units; give larger ones")
    names = ["base", *merge.RULES]
    print(f"{'':<16}" + "".join(f"{name:>16}" for name in names))
    rows = []
    for activation, part in LEFT.items():
        runs = [measure(activation, given.units, given.epochs, seed) for seed in range(given.seeds)]
        means = {name: float(np.mean([run[name] for run in runs])) for name in names}
        spread = {name: float(np.std([run[name] for run in runs])) for name in names}
        kept = round(part * given.units)
        cells = "".join(f"{f'{means[name]:.3f} ± {spread[name]:.3f}':>16}" for name in names)
        print(f"{f'{activation} to {kept}':<16}{cells}", flush=True)
        rows.append({"activation": activation, "kept": kept, "runs": runs, "mean": means, "sd": spread})
    if given.json:
        write_json(given.json, {**vars(given), "rows": rows})


if __name__ == "__main__":
    main()
