"""Low-poly meshes: what a face is, and the builder that collects faces part by part.

Modelling frame: x forward, `up` from the ground, `left` of the object, in metres. Built meshes use KITTI's object
frame: x forward, y down with 0 on the ground, z to the left, so that KITTI's `rotation_y` turns them as they are.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np


@dataclasses.dataclass(frozen=True)
class Mesh:
    """Faces of one object template.

    Attributes:
        vertices: float64 (V, 3), object frame, metres.
        faces: int32 (F, K) vertex indices, rows padded with their last index.
        counts: int (F,), the number of corners of each face.
        normals: float64 (F, 3), outward unit normals.
        centres: float64 (F, 3), face centroids.
        materials: int (F,), index into `names`.
        names: material names.
        layers: int (F,), 0 for the surface, higher for what is painted on it.
        parts: int (F,), which convex-ish part a face belongs to.
        levels: int (P,), parts of a lower level are always drawn first.
        part_centres: float64 (P, 3), used to sort parts of one level by depth.
        detail: float (F,), a face is drawn when one metre covers at least this many pixels.
        solid: bool (F,), whether the face belongs to the silhouette (what is painted on a surface adds nothing).
    """

    vertices: np.ndarray
    faces: np.ndarray
    counts: np.ndarray
    normals: np.ndarray
    centres: np.ndarray
    materials: np.ndarray
    names: tuple[str, ...]
    layers: np.ndarray
    parts: np.ndarray
    levels: np.ndarray
    part_centres: np.ndarray
    detail: np.ndarray
    solid: np.ndarray

    @functools.cached_property
    def size(self) -> tuple[float, float, float]:
        """Height, width, length in metres of the bounding box."""
        low, high = self.vertices.min(0), self.vertices.max(0)
        return float(-low[1]), float(high[2] - low[2]), float(high[0] - low[0])


class MeshBuilder:
    """Collects faces; `build` orients, indexes and centres them."""

    def __init__(self) -> None:
        self._faces: list[tuple[np.ndarray, str, int, int, float, bool, np.ndarray | None]] = []
        self._levels: list[int] = []

    def part(self, level: int = 0) -> None:
        """Start a new convex-ish part; faces added from here on belong to it.

        Args:
            level: parts of a lower level are drawn before those of a higher one, whatever their depth.
        """
        self._levels.append(level)

    def face(
        self,
        points: Sequence[Sequence[float] | np.ndarray] | np.ndarray,
        material: str,
        *,
        layer: int = 0,
        detail: float = 0.0,
        solid: bool | None = None,
        outward: Sequence[float] | np.ndarray | None = None,
    ) -> None:
        """Add one convex face.

        Args:
            points: (n, 3) rows of x forward, up, left in metres.
            material: name looked up in an instance's palette.
            layer: 0 for the surface itself, 1 and more for what is painted on it.
            detail: pixels per metre from which on the face is worth drawing.
            solid: whether it counts for the silhouette; by default layer 0 does.
            outward: direction (x, up, left) the face looks to; by default away from the middle of its part.
        """
        if not self._levels:
            self.part()
        points = np.asarray(points, np.float64)
        hint = None if outward is None else np.asarray(outward, np.float64)
        self._faces.append(
            (points, material, len(self._levels) - 1, layer, detail, layer == 0 if solid is None else solid, hint)
        )

    def quad(self, corners: np.ndarray, material: str, uv: tuple[float, float, float, float], **options) -> None:
        """Paint a rectangle given in the parameters of a quadrilateral.

        Args:
            corners: (4, 3): the points at (u, v) = (0, 0), (1, 0), (1, 1), (0, 1).
            material: name of the material.
            uv: u0, v0, u1, v1 in 0–1.
            options: those of `face`; the layer is 1 unless given.
        """
        u0, v0, u1, v1 = uv
        options.setdefault("layer", 1)
        self.face([bilinear(corners, u, v) for u, v in ((u0, v0), (u1, v0), (u1, v1), (u0, v1))], material, **options)

    def box(self, x: tuple, up: tuple, left: tuple, material: str, top: str | None = None, **options) -> None:
        """Add an axis-aligned box without its underside, as a part's faces.

        Args:
            x, up, left: low and high end along each axis, metres.
            material: of the sides.
            top: of the top side; the same as the sides by default.
            options: those of `face`.
        """
        (x0, x1), (u0, u1), (l0, l1) = x, up, left
        sides = (
            ([(x1, u0, l0), (x1, u0, l1), (x1, u1, l1), (x1, u1, l0)], (1, 0, 0)),
            ([(x0, u0, l0), (x0, u0, l1), (x0, u1, l1), (x0, u1, l0)], (-1, 0, 0)),
            ([(x0, u0, l1), (x1, u0, l1), (x1, u1, l1), (x0, u1, l1)], (0, 0, 1)),
            ([(x0, u0, l0), (x1, u0, l0), (x1, u1, l0), (x0, u1, l0)], (0, 0, -1)),
        )
        for points, outward in sides:
            self.face(points, material, outward=outward, **options)
        roof = [(x0, u1, l0), (x1, u1, l0), (x1, u1, l1), (x0, u1, l1)]
        self.face(roof, top or material, outward=(0, 1, 0), **options)

    def tube(self, a, b, radius_a: float, radius_b: float, material: str, sides: int = 6, **options) -> None:
        """Add a tapered prism from point a to point b with both ends closed, as a part of its own faces.

        Args:
            a, b: (3,) end points, modelling frame.
            radius_a, radius_b: metres.
            material: of every face.
            sides: number of sides.
            options: those of `face`.
        """
        a, b = np.asarray(a, float), np.asarray(b, float)
        axis = b - a
        axis /= max(np.linalg.norm(axis), 1e-9)
        helper = np.array([0.0, 0.0, 1.0]) if abs(axis[2]) < 0.9 else np.array([1.0, 0.0, 0.0])
        first = np.cross(axis, helper)
        first /= np.linalg.norm(first)
        second = np.cross(axis, first)
        turn = np.arange(sides) * 2 * np.pi / sides
        ring = np.cos(turn)[:, None] * first + np.sin(turn)[:, None] * second
        low, high = a + radius_a * ring, b + radius_b * ring
        for i in range(sides):
            j = (i + 1) % sides
            self.face([low[i], low[j], high[j], high[i]], material, outward=ring[i] + ring[j], **options)
        self.face(low, material, outward=-axis, **options)
        self.face(high, material, outward=axis, **options)

    def ellipsoid(self, centre, radii, material: str, sides: int = 8, rings: int = 4, **options) -> None:
        """Add a faceted ellipsoid.

        Args:
            centre: (3,) modelling frame.
            radii: along x, up, left; metres.
            material: of every face.
            sides, rings: facets around and from pole to pole.
            options: those of `face`.
        """
        centre, radii = np.asarray(centre, float), np.asarray(radii, float)
        turn = np.arange(sides) * 2 * np.pi / sides
        rows = []
        for polar in np.linspace(0, np.pi, rings + 1):
            unit = [np.sin(polar) * np.cos(turn), np.full(sides, np.cos(polar)), np.sin(polar) * np.sin(turn)]
            rows.append(centre + radii * np.stack(unit, 1))
        for top, low in zip(rows[:-1], rows[1:], strict=True):
            for i in range(sides):
                points = np.stack([top[i], top[(i + 1) % sides], low[(i + 1) % sides], low[i]])
                self.face(points, material, outward=points.mean(0) - centre, **options)

    def build(self) -> Mesh:
        """Orient, index and centre what was added.

        Returns:
            The mesh, its bounding box centred on x = z = 0 and standing on y = 0.
        """
        corners = [f[0] * (1, -1, 1) for f in self._faces]
        counts = np.array([len(c) for c in corners])
        vertices = np.concatenate(corners)
        low, high = vertices.min(0), vertices.max(0)
        shift = np.array([(low[0] + high[0]) / 2, high[1], (low[2] + high[2]) / 2])
        vertices = vertices - shift
        corners = [c - shift for c in corners]
        parts = np.array([f[2] for f in self._faces])
        solid = np.array([f[5] for f in self._faces])
        centres = np.stack([c.mean(0) for c in corners])
        part_centres = np.zeros((len(self._levels), 3))
        for part in np.unique(parts):
            of_part = np.concatenate([corners[i] for i in np.flatnonzero(parts == part)])
            part_centres[part] = (of_part.min(0) + of_part.max(0)) / 2
        normals = np.stack([_normal(c) for c in corners])
        for i, face in enumerate(self._faces):
            outward = centres[i] - part_centres[parts[i]] if face[6] is None else face[6] * (1, -1, 1)
            if normals[i] @ outward < 0:
                normals[i] = -normals[i]
        starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
        steps = np.minimum(np.arange(counts.max())[None], counts[:, None] - 1)
        names = tuple(dict.fromkeys(f[1] for f in self._faces))
        return Mesh(
            vertices=vertices,
            faces=(starts[:, None] + steps).astype(np.int32),
            counts=counts,
            normals=normals,
            centres=centres,
            materials=np.array([names.index(f[1]) for f in self._faces]),
            names=names,
            layers=np.array([f[3] for f in self._faces]),
            parts=parts,
            levels=np.array(self._levels),
            part_centres=part_centres,
            detail=np.array([f[4] for f in self._faces]),
            solid=solid,
        )


def bilinear(corners: np.ndarray, u: float, v: float) -> np.ndarray:
    """Point of a quadrilateral (corners at (0,0), (1,0), (1,1), (0,1)) at parameters u, v; shape (3,)."""
    c = np.asarray(corners, float)
    return (1 - u) * (1 - v) * c[0] + u * (1 - v) * c[1] + u * v * c[2] + (1 - u) * v * c[3]


def _normal(points: np.ndarray) -> np.ndarray:
    """Unit normal of a polygon (n, 3) by Newell's method, which also holds for slightly bent and degenerate faces."""
    following = np.roll(points, -1, axis=0)
    normal = np.cross(points, following).sum(0)
    length = np.linalg.norm(normal)
    return normal / length if length > 1e-12 else np.array([0.0, -1.0, 0.0])
