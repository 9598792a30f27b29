"""Sky, houses, woods and trees: everything behind the labelled objects but the ground."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np

from data_tools.scenes import textures
from data_tools.scenes.camera import CAMERA_HEIGHT, Camera, clip_near
from data_tools.scenes.plan import Building, Hedge, Plan, Tree
from data_tools.scenes.raster import SHIFT, Light

NEAR = 1.0  # metres at which walls are cut


def sky(image: np.ndarray, plan: Plan, camera: Camera) -> None:
    """Fill the image down to the horizon with a gradient and clouds."""
    rows, width = textures.horizon_row(camera), image.shape[1]
    half = (rows // 2 + 1, width // 2 + 1)
    height = np.linspace(1, 0, half[0], dtype=np.float32)[:, None, None]
    fade = height**0.7
    haze, zenith = np.array(plan.light.haze, np.float32), np.array(plan.look.zenith, np.float32)
    cover = textures.clouds(half, plan.look.cloud_variant)
    if plan.look.cloud_mirrored:
        cover = cover[:, ::-1]
    cover = (plan.look.cloud_cover * cover)[..., None]
    clear = haze * (1 - fade) + zenith * fade
    mixed = clear * (1 - cover) + np.array(plan.look.cloud, np.float32) * cover
    small = np.clip(255 * mixed, 0, 255).astype(np.uint8)
    image[:rows] = cv2.resize(small, (width, half[0] * 2), interpolation=cv2.INTER_LINEAR)[:rows]


def stand(image: np.ndarray, plan: Plan, camera: Camera) -> None:
    """Draw distant woods, houses, hedges and trees from far to near."""
    _skyline(image, plan, camera)
    things: list[tuple[float, int, Building | Hedge | Tree]] = []
    things += [(b.start, 1, b) for b in plan.buildings]
    # Trees stand behind low hedges at the pavement but in front of the woods further out.
    things += [(h.start if h.height < 2 else h.end, 0, h) for hedge in plan.hedges for h in _pieces(hedge)]
    things += [(t.z, 2, t) for t in plan.trees]
    for _, _, thing in sorted(things, key=lambda entry: (-entry[0], entry[1])):
        if isinstance(thing, Building):
            _building(image, thing, plan, camera)
        elif isinstance(thing, Hedge):
            _hedge(image, thing, plan, camera)
        else:
            _tree(image, thing, plan.light, camera)


def _pieces(hedge: Hedge) -> list[Hedge]:
    """The hedge in pieces short enough to follow the road's bend, only the first of which keeps its end face."""
    edges = [hedge.start]
    while edges[-1] < hedge.end:
        edges.append(min(edges[-1] + 3 * max(hedge.height, 3.0), hedge.end))
    pairs = zip(edges[:-1], edges[1:], strict=True)
    return [dataclasses.replace(hedge, start=a, end=b, ended=a == hedge.start) for a, b in pairs]


def _skyline(image: np.ndarray, plan: Plan, camera: Camera) -> None:
    """Draw a low line of trees where the ground meets the sky, so that gaps between houses do not end in nothing."""
    gain = _gain(plan.light, (0, -0.6, -0.8))
    for number, (z, height) in enumerate(((290.0, 17.0), (235.0, 11.0))):
        shift = 23.0 * plan.look.cloud_variant + 40.0 * number
        for left in range(-360, 450, 90):
            near, far = (left - shift % 90, z), (left - shift % 90 + 90.5, z + 1e-6)
            levels = textures.foliage((plan.look.grain_variant + number) % textures.FOLIAGE)
            _wall(image, levels, near, far, (0, height), gain, plan.light, camera)


def _gain(light: Light, normal: tuple[float, float, float]) -> np.ndarray:
    """Light (3,) that falls on an upright or sloping surface."""
    sun = max(float(np.dot(normal, light.sun)), 0.0)
    return 0.75 * np.asarray(light.sky) + 0.25 * np.asarray(light.bounce) + sun * np.asarray(light.sunlight)


def _haze(light: Light, depth: float) -> float:
    """Fraction of a colour that survives `depth` metres of air."""
    return float(np.exp(-depth / light.haze_depth))


