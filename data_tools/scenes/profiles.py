"""Side views of passenger cars, panel vans and pickups, as numbers."""

from __future__ import annotations

import dataclasses

from data_tools.scenes.bodies import Station


@dataclasses.dataclass(frozen=True)
class Profile:
    """What distinguishes one body from another; lengths in metres.

    Attributes:
        stations: cross-sections from front to rear.
        axles: x of the front and the rear axle.
        wheel: tyre radius.
        clearance: sill height.
        windscreen: segment that is the windscreen.
        rear_window: segment that is the rear window, or -1 where the rear face holds it.
        windows: side windows as (segment, u0, u1).
        doors: seams as (segment, u).
        grille: u0, v0, u1, v1 on the front.
        tall_lamps: tail lamps stand upright.
        plate_band: 1 the plate is on the tailgate, 0 on the bumper.
        cladding: dark plastic sills.
        rails: roof rails.
        extra: one of "", "wing", "bed".
        decal: lower and upper edge of a stripe along the sides, 0–1 of the band below the belt; None without.
    """

    stations: tuple[Station, ...]
    axles: tuple[float, float]
    wheel: float
    clearance: float
    windscreen: int
    rear_window: int
    windows: tuple[tuple[int, float, float], ...]
    doors: tuple[tuple[int, float], ...]
    grille: tuple[float, float, float, float] = (0.32, 0.15, 0.68, 0.85)
    tall_lamps: bool = False
    plate_band: int = 1
    cladding: bool = False
    rails: bool = False
    extra: str = ""
    decal: tuple[float, float] | None = None


