"""Box arithmetic against pycocotools, painted pixels and hand-computed numbers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask

from data_tools import boxes


def random_boxes(most=6, low=0, high=30):
    """Whole-number xyxy boxes, each at least one pixel wide and high."""
    corner = st.integers(low, high - 1)
    side = st.integers(1, high)
    box = st.tuples(corner, corner, side, side).map(lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3]))
    return st.lists(box, min_size=1, max_size=most).map(lambda rows: np.array(rows, float))


def painted(box, size=64):
    """The box as pixels."""
    image = np.zeros((size, size), bool)
    left, top, right, bottom = box.astype(int)
    image[top:bottom, left:right] = True
    return image


@given(random_boxes(), random_boxes())
def test_iou_and_coverage_equal_counted_pixels(a, b):
    for i, first in enumerate(a):
        for j, second in enumerate(b):
            p, q = painted(first), painted(second)
            assert boxes.iou(a, b)[i, j] == pytest.approx((p & q).sum() / (p | q).sum())
            assert boxes.coverage(a, b)[i, j] == pytest.approx((p & q).sum() / p.sum())


finite = st.floats(0, 1000, width=32)


@given(hnp.arrays(np.float64, (5, 4), elements=finite), hnp.arrays(np.float64, (3, 4), elements=finite))
def test_iou_equals_pycocotools(a, b):
    a[:, 2:] += 1  # x, y, width, height with sides of one pixel at least
    b[:, 2:] += 1
    ours = boxes.iou(np.c_[a[:, :2], a[:, :2] + a[:, 2:]], np.c_[b[:, :2], b[:, :2] + b[:, 2:]])
    np.testing.assert_allclose(ours, mask.iou(a, b, [0, 0, 0]), atol=1e-9)


def test_iou_by_hand():
    # 10x10 and 10x10 shifted by (5, 0): 50 shared, 100 + 100 - 50 = 150 in all; empty and far boxes share nothing.
    a = [[0, 0, 10, 10]]
    b = [[5, 0, 15, 10], [0, 0, 10, 10], [20, 20, 30, 30], [3, 3, 3, 3]]
    np.testing.assert_allclose(boxes.iou(a, b), [[1 / 3, 1, 0, 0]])
    np.testing.assert_allclose(boxes.iou(b[3:], b[3:]), [[0]])
    # coverage is not symmetric: 5x5 inside 10x10 is covered wholly, and covers a quarter.
    np.testing.assert_allclose(boxes.coverage([[0, 0, 5, 5]], a), [[1]])
    np.testing.assert_allclose(boxes.coverage(a, [[0, 0, 5, 5]]), [[0.25]])
    assert boxes.coverage([[1, 1, 1, 5]], a).tolist() == [[0]]


@given(random_boxes())
def test_iou_is_symmetric_and_one_with_itself(a):
    table = boxes.iou(a, a)
    np.testing.assert_array_equal(table, table.T)
    np.testing.assert_allclose(np.diag(table), 1)


def test_no_boxes_give_empty_tables():
    assert boxes.iou([], [[0, 0, 1, 1]]).shape == (0, 1)
    assert boxes.iou([[0, 0, 1, 1]], np.empty((0, 4))).shape == (1, 0)
    assert boxes.xyxy_to_cxcywh([]).shape == (0, 4)


def test_centres_by_hand():
    # sides 2, 4, 8, 10: centre (5, 7), 6 wide, 6 high
    assert boxes.xyxy_to_cxcywh([2, 4, 8, 10]).tolist() == [5, 7, 6, 6]
    assert boxes.cxcywh_to_xyxy([5, 7, 6, 6]).tolist() == [2, 4, 8, 10]


@given(random_boxes(high=1242))
def test_centres_and_back(a):
    np.testing.assert_allclose(boxes.cxcywh_to_xyxy(boxes.xyxy_to_cxcywh(a)), a, rtol=0, atol=1e-9)


@given(
    hnp.arrays(np.float64, (4, 2), elements=st.floats(1, 500)),
    hnp.arrays(np.float64, (3, 2), elements=st.floats(1, 500)),
)
def test_size_iou_is_iou_on_one_centre(a, b):
    centred = [boxes.cxcywh_to_xyxy(np.c_[np.zeros_like(sizes), sizes]) for sizes in (a, b)]
    np.testing.assert_allclose(boxes.size_iou(a, b), boxes.iou(*centred), atol=1e-9)


def test_clip_by_hand():
    # in a 20 high, 30 wide image; the last box is wholly outside and becomes empty
    found = boxes.clip([[-1, -2, 35, 25], [5, 5, 10, 10], [40, 0, 50, 10]], (20, 30))
    assert found.tolist() == [[0, 0, 30, 20], [5, 5, 10, 10], [30, 0, 30, 10]]


@given(random_boxes(), st.integers(1, 2000), st.integers(1, 2000), st.integers(1, 2000), st.integers(1, 2000))
def test_scaling_there_and_back_and_iou_kept(a, h, w, high, wide):
    scaled = boxes.scale(a, (h, w), (high, wide))
    np.testing.assert_allclose(boxes.scale(scaled, (high, wide), (h, w)), a, rtol=1e-12)
    np.testing.assert_allclose(boxes.iou(scaled, scaled), boxes.iou(a, a), atol=1e-9)


def test_scale_by_hand():
    # 1242x375 to 621x750: x halves, y doubles; (height, width) is the order of sizes
    assert boxes.scale([100, 50, 200, 60.5], (375, 1242), (750, 621)).tolist() == [50, 100, 100, 121]


def test_float32_stays_float32():
    row = np.array([[1, 2, 3, 4]], np.float32)
    for result in (
        boxes.scale(row, (10, 10), (5, 7)),
        boxes.clip(row, (3, 3)),
        boxes.xyxy_to_cxcywh(row),
        boxes.iou(row, row),
    ):
        assert result.dtype == np.float32


def test_wrong_number_of_columns_is_named():
    with pytest.raises(ValueError, match=r"received boxes of shape \(2, 5\); expected \(\.\.\., 4\)"):
        boxes.iou(np.zeros((2, 5)), np.zeros((1, 4)))
