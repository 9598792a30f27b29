"""Chooses a scene: the weather, the road, what stands beside it; traffic is chosen by `traffic`."""

from __future__ import annotations

import numpy as np

from data_tools.scenes import traffic
from data_tools.scenes.plan import LANES, RAIL, Building, Hedge, Look, Marking, Plan, Road, Tree
from data_tools.scenes.raster import Instance, Light
from data_tools.scenes.textures import CLOUDS, FACADES, FOLIAGE, GRAINS, TREES

KINDS = {"residential": 0.34, "city": 0.28, "arterial": 0.2, "rural": 0.18}
_ROOFS = ((0.42, 0.17, 0.11), (0.32, 0.15, 0.12), (0.26, 0.25, 0.26), (0.50, 0.26, 0.17))


def plan(rng: np.random.Generator) -> Plan:
    """Draw a whole scene.

    Args:
        rng: the scene's own generator; every choice comes from it.

    Returns:
        The plan.
    """
    kind = str(rng.choice(list(KINDS), p=list(KINDS.values())))
    light = _light(rng)
    road = _road(kind, rng)
    buildings = _buildings(kind, road, rng)
    trees = _trees(kind, road, buildings, rng)
    hedges = _hedges(kind, road, rng)
    instances = tuple(_unscreened(traffic.populate(kind, road, rng), road, (*buildings, *hedges)))
    return Plan(kind, road, buildings, trees, hedges, instances, light, _look(light, rng))


def _unscreened(instances: tuple[Instance, ...], road: Road, walls: tuple[Building | Hedge, ...]) -> list[Instance]:
    """Those objects no corner of which a house or hedge hides from the camera.

    Walls are drawn before objects, so what they would hide must not be in the scene.
    """
    if not instances:
        return []
    corners = np.stack([instance.footprint() for instance in instances])
    x, z = corners[..., 0], corners[..., 1]
    hidden = np.zeros(len(instances), bool)
    for wall in walls:
        depths = np.linspace(max(wall.start, 0.5), max(wall.end, 0.5), 5)
        lines = wall.side * road.x(wall.side * wall.offset, depths)
        # In a picture's columns x / z: the wall covers those between its ends, at a depth found between them.
        columns, column = lines / depths, wall.side * x / z
        within = (columns.min() <= column) & (column <= columns.max())
        behind = within & (z > np.interp(-column, -columns, depths) + 0.2)
        if wall.start > 0.5:
            end = (lines[0] + getattr(wall, "depth", 2.0)) / depths[0]
            behind |= (columns[0] <= column) & (column <= end) & (z > wall.start)
        hidden |= (behind & (wall.side * x > 0)).any(1)
    return [instance for instance, gone in zip(instances, hidden, strict=True) if not gone]


def _light(rng: np.random.Generator) -> Light:
    """Sun and sky: two days in three are sunny."""
    azimuth, height = rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 1.1)
    sun = np.array([np.cos(azimuth) * np.cos(height), -np.sin(height), np.sin(azimuth) * np.cos(height)])
    warm = rng.uniform(0, 1)
    if rng.random() < 0.66:
        strength = rng.uniform(0.65, 0.95)
        sunlight = tuple(strength * np.array([1.0, 0.97 - 0.05 * warm, 0.92 - 0.16 * warm]))
        sky, bounce = (0.45, 0.49, 0.55), (0.30, 0.295, 0.28)
    else:
        sunlight, level = (0.0, 0.0, 0.0), rng.uniform(0.85, 1.1)
        sky, bounce = tuple(level * np.array([0.92, 0.95, 1.0])), tuple(level * np.array([0.40, 0.40, 0.39]))
    haze = tuple(np.array([0.80, 0.84, 0.89]) * rng.uniform(0.92, 1.08))
    return Light(sun, sunlight, sky, bounce, haze, float(rng.uniform(220, 800)))


