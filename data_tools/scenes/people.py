"""Pedestrians, people sitting on benches, and cyclists: limbs as tapered prisms in sampled poses."""

from __future__ import annotations

import functools

import numpy as np

from data_tools.scenes.meshes import Mesh, MeshBuilder

POSES = 12  # walking phases times body shapes kept as templates


@functools.cache
def mesh(kind: str, variant: int) -> Mesh:
    """A template.

    Args:
        kind: "pedestrian", "sitting" or "cyclist".
        variant: 0 … POSES - 1, pose and body shape.
    """
    rng = np.random.default_rng([0x9E0, variant])
    return {"pedestrian": _pedestrian, "sitting": _sitting, "cyclist": _cyclist}[kind](rng, variant)


def _head(builder: MeshBuilder, neck: np.ndarray, forward: float, long_hair: bool, helmet: bool = False) -> None:
    """Neck, face, and hair or a helmet on top of the neck's end; `forward` leans the head ahead."""
    centre = neck + (0.03 + forward, 0.155, 0.0)
    builder.part(5)
    builder.tube(neck - (0, 0.06, 0), centre - (0.02, 0.05, 0), 0.06, 0.055, "skin")
    builder.part(5)
    builder.ellipsoid(centre, (0.1, 0.13, 0.085), "skin")
    builder.part(5)
    builder.ellipsoid(centre + (-0.055, 0.01, 0), (0.075, 0.11, 0.092), "hair")
    if long_hair:
        builder.part(5)
        builder.tube(centre + (-0.09, 0.03, 0), centre + (-0.11, -0.24, 0), 0.085, 0.06, "hair")
    builder.part(6)
    if helmet:
        builder.ellipsoid(centre + (-0.01, 0.085, 0), (0.135, 0.075, 0.105), "helmet")
    else:
        builder.ellipsoid(centre + (-0.02, 0.085, 0), (0.1, 0.062, 0.09), "hair")


def _limb(builder: MeshBuilder, points, radii, materials) -> None:
    """A chain of tapered prisms through points, each its own part so that depth sorts them."""
    for i in range(len(points) - 1):
        builder.part(3)
        builder.tube(points[i], points[i + 1], radii[i], radii[i + 1], materials[i], sides=7)


def _leg(builder: MeshBuilder, hip, swing: float, bend: float, trousers: tuple[str, str], girth: float) -> None:
    """A leg from the hip: the thigh swung forward by `swing` radians, the knee bent back by `bend`, a shoe."""
    hip = np.asarray(hip, float)
    knee = hip + 0.43 * np.array([np.sin(swing), -np.cos(swing), 0.0])
    ankle = knee + 0.42 * np.array([np.sin(swing - bend), -np.cos(swing - bend), 0.0])
    _limb(builder, (hip, knee, ankle), (0.095 * girth, 0.07 * girth, 0.05 * girth), trousers)
    tilt = swing - bend
    toe = ankle + np.array([0.17 * np.cos(tilt), 0.17 * np.sin(tilt) - 0.03, 0.0])
    builder.part(3)
    builder.tube(ankle - (0.05, 0.02, 0.0), toe, 0.05, 0.04, "shoe", sides=6)


def _torso(builder: MeshBuilder, hip, chest, width: float, depth: float, material: str, skirt: float = 0.0) -> None:
    """A torso from the middle of the hips to the neck, with shoulders, as two stacked prisms of 8 sides."""
    hip, chest = np.asarray(hip, float), np.asarray(chest, float)
    turn = (np.arange(8) + 0.5) * np.pi / 4
    rings = []
    for t, scale in ((-0.12 - skirt, 0.92 + skirt), (0.35, 0.84), (0.78, 1.08), (0.93, 0.98), (1.0, 0.5)):
        middle = hip + t * (chest - hip)
        rings.append(middle + np.stack([depth * scale * np.cos(turn), 0 * turn, width * scale * np.sin(turn)], 1))
    builder.part(3)
    for low, high in zip(rings[:-1], rings[1:], strict=True):
        for i in range(8):
            j = (i + 1) % 8
            builder.face([low[i], low[j], high[j], high[i]], material)
    builder.face(rings[-1], material, outward=(0, 1, 0))


