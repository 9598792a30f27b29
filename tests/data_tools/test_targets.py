"""True boxes on the grid, against a literal loop and numbers worked out by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from data_tools.targets import encode
from run_tools.errors import InputError

ANCHORS = np.array(
    [[0.57273, 0.677385], [1.87446, 2.06253], [3.33843, 5.47434], [7.88282, 3.52778], [9.77052, 9.16828]]
)


def literal(true_boxes, anchors, grid):
    """YAD2K's `preprocess_true_boxes`, image by image and box by box."""
    height, width = grid
    masks, matchings = [], []
    for boxes in true_boxes:
        mask = np.zeros((height, width, len(anchors), 1), bool)
        matching = np.zeros((height, width, len(anchors), 5), np.float32)
        for x, y, w, h, kind in boxes.astype(np.float64):
            if w <= 0 or h <= 0 or kind < 0:
                continue
            x, y, w, h = x * width, y * height, w * width, h * height
            column, row = min(int(x), width - 1), min(int(y), height - 1)
            best, best_iou = 0, 0.0
            for index, (aw, ah) in enumerate(anchors):
                shared = min(w, aw) * min(h, ah)
                iou = shared / (w * h + aw * ah - shared)
                if iou > best_iou:
                    best, best_iou = index, iou
            mask[row, column, best] = True
            aw, ah = anchors[best]
            matching[row, column, best] = [x - column, y - row, np.log(w / aw), np.log(h / ah), kind]
        masks.append(mask)
        matchings.append(matching)
    return np.array(masks), np.array(matchings)


def test_one_box_by_hand():
    # Grid 4 high, 8 wide. Centre (.6, .3) is (4.8, 1.2) in cells: column 4, row 1, remainders .8 and .2.
    # Size (.25, .5) is (2, 2) cells. IoU with anchor (1, 2): 2 / (4 + 2 - 2) = .5; with (2, 3): 4 / (4 + 6 - 4) = 2/3.
    boxes = np.array([[[0.6, 0.3, 0.25, 0.5, 7]]], np.float32)
    mask, matching = encode(boxes, [(1, 2), (2, 3)], (4, 8))
    assert mask.shape == (1, 4, 8, 2, 1) and mask.dtype == bool
    assert matching.shape == (1, 4, 8, 2, 5) and matching.dtype == np.float32
    assert np.argwhere(mask).tolist() == [[0, 1, 4, 1, 0]]
    np.testing.assert_allclose(matching[0, 1, 4, 1], [0.8, 0.2, 0.0, np.log(2 / 3), 7], atol=1e-6)
    assert np.count_nonzero(matching[~mask[..., 0]]) == 0


def test_grid_need_not_be_square():
    # x must go with the width and y with the height: (.9, .1) of 2 rows by 10 columns is column 9, row 0.
    mask, _ = encode([[[0.9, 0.1, 0.1, 0.1, 0]]], [(1, 1)], (2, 10))
    assert np.argwhere(mask[0, ..., 0, 0]).tolist() == [[0, 9]]
    mask, _ = encode([[[0.1, 0.9, 0.1, 0.1, 0]]], [(1, 1)], (10, 2))
    assert np.argwhere(mask[0, ..., 0, 0]).tolist() == [[9, 0]]


def test_the_later_box_overwrites_on_the_same_cell_and_anchor_only():
    same = [[[0.1, 0.1, 0.2, 0.2, 1], [0.15, 0.15, 0.2, 0.2, 2]]]
    mask, matching = encode(same, [(1, 1)], (4, 4))
    assert mask.sum() == 1 and matching[0, 0, 0, 0, 4] == 2
    other_image = [same[0][:1], same[0][1:]]
    mask, matching = encode(other_image, [(1, 1)], (4, 4))
    assert matching[:, 0, 0, 0, 4].tolist() == [1, 2]


def test_equal_anchors_tie_to_the_first():
    mask, _ = encode([[[0.5, 0.5, 0.5, 0.5, 0]]], [(1, 1), (1, 1)], (2, 2))
    assert np.argwhere(mask[0, ..., 0]).tolist() == [[1, 1, 0]]


@pytest.mark.parametrize(
    "row", [[0.5, 0.5, 0, 0, 0], [0.5, 0.5, 0.1, 0, 3], [0.5, 0.5, 0, 0.1, 3], [0.5, 0.5, 0.2, 0.2, -1]]
)
def test_unused_rows_and_dont_care_leave_no_trace(row):
    mask, matching = encode([[row]], ANCHORS, (3, 5))
    assert not mask.any() and not matching.any()


def test_a_centre_on_the_far_border_belongs_to_the_last_cell():
    mask, matching = encode([[[1.0, 1.0, 0.5, 0.5, 0]]], [(1, 1)], (2, 2))
    assert np.argwhere(mask[0, ..., 0, 0]).tolist() == [[1, 1]]
    # (1, 1) is (2, 2) in cells, one beyond the corner of cell (1, 1); the size is 1 cell, whose logarithm is 0.
    assert matching[0, 1, 1, 0].tolist() == [1, 1, 0, 0, 0]


def test_no_images_and_no_boxes():
    assert encode(np.zeros((0, 3, 5)), ANCHORS, (2, 3))[0].shape == (0, 2, 3, 5, 1)
    assert not encode(np.zeros((2, 0, 5)), ANCHORS, (2, 3))[0].any()


share = st.floats(0, 1, width=32)
rows = st.tuples(share, share, share, share, st.integers(-1, 4).map(float))
sizes = st.floats(0.05, 12)


@given(
    boxes=st.integers(1, 6).flatmap(lambda k: st.lists(st.lists(rows, min_size=k, max_size=k), min_size=1, max_size=3)),
    anchors=hnp.arrays(np.float64, st.tuples(st.integers(1, 5), st.just(2)), elements=sizes),
    grid=st.tuples(st.integers(1, 5), st.integers(1, 5)),
)
def test_agrees_with_the_literal_loop(boxes, anchors, grid):
    boxes = np.array(boxes, np.float32)
    # In the loop IoU underflows to 0 for denormal sizes; such boxes are far below a pixel.
    boxes[..., 2:4] = np.where(boxes[..., 2:4] < 1e-6, 0, boxes[..., 2:4])
    mask, matching = encode(boxes, anchors, grid)
    expected_mask, expected = literal(boxes, anchors, grid)
    np.testing.assert_array_equal(mask, expected_mask)
    np.testing.assert_allclose(matching, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("boxes", "anchors", "grid", "named"),
    [
        (np.zeros((2, 5)), ANCHORS, (2, 2), "true boxes of shape (2, 5)"),
        (np.zeros((1, 2, 4)), ANCHORS, (2, 2), "true boxes of shape (1, 2, 4)"),
        (np.zeros((1, 2, 5)), [1, 2, 3], (2, 2), "anchors of shape (3,)"),
        (np.zeros((1, 2, 5)), np.zeros((0, 2)), (2, 2), "anchors of shape (0, 2)"),
        (np.zeros((1, 2, 5)), [(1, 0)], (2, 2), "least 0"),
        (np.zeros((1, 2, 5)), [(1, np.nan)], (2, 2), "anchors"),
        (np.zeros((1, 2, 5)), ANCHORS, (0, 2), "a grid of 0x2"),
    ],
)
def test_bad_arguments_are_named(boxes, anchors, grid, named):
    with pytest.raises(InputError) as caught:
        encode(boxes, anchors, grid)
    assert named in str(caught.value)