def _look(light: Light, rng: np.random.Generator) -> Look:
    """Sky colours and the camera's exposure, white balance, noise and blur."""
    sunny = max(light.sunlight) > 0
    zenith = (0.36, 0.55, 0.83) if sunny and rng.random() < 0.7 else (0.74, 0.79, 0.86)
    balance = rng.uniform(-0.06, 0.06)
    gain = rng.uniform(0.92, 1.35) * np.array([1 + balance, 1.0, 1 - balance])
    return Look(
        zenith=tuple(np.array(zenith) * rng.uniform(0.9, 1.1)),
        cloud=(0.97, 0.97, 0.98) if sunny else (0.80, 0.82, 0.85),
        cloud_variant=int(rng.integers(CLOUDS)),
        cloud_mirrored=bool(rng.random() < 0.5),
        cloud_cover=float(rng.uniform(0.2, 1.0)),
        grain_variant=int(rng.integers(GRAINS)),
        grain_mirrored=bool(rng.random() < 0.5),
        gain=tuple(gain),
        gamma=float(rng.uniform(0.85, 1.2)),
        contrast=float(rng.uniform(0.1, 0.75)),
        noise=float(rng.uniform(1.0, 4.5)),
        noise_shift=(int(rng.integers(64)), int(rng.integers(64))),
        blur=float(rng.uniform(0.3, 0.75)),
    )


def _road(kind: str, rng: np.random.Generator) -> Road:
    """Edges, pavements, bend, paint and crossing of a road."""
    lane = LANES[kind]
    parking_right = kind in ("residential", "city") and rng.random() < 0.75
    parking_left = kind in ("residential", "city") and rng.random() < 0.75
    lanes_left = 2 if kind == "arterial" and rng.random() < 0.6 else 1
    right = lane / 2 + (2.1 if parking_right else 0.4)
    left = -lane / 2 - lanes_left * lane - (2.1 if parking_left else 0.4)
    tracks = kind == "arterial" and rng.random() < 0.55 or kind == "city" and rng.random() < 0.25
    markings = _markings(kind, (left, right), lanes_left, parking_right, rng)
    markings += _rails(kind, left) if tracks else ()
    pavement = {"residential": 2.2, "city": 3.6, "arterial": 2.6, "rural": 0.0}[kind]
    crossing = float(rng.uniform(16, 45)) if kind != "rural" and rng.random() < 0.3 else None
    bend = {"residential": 0.0008, "city": 0.0003, "arterial": 0.0006, "rural": 0.0014}[kind]
    dark, stone, grass = rng.uniform(0.30, 0.50), rng.uniform(0.42, 0.62), rng.uniform(0.8, 1.3)
    paved = kind == "city" or (kind == "residential" and rng.random() < 0.3)
    return Road(
        left=left,
        right=right,
        pavement_left=9.5 if tracks and kind == "arterial" else pavement,
        pavement_right=pavement,
        slope=float(rng.normal(0, 0.012)),
        curve=0.0 if crossing is not None or tracks else float(rng.normal(0, bend)),
        markings=markings,
        crossing=crossing,
        crossing_half=float(rng.uniform(3.2, 4.5)),
        asphalt=(dark, dark, 1.02 * dark),
        pavement=(stone, 0.98 * stone, 0.94 * stone),
        verge=(0.44, 0.42, 0.39) if paved else (0.20 * grass, 0.26 * grass, 0.10 * grass),
        zebra=None if crossing is None or rng.random() < 0.4 else crossing - 9.0,
    )


def _markings(
    kind: str, edges: tuple[float, float], lanes_left: int, parking: bool, rng: np.random.Generator
) -> tuple[Marking, ...]:
    """Middle line, lane lines, and lines along the edges or the parking strip."""
    lane, (left, right), white = LANES[kind], edges, (0.80, 0.80, 0.78)
    found: list[Marking] = []
    if kind != "residential" or rng.random() < 0.35:
        dash = (3.0, 6.0) if rng.random() < 0.75 else None
        found.append(Marking(-lane / 2, 0.14, dash, white))
    if lanes_left == 2:
        found.append(Marking(-1.5 * lane, 0.14, (3.0, 6.0), white))
    if kind in ("arterial", "rural"):
        found += [Marking(right - 0.25, 0.13, None, white), Marking(left + 0.25, 0.13, None, white)]
    elif parking and rng.random() < 0.5:
        found.append(Marking(right - 2.1, 0.1, (1.0, 1.0), white))
    return tuple(found)


def _rails(kind: str, left: float) -> tuple[Marking, ...]:
    """Rails in the opposite lane of a city street, or two tracks beside a wider road."""
    middle = -LANES[kind] if kind == "city" else left - 3.2
    tracks = (middle,) if kind == "city" else (middle, middle - 3.28)
    return tuple(Marking(m + s, RAIL, None, (0.36, 0.35, 0.34)) for m in tracks for s in (-0.72, 0.72))


