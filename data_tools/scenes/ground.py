"""The ground: verge, pavements, kerbs, road, paint, rails, and the shadows on it."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from data_tools.scenes import textures
from data_tools.scenes.camera import CAMERA_HEIGHT, Camera, clip_near
from data_tools.scenes.plan import RAIL, Plan
from data_tools.scenes.raster import SHIFT, Instance
from data_tools.scenes.shadows import fill_hull

STEP = 2  # image pixels per shadow pixel
FAR = 260.0
_STATIONS = np.array([0.9, 2, 3, 4, 5.5, 7.5, 10, 14, 19, 26, 36, 50, 70, 100, 150, FAR])


def paint(image: np.ndarray, plan: Plan, camera: Camera) -> None:
    """Fill the image below the horizon with the lit ground, without shadows."""
    road = plan.road
    first = textures.horizon_row(camera)
    light = np.asarray(plan.light.sky) * 0.8 + np.asarray(plan.light.sunlight) * max(-float(plan.light.sun[1]), 0)
    image[first:] = np.clip(255 * light * road.verge, 0, 255).astype(np.uint8)

    def fill(points, colour) -> None:
        _fill(image, np.asarray(points, float), 255 * np.clip(light * colour, 0, 1), camera)

    asphalt, stone = np.asarray(road.asphalt), np.asarray(road.pavement)
    kerb = 0.62 * stone + 0.12
    edges = ((road.left, -1, road.pavement_left), (road.right, 1, road.pavement_right))
    for offset, side, width in edges:
        if width:
            fill(_ribbon(plan, offset, offset + side * width), stone)
    fill(_ribbon(plan, road.left, road.right), asphalt)
    for offset, side, width in edges:
        if width:
            fill(_ribbon(plan, offset, offset + side * 0.16), kerb)
            fill(_ribbon(plan, offset, offset - side * 0.3), asphalt * 0.86)
    if road.crossing is not None:
        z0, z1 = road.crossing - road.crossing_half, road.crossing + road.crossing_half
        ends = [float(road.x(-60.0, z0)), float(road.x(60.0, z0))]
        fill([(ends[0], z0), (ends[1], z0), (ends[1], z1), (ends[0], z1)], asphalt * 0.97)
    _lines(plan, fill)
    rows = image[first:]
    grain = textures.grain(camera, plan.look.grain_variant)
    cv2.multiply(rows, grain[:, ::-1] if plan.look.grain_mirrored else grain, rows, 1 / 128)
    _fade(rows, plan, camera, first)


def _lines(plan: Plan, fill) -> None:
    """Paint lane markings, rails, a stop line and a zebra crossing."""
    road = plan.road
    gap = (
        None
        if road.crossing is None
        else (road.crossing - road.crossing_half - 1, road.crossing + road.crossing_half + 1)
    )
    for line in road.markings:
        offsets = (line.offset - line.width / 2, line.offset + line.width / 2)
        if line.dash is None:
            spans = [(0.9, FAR)] if gap is None or line.width == RAIL else [(0.9, gap[0]), (gap[1], FAR)]
            for start, end in spans:
                if end > start:
                    fill(_ribbon(plan, *offsets, start, end), np.asarray(line.colour))
            continue
        stroke, pause = line.dash
        for start in np.arange(0.9 - (line.offset * 1.7) % (stroke + pause), 90, stroke + pause):
            z0, z1 = max(start, 0.9), start + stroke
            if z1 > z0 and not (gap and z1 > gap[0] and z0 < gap[1]):
                ends = [
                    road.x(o, z) for o, z in ((offsets[0], z0), (offsets[1], z0), (offsets[1], z1), (offsets[0], z1))
                ]
                fill(list(zip(ends, (z0, z0, z1, z1), strict=True)), np.asarray(line.colour))
    if road.zebra is not None:
        z0, z1 = road.zebra, road.zebra + 3.0
        for offset in np.arange(road.left + 0.5, road.right - 0.5, 1.0):
            ends = [road.x(o, z) for o, z in ((offset, z0), (offset + 0.5, z0), (offset + 0.5, z1), (offset, z1))]
            fill(list(zip(ends, (z0, z0, z1, z1), strict=True)), np.array([0.75, 0.75, 0.73]))


def _ribbon(plan: Plan, a: float, b: float, start: float = 0.9, end: float = FAR) -> np.ndarray:
    """Outline (n, 2) as x, z of the strip between two offsets from the camera's track."""
    z = _STATIONS[(start < _STATIONS) & (end > _STATIONS)]
    z = np.concatenate([[start], z, [end]])
    sides = [np.stack([plan.road.x(offset, z), z], 1) for offset in (a, b)]
    return np.concatenate([sides[0], sides[1][::-1]])


