"""Cached raster pieces: noise, ground grain, clouds, facades, foliage. None depends on a scene's seed.

Every function draws from its own fixed seed, so that a piece is the same in every process and only the choice of a
variant belongs to a scene.
"""

from __future__ import annotations

import functools

import cv2
import numpy as np

from data_tools.scenes.camera import CAMERA_HEIGHT, Camera

FACADES, FOLIAGE, TREES, CLOUDS, GRAINS = 18, 6, 8, 6, 4
FACADE_DENSITY = 32  # texture pixels per metre


def fractal(rng: np.random.Generator, size: tuple[int, int], cell: float, octaves: int = 4) -> np.ndarray:
    """Smooth noise.

    Args:
        rng: draws it.
        size: height and width.
        cell: pixels of the coarsest structure.
        octaves: how often it is halved.

    Returns:
        float32 (height, width) in 0–1.
    """
    total, weight = np.zeros(size, np.float32), 0.0
    for octave in range(octaves):
        step = max(cell / 2**octave, 1.0)
        grid = rng.random((max(int(size[0] / step), 2) + 2, max(int(size[1] / step), 2) + 2), np.float32)
        total += 0.5**octave * cv2.resize(grid, size[::-1], interpolation=cv2.INTER_CUBIC)
        weight += 0.5**octave
    return np.clip(total / weight, 0, 1)


@functools.cache
def sensor_noise(size: tuple[int, int]) -> np.ndarray:
    """Gaussian noise around 128, standard deviation 32, mostly alike in the channels; uint8 (H + 64, W + 64, 3)."""
    rng = np.random.default_rng(0x5E45)
    shape = (size[0] + 64, size[1] + 64)
    grey, colour = rng.normal(0, 27, shape), rng.normal(0, 17, (*shape, 3))
    return np.clip(128 + grey[..., None] + colour, 0, 255).astype(np.uint8)


