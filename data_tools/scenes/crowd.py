"""Single objects with sizes and colours of their own, and a crowd of them that does not overlap."""

from __future__ import annotations

import numpy as np

from data_tools.scenes import cars, furniture, large, paints, people
from data_tools.scenes.camera import wrap
from data_tools.scenes.plan import Road
from data_tools.scenes.profiles import PROFILES
from data_tools.scenes.raster import Instance

KITTI_CLASS = {
    "sedan": "Car",
    "suv": "Car",
    "hatchback": "Car",
    "estate": "Car",
    "sportscar": "Car",
    "mpv": "Car",
    "pickup": "Car",
    "van": "Van",
    "RV": "Van",
    "truck": "Truck",
    "bus": "Misc",
    "tram": "Tram",
    "pedestrian": "Pedestrian",
    "sitting": "Person_sitting",
    "cyclist": "Cyclist",
}
"""What KITTI's annotators would call each kind. KITTI has no bus class; its buses and trailers are Misc."""

VEHICLE_TYPES = ("sedan", "suv", "van", "hatchback", "mpv", "pickup", "bus", "truck", "estate", "sportscar", "RV")
"""VehicleX's types in the order of their ids."""

NEAREST = 0.9
"""Metres ahead of the camera from which on objects may stand."""


class Crowd:
    """Instances placed so far; refuses what would overlap one of them or stand in or behind the camera."""

    def __init__(self, road: Road, rng: np.random.Generator) -> None:
        self.road, self.rng = road, rng
        self.instances: list[Instance] = []
        self._taken: list[tuple[float, float, float, float]] = []

    def add(self, kind: str, offset: float, z: float, heading: float, gap: float = 0.25) -> bool:
        """Place an object unless its place is taken.

        Args:
            kind: key of `KITTI_CLASS` or of the furniture.
            offset: metres right of the camera's track along the road.
            z: metres ahead.
            heading: rotation_y, radians.
            gap: metres kept free around it.

        Returns:
            Whether it was placed.
        """
        made = make(kind, (float(self.road.x(offset, z)), float(z)), heading, self.rng)
        corners = made.footprint()
        (x0, z0), (x1, z1) = corners.min(0), corners.max(0)
        if z0 < NEAREST or any(
            x0 - gap < b[2] and x1 + gap > b[0] and z0 - gap < b[3] and z1 + gap > b[1] for b in self._taken
        ):
            return False
        self._taken.append((x0, z0, x1, z1))
        self.instances.append(made)
        return True


def make(
    kind: str, location: tuple[float, float], heading: float, rng: np.random.Generator, colour: str | None = None
) -> Instance:
    """One object with a size and colours of its own.

    Args:
        kind: key of `KITTI_CLASS`, or of `furniture.KINDS`.
        location: x and z of its middle on the road, metres.
        heading: rotation_y, radians.
        rng: draws size and colours.
        colour: a vehicle's colour, drawn if None.

    Returns:
        The placed instance.
    """
    wrapped = wrap(heading)
    if kind in furniture.KINDS:
        return Instance(furniture.mesh(kind), location, wrapped, (1, 1, 1), furniture.palette(rng), None, kind)
    if kind in ("pedestrian", "sitting", "cyclist"):
        tall = float(np.clip(rng.normal(1.0, 0.045), 0.86, 1.1))
        if kind == "pedestrian" and rng.random() < 0.08:
            tall *= rng.uniform(0.62, 0.85)
        scale = (tall, tall, tall * float(rng.uniform(0.94, 1.06)))
        shape, palette = people.mesh(kind, int(rng.integers(people.POSES))), paints.person(rng)
    else:
        longer, higher, wider = (float(np.clip(rng.normal(1, s), 1 - 2 * s, 1 + 2 * s)) for s in (0.04, 0.025, 0.02))
        if kind == "truck":
            longer, higher = longer * float(rng.uniform(0.85, 1.15)), higher * float(rng.uniform(0.88, 1.05))
        scale = (longer, higher, wider)
        shape = cars.mesh(kind) if kind in PROFILES else large.mesh(kind)
        palette = paints.vehicle(kind, rng, colour)
    return Instance(shape, location, wrapped, scale, palette, KITTI_CLASS[kind], kind)