def _wall(
    image: np.ndarray,
    levels: tuple[np.ndarray, ...],
    near: tuple[float, float],
    far: tuple[float, float],
    heights: tuple[float, float],
    gain: np.ndarray,
    light: Light,
    camera: Camera,
) -> None:
    """Draw an upright textured rectangle.

    Args:
        image: changed in place.
        levels: a texture, RGB or premultiplied RGBA, and its halvings.
        near, far: (x, z) of its two ends on the road, metres; what is nearer than `NEAR` is cut off.
        heights: of its lower and upper edge above the road.
        gain: light (3,) that falls on it.
        light: for the haze.
        camera: projects.
    """
    (x0, z0), (x1, z1) = near, far
    if z1 <= NEAR + 0.1:
        return
    cut = max((NEAR - z0) / (z1 - z0), 0.0) if z0 < z1 else 0.0
    x0, z0 = x0 + cut * (x1 - x0), z0 + cut * (z1 - z0)
    low, high = (CAMERA_HEIGHT - h for h in heights)
    quad = camera.project(np.array([(x0, high, z0), (x1, high, z1), (x1, low, z1), (x0, low, z0)]))
    left, top = np.floor(np.maximum(quad.min(0), 0)).astype(int)
    right, bottom = np.ceil(np.minimum(quad.max(0) + 1, image.shape[1::-1])).astype(int)
    if right - left < 1 or bottom - top < 1:
        return
    drawn = np.sqrt((quad[3, 1] - quad[0, 1]) * (quad[2, 1] - quad[1, 1]))
    level = int(np.clip(np.rint(np.log2(max(levels[0].shape[0] / max(drawn, 1), 1))), 0, len(levels) - 1))
    texture = levels[level]
    height, width = texture.shape[:2]
    corners = np.array([(cut * width, 0), (width, 0), (width, height), (cut * width, height)], np.float32)
    matrix = cv2.getPerspectiveTransform(corners, (quad - (left, top)).astype(np.float32))
    kept = _haze(light, (z0 + z1) / 2)
    lit = _tone(texture, gain * kept, 255 * (1 - kept) * np.asarray(light.haze))
    window = image[top:bottom, left:right]
    if texture.shape[2] == 3:
        size = (right - left, bottom - top)
        cv2.warpPerspective(lit, matrix, size, window, cv2.INTER_LINEAR, cv2.BORDER_TRANSPARENT)
    else:
        _blend(window, cv2.warpPerspective(lit, matrix, (right - left, bottom - top), flags=cv2.INTER_LINEAR))


