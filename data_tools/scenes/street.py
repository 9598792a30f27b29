"""Synthetic street scenes in KITTI's layout: `render` draws one, `write` a folder of them."""

from __future__ import annotations

import dataclasses
import functools
import os
import pathlib
from collections import Counter

import cv2
import numpy as np

from data_tools.image_files import encode_png
from data_tools.kitti import write_labels
from data_tools.records import Box
from data_tools.scenes import background, ground, labels, layout, order, output, raster, shadows, textures
from data_tools.scenes.camera import KITTI_SIZE, Camera
from data_tools.scenes.plan import Exposure, Plan
from run_tools.errors import InputError
from run_tools.files import atomic_path

SMALLEST, LARGEST = (64, 160), (2160, 4096)
SOURCE = "synthetic street scenes"
PNG_LEVEL = 1


@dataclasses.dataclass(frozen=True)
class Scene:
    """A rendered scene.

    Attributes:
        image: uint8 (H, W, 3) RGB.
        boxes: objects and DontCare regions, KITTI's 15 columns each.
        p2: float64 (3, 4), projects camera coordinates to pixels.
        calib: text of KITTI's calibration file.
        plan: what was drawn.
    """

    image: np.ndarray
    boxes: tuple[Box, ...]
    p2: np.ndarray
    calib: str
    plan: Plan


def check_size(size: tuple[int, int]) -> tuple[int, int]:
    """The size (height, width), if a scene can be drawn in it.

    Raises:
        InputError: if it is too small to show anything or absurdly large.
    """
    if not all(low <= value <= high for low, value, high in zip(SMALLEST, size, LARGEST, strict=True)):
        raise InputError(
            f"size {size[1]}x{size[0]}",
            f"between {SMALLEST[1]}x{SMALLEST[0]} and {LARGEST[1]}x{LARGEST[0]} (width x height)",
            "KITTI's own is 1242x375",
        )
    return size


def render(seed: int, index: int, size: tuple[int, int] = KITTI_SIZE) -> Scene:
    """Draw one scene.

    Args:
        seed: of the data set, >= 0.
        index: of the scene in it, >= 0.
        size: height and width in pixels; KITTI's intrinsics are scaled to it.

    Returns:
        The scene; the same for the same arguments.

    Raises:
        InputError: for a negative seed or index or a size out of range.
    """
    if seed < 0 or index < 0:
        raise InputError(f"seed {seed}, index {index}", "whole numbers from 0", "choose another seed")
    camera = Camera(check_size(size))
    return draw(layout.plan(np.random.default_rng([0x57EE7, seed, index])), camera)


def draw(plan: Plan, camera: Camera) -> Scene:
    """Draw a plan.

    Args:
        plan: the scene.
        camera: looks at it.

    Returns:
        The image with its true boxes, near objects first.
    """
    image = np.empty((*camera.size, 3), np.uint8)
    background.sky(image, plan, camera)
    ground.paint(image, plan, camera)
    shadow = ground.standing_shadows(plan, camera)
    lit = [dataclasses.replace(i, shade=ground.sunshine(shadow, i, camera)) for i in plan.instances]
    for instance in lit:
        shadows.cast_shadow(shadow, instance, camera, plan.light, ground.STEP)
    ground.darken(image, shadow, camera)
    background.stand(image, plan, camera)
    ids = np.zeros(camera.size, np.uint16)
    drawn = []
    for number, chosen in enumerate(order.painter_order(lit), 1):
        silhouette = raster.draw(image, lit[chosen], camera, plan.light)
        np.copyto(ids[silhouette.window], number, where=silhouette.mask.view(bool))
        drawn.append((lit[chosen], silhouette, number))
    found = (
        labels.label(labels.look(instance, silhouette, ids, number), camera.size)
        for instance, silhouette, number in reversed(drawn)
        if instance.class_name
    )
    boxes = sorted((box for box in found if box is not None), key=lambda box: box.class_name == "DontCare")
    return Scene(expose(image, plan.look), tuple(boxes), camera.p2, camera.calibration(), plan)


