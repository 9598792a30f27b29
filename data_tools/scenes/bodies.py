"""Shared bodywork: a body lofted over cross-sections, and the wheels, lamps, plates and mirrors on it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from data_tools.scenes.meshes import MeshBuilder

Station = tuple[float, float, float, float, float]
"""A cross-section: x, belt height, top height, half width at the belt, half width at the top; metres."""

PAINT, GLASS, SHEEN, TRIM, CHROME, LAMP, TAIL, PLATE, TYRE, HUB, GAP = (
    "paint",
    "glass",
    "sheen",
    "trim",
    "chrome",
    "lamp",
    "tail",
    "plate",
    "tyre",
    "hub",
    "gap",
)
CLOSE = 55.0  # pixels per metre from which on seams and handles are worth drawing
AHEAD, BEHIND = (1, 0.05, 0), (-1, 0.05, 0)  # directions that front and rear faces look to
NEAR = 14.0  # the same for plates and hub details


class Loft:
    """A body skin over stations from front to rear.

    Bands from low to high: 0 sill to bulge, 1 bulge to belt, 2 belt to roof edge, 3 roof edge to roof, and "top".

    Args:
        stations: front to rear.
        clearance: height of the sill above the road, metres.
        bulge: how far up between sill and belt the body is widest, 0–1.
        sill: width at the sill as a fraction of the widest.
    """

    def __init__(
        self, stations: Sequence[Station], clearance: float = 0.2, bulge: float = 0.5, sill: float = 0.94
    ) -> None:
        self.stations = tuple(stations)
        self.rings = []
        for x, belt, top, wide, narrow in self.stations:
            profile = (
                (wide * sill, clearance),
                (wide, clearance + bulge * (belt - clearance)),
                (wide * 0.965, belt),
                (narrow, belt + 0.93 * (top - belt)),
                (narrow * 0.84, top),
            )
            self.rings.append(np.array([(x, up, half) for half, up in profile]))

    def panel(self, segment: int, band: int, side: int) -> np.ndarray:
        """Corners (4, 3) of a side panel: u runs from front to rear, v from low to high; side is 1 left, -1 right."""
        a, b = self.rings[segment], self.rings[segment + 1]
        return np.stack([a[band], b[band], b[band + 1], a[band + 1]]) * (1, 1, side)

    def top(self, segment: int, band: int = 4) -> np.ndarray:
        """Corners (4, 3) of a top panel: u from right to left, v from front to rear; band 3 takes in the roof edges."""
        a, b = self.rings[segment][band], self.rings[segment + 1][band]
        return np.stack([a * (1, 1, -1), a, b, b * (1, 1, -1)])

    def cap(self, end: int, band: int, upto: int | None = None) -> np.ndarray:
        """Corners (4, 3) of a band of the front (end 0) or rear (end -1) face: u from right to left, v low to high."""
        low, high = self.rings[end][band], self.rings[end][band + 1 if upto is None else upto]
        return np.stack([low * (1, 1, -1), low, high, high * (1, 1, -1)])

    def skin(
        self,
        builder: MeshBuilder,
        lower: str = PAINT,
        upper: str = PAINT,
        sill: str | None = None,
        levels: tuple[int, int] = (0, 2),
    ) -> None:
        """Add the whole skin: the lower body as one part, everything above the belt as another.

        Args:
            builder: receives the faces.
            lower, upper: materials below and above the belt.
            sill: material of the lowest band; `lower` by default.
            levels: of the two parts; equal levels make one part. A belt below the camera lets the upper part always
                be drawn later.
        """
        for above, bands in ((False, (0, 1)), (True, (2, 3))):
            if not above or levels[0] != levels[1]:
                builder.part(levels[above])
            for band in bands:
                material = (sill or lower) if band == 0 else upper if above else lower
                for segment in range(len(self.rings) - 1):
                    for side in (1, -1):
                        builder.face(self.panel(segment, band, side), material)
                builder.face(self.cap(0, band), material, outward=AHEAD)
                builder.face(self.cap(-1, band), material, outward=BEHIND)
            if above:
                for segment in range(len(self.rings) - 1):
                    builder.face(self.top(segment), upper, outward=(0, 1, 0))

    def paint_sides(
        self,
        builder: MeshBuilder,
        segment: int,
        band: int,
        uv: tuple,
        material: str,
        detail: float = 0.0,
        layer: int = 1,
    ) -> None:
        """Paint the same rectangle (u0, v0, u1, v1) on both sides of a segment."""
        for side in (1, -1):
            builder.quad(self.panel(segment, band, side), material, uv, detail=detail, layer=layer)


def disc(x: float, up: float, left: float, radius: float, points: int, start: float = 0.0, end: float = 2 * np.pi):
    """Corners (points, 3) of a disc or sector in a plane of constant `left`."""
    turn = np.linspace(start, end, points, endpoint=abs(end - start) < 6.28)
    return np.stack([x + radius * np.cos(turn), up + radius * np.sin(turn), np.full(points, left)], 1)


def upright(x0: float, up0: float, x1: float, up1: float, half: float) -> np.ndarray:
    """Corners (4, 3) of a pane across the vehicle from (x0, up0) to (x1, up1): u from right to left, v low to high."""
    return np.array([(x0, up0, -half), (x0, up0, half), (x1, up1, half), (x1, up1, -half)])


def wheels(
    builder: MeshBuilder, axles: Sequence[float], radius: float, half: float, clearance: float, width: float = 0.22
) -> None:
    """Add tyres that show under the body, and arches, tyres and hubs on the body's sides.

    Args:
        builder: receives the faces.
        axles: x of every axle.
        radius: of a tyre, metres.
        half: half the width between the outer sides of the tyres.
        clearance: height of the sill, where arches end.
        width: of a tyre.
    """
    for x in axles:
        for side in (1, -1):
            builder.part(-1)
            builder.tube((x, radius, side * (half - width)), (x, radius, side * half), radius, radius, TYRE, sides=12)
    for x in axles:
        for side in (1, -1):
            builder.part(1)
            plane, out = side * half, (0, 0, side)
            foot = np.arcsin(np.clip((clearance - radius) / (1.14 * radius), -1, 0))
            arch = disc(x, radius, plane, 1.14 * radius, 13, foot, np.pi - foot)
            builder.face(arch, GAP, solid=False, outward=out)
            builder.face(disc(x, radius, plane * 1.004, radius, 16), TYRE, layer=1, outward=out)
            builder.face(disc(x, radius, plane * 1.006, 0.66 * radius, 12), HUB, layer=2, outward=out)
            for spoke in range(5):
                angle = spoke * 2 * np.pi / 5
                hole = disc(x, radius, plane * 1.008, 0.58 * radius, 3, angle, angle + 0.62)
                inner = disc(x, radius, plane * 1.008, 0.24 * radius, 2, angle + 0.5, angle + 0.12)
                builder.face(np.concatenate([hole, inner]), GAP, layer=3, outward=out, detail=NEAR)


def mirrors(
    builder: MeshBuilder, x: float, up: float, half: float, size: float = 0.16, material: str = PAINT, level: int = 2
) -> None:
    """Add a mirror on each side, `half` from the middle; `level` is the one of the part it is fixed to."""
    for side in (1, -1):
        builder.part(level)
        low, high = sorted((side * (half - size), side * half))
        builder.box((x - 0.07, x + 0.07), (up, up + 0.75 * size), (low, high), material, detail=8.0)


def front(builder: MeshBuilder, loft: Loft, grille: tuple, lamp: float = 0.27, badge: bool = True) -> None:
    """Paint head lamps, grille, bumper intake and plate on the front.

    Args:
        builder: receives the faces.
        loft: the body.
        grille: u0, v0, u1, v1 on the band below the belt.
        lamp: how far a lamp reaches inwards, as a fraction of the front's width.
        badge: whether a chrome bar runs along the grille.
    """
    face, bumper = loft.cap(0, 1), loft.cap(0, 0)
    builder.quad(face, GAP, grille, outward=AHEAD)
    if badge:
        middle = (grille[1] + grille[3]) / 2
        bar = (grille[0], middle - 0.05, grille[2], middle + 0.05)
        builder.quad(face, CHROME, bar, layer=2, detail=NEAR, outward=AHEAD)
    for u0, u1 in ((0.02, lamp), (1 - lamp, 0.98)):
        builder.quad(face, LAMP, (u0, 0.22, u1, 0.9), outward=AHEAD)
        middle = (u0 + u1) / 2
        builder.quad(face, GAP, (middle - 0.04, 0.35, middle + 0.04, 0.75), layer=2, detail=CLOSE, outward=AHEAD)
    for side in (1, -1):
        builder.quad(loft.panel(0, 1, side), LAMP, (0.0, 0.25, 0.8, 0.9))
    builder.quad(bumper, GAP, (0.14, 0.12, 0.86, 0.5), outward=AHEAD)
    builder.quad(bumper, PLATE, (0.36, 0.5, 0.64, 0.92), layer=2, detail=6.0, outward=AHEAD)
    builder.quad(bumper, "ink", (0.39, 0.62, 0.61, 0.8), layer=3, detail=CLOSE, outward=AHEAD)


def rear(builder: MeshBuilder, loft: Loft, tall: bool = False, plate_band: int = 1) -> None:
    """Paint tail lamps, plate and bumper on the rear.

    Args:
        builder: receives the faces.
        loft: the body.
        tall: lamps run up beside the rear window instead of lying flat under the belt.
        plate_band: 1 puts the plate on the tailgate, 0 on the bumper.
    """
    last = len(loft.rings) - 2
    tailgate, bumper = loft.cap(-1, 1), loft.cap(-1, 0)
    width = 0.12 if tall else 0.25
    for u0, u1 in ((0.01, width), (1 - width, 0.99)):
        builder.quad(tailgate, TAIL, (u0, 0.05 if tall else 0.4, u1, 1.0), outward=BEHIND)
        builder.quad(tailgate, LAMP, (u0, 0.2, u1, 0.33), layer=2, detail=NEAR, outward=BEHIND)
    for side in (1, -1):
        builder.quad(loft.panel(last, 1, side), TAIL, (0.35, 0.4 if not tall else 0.05, 1.0, 1.0))
    plate, uv = (tailgate, (0.36, 0.2, 0.64, 0.62)) if plate_band else (bumper, (0.36, 0.3, 0.64, 0.7))
    builder.quad(plate, PLATE, uv, layer=2, detail=6.0, outward=BEHIND)
    ink = (uv[0] + 0.03, uv[1] + 0.12, uv[2] - 0.03, uv[3] - 0.12)
    builder.quad(plate, "ink", ink, layer=3, detail=CLOSE, outward=BEHIND)
    builder.quad(bumper, TRIM, (0.08, 0.0, 0.92, 0.3), outward=BEHIND)
    builder.quad(bumper, GAP, (0.0, 0.93, 1.0, 1.0), detail=CLOSE, outward=BEHIND)
