"""Lorries and motorhomes: a cab with a box behind it."""

from __future__ import annotations

import numpy as np

from data_tools.scenes.bodies import (
    AHEAD,
    BEHIND,
    CHROME,
    GAP,
    GLASS,
    LAMP,
    NEAR,
    PLATE,
    TAIL,
    TRIM,
    Loft,
    front,
    mirrors,
    upright,
    wheels,
)
from data_tools.scenes.meshes import Mesh, MeshBuilder

REAR = -3.85
"""x of the rear of a lorry, metres."""


def truck(
    rear: float = REAR, height: float = 3.35, tall: float = 1.0, tandem: bool = False, stripe: tuple = (0.42, 0.72)
) -> Mesh:
    """A lorry: a cab over its engine, a chassis with a tank, a cargo box taller than the cab.

    Args:
        rear: x of the cargo box's rear, metres; its front is at 1.85.
        height: of the cargo box's roof, metres.
        tall: factor of the cab's height above the belt.
        tandem: two rear axles instead of one.
        stripe: lower and upper edge of the stripe on the flanks, 0-1.
    """
    builder = MeshBuilder()
    _chassis(builder, rear)
    last = rear + 1.55
    axles = (2.75, last + 0.55, last - 0.55) if tandem else (2.75, last)
    wheels(builder, axles, 0.48, 1.12, 0.75, width=0.35)
    _cab(builder, tall)
    mirrors(builder, 3.5, 1.75, 1.32, size=0.2, material=TRIM, level=1)
    _cargo(builder, rear, height, stripe)
    return builder.build()


def _chassis(builder: MeshBuilder, rear: float) -> None:
    """Frame, tanks, side guards, and the rear bar with its lamps and plate."""
    builder.part(0)
    builder.box((rear + 0.15, 2.2), (0.55, 1.0), (-0.5, 0.5), TRIM)
    for side in (1, -1):
        builder.part(0)
        low, high = sorted((side * 0.55, side * 1.1))
        builder.box((0.3, 1.5), (0.45, 0.95), (low, high), CHROME, detail=5.0)
        builder.part(0)
        builder.box((-1.2, 0.1), (0.5, 0.95), (side * 1.12 - 0.02, side * 1.12 + 0.02), TRIM, detail=5.0)
    builder.part(0)
    builder.box((rear, rear + 0.1), (0.5, 0.68), (-1.1, 1.1), TRIM)
    bar = upright(rear - 0.01, 0.5, rear - 0.01, 0.7, 1.1)
    for u0, u1 in ((0.02, 0.16), (0.84, 0.98)):
        builder.quad(bar, TAIL, (u0, 0.15, u1, 0.9), outward=BEHIND)
    builder.quad(bar, PLATE, (0.4, 0.1, 0.62, 0.9), detail=6.0, outward=BEHIND)


def _cab(builder: MeshBuilder, tall: float) -> None:
    """A lorry's cab with a large windscreen, a grille and a dark bumper; `tall` stretches what is above its belt."""
    low, middle, top = (1.52 + tall * (up - 1.52) for up in (2.30, 2.78, 2.84))
    cab = Loft(
        (
            (3.72, 1.45, 1.55, 1.06, 1.04),
            (3.66, 1.50, low, 1.10, 1.06),
            (3.45, 1.52, middle, 1.14, 1.02),
            (2.0, 1.52, top, 1.14, 1.02),
        ),
        clearance=0.42,
        bulge=0.6,
        sill=0.98,
    )
    cab.skin(builder, levels=(1, 1))
    builder.quad(upright(3.69, 1.5, 3.50, middle - 0.1, 1.0), GLASS, (0.02, 0.08, 0.98, 0.82), outward=AHEAD)
    cab.paint_sides(builder, 2, 2, (0.12, 0.06, 0.62, 0.72), GLASS)
    cab.paint_sides(builder, 2, 1, (0.66, 0.0, 0.68, 1.0), GAP, detail=NEAR)
    face, bumper = cab.cap(0, 1), cab.cap(0, 0)
    builder.quad(face, GAP, (0.2, 0.12, 0.8, 0.85), outward=AHEAD)
    for v in (0.3, 0.5, 0.7):
        builder.quad(face, CHROME, (0.22, v - 0.03, 0.78, v + 0.03), layer=2, detail=NEAR, outward=AHEAD)
    builder.quad(bumper, TRIM, (0.0, 0.0, 1.0, 0.8), outward=AHEAD)
    for u0, u1 in ((0.04, 0.2), (0.8, 0.96)):
        builder.quad(bumper, LAMP, (u0, 0.35, u1, 0.75), layer=2, outward=AHEAD)
    builder.quad(bumper, PLATE, (0.38, 0.2, 0.62, 0.45), layer=2, detail=6.0, outward=AHEAD)


def _cargo(builder: MeshBuilder, rear: float, height: float, stripe: tuple) -> None:
    """A cargo box with a stripe and lettering on its flanks and two barred doors behind."""
    builder.part(1)
    builder.box((rear, 1.85), (0.98, height), (-1.24, 1.24), "cargo")
    for side in (1, -1):
        flank = _flank(1.85, rear, 0.98, height, side * 1.24)
        out = (0, 0, side)
        low, high = stripe
        builder.quad(flank, "stripe", (0.12, low, 0.88, high), outward=out)
        builder.quad(flank, "cargo", (0.16, low + 0.08, 0.6, high - 0.08), layer=2, outward=out)
        for v0, v1 in ((0.0, 0.04), (0.96, 1.0)):
            builder.quad(flank, CHROME, (0, v0, 1, v1), outward=out)
    doors = upright(rear, 0.98, rear, height, 1.24)
    for uv in ((0.49, 0, 0.51, 1), (0, 0, 0.025, 1), (0.975, 0, 1, 1), (0, 0.97, 1, 1), (0, 0, 1, 0.03)):
        builder.quad(doors, TRIM, uv, outward=BEHIND)
    for u in (0.2, 0.4, 0.6, 0.8):
        builder.quad(doors, CHROME, (u - 0.008, 0.04, u + 0.008, 0.95), detail=NEAR, outward=BEHIND)


