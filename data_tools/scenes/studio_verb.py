"""The command line verb `studio`; light, so that `--help` is quick."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from run_tools.config import option, positional


@dataclass(frozen=True)
class StudioConfig:
    """Render synthetic vehicles in VehicleX's layout: eleven types, one vehicle an image.

    OUT receives train/, val/ and test/ with 60, 20 and 20 % of the images, a label file of each with VehicleX's
    attributes, and a note that the data is synthetic. Image i of vehicle v of a seed is always the same.
    """

    out: Path = positional(help="folder to make; must be new or empty")
    per_type: int = option(help="images of each type", minimum=3, maximum=100_000)
    vehicles: int = option(
        help="vehicles, each with a geometry of its own; VehicleX has 1362", minimum=11, maximum=9999
    )
    seed: int = option(help="seed of the data set", minimum=0)
    size: int = option(256, help="side of the square images in pixels, 32 to 1024")
    workers: int | None = option(None, help="processes that render; default: one a processor", minimum=1)


def studio(config: StudioConfig) -> dict[str, Any]:
    """Run `studio`; see `scenes.studio_folder.write` for the result."""
    from data_tools.scenes.studio_folder import write  # OpenCV takes a moment to load

    return write(config.out, config.per_type, config.vehicles, config.seed, config.size, config.workers)


def table(result: dict[str, Any]) -> str:
    """What was written, for people."""
    size, parts = result["size"], result["splits"]
    return "\n".join(
        [
            f"{result['images']} {result['source']} of {size}x{size} pixels in {result['out']}, seed {result['seed']}",
            f"  {result['vehicles']} vehicles; " + ", ".join(f"{name} {count}" for name, count in parts.items()),
            f"  {next(iter(result['types'].values()))} of each type: {', '.join(result['types'])}",
        ]
    )
