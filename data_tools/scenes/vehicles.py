"""Vehicles with an identity: one of VehicleX's eleven types, a geometry of its own, a colour and trimmings."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping

import numpy as np

from data_tools.scenes import cars, coaches, lorries, paints
from data_tools.scenes.meshes import Mesh
from data_tools.scenes.profiles import PROFILES, Profile
from data_tools.scenes.raster import Material
from data_tools.vehiclex_labels import COLOURS, TYPES

_VEHICLE, _ORDER = 0x57D10, 0x57D11
HUBS = ((0.46, 0.47, 0.49), (0.62, 0.63, 0.65), (0.08, 0.08, 0.09), (0.28, 0.28, 0.30), (0.42, 0.34, 0.20))


@dataclasses.dataclass(frozen=True)
class Vehicle:
    """One vehicle, the same in all its images.

    Attributes:
        number: its id, from 1.
        type_id: index into VehicleX's types.
        colour_id: index into VehicleX's colours.
        mesh: its shape.
        palette: material of each name of the mesh.
    """

    number: int
    type_id: int
    colour_id: int
    mesh: Mesh
    palette: Mapping[str, Material]


def type_of(seed: int, number: int) -> int:
    """Type of vehicle `number` (from 1): eleven vehicles in a row have the eleven types, in an order of their own."""
    block, place = divmod(number - 1, len(TYPES))
    return int(np.random.default_rng([_ORDER, seed, block]).permutation(len(TYPES))[place])


@functools.lru_cache(maxsize=64)
def make(seed: int, number: int) -> Vehicle:
    """A vehicle.

    Args:
        seed: of the data set, from 0.
        number: the vehicle's id, from 1.

    Returns:
        The vehicle; the same for the same arguments, however many there are.
    """
    rng = np.random.default_rng([_VEHICLE, seed, number])
    type_id = type_of(seed, number)
    kind = TYPES[type_id]
    # Twelve vehicles of a type in a row have the twelve colours.
    colours = np.random.default_rng([_ORDER, seed, 1 << 20, type_id]).permutation(len(COLOURS))
    colour_id = int(colours[(number - 1) // len(TYPES) % len(COLOURS)])
    mesh = cars.build(kind, vary(PROFILES[kind], rng)) if kind in PROFILES else _large(kind, rng)
    return Vehicle(number, type_id, colour_id, mesh, _palette(kind, COLOURS[colour_id], rng))


def vary(profile: Profile, rng: np.random.Generator) -> Profile:
    """A body of the same type with other proportions and details.

    Args:
        profile: the type's template.
        rng: draws them.

    Returns:
        Another profile with as many stations: nose, cabin and tail longer or shorter, belt and roof higher or lower,
        wheels, windows, grille, lamps, cladding and rails changed.
    """
    old = np.array(profile.stations)
    steps = -np.diff(old[:, 0])
    nose, tail = profile.windscreen, len(steps) - 2
    for part in (slice(0, nose), slice(nose, tail), slice(tail, None)):
        steps[part] *= rng.uniform(0.88, 1.14)
    x = np.concatenate([[0.0], -np.cumsum(steps)])
    x -= (x[0] + x[-1]) / 2
    slope = rng.uniform(-0.06, 0.06) * old[:, 0] / old[0, 0]
    belt = profile.clearance + (old[:, 1] - profile.clearance) * rng.uniform(0.93, 1.07)
    top = belt + (old[:, 2] - old[:, 1]) * (rng.uniform(0.9, 1.1) + slope)
    wide, narrow = old[:, 3] * rng.uniform(0.95, 1.05), old[:, 4] * rng.uniform(0.93, 1.05)
    stations = tuple(tuple(row) for row in np.stack([x, belt, top, wide, narrow], 1).tolist())
    # np.interp wants a rising row; x falls from front to rear.
    front, rear = np.interp(profile.axles, old[::-1, 0], x[::-1]).tolist()
    half, low, high = rng.uniform(0.1, 0.24), rng.uniform(0.05, 0.3), rng.uniform(0.55, 0.95)
    flips = rng.random(4)
    line = rng.uniform(0.05, 0.75)
    return dataclasses.replace(
        profile,
        stations=stations,
        axles=(front, rear),
        wheel=profile.wheel * rng.uniform(0.94, 1.12),
        windows=_windows(profile, rng),
        grille=(0.5 - half, low, 0.5 + half, high),
        tall_lamps=profile.tall_lamps != (flips[0] < 0.2),
        plate_band=int(rng.random() < 0.6) if profile.plate_band else 0,
        cladding=profile.cladding != (flips[1] < 0.25),
        rails=profile.rails != (flips[2] < 0.35) if profile.rails or profile.extra == "" else False,
        decal=(line, line + rng.uniform(0.08, 0.25)) if flips[3] < 0.3 else None,
    )


def _windows(profile: Profile, rng: np.random.Generator) -> tuple[tuple[int, float, float], ...]:
    """Side windows with their pillars moved a little, still apart and inside their segments."""
    shift = rng.uniform(-0.05, 0.05, 2 * len(profile.windows)).tolist()
    moved = []
    for (segment, u0, u1), low, high in zip(profile.windows, shift[::2], shift[1::2], strict=True):
        start = float(np.clip(u0 + max(low, 0) * 0.5, 0.01, 0.98))
        moved.append((segment, start, float(np.clip(u1 - abs(high), start + 0.1, 0.99))))
    return tuple(moved)


def _large(kind: str, rng: np.random.Generator) -> Mesh:
    """A bus, truck or motorhome with proportions of its own."""
    if kind == "bus":
        return coaches.bus(
            length=rng.uniform(8.5, 12.8),
            height=rng.uniform(2.9, 3.3),
            belt=rng.uniform(1.05, 1.35),
            windows=int(rng.integers(5, 10)),
            doors=int(rng.integers(1, 4)),
        )
    if kind == "truck":
        low = rng.uniform(0.1, 0.5)
        return lorries.truck(
            rear=rng.uniform(-5.4, -2.8),
            height=rng.uniform(2.75, 3.7),
            tall=rng.uniform(0.85, 1.15),
            tandem=bool(rng.random() < 0.4),
            stripe=(low, low + rng.uniform(0.25, 0.4)),
        )
    first, last = rng.uniform(0.16, 0.3), rng.uniform(0.15, 0.3)
    return lorries.motorhome(
        rear=rng.uniform(-4.3, -2.6),
        roof=rng.uniform(2.8, 3.15),
        stripe=rng.uniform(0.12, 0.33),
        windows=((0.05, 0.05 + first), (0.93 - last, 0.93)),
    )


def _palette(kind: str, colour: str, rng: np.random.Generator) -> dict[str, Material]:
    """Materials of a vehicle: its paint, and glass, hubs, stripes and cargo box that tell it from others."""
    palette = paints.vehicle(kind, rng, colour)
    hub = HUBS[int(rng.integers(len(HUBS)))]
    palette["hub"] = Material(hub, 0.25)
    if kind == "RV":
        # A motorhome's box carries most of what is seen of it: white with some of its colour.
        share = rng.uniform(0.45, 0.75)
        paint = palette["paint"].colour
        red, green, blue = (share * p + (1 - share) * c for p, c in zip(paint, palette["coach"].colour, strict=True))
        palette["coach"] = Material((red, green, blue), 0.15)
    return palette
