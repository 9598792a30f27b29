"""Templates of trucks, buses, motorhomes and trams by name."""

from __future__ import annotations

import functools
from collections.abc import Callable

from data_tools.scenes import coaches, lorries
from data_tools.scenes.meshes import Mesh

_MADE: dict[str, Callable[[], Mesh]] = {
    "truck": lorries.truck,
    "RV": lorries.motorhome,
    "bus": coaches.bus,
    "tram": coaches.tram,
}


@functools.cache
def mesh(kind: str) -> Mesh:
    """The template of a "truck", "bus", "RV" or "tram"."""
    return _MADE[kind]()
