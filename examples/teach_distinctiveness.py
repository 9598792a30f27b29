"""Draws the pictures of docs/distinctiveness.md: a small network on scikit-learn's digits, pruned by distinctiveness.

    python examples/teach_distinctiveness.py [OUT]

Writes angles.png, units.png and before_after.png into OUT (docs/distinctiveness), and prints the accuracies that the
last one shows. Needs scikit-learn; a minute on a laptop CPU.
"""

import argparse
import sys
from pathlib import Path

import keras
import matplotlib
import numpy as np

from prune_tools import distinctiveness, statistics, surgery
from run_tools.files import atomic_path
from run_tools.optional import require

matplotlib.use("Agg")
from matplotlib import pyplot as plt

UNITS = 100
RULES = ("delete", "incoming", "outgoing", "project", "least_squares")


def digits():
    """Images of 64 pixels in 0–1 and classes: 1,200 to train on, 597 to test with."""
    data = require("sklearn.datasets", "cluster").load_digits()
    order = np.random.default_rng(0).permutation(len(data.data))
    x, y = (data.data[order] / 16).astype(np.float32), data.target[order]
    return (x[:1200], y[:1200]), (x[1200:], y[1200:])


def trained(x, y):
    """64 pixels, 100 ReLU units, 10 classes."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((64,))
    hidden = keras.layers.Dense(UNITS, activation="relu", name="hidden")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(10, name="out")(hidden))
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(x, y, epochs=60, batch_size=32, verbose=0)
    return model


def accuracy(model, x, y):
    """Part of the images that are named rightly."""
    return float((keras.ops.convert_to_numpy(model(x)).argmax(axis=1) == y).mean())


def chain(angles):
    """Units in an order in which each is followed by the one most like it that is left."""
    # Dead units have no angle to anything: the sums leave them out, and they come last.
    sums = np.where(np.isnan(np.diag(angles)), np.inf, np.nansum(angles, axis=1))
    order = [int(sums.argmin())]
    left = set(range(len(angles))) - {order[0]}
    while left:
        near = min(left, key=lambda unit: (np.nan_to_num(angles[order[-1], unit], nan=180.0), unit))
        order.append(near)
        left.remove(near)
    return np.array(order)


def save(figure, path):
    """Writes a picture, whole or not at all."""
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=90, bbox_inches="tight")
    plt.close(figure)


def draw_angles(path, before, after):
    """The angles between all units as a heat map, before and after."""
    figure, axes = plt.subplots(1, 2, figsize=(9.5, 4.2), layout="constrained")
    for one, angles in zip(axes, (before, after), strict=True):
        order = chain(angles)
        one.set_facecolor("0.8")  # dead units, which have no angle
        shown = one.imshow(angles[np.ix_(order, order)], vmin=0, vmax=180, cmap="RdYlBu")
        least = np.nanmin(angles + np.diag(np.full(len(angles), np.nan)))
        place = "units, each beside one that is like it"
        one.set(title=f"{len(angles)} units; nearest pair {least:.0f}° apart", xlabel=place, ylabel=place)
    figure.colorbar(shown, ax=axes, label="angle between outputs, degrees", ticks=range(0, 181, 30))
    save(figure, path)


def draw_units(path, model, x, pairs, angles):
    """The first pairs that are merged: what both look for in the image, and what they say to all images."""
    kernel, bias = (keras.ops.convert_to_numpy(weight) for weight in model.get_layer("hidden").weights)
    outputs = np.maximum(x @ kernel + bias, 0)
    figure, axes = plt.subplots(3, len(pairs), figsize=(9.5, 7.2), layout="constrained")
    for column, (removed, kept) in zip(axes.T, pairs, strict=True):
        size = np.abs(kernel[:, [removed, kept]]).max()
        for one, unit, told in ((column[0], kept, "kept"), (column[1], removed, "removed")):
            one.imshow(kernel[:, unit].reshape(8, 8), cmap="RdBu", vmin=-size, vmax=size)
            one.set(title=f"unit {unit}, {told}", xticks=[], yticks=[], xlabel="weights of 8 × 8 pixels")
        column[2].scatter(outputs[:, kept], outputs[:, removed], s=4, alpha=0.3, color="tab:blue", edgecolors="none")
        c = np.cov(outputs[:, kept], outputs[:, removed])
        slope, end = c[0, 1] / c[0, 0], np.array([0, outputs[:, kept].max()])
        column[2].plot(
            end, outputs[:, removed].mean() + slope * (end - outputs[:, kept].mean()), color="tab:red", linewidth=1.5
        )
        title = f"outputs {angles[removed, kept]:.0f}° apart"
        column[2].set(title=title, xlabel=f"output of {kept}", ylabel=f"output of {removed}")
    save(figure, path)


def draw_accuracy(path, curves, base):
    """Test accuracy over the units that are left, without retraining."""
    figure, axis = plt.subplots(figsize=(7, 4.2), layout="constrained")
    axis.axhline(base, color="grey", linestyle=":", label="all units")
    for rule, points in curves.items():
        axis.plot(*zip(*points, strict=True), marker="o", markersize=3, label=rule)
    axis.set(xlabel="units left of 100", ylabel="test accuracy, not retrained", ylim=(0, 1.02))
    axis.invert_xaxis()
    axis.legend()
    save(figure, path)


def main(out="docs/distinctiveness"):
    """Trains, prunes, draws."""
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    (x, y), test = digits()
    model = trained(x, y)

    found = statistics.collect(model, x)
    gram = found["hidden"]
    angles = distinctiveness.angles(gram.gram, gram.sums, gram.count, centre="mean")
    pairs = distinctiveness.select(angles, rule="most_similar", count=90)

    curves = {}
    for rule in RULES:
        curves[rule] = [(UNITS, accuracy(model, *test))]
        for count in range(10, 91, 10):
            smaller = surgery.remove(model, {"hidden": pairs[:count]}, rule, found)
            curves[rule].append((UNITS - count, accuracy(smaller, *test)))
    kept = np.setdiff1d(np.arange(UNITS), [removed for removed, _ in pairs[:50]])

    draw_angles(folder / "angles.png", angles, angles[np.ix_(kept, kept)])
    merged = [(removed, partner) for removed, partner in pairs if partner is not None][:4]
    draw_units(folder / "units.png", model, x, merged, angles)
    draw_accuracy(folder / "before_after.png", curves, curves["delete"][0][1])
    print(f"{'units left':<16}" + "".join(f"{left:>7}" for left, _ in curves["delete"]))
    for rule, points in curves.items():
        print(f"{rule:<16}" + "".join(f"{value:>7.3f}" for _, value in points))
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", nargs="?", default="docs/distinctiveness", help="folder of the pictures")
    sys.exit(main(parser.parse_args().out))
