"""Chooses what moves, parks, walks and stands in a scene, with KITTI-like places and frequencies."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from data_tools.scenes import large
from data_tools.scenes.crowd import Crowd
from data_tools.scenes.plan import LANES, RAIL, Road
from data_tools.scenes.profiles import PROFILES
from data_tools.scenes.raster import Instance

_PARKED = {
    "sedan": 20,
    "hatchback": 25,
    "estate": 18,
    "suv": 12,
    "mpv": 9,
    "sportscar": 4,
    "van": 8,
    "pickup": 2,
    "RV": 1.5,
    "truck": 1.6,
}
_MOVING = _PARKED | {"van": 10, "truck": 10, "bus": 4, "RV": 2}
_FARTHEST = 140.0


def _draw(rng: np.random.Generator, weights: dict[str, float]) -> str:
    """A key, drawn by weight."""
    values = np.array(list(weights.values()), float)
    return str(rng.choice(list(weights), p=values / values.sum()))


def populate(kind: str, road: Road, rng: np.random.Generator) -> tuple[Instance, ...]:
    """Fill a scene.

    Args:
        kind: "residential", "city", "arterial" or "rural".
        road: where it takes place.
        rng: draws everything.

    Returns:
        Objects that do not overlap on the road, in no particular order.
    """
    crowd = Crowd(road, rng)
    steps: tuple[Callable[[Crowd, str], None], ...] = (
        _tram,
        _ahead,
        _oncoming,
        _crossing,
        _parked,
        _cyclists,
        _walkers,
        _furniture,
    )
    for step in steps:
        step(crowd, kind)
    return tuple(crowd.instances)


def _tram(crowd: Crowd, kind: str) -> None:
    """A tram on the rails, where there are any."""
    rails = sorted({m.offset for m in crowd.road.markings if m.width == RAIL})
    if rails and crowd.rng.random() < 0.6:
        middle = rails[-1] - 0.72
        z = float(crowd.rng.uniform(20, 70))
        away = crowd.rng.random() < 0.3
        crowd.add("tram", middle, z, crowd.road.heading(z) + (0 if away else np.pi))


def _ahead(crowd: Crowd, kind: str) -> None:
    """Vehicles that drive ahead in the camera's lane."""
    rng, z = crowd.rng, crowd.rng.uniform(7, 30)
    for _ in range(int(rng.choice([0, 1, 2, 3], p=[0.35, 0.35, 0.2, 0.1]))):
        vehicle = _draw(rng, _MOVING)
        z += large.mesh(vehicle).size[2] if vehicle in ("truck", "bus", "RV") else 4.0
        crowd.add(vehicle, rng.normal(0, 0.2), z, crowd.road.heading(z) + rng.normal(0, 0.02), 1.5)
        z += rng.uniform(6, 35)


def _oncoming(crowd: Crowd, kind: str) -> None:
    """Vehicles in the opposite lanes."""
    rng, road = crowd.rng, crowd.road
    lane = LANES[kind]
    lanes = 2 if kind == "arterial" and road.left < -2 * lane else 1
    for number in range(1, lanes + 1):
        z = rng.uniform(4, 45)
        for _ in range(int(rng.choice([0, 1, 2, 3, 4], p=[0.25, 0.3, 0.25, 0.12, 0.08]))):
            if z < _FARTHEST:
                heading = road.heading(z) + np.pi + rng.normal(0, 0.02)
                crowd.add(_draw(rng, _MOVING), -number * lane + rng.normal(0, 0.2), z, heading, 1.0)
            z += rng.uniform(9, 45)


def _crossing(crowd: Crowd, kind: str) -> None:
    """Vehicles on the road that crosses."""
    rng, road = crowd.rng, crowd.road
    if road.crossing is None:
        return
    for _ in range(int(rng.integers(0, 4))):
        rightwards = rng.random() < 0.5
        # Traffic keeps to the right: who drives rightwards uses the nearer lane.
        z = road.crossing + (-0.5 if rightwards else 0.5) * road.crossing_half
        heading = (0.0 if rightwards else np.pi) + rng.normal(0, 0.06)
        crowd.add(_draw(rng, _MOVING), rng.uniform(-18, 18), z, heading, 1.0)


def _parked(crowd: Crowd, kind: str) -> None:
    """Rows of parked vehicles along both kerbs, or on a strip beside a wider road."""
    rng, road = crowd.rng, crowd.road
    chance = {"residential": 0.6, "city": 0.55, "arterial": 0.2, "rural": 0.08}[kind]
    for side, edge in ((1, road.right), (-1, road.left)):
        if kind in ("arterial", "rural"):
            edge += side * 4.5
            if rng.random() < 0.6:
                continue
        fill = chance * rng.uniform(0.2, 1.15)
        z = rng.uniform(1.5, 8)
        reach = rng.uniform(40, _FARTHEST)
        while z < reach:
            vehicle = _draw(rng, _PARKED)
            length = 4.6 if vehicle in PROFILES else large.mesh(vehicle).size[2]
            blocked = road.crossing is not None and abs(z + length / 2 - road.crossing) < road.crossing_half + 6
            if rng.random() < fill and not blocked:
                against = side == -1 if rng.random() < 0.88 else side == 1
                middle = z + length / 2
                heading = road.heading(middle) + (np.pi if against else 0) + rng.normal(0, 0.025)
                crowd.add(vehicle, edge - side * (1.08 + rng.normal(0, 0.08)), middle, heading)
            z += length + rng.uniform(0.7, 2.2)


