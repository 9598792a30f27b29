"""How long activation statistics take beside a plain forward pass over the same images, in one run.

    python benchmarks/activations.py [--images 5000] [--model conv] [--size 64] [--batch 50] [--rounds 3] [--json FILE]

Random images; `--model` is "conv" (a plain network of eight 3 x 3 convolutions, 32 to 256 channels) or a name in
`keras.applications`. In each round `predict` and `statistics.collect` go over all images, one after the other; both
have run once before. `collect` builds its graph anew each time, as a user would see it. What counts is the median of
the rounds' ratios; the aim is at most 1.5. Beside it stand the processor seconds of all threads: they say something on
a busy machine too, and threads that spin while they wait show there.
"""

from __future__ import annotations

import argparse
import platform
import statistics as numbers
import sys
import time
from pathlib import Path

import numpy as np

# Run as a script, only this file's folder is on the path.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from run_tools.errors import InputError
from run_tools.files import write_json
from run_tools.quiet import loading

with loading():
    import keras

    from prune_tools import statistics

TARGET = 1.5


def network(name: str, size: int) -> keras.Model:
    """The model to be measured, random weights."""
    if name != "conv":
        build = getattr(keras.applications, name, None)
        if build is None:
            raise InputError(f"--model {name}", "'conv' or a name in keras.applications", "for example MobileNetV2")
        return build(weights=None, input_shape=(size, size, 3), classes=10)
    x = inputs = keras.Input((size, size, 3))
    for index, width in enumerate((32, 32, 64, 64, 128, 128, 256, 256)):
        x = keras.layers.Conv2D(width, 3, padding="same", use_bias=False, name=f"conv_{index}")(x)
        x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
        x = keras.layers.MaxPooling2D(2)(x) if index % 2 else x
    return keras.Model(inputs, keras.layers.Dense(10)(keras.layers.GlobalAveragePooling2D()(x)))


def seconds(work) -> np.ndarray:
    """Wall-clock and processor time of one call."""
    start = np.array([time.perf_counter(), time.process_time()])
    work()
    return np.array([time.perf_counter(), time.process_time()]) - start


def measure(model: keras.Model, images: np.ndarray, batch: int, rounds: int) -> dict:
    """Times both in turn; `{"predict": seconds, "collect": seconds, "ratio": …}`, medians, and the same of processor
    seconds as `"processor"`."""
    works = {
        "predict": lambda part=images: model.predict(part, batch_size=batch, verbose=0),
        "collect": lambda part=images: statistics.collect(model, part, batch_size=batch),
    }
    for work in works.values():
        work(images[:batch])
    taken = [{name: seconds(work) for name, work in works.items()} for _ in range(rounds)]

    def medians(which: int) -> dict:
        found = {name: numbers.median(float(turn[name][which]) for turn in taken) for name in works}
        return {**found, "ratio": numbers.median(float((turn["collect"] / turn["predict"])[which]) for turn in taken)}

    return {**medians(0), "processor": medians(1)}


def main(arguments: list[str] | None = None) -> None:
    """Reads the command line, measures, prints and writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--model", default="conv")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--batch", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args(arguments)
    if min(given.images, given.size, given.batch, given.rounds) < 1:
        parser.error("received a number below 1; expected at least 1; give larger numbers")
    try:
        model = network(given.model, given.size)
    except InputError as error:
        parser.error(str(error))
    images = np.random.default_rng(0).random((given.images, given.size, given.size, 3), np.float32)
    found = measure(model, images, given.batch, given.rounds)
    print(
        f"{given.images} images of {given.size}x{given.size}, {given.model}, batch {given.batch}, {platform.machine()}"
    )
    met, spent = "met" if found["ratio"] <= TARGET else "missed", found["processor"]
    print(f"{'':<9}{'seconds':>10}{'processor':>12}")
    for name in ("predict", "collect"):
        print(f"{name:<9}{found[name]:>10.2f}{spent[name]:>12.2f}")
    print(f"{'ratio':<9}{found['ratio']:>10.2f}{spent['ratio']:>12.2f}   (aim: at most {TARGET} of the seconds, {met})")
    if given.json:
        write_json(given.json, {**vars(given), **found, "target": TARGET})


if __name__ == "__main__":
    main()
