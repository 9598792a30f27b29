"""Poles, signs, traffic lights, bollards and bins: what stands at the kerb, hides things and bears no label."""

from __future__ import annotations

import functools

import numpy as np

from data_tools.scenes.bodies import disc
from data_tools.scenes.meshes import Mesh, MeshBuilder
from data_tools.scenes.raster import Material

KINDS = ("lamp_post", "sign", "traffic_light", "bollard", "bin")
_LAMPS = {"red": (0.9, 0.1, 0.08), "amber": (0.9, 0.6, 0.08), "green": (0.15, 0.8, 0.35)}
_STEEL = Material((0.33, 0.34, 0.35), 0.1)


@functools.cache
def mesh(kind: str) -> Mesh:
    """The template of one of `KINDS`."""
    builder = MeshBuilder()
    builder.part(0)
    if kind == "lamp_post":
        builder.tube((0, 0, 0), (0, 7.5, 0), 0.09, 0.06, "steel")
        builder.part(1)
        builder.tube((0, 7.4, 0), (0, 7.8, 1.6), 0.05, 0.05, "steel", sides=4)
        builder.part(1)
        builder.box((-0.12, 0.12), (7.75, 7.88), (1.4, 2.0), "steel")
    elif kind == "sign":
        builder.tube((0, 0, 0), (0, 2.7, 0), 0.035, 0.035, "steel", sides=5)
        _plate(builder)
    elif kind == "traffic_light":
        builder.tube((0, 0, 0), (0, 2.4, 0), 0.06, 0.06, "steel")
        builder.part(1)
        builder.box((-0.15, 0.15), (2.2, 3.15), (-0.16, 0.16), "housing")
        for up, lamp in ((2.98, "red"), (2.68, "amber"), (2.38, "green")):
            face = disc(0, up, 0, 0.1, 10)
            builder.face(face[:, [2, 1, 0]] + (-0.155, 0, 0), lamp, layer=1, outward=(-1, 0, 0))
    elif kind == "bollard":
        builder.tube((0, 0, 0), (0, 0.9, 0), 0.07, 0.06, "steel")
        builder.part(1)
        builder.tube((0, 0.7, 0), (0, 0.8, 0), 0.075, 0.075, "white", sides=6)
    else:
        builder.box((-0.28, 0.28), (0, 1.0), (-0.28, 0.28), "bin", top="housing")
        builder.part(1)
        builder.box((-0.31, 0.31), (1.0, 1.08), (-0.31, 0.31), "housing")
    return builder.build()


def _plate(builder: MeshBuilder) -> None:
    """A round sign with a rim, seen from behind the camera's side, grey from the other."""
    for depth, (radius, material) in enumerate(((0.32, "rim"), (0.24, "face"))):
        round_ = disc(0, 2.45, 0, radius, 14)[:, [2, 1, 0]]
        if depth == 0:
            builder.part(1)
            builder.face(round_ + (0.04, 0, 0), "steel", outward=(1, 0, 0))
            builder.part(2)
        builder.face(round_ - (0.04, 0, 0), material, layer=depth, outward=(-1, 0, 0), solid=depth == 0)


def palette(rng: np.random.Generator) -> dict[str, Material]:
    """Materials of furniture; the colours of signs, bins and lamps vary."""
    signs = (
        ((0.7, 0.05, 0.05), (0.9, 0.9, 0.88)),
        ((0.08, 0.2, 0.6), (0.1, 0.25, 0.65)),
        ((0.9, 0.9, 0.88), (0.85, 0.65, 0.1)),
    )
    rim, face = signs[int(rng.integers(len(signs)))]
    lit = str(rng.choice(list(_LAMPS)))
    lamps = {
        name: Material((r, g, b), 0.0, 0.6) if name == lit else Material((0.15 * r, 0.15 * g, 0.15 * b))
        for name, (r, g, b) in _LAMPS.items()
    }
    bins = ((0.12, 0.3, 0.15), (0.15, 0.15, 0.16), (0.1, 0.2, 0.42), (0.62, 0.5, 0.1))
    return lamps | {
        "steel": _STEEL,
        "housing": Material((0.05, 0.06, 0.055)),
        "white": Material((0.8, 0.8, 0.78)),
        "bin": Material(bins[int(rng.integers(len(bins)))]),
        "rim": Material(rim),
        "face": Material(face),
    }
