"""The command line verb `street`; light, so that `--help` is quick."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from run_tools.config import option, positional
from run_tools.files import parse_size


@dataclass(frozen=True)
class StreetConfig:
    """Render synthetic street scenes in KITTI's layout.

    OUT receives training/image_2, label_2 and calib as KITTI has them, with true boxes, truncation, occlusion, 3D
    locations and DontCare regions, and a note that the data is synthetic. Scene i of a seed is always the same.
    """

    out: Path = positional(help="folder to make; must be new or empty")
    images: int = option(help="number of scenes", minimum=1, maximum=1_000_000)
    seed: int = option(help="seed of the data set", minimum=0)
    size: str = option("1242x375", help="size of the images, WIDTHxHEIGHT; KITTI's camera is scaled to it")
    workers: int | None = option(None, help="processes that render; default: one a processor", minimum=1)


def street(config: StreetConfig) -> dict[str, Any]:
    """Run `street`; see `scenes.street.write` for the result."""
    from data_tools.scenes.street import write  # OpenCV takes a moment to load

    return write(config.out, config.images, config.seed, parse_size(config.size), config.workers)


def table(result: dict[str, Any]) -> str:
    """What was written, for people: one line on the folder, one a class."""
    height, width = result["size"]
    head = f"{result['images']} {result['source']} of {width}x{height} pixels in {result['out']}, seed {result['seed']}"
    longest = max((len(name) for name in result["objects"]), default=0)
    return "\n".join([head, *(f"  {name.ljust(longest)} {count:7d}" for name, count in result["objects"].items())])
