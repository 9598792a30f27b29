"""One vehicle an image: `render` draws it as VehicleX's engine would, from attributes that can be chosen."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np

from data_tools.scenes import backdrop, raster, shadows
from data_tools.scenes.camera import CAMERA_HEIGHT, Camera
from data_tools.scenes.plan import Exposure
from data_tools.scenes.raster import Instance, Light
from data_tools.scenes.street import expose
from data_tools.scenes.vehicles import Vehicle

CAMERAS = 20
"""Places where images are taken: each has a ground and a background of its own."""
FINER = 2
"""Images are drawn this many times larger, then averaged down."""
FILL = 0.9
"""Share of the image that a vehicle at the usual distance spans."""
_SIGNS = np.array([(x, y, z) for x in (-1, 1) for y in (0, 1) for z in (-1, 1)])


@dataclasses.dataclass(frozen=True)
class View:
    """How a vehicle is looked at: VehicleX's attributes.

    Attributes:
        camera: 1 ... CAMERAS, the place.
        orientation: degrees by which the vehicle is turned, seen from above counter-clockwise; at 0 its front faces the
            camera.
        light_intensity: of the sun, 0-100.
        light_direction: of the sun, degrees around the vehicle; 0 is from behind the camera.
        camera_height: metres above the ground.
        camera_distance: metres from the vehicle's middle.
    """

    camera: int
    orientation: float
    light_intensity: float
    light_direction: float
    camera_height: float
    camera_distance: float


@dataclasses.dataclass(frozen=True)
class StudioCamera(Camera):
    """A pinhole camera that looks down at a vehicle.

    The renderer's ground lies CAMERA_HEIGHT below its camera. A camera `height` metres up sees the same picture as that
    one sees of a world made smaller by CAMERA_HEIGHT / height, so the vehicle is scaled and the camera only tilts.

    Attributes:
        pitch: radians by which it looks down.
        focal: focal length in pixels.
        shift: column and row by which the optical axis misses the image's middle.
        scale: CAMERA_HEIGHT / height.
    """

    pitch: float = 0.0
    focal: float = 1.0
    shift: tuple[float, float] = (0.0, 0.0)
    scale: float = 1.0

    @property
    def fy(self) -> float:
        """Pixels of one metre at one metre's distance in the smaller world: what the level of detail goes by."""
        return self.focal * self.scale

    @property
    def cy(self) -> float:
        """First row of shadow images: they cover the whole image here."""
        return 0.0

    def project(self, points: np.ndarray) -> np.ndarray:
        """Pixels of points in front of the camera; see `Camera.project`."""
        cosine, sine = np.cos(self.pitch), np.sin(self.pitch)
        depth = points[..., 2] * cosine + points[..., 1] * sine
        down = points[..., 1] * cosine - points[..., 2] * sine
        column = self.focal * points[..., 0] / depth + (self.size[1] - 1) / 2 + self.shift[0]
        return np.stack([column, self.focal * down / depth + (self.size[0] - 1) / 2 + self.shift[1]], -1)


def draw_view(vehicle: Vehicle, rng: np.random.Generator) -> View:
    """Attributes of an image, drawn at random and rounded to one decimal as VehicleX's are.

    Args:
        vehicle: a long one is looked at from further away.
        rng: the source of randomness.

    Returns:
        The view.
    """
    usual = usual_distance(vehicle)
    return View(
        camera=int(rng.integers(1, CAMERAS + 1)),
        orientation=round(float(rng.uniform(0, 359.9)), 1),
        light_intensity=round(float(rng.uniform(20, 100)), 1),
        light_direction=round(float(rng.uniform(0, 359.9)), 1),
        camera_height=round(float(rng.uniform(1.3, 6.0)), 1),
        camera_distance=round(float(usual * rng.uniform(1.0, 1.4)), 1),
    )


def usual_distance(vehicle: Vehicle) -> float:
    """Metres from which a vehicle is looked at so that it fills the image."""
    return 6.0 + 1.3 * vehicle.mesh.size[2]


