"""Street scenes: labels against geometry, determinism, and what is written to disk."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import pathlib

import cv2
import numpy as np
import pytest

from data_tools import cli
from data_tools.kitti import KITTI_CLASSES, KittiExtractor, read_labels
from data_tools.scenes import crowd, labels, layout, street
from data_tools.scenes.camera import Camera
from run_tools.errors import InputError

SMALL = (94, 310)
SCENES = 12


@pytest.fixture(scope="module")
def scenes() -> list[street.Scene]:
    return [street.render(3, index) for index in range(SCENES)]


def objects(scene: street.Scene):
    """Labelled objects of a scene with the instances they come from."""
    by_place = {i.location: i for i in scene.plan.instances if i.class_name}
    for box in scene.boxes:
        if box.class_name != "DontCare":
            yield box, by_place[(box.x, box.z)]


def digest(folder: pathlib.Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def test_same_arguments_give_the_same_scene() -> None:
    first, second = street.render(5, 7, SMALL), street.render(5, 7, SMALL)
    assert np.array_equal(first.image, second.image)
    assert first.boxes == second.boxes
    assert not np.array_equal(first.image, street.render(5, 8, SMALL).image)
    assert not np.array_equal(first.image, street.render(6, 7, SMALL).image)


def test_workers_do_not_change_a_byte(tmp_path: pathlib.Path) -> None:
    one = street.write(tmp_path / "one", 5, 11, SMALL, workers=1)
    two = street.write(tmp_path / "two", 5, 11, SMALL, workers=2)
    assert digest(tmp_path / "one") == digest(tmp_path / "two")
    assert one["objects"] == two["objects"]


def test_images_are_rgb_of_the_size_asked_for(scenes: list[street.Scene]) -> None:
    for scene in scenes:
        assert scene.image.shape == (375, 1242, 3)
        assert scene.image.dtype == np.uint8
    # A sky is bluer above than a road below, if channels are red, green, blue.
    sky = np.mean([scene.image[:20].reshape(-1, 3).mean(0) for scene in scenes], axis=0)
    assert sky[2] > sky[0]


def test_camera_is_kittis() -> None:
    # Calibration of KITTI's drives of 2011_09_26 and the road 1.65 m below the camera.
    p2 = Camera().p2
    assert np.allclose([p2[0, 0], p2[1, 1], p2[0, 2], p2[1, 2]], [721.54, 721.54, 609.56, 172.85], atol=0.01)
    # Half as wide, as high: half of everything, measured in pixels.
    assert np.allclose(Camera((375 // 3, 414)).p2[0], p2[0] / 3)


def test_labels_are_in_range(scenes: list[street.Scene]) -> None:
    for scene in scenes:
        for box in scene.boxes:
            assert 0 <= box.left < box.right <= 1241
            assert 0 <= box.top < box.bottom <= 374
            if box.class_name == "DontCare":
                assert (box.truncated, box.occluded, box.alpha, box.x) == (-1, -1, -10, -1000)
                continue
            assert box.class_name in KITTI_CLASSES
            assert 0 <= box.truncated <= 1
            assert box.occluded in (0, 1, 2, 3)
            assert all(type(v) in (str, int, float) for v in dataclasses.astuple(box)[:-1])
            assert -np.pi <= box.alpha <= np.pi
            assert -np.pi <= box.rotation_y <= np.pi
            assert box.y == 1.65
            assert 0 < box.z < 200
            assert 0.3 < box.height < 5


def test_alpha_is_the_heading_seen_along_the_ray(scenes: list[street.Scene]) -> None:
    for scene in scenes:
        for box, _ in objects(scene):
            turned = box.alpha + np.arctan2(box.x, box.z) - box.rotation_y
            assert np.isclose(np.cos(turned), 1.0)


def test_boxes_are_the_silhouettes_of_the_surfaces(scenes: list[street.Scene]) -> None:
    """Points strewn over every face, projected by hand, reach the sides of the box and no further."""
    steps = np.linspace(0, 1, 9)
    u, v = (grid.ravel() for grid in np.meshgrid(steps, steps))
    weights = np.stack([1 - u, u * (1 - v), u * v], 1)  # barycentric, over a triangle
    for scene in scenes[:6]:
        for box, instance in objects(scene):
            # Far mirrors and the like are left out; lamps and plates do not make a silhouette.
            drawn = instance.mesh.solid & (instance.mesh.detail <= scene.p2[1, 1] / box.z)
            corners = instance.vertices()[instance.mesh.faces[drawn]]
            fans = [corners[:, [0, k, k + 1]] for k in range(1, corners.shape[1] - 1)]
            points = np.einsum("pk,fkc->fpc", weights, np.concatenate(fans)).reshape(-1, 3)
            pixels = points @ scene.p2[:, :3].T
            pixels = pixels[:, :2] / pixels[:, 2:]
            inside = ((pixels > -0.5) & (pixels < (1241.5, 374.5))).all(1)
            found = np.concatenate([pixels[inside].min(0), pixels[inside].max(0)])
            # Half a pixel of rounding, and as much again where a face is cut by the border between two samples.
            slack = 1.1 if box.truncated == 0 else 6
            assert np.abs(found - box.xyxy).max() <= slack, (box, found)


def test_projected_3d_box_encloses_the_2d_box(scenes: list[street.Scene]) -> None:
    for scene in scenes:
        p2 = np.array([float(v) for v in scene.calib.splitlines()[2].split()[1:]]).reshape(3, 4)
        for box, _ in objects(scene):
            # The literal recipe of KITTI's development kit.
            c, s = np.cos(box.rotation_y), np.sin(box.rotation_y)
            x = np.array([1, 1, -1, -1, 1, 1, -1, -1]) * box.length / 2
            y = np.array([0, 0, 0, 0, -1, -1, -1, -1]) * box.height
            z = np.array([1, -1, -1, 1, 1, -1, -1, 1]) * box.width / 2
            corners = np.stack([c * x + s * z + box.x, y + box.y, -s * x + c * z + box.z, np.ones(8)])
            pixels = p2 @ corners
            pixels = pixels[:2] / pixels[2]
            assert (pixels.min(1) <= np.array([box.left, box.top]) + 1.5).all(), box
            assert (pixels.max(1) >= np.array([box.right, box.bottom]) - 1.5).all(), box


def test_size_scales_the_boxes() -> None:
    matched = 0
    for index in range(3):
        full, half = street.render(3, index, (376, 1242)), street.render(3, index, (188, 621))
        small = {(b.x, b.z): b for b in half.boxes if b.class_name != "DontCare"}
        for box in full.boxes:
            if (box.x, box.z) in small and box.class_name != "DontCare":
                assert np.allclose(np.array(box.xyxy) / 2, small[(box.x, box.z)].xyxy, atol=1.6)
                matched += 1
    assert matched >= 5


def test_dont_care_marks_what_is_too_small_or_hidden() -> None:
    scenes = [street.render(1, index) for index in range(12)]
    regions = [box for scene in scenes for box in scene.boxes if box.class_name == "DontCare"]
    assert regions
    for scene in scenes:
        for box in scene.boxes:
            if box.class_name != "DontCare":
                assert box.bottom - box.top >= labels.LEAST_HEIGHT


def test_every_class_and_every_type_can_appear() -> None:
    kinds: set[str] = set()
    for index in range(200):
        kinds |= {i.kind for i in layout.plan(np.random.default_rng([1, index])).instances if i.class_name}
    assert kinds == set(crowd.KITTI_CLASS)
    assert {crowd.KITTI_CLASS[kind] for kind in kinds} == set(KITTI_CLASSES)


def test_mostly_cars_at_all_distances() -> None:
    found = [i for k in range(60) for i in layout.plan(np.random.default_rng([2, k])).instances if i.class_name]
    cars = [i for i in found if i.class_name == "Car"]
    assert len(cars) > 0.5 * len(found)
    depth = np.array([i.location[1] for i in cars])
    assert (depth < 12).mean() > 0.05
    assert (depth > 60).mean() > 0.05


def test_vehicle_types_map_to_kittis_classes() -> None:
    assert (
        *("sedan", "suv", "van", "hatchback", "mpv", "pickup"),
        *("bus", "truck", "estate", "sportscar", "RV"),
    ) == crowd.VEHICLE_TYPES
    expected = {"van": "Van", "RV": "Van", "truck": "Truck", "bus": "Misc"}
    for kind in crowd.VEHICLE_TYPES:
        assert crowd.KITTI_CLASS[kind] == expected.get(kind, "Car")


def test_objects_do_not_overlap_on_the_road() -> None:
    for index in range(25):
        spans = []
        for instance in layout.plan(np.random.default_rng([4, index])).instances:
            corners = instance.footprint()
            spans.append((*corners.min(0), *corners.max(0)))
        boxes = np.array(spans)
        for i, a in enumerate(boxes):
            apart = (boxes[:, :2] >= a[2:]).any(1) | (boxes[:, 2:] <= a[:2]).any(1)
            assert apart[np.arange(len(boxes)) != i].all()


def test_folder_reads_back_as_kitti(tmp_path: pathlib.Path) -> None:
    result = street.write(tmp_path / "scenes", 3, 2, SMALL, workers=1)
    extractor = KittiExtractor(tmp_path / "scenes")
    assert extractor.ids() == ["000000", "000001", "000002"]
    assert "synthetic" in extractor.source
    assert "SYNTHETIC" in (tmp_path / "scenes" / "README.txt").read_text()
    assert result["images"] == 3
    assert result["size"] == [94, 310]
    for index, name in enumerate(extractor.ids()):
        scene = street.render(2, index, SMALL)
        sample = extractor.sample(name)
        assert np.array_equal(extractor.read_image(sample), scene.image)
        for read, made in zip(sample.boxes, scene.boxes, strict=True):
            assert read.class_name == made.class_name
            assert np.allclose(read.xyxy, made.xyxy, atol=0.006)
        assert sample.boxes == read_labels(tmp_path / "scenes" / "training" / "label_2" / f"{name}.txt")
    lines = (tmp_path / "scenes" / "training" / "calib" / "000000.txt").read_text().splitlines()
    names = [line.split(":")[0] for line in lines]
    assert names == ["P0", "P1", "P2", "P3", "R0_rect", "Tr_velo_to_cam", "Tr_imu_to_velo"]
    assert [len(line.split()) - 1 for line in lines] == [12, 12, 12, 12, 9, 12, 12]


def test_more_images_begin_with_the_same_ones(tmp_path: pathlib.Path) -> None:
    street.write(tmp_path / "few", 1, 9, SMALL, workers=1)
    street.write(tmp_path / "more", 2, 9, SMALL, workers=1)
    for part in ("image_2/000000.png", "label_2/000000.txt"):
        few, more = (tmp_path / name / "training" / part for name in ("few", "more"))
        assert few.read_bytes() == more.read_bytes()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"images": 0}, "--images 0"),
        ({"images": -4}, "--images -4"),
        ({"seed": -1}, "--seed -1"),
        ({"size": (10, 310)}, "310x10"),
        ({"size": (94, 100_000)}, "100000x94"),
        ({"workers": 0}, "--workers 0"),
    ],
)
def test_bad_arguments_are_refused(tmp_path: pathlib.Path, change: dict, words: str) -> None:
    arguments = {"images": 1, "seed": 0, "size": SMALL, "workers": 1} | change
    with pytest.raises(InputError, match=words):
        street.write(tmp_path / "out", **arguments)
    assert list(tmp_path.iterdir()) == []


def test_negative_index_is_refused() -> None:
    with pytest.raises(InputError, match="index -1"):
        street.render(0, -1)


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: pathlib.Path) -> None:
    (tmp_path / "precious.txt").write_text("mine")
    with pytest.raises(InputError, match="exists already"):
        street.write(tmp_path, 1, 0, SMALL, workers=1)
    assert [path.name for path in tmp_path.iterdir()] == ["precious.txt"]
    with pytest.raises(InputError, match="exists already"):
        street.write(tmp_path / "precious.txt", 1, 0, SMALL, workers=1)


def test_an_empty_folder_may_be_filled(tmp_path: pathlib.Path) -> None:
    (tmp_path / "out").mkdir()
    street.write(tmp_path / "out", 1, 0, SMALL, workers=1)
    assert (tmp_path / "out" / "training" / "image_2" / "000000.png").is_file()


def test_a_run_that_fails_leaves_nothing(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = street._save

    def fails(index: int, **options):
        if index == 1:
            raise OSError("no space left")
        return whole(index, **options)

    monkeypatch.setattr(street, "_save", fails)
    with pytest.raises(OSError, match="no space"):
        street.write(tmp_path / "out", 3, 0, SMALL, workers=1)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_bad_input(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: pathlib.Path, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pathlib.Path, "write_bytes", full)
    assert cli.main(["street", str(tmp_path / "out"), "--images", "1", "--seed", "4", "--size", "310x94"]) == 2
    error = capsys.readouterr().err
    assert "received disk full" in error and error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_verb_writes_and_reports(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "scenes"
    assert cli.main(["street", str(out), "--images", "2", "--seed", "4", "--size", "310x94"]) == 0
    assert "synthetic" in capsys.readouterr().out
    image = cv2.imread(str(out / "training" / "image_2" / "000001.png"))
    assert image.shape == (94, 310, 3)
    assert cli.main(["street", str(out), "--images", "2", "--seed", "4"]) == 2
    assert "exists already" in capsys.readouterr().err


def test_exposure_without_effects_changes_nothing() -> None:
    plan = layout.plan(np.random.default_rng(0))
    neutral = dataclasses.replace(plan.look, gain=(1.0, 1.0, 1.0), gamma=1.0, contrast=0.0, noise=0.0, blur=1e-3)
    image = np.random.default_rng(1).integers(0, 256, (*SMALL, 3), np.uint8)
    assert np.array_equal(street.expose(image, neutral), image)