def _in_crossing(road: Road, start: float, end: float) -> bool:
    """Whether z from start to end meets the crossing road with its pavements."""
    if road.crossing is None:
        return False
    margin = road.crossing_half + 3.0
    return start < road.crossing + margin and end > road.crossing - margin


def _buildings(kind: str, road: Road, rng: np.random.Generator) -> tuple[Building, ...]:
    """Rows of houses: shoulder to shoulder in the city, with gardens between them elsewhere."""
    found: list[Building] = []
    density = {"residential": 0.85, "city": 1.0, "arterial": 0.45, "rural": 0.08}[kind]
    for side in (1, -1):
        edge = road.right + road.pavement_right if side == 1 else -road.left + road.pavement_left
        line = (
            edge
            + {"residential": rng.uniform(1.0, 6.0), "city": 0.3, "arterial": rng.uniform(4, 12), "rural": 14.0}[kind]
        )
        if kind == "city" and rng.random() < 0.2:
            continue
        z = rng.uniform(-8, 4)
        while z < 150:
            length = rng.uniform(9, 17)
            if rng.random() < density and not _in_crossing(road, z, z + length):
                tall = rng.uniform(8, 15) if kind in ("city", "arterial") else rng.uniform(5.0, 7.5)
                roof = 0.0 if kind == "arterial" or (kind == "city" and rng.random() < 0.4) else rng.uniform(2.5, 4.5)
                colour = tuple(np.array(_ROOFS[int(rng.integers(len(_ROOFS)))]) * rng.uniform(0.8, 1.2))
                offset = line + (0 if kind == "city" else rng.uniform(0, 1.5))
                variant = int(rng.integers(FACADES))
                found.append(Building(side, offset, z, z + length, tall, rng.uniform(9, 12), variant, roof, colour))
            z += length + (0.0 if kind == "city" else rng.uniform(2, 9))
    return tuple(found)


def _trees(kind: str, road: Road, houses: tuple[Building, ...], rng: np.random.Generator) -> tuple[Tree, ...]:
    """Single trees beside the road, never inside a house."""
    wanted = {"residential": 12, "city": 6, "arterial": 18, "rural": 20}[kind]
    found = []
    for _ in range(int(rng.integers(wanted // 2, wanted + 1))):
        side, z = int(rng.choice([1, -1])), float(rng.uniform(1, 7) ** 2 + rng.uniform(0, 80))
        edge = road.right + road.pavement_right if side == 1 else -road.left + road.pavement_left
        reach = 1.2 if kind == "city" else rng.uniform(0.8, 14.0)
        offset = edge - 0.8 if kind == "city" else edge + reach
        blocked = any(h.side == side and h.start - 2 < z < h.end + 2 and offset > h.offset - 1.5 for h in houses)
        if z > 8 and not blocked and not _in_crossing(road, z, z):
            height, variant = rng.uniform(5.5, 12.0), int(rng.integers(TREES))
            found.append(Tree(float(road.x(side * offset, z)), z, float(height), variant, bool(rng.random() < 0.5)))
    return tuple(found)


def _hedges(kind: str, road: Road, rng: np.random.Generator) -> tuple[Hedge, ...]:
    """A distant line of trees, and hedges, woods or garden walls along the road."""
    found = []
    for side in (1, -1):
        edge = road.right + road.pavement_right if side == 1 else -road.left + road.pavement_left
        far = {"residential": 16.0, "city": 14.0, "arterial": 20.0, "rural": rng.uniform(3, 22)}[kind]
        tall = rng.uniform(6, 12)
        start = -6.0 if kind in ("rural", "arterial") else 60.0
        found.append(Hedge(side, edge + far, start, 230.0, tall, int(rng.integers(FOLIAGE))))
        if kind == "residential" and rng.random() < 0.7:
            z = rng.uniform(-4, 6)
            while z < 90:
                length = rng.uniform(6, 18)
                variant = int(rng.integers(FOLIAGE)) if rng.random() < 0.6 else -1
                if not _in_crossing(road, z, z + length):
                    found.append(Hedge(side, edge + 0.3, z, z + length, rng.uniform(0.8, 1.7), variant))
                z += length + rng.uniform(1, 9)
    return tuple(found)
