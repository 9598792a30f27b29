"""Units removed one by one with the angles kept up to date, beside computing every angle anew each time.

    python benchmarks/one_by_one.py [--units 2048] [--remove 1024] [--anew 5] [--rounds 3] [--json FILE]

Both start from the same Gram matrix of random ReLU outputs and remove one of the most similar pair again and again, by
vectorised NumPy. Anew: each time all angles of the units that are left and their minimum, timed over the first `--anew`
removals. Kept up to date: (a) `distinctiveness.Nearest`, outputs of kept units unchanged; (b) the kept unit's output
becomes the sum of both (`distinctiveness.merged` and `Nearest.update`), timed over all `--remove`. Milliseconds a
removal, medians of the rounds; the first matrix and its sorting are told apart, since both must begin with angles. The
aim is a removal at least 50 times as fast at 2,048 units.
"""

from __future__ import annotations

import argparse
import statistics as numbers
import sys
import time
from pathlib import Path

import numpy as np

# Run as a script, only this file's folder is on the path.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from run_tools.files import write_json
from run_tools.quiet import loading

with loading():
    from prune_tools.distinctiveness import Nearest, angles, merged

TARGET = 50


def gram_of(units: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Gram matrix, sums and number of patterns of random ReLU outputs."""
    rng = np.random.default_rng(0)
    outputs = np.maximum(rng.normal(size=(2 * units, 64)) @ rng.normal(size=(64, units)), 0)
    return outputs.T @ outputs, outputs.sum(axis=0), len(outputs)


def anew(gram: np.ndarray, sums: np.ndarray, count: int, remove: int) -> tuple[list[tuple[int, int]], float]:
    """Pairs (removed, kept) of the first removals, and seconds a removal."""
    left, pairs = np.arange(len(sums)), []
    begun = time.perf_counter()
    for _ in range(remove):
        found = angles(gram[np.ix_(left, left)], sums[left], count)
        np.fill_diagonal(found, np.inf)
        low, high = sorted(divmod(int(found.argmin()), len(left)))
        pairs.append((int(left[high]), int(left[low])))
        left = np.delete(left, high)
    return pairs, (time.perf_counter() - begun) / remove


def updated(
    gram: np.ndarray, sums: np.ndarray, count: int, remove: int, adding: bool
) -> tuple[list[tuple[int, int]], float, float]:
    """The same, and seconds of what comes before the first removal."""
    gram, sums, pairs = gram.copy(), sums.copy(), []
    begun = time.perf_counter()
    nearest = Nearest(angles(gram, sums, count))
    ready = time.perf_counter()
    while len(pairs) < remove and (pair := nearest.pair()):
        low, high = pair
        nearest.remove(high)
        if adding:
            nearest.update(low, merged(gram, sums, count, high, low))
        pairs.append((high, low))
    return pairs, (time.perf_counter() - ready) / remove, ready - begun


def measure(units: int, remove: int, first: int, rounds: int) -> dict:
    """Milliseconds a removal of each, and how many times as fast."""
    given, turns = gram_of(units), []
    for _ in range(rounds):
        plain, slow = anew(*given, first)
        kept, fast, before = updated(*given, remove, adding=False)
        _, summed, _ = updated(*given, remove, adding=True)
        if kept[:first] != plain:
            raise RuntimeError(f"other pairs one by one ({kept[:first]}) than anew ({plain})")
        turns.append({"anew": 1000 * slow, "kept": 1000 * fast, "added": 1000 * summed, "before": 1000 * before})
    found = {name: numbers.median(turn[name] for turn in turns) for name in turns[0]}
    ratios = {name: numbers.median(turn["anew"] / turn[name] for turn in turns) for name in ("kept", "added")}
    whole = numbers.median(turn["anew"] / (turn["kept"] + turn["before"] / remove) for turn in turns)
    return {**found, "times": ratios, "times_with_beginning": whole}


def main(arguments: list[str] | None = None) -> None:
    """Reads the command line, measures, prints and writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--units", type=int, default=2048)
    parser.add_argument("--remove", type=int, default=1024)
    parser.add_argument("--anew", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args(arguments)
    if min(given.anew, given.rounds) < 1 or not given.anew <= given.remove < given.units:
        parser.error("received numbers that do not fit; expected 1 <= anew <= remove < units; correct them")
    found = measure(given.units, given.remove, given.anew, given.rounds)
    print(f"{given.units} units, {given.remove} removed{'':<14}{'ms a removal':>14}{'times as fast':>16}")
    print(f"{'every angle anew':<38}{found['anew']:>14.3f}{1:>16.1f}")
    print(f"{'kept up to date':<38}{found['kept']:>14.3f}{found['times']['kept']:>16.1f}")
    print(f"{'… outputs added, one row anew':<38}{found['added']:>14.3f}{found['times']['added']:>16.1f}")
    print(f"{'first angles and sorting, once':<38}{found['before']:>14.3f}")
    print(f"kept up to date, the beginning spread over all removals: {found['times_with_beginning']:.1f} times as fast")
    met = "met" if found["times"]["kept"] >= TARGET else "missed"
    print(f"aim: at least {TARGET} times, {met}")
    if given.json:
        write_json(given.json, {**vars(given), **found, "target": TARGET})


if __name__ == "__main__":
    main()