def _pedestrian(rng: np.random.Generator, variant: int) -> Mesh:
    """Somebody walking or standing; every third wears shorts or a skirt, some carry a bag."""
    builder = MeshBuilder()
    standing = variant % 4 == 3
    phase = 0.06 if standing else rng.uniform(0.2, 0.44) * rng.choice([-1, 1])
    girth, width = rng.uniform(0.9, 1.2), rng.uniform(0.18, 0.23)
    hips = 0.9
    bare = variant % 3 == 1
    trousers = ("trousers", "skin" if bare else "trousers")
    for side, swing in ((1, phase), (-1, -phase)):
        bend = max(0.0, -swing) * 0.9 + 0.04
        _leg(builder, (0.0, hips, side * 0.09), swing, bend, trousers, girth)
    coat = 0.35 if variant % 5 == 2 else 0.1
    chest = np.array([0.03, 1.45, 0.0])
    _torso(builder, (0.0, hips + 0.06, 0.0), chest, width, 0.125 * girth, "top", skirt=coat)
    sleeve = "skin" if variant % 2 else "top"
    for side, swing in ((1, -phase), (-1, phase)):
        shoulder = np.array([0.02, 1.37, side * (width + 0.015)])
        elbow = shoulder + 0.29 * np.array([np.sin(0.9 * swing), -np.cos(0.9 * swing), 0.1 * side])
        lift = 0.9 * swing + 0.35
        hand = elbow + 0.27 * np.array([np.sin(lift), -np.cos(lift), 0.0])
        _limb(builder, (shoulder, elbow, hand), (0.06, 0.047, 0.035), ("top", sleeve))
        builder.part(3)
        builder.ellipsoid(hand, (0.05, 0.06, 0.035), "skin", sides=6, rings=3)
    if variant % 4 == 1:
        builder.part(3)
        builder.box((-0.3, -0.12), (1.02, 1.42), (-0.14, 0.14), "bag")
    elif variant % 4 == 2:
        builder.part(3)
        builder.box((-0.14, 0.16), (0.42, 0.72), (width + 0.03, width + 0.13), "bag")
    _head(builder, chest, 0.0, variant % 3 == 1)
    return builder.build()


def _sitting(rng: np.random.Generator, variant: int) -> Mesh:
    """Somebody sitting on a bench or chair, hands on the knees."""
    builder = MeshBuilder()
    builder.part(0)
    builder.box((-0.22, 0.22), (0.38, 0.44), (-0.3, 0.3), "bench")
    for x in (-0.19, 0.19):
        for side in (0.26, -0.26):
            builder.part(-1)
            builder.box((x - 0.02, x + 0.02), (0.0, 0.38), (side - 0.02, side + 0.02), "bench")
    girth, width = rng.uniform(0.95, 1.15), rng.uniform(0.19, 0.23)
    chest = np.array([-0.02 + rng.uniform(-0.1, 0.1), 1.05, 0.0])
    for side in (1, -1):
        hip, knee = np.array([-0.08, 0.52, side * 0.1]), np.array([0.36, 0.53, side * 0.13])
        ankle = np.array([0.34 + rng.uniform(-0.1, 0.15), 0.1, side * 0.12])
        _limb(builder, (hip, knee, ankle), (0.1 * girth, 0.075 * girth, 0.05), ("trousers", "trousers"))
        builder.part(3)
        builder.tube(ankle - (0.05, 0.03, 0), ankle + (0.18, -0.06, 0), 0.05, 0.04, "shoe")
        shoulder = chest + (0.0, -0.08, side * (width + 0.01))
        elbow, hand = shoulder + (0.08, -0.27, 0.04 * side), np.array([0.28, 0.62, side * 0.12])
        _limb(builder, (shoulder, elbow, hand), (0.06, 0.048, 0.038), ("top", "skin" if variant % 2 else "top"))
    _torso(builder, (-0.1, 0.52, 0.0), chest, width, 0.13 * girth, "top")
    _head(builder, chest, 0.03, variant % 3 == 1)
    return builder.build()


def _wheel(builder: MeshBuilder, x: float, radius: float) -> None:
    """A bicycle wheel in the plane left = 0: a thin tyre seen from both sides and from its edge, and spokes."""
    count = 18
    turn = np.arange(count + 1) * 2 * np.pi / count
    for left in (0.018, -0.018):
        builder.part(1)
        out, inner = radius, radius * 0.88
        ring = [
            np.stack([x + r * np.cos(turn), radius + r * np.sin(turn), np.full(count + 1, left)], 1)
            for r in (out, inner)
        ]
        for i in range(count):
            builder.face([ring[0][i], ring[0][i + 1], ring[1][i + 1], ring[1][i]], "tyre", outward=(0, 0, left))
        for spoke in range(0, count, 3):
            tip, hub = ring[1][spoke], np.array([x, radius, left])
            side = 0.008 * np.array([-np.sin(turn[spoke]), np.cos(turn[spoke]), 0.0])
            builder.face(
                [hub - side, hub + side, tip + side, tip - side],
                "spoke",
                solid=False,
                detail=40.0,
                outward=(0, 0, left),
            )
    builder.part(1)
    tread = [
        np.stack([x + radius * np.cos(turn), radius + radius * np.sin(turn), np.full(count + 1, s)], 1)
        for s in (0.022, -0.022)
    ]
    for i in range(count):
        builder.face(
            [tread[0][i], tread[0][i + 1], tread[1][i + 1], tread[1][i]],
            "tyre",
            outward=(np.cos(turn[i]), np.sin(turn[i]), 0),
        )