_SEDAN = Profile(
    stations=(
        (2.25, 0.60, 0.64, 0.66, 0.55),
        (2.08, 0.70, 0.76, 0.82, 0.66),
        (1.20, 0.86, 0.96, 0.87, 0.70),
        (0.42, 0.90, 1.41, 0.88, 0.60),
        (-0.75, 0.92, 1.43, 0.88, 0.60),
        (-1.48, 0.95, 1.06, 0.87, 0.68),
        (-2.12, 0.95, 1.02, 0.82, 0.68),
        (-2.25, 0.84, 0.93, 0.74, 0.62),
    ),
    axles=(1.38, -1.32), wheel=0.32, clearance=0.2, windscreen=2, rear_window=4,
    windows=((2, 0.5, 0.98), (3, 0.02, 0.46), (3, 0.52, 0.97), (4, 0.03, 0.5)),
    doors=((2, 0.72), (3, 0.49), (4, 0.35)),
)  # fmt: skip
_ESTATE = Profile(
    stations=(
        (2.30, 0.60, 0.64, 0.66, 0.55),
        (2.12, 0.70, 0.76, 0.82, 0.66),
        (1.25, 0.86, 0.96, 0.87, 0.70),
        (0.50, 0.90, 1.43, 0.88, 0.61),
        (-0.60, 0.92, 1.46, 0.88, 0.62),
        (-1.95, 0.95, 1.43, 0.86, 0.60),
        (-2.28, 0.97, 1.03, 0.80, 0.66),
        (-2.34, 0.88, 0.95, 0.76, 0.64),
    ),
    axles=(1.42, -1.35), wheel=0.32, clearance=0.2, windscreen=2, rear_window=5,
    windows=((2, 0.5, 0.98), (3, 0.02, 0.50), (3, 0.55, 0.99), (4, 0.05, 0.93)),
    doors=((2, 0.72), (3, 0.52), (4, 0.25)), tall_lamps=True, rails=True,
)  # fmt: skip
_HATCHBACK = Profile(
    stations=(
        (1.92, 0.62, 0.67, 0.64, 0.54),
        (1.78, 0.74, 0.80, 0.79, 0.64),
        (1.12, 0.90, 1.00, 0.83, 0.68),
        (0.45, 0.94, 1.47, 0.84, 0.60),
        (-0.75, 0.97, 1.50, 0.84, 0.60),
        (-1.40, 0.99, 1.43, 0.82, 0.57),
        (-1.86, 1.00, 1.06, 0.77, 0.63),
        (-1.92, 0.88, 0.96, 0.74, 0.62),
    ),
    axles=(1.22, -1.25), wheel=0.30, clearance=0.2, windscreen=2, rear_window=5,
    windows=((2, 0.5, 0.98), (3, 0.02, 0.60), (3, 0.66, 0.98), (4, 0.03, 0.55)),
    doors=((2, 0.7), (3, 0.63)), tall_lamps=True,
)  # fmt: skip
_SUV = Profile(
    stations=(
        (2.18, 0.82, 0.90, 0.76, 0.68),
        (2.06, 0.96, 1.02, 0.88, 0.74),
        (1.08, 1.05, 1.15, 0.91, 0.76),
        (0.50, 1.08, 1.70, 0.92, 0.69),
        (-0.60, 1.09, 1.74, 0.92, 0.70),
        (-1.80, 1.11, 1.71, 0.91, 0.69),
        (-2.12, 1.12, 1.22, 0.88, 0.74),
        (-2.20, 1.00, 1.10, 0.84, 0.74),
    ),
    axles=(1.35, -1.32), wheel=0.39, clearance=0.32, windscreen=2, rear_window=5,
    windows=((2, 0.55, 0.98), (3, 0.02, 0.48), (3, 0.53, 0.98), (4, 0.04, 0.88)),
    doors=((2, 0.75), (3, 0.5), (4, 0.2)), grille=(0.29, 0.05, 0.71, 0.95), tall_lamps=True, cladding=True, rails=True,
)  # fmt: skip
_MPV = Profile(
    stations=(
        (2.15, 0.66, 0.72, 0.70, 0.60),
        (2.00, 0.80, 0.88, 0.85, 0.70),
        (1.55, 0.95, 1.06, 0.90, 0.74),
        (0.62, 1.00, 1.64, 0.91, 0.66),
        (-0.55, 1.02, 1.69, 0.91, 0.67),
        (-1.85, 1.04, 1.65, 0.90, 0.65),
        (-2.16, 1.05, 1.14, 0.86, 0.72),
        (-2.22, 0.92, 1.00, 0.82, 0.72),
    ),
    axles=(1.40, -1.38), wheel=0.32, clearance=0.2, windscreen=2, rear_window=5,
    windows=((2, 0.42, 0.72), (2, 0.76, 0.99), (3, 0.01, 0.46), (3, 0.51, 0.99), (4, 0.03, 0.88)),
    doors=((2, 0.8), (3, 0.48), (4, 0.3)), tall_lamps=True,
)  # fmt: skip
_SPORTSCAR = Profile(
    stations=(
        (2.15, 0.46, 0.50, 0.66, 0.54),
        (1.98, 0.58, 0.66, 0.86, 0.66),
        (0.92, 0.76, 0.86, 0.90, 0.66),
        (0.12, 0.82, 1.20, 0.90, 0.52),
        (-0.48, 0.86, 1.22, 0.91, 0.52),
        (-1.62, 0.88, 0.97, 0.91, 0.64),
        (-2.06, 0.86, 0.92, 0.86, 0.66),
        (-2.16, 0.74, 0.80, 0.80, 0.64),
    ),
    axles=(1.32, -1.30), wheel=0.33, clearance=0.13, windscreen=2, rear_window=4,
    windows=((2, 0.45, 0.98), (3, 0.02, 0.96), (4, 0.04, 0.5)),
    doors=((2, 0.5), (4, 0.12)), grille=(0.36, 0.1, 0.64, 0.5), extra="wing", plate_band=0,
)  # fmt: skip
_VAN = Profile(
    stations=(
        (2.62, 0.86, 0.94, 0.78, 0.70),
        (2.48, 1.02, 1.10, 0.92, 0.78),
        (1.95, 1.18, 1.30, 0.96, 0.82),
        (1.20, 1.22, 2.12, 0.97, 0.80),
        (0.45, 1.22, 2.26, 0.97, 0.84),
        (-2.50, 1.22, 2.26, 0.97, 0.84),
        (-2.62, 1.22, 2.20, 0.94, 0.80),
    ),
    axles=(1.78, -1.62), wheel=0.34, clearance=0.26, windscreen=2, rear_window=-1,
    windows=((2, 0.55, 0.98), (3, 0.05, 0.85)),
    doors=((2, 0.8), (3, 0.98), (4, 0.42)), grille=(0.28, 0.1, 0.72, 0.9), tall_lamps=True, plate_band=1, cladding=True,
)  # fmt: skip
_PICKUP = Profile(
    stations=(
        (2.62, 0.84, 0.92, 0.78, 0.70),
        (2.48, 0.98, 1.04, 0.90, 0.76),
        (1.40, 1.06, 1.16, 0.93, 0.78),
        (0.82, 1.09, 1.70, 0.93, 0.68),
        (-0.38, 1.10, 1.72, 0.93, 0.68),
        (-0.58, 1.10, 1.14, 0.93, 0.90),
        (-2.50, 1.12, 1.14, 0.93, 0.90),
        (-2.60, 1.10, 1.12, 0.91, 0.88),
    ),
    axles=(1.62, -1.55), wheel=0.39, clearance=0.36, windscreen=2, rear_window=4,
    windows=((2, 0.55, 0.98), (3, 0.02, 0.5), (3, 0.56, 0.93)),
    doors=((2, 0.78), (3, 0.53), (4, 0.1)), grille=(0.26, 0.05, 0.74, 0.95), tall_lamps=True, plate_band=0,
    cladding=True, extra="bed",
)  # fmt: skip

PROFILES = {
    "sedan": _SEDAN,
    "estate": _ESTATE,
    "hatchback": _HATCHBACK,
    "suv": _SUV,
    "mpv": _MPV,
    "sportscar": _SPORTSCAR,
    "van": _VAN,
    "pickup": _PICKUP,
}
