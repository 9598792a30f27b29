"""Ground and background of a studio image: one place a camera, with its own colours, textures and lines."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import cv2
import numpy as np

from data_tools.scenes.camera import CAMERA_HEIGHT
from data_tools.scenes.raster import Light
from data_tools.scenes.textures import fractal

if TYPE_CHECKING:
    from data_tools.scenes.studio import StudioCamera

_PLACE, TILE = 0x57D12, 256
GROUNDS = (
    (0.30, 0.30, 0.31), (0.38, 0.38, 0.37), (0.24, 0.24, 0.25),
    (0.46, 0.44, 0.41), (0.33, 0.31, 0.28), (0.27, 0.29, 0.26),
)  # fmt: skip
WALLS = (
    (0.55, 0.53, 0.50), (0.42, 0.35, 0.30), (0.33, 0.40, 0.31),
    (0.60, 0.64, 0.70), (0.48, 0.50, 0.52), (0.36, 0.38, 0.42),
)  # fmt: skip


@functools.cache
def _place(number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Colour of ground and wall (3,), texture of both (TILE, TILE) float32 around 0, and further numbers of a place."""
    rng = np.random.default_rng([_PLACE, number])
    ground = np.array(GROUNDS[int(rng.integers(len(GROUNDS)))]) * rng.uniform(0.85, 1.2)
    wall = np.array(WALLS[int(rng.integers(len(WALLS)))]) * rng.uniform(0.8, 1.2)
    rough = fractal(rng, (TILE, TILE), rng.uniform(6, 40)) - 0.5 + 0.25 * (rng.random((TILE, TILE), np.float32) - 0.5)
    far = fractal(rng, (TILE, TILE), rng.uniform(30, 90)) - 0.5
    # Distance of the wall behind the vehicle (m), angle, offset and width (m) of a painted line, 1 where there is one.
    numbers = np.array([rng.uniform(6, 25), rng.uniform(-1, 1), rng.uniform(-4, 4), 0.12, rng.random() < 0.6])
    return ground, wall, rough.astype(np.float32), far.astype(np.float32), numbers


def paint(
    camera: StudioCamera, place: int, light: Light, distance: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """What is behind and below a vehicle.

    Args:
        camera: looks at it.
        place: 1 and up.
        light: shades the ground.
        distance: z of the vehicle in the camera's smaller world.
        rng: moves the textures.

    Returns:
        `(image, ground)`: uint8 RGB (H, W, 3), and bool (H, W), where the ground is seen.
    """
    ground_colour, wall_colour, rough, far, (behind, angle, offset, width, lined) = _place(place)
    height, size = camera.size
    column = (np.arange(size, dtype=np.float32) - (size - 1) / 2 - camera.shift[0]) / camera.focal
    row = (np.arange(height, dtype=np.float32)[:, None] - (height - 1) / 2 - camera.shift[1]) / camera.focal
    cosine, sine = np.float32(np.cos(camera.pitch)), np.float32(np.sin(camera.pitch))
    down, ahead = row * cosine + sine, cosine - row * sine  # of each row's ray, in level coordinates
    edge = distance + behind * camera.scale
    near = CAMERA_HEIGHT * ahead < edge * np.maximum(down, 1e-6)
    reach = np.where(near, CAMERA_HEIGHT / np.maximum(down, 1e-6), edge / np.maximum(ahead, 1e-6)) / camera.scale
    x, z = (column[None] * reach).astype(np.float32), np.broadcast_to(reach * ahead, (height, size))
    shift = rng.uniform(0, TILE, 2)
    image = np.empty((height, size, 3), np.float32)
    sun = np.asarray(light.sunlight) * max(-light.sun[1], 0.0)
    image[:] = ground_colour * (np.asarray(light.sky) + sun)
    image *= 1 + 0.35 * _sample(rough, 22 * x + shift[0], 22 * z + shift[1])
    if lined:
        line = np.abs(np.cos(angle) * x + np.sin(angle) * (z - distance / camera.scale) - offset) < width / 2
        image[line] = 0.72 * (np.asarray(light.sky) + sun)
    up = np.broadcast_to(-reach * down, (height, size))
    wall = wall_colour * (0.55 * np.asarray(light.sky) + 0.4 * np.asarray(light.sunlight) + 0.2)
    behind_image = wall * (1 + 0.7 * _sample(far, 14 * x + shift[1], 14 * up + shift[0]))
    floor = np.broadcast_to(near, (height, size))
    image = np.where(floor[..., None], image, behind_image)
    return np.clip(255 * image, 0, 255).astype(np.uint8), floor


def _sample(tile: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A tile laid over the plane, every other one mirrored so that none shows an edge; float32 (H, W, 1)."""
    folded = [np.abs(v % (2 * (TILE - 1)) - (TILE - 1)).astype(np.float32) for v in (x, y)]
    return cv2.remap(tile, folded[0], folded[1], cv2.INTER_LINEAR)[..., None]