def render(vehicle: Vehicle, view: View, rng: np.random.Generator, size: int = 256) -> np.ndarray:
    """Draw a vehicle.

    Args:
        vehicle: which.
        view: how it is looked at.
        rng: draws what attributes do not tell: noise, white balance, a small shift.
        size: side of the square image, pixels.

    Returns:
        uint8 RGB, shape (size, size, 3); the same for the same arguments.
    """
    instance = place(vehicle, view)
    shift = rng.uniform(-0.03, 0.03, 2) * size * FINER
    camera = aim(vehicle, view, instance, size * FINER, (float(shift[0]), float(shift[1])))
    light = sunlight(view)
    image, ground = backdrop.paint(camera, view.camera, light, instance.location[1], rng)
    shadow = np.full(camera.size, 255, np.uint8)
    shadows.cast_shadow(shadow, instance, camera, light, 1)
    soft = cv2.GaussianBlur(shadow, (0, 0), 1.5 * FINER)
    image[ground] = (image[ground].astype(np.uint16) * soft[ground][:, None] // 255).astype(np.uint8)
    raster.draw(image, instance, camera, light)
    return expose(cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA), _exposure(rng))


def place(vehicle: Vehicle, view: View) -> Instance:
    """The vehicle in front of the renderer's camera, in the smaller world."""
    scale = CAMERA_HEIGHT / view.camera_height
    heading = np.pi / 2 - np.radians(view.orientation)  # rotation_y turns clockwise
    return Instance(vehicle.mesh, (0.0, view.camera_distance * scale), float(heading), (scale,) * 3, vehicle.palette)


def aim(vehicle: Vehicle, view: View, instance: Instance, side: int, shift: tuple[float, float]) -> StudioCamera:
    """The camera that looks at the vehicle's middle, its lens chosen so that it fills the image from a usual distance.

    Args:
        vehicle: what is looked at.
        view: from where.
        instance: the vehicle as `place` gave it.
        side: of the image, pixels.
        shift: of the image's middle, pixels.

    Returns:
        The camera.
    """
    middle = instance.position - (0.0, instance.size[0] / 2, 0.0)
    pitch = float(np.arctan2(middle[1], middle[2]))
    camera = StudioCamera((side, side), pitch, scale=CAMERA_HEIGHT / view.camera_height)
    height, width, length = instance.size
    box = _SIGNS * (length / 2, -height, width / 2)
    cosine, sine = np.cos(instance.rotation_y), np.sin(instance.rotation_y)
    turned = box @ np.array([[cosine, 0, -sine], [0, 1, 0], [sine, 0, cosine]]) + instance.position
    corners = camera.project(turned)
    low, high = corners.min(0), corners.max(0)
    focal = FILL * side / float((high - low).max()) * usual_distance(vehicle) / view.camera_distance
    # The nearer half of a vehicle looks larger, so the middle of its picture is not the picture of its middle.
    column, row = (focal * ((side - 1) / 2 - (low + high) / 2)).tolist()
    return dataclasses.replace(camera, focal=focal, shift=(shift[0] + column, shift[1] + row))


def sunlight(view: View) -> Light:
    """Sun and sky of a view: the sun 40 degrees up, from where the light direction says."""
    angle, up = np.radians(view.light_direction), np.radians(40.0)
    sun = np.array([np.sin(angle) * np.cos(up), -np.sin(up), -np.cos(angle) * np.cos(up)])
    strength = 0.1 + 0.85 * view.light_intensity / 100
    red, green, blue = (strength * np.array([1.0, 0.96, 0.9])).tolist()
    return Light(sun, (red, green, blue), (0.46, 0.49, 0.54), (0.30, 0.295, 0.28), (0.8, 0.84, 0.89), 1e6)


def _exposure(rng: np.random.Generator) -> Exposure:
    """Noise, white balance and blur of one image."""
    balance, gain = rng.uniform(-0.04, 0.04), rng.uniform(1.2, 1.5)
    return Exposure(
        gain=(gain * (1 + balance), gain, gain * (1 - balance)),
        gamma=float(rng.uniform(0.75, 0.95)),
        contrast=float(rng.uniform(0.1, 0.5)),
        noise=float(rng.uniform(1.0, 3.0)),
        noise_shift=(int(rng.integers(64)), int(rng.integers(64))),
        blur=float(rng.uniform(0.3, 0.7)),
    )
