"""Studio images: geometry of the view, identity of the vehicles, and what is written to disk."""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_tools import DataCompiler, VehicleXExtractor, open_store
from data_tools.cli import main
from data_tools.scenes import studio, studio_folder, vehicles
from data_tools.scenes.camera import CAMERA_HEIGHT
from data_tools.scenes.studio import View
from data_tools.vehiclex_labels import COLOURS, TYPES
from run_tools.errors import InputError

SIDE = View(3, 90.0, 80.0, 30.0, 2.0, 14.0)


def bodies(seed: int, count: int) -> list[vehicles.Vehicle]:
    return [vehicles.make(seed, number) for number in range(1, count + 1)]


def picture(vehicle: vehicles.Vehicle, view: View = SIDE, size: int = 64) -> np.ndarray:
    return studio.render(vehicle, view, np.random.default_rng(0), size)


def test_eleven_vehicles_in_a_row_have_the_eleven_types_and_132_all_pairs_of_type_and_colour() -> None:
    found = [(v.type_id, v.colour_id) for v in bodies(4, 132)]
    for start in range(0, 132, 11):
        assert sorted(kind for kind, _ in found[start : start + 11]) == list(range(11))
    assert len(set(found)) == len(TYPES) * len(COLOURS)


def test_a_vehicle_is_the_same_whenever_it_is_made() -> None:
    first = vehicles.make(0, 7)
    vehicles.make.cache_clear()
    again = vehicles.make(0, 7)
    np.testing.assert_array_equal(first.mesh.vertices, again.mesh.vertices)
    assert first.palette == again.palette and first.type_id == again.type_id
    np.testing.assert_array_equal(picture(first), picture(again))


def test_every_vehicle_has_a_geometry_of_its_own() -> None:
    made = bodies(0, 66)
    shapes = {(v.type_id, v.mesh.vertices.tobytes()) for v in made}
    assert len(shapes) == 66
    for kind in range(11):
        sizes = np.array([v.mesh.size for v in made if v.type_id == kind])
        # Six of a type differ by centimetres at least, and stay what they are: none is half as long as another.
        lengths = np.sort(sizes[:, 2])
        assert np.ptp(lengths) > 0.1 and lengths[0] > 0.5 * lengths[-1]


@given(st.integers(0, 30), st.integers(1, 300))
def test_bodies_are_sound(seed: int, number: int) -> None:
    """Faces look outwards, parts stand on the road, wheels are under the body."""
    mesh = vehicles.make(seed, number).mesh
    height, width, length = mesh.size
    assert 1.0 < height < 4.2 and 1.4 < width < 3.0 and 3.0 < length < 13.0
    assert np.isfinite(mesh.vertices).all() and mesh.vertices[:, 1].max() == pytest.approx(0.0)
    assert np.isclose(np.linalg.norm(mesh.normals, axis=1), 1.0).all()
    profile = vehicles.PROFILES.get(TYPES[vehicles.type_of(seed, number)])
    if profile is not None:
        varied = vehicles.vary(profile, np.random.default_rng([seed, number]))
        x = [station[0] for station in varied.stations]
        assert x == sorted(x, reverse=True) and x[0] > varied.axles[0] > varied.axles[1] > x[-1]
        assert all(0 < u0 < u1 < 1 for _, u0, u1 in varied.windows)
        for (segment, _, end), (following, start, _) in zip(varied.windows, varied.windows[1:], strict=False):
            assert segment < following or end < start


@given(
    st.integers(1, 40),
    st.floats(0, 360),
    st.floats(1.3, 6.0),
    st.floats(1.0, 1.4),
)
def test_the_vehicle_fills_the_image_and_stays_inside(number: int, turn: float, height: float, far: float) -> None:
    vehicle = vehicles.make(1, number)
    view = View(1, turn, 50.0, 0.0, height, far * studio.usual_distance(vehicle))
    instance = studio.place(vehicle, view)
    camera = studio.aim(vehicle, view, instance, 100, (0.0, 0.0))
    pixels = camera.project(instance.vertices())
    low, high = pixels.min(0), pixels.max(0)
    assert (low > -0.5).all() and (high < 99.5).all()
    # The box around it spans 90 % divided by the distance; the body fills most of its box.
    assert (high - low).max() > 0.7 * 90 / far


def test_a_higher_camera_sees_what_a_pinhole_there_would() -> None:
    """The smaller world with the usual camera, against plain trigonometry in metres."""
    vehicle = vehicles.make(0, 1)
    view = dataclasses.replace(SIDE, orientation=0.0, camera_height=4.0, camera_distance=12.0)
    instance = studio.place(vehicle, view)
    camera = studio.aim(vehicle, view, instance, 200, (0.0, 0.0))
    # A point on the road 1 m right of the vehicle's middle, and one 1 m nearer: metres from the camera's foot.
    small = CAMERA_HEIGHT / 4.0
    found = camera.project(np.array([[1.0, 4.0, 12.0], [1.0, 4.0, 11.0]]) * small)
    middle = vehicle.mesh.size[0] / 2
    pitch = np.arctan2(4.0 - middle, 12.0)
    expected = []
    for x, z in ((1.0, 12.0), (1.0, 11.0)):
        angle = np.arctan2(4.0, z) - pitch  # below the optical axis, in the plane x = 0
        depth = np.hypot(4.0, z) * np.cos(angle)
        expected.append([camera.focal * x / depth, camera.focal * np.tan(angle)])
    np.testing.assert_allclose(found - found[0], np.array(expected) - expected[0], rtol=1e-9)


