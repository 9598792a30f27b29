"""Shading and drawing of mesh instances, and the silhouettes that true boxes come from."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import cv2
import numpy as np

from data_tools.scenes.camera import CAMERA_HEIGHT, Camera, rotation
from data_tools.scenes.meshes import Mesh

SHIFT = 3  # fractional bits of the coordinates given to OpenCV
MIN_DEPTH = 0.3  # metres; nothing nearer to the camera plane is drawn
_SIGNS = np.array([(1, 1), (1, -1), (-1, -1), (-1, 1)]) / 2
Colour = tuple[float, float, float]


@dataclasses.dataclass(frozen=True)
class Material:
    """A surface.

    Attributes:
        colour: red, green, blue in 0–1.
        gloss: 0 matt … 1 mirror; how much of the sky and the sun it reflects.
        glow: light of its own, as a fraction of its colour.
    """

    colour: Colour
    gloss: float = 0.0
    glow: float = 0.0


@dataclasses.dataclass(frozen=True)
class Light:
    """The weather: all colours red, green, blue with 1 as the image's white.

    Attributes:
        sun: unit vector (3,) towards the sun in camera coordinates (y down, so its y is negative).
        sunlight: colour of direct light; black under clouds.
        sky: colour of light from above.
        bounce: colour of light from below.
        haze: colour that distance fades to.
        haze_depth: metres over which haze takes 63 %.
    """

    sun: np.ndarray
    sunlight: Colour
    sky: Colour
    bounce: Colour
    haze: Colour
    haze_depth: float


@dataclasses.dataclass(frozen=True)
class Instance:
    """A mesh placed in the scene.

    Attributes:
        mesh: the template.
        location: (x, z) of its middle on the road, metres in camera coordinates.
        rotation_y: KITTI's heading, radians.
        scale: factors along its length, height and width.
        palette: a material for every material name of the mesh.
        class_name: KITTI class, or None for what is not labelled (poles, signs).
        kind: what it is in finer words, e.g. a vehicle type.
        shade: 1 in the open, less under trees or beside buildings: the fraction of sunlight left.
    """

    mesh: Mesh
    location: tuple[float, float]
    rotation_y: float
    scale: tuple[float, float, float]
    palette: Mapping[str, Material]
    class_name: str | None = None
    kind: str = ""
    shade: float = 1.0

    @property
    def position(self) -> np.ndarray:
        """Bottom centre in camera coordinates, (3,)."""
        return np.array([self.location[0], CAMERA_HEIGHT, self.location[1]])

    @property
    def size(self) -> tuple[float, float, float]:
        """Height, width, length in metres."""
        height, width, length = self.mesh.size
        return height * self.scale[1], width * self.scale[2], length * self.scale[0]

    def vertices(self) -> np.ndarray:
        """Vertices in camera coordinates, (V, 3)."""
        return (self.mesh.vertices * self.scale) @ rotation(self.rotation_y).T + self.position

    def footprint(self) -> np.ndarray:
        """Corners (4, 2) of its rectangle on the road as x, z, in order around it."""
        _, width, length = self.size
        c, s = np.cos(self.rotation_y), np.sin(self.rotation_y)
        along, across = _SIGNS[:, 0] * length, _SIGNS[:, 1] * width
        x, z = self.location
        return np.stack([x + c * along + s * across, z - s * along + c * across], 1)


@dataclasses.dataclass(frozen=True)
class Silhouette:
    """Where an instance projects to, whatever hides it.

    Attributes:
        mask: uint8 (h, w), 1 where it is, the part inside the image only; may be empty.
        left, top: image position of the mask's first pixel.
        extent: left, top, right, bottom of the whole projection, image borders ignored, float pixels.
    """

    mask: np.ndarray
    left: int
    top: int
    extent: tuple[float, float, float, float]

    @property
    def window(self) -> tuple[slice, slice]:
        """Rows and columns of the image that the mask covers."""
        height, width = self.mask.shape
        return slice(self.top, self.top + height), slice(self.left, self.left + width)

    def box(self) -> tuple[float, float, float, float] | None:
        """First and last column and row that it covers inside the image, as left, top, right, bottom; None if none."""
        columns, rows = np.flatnonzero(self.mask.any(0)), np.flatnonzero(self.mask.any(1))
        if not len(columns):
            return None
        return (
            float(self.left + columns[0]),
            float(self.top + rows[0]),
            float(self.left + columns[-1]),
            float(self.top + rows[-1]),
        )


def draw(image: np.ndarray, instance: Instance, camera: Camera, light: Light) -> Silhouette:
    """Draw an instance over the image.

    Args:
        image: uint8 (H, W, 3) RGB, changed in place.
        instance: what to draw, all of it in front of the camera.
        camera: projects.
        light: shades.

    Returns:
        Its silhouette, for boxes and occlusion.
    """
    mesh = instance.mesh
    turn, scale = rotation(instance.rotation_y).T, np.asarray(instance.scale)
    points = instance.vertices()
    points[:, 2] = np.maximum(points[:, 2], MIN_DEPTH)
    pixels = camera.project(points)
    extent = (*pixels.min(0).tolist(), *pixels.max(0).tolist())
    mask, left, top = _canvas(extent, camera.size)
    if not mask.size:
        return Silhouette(mask, left, top, extent)
    centres = (mesh.centres * scale) @ turn + instance.position
    normals = (mesh.normals / scale) @ turn
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    density = camera.fy / instance.location[1]
    seen = np.einsum("ij,ij->i", normals, centres) < 0
    chosen = np.flatnonzero(seen & (mesh.detail <= density))
    parts = mesh.parts[chosen]
    part_depth = np.linalg.norm((mesh.part_centres * scale) @ turn + instance.position, axis=1)
    depth = np.linalg.norm(centres[chosen], axis=1)
    order = np.lexsort((-depth, mesh.layers[chosen], -part_depth[parts], mesh.levels[parts]))
    chosen = chosen[order]
    colours = shade(instance, normals[chosen], centres[chosen], mesh.materials[chosen], light).tolist()
    fixed = np.rint(pixels * (1 << SHIFT)).astype(np.int32)
    corners, counts, solid = fixed[mesh.faces[chosen]], mesh.counts[chosen].tolist(), mesh.solid[chosen].tolist()
    offset = np.array([left, top], np.int32) << SHIFT
    shifted = corners - offset
    for i, count in enumerate(counts):
        cv2.fillConvexPoly(image, corners[i, :count], colours[i], cv2.LINE_AA, SHIFT)
        if solid[i]:
            cv2.fillConvexPoly(mask, shifted[i, :count], 1, cv2.LINE_8, SHIFT)
    return Silhouette(mask, left, top, extent)


def _canvas(extent: tuple[float, float, float, float], size: tuple[int, int]) -> tuple[np.ndarray, int, int]:
    """An empty mask over the part of the extent that lies in the image, and its left and top."""
    left, top = (max(int(np.floor(v)) - 1, 0) for v in extent[:2])
    right, bottom = (min(int(np.ceil(v)) + 2, limit) for v, limit in zip(extent[2:], size[::-1], strict=True))
    return np.zeros((max(bottom - top, 0), max(right - left, 0)), np.uint8), left, top


def shade(
    instance: Instance, normals: np.ndarray, centres: np.ndarray, materials: np.ndarray, light: Light
) -> np.ndarray:
    """Colours of faces.

    Lambert light from sun, sky and road; glossy faces add the sky or the dark surroundings that they mirror and a
    highlight; what is near the road is darker; haze grows with distance.

    Args:
        instance: gives palette and shade.
        normals, centres: float (F, 3) in camera coordinates.
        materials: int (F,), index into the mesh's names.
        light: the weather.

    Returns:
        float (F, 3), red, green, blue in 0–255.
    """
    palette = [instance.palette[name] for name in instance.mesh.names]
    albedo = np.array([m.colour for m in palette])[materials]
    gloss = np.array([m.gloss for m in palette])[materials][:, None]
    glow = np.array([m.glow for m in palette])[materials][:, None]
    distance = np.linalg.norm(centres, axis=1, keepdims=True)
    view = -centres / distance
    facing = np.clip(np.einsum("ij,ij->i", normals, view), 0, 1)[:, None]
    mirrored = 2 * facing * normals - view
    sunlight, sky = np.asarray(light.sunlight) * instance.shade, np.asarray(light.sky)
    above = 0.5 - 0.5 * normals[:, 1:2]
    ambient = np.asarray(light.bounce) * (1 - above) + sky * above
    height = np.clip(CAMERA_HEIGHT - centres[:, 1:2], 0, 1)
    colour = albedo * (ambient * (0.62 + 0.38 * height) + sunlight * np.clip(normals @ light.sun, 0, None)[:, None])
    horizon = np.clip((-mirrored[:, 1:2] + 0.08) / 0.4, 0, 1)
    surroundings = np.array([0.13, 0.14, 0.13]) * (1 - horizon) + 1.15 * sky * horizon
    fresnel = gloss * (0.22 + 0.78 * (1 - facing) ** 3)
    highlight = gloss * np.clip(mirrored @ light.sun, 0, 1)[:, None] ** 24
    colour = colour * (1 - 0.7 * fresnel) + fresnel * surroundings + highlight * sunlight + glow * albedo
    kept = np.exp(-distance / light.haze_depth)
    return 255 * np.clip(np.asarray(light.haze) * (1 - kept) + colour * kept, 0, 1)
