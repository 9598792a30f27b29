"""What held masks cost: plain `fit`, our masks and tensorflow_model_optimization, side by side in one run.

    python benchmarks/masking.py [--peer-python PYTHON] [--image 64] [--batch 32] [--steps 30] [--rounds 7]

The same convolutional network, images, optimizer (Adam) and batch size in every process; one process a contender,
because tensorflow_model_optimization needs tf_keras, which does not share one with Keras 3, and because peak memory is
a process's. All start, warm up, then train in turns of so many steps, one after the other, so that whatever else the
machine does hits all alike. A ratio is the median over the rounds of the ratios within a round, of the time on the
clock and of the processor's time, which other work on the machine changes less.

`--peer-python` names an interpreter that has tensorflow, tf_keras and tensorflow_model_optimization (default: this
one); where they are missing, their rows say so. At the end, the choice of 60 million weights is timed beside
`np.percentile`.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

# Run as a script, only this file's folder is on the path.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from run_tools.errors import InputError
from run_tools.files import write_json

SPARSITY = 0.8
TARGET = 1.05
SECONDS = 1.0
WEIGHTS = 60_000_000
# name → (what it is compared with, whether it needs the peers' packages)
CONTENDERS = {
    "plain fit": ("plain fit", False),
    "held masks": ("plain fit", False),
    "Pruner, every 100 steps": ("plain fit", False),
    "tf_keras, plain fit": ("tf_keras, plain fit", True),
    "tfmot, every step": ("tf_keras, plain fit", True),
    "tfmot, every 100 steps": ("tf_keras, plain fit", True),
}
PEERS = ("tf_keras", "tensorflow_model_optimization")


def network(keras: Any, image: int) -> Any:
    """Eight convolutions with batch-norm and a head of ten classes, in Keras 3 or in tf_keras; 1.2 million weights."""
    layers = [keras.layers.InputLayer((image, image, 3))]
    for width in (32, 64, 128, 256):
        for strides in (1, 2):
            layers += [
                keras.layers.Conv2D(width, 3, strides=strides, padding="same", use_bias=False),
                keras.layers.BatchNormalization(),
                keras.layers.ReLU(),
            ]
    return keras.Sequential([*layers, keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(10, name="head")])


def compiled(keras: Any, model: Any) -> Any:
    """With the same optimizer and loss, without XLA."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-3), loss, jit_compile=False)
    return model


def kernels_sparsity(model: Any) -> float:
    """Zeros among the kernels of the convolutions."""
    kernels = [np.array(weight) for weight in model.get_weights() if weight.ndim == 4]
    return 1 - sum(map(np.count_nonzero, kernels)) / sum(kernel.size for kernel in kernels)


def ours(name: str, image: int) -> tuple[Any, list[Any], Callable[[], float]]:
    """Model, callbacks, and what to ask for the sparsity at the end; Keras 3."""
    import keras

    from prune_tools import masks
    from prune_tools.pruner import Pruner

    keras.utils.set_random_seed(0)
    model = compiled(keras, network(keras, image))
    callbacks: list[Any] = []
    if name == "held masks":
        found = masks.global_magnitude(model, SPARSITY)
        found.hold(model)
        callbacks = [found.callback()]
    elif name != "plain fit":
        # A little more each time, or there would be nothing to choose.
        callbacks = [Pruner(lambda step: (step % 100 == 0, min(1.0, SPARSITY + step / 100_000)))]
    return model, callbacks, lambda: kernels_sparsity(model)


def theirs(name: str, image: int) -> tuple[Any, list[Any], Callable[[], float]]:
    """The same with tf_keras and tensorflow_model_optimization."""
    import tf_keras
    from tensorflow_model_optimization.sparsity import keras as sparsity

    tf_keras.utils.set_random_seed(0)
    model, callbacks = network(tf_keras, image), []
    if not name.startswith("tf_keras"):
        every = 1 if name.endswith("every step") else 100
        schedule = sparsity.ConstantSparsity(SPARSITY, 0, -1, frequency=every)

        def wrap(layer: Any) -> Any:
            if isinstance(layer, tf_keras.layers.Conv2D):
                return sparsity.prune_low_magnitude(layer, schedule)
            return layer.__class__.from_config(layer.get_config())

        model = tf_keras.models.clone_model(model, clone_function=wrap)
        callbacks = [sparsity.UpdatePruningStep()]
    compiled(tf_keras, model)
    return model, callbacks, lambda: kernels_sparsity(sparsity.strip_pruning(model))