def test_orientation_turns_the_vehicle_counter_clockwise_from_its_front() -> None:
    vehicle = vehicles.make(0, 1)
    for orientation, (x, z) in ((0, (0, -1)), (90, (1, 0)), (180, (0, 1)), (270, (-1, 0))):
        instance = studio.place(vehicle, dataclasses.replace(SIDE, orientation=float(orientation)))
        vertices = instance.vertices() - instance.position
        front = vertices[np.argmax(vehicle.mesh.vertices[:, 0])]
        # Its foremost corner lies towards the camera (z < 0), to the right, away, to the left.
        assert np.argmax(np.abs(front[[0, 2]])) == (0 if x else 1)
        assert np.sign(front[0] if x else front[2]) == (x or z)


def test_light_and_distance_show_in_the_picture() -> None:
    vehicle = vehicles.make(0, 3)
    dark, bright = (picture(vehicle, dataclasses.replace(SIDE, light_intensity=i)).mean() for i in (20.0, 100.0))
    assert bright > 1.15 * dark
    left, right = (picture(vehicle, dataclasses.replace(SIDE, light_direction=d)) for d in (90.0, 270.0))
    assert np.abs(left.astype(int) - right).mean() > 2


def test_plan_shows_every_type_and_vehicle_equally() -> None:
    shots = studio_folder.plan(13, 44, 2)
    types = Counter(vehicles.type_of(2, shot.vehicle) for shot in shots)
    assert types == dict.fromkeys(range(11), 13)
    assert set(Counter(shot.vehicle for shot in shots).values()) == {3, 4}
    of_split = studio_folder.deal(shots, 2)
    for vehicle in range(1, 45):
        assert {split for shot, split in zip(shots, of_split, strict=True) if shot.vehicle == vehicle} == {
            "train", "val", "test"
        }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((5, 10, 0, 64), "--vehicles 10; expected at least 11"),
        ((2, 11, 0, 64), "--per-type 2 with 1 vehicles of a type; expected at least 3"),
        ((4, 60, 0, 64), "--per-type 4 with 6 vehicles of a type; expected at least 6"),
        ((5, 11, 0, 31), "--size 31"),
        ((5, 11, -1, 64), "--seed -1"),
    ],
)
def test_wrong_arguments(tmp_path, arguments, told) -> None:
    with pytest.raises(InputError, match=told):
        studio_folder.write(tmp_path / "out", *arguments)
    assert not list(tmp_path.iterdir())


def digest(folder) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def test_written_folder_reads_as_vehiclex_and_is_the_same_every_time(tmp_path, capsys) -> None:
    words = ["studio", str(tmp_path / "a"), "--per-type", "5", "--vehicles", "11", "--seed", "3", "--size", "32"]
    assert main(words) == 0
    assert "55 synthetic studio vehicles of 32x32" in capsys.readouterr().out
    studio_folder.write(tmp_path / "b", 5, 11, 3, 32, workers=2)
    assert digest(tmp_path / "a") == digest(tmp_path / "b")
    assert main(words) == 2 and "exists already" in capsys.readouterr().err
    extractor = VehicleXExtractor(tmp_path / "a")
    assert "synthetic" in extractor.source and extractor.class_names == TYPES
    DataCompiler(extractor, progress=False).compile(tmp_path / "a.h5")
    store = open_store(tmp_path / "a.h5")
    assert [len(store[name]) for name in store.splits] == [33, 11, 11]
    assert store.task("vehicle").counts("train").tolist() == [3] * 11
    for name in store.splits:
        view = store[name]
        for row in range(len(view)):
            vehicle = vehicles.make(3, int(view.columns["vehicle_id"][row]))
            assert (view.labels[row], view.columns["colour"][row]) == (vehicle.type_id, vehicle.colour_id)
    assert "SYNTHETIC" in (tmp_path / "a" / "README.txt").read_text()


def test_an_image_does_not_depend_on_how_many_there_are(tmp_path) -> None:
    studio_folder.write(tmp_path / "few", 3, 11, 0, 32, workers=1)
    studio_folder.write(tmp_path / "more", 8, 22, 0, 32, workers=1)
    few = {path.name: path.read_bytes() for path in (tmp_path / "few").rglob("*.jpg")}
    more = {path.name: path.read_bytes() for path in (tmp_path / "more").rglob("*.jpg")}
    assert few.items() <= more.items() and len(few) == 33
