"""Drawn boxes: where ink lies, what is left alone, and what holds for any boxes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from run_tools.errors import InputError
from yolo_prune.drawing import GREY, colour, draw, grid
from yolo_prune.records import Detections, Truth

BLACK = np.zeros((200, 400, 3), np.uint8)
BOX = (100.0, 80.0, 300.0, 160.0)


def test_a_detection_is_a_solid_box_with_a_label():
    found = draw(BLACK, Detections([BOX], [0.9], [0]), class_names=("car",))
    # the right side, between the label above and the lower edge, is one line of the class's colour
    assert (found[100:150, 300] == colour(0)).all()
    assert (found[160, 110:290] == colour(0)).all()
    label = found[64:78, 101:130].reshape(-1, 3)
    assert (label == colour(0)).all(axis=1).any()  # a patch of the colour ...
    assert (label.mean(axis=1) < 100).any()  # ... with dark letters on it
    assert not found[100:150, 110:290].any()  # the object itself stays visible
    assert not BLACK.any()  # the image given is not drawn on


def test_truth_is_dashed_and_below_the_detections():
    shown = draw(BLACK, truth=Truth([BOX], [1], (200, 400)), class_names=("car", "pedestrian"))
    edge = (shown[80, 100:301] == colour(1)).all(axis=1)
    assert 0.3 < edge.mean() < 0.7  # dashes and gaps
    both = draw(BLACK, Detections([BOX], [0.9], [0]), Truth([BOX], [1], (200, 400)))
    assert (both[80, 140:290] == colour(0)).all()


def test_dont_care_is_hatched_grey():
    shown = draw(BLACK, truth=Truth([BOX], [-1], (200, 400)))
    inside = shown[85:155, 105:295]
    hatched = inside.any(axis=2).mean()
    assert 0.05 < hatched < 0.5
    assert (inside[..., 0] == inside[..., 1]).all()
    assert (inside[..., 1] == inside[..., 2]).all()
    assert (shown[80, 100:301] == GREY).all()


def test_score_threshold():
    found = Detections([BOX, (10, 10, 60, 60)], [0.9, 0.2], [0, 0])
    assert (draw(BLACK, found, score_threshold=0.5) == draw(BLACK, found.take(slice(0, 1)))).all()


def test_nothing_to_draw_returns_a_copy():
    same = draw(BLACK, Detections([], [], []), Truth([], [], (200, 400)))
    assert (same == BLACK).all()
    assert same is not BLACK


def test_colours_of_classes_differ():
    assert len({colour(k) for k in range(80)}) == 80
    assert colour(-1) == GREY


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(*[st.floats(-500, 900, width=32)] * 4), max_size=4), st.sampled_from([(32, 48), (90, 300)]))
def test_boxes_beyond_the_image_are_drawn_inside(boxes, size):
    image = np.full((*size, 3), 128, np.uint8)
    classes = np.arange(len(boxes)) - 1
    found = Detections(boxes, np.ones(len(boxes)), np.maximum(classes, 0))
    shown = draw(image, found, Truth(boxes, classes, size), ("a class with a very long name",))
    assert (shown.shape, shown.dtype) == (image.shape, np.uint8)


def test_grid_places_images_and_titles():
    images = [np.full((20, 30, 3), 10 * k, np.uint8) for k in range(3)]
    shown = grid(images, columns=2, gap=4)
    # two rows of 20 and a gap of 4; two columns of 30 and a gap of 4
    assert shown.shape == (44, 64, 3)
    assert (shown[:20, :30] == 0).all()
    assert (shown[:20, 34:] == 10).all()
    assert (shown[24:, :30] == 20).all()
    assert (shown[24:, 34:] == 255).all()
    titled = grid(images, columns=3, titles=["a", "b", "c"])
    assert titled.shape[0] > 20
    assert (titled[: titled.shape[0] - 20] < 128).any()


def test_grid_brings_all_to_the_size_of_the_first():
    shown = grid([BLACK, np.full((100, 100, 3), 200, np.uint8)])
    assert shown.shape == (200, 806, 3)
    assert (shown[:, 406:] == 200).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: draw(np.zeros((4, 4, 3), np.float32)), "an image of float32"),
        (lambda: draw(np.zeros((4, 4), np.uint8)), r"shape \(4, 4\)"),
        (lambda: grid([]), "0 images"),
        (lambda: grid([BLACK], titles=["a", "b"]), "2 titles for 1 images"),
    ],
)
def test_mistakes_are_told(call, message):
    with pytest.raises(InputError, match=message):
        call()