def worker(name: str, image: int, batch: int, steps: int) -> None:
    """Answers each line on standard input with a turn's seconds (clock, processor), the last with what was reached."""
    model, callbacks, sparsity = (theirs if CONTENDERS[name][1] else ours)(name, image)
    rng = np.random.default_rng(0)
    x = rng.random((batch * steps, image, image, 3), np.float32)
    y = rng.integers(0, 10, batch * steps)

    def turn() -> tuple[float, float]:
        start, used = time.perf_counter(), time.process_time()
        model.fit(x, y, batch_size=batch, epochs=1, verbose=0, shuffle=False, callbacks=callbacks)
        return time.perf_counter() - start, time.process_time() - used

    turn()
    print("ready", flush=True)
    for line in sys.stdin:
        if line.strip() != "turn":
            break
        print(json.dumps(turn()), flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"sparsity": sparsity(), "peak_mib": peak}), flush=True)


def installed(python: str) -> bool:
    """Whether an interpreter has the peers' packages."""
    if python == sys.executable:
        return all(importlib.util.find_spec(name) for name in PEERS)
    code = f"import importlib.util as u, sys; sys.exit(not all(u.find_spec(n) for n in {PEERS!r}))"
    try:
        return subprocess.run([python, "-c", code], check=False).returncode == 0
    except OSError:
        raise InputError(f"--peer-python {python}", "a Python interpreter", "check the path") from None


