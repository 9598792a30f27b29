"""Parts of the street renderer on cases small enough to work out by hand."""

from __future__ import annotations

import dataclasses

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from data_tools.scenes import cars, crowd, labels, large, layout, order, people, raster, shadows, street
from data_tools.scenes.camera import Camera, clip_near, rotation, wrap
from data_tools.scenes.meshes import Mesh, MeshBuilder
from data_tools.scenes.plan import Plan
from data_tools.scenes.profiles import PROFILES
from data_tools.scenes.raster import Instance, Light, Material

CAMERA = Camera()
NOON = Light(np.array([0.0, -1.0, 0.0]), (0.6, 0.6, 0.6), (0.4, 0.4, 0.4), (0.2, 0.2, 0.2), (0.8, 0.8, 0.8), 500.0)
PALETTE = {"wood": Material((0.9, 0.1, 0.1))}


def board(width: float, height: float) -> Mesh:
    """An upright board 1 cm thick, its broad side towards x."""
    builder = MeshBuilder()
    builder.part()
    builder.box((-0.005, 0.005), (0.0, height), (-width / 2, width / 2), "wood")
    return builder.build()


def stand(width: float, height: float, x: float, z: float, name: str = "Car") -> Instance:
    """A board across the camera's view."""
    return Instance(board(width, height), (x, z), -np.pi / 2, (1, 1, 1), PALETTE, name, "board")


def empty_plan(*instances: Instance) -> Plan:
    plan = layout.plan(np.random.default_rng(0))
    road = dataclasses.replace(plan.road, slope=0.0, curve=0.0, crossing=None, zebra=None)
    return dataclasses.replace(plan, road=road, buildings=(), trees=(), hedges=(), instances=instances, light=NOON)


def test_box_of_a_board_by_hand() -> None:
    # 2 m wide, 1 m high, 10 m ahead (its near side 9.995 m), on the axis, feet 1.65 m below the camera:
    # columns 609.56 ± 721.54 / 9.995 = 537.37 … 681.75; rows 172.85 + 72.19 × (1.65 - 1 … 1.65) = 219.78 … 291.97.
    (box,) = street.draw(empty_plan(stand(2, 1, 0, 10)), CAMERA).boxes
    assert np.allclose(box.xyxy, (537.37, 219.78, 681.75, 291.97), atol=0.75)
    assert (box.occluded, box.truncated) == (0, 0)
    assert np.allclose((box.height, box.width, box.length), (1, 2, 0.01))
    assert (box.x, box.y, box.z) == (0, 1.65, 10)
    assert np.isclose(box.rotation_y, -np.pi / 2)


def test_half_hidden_board_is_partly_occluded() -> None:
    # The rear board covers columns -1 … 1 m at 20 m. The one in front reaches from the axis to 0.75 m at 10 m, which
    # is 1.5 m at 20 m, and is taller: it hides the right half.
    rear, front = stand(2, 1, 0, 20), stand(0.75, 1.6, 0.375, 10, "Pedestrian")
    boxes = {box.class_name: box for box in street.draw(empty_plan(rear, front), CAMERA).boxes}
    assert boxes["Pedestrian"].occluded == 0
    assert boxes["Car"].occluded == 1
    # Its box is the whole board's: 4 × 721.54 / 19.995 / 2 = 72.2 pixels wide.
    assert boxes["Car"].right - boxes["Car"].left == pytest.approx(72.2, abs=1.1)


def test_visible_fraction_by_hand() -> None:
    # 40 × 30 pixels, of which a block of 10 × 30 belongs to something else in front: 3/4 are left.
    mask = np.ones((30, 40), np.uint8)
    silhouette = raster.Silhouette(mask, 100, 50, (100, 50, 139, 79))
    ids = np.zeros((375, 1242), np.uint16)
    ids[50:80, 100:140] = 7
    ids[50:80, 100:110] = 8
    seen = labels.look(stand(1, 1, 0, 10), silhouette, ids, 7)
    assert seen.visible == 0.75
    assert seen.visible_box == (110, 50, 139, 79)
    assert silhouette.box() == (100, 50, 139, 79)


def test_fully_hidden_board_has_no_label_and_a_sliver_is_dont_care() -> None:
    hidden = street.draw(empty_plan(stand(1, 1, 0, 20), stand(2, 1.6, 0, 10, "Van")), CAMERA).boxes
    assert [box.class_name for box in hidden] == ["Van"]
    # The rear board reaches 5 cm of its 1 m beyond the one in front, as seen from the camera: 5 % < 7 %.
    sliver = street.draw(empty_plan(stand(1, 1, 0.05, 20), stand(0.5, 1.6, 0, 10, "Van")), CAMERA).boxes
    assert [box.class_name for box in sliver] == ["Van", "DontCare"]
    assert sliver[1].right - sliver[1].left <= 2


@pytest.mark.parametrize(
    ("visible", "level"), [(1.0, 0), (0.8, 0), (0.79, 1), (0.45, 1), (0.44, 2), (0.15, 2), (0.14, 3), (0.0, 3)]
)
def test_occlusion_levels(visible: float, level: int) -> None:
    assert labels.occlusion(visible) == level


