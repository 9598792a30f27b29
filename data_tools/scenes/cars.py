"""Passenger cars, panel vans and pickups: meshes built from their profiles."""

from __future__ import annotations

import functools

from data_tools.scenes.bodies import (
    BEHIND,
    CLOSE,
    GAP,
    GLASS,
    NEAR,
    PAINT,
    SHEEN,
    TRIM,
    Loft,
    front,
    mirrors,
    rear,
    wheels,
)
from data_tools.scenes.meshes import Mesh, MeshBuilder
from data_tools.scenes.profiles import PROFILES, Profile


@functools.cache
def mesh(kind: str) -> Mesh:
    """The template of a passenger car, panel van or pickup; `kind` is a key of `PROFILES`."""
    return build(kind, PROFILES[kind])


def build(kind: str, profile: Profile) -> Mesh:
    """A passenger car, panel van or pickup.

    Args:
        kind: a key of `PROFILES`.
        profile: its shape, with stations in the order that this kind's template has them.

    Returns:
        The mesh.
    """
    builder = MeshBuilder()
    loft = Loft(profile.stations, profile.clearance)
    loft.skin(builder)
    _glass(builder, loft, profile)
    if kind == "van":
        _van_doors(builder, loft)
    builder.part(1)
    front(builder, loft, profile.grille)
    rear(builder, loft, profile.tall_lamps, profile.plate_band)
    _seams(builder, loft, profile)
    if profile.decal is not None:
        for segment in range(1, len(profile.stations) - 2):
            loft.paint_sides(builder, segment, 1, (0.0, profile.decal[0], 1.0, profile.decal[1]), "stripe")
    half = max(station[3] for station in profile.stations)
    wheels(builder, profile.axles, profile.wheel, half * 0.995, profile.clearance)
    cowl = profile.stations[profile.windscreen]
    mirrors(builder, cowl[0] - 0.42, cowl[1] + 0.07, half + 0.05)
    if profile.extra == "wing":
        _wing(builder, profile)
    if profile.extra == "bed":
        _bed(builder, loft)
    return builder.build()


def _glass(builder: MeshBuilder, loft: Loft, profile: Profile) -> None:
    """Windscreen, rear window and side windows, with the pillars left between them, and roof rails."""
    builder.quad(loft.top(profile.windscreen, 3), GLASS, (0.05, 0.1, 0.95, 0.93), outward=(1, 1, 0))
    builder.quad(loft.top(profile.windscreen, 3), SHEEN, (0.07, 0.5, 0.93, 0.91), outward=(1, 1, 0), layer=2)
    if profile.rear_window >= 0:
        builder.quad(loft.top(profile.rear_window, 3), GLASS, (0.08, 0.08, 0.92, 0.86), outward=(-1, 1, 0))
        builder.quad(loft.top(profile.rear_window, 3), SHEEN, (0.1, 0.1, 0.9, 0.4), outward=(-1, 1, 0), layer=2)
    for segment, u0, u1 in profile.windows:
        low = 0.12 if segment == profile.windscreen else 0.08
        loft.paint_sides(builder, segment, 2, (u0, low, u1, 0.88), GLASS)
        if segment != profile.windscreen:
            loft.paint_sides(builder, segment, 2, (u0, 0.55, u1, 0.88), SHEEN, layer=2, detail=NEAR)
    if profile.rails:
        for segment in (3, 4):
            loft.paint_sides(builder, segment, 3, (0.0, 0.1, 1.0, 0.5), TRIM, detail=NEAR)


def _seams(builder: MeshBuilder, loft: Loft, profile: Profile) -> None:
    """Door seams, handles, sills and the crease along the bulge."""
    for segment, u in profile.doors:
        for band in (0, 1):
            low = 0.25 if band == 0 else 0.0
            loft.paint_sides(builder, segment, band, (u - 0.008, low, u + 0.008, 1.0), GAP, detail=CLOSE, layer=2)
        span = profile.stations[segment][0] - profile.stations[segment + 1][0]
        handle = 0.18 / span
        if segment in (3, 4) and u - 0.06 - handle > -0.15:
            loft.paint_sides(
                builder, segment, 1, (max(u - 0.05 - handle, 0), 0.72, u - 0.05, 0.82), TRIM, detail=CLOSE, layer=2
            )
    for segment in range(1, len(profile.stations) - 2):
        top = 0.42 if profile.cladding else 0.2
        loft.paint_sides(builder, segment, 0, (0.0, 0.0, 1.0, top), TRIM)


def _wing(builder: MeshBuilder, profile: Profile) -> None:
    """A sports car's rear wing, sorted by depth with the cabin that hides it from the front."""
    x = profile.stations[-2][0]
    for side in (0.5, -0.5):
        builder.part(2)
        builder.box((x, x + 0.12), (0.9, 1.06), (side - 0.03, side + 0.03), TRIM)
    builder.part(2)
    builder.box((x - 0.08, x + 0.2), (1.05, 1.09), (-0.78, 0.78), PAINT)


def _bed(builder: MeshBuilder, loft: Loft) -> None:
    """A pickup's open bed: its dark floor on the deck, sorted by depth with the cab, and the tailgate's seam."""
    builder.part(2)
    builder.quad(loft.top(5), GAP, (0.04, 0.03, 0.96, 0.97), outward=(0, 1, 0))
    builder.quad(loft.top(5), "liner", (0.07, 0.3, 0.93, 0.94), outward=(0, 1, 0), layer=2)
    builder.part(1)
    builder.quad(loft.cap(-1, 1), GAP, (0.13, 0.0, 0.87, 0.04), outward=(-1, 0, 0), detail=NEAR)
    builder.quad(loft.cap(-1, 1), TRIM, (0.42, 0.6, 0.58, 0.78), outward=(-1, 0, 0), detail=NEAR)


def _van_doors(builder: MeshBuilder, loft: Loft) -> None:
    """A panel van's two rear doors with their windows, and the rail its side door slides on."""
    face = loft.cap(-1, 2)
    for u0, u1 in ((0.1, 0.47), (0.53, 0.9)):
        builder.quad(face, GLASS, (u0, 0.2, u1, 0.85), outward=BEHIND)
    builder.quad(face, GAP, (0.495, 0.0, 0.505, 1.0), detail=NEAR, outward=BEHIND)
    loft.paint_sides(builder, 4, 2, (0.01, 0.02, 0.4, 0.04), TRIM, detail=NEAR)
    builder.part(1)
    builder.quad(loft.cap(-1, 1), GAP, (0.495, 0.0, 0.505, 0.2), detail=NEAR, outward=BEHIND)