@functools.cache
def grain(camera: Camera, variant: int) -> np.ndarray:
    """The road's texture in perspective, as a factor with 128 for 1.

    Args:
        camera: whose ground it is.
        variant: 0 … GRAINS - 1.

    Returns:
        uint8 (rows below the horizon, W, 3). Structures smaller than two pixels' footprint are left out, so the
        distance does not flicker.
    """
    rng = np.random.default_rng([0x6A, variant])
    height, width = camera.size
    first = horizon_row(camera)
    row = np.arange(first, height, dtype=np.float32)[:, None]
    z = camera.fy * CAMERA_HEIGHT / np.maximum(row - camera.cy, 0.4)
    x = (np.arange(width, dtype=np.float32)[None] - camera.cx) * z / camera.fx
    z = np.broadcast_to(z, x.shape)
    footprint = np.maximum(z**2 / (camera.fy * CAMERA_HEIGHT), z / camera.fx)
    value = np.zeros(x.shape, np.float32)
    for wave, amount in ((0.03, 0.10), (0.09, 0.07), (0.4, 0.045), (2.0, 0.05), (9.0, 0.07)):
        tile = rng.random((256, 256), np.float32) - 0.5
        layer = cv2.remap(tile, (x / wave) % 256, (z / wave) % 256, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
        value += amount * layer * np.clip(2 - 2 * footprint / wave, 0, 1)
    streaks = np.convolve(rng.random(400) - 0.5, np.ones(5) / 5, "same")
    value += 0.10 * np.interp(x, np.linspace(-30, 30, 400), streaks).astype(np.float32)
    return np.repeat(np.clip(128 * (1 + value), 0, 255).astype(np.uint8)[..., None], 3, 2)


def horizon_row(camera: Camera) -> int:
    """The first image row that shows the ground."""
    return int(np.floor(camera.cy)) + 1


@functools.cache
def clouds(size: tuple[int, int], variant: int) -> np.ndarray:
    """Cloud cover 0–1, flatter towards the horizon; float32 (height, width)."""
    rng = np.random.default_rng([0xC10, variant])
    height, width = size
    noise = fractal(rng, (height * 3, width), width / 4, 5)
    row = (np.linspace(0, 1, height, dtype=np.float32) ** 0.6 * (3 * height - 1))[:, None]
    column = np.arange(width, dtype=np.float32)[None]
    flat = cv2.remap(noise, np.broadcast_to(column, size).copy(), np.broadcast_to(row, size).copy(), cv2.INTER_LINEAR)
    return np.clip((flat - 0.42 + 0.04 * (variant % 3)) * 4.5, 0, 1)


def _window(rng, wall: np.ndarray, left: int, top: int, wide: int, high: int, frame, shutter) -> None:
    """Paint one window with frame, reflections, sometimes curtains, sill and shutters onto a facade."""
    if shutter is not None:
        for x0 in (left - wide // 2, left + wide):
            cv2.rectangle(wall, (x0, top), (x0 + wide // 2 - 2, top + high), shutter, -1)
    cv2.rectangle(wall, (left - 3, top - 3), (left + wide + 3, top + high + 3), frame, -1)
    shine = np.linspace(rng.uniform(70, 150), rng.uniform(25, 60), high)[:, None]
    pane = np.clip(shine * np.array([0.85, 0.97, 1.08]), 0, 255)[:, None].repeat(wide, 1)
    wall[top : top + high, left : left + wide] = pane[: wall.shape[0] - top]
    if rng.random() < 0.45:
        cloth = tuple(int(v) for v in rng.uniform(150, 215) * np.array([1.0, 0.97, rng.uniform(0.8, 1.0)]))
        cv2.rectangle(wall, (left, top), (left + int(wide * rng.uniform(0.15, 0.3)), top + high), cloth, -1)
        cv2.rectangle(wall, (left + int(wide * rng.uniform(0.7, 0.85)), top), (left + wide, top + high), cloth, -1)
    elif rng.random() < 0.25:
        cv2.rectangle(wall, (left, top), (left + wide, top + int(high * rng.uniform(0.3, 0.8))), frame, -1)
    cv2.line(wall, (left + wide // 2, top), (left + wide // 2, top + high), frame, 2)
    cv2.line(wall, (left, top + high // 3), (left + wide, top + high // 3), frame, 2)
    cv2.rectangle(wall, (left - 5, top + high + 3), (left + wide + 5, top + high + 7), (150, 148, 142), -1)


_WALLS = (
    *((205, 196, 178), (188, 172, 140), (150, 88, 70), (215, 210, 202)),
    *((196, 160, 120), (160, 150, 138), (178, 184, 170)),
)


def _plaster(rng: np.random.Generator, variant: int, size: tuple[int, int]) -> np.ndarray:
    """A stained wall, every seventh of brick; uint8 (h, w, 3)."""
    base = np.array(_WALLS[variant % len(_WALLS)]) * rng.uniform(0.68, 0.95)
    noise = fractal(rng, size, 90, 6)[..., None] - 0.5
    wall = np.clip(base * (1 + 0.22 * noise), 0, 255).astype(np.uint8)
    if variant % len(_WALLS) == 2:
        wall[::6] = 0.86 * wall[::6]
    return wall


@functools.cache
def facade(variant: int) -> tuple[np.ndarray, ...]:
    """A house front, `FACADE_DENSITY` pixels a metre at first, halved three times.

    Args:
        variant: 0 … FACADES - 1; every third has shops on the ground floor, every fourth is an office block.

    Returns:
        uint8 (h, w, 3) RGB images, the finest first, lit evenly.
    """
    rng = np.random.default_rng([0xFACA, variant])
    floors, width = int(rng.integers(2, 5)), int(rng.uniform(9, 15) * FACADE_DENSITY)
    story = int(3.0 * FACADE_DENSITY)
    height = floors * story + FACADE_DENSITY // 2
    wall = _plaster(rng, variant, (height, width))
    frame = (225, 224, 220) if rng.random() < 0.7 else (95, 75, 60)
    shutter = ((72, 88, 76), (96, 70, 52), (70, 84, 104), None, None, None, None)[int(rng.integers(7))]
    office, shop = variant % 4 == 3, variant % 3 == 0
    pitch = int((1.9 if office else rng.uniform(2.4, 3.2)) * FACADE_DENSITY)
    wide, high = int(pitch * (0.82 if office else 0.4)), int((1.7 if office else 1.45) * FACADE_DENSITY)
    door = int(rng.integers(0, max(width // pitch, 1)))
    for floor in range(floors):
        top = height - (floor + 1) * story + int(0.65 * FACADE_DENSITY)
        if floor == 0 and shop:
            _shop(rng, wall, variant // 3, story)
            continue
        for column, left in enumerate(range(pitch // 3, width - wide - 6, pitch)):
            if floor == 0 and column == door and not office:
                cv2.rectangle(wall, (left, top), (left + int(1.1 * FACADE_DENSITY), height), (78, 56, 42), -1)
                cv2.rectangle(wall, (left + 6, top + 6), (left + FACADE_DENSITY - 2, top + 24), (110, 120, 126), -1)
            else:
                _window(rng, wall, left, top, wide, high, frame, None if office else shutter)
        if floor and rng.random() < 0.5:
            wall[top + story - 25 : top + story - 22] = 0.9 * wall[top + story - 25 : top + story - 22]
    wall[-18:] = 0.6 * wall[-18:]
    wall[:10] = 0.72 * wall[:10]
    wall[:, 3:8] = (112, 112, 110)
    return _levels(wall)


def _shop(rng: np.random.Generator, wall: np.ndarray, variant: int, story: int) -> None:
    """Paint shop windows, a sign and sometimes an awning along the ground floor."""
    height, width = wall.shape[:2]
    top = height - story
    cv2.rectangle(wall, (0, top), (width, height), (92, 88, 84), -1)
    sign = ((150, 40, 38), (40, 70, 120), (45, 95, 60), (200, 195, 180), (70, 66, 64), (190, 150, 50))[variant % 6]
    for left in range(10, width - 60, 120):
        _window(rng, wall, left, top + 34, min(104, width - left - 8), story - 48, (60, 60, 62), None)
        goods = wall[top + 60 : height - 20, left + 4 : left + 96]
        shelf = rng.integers(0, 34, (len(goods) // 8 + 1, goods.shape[1] // 8 + 1, 1), np.uint8) * np.ones(3, np.uint8)
        cv2.add(goods, np.kron(shelf, np.ones((8, 8, 1), np.uint8))[: len(goods), : goods.shape[1]], goods)
    cv2.rectangle(wall, (6, top + 4), (width - 6, top + 28), sign, -1)
    for x in range(30, width - 40, 18):
        cv2.rectangle(wall, (x, top + 10), (x + 11, top + 22), tuple(255 - v for v in sign), -1)


def _levels(image: np.ndarray) -> tuple[np.ndarray, ...]:
    """The image and three halvings of it."""
    levels = [image]
    for _ in range(3):
        levels.append(cv2.resize(levels[-1], None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))
    return tuple(levels)


def _leaves(
    rng: np.random.Generator, size: tuple[int, int], spots: np.ndarray, radius: np.ndarray, hue: np.ndarray
) -> np.ndarray:
    """Leaf clumps as many small blobs, dark ones below and behind, bright ones above; uint8 RGBA (h, w, 4)."""
    canvas = np.zeros((*size, 4), np.uint8)
    for step, (centre, reach) in enumerate(zip(spots, radius, strict=True)):
        light = 0.45 + 0.75 * step / len(spots)
        for _ in range(26):
            offset = rng.normal(0, 0.45, 2) * reach
            lift = light * (1 - 0.22 * offset[1] / reach) * rng.uniform(0.7, 1.25)
            colour = (*(int(np.clip(v, 0, 255)) for v in hue * lift), 255)
            point = tuple(int(v) for v in centre + offset)
            cv2.circle(canvas, point, max(int(reach * rng.uniform(0.05, 0.2)), 1), colour, -1, cv2.LINE_8)
    return canvas


@functools.cache
def tree(variant: int) -> tuple[np.ndarray, ...]:
    """A tree with its trunk, premultiplied by its opacity; uint8 RGBA (384, 320, 4) and three halvings."""
    rng = np.random.default_rng([0x7EE, variant])
    height, width = 384, 320
    hue = np.array([[78, 98, 42], [62, 88, 40], [96, 104, 48], [54, 74, 38], [112, 98, 44]][variant % 5], float)
    trunk = np.zeros((height, width, 4), np.uint8)
    cv2.fillPoly(trunk, [np.array([(154, 380), (168, 380), (164, 180), (157, 180)])], (66, 54, 42, 255))
    for x, y in ((110, 190), (205, 180), (135, 140), (185, 130)):
        cv2.line(trunk, (160, 255), (x, y), (58, 48, 38, 255), 5)
    slim = 0.6 if variant % 4 == 3 else 1.0
    turn, reach = rng.uniform(0, 2 * np.pi, 70), np.sqrt(rng.random(70))
    spots = np.stack([160 + slim * 118 * reach * np.cos(turn), 140 + 112 * reach * np.sin(turn)], 1)
    spots = spots[np.argsort(-spots[:, 1] + rng.normal(0, 40, 70))]
    crown = _leaves(rng, (height, width), spots, rng.uniform(22, 44, 70), hue)
    return _levels(np.where(crown[..., 3:] > 0, crown, trunk))


@functools.cache
def foliage(variant: int) -> tuple[np.ndarray, ...]:
    """A stretch of wood or hedge with a ragged upper edge, premultiplied; uint8 RGBA (256, 768, 4) and halvings."""
    rng = np.random.default_rng([0xF01, variant])
    height, width = 256, 768
    hue = np.array([[70, 88, 40], [52, 70, 36], [88, 98, 46]][variant % 3], float)
    count = 330
    spots = np.stack([rng.uniform(0, width, count), rng.uniform(0.22, 1.05, count) * height], 1)
    spots[:, 1] += 22 * np.sin(spots[:, 0] / 60 + variant) * (1 - spots[:, 1] / height)
    spots = spots[np.argsort(-spots[:, 1] + rng.normal(0, 50, count))]
    canvas = _leaves(rng, (height, width), spots, rng.uniform(16, 40, count), hue)
    body = np.zeros((height, width, 4), np.uint8)
    body[int(height * 0.42) :] = (*(int(v * 0.5) for v in hue), 255)
    return _levels(np.where(canvas[..., 3:] > 0, canvas, body))