def test_truncation_by_hand() -> None:
    # Rows 0 … 100 and columns 0 … 200 are inside.
    size = (101, 201)
    assert labels.truncation((10, 10, 60, 60), size) == 0
    assert labels.truncation((-50, 10, 50, 60), size) == 0.5
    assert labels.truncation((150, 50, 250, 150), size) == 0.75  # half of it in each direction
    assert labels.truncation((300, 10, 400, 60), size) == 1


def test_board_at_the_border_is_half_truncated() -> None:
    # Its middle projects to column 0: x = -609.56 / 721.54 × 10 m.
    x = -CAMERA.cx / CAMERA.fx * 10
    (box,) = street.draw(empty_plan(stand(2, 1, x, 10)), CAMERA).boxes
    assert box.truncated == pytest.approx(0.5, abs=0.005)
    assert box.left == 0
    assert box.right == pytest.approx(72.2, abs=1)


def test_small_is_dont_care() -> None:
    # 721.54 × 1 / 80 = 9 pixels high.
    boxes = street.draw(empty_plan(stand(3, 1, 0, 80)), CAMERA).boxes
    assert [box.class_name for box in boxes] == ["DontCare"]


@pytest.mark.parametrize("kind", sorted(crowd.KITTI_CLASS))
def test_drawn_pixels_fill_the_box(kind: str) -> None:
    """What changes on a blank canvas reaches all four sides of the box and no further."""
    for heading in (-1.6, -0.4, 0.9, 2.5):
        instance = crowd.make(kind, (1.0, 24.0), heading, np.random.default_rng(3))
        canvas = np.full((375, 1242, 3), (255, 0, 255), np.uint8)
        box = raster.draw(canvas, instance, CAMERA, NOON).box()
        # An edge is blended over a pixel; half covered counts.
        changed = np.abs(canvas.astype(int) - (255, 0, 255)).max(-1) > 110
        rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
        assert box is not None
        drawn = (columns[0], rows[0], columns[-1], rows[-1])
        assert np.abs(np.subtract(drawn, box)).max() <= 1, (kind, heading, drawn, box)


@pytest.mark.parametrize("kind", sorted(crowd.KITTI_CLASS))
def test_meshes_are_centred_and_of_a_plausible_size(kind: str) -> None:
    if kind in ("pedestrian", "sitting", "cyclist"):
        meshes = [people.mesh(kind, variant) for variant in range(people.POSES)]
    else:
        meshes = [cars.mesh(kind) if kind in PROFILES else large.mesh(kind)]
    # Least and most height and length in metres: what a person would call normal.
    bounds = {
        "sedan": (1.35, 1.5, 4.3, 4.8), "estate": (1.4, 1.55, 4.4, 4.9), "hatchback": (1.4, 1.6, 3.6, 4.2),
        "suv": (1.6, 1.9, 4.2, 4.8), "mpv": (1.6, 1.8, 4.2, 4.7), "sportscar": (1.1, 1.3, 4.1, 4.5),
        "van": (2.0, 2.6, 4.9, 6.0), "pickup": (1.65, 1.9, 5.0, 5.5), "truck": (3.0, 4.0, 7.0, 10.0),
        "bus": (2.9, 3.3, 10.5, 12.5), "RV": (2.7, 3.2, 5.8, 7.0), "tram": (3.8, 4.6, 25, 32),
        "pedestrian": (1.65, 1.85, 0.3, 1.15), "sitting": (1.2, 1.45, 0.65, 1.0), "cyclist": (1.6, 1.85, 1.65, 1.85),
    }[kind]  # fmt: skip
    for mesh in meshes:
        height, _, length = mesh.size
        assert bounds[0] <= height <= bounds[1]
        assert bounds[2] <= length <= bounds[3]
        low, high = mesh.vertices.min(0), mesh.vertices.max(0)
        assert np.allclose(low[[0, 2]], -high[[0, 2]])
        assert high[1] == pytest.approx(0, abs=1e-9)
        assert np.allclose(np.linalg.norm(mesh.normals, axis=1), 1)


def test_normals_of_a_box_look_outwards() -> None:
    mesh = board(2, 1)
    # Five sides; y points down, so the top looks to -y.
    assert sorted(map(tuple, np.rint(mesh.normals).astype(int).tolist())) == sorted(
        [(1, 0, 0), (-1, 0, 0), (0, 0, 1), (0, 0, -1), (0, -1, 0)]
    )


def test_a_long_tram_is_behind_the_car_beside_it() -> None:
    # The tram's middle (18 m) is nearer than the car's (24 m), yet the car stands between it and the camera.
    tram = Instance(large.mesh("tram"), (-6.0, 18.0), -np.pi / 2, (1, 1, 1), {}, "Tram", "tram")
    car = Instance(cars.mesh("sedan"), (-2.5, 24.0), -np.pi / 2, (1, 1, 1), {}, "Car", "sedan")
    assert order.painter_order([tram, car]) == [0, 1]
    assert order.painter_order([car, tram]) == [1, 0]


