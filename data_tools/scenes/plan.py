"""What a street scene holds before anything is drawn."""

from __future__ import annotations

import dataclasses

import numpy as np

from data_tools.scenes.raster import Colour, Instance, Light

LANES = {"residential": 2.7, "city": 3.1, "arterial": 3.4, "rural": 3.3}
"""Kinds of scenes, and the width of a lane there in metres."""
RAIL = 0.09
"""Width of a rail in metres; painted lines are wider."""


@dataclasses.dataclass(frozen=True)
class Marking:
    """A painted line along the road, or a rail.

    Attributes:
        offset: metres from the camera's track, to the right.
        width: metres.
        dash: length of a stroke and of a gap in metres, or None for an unbroken line.
        colour: red, green, blue in 0–1.
    """

    offset: float
    width: float = 0.14
    dash: tuple[float, float] | None = None
    colour: Colour = (0.78, 0.78, 0.76)


@dataclasses.dataclass(frozen=True)
class Road:
    """A road that bends gently: its line lies at x = offset + slope z + curve z².

    Attributes:
        left, right: offsets of its edges (kerbs), metres.
        pavement_left, pavement_right: widths of the pavements beside it; 0 for none.
        slope, curve: of its line.
        markings: painted lines and rails.
        crossing: z of the middle of a crossroads, or None.
        crossing_half: half the width of the crossing road.
        asphalt, pavement, verge: colours.
        zebra: z where a zebra crossing begins, or None.
    """

    left: float
    right: float
    pavement_left: float
    pavement_right: float
    slope: float
    curve: float
    markings: tuple[Marking, ...]
    crossing: float | None
    crossing_half: float
    asphalt: Colour
    pavement: Colour
    verge: Colour
    zebra: float | None = None

    def x(self, offset, z):
        """Lateral position in metres of a line `offset` metres right of the camera's track, at z."""
        return offset + self.slope * z + self.curve * np.square(z)

    def heading(self, z: float) -> float:
        """KITTI's rotation_y of a vehicle that drives away along the road at z."""
        return float(np.arctan(self.slope + 2 * self.curve * z) - np.pi / 2)


@dataclasses.dataclass(frozen=True)
class Building:
    """A house beside the road.

    Attributes:
        side: 1 right of the road, -1 left.
        offset: of its front from the camera's track, metres, unsigned.
        start, end: z of its near and far corner.
        height: of its eaves.
        depth: away from the road.
        variant: of its facade.
        roof: height of the ridge above the eaves; 0 for a flat roof.
        roof_colour: red, green, blue in 0–1.
    """

    side: int
    offset: float
    start: float
    end: float
    height: float
    depth: float
    variant: int
    roof: float
    roof_colour: Colour


@dataclasses.dataclass(frozen=True)
class Tree:
    """A tree at (x, z), `height` metres tall; `variant` chooses its picture, `mirrored` flips it."""

    x: float
    z: float
    height: float
    variant: int
    mirrored: bool


@dataclasses.dataclass(frozen=True)
class Hedge:
    """A hedge, wood or wall along the road from z `start` to `end`; variant -1 is a wall.

    Other fields as in `Building`; `ended` says whether its near end is open to sight.
    """

    side: int
    offset: float
    start: float
    end: float
    height: float
    variant: int
    ended: bool = True


@dataclasses.dataclass(frozen=True)
class Exposure:
    """What the camera adds.

    Attributes:
        gain: exposure with white balance, per channel.
        gamma: exponent of the tone curve.
        contrast: 0 a straight curve … 1 a strong S.
        noise: standard deviation of the sensor's noise in grey levels.
        noise_shift: rows and columns by which the noise is moved.
        blur: standard deviation of the lens blur in pixels.
    """

    gain: Colour
    gamma: float
    contrast: float
    noise: float
    noise_shift: tuple[int, int]
    blur: float


@dataclasses.dataclass(frozen=True)
class Look(Exposure):
    """What the sky and the camera add; the camera's part is in `Exposure`.

    Attributes:
        zenith: colour of the sky overhead.
        cloud: colour of the clouds.
        cloud_variant: which cloud cover, and `cloud_mirrored` its mirror image.
        cloud_cover: 0 none … 1 all of it.
        grain_variant, grain_mirrored: the road's texture.
    """

    zenith: Colour
    cloud: Colour
    cloud_variant: int
    cloud_mirrored: bool
    cloud_cover: float
    grain_variant: int
    grain_mirrored: bool


@dataclasses.dataclass(frozen=True)
class Plan:
    """A whole scene: where it is, what stands in it, and the weather."""

    kind: str
    road: Road
    buildings: tuple[Building, ...]
    trees: tuple[Tree, ...]
    hedges: tuple[Hedge, ...]
    instances: tuple[Instance, ...]
    light: Light
    look: Look
