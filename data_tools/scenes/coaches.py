"""Buses and trams: long upright bodies with rows of windows."""

from __future__ import annotations

from data_tools.scenes.bodies import (
    AHEAD,
    BEHIND,
    CLOSE,
    GAP,
    GLASS,
    LAMP,
    PAINT,
    TAIL,
    TRIM,
    TYRE,
    Loft,
    front,
    mirrors,
    rear,
    upright,
    wheels,
)
from data_tools.scenes.meshes import Mesh, MeshBuilder

_DETAIL = 8.0  # pixels per metre from which on doors' middle lines are drawn


def _body(length: float, height: float, half: float, belt: float, clearance: float, nose: float) -> Loft:
    """An upright body, both ends of which lean in by `nose` metres."""
    end = length / 2
    return Loft(
        (
            (end, belt - 0.1, belt + 0.05, half * 0.93, half * 0.9),
            (end - 0.05, belt, belt + 0.3, half * 0.96, half * 0.92),
            (end - nose, belt, height, half, half * 0.97),
            (-end + nose, belt, height, half, half * 0.97),
            (-end + 0.05, belt, belt + 0.3, half * 0.96, half * 0.92),
            (-end, belt - 0.1, belt + 0.05, half * 0.93, half * 0.9),
        ),
        clearance=clearance,
        bulge=0.5,
        sill=0.98,
    )


def bus(length: float = 11.0, height: float = 3.05, belt: float = 1.2, windows: int = 7, doors: int = 3) -> Mesh:
    """A city bus: a row of large windows, doors on its right, a destination board in front.

    Args:
        length, height: metres.
        belt: height of the lower edge of the windows, metres.
        windows: number on each side.
        doors: number, 1 to 3.
    """
    builder = MeshBuilder()
    end = length / 2
    loft = _body(length, height, 1.25, belt, 0.32, 0.22)
    loft.skin(builder, upper=PAINT)
    for tail, way in ((1, AHEAD), (-1, BEHIND)):
        pane = upright(tail * (end - 0.03), belt, tail * (end - 0.2), height - 0.05, 1.16)
        glass = (0.02, 0.04, 0.98, 0.74) if tail > 0 else (0.12, 0.32, 0.88, 0.78)
        builder.quad(pane, GLASS, glass, outward=way)
        builder.quad(pane, GAP, (0.08, 0.79, 0.92, 0.97), outward=way)
        sign = (0.14, 0.83, 0.78 if tail > 0 else 0.4, 0.94)
        builder.quad(pane, "sign", sign, layer=2, detail=_DETAIL, outward=way)
        builder.quad(pane, GAP, (0.497, 0.04, 0.503, 0.74), layer=2, detail=CLOSE, outward=way)
    loft.paint_sides(builder, 2, 2, (0.0, 0.12, 1.0, 0.72), GAP)
    for i in range(windows):
        loft.paint_sides(builder, 2, 2, (0.008 + i / windows, 0.14, (i + 1) / windows - 0.008, 0.7), GLASS, layer=2)
    builder.part(1)
    front(builder, loft, (0.3, 0.1, 0.7, 0.3), lamp=0.2, badge=False)
    rear(builder, loft, tall=True)
    builder.quad(loft.cap(-1, 1), GAP, (0.2, 0.1, 0.8, 0.16), outward=BEHIND)
    for u in (0.02, 0.42, 0.78)[:doors]:
        for band, low in ((0, 0.3), (1, 0.0)):
            builder.quad(loft.panel(2, band, -1), GLASS, (u, low, u + 0.11, 1.0), layer=2)
            builder.quad(loft.panel(2, band, -1), TRIM, (u + 0.052, low, u + 0.058, 1.0), layer=3, detail=_DETAIL)
    loft.paint_sides(builder, 2, 0, (0.0, 0.0, 1.0, 0.35), "stripe")
    wheels(builder, (0.25 * length, -2.9 / 11 * length), 0.48, 1.245, 0.32, width=0.35)
    mirrors(builder, end - 0.1, belt + 0.7, 1.38, size=0.2, material=TRIM)
    return builder.build()


