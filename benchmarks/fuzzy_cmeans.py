"""Fuzzy c-means by matrix products against scikit-fuzzy, in one run, from the same memberships.

    python benchmarks/fuzzy_cmeans.py [--vectors 45000] [--features 2048] [--clusters 11] [--fuzziness 1.7]
                                      [--iterations 10] [--rounds 3] [--json FILE]

Random vectors of paper 002's shape, in 0-1 around random class means. In each round all run so many iterations, one
after the other, each begun anew; what counts is the median of the rounds' ratios, and the aim is at least 5 in float32.
Both must find the same memberships (float64 against float64, then float32), or the script fails. scikit-fuzzy
(`pip install scikit-fuzzy`) computes in float64 and holds several copies of the vectors: 45,000 x 2048 need about 3 GB.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

# Run as a script, only this file's folder is on the path.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from classify_prune.clustering.fuzzy import FuzzyCMeans
from run_tools.files import write_json

TARGET = 5.0
CLOSE = {"float64": 1e-6, "float32": 5e-3}
"""Largest difference of memberships between ours in a precision and scikit-fuzzy's."""


def vectors_of(count: int, features: int, clusters: int) -> np.ndarray:
    """Random vectors about random means, float32 (count, features)."""
    rng = np.random.default_rng(0)
    means = rng.random((clusters, features), np.float32)
    made = rng.random((count, features), np.float32)
    made += means[rng.integers(clusters, size=count)]
    made /= 2
    return made


def ours(vectors: np.ndarray, start: np.ndarray, fuzziness: float, iterations: int, dtype: str) -> Any:
    """Our clusters after so many iterations."""
    return FuzzyCMeans(start.shape[1], fuzziness, iterations, tolerance=0, dtype=dtype).fit(vectors, start)


def theirs(vectors: np.ndarray, start: np.ndarray, fuzziness: float, iterations: int) -> tuple[np.ndarray, np.ndarray]:
    """scikit-fuzzy's: centres and memberships, in our order of the axes."""
    import skfuzzy

    # Its layout is features first; memberships never move by less than 0, so it takes all iterations.
    centres, memberships, *_ = skfuzzy.cmeans(vectors.T, start.shape[1], fuzziness, 0.0, iterations, init=start.T)
    return centres, memberships.T


def seconds(work: Callable[[], Any]) -> float:
    """Wall-clock time of one call."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def differences(vectors: np.ndarray, start: np.ndarray, fuzziness: float, iterations: int) -> dict[str, float]:
    """Largest difference of a membership to scikit-fuzzy's, for ours in each precision."""
    _, expected = theirs(vectors.astype(np.float64), start, fuzziness, iterations)
    return {
        dtype: float(np.abs(ours(vectors, start, fuzziness, iterations, dtype).memberships_ - expected).max())
        for dtype in CLOSE
    }


def measure(vectors: np.ndarray, start: np.ndarray, fuzziness: float, iterations: int, rounds: int) -> dict[str, Any]:
    """Median seconds an iteration of all three, and the median of the rounds' ratios to scikit-fuzzy's."""
    wide = vectors.astype(np.float64)
    works: dict[str, Callable[[], Any]] = {
        "float32": lambda: ours(vectors, start, fuzziness, iterations, "float32"),
        "float64": lambda: ours(wide, start, fuzziness, iterations, "float64"),
        "scikit-fuzzy": lambda: theirs(wide, start, fuzziness, iterations),
    }
    taken = [{name: seconds(work) for name, work in works.items()} for _ in range(rounds)]
    return {
        "seconds": {name: statistics.median(turn[name] for turn in taken) / iterations for name in works},
        "ratio": {
            name: statistics.median(turn["scikit-fuzzy"] / turn[name] for turn in taken)
            for name in ("float32", "float64")
        },
    }


def main(arguments: list[str] | None = None) -> int:
    """Reads the command line, compares, measures, prints and writes; 1 where results differ."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in {"vectors": 45_000, "features": 2048, "clusters": 11, "iterations": 10, "rounds": 3}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--fuzziness", type=float, default=1.7)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args(arguments)
    if min(given.features, given.iterations, given.rounds) < 1 or given.clusters < 2 or given.fuzziness <= 1:
        parser.error(
            "received a number that is too small; expected clusters from 2, fuzziness above 1, the rest from 1"
        )
    if given.vectors < given.clusters:
        parser.error(f"received {given.vectors} vectors for {given.clusters} clusters; expected as many; give more")
    vectors = vectors_of(given.vectors, given.features, given.clusters)
    drawn = np.random.default_rng(1).random((given.vectors, given.clusters))
    start = drawn / drawn.sum(axis=1, keepdims=True)
    found = {"differences": differences(vectors, start, given.fuzziness, given.iterations)}
    found |= measure(vectors, start, given.fuzziness, given.iterations, given.rounds)
    shape = f"{given.vectors:,} x {given.features}, {given.clusters} clusters, m {given.fuzziness:g}"
    print(f"{shape}, {given.iterations} iterations, {platform.machine()}")
    for name, each in found["seconds"].items():
        told = "" if name not in found["ratio"] else f"   {found['ratio'][name]:6.2f} times as fast"
        told += "" if name not in CLOSE else f", memberships differ by at most {found['differences'][name]:.1e}"
        print(f"{name:13s} {each:8.3f} s an iteration{told}")
    print(f"aim: at least {TARGET:g} times as fast, {'met' if found['ratio']['float32'] >= TARGET else 'missed'}")
    if given.json:
        write_json(given.json, {**vars(given), **found, "target": TARGET})
    wrong = [dtype for dtype, most in CLOSE.items() if not found["differences"][dtype] <= most]
    if wrong:
        print(f"results differ from scikit-fuzzy's: {', '.join(wrong)}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