def _tone(texture: np.ndarray, gain: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """The texture times gain plus offset, both (3,); a premultiplied texture's offset follows its opacity."""
    channels = texture.shape[2]
    matrix = np.zeros((channels, channels + 1))
    matrix[:3, :3] = np.diag(gain)
    if channels == 3:
        matrix[:, 3] = offset
    else:
        matrix[:3, 3], matrix[3, 3] = offset / 255, 1
        matrix = matrix[:, :4]
    return cv2.transform(texture, matrix)


def _blend(window: np.ndarray, picture: np.ndarray) -> None:
    """Lay a premultiplied RGBA picture of the same size over a window, in place."""
    clear = cv2.cvtColor(255 - picture[..., 3], cv2.COLOR_GRAY2RGB)
    window[:] = cv2.add(cv2.multiply(window, clear, scale=1 / 255), cv2.cvtColor(picture, cv2.COLOR_RGBA2RGB))


def _polygon(image: np.ndarray, points: np.ndarray, colour: np.ndarray, light: Light, camera: Camera) -> None:
    """Fill a plane polygon (n, 3) of one lit colour (3,) in 0–1."""
    points = clip_near(points, NEAR)
    if len(points) < 3:
        return
    kept = _haze(light, float(points[:, 2].mean()))
    mixed = 255 * np.clip(colour * kept + (1 - kept) * np.asarray(light.haze), 0, 1)
    pixels = np.clip(camera.project(points), -8000, 8000)
    fixed = np.rint(pixels * (1 << SHIFT)).astype(np.int32)
    cv2.fillConvexPoly(image, fixed, mixed.tolist(), cv2.LINE_AA, SHIFT)


def _building(image: np.ndarray, house: Building, plan: Plan, camera: Camera) -> None:
    """Draw the roof, the end that looks at the camera, and the front."""
    road, light, side = plan.road, plan.light, house.side
    front = [float(road.x(side * house.offset, z)) for z in (house.start, house.end)]
    back = [x + side * house.depth for x in front]
    ridge = [x + side * house.depth / 2 for x in front]
    eaves, top = CAMERA_HEIGHT - house.height, CAMERA_HEIGHT - house.height - house.roof
    zs = (house.start, house.end)
    levels = textures.facade(house.variant)
    end_gain = _gain(light, (0, 0, -1))
    if house.roof:
        slope = np.array([-side * house.roof, -house.depth / 2, 0.0])
        lit = np.array(house.roof_colour) * _gain(light, tuple(slope / np.linalg.norm(slope)))
        out = 0.35 * side
        roof = [
            (front[0] - out, eaves, zs[0]),
            (front[1] - out, eaves, zs[1]),
            (ridge[1], top, zs[1]),
            (ridge[0], top, zs[0]),
        ]
        _polygon(image, np.array(roof), lit, light, camera)
    if house.start > NEAR:
        _wall(image, levels, (front[0], zs[0]), (back[0], zs[0] + 1e-6), (0, house.height), end_gain, light, camera)
        if house.roof:
            gable = np.array([(front[0], eaves, zs[0]), (back[0], eaves, zs[0]), (ridge[0], top, zs[0])])
            plaster = levels[-1].reshape(-1, 3)[: levels[-1].shape[1]].mean(0) / 255
            _polygon(image, gable, plaster * end_gain, light, camera)
    _wall(
        image,
        levels,
        (front[0], zs[0]),
        (front[1], zs[1]),
        (0, house.height),
        _gain(light, (-side, 0, 0)),
        light,
        camera,
    )


def _hedge(image: np.ndarray, hedge: Hedge, plan: Plan, camera: Camera) -> None:
    """Draw a piece of a hedge, wood or garden wall along the road, and the end that looks at the camera."""
    road, light, side = plan.road, plan.light, hedge.side
    ends = [(float(road.x(side * hedge.offset, z)), z) for z in (hedge.start, hedge.end)]
    if hedge.variant < 0:
        high, low = CAMERA_HEIGHT - hedge.height, CAMERA_HEIGHT
        points = [(x, y, z) for (x, z), y in zip([*ends, *ends[::-1]], (high, high, low, low), strict=True)]
        _polygon(image, np.array(points), np.array([0.55, 0.52, 0.47]) * _gain(light, (-side, 0, 0)), light, camera)
        return
    levels = textures.foliage(hedge.variant)
    if hedge.ended and hedge.start > NEAR:
        end = tuple(level[:, : level.shape[1] // 4] for level in levels)
        far = (ends[0][0] + side * min(hedge.height, 4.0), hedge.start + 1e-6)
        _wall(image, end, ends[0], far, (0, hedge.height), _gain(light, (0, -0.5, -0.85)), light, camera)
    gain = _gain(light, (-0.7 * side, -0.7, 0))
    _wall(image, levels, ends[0], ends[1], (0, hedge.height), gain, light, camera)


def _tree(image: np.ndarray, tree: Tree, light: Light, camera: Camera) -> None:
    """Draw a tree as an upright picture that faces the camera."""
    levels = textures.tree(tree.variant)
    half = tree.height * levels[0].shape[1] / levels[0].shape[0] / 2
    ends = [(tree.x - half, tree.z), (tree.x + half, tree.z + 1e-6)]
    if tree.mirrored:
        levels = tuple(level[:, ::-1] for level in levels)
    facing = -0.5 if light.sun[2] > 0 else 0.5
    gain = _gain(light, (0.5 * float(np.sign(light.sun[0])), -0.7, -facing))
    _wall(image, levels, ends[0], ends[1], (0, tree.height), gain, light, camera)