def _cyclists(crowd: Crowd, kind: str) -> None:
    """Cyclists along the edge of the road or on the pavement, and some that cross."""
    rng, road = crowd.rng, crowd.road
    mean = {"residential": 0.7, "city": 1.3, "arterial": 0.6, "rural": 0.5}[kind]
    for _ in range(int(rng.poisson(mean))):
        z = float(rng.uniform(2.3, 7.5) ** 2)
        place = rng.random()
        if road.crossing is not None and place < 0.25:
            crowd.add("cyclist", rng.uniform(-8, 8), road.crossing + rng.uniform(-4, 4), rng.choice([0, np.pi]))
        elif place < 0.55:
            crowd.add("cyclist", min(road.right, 2.0) - 0.5, z, road.heading(z) + rng.normal(0, 0.1))
        elif place < 0.75:
            crowd.add("cyclist", road.left + 0.9, z, road.heading(z) + np.pi + rng.normal(0, 0.1))
        else:
            side = rng.choice([1, -1])
            edge = road.right if side == 1 else road.left
            crowd.add("cyclist", edge + side * rng.uniform(0.6, 2.2), z, road.heading(z) + rng.choice([0, np.pi]))


def _walkers(crowd: Crowd, kind: str) -> None:
    """People on the pavements, alone or in groups, on the road where it is crossed, and on benches."""
    rng, road = crowd.rng, crowd.road
    mean = {"residential": 1.2, "city": 3.6, "arterial": 0.8, "rural": 0.25}[kind]
    for _ in range(int(rng.poisson(mean))):
        z, side = float(rng.uniform(2.2, 7.5) ** 2), int(rng.choice([1, -1]))
        edge, width = (road.right, road.pavement_right) if side == 1 else (road.left, road.pavement_left)
        offset = edge + side * rng.uniform(0.5, max(width, 1.6) - 0.3)
        heading = road.heading(z) + (np.pi if rng.random() < 0.5 else 0) + rng.normal(0, 0.25)
        if rng.random() < 0.16:
            z = max(z, 9.0) if road.zebra is None or rng.random() < 0.4 else road.zebra + rng.uniform(0.3, 2.7)
            offset, heading = rng.uniform(road.left, road.right), rng.choice([0.0, np.pi]) + rng.normal(0, 0.2)
        for member in range(int(rng.choice([1, 2, 3, 4], p=[0.66, 0.22, 0.08, 0.04]))):
            shift = (0, 0.75, -0.7, 0.3)[member], (0, 0.15, 0.3, 1.1)[member]
            crowd.add("pedestrian", offset + shift[0], z + shift[1], heading + rng.normal(0, 0.15), 0.05)
    if rng.random() < {"residential": 0.05, "city": 0.3, "arterial": 0.06, "rural": 0.01}[kind]:
        side = int(rng.choice([1, -1]))
        edge, width = (road.right, road.pavement_right) if side == 1 else (road.left, road.pavement_left)
        z, offset = float(rng.uniform(7, 30)), edge + side * (width - 0.5)
        for seat in range(int(rng.integers(1, 4))):
            facing = (0.0 if side == -1 else np.pi) + rng.normal(0, 0.25)
            crowd.add("sitting", offset, z + 0.8 * seat, facing, 0.02)


def _furniture(crowd: Crowd, kind: str) -> None:
    """Posts, signs, lights, bollards and bins just behind the kerbs."""
    rng, road = crowd.rng, crowd.road
    spacing = rng.uniform(18, 35)
    for side, edge in ((1, road.right), (-1, road.left)):
        if rng.random() < 0.4:
            for z in np.arange(rng.uniform(6, 6 + spacing), 110, spacing):
                crowd.add("lamp_post", edge + side * 0.5, z, np.pi / 2 - side * np.pi / 2 + np.pi / 2, 0.0)
        for _ in range(int(rng.poisson(1.6))):
            z = float(rng.uniform(2.4, 8) ** 2)
            crowd.add(
                _draw(rng, {"sign": 5, "bin": 2, "bollard": 2}), edge + side * rng.uniform(0.4, 0.9), z, -np.pi / 2, 0.0
            )
        if road.crossing is not None and rng.random() < 0.6:
            crowd.add("traffic_light", edge + side * 0.5, road.crossing - road.crossing_half - 1.5, -np.pi / 2, 0.0)