def _flank(x0: float, x1: float, low: float, high: float, left: float) -> np.ndarray:
    """Corners (4, 3) of an upright side: u from x0 to x1, v from low to high."""
    return np.array([(x0, low, left), (x1, low, left), (x1, high, left), (x0, high, left)])


def motorhome(
    rear: float = -3.1, roof: float = 2.95, stripe: float = 0.3, windows: tuple = ((0.06, 0.26), (0.62, 0.9))
) -> Mesh:
    """A motorhome: a van's nose under a sleeping alcove, and a white living box with stripes and small windows.

    Args:
        rear: x of the rear, metres.
        roof: height of the living box, metres.
        stripe: height of the lower stripe on the flanks, 0-1.
        windows: (u0, u1) of the windows on each flank, 0-1 from front to rear.
    """
    builder = MeshBuilder()
    nose = Loft(
        (
            (3.15, 0.86, 0.94, 0.80, 0.72),
            (3.02, 1.02, 1.10, 0.94, 0.80),
            (2.50, 1.18, 1.30, 0.98, 0.86),
            (1.75, 1.22, 2.0, 0.99, 0.92),
            (1.2, 1.22, 2.05, 0.99, 0.95),
        ),
        clearance=0.28,
    )
    nose.skin(builder, levels=(1, 1))
    builder.part(1)
    builder.box((rear, 1.3), (0.5, roof), (-1.13, 1.13), "coach")
    _alcove(builder, roof)
    builder.part(3)
    builder.quad(nose.top(2, 3), GLASS, (0.04, 0.1, 0.96, 0.95), outward=(1, 1, 0))
    nose.paint_sides(builder, 2, 2, (0.5, 0.1, 0.98, 0.9), GLASS)
    nose.paint_sides(builder, 3, 2, (0.02, 0.1, 0.9, 0.9), GLASS)
    _living(builder, rear, roof, stripe, windows)
    builder.part(3)
    front(builder, nose, (0.28, 0.1, 0.72, 0.9))
    wheels(builder, (2.25, rear + 1.35), 0.34, 1.12, 0.5)
    mirrors(builder, 2.0, 1.3, 1.2, size=0.18, material=TRIM, level=1)
    return builder.build()


def _alcove(builder: MeshBuilder, roof: float) -> None:
    """The bed over a motorhome's cab."""
    builder.part(1)
    outline = [(1.3, 2.05), (2.35, 2.1), (2.5, 2.4), (2.2, roof - 0.1), (1.3, roof)]
    for side in (1.11, -1.11):
        builder.face([(x, up, side) for x, up in outline], "coach", outward=(0, 0, side))
    for (x0, up0), (x1, up1) in zip(outline[:-1], outline[1:], strict=True):
        corners = [(x0, up0, 1.11), (x1, up1, 1.11), (x1, up1, -1.11), (x0, up0, -1.11)]
        builder.face(corners, "coach", outward=(up1 - up0 + 0.01, x0 - x1, 0))
    builder.quad(upright(2.45, 2.3, 2.25, 2.8, 1.0), "stripe", (0.15, 0.2, 0.85, 0.7), outward=(1, 0.3, 0))


def _living(builder: MeshBuilder, rear: float, roof: float, stripe: float, windows: tuple) -> None:
    """Stripes, windows, the door on the right, and the rear of a motorhome's living box."""
    for side in (1, -1):
        flank, out = _flank(1.3, rear, 0.5, roof, side * 1.13), (0, 0, side)
        builder.quad(flank, "stripe", (0.0, stripe, 1.0, stripe + 0.06), outward=out)
        builder.quad(flank, "stripe", (0.3, stripe + 0.1, 1.0, stripe + 0.13), outward=out)
        builder.quad(flank, TRIM, (0.0, 0.0, 1.0, 0.06), outward=out)
        for u0, u1 in windows:
            builder.quad(flank, GAP, (u0, 0.5, u1, 0.78), outward=out)
            builder.quad(flank, GLASS, (u0 + 0.01, 0.52, u1 - 0.01, 0.76), layer=2, outward=out)
    door, out = _flank(1.3, rear, 0.5, roof, -1.13), (0, 0, -1)
    builder.quad(door, "seam", (0.34, 0.04, 0.5, 0.84), layer=2, outward=out)
    builder.quad(door, "coach", (0.347, 0.05, 0.493, 0.83), layer=3, outward=out)
    builder.quad(door, GLASS, (0.37, 0.56, 0.47, 0.76), layer=4, outward=out)
    back = upright(rear, 0.5, rear, roof, 1.13)
    builder.quad(back, GAP, (0.25, 0.55, 0.75, 0.78), outward=BEHIND)
    builder.quad(back, GLASS, (0.26, 0.565, 0.74, 0.765), layer=2, outward=BEHIND)
    builder.quad(back, "stripe", (0.0, stripe, 1.0, stripe + 0.06), outward=BEHIND)
    builder.quad(back, TRIM, (0.0, 0.0, 1.0, 0.1), outward=BEHIND)
    for u0, u1 in ((0.02, 0.12), (0.88, 0.98)):
        builder.quad(back, TAIL, (u0, 0.11, u1, 0.24), layer=2, outward=BEHIND)
    builder.quad(back, PLATE, (0.4, 0.12, 0.6, 0.19), layer=2, detail=6.0, outward=BEHIND)