def _fill(image: np.ndarray, outline: np.ndarray, colour: np.ndarray, camera: Camera) -> None:
    """Fill a road polygon given as x, z rows."""
    points = clip_near(camera.ground(outline[:, 0], outline[:, 1]), 0.7)
    if len(points) < 3:
        return
    pixels = np.clip(camera.project(points), -20000, 20000)
    fixed = np.rint(pixels * (1 << SHIFT)).astype(np.int32)
    cv2.fillPoly(image, [fixed], colour.tolist(), cv2.LINE_AA, SHIFT)


def _fade(rows: np.ndarray, plan: Plan, camera: Camera, first: int) -> None:
    """Let the ground fade into haze over the rows that show more than 25 m of distance."""
    count = min(int(camera.fy * CAMERA_HEIGHT / 25), len(rows))
    depth = camera.fy * CAMERA_HEIGHT / np.maximum(np.arange(count) + first - camera.cy, 0.2)
    kept = np.exp(-depth / plan.light.haze_depth).astype(np.float32)[:, None, None]
    haze = 255 * np.asarray(plan.light.haze, np.float32)
    rows[:count] = (rows[:count] * kept + haze * (1 - kept)).astype(np.uint8)


def standing_shadows(plan: Plan, camera: Camera) -> np.ndarray:
    """Shadows that houses and trees throw on the ground.

    Args:
        plan: the scene.
        camera: projects.

    Returns:
        uint8 (h, w) light left on the ground, at 1 / STEP of the resolution, its first row at the horizon.
    """
    height, width = camera.size
    shadow = np.full(((height - int(camera.cy)) // STEP + 1, width // STEP + 1), 255, np.uint8)
    if max(plan.light.sunlight) < 0.05:
        return shadow
    throw = -plan.light.sun / max(-float(plan.light.sun[1]), 0.2)
    outlines: list[Sequence[tuple[float, float]]] = []
    for house in plan.buildings:
        base = [(float(plan.road.x(house.side * house.offset, z)), z) for z in (house.start, house.end)]
        tall = house.height + 0.5 * house.roof
        outlines.append(base + [(x + throw[0] * tall, z + throw[2] * tall) for x, z in base[::-1]])
    turn = np.linspace(0, 2 * np.pi, 9)[:-1]
    for tree in plan.trees:
        for lift, spread in ((0.55, 0.2), (0.8, 0.22), (0.4, 0.14)):
            x, z = tree.x + throw[0] * lift * tree.height, tree.z + throw[2] * lift * tree.height
            wobble = spread * tree.height * (1 + 0.25 * np.sin(3 * turn + tree.variant))
            outlines.append(list(zip(x + wobble * np.cos(turn), z + wobble * np.sin(turn), strict=True)))
    for outline in outlines:
        points = clip_near(camera.ground(*np.array(outline).T), 0.7)
        if len(points) > 2:
            fill_hull(shadow, points, camera, STEP, 118)
    return shadow


def sunshine(shadow: np.ndarray, instance: Instance, camera: Camera) -> float:
    """Fraction of sunlight at an instance's place, read from the shadows of what stands there."""
    column, row = camera.project(instance.position)
    row, column = int((row - camera.cy) / STEP), int(column / STEP)
    if not (0 <= row < shadow.shape[0] and 0 <= column < shadow.shape[1]):
        return 1.0
    return float(np.clip((int(shadow[row, column]) - 118) / 137, 0.08, 1.0))


def darken(image: np.ndarray, shadow: np.ndarray, camera: Camera) -> None:
    """Soften the shadows and multiply them into the ground."""
    first = textures.horizon_row(camera)
    soft = cv2.GaussianBlur(shadow, (5, 5), 1.1)
    full = cv2.resize(soft, (soft.shape[1] * STEP, soft.shape[0] * STEP), interpolation=cv2.INTER_LINEAR)
    rows = image[first:]
    cv2.multiply(rows, cv2.cvtColor(full[: len(rows), : image.shape[1]], cv2.COLOR_GRAY2RGB), rows, 1 / 255)
