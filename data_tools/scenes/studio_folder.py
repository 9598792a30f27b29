"""A folder of studio images in VehicleX's layout."""

from __future__ import annotations

import dataclasses
import functools
import os
import pathlib
from typing import Any

import cv2
import numpy as np

from data_tools import splits
from data_tools.scenes import output, studio, vehicles
from data_tools.scenes.studio import View
from data_tools.vehiclex_labels import COLOURS, TYPES
from run_tools.errors import InputError
from run_tools.files import atomic_path

SOURCE = "synthetic studio vehicles"
SHARES = (0.6, 0.2, 0.2)
"""Of train, val and test, close to VehicleX's 60.2, 19.8 and 20.0 percent."""
SMALLEST, LARGEST = 32, 1024
JPEG_QUALITY = 95
_IMAGE = 0x57D13


@dataclasses.dataclass(frozen=True)
class Shot:
    """One image to make.

    Attributes:
        vehicle: id, from 1.
        counter: number of the image among those of its vehicle, from 1.
    """

    vehicle: int
    counter: int


def plan(per_type: int, number: int, seed: int) -> list[Shot]:
    """Which vehicle is shown how often: every type `per_type` times, its vehicles as equally as can be.

    Args:
        per_type: images of each type.
        number: vehicles; ids 1 ... number.
        seed: decides which id has which type.

    Returns:
        Shots by vehicle, then counter.

    Raises:
        InputError: a type has no vehicle, or a vehicle no image.
    """
    if number < len(TYPES):
        raise InputError(f"--vehicles {number}", f"at least {len(TYPES)}, one a type", "ask for more")
    of_type: dict[int, list[int]] = {}
    for vehicle in range(1, number + 1):
        of_type.setdefault(vehicles.type_of(seed, vehicle), []).append(vehicle)
    most = max(len(members) for members in of_type.values())
    if per_type < max(most, 3):
        raise InputError(
            f"--per-type {per_type} with {most} vehicles of a type",
            f"at least {max(most, 3)}: an image a vehicle, and one a split",
            "ask for more images or fewer vehicles",
        )
    counts = {
        vehicle: per_type // len(members) + (place < per_type % len(members))
        for members in of_type.values()
        for place, vehicle in enumerate(members)
    }
    return [Shot(vehicle, counter) for vehicle in sorted(counts) for counter in range(1, counts[vehicle] + 1)]


def deal(shots: list[Shot], seed: int) -> list[str]:
    """Split of each shot: at random with every vehicle in the same shares; every type where vehicles have too few.

    Args:
        shots: as `plan` gives them.
        seed: of the deal.

    Returns:
        "train", "val" or "test", one a shot.
    """
    times = np.bincount([shot.vehicle for shot in shots])
    by_vehicle = times[times > 0].min() >= len(SHARES)
    labels = {
        f"{index:08d}": str(shot.vehicle if by_vehicle else vehicles.type_of(seed, shot.vehicle))
        for index, shot in enumerate(shots)
    }
    owner = {i: name for name, ids in splits.stratified(labels, SHARES, seed).items() for i in ids}
    return [owner[f"{index:08d}"] for index in range(len(shots))]


def _shoot(index: int, shots: list[Shot], of_split: list[str], folder: pathlib.Path, seed: int, size: int) -> Any:
    """Render and write image `index`; returns its index, name and view."""
    shot = shots[index]
    vehicle = vehicles.make(seed, shot.vehicle)
    rng = np.random.default_rng([_IMAGE, seed, shot.vehicle, shot.counter])
    view = studio.draw_view(vehicle, rng)
    image = studio.render(vehicle, view, rng, size)
    name = f"{shot.vehicle:04d}_c{view.camera:03d}_{shot.counter}.jpg"
    data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1]
    (folder / of_split[index] / name).write_bytes(data.tobytes())
    return index, name, view