_CRANK, _BAR = np.array([-0.06, 0.29, 0.0]), np.array([0.36, 1.02, 0.0])


def _bicycle(builder: MeshBuilder, basket: bool) -> None:
    """A city bicycle: two wheels, a diamond frame, handlebars, a saddle, on some a basket."""
    radius, rear, ahead = 0.34, -0.52, 0.54
    _wheel(builder, rear, radius)
    _wheel(builder, ahead, radius)
    seat, stem = np.array([-0.22, 0.86, 0]), np.array([0.36, 0.88, 0])
    post, behind, front = seat - (0, 0.1, 0), np.array([rear, radius, 0]), np.array([ahead, radius, 0])
    tubes = (
        (_CRANK, seat),
        (_CRANK, stem),
        (post, stem),
        (_CRANK, behind),
        (post, behind),
        (stem, front),
        (stem, _BAR),
    )
    for a, b in tubes:
        builder.part(2)
        builder.tube(a, b, 0.022, 0.022, "frame", sides=5)
    builder.part(2)
    builder.tube(_BAR + (0.0, 0, 0.27), _BAR + (0.0, 0, -0.27), 0.016, 0.016, "tyre", sides=4)
    builder.part(2)
    builder.box((-0.34, -0.1), (0.86, 0.92), (-0.07, 0.07), "tyre")
    if basket:
        builder.part(2)
        builder.box((0.42, 0.66), (0.78, 1.0), (-0.15, 0.15), "bag")


def _cyclist(rng: np.random.Generator, variant: int) -> Mesh:
    """A rider on a bicycle, one leg down, one up; some wear a helmet."""
    builder = MeshBuilder()
    _bicycle(builder, basket=bool(variant % 2))
    angle = rng.uniform(0, 2 * np.pi)
    lean, girth = rng.uniform(0.05, 0.22), rng.uniform(0.95, 1.15)
    hip, chest = np.array([-0.2, 0.97, 0.0]), np.array([-0.1 + lean, 1.47 - 0.25 * lean, 0.0])
    for side in (1, -1):
        turn = angle + (0 if side == 1 else np.pi)
        pedal = _CRANK + 0.17 * np.array([np.cos(turn), np.sin(turn), 0]) + (0, 0, side * 0.11)
        ankle = pedal + (-0.06, 0.09, 0)
        knee = _bend(hip + (0, 0, side * 0.1), ankle, 0.44, 0.43)
        _limb(
            builder,
            (hip + (0, -0.02, side * 0.1), knee, ankle),
            (0.1 * girth, 0.075 * girth, 0.05),
            ("trousers", "skin" if variant % 3 == 0 else "trousers"),
        )
        builder.part(3)
        builder.tube(ankle - (0.04, 0.03, 0), pedal + (0.12, 0.02, 0), 0.05, 0.04, "shoe")
        shoulder = chest + (0.0, -0.08, side * 0.2)
        hand = _BAR + (0, 0.02, side * 0.25)
        elbow = (shoulder + hand) / 2 + (0.0, -0.08, side * 0.06)
        _limb(builder, (shoulder, elbow, hand), (0.06, 0.048, 0.036), ("top", "skin" if variant % 2 else "top"))
    _torso(builder, hip, chest, 0.19, 0.125 * girth, "top")
    _head(builder, chest, 0.05, variant % 3 == 1, helmet=variant % 4 == 0)
    return builder.build()


def _bend(hip: np.ndarray, ankle: np.ndarray, thigh: float, shin: float) -> np.ndarray:
    """The knee (3,), ahead of the line from hip to ankle, for the given lengths of thigh and shin."""
    line = ankle - hip
    distance = min(float(np.linalg.norm(line)), thigh + shin - 1e-3)
    along = (thigh**2 - shin**2 + distance**2) / (2 * distance)
    out = np.sqrt(max(thigh**2 - along**2, 0.0))
    unit = line / np.linalg.norm(line)
    ahead = np.array([-unit[1], unit[0], 0.0])
    if ahead[0] < 0:
        ahead = -ahead
    return hip + along * unit + out * ahead / np.linalg.norm(ahead)
