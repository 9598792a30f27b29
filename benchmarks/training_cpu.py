"""What training a detector on a CPU costs: Keras as it is, with XLA, fused batch-norms, bfloat16 convolutions; one run.

    python benchmarks/training_cpu.py [--input 832x256] [--batch 8] [--steps 8] [--rounds 5] [--json FILE]

The tiny YOLOv2, random images and boxes, `RegionLoss`, Adam, plain `fit`. Every contender has the same network in this
process; all warm up, then train in turns of so many steps, so that whatever else the machine does hits all alike. A
ratio is the median over the rounds of Keras's seconds by the contender's within a round. Convolutions in bfloat16
need a processor that has it (AMX or AVX512-BF16); on others that row is the one above it again.
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

from run_tools.errors import InputError
from run_tools.files import parse_size, write_json
from run_tools.quiet import loading

with loading():
    import keras

    from run_tools import cpu
    from yolo_prune import RegionLoss, YoloV2

ANCHORS = ((1.0, 1.0), (2.0, 1.5), (1.0, 2.5), (3.5, 2.0), (7.0, 4.0))
PLAIN = "Keras"
# name → (XLA, fused batch-norms, bfloat16 convolutions)
CONTENDERS = {
    PLAIN: (False, False, False),
    "Keras, XLA": (True, False, False),
    "fused batch-norms": (False, True, False),
    "… and bfloat16 convolutions": (False, True, True),
}


def detector(name: str, size: tuple[int, int]) -> YoloV2:
    """A contender, compiled; all begin with the same weights."""
    xla, fused, low = CONTENDERS[name]
    keras.utils.set_random_seed(0)
    model = YoloV2(5, ANCHORS, size, variant="tiny", widths=[16, 32, 64, 128, 256, 512, 512, 512])
    if fused:
        cpu.fuse_batch_norm(model)
    if low:
        cpu.bfloat16_convolutions(model)
    model.compile(keras.optimizers.Adam(1e-4), loss=RegionLoss(ANCHORS, 5), jit_compile=xla)
    return model


def measure(size: tuple[int, int], batch: int, steps: int, rounds: int) -> dict[str, Any]:
    """Seconds a turn of every contender, in interleaved rounds."""
    rng = np.random.default_rng(0)
    images = rng.random((batch * steps, *size, 3), np.float32)
    boxes = np.zeros((batch * steps, 20, 5), np.float32)
    boxes[:, :8] = rng.uniform(0.1, 0.9, (batch * steps, 8, 5))
    boxes[:, :8, 2:4] *= 0.2
    boxes[..., 4] = rng.integers(0, 5, boxes.shape[:2])
    models = {name: detector(name, size) for name in CONTENDERS}
    times: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    for number in range(rounds + 1):
        for name in list(CONTENDERS)[number % len(CONTENDERS) :] + list(CONTENDERS)[: number % len(CONTENDERS)]:
            start = time.perf_counter()
            models[name].fit(images, boxes, batch_size=batch, shuffle=False, verbose=0)
            times[name].append(time.perf_counter() - start)
    rows = []
    for name in CONTENDERS:
        seconds, base = times[name][1:], times[PLAIN][1:]  # the first turn compiles
        ratio = statistics.median(b / a for a, b in zip(seconds, base, strict=True))
        rows.append({"name": name, "images_per_second": batch * steps / statistics.median(seconds), "ratio": ratio})
    return {"rows": rows, "size": list(size), "batch": batch, "steps": steps, "rounds": rounds}


def table(result: dict[str, Any]) -> str:
    """The result for people."""
    height, width = result["size"]
    lines = [
        f"tiny YOLOv2 at {width}x{height}, batch {result['batch']}, median of {result['rounds']} interleaved rounds of "
        f"{result['steps']} steps, {os.cpu_count()} cores",
        "",
        f"{'':30} {'images/s':>9} {'of Keras':>9}",
    ]
    lines += [f"{row['name']:30} {row['images_per_second']:9.1f} {row['ratio']:9.2f}" for row in result["rows"]]
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    """Parses, measures, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input", default="832x256", help="of the network (default 832x256)")
    parser.add_argument("--batch", type=int, default=8, help="images a batch (default 8)")
    parser.add_argument("--steps", type=int, default=8, help="steps a turn (default 8)")
    parser.add_argument("--rounds", type=int, default=5, help="turns of every contender (default 5)")
    parser.add_argument("--json", help="also write the result to this file")
    options = parser.parse_args(argv)
    try:
        if not cpu.on_cpu():
            received = "a GPU, or another backend than TensorFlow"
            raise InputError(received, "TensorFlow on a CPU", "set CUDA_VISIBLE_DEVICES='' KERAS_BACKEND=tensorflow")
        if min(options.batch, options.steps, options.rounds) < 1:
            raise InputError("a number below 1", "batch, steps and rounds from 1", "give larger ones")
        size = parse_size(options.input)
        result = measure(size, options.batch, options.steps, options.rounds)
    except InputError as error:
        parser.error(str(error))
    print(table(result))
    if options.json:
        write_json(options.json, result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