def expose(image: np.ndarray, look: Exposure) -> np.ndarray:
    """Lens blur, exposure, white balance, tone curve and sensor noise.

    Args:
        image: uint8 (H, W, 3) RGB.
        look: how much of each.

    Returns:
        uint8 (H, W, 3).
    """
    image = cv2.GaussianBlur(image, (3, 3), look.blur)
    value = np.arange(256)[:, None] / 255 * np.array(look.gain)
    value = np.clip(value, 0, 1) ** look.gamma
    value = (1 - look.contrast) * value + look.contrast * value**2 * (3 - 2 * value)
    image = cv2.LUT(image, np.rint(255 * value).astype(np.uint8).reshape(256, 1, 3))
    (row, column), (height, width) = look.noise_shift, image.shape[:2]
    noise = textures.sensor_noise((height, width))[row : row + height, column : column + width]
    return cv2.addWeighted(image, 1.0, noise, look.noise / 32, -4.0 * look.noise)


def _save(index: int, folder: pathlib.Path, seed: int, size: tuple[int, int]) -> Counter[str]:
    """Render and write scene `index`; returns how often each class occurs in it."""
    scene = render(seed, index, size)
    training = folder / "training"
    (training / "image_2" / f"{index:06d}.png").write_bytes(encode_png(scene.image, PNG_LEVEL))
    write_labels(training / "label_2" / f"{index:06d}.txt", scene.boxes)
    (training / "calib" / f"{index:06d}.txt").write_text(scene.calib, encoding="ascii")
    return Counter(box.class_name for box in scene.boxes)


def write(
    out: str | os.PathLike[str],
    images: int,
    seed: int,
    size: tuple[int, int] = KITTI_SIZE,
    workers: int | None = None,
) -> dict:
    """Write scenes in KITTI's layout; the folder appears once it is complete.

    Args:
        out: folder to make; it must not exist or be empty.
        images: number of scenes, 1 … 1,000,000.
        seed: scene i of a seed is the same whatever the number of scenes or workers.
        size: height and width in pixels.
        workers: processes; if None, one per core, or this one alone for a few images.

    Returns:
        `out`, `images`, `seed`, `size` (height, width), `objects` (labels per class) and `source`.

    Raises:
        InputError: if the folder holds something, or an argument is out of range.
    """
    if not 1 <= images <= 1_000_000:
        raise InputError(f"--images {images}", "1 to 1000000", "ask for at least one image")
    check_size(size)
    out = output.check_folder(out, seed, workers)
    counts: Counter[str] = Counter()
    with atomic_path(out) as folder:
        for part in ("image_2", "label_2", "calib"):
            (folder / "training" / part).mkdir(parents=True)
        job = functools.partial(_save, folder=folder, seed=seed, size=size)
        for found in output.each(job, images, workers):
            counts += found
        (folder / "source.txt").write_text(f"{SOURCE}, seed {seed}\n", encoding="ascii")
        (folder / "README.txt").write_text(_readme(images, seed, size), encoding="ascii")
    objects = dict(sorted(counts.items(), key=lambda item: -item[1]))
    return {"out": str(out), "images": images, "seed": seed, "size": list(size), "objects": objects, "source": SOURCE}


def _readme(images: int, seed: int, size: tuple[int, int]) -> str:
    """What lies beside the data so that nobody takes it for KITTI."""
    pixels = f"{size[1]}x{size[0]}"
    return (
        "SYNTHETIC DATA, not KITTI.\n\n"
        f"{images} rendered street scenes of {pixels} pixels in the layout of the KITTI 2D object data set, made by\n"
        f"    data-tools street OUT --images {images} --seed {seed} --size {pixels}\n\n"
        "Numbers computed on it say nothing about real roads; name it synthetic wherever they are shown.\n\n"
        "Classes: sedan, suv, hatchback, estate, sportscar, mpv and pickup are Car; van and RV (motorhome) are Van;\n"
        "truck is Truck; bus is Misc, since KITTI has no bus class.\n"
        "Boxes enclose all of an object inside the image, hidden parts included. occluded is 0, 1, 2 where at least\n"
        "80 %, 45 %, 15 % of its pixels are visible, else 3; below 12 %, or lower than 18 pixels, it is a DontCare\n"
        "region. truncated is the fraction of the projected box's area outside the image.\n"
    )