@hypothesis.given(st.integers(0, 10_000))
@hypothesis.settings(max_examples=25)
def test_order_agrees_with_every_line_of_sight(seed: int) -> None:
    """Wherever two footprints cover the same column, the one met first along the ray is drawn last."""
    rng = np.random.default_rng(seed)
    meshes = [board(2, 1), cars.mesh("sedan"), large.mesh("tram")]
    placed: list[Instance] = []
    for _ in range(12):
        place = (float(rng.uniform(-15, 15)), float(rng.uniform(6, 60)))
        turned = float(rng.choice([-np.pi / 2, 0.0]) + rng.normal(0, 0.05))
        made = Instance(meshes[int(rng.integers(3))], place, turned, (1, 1, 1), {}, "Car", "")
        low, high = made.footprint().min(0), made.footprint().max(0)
        clear = all((low > p.footprint().max(0)).any() or (high < p.footprint().min(0)).any() for p in placed)
        if low[1] > 1 and clear:
            placed.append(made)
    rank = {chosen: place for place, chosen in enumerate(order.painter_order(placed))}
    for slope in np.linspace(-1.5, 1.5, 61):
        met = {}
        for number, instance in enumerate(placed):
            corners = instance.footprint()
            following = np.roll(corners, -1, axis=0)
            # Where the ray x = slope × z crosses a side: linear interpolation of x - slope z along it.
            a, b = (p[:, 0] - slope * p[:, 1] for p in (corners, following))
            crossed = a * b < 0
            if crossed.any():
                t = a[crossed] / (a[crossed] - b[crossed])
                met[number] = float((corners[crossed, 1] * (1 - t) + following[crossed, 1] * t).min())
        along = sorted(met, key=lambda number: -met[number])
        assert [rank[n] for n in along] == sorted(rank[n] for n in met)


@hypothesis.given(st.floats(-20, 20))
def test_wrap_keeps_the_direction(angle: float) -> None:
    wrapped = wrap(angle)
    assert -np.pi <= wrapped <= np.pi
    assert np.allclose(rotation(wrapped), rotation(angle), atol=1e-9)


def test_clip_near_cuts_a_square() -> None:
    # A square from z = 0 to 2 cut at 0.5 keeps 3/4 of its length.
    square = np.array([(0, 0, 0), (1, 0, 0), (1, 0, 2), (0, 0, 2)], float)
    cut = clip_near(square, 0.5)
    assert sorted(map(tuple, cut.tolist())) == [(0, 0, 0.5), (0, 0, 2), (1, 0, 0.5), (1, 0, 2)]
    assert len(clip_near(square, 3.0)) == 0
    assert clip_near(square, -1.0) is square


def test_lambert_by_hand() -> None:
    # The top of a matt board under a sun at the zenith: albedo × (sky × (0.62 + 0.38 × height 1) + sun) with sky 0.4,
    # sun 0.6 is 0.9 × 1.0 in red; 500 m of haze depth at 10 m keep exp(-0.02) and add 0.8 × the rest.
    instance = stand(2, 1, 0, 10)
    kept = np.exp(-np.hypot(10, 0.65) / 500)
    got = raster.shade(instance, np.array([[0.0, -1, 0]]), np.array([[0.0, 0.65, 10]]), np.array([0]), NOON)
    expected = 255 * (np.array([0.9, 0.1, 0.1]) * kept + 0.8 * (1 - kept))
    assert np.allclose(got[0], expected, atol=0.01)


def test_shadow_falls_away_from_the_sun() -> None:
    # Sun from the left at 45°: a 1 m high board throws its shadow 1 m to the right. On the left nothing but the dark
    # contact below it, 12 % wider than the board.
    light = dataclasses.replace(NOON, sun=np.array([-1.0, -1.0, 0.0]) / np.sqrt(2))
    shadow = np.full((102, 622), 255, np.uint8)
    shadows.cast_shadow(shadow, stand(2, 1, 0, 10), CAMERA, light, 2)
    row = int((CAMERA.project(CAMERA.ground(0.0, 10.0))[1] - CAMERA.cy) / 2)
    dark = np.flatnonzero((shadow[row - 2 : row + 3] < 255).any(0)) * 2
    left, right = (CAMERA.project(CAMERA.ground(x, 10.0))[0] for x in (-1.12, 2.0))
    assert dark[0] == pytest.approx(left, abs=5)
    assert dark[-1] == pytest.approx(right, abs=5)


def test_nothing_in_a_scene_is_drawn_through_a_house() -> None:
    """No object's place is further along its ray than the front of a house that the ray meets."""
    for index in range(40):
        plan = layout.plan(np.random.default_rng([6, index]))
        for instance in plan.instances:
            x, z = instance.location
            for share in np.linspace(0.02, 0.98, 60):
                for house in plan.buildings:
                    front = house.side * plan.road.x(house.side * house.offset, share * z)
                    inside = front + 0.3 < house.side * x * share < front + house.depth - 0.3
                    assert not (inside and house.start + 0.3 < share * z < house.end - 0.3), (index, instance.kind)
