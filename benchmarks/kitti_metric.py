"""KITTI's official metric: the vectorised version beside the devkit's own loops in Python, side by side in one run.

    python benchmarks/kitti_metric.py [--images 4000] [--seed 0] [--rounds 5] [--json FILE]

Both are given the same random street-like images and must print the same 18 numbers, or the script fails. The loops
take their one turn between the rounds of the vectorised version, of which the median counts.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

# Run as a script, only this file's folder is on the path.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.literal.kitti_devkit import LEVELS, MINIMUM, literal_ap
from run_tools.files import write_json
from yolo_prune.evaluation.kitti import Frame, Result, average_precision

TRUE_NAMES = ("Car", "Van", "Truck", "Pedestrian", "Person_sitting", "Cyclist", "DontCare")
# About KITTI's own frequencies: 7.5 boxes an image, of which two thirds are cars or regions.
SHARES = (0.56, 0.06, 0.02, 0.09, 0.01, 0.04, 0.22)
FOUND_NAMES = ("Car", "Pedestrian", "Cyclist")
ASPECTS = {"Pedestrian": 0.4, "Person_sitting": 0.6, "Cyclist": 0.7}
TOLERANCE = 1e-9


def scenes(count: int, seed: int) -> list[Frame]:
    """Images with the numbers and sizes of boxes of a street, found by a detector that errs.

    Args:
        count: how many.
        seed: of everything.

    Returns:
        The same frames for the same arguments.
    """
    rng = np.random.default_rng(seed)
    return [_scene(rng) for _ in range(count)]


def _scene(rng: np.random.Generator) -> Frame:
    names = rng.choice(TRUE_NAMES, rng.poisson(7.5), p=SHARES).tolist()
    heights = rng.lognormal(np.log(45), 0.6, len(names)).clip(12, 300)
    boxes = _boxes(rng, heights, np.array([ASPECTS.get(name, 1.6) for name in names]))
    seen = [k for k, name in enumerate(names) if name != "DontCare" and rng.random() < 0.85]
    kinds = [{"Van": "Car", "Truck": "Car", "Person_sitting": "Pedestrian"}.get(names[k], names[k]) for k in seen]
    twice = [k for k in range(len(seen)) if rng.random() < 0.15]
    near = boxes[[*seen, *(seen[k] for k in twice)]]
    sizes = np.tile(near[:, 2:] - near[:, :2], 2)
    near = near + rng.normal(0, 0.05, near.shape) * sizes
    wrong = rng.poisson(6)
    false = _boxes(rng, rng.lognormal(np.log(40), 0.6, wrong).clip(12, 300), np.full(wrong, 1.2))
    return Frame(
        true_boxes=boxes,
        true_names=names,
        truncated=rng.choice([0.0, 0.0, 0.1, 0.3, 0.6], len(names)),
        occluded=rng.choice([0, 0, 1, 2, 3], len(names)),
        boxes=np.concatenate([near, false]),
        scores=np.concatenate([rng.beta(4, 2, len(near)), rng.beta(1, 4, wrong)]),
        names=[*kinds, *(kinds[k] for k in twice), *rng.choice(FOUND_NAMES, wrong).tolist()],
    )


def _boxes(rng: np.random.Generator, heights: np.ndarray, aspects: np.ndarray) -> np.ndarray:
    left, top = rng.uniform(0, 1100, len(heights)), rng.uniform(100, 250, len(heights))
    return np.stack([left, top, left + heights * aspects, top + heights], axis=1)


def literal(frames: list[Frame]) -> Result:
    """What `average_precision` returns, by the devkit's loops."""
    return {name: {level: literal_ap(frames, name, level) for level in LEVELS} for name in MINIMUM}


def largest_difference(first: Result, second: Result) -> float:
    """Between any two corresponding figures, in percent points."""
    return max(
        abs((first[name][level][key] or 0.0) - (value or 0.0))
        for name, levels in second.items()
        for level, figures in levels.items()
        for key, value in figures.items()
    )


def _timed(function, frames: list[Frame]) -> tuple[float, Any]:
    begun = time.perf_counter()
    result = function(frames)
    return time.perf_counter() - begun, result


def measure(images: int, seed: int, rounds: int) -> dict[str, Any]:
    """The whole benchmark.

    Args:
        images: how many.
        seed: of the images.
        rounds: turns of the vectorised version.

    Returns:
        Seconds of both, their ratio, the largest difference and the vectorised version's figures.

    Raises:
        RuntimeError: if the two differ.
    """
    frames = scenes(images, seed)
    before = [_timed(average_precision, frames) for _ in range(rounds // 2 + 1)]
    slow, expected = _timed(literal, frames)
    after = [_timed(average_precision, frames) for _ in range(rounds - rounds // 2 - 1)]
    result = before[0][1]
    difference = largest_difference(result, expected)
    if difference > TOLERANCE:
        raise RuntimeError(f"the two versions differ by {difference} percent points")
    fast = statistics.median(seconds for seconds, _ in before + after)
    return {
        "images": images,
        "seed": seed,
        "detections": sum(len(frame.names) for frame in frames),
        "true_boxes": sum(len(frame.true_names) for frame in frames),
        "vectorised_seconds": fast,
        "literal_seconds": slow,
        "ratio": slow / fast,
        "largest_difference": difference,
        "cores": os.cpu_count(),
        "result": result,
    }


def table(result: dict[str, Any]) -> str:
    """The result for people."""
    moderate = ", ".join(f"{name} {levels['moderate']['AP40']:.2f}" for name, levels in result["result"].items())
    return "\n".join(
        [
            f"{result['images']} random images with {result['true_boxes']} true boxes and {result['detections']} "
            f"detections; AP40 moderate: {moderate}",
            f"the devkit's loops in Python  {result['literal_seconds']:9.3f} s",
            f"vectorised                    {result['vectorised_seconds']:9.3f} s",
            f"ratio                         {result['ratio']:9.0f}",
            f"largest difference of 18 figures: {result['largest_difference']:.1g} percent points",
        ]
    )


def main(argv: list[str] | None = None) -> int:
    """Parses, measures, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=4000, help="how many (default 4000)")
    parser.add_argument("--seed", type=int, default=0, help="of the images (default 0)")
    parser.add_argument("--rounds", type=int, default=5, help="turns of the vectorised version (default 5)")
    parser.add_argument("--json", help="also write the result to this file")
    options = parser.parse_args(argv)
    if options.images < 1 or options.rounds < 1:
        parser.error(f"received {options.images} images, {options.rounds} rounds; expected at least 1; change them")
    result = measure(options.images, options.seed, options.rounds)
    print(table(result))
    if options.json:
        write_json(options.json, result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
