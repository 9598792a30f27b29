"""Scenes a second on one core: rendered, and with image, labels and calibration written, beside encoding the PNG alone.

    python benchmarks/street.py [--images 100] [--size 1242x375] [--seed 7] [--json FILE]

The three take turns scene by scene, in one process and with OpenCV on one thread; the time is this process's own, so
that waiting for a disk does not count. The first scenes, which fill the caches of textures and meshes, are not timed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2

# Run as a script, only this file's folder is on the path.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from data_tools.image_files import encode_png
from data_tools.scenes import street
from run_tools.errors import InputError
from run_tools.files import parse_size, write_json

WARM_UP = 40
AIMS = {"rendered": 20.0, "rendered and written": 10.0}


def measure(images: int, size: tuple[int, int], seed: int) -> dict[str, Any]:
    """Times every scene once for each of the three.

    Args:
        images: number of scenes timed, at least 1.
        size: height and width in pixels.
        seed: of the scenes.

    Returns:
        `images`, `size`, `seed`, and `rows`, each with `name`, `images_per_second` and `ratio`, the rate as a multiple
        of that of encoding the scenes' PNGs.
    """
    if images < 1:
        raise InputError(f"--images {images}", "at least 1", "ask for some")
    cv2.setNumThreads(1)
    for index in range(WARM_UP):
        street.render(seed + 1, index, size)
    spent = dict.fromkeys(["encoded as PNG alone", *AIMS], 0.0)
    with tempfile.TemporaryDirectory(prefix="street-") as folder:
        for index in range(images):
            out = Path(folder) / str(index)
            scene, seconds = _timed(lambda index=index: street.render(seed, index, size))
            spent["rendered"] += seconds
            spent["encoded as PNG alone"] += _timed(lambda image=scene.image: encode_png(image, street.PNG_LEVEL))[1]
            spent["rendered and written"] += _timed(lambda out=out: street.write(out, 1, seed, size, workers=1))[1]
    yardstick = spent["encoded as PNG alone"]
    rows = [
        {"name": name, "images_per_second": images / seconds, "ratio": yardstick / seconds}
        for name, seconds in spent.items()
    ]
    return {"images": images, "size": list(size), "seed": seed, "rows": rows}


def _timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """What the work returns, and the processor seconds that it took."""
    start = time.process_time()
    return work(), time.process_time() - start


def table(result: dict[str, Any]) -> str:
    """The result for people."""
    height, width = result["size"]
    lines = [f"{result['images']} scenes of {width}x{height}, seed {result['seed']}, one core"]
    for row in result["rows"]:
        aim = AIMS.get(row["name"])
        verdict = "" if aim is None else f"  (aim {aim:g}: {'met' if row['images_per_second'] >= aim else 'missed'})"
        lines.append(f"{row['name']:22} {row['images_per_second']:8.1f} images/s {row['ratio']:7.3f}{verdict}")
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    """Parses, measures, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=100, help="scenes (default 100)")
    parser.add_argument("--size", default="1242x375", help="WIDTHxHEIGHT (default 1242x375)")
    parser.add_argument("--seed", type=int, default=7, help="of the scenes (default 7)")
    parser.add_argument("--json", help="also write the result to this file")
    options = parser.parse_args(argv)
    try:
        result = measure(options.images, street.check_size(parse_size(options.size)), options.seed)
    except InputError as error:
        parser.error(str(error))
    print(table(result))
    if options.json:
        write_json(options.json, result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
