"""An epoch of retraining a small network: a call a step, one call, and one call of what can change alone.

    python benchmarks/retraining.py [--vectors 3840] [--living 104] [--rounds 5] [--json FILE]

The networks are those of papers 001 (512-500-6 with dropout, batches of 1024) and 004 (LeNet-5, batches of 16) on
random inputs. All but `--living` of the 500 hidden units fire for no input, as behind the learning rate of paper 001,
and `classify_prune.pruning.narrow` leaves them out. Every round runs every way. Told are seconds of processor time of
this process an epoch, all threads together, medians of the rounds, and how many times as little as a call a step.
"""

from __future__ import annotations

import argparse
import statistics as numbers
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

# Run as a script, only this file's folder is on the path.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from run_tools.files import write_json
from run_tools.quiet import loading

with loading():
    from classify_prune import lenet5, mlp
    from classify_prune.draws import Epoch
    from classify_prune.pruning.learner import Learner
    from classify_prune.pruning.narrow import HIDDEN, Narrow
    from classify_prune.recipe import TrainConfig

WIDTH, UNITS, CLASSES, SIDE = 512, 500, 6, 32
STEPS, CALL, LIVING = "a call a step", "one call an epoch", "one call, living units alone"


def epoch(inputs: np.ndarray, batch: int) -> Epoch:
    """An epoch of inputs in a random order, with random labels."""
    rng = np.random.default_rng(0)
    steps = max(1, len(inputs) // batch)
    order = rng.permutation(len(inputs))[: steps * batch].reshape(steps, -1).astype(np.int32)
    return Epoch(inputs, rng.integers(0, CLASSES, len(inputs)).astype(np.int32), order)


def dense(vectors: int, living: int) -> dict[str, Callable[[], object]]:
    """The ways to train paper 001's network for an epoch."""
    inputs = np.random.default_rng(1).normal(size=(vectors, WIDTH)).astype(np.float32)
    config, drawn = TrainConfig(data=Path(), out=Path(), learning_rate=1e-4), epoch(inputs, 1024)
    model = mlp(WIDTH, CLASSES, (UNITS,), 0.2)
    model.get_layer(HIDDEN).bias.assign(np.where(np.arange(UNITS) < living, 0.0, -1000.0))
    part, whole = Narrow(config, inputs, inputs[:1]).of(model).learner, Learner(model, config)
    return {
        STEPS: lambda: whole.step_by_step(drawn),
        CALL: lambda: whole.epoch(1, drawn),
        LIVING: lambda: part.epoch(1, drawn),
    }


def convolving(images: int) -> dict[str, Callable[[], object]]:
    """The ways to train paper 004's network for an epoch."""
    inputs = np.random.default_rng(1).random((images, SIDE, SIDE, 1), np.float32)
    config = TrainConfig(data=Path(), out=Path(), optimizer="sgd", momentum=0.0, learning_rate=0.01)
    learner, drawn = Learner(lenet5(CLASSES), config), epoch(inputs, 16)
    return {STEPS: lambda: learner.step_by_step(drawn), CALL: lambda: learner.epoch(1, drawn)}


def seconds(ways: dict[str, Callable[[], object]], rounds: int) -> dict[str, dict[str, float]]:
    """Way → seconds of processor time, and the ratio to a call a step; the first round only compiles."""
    turns = []
    for _ in range(rounds + 1):
        turn = {}
        for name, run in ways.items():
            begun = time.process_time()
            run()
            turn[name] = time.process_time() - begun
        turns.append(turn)
    return {
        name: {
            "seconds": numbers.median(turn[name] for turn in turns[1:]),
            "times": numbers.median(turn[STEPS] / turn[name] for turn in turns[1:]),
        }
        for name in ways
    }


def main(arguments: list[str] | None = None) -> None:
    """Reads the command line, measures, prints and writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vectors", type=int, default=3840, help="inputs of each network")
    parser.add_argument("--living", type=int, default=104, help="hidden units that fire")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args(arguments)
    if min(given.vectors, given.rounds, given.living) < 1 or given.living > UNITS:
        parser.error(
            f"received numbers that do not fit; expected all at least 1 and living up to {UNITS}; correct them"
        )
    networks = {
        f"512-500-6, {given.living} units fire": dense(given.vectors, given.living),
        "LeNet-5": convolving(given.vectors),
    }
    found = {name: seconds(ways, given.rounds) for name, ways in networks.items()}
    for name, ways in found.items():
        print(f"{name:<34}{'CPU s an epoch':>16}{'times as little':>17}")
        for way, told in ways.items():
            print(f"  {way:<32}{told['seconds']:>16.3f}{told['times']:>17.2f}")
    if given.json:
        write_json(given.json, {**vars(given), "found": found})


if __name__ == "__main__":
    main()