def tram() -> Mesh:
    """A tram of three cars with bellows between them, its pantograph raised."""
    builder = MeshBuilder()
    length, top = 9.0, 3.3
    for middle, nose in ((length + 0.4, 0.5), (0.0, 0.05), (-length - 0.4, 0.5)):
        _tram_car(builder, middle, length, top, nose)
    for joint in (length / 2 + 0.2, -length / 2 - 0.2):
        builder.part(1)
        builder.box((joint - 0.22, joint + 0.22), (0.4, top - 0.1), (-1.05, 1.05), GAP)
    end = 1.5 * length + 0.4
    for tail, way, lamp in ((1, AHEAD, LAMP), (-1, BEHIND, TAIL)):
        _tram_face(builder, tail, way, lamp, end, top)
    builder.part(4)
    for side in (0.4, -0.4):
        builder.tube((0.6, top + 0.3, side), (-0.4, top + 0.65, side), 0.03, 0.03, TRIM, sides=4)
        builder.tube((-0.4, top + 0.65, side), (0.4, top + 1.0, side), 0.03, 0.03, TRIM, sides=4)
    builder.box((0.35, 0.45), (top + 1.0, top + 1.06), (-0.8, 0.8), TRIM)
    for x in (end - 2, end - 4, 2, -2, -end + 4, -end + 2):
        for side in (1, -1):
            builder.part(-1)
            builder.tube((x, 0.33, side * 0.7), (x, 0.33, side * 0.8), 0.33, 0.33, TYRE, sides=10)
    return builder.build()


def _tram_car(builder: MeshBuilder, middle: float, length: float, top: float, nose: float) -> None:
    """One car of a tram: windows, stripe, skirt, two doors a side, a box on its roof."""
    loft = _body(length, top, 1.2, 1.25, 0.3, nose)
    for ring in loft.rings:
        ring[:, 0] += middle
    loft.skin(builder, lower=PAINT, upper="roof", levels=(1, 1))
    loft.paint_sides(builder, 2, 2, (0.0, 0.04, 1.0, 0.8), GAP)
    for i in range(5):
        loft.paint_sides(builder, 2, 2, (i / 5 + 0.01, 0.1, (i + 1) / 5 - 0.01, 0.74), GLASS, layer=2)
    loft.paint_sides(builder, 2, 1, (0.0, 0.5, 1.0, 0.8), "stripe")
    loft.paint_sides(builder, 2, 0, (0.0, 0.0, 1.0, 0.5), TRIM)
    for u in (0.22, 0.62):
        for band in (0, 1):
            loft.paint_sides(builder, 2, band, (u, 0.1, u + 0.15, 1.0), GLASS, layer=3)
            loft.paint_sides(builder, 2, band, (u + 0.072, 0.1, u + 0.078, 1.0), TRIM, layer=4, detail=_DETAIL)
    builder.part(1)
    builder.box((middle - 3, middle + 3), (top, top + 0.3), (-0.8, 0.8), "roof")


def _tram_face(builder: MeshBuilder, tail: int, way: tuple, lamp: str, end: float, top: float) -> None:
    """The face of a tram: a large pane, a destination board, lamps and a stripe; `tail` is 1 in front, -1 behind."""
    builder.part(3)
    pane = upright(tail * (end - 0.02), 1.25, tail * (end - 0.47), top - 0.05, 1.1)
    builder.quad(pane, GAP, (0.0, 0.0, 1.0, 0.97), outward=way)
    builder.quad(pane, GLASS, (0.04, 0.03, 0.96, 0.74), layer=2, outward=way)
    builder.quad(pane, "sign", (0.15, 0.8, 0.85, 0.93), layer=2, outward=way)
    skirt = upright(tail * (end + 0.01), 0.35, tail * (end + 0.01), 1.15, 1.1)
    builder.quad(skirt, "stripe", (0.0, 0.5, 1.0, 0.66), outward=way)
    builder.quad(skirt, TRIM, (0.0, 0.0, 1.0, 0.3), outward=way)
    for u0, u1 in ((0.06, 0.22), (0.78, 0.94)):
        builder.quad(skirt, lamp, (u0, 0.36, u1, 0.62), layer=2, outward=way)
    builder.quad(skirt, PAINT, (0.42, 0.7, 0.58, 0.95), outward=way)
