"""Augmentation: pictures and boxes move together, boxes are cut and dropped as said, colours turn as said."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_tools.augment import (
    NO_AUGMENT,
    PADDING,
    Augment,
    draw_transform,
    shift_colours,
    transform_boxes,
    transform_image,
)
from run_tools.errors import InputError

SIZE = (128, 320)


def only(**options):
    return Augment(**{**vars(NO_AUGMENT), **options})


class Drawn:
    """A random generator whose draws are given: `uniform` yields the fractions in turn, `random` is constant."""

    def __init__(self, *fractions, coin=1.0):
        self.fractions, self.coin = list(fractions), coin

    def uniform(self, low, high):
        return low + (high - low) * self.fractions.pop(0)

    def random(self):
        return self.coin


def rectangle(box, size=SIZE):
    image = np.zeros((*size, 3), np.uint8)
    left, top, right, bottom = box
    image[top:bottom, left:right] = 255
    return image


def extent(image):
    """xyxy of what is brighter than half, in continuous coordinates. Padding (127) is not."""
    rows, columns = (np.flatnonzero((image[..., 0] > 127).any(axis=axis)) for axis in (1, 0))
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], float)


# Each option alone, and all; to the stored size, another aspect, smaller and larger.
@pytest.mark.parametrize("out", [SIZE, (96, 96), (64, 160), (224, 480)])
@pytest.mark.parametrize(
    "options",
    [
        only(flip=1.0),
        only(scale=2.0),
        only(scale=2.0, zoom_out=1.0),
        only(aspect=0.5),
        only(scale=1.8, zoom_out=1.0, aspect=0.3, flip=0.5),
    ],
    ids=["flip", "zoom in", "zoom both ways", "aspect", "all"],
)
def test_picture_and_box_move_together(options, out):
    box = (120, 40, 190, 90)
    seen = 0
    for seed in range(12):
        matrix = draw_transform(np.random.default_rng(seed), options, SIZE, out)
        moved = transform_image(rectangle(box), matrix, out)
        boxes, kept = transform_boxes(np.array([box], np.float32), matrix, out, 0.3, 2.0)
        assert moved.shape == (*out, 3) and moved.dtype == np.uint8
        if kept[0]:
            seen += 1
            np.testing.assert_allclose(boxes[0], extent(moved), atol=1.5)
    assert seen >= 6


def test_picture_and_box_are_not_half_a_pixel_apart():
    options, errors = only(scale=2.0, zoom_out=1.0, flip=0.5), []
    for seed in range(60):
        matrix = draw_transform(np.random.default_rng(seed), options, SIZE, SIZE)
        boxes, kept = transform_boxes(np.array([[120.0, 40.0, 190.0, 90.0]]), matrix, SIZE, 1.0, 2.0)
        if kept[0]:
            errors.append(extent(transform_image(rectangle((120, 40, 190, 90)), matrix, SIZE)) - boxes[0])
    # Ends of pixels scatter by half a pixel around ends of boxes; their mean over dozens does not.
    assert len(errors) > 25 and (np.abs(np.mean(errors, axis=0)) < 0.2).all()


def test_a_flip_is_an_exact_mirror():
    image = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)
    matrix = draw_transform(np.random.default_rng(0), only(flip=1.0), SIZE, SIZE)
    np.testing.assert_array_equal(transform_image(image, matrix, SIZE), image[:, ::-1])
    # 320 wide: left 10, right 30 become 290 and 310.
    boxes, kept = transform_boxes(np.array([[10.0, 5.0, 30.0, 25.0]]), matrix, SIZE, 0.3, 2.0)
    assert kept.all() and boxes.tolist() == [[290, 5, 310, 25]]


def test_zoom_in_by_two_worked_out():
    # Fractions drawn: zoom at its largest (2), aspect in the middle (1), left and top at their least (-1): the picture
    # is twice as large and pushed fully left and up, so x' = 2x - 320 and y' = 2y - 128.
    matrix = draw_transform(Drawn(1.0, 0.5, 0.0, 0.0), only(scale=2.0), SIZE, SIZE)
    np.testing.assert_allclose(matrix, [[2, 0, -320], [0, 2, -128]], atol=1e-9)


def test_zoom_out_by_two_worked_out():
    # Zoom at its least (1/2), placed in the middle: a quarter of each side is padding on each side.
    matrix = draw_transform(Drawn(0.0, 0.5, 0.5, 0.5), only(scale=2.0, zoom_out=1.0), SIZE, SIZE)
    np.testing.assert_allclose(matrix, [[0.5, 0, 80], [0, 0.5, 32]], atol=1e-9)
    padded = transform_image(np.full((*SIZE, 3), 255, np.uint8), matrix, SIZE)
    assert (padded[:31] == PADDING).all() and (padded[:, :79] == PADDING).all() and (padded[33:95, 81:239] == 255).all()


def test_aspect_stretches_the_width_against_the_height():
    # ln(1 + aspect) / 2 = ln 2 / 2 at the upper end: width times sqrt 2, height over sqrt 2.
    matrix = draw_transform(Drawn(0.5, 1.0, 0.0, 0.0), only(aspect=1.0), SIZE, SIZE)
    np.testing.assert_allclose([matrix[0, 0], matrix[1, 1]], [2**0.5, 2**-0.5], rtol=1e-12)


MOVE_LEFT_50 = np.array([[1.0, 0.0, -50.0], [0.0, 1.0, 0.0]])


def test_boxes_are_cut_at_the_border_and_dropped_when_too_little_is_left():
    boxes = np.array(
        [
            [60.0, 10.0, 100.0, 50.0],  # wholly inside: 10 to 50
            [30.0, 10.0, 70.0, 50.0],  # -20 to 20: 20 of 40 columns left, .5 of its area
            [40.0, 10.0, 60.0, 110.0],  # -10 to 10: .5 left
            [0.0, 0.0, 60.0, 60.0],  # -50 to 10: 1/6 left
            [0.0, 10.0, 50.0, 20.0],  # -50 to 0: none left
            [48.0, 10.0, 51.5, 50.0],  # -2 to 1.5: 3/7 left, but 1.5 pixels wide
        ]
    )
    moved, kept = transform_boxes(boxes, MOVE_LEFT_50, SIZE, 0.4, 2.0)
    assert kept.tolist() == [True, True, True, False, False, False]
    assert moved[:3].tolist() == [[10, 10, 50, 50], [0, 10, 20, 50], [0, 10, 10, 110]]
    # .5 is enough for .5, and not for more.
    assert transform_boxes(boxes, MOVE_LEFT_50, SIZE, 0.5, 0.0)[1].tolist() == [True, True, True, False, False, False]
    assert transform_boxes(boxes, MOVE_LEFT_50, SIZE, 0.51, 0.0)[1].tolist() == [True] + [False] * 5
    # Without a least share only what is fully outside goes: its area inside is 0, as the least share of 0 asks, but no
    # pixel is left of it.
    assert transform_boxes(boxes, MOVE_LEFT_50, SIZE, 0.0, 0.1)[1].tolist() == [True] * 4 + [False, True]


def test_no_boxes_stay_no_boxes():
    moved, kept = transform_boxes(np.zeros((0, 4), np.float32), MOVE_LEFT_50, SIZE, 0.3, 2.0)
    assert moved.shape == (0, 4) and kept.shape == (0,) and kept.dtype == bool


strengths = st.builds(
    Augment,
    flip=st.floats(0, 1),
    scale=st.floats(1, 3),
    zoom_out=st.floats(0, 1),
    aspect=st.floats(0, 1),
    min_visible=st.floats(0, 1),
    min_pixels=st.floats(0, 10),
)
corner = st.tuples(st.floats(0, 300), st.floats(0, 110), st.floats(1, 320), st.floats(1, 128))
lists = st.lists(corner.map(lambda c: [c[0], c[1], min(c[0] + c[2], 320), min(c[1] + c[3], 128)]), max_size=5)


@given(options=strengths, boxes=lists, seed=st.integers(0, 2**32), out=st.sampled_from([SIZE, (64, 96), (256, 352)]))
def test_kept_boxes_lie_inside_and_show_enough(options, boxes, seed, out):
    boxes = np.array(boxes, np.float64).reshape(-1, 4)
    matrix = draw_transform(np.random.default_rng(seed), options, SIZE, out)
    moved, kept = transform_boxes(boxes, matrix, out, options.min_visible, options.min_pixels)
    assert len(moved) == len(kept) == len(boxes)
    inside = moved[kept]
    assert (inside >= 0).all() and (inside <= [out[1], out[0], out[1], out[0]]).all()
    sides = inside[:, 2:] - inside[:, :2]
    assert (sides >= options.min_pixels).all()
    areas = np.prod(boxes[kept, 2:] - boxes[kept, :2], axis=1) * abs(matrix[0, 0] * matrix[1, 1])
    assert (sides.prod(axis=1) >= options.min_visible * areas * (1 - 1e-9)).all()


@given(options=strengths, seed=st.integers(0, 2**32), out=st.sampled_from([SIZE, (64, 96)]))
def test_there_is_no_avoidable_border(options, seed, out):
    # Zoomed in, the picture covers the input; zoomed out, the input holds all of the picture.
    matrix = draw_transform(np.random.default_rng(seed), options, SIZE, out)
    for axis, (length, target) in enumerate(((SIZE[1], out[1]), (SIZE[0], out[0]))):
        ends = sorted((matrix[axis, 2], matrix[axis, axis] * length + matrix[axis, 2]))
        if ends[1] - ends[0] >= target:
            assert ends[0] <= 1e-6 and ends[1] >= target - 1e-6
        else:
            assert ends[0] >= -1e-6 and ends[1] <= target + 1e-6


@given(seed=st.integers(0, 2**32), boxes=lists)
def test_nothing_asked_is_nothing_done(seed, boxes):
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (*SIZE, 3), np.uint8)
    boxes = np.array(boxes, np.float64).reshape(-1, 4)
    matrix = draw_transform(rng, NO_AUGMENT, SIZE, SIZE)
    np.testing.assert_array_equal(transform_image(image, matrix, SIZE), image)
    np.testing.assert_array_equal(shift_colours(rng, image, NO_AUGMENT), image)
    moved, kept = transform_boxes(boxes, matrix, SIZE, 1.0, 0.0)
    np.testing.assert_array_equal(moved, boxes)
    assert kept.all()


def colours(*rows):
    return np.array(rows, np.uint8)[None]


def shift_hue(image, turn):
    """Hue moved by `turn` of the colour circle: the first draw is for the hue, the factors are drawn as 1."""
    return shift_colours(Drawn((turn + 0.5), 0.0, 0.0), image, only(hue=0.5))


def test_half_a_turn_makes_red_cyan():
    image = colours((255, 0, 0), (0, 255, 0), (0, 0, 255), (90, 90, 90), (0, 0, 0), (255, 255, 255))
    turned = shift_hue(image, 0.5)
    expected = colours((0, 255, 255), (255, 0, 255), (255, 255, 0), (90, 90, 90), (0, 0, 0), (255, 255, 255))
    # The circle has 256 steps for 6 primary and mixed colours, so a hue is off by up to half a step: 255 * 6 / 512 < 4.
    np.testing.assert_allclose(turned.astype(int), expected.astype(int), atol=4)


def test_a_third_of_a_turn_makes_red_green():
    np.testing.assert_allclose(shift_hue(colours((255, 0, 0)), 1 / 3).astype(int), [[[0, 255, 0]]], atol=6)


def test_exposure_scales_the_brightest_channel():
    # Factor 1.5 drawn, not inverted (coin 1): 100 becomes 150, 200 is cut at 255. Grey has no colour to change.
    image = colours((100, 100, 100), (200, 200, 200))
    brighter = shift_colours(Drawn(0.5, 0.0, 1.0, coin=1.0), image, only(exposure=1.5))
    assert brighter.tolist() == [[[150] * 3, [255] * 3]]
    # Inverted (coin 0): 100 / 1.5 = 66.7, cut to 66.
    darker = shift_colours(Drawn(0.5, 0.0, 1.0, coin=0.0), image, only(exposure=1.5))
    assert darker.tolist() == [[[66] * 3, [133] * 3]]


def test_saturation_leaves_grey_and_dulls_colour():
    image = colours((90, 90, 90), (200, 100, 100))
    duller = shift_colours(Drawn(0.5, 1.0, 0.0, coin=0.0), image, only(saturation=2.0)).astype(int)
    # Saturation (200 - 100) / 200 = 1/2 becomes 1/4: the lesser channels rise to 150.
    np.testing.assert_allclose(duller, [[[90, 90, 90], [200, 150, 150]]], atol=2)


@pytest.mark.parametrize(
    "options",
    [
        {"flip": 1.1}, {"flip": -0.1}, {"scale": 0.9}, {"zoom_out": 2}, {"aspect": -1}, {"hue": 0.6}, {"saturation": 0},
        {"exposure": 0.5}, {"min_visible": 1.5}, {"min_pixels": -1}, {"scale": float("nan")},
    ],
    ids=str,
)  # fmt: skip
def test_strengths_out_of_range_are_named(options):
    with pytest.raises(InputError) as caught:
        Augment(**options)
    assert next(iter(options)) in str(caught.value)