def start(name: str, python: str, options: argparse.Namespace) -> subprocess.Popen[str]:
    """A contender's process."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    if CONTENDERS[name][1]:
        environment["TF_USE_LEGACY_KERAS"] = "1"
    command = [python if CONTENDERS[name][1] else sys.executable, __file__, "--worker", name]
    command += ["--image", str(options.image), "--batch", str(options.batch), "--steps", str(options.steps)]
    return subprocess.Popen(command, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def ask(process: subprocess.Popen[str], name: str, line: str | None) -> str:
    """Sends a line, if any, and waits for the answer."""
    if line is not None and process.stdin is not None:
        process.stdin.write(line + "\n")
        process.stdin.flush()
    answer = process.stdout.readline() if process.stdout is not None else ""
    if not answer:
        raise RuntimeError(f"{name} ended early; what it said stands above")
    return answer.strip()


def race(names: list[str], options: argparse.Namespace) -> list[dict[str, Any]]:
    """Times of all contenders in interleaved rounds."""
    running: dict[str, subprocess.Popen[str]] = {}
    try:
        for name in names:  # one after the other, so that none compiles while another does
            running[name] = start(name, options.peer_python, options)
            ask(running[name], name, None)
        times: dict[str, list[list[float]]] = {name: [] for name in names}
        for number in range(options.rounds):
            for name in names[number % len(names) :] + names[: number % len(names)]:
                times[name].append(json.loads(ask(running[name], name, "turn")))
        last = {name: json.loads(ask(running[name], name, "end")) for name in names}
    finally:
        for process in running.values():
            process.kill()
            process.communicate()
    rows = []
    for name in names:
        base = CONTENDERS[name][0]
        pairs = list(zip(times[name], times.get(base, times[name]), strict=True))
        ratio, processor = (statistics.median(mine[kind] / other[kind] for mine, other in pairs) for kind in (0, 1))
        step = statistics.median(mine[0] for mine in times[name]) / options.steps
        row = {"name": name, "base": base, "step_ms": 1000 * step, "ratio": ratio, "processor_ratio": processor}
        rows.append({**row, **last[name]})
    return rows


def selection(rounds: int, weights: int) -> dict[str, Any]:
    """Seconds for the masks of ten kernels, scores included, and for the percentile alone by NumPy."""
    from prune_tools import scores
    from prune_tools.selection import drop_lowest

    rng = np.random.default_rng(0)
    kernels = [rng.standard_normal(weights // 10, np.float32) for _ in range(10)]
    ours, numpy = [], []
    for _ in range(rounds):
        start = time.perf_counter()
        kept = drop_lowest(scores.magnitude(kernels), round(SPARSITY * weights))
        ours.append(time.perf_counter() - start)
        start = time.perf_counter()
        np.percentile(np.abs(np.concatenate(kernels)), 100 * SPARSITY)
        numpy.append(time.perf_counter() - start)
    if sum(int(np.count_nonzero(mask)) for mask in kept) != weights - round(SPARSITY * weights):
        raise RuntimeError("not exactly as many as asked")
    ratio = statistics.median(mine / other for mine, other in zip(ours, numpy, strict=True))
    return {"weights": weights, "seconds": statistics.median(ours), "best": min(ours), "ratio": ratio}


def table(result: dict[str, Any]) -> str:
    """The result for people."""
    lines = [
        f"images of {result['image']}x{result['image']}, batch {result['batch']}, median of {result['rounds']} "
        f"interleaved rounds of {result['steps']} steps, {os.cpu_count()} cores",
        "",
        f"{'':26} {'ms/step':>8} {'of plain':>9} {'processor':>10} {'peak MiB':>9} {'sparsity':>9}",
    ]
    for row in result["rows"]:
        times = f"{row['step_ms']:8.1f} {row['ratio']:9.3f} {row['processor_ratio']:10.3f}"
        lines.append(f"{row['name']:26} {times} {row['peak_mib']:9.0f} {row['sparsity']:9.4f}")
    lines += [f"{name:26} not installed (--peer-python)" for name in result["missing"]]
    lines.append("")
    found = {row["name"]: row for row in result["rows"]}
    if "held masks" in found and "plain fit" in found:
        for kind, words in (("ratio", "on the clock"), ("processor_ratio", "of the processor's time")):
            verdict = "met" if found["held masks"][kind] <= TARGET else "missed"
            lines.append(f"held masks at most {TARGET:g} of plain fit {words}: {verdict}")
    choice = result["selection"]
    verdict = "met" if choice["seconds"] < SECONDS else "missed"
    lines.append(
        f"{choice['weights']:,} weights chosen in {choice['seconds']:.2f} s (best {choice['best']:.2f} s), "
        f"{choice['ratio']:.2f} of np.percentile; under {SECONDS:g} s: {verdict}"
    )
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    """Parses, measures, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image", type=int, default=64, help="side of the images (default 64)")
    parser.add_argument("--batch", type=int, default=32, help="images a batch (default 32)")
    parser.add_argument("--steps", type=int, default=30, help="steps a turn (default 30)")
    parser.add_argument("--rounds", type=int, default=7, help="turns of every contender (default 7)")
    parser.add_argument("--only", nargs="+", choices=CONTENDERS, default=list(CONTENDERS), help="some of them")
    parser.add_argument("--weights", type=int, default=WEIGHTS, help="to choose from (default 60 million)")
    parser.add_argument("--peer-python", default=sys.executable, help="an interpreter with the peers' packages")
    parser.add_argument("--json", help="also write the result to this file")
    parser.add_argument("--worker", choices=CONTENDERS, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.worker:
        worker(options.worker, options.image, options.batch, options.steps)
        return 0
    try:
        if min(options.image // 16, options.batch, options.steps, options.rounds, options.weights // 10) < 1:
            raise InputError("a size below 1", "images of 16 or more, all else positive", "give larger numbers")
        there = installed(options.peer_python)
    except InputError as error:
        parser.error(str(error))
    names = [name for name in options.only if there or not CONTENDERS[name][1]]
    result = {
        "rows": race(names, options), "missing": [name for name in options.only if name not in names],
        "selection": selection(options.rounds, options.weights), "sparsity": SPARSITY,
        **{key: getattr(options, key) for key in ("image", "batch", "steps", "rounds")},
    }  # fmt: skip
    print(table(result))
    if options.json:
        write_json(options.json, result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
