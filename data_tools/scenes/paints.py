"""Colours of vehicles and clothes."""

from __future__ import annotations

import numpy as np

from data_tools.scenes.raster import Colour, Material

VEHICLE_COLOURS: dict[str, Colour] = {
    "yellow": (0.85, 0.66, 0.08),
    "orange": (0.80, 0.33, 0.06),
    "green": (0.10, 0.30, 0.14),
    "gray": (0.36, 0.37, 0.39),
    "red": (0.55, 0.05, 0.06),
    "blue": (0.08, 0.16, 0.42),
    "white": (0.68, 0.68, 0.665),
    "golden": (0.55, 0.46, 0.28),
    "brown": (0.25, 0.17, 0.11),
    "black": (0.035, 0.036, 0.04),
    "purple": (0.25, 0.10, 0.32),
    "pink": (0.78, 0.42, 0.50),
}
_ROAD_MIX: dict[str, float] = {
    "yellow": 2,
    "orange": 2,
    "green": 5,
    "gray": 28,
    "red": 9,
    "blue": 14,
    "white": 16,
    "golden": 3,
}
_ROAD_MIX |= {"brown": 3, "black": 20, "purple": 1, "pink": 0.5}
_FIXED = {
    "glass": Material((0.05, 0.06, 0.07), 0.62),
    "trim": Material((0.07, 0.07, 0.075), 0.1),
    "chrome": Material((0.55, 0.56, 0.58), 0.6),
    "lamp": Material((0.82, 0.84, 0.86), 0.5),
    "tail": Material((0.62, 0.03, 0.03), 0.35, 0.1),
    "plate": Material((0.88, 0.88, 0.85), 0.0, 0.1),
    "ink": Material((0.15, 0.15, 0.17)),
    "tyre": Material((0.035, 0.035, 0.038)),
    "hub": Material((0.46, 0.47, 0.49), 0.25),
    "gap": Material((0.025, 0.025, 0.027), 0.05),
    "liner": Material((0.12, 0.12, 0.12)),
    "coach": Material((0.70, 0.69, 0.66), 0.15),
    "seam": Material((0.5, 0.49, 0.46)),
    "sign": Material((0.95, 0.6, 0.12), 0.0, 0.5),
    "roof": Material((0.62, 0.63, 0.64), 0.05),
}
_BUSES = ((0.70, 0.68, 0.64), (0.75, 0.12, 0.10), (0.12, 0.25, 0.50), (0.82, 0.62, 0.10), (0.20, 0.42, 0.25))
_TRAMS = ((0.85, 0.68, 0.08), (0.72, 0.10, 0.10), (0.68, 0.68, 0.66), (0.10, 0.28, 0.52))
_SKIN = ((0.80, 0.58, 0.47), (0.72, 0.50, 0.38), (0.55, 0.37, 0.26), (0.34, 0.22, 0.15))
_HAIR = ((0.06, 0.05, 0.04), (0.20, 0.13, 0.08), (0.42, 0.31, 0.16), (0.48, 0.47, 0.45), (0.12, 0.10, 0.09))
_TOPS = (
    (0.10, 0.11, 0.13), (0.66, 0.65, 0.63), (0.14, 0.20, 0.38), (0.55, 0.08, 0.09), (0.20, 0.32, 0.20),
    (0.42, 0.42, 0.44), (0.62, 0.50, 0.33), (0.28, 0.45, 0.62), (0.75, 0.55, 0.14), (0.40, 0.18, 0.35),
)  # fmt: skip
_TROUSERS = ((0.10, 0.13, 0.22), (0.08, 0.08, 0.09), (0.22, 0.26, 0.36), (0.40, 0.36, 0.28), (0.30, 0.30, 0.31))
_BAGS = ((0.12, 0.12, 0.13), (0.35, 0.22, 0.12), (0.55, 0.12, 0.12), (0.20, 0.28, 0.42))


def _pick(rng: np.random.Generator, colours, spread: float = 0.12) -> Colour:
    """One of the colours, its brightness varied by the given fraction."""
    colour = colours[int(rng.integers(len(colours)))]
    factor = 1 + spread * rng.uniform(-1, 1)
    red, green, blue = (float(np.clip(c * factor, 0, 1)) for c in colour)
    return red, green, blue


def vehicle(kind: str, rng: np.random.Generator, colour: str | None = None) -> dict[str, Material]:
    """A vehicle's palette.

    Args:
        kind: vehicle type or "tram".
        rng: draws the paint.
        colour: a key of `VEHICLE_COLOURS`; drawn as seen on German roads (buses and trams: in their operators'
            colours) if None.

    Returns:
        Material by name.
    """
    drawn = colour is None
    if colour is None:
        weights = np.array(list(_ROAD_MIX.values()), float)
        colour = str(rng.choice(list(_ROAD_MIX), p=weights / weights.sum()))
        if kind in ("van", "truck") and rng.random() < 0.55:
            colour = "white"
    paint = _pick(rng, [VEHICLE_COLOURS[colour]], 0.2)
    gloss = float(rng.uniform(0.28, 0.5))
    if drawn and kind in ("bus", "tram"):
        paint, gloss = _pick(rng, _BUSES if kind == "bus" else _TRAMS), 0.2
    accent = _pick(rng, [VEHICLE_COLOURS[c] for c in ("red", "blue", "green", "gray", "orange", "golden")])
    cargo = _pick(rng, ((0.68, 0.68, 0.66), (0.60, 0.61, 0.63), paint, (0.20, 0.28, 0.46), (0.55, 0.14, 0.10)))
    tint = float(rng.uniform(0.5, 1.6))
    glass = Material((0.045 * tint, 0.055 * tint, 0.06 * tint), 0.62)
    own = {"paint": Material(paint, gloss), "cargo": Material(cargo, 0.08), "stripe": Material(accent, 0.1)}
    sheen = Material((0.045 * tint + 0.05, 0.055 * tint + 0.05, 0.06 * tint + 0.05), 0.75)
    return _FIXED | own | {"glass": glass, "sheen": sheen}


def person(rng: np.random.Generator) -> dict[str, Material]:
    """A palette of skin, hair, clothes and bicycle parts."""
    drawn = {
        "skin": _SKIN,
        "hair": _HAIR,
        "top": _TOPS,
        "trousers": _TROUSERS,
        "bag": _BAGS,
        "helmet": _TOPS,
        "shoe": ((0.06, 0.06, 0.06), (0.3, 0.2, 0.13), (0.7, 0.7, 0.7)),
        "frame": ((0.08, 0.08, 0.09), (0.5, 0.52, 0.55), (0.45, 0.06, 0.06), (0.10, 0.22, 0.45)),
        "bench": ((0.30, 0.20, 0.12), (0.35, 0.36, 0.37)),
    }
    palette = {name: Material(_pick(rng, colours, 0.2)) for name, colours in drawn.items()}
    return palette | {"tyre": _FIXED["tyre"], "spoke": Material((0.5, 0.5, 0.52))}