def write(
    out: str | os.PathLike[str],
    per_type: int,
    number: int,
    seed: int,
    size: int = 256,
    workers: int | None = None,
) -> dict[str, Any]:
    """Write images and label files in VehicleX's layout; the folder appears once it is complete.

    Args:
        out: folder to make; it must not exist or be empty.
        per_type: images of each of the eleven types.
        number: vehicles, at least eleven; VehicleX has 1,362. Each has a geometry and a colour of its own.
        seed: vehicle v and its image i of a seed are the same whatever the numbers of images, vehicles or workers.
        size: side of the square images, pixels.
        workers: processes; if None, one per core, or this one alone for a few images.

    Returns:
        `out`, `images`, `vehicles`, `seed`, `size`, `splits` (images of each), `types` (images of each) and `source`.

    Raises:
        InputError: if the folder holds something, or an argument is out of range.
    """
    if not SMALLEST <= size <= LARGEST:
        raise InputError(f"--size {size}", f"{SMALLEST} to {LARGEST} pixels", "VehicleX's own is 256")
    out = output.check_folder(out, seed, workers)
    shots = plan(per_type, number, seed)
    of_split = deal(shots, seed)
    with atomic_path(out) as folder:
        for split in splits.SPLIT_NAMES:
            (folder / split).mkdir(parents=True)
        job = functools.partial(_shoot, shots=shots, of_split=of_split, folder=folder, seed=seed, size=size)
        items = {index: (name, view) for index, name, view in output.each(job, len(shots), workers)}
        for split in splits.SPLIT_NAMES:
            members = [index for index in range(len(shots)) if of_split[index] == split]
            lines = [_item(shots[index].vehicle, *items[index], seed) for index in members]
            (folder / f"{split}_label.xml").write_text(_xml(lines), encoding="utf-8")
        for name, texts in (("list_type.txt", TYPES), ("list_color.txt", COLOURS)):
            lines = [f"{index} {text}\n" for index, text in enumerate(texts)]
            (folder / name).write_text("".join(lines), encoding="ascii")
        (folder / "source.txt").write_text(f"{SOURCE}, seed {seed}\n", encoding="ascii")
        (folder / "README.txt").write_text(_readme(per_type, number, seed, size), encoding="ascii")
    return {
        "out": str(out),
        "images": len(shots),
        "vehicles": number,
        "seed": seed,
        "size": size,
        "splits": {split: of_split.count(split) for split in splits.SPLIT_NAMES},
        "types": dict.fromkeys(TYPES, per_type),
        "source": SOURCE,
    }


def _item(number: int, name: str, view: View, seed: int) -> str:
    """A line of a label file."""
    vehicle = vehicles.make(seed, number)
    return (
        f'<Item typeID="{vehicle.type_id}" imageName="{name}" cameraID="c{view.camera:03d}" vehicleID="{number:04d}" '
        f'colorID="{vehicle.colour_id}" orientation="{view.orientation:.1f}" lightInt="{view.light_intensity:.1f}" '
        f'lightDir="{view.light_direction:.1f}" camHei="{view.camera_height:.1f}" camDis="{view.camera_distance:.1f}"/>'
    )


def _xml(items: list[str]) -> str:
    head = f'<?xml version="1.0" encoding="utf-8"?>\n<TrainingImages Version="1.0">\n<Items number="{len(items)}">\n'
    return head + "".join(f"{item}\n" for item in items) + "</Items>\n</TrainingImages>\n"


def _readme(per_type: int, number: int, seed: int, size: int) -> str:
    """What lies beside the data so that nobody takes it for VehicleX."""
    return (
        "SYNTHETIC DATA, not VehicleX.\n\n"
        f"Rendered vehicles in the layout of the VehicleX data set, {per_type} images of each of its eleven types,\n"
        "made by\n"
        f"    data-tools studio OUT --per-type {per_type} --vehicles {number} --seed {seed} --size {size}\n\n"
        "Numbers computed on it say nothing about real vehicles or about VehicleX; name it synthetic wherever they\n"
        "are shown.\n\n"
        "Every vehicle id has a geometry, a colour and trimmings of its own, the same in all its images. orientation:\n"
        "degrees, 0 shows the front; lightDir: degrees around the vehicle, 0 from behind the camera; lightInt: 0-100;\n"
        "camHei and camDis: metres; cameraID: one of 20 places.\n"
    )
