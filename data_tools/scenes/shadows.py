"""Shadows on the ground: the dark contact below objects and what the sun throws."""

from __future__ import annotations

import cv2
import numpy as np

from data_tools.scenes.camera import CAMERA_HEIGHT, Camera
from data_tools.scenes.raster import MIN_DEPTH, SHIFT, Instance, Light


def cast_shadow(shadow: np.ndarray, instance: Instance, camera: Camera, light: Light, step: int) -> None:
    """Draw the ground shadows of an instance: the dark contact below it, and the one the sun casts.

    Args:
        shadow: uint8 (h, w), light left on the ground (255 all of it), at 1 / step of the image's resolution with
            its first row at the horizon; changed in place.
        instance: what casts.
        camera: projects.
        light: gives the direction of the sun.
        step: how many image pixels a shadow pixel covers.
    """
    points = instance.vertices()
    height = CAMERA_HEIGHT - points[:, 1:2]
    if max(light.sunlight) > 0.05 and instance.shade > 0.5:
        thrown = points - light.sun * (height / max(-light.sun[1], 0.2))
        fill_hull(shadow, thrown, camera, step, 120)
    below = camera.ground(*instance.footprint().T)
    middle = below.mean(0)
    near = instance.location[1] < 45
    for grow, value in ((1.12, 150), (0.98, 90), (0.85, 55)) if near else ((0.98, 80),):
        if instance.size[1] > 1.2 or grow < 1:
            fill_hull(shadow, middle + grow * (below - middle), camera, step, value)


def fill_hull(shadow: np.ndarray, points: np.ndarray, camera: Camera, step: int, value: int) -> None:
    """Fill the hull of ground points (n, 3), leaving the darker of what was there and `value`."""
    points = points[points[:, 2] > MIN_DEPTH]
    if len(points) < 3:
        return
    pixels = (camera.project(points) - (0.0, camera.cy)) / step
    hull = cv2.convexHull(np.clip(pixels, -4000, 8000).astype(np.float32))
    (left, top), (right, bottom) = hull.min((0, 1)), hull.max((0, 1))
    left, top = max(int(left) - 1, 0), max(int(top) - 1, 0)
    window = shadow[top : max(int(bottom) + 2, 0), left : max(int(right) + 2, 0)]
    if not window.size:
        return
    layer = np.full(window.shape, 255, np.uint8)
    fixed = np.rint((hull - (left, top)) * (1 << SHIFT)).astype(np.int32)
    cv2.fillConvexPoly(layer, fixed, value, cv2.LINE_AA, SHIFT)
    np.minimum(window, layer, out=window)
