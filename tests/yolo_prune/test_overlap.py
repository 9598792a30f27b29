"""IoU and complete IoU: values computed by hand, and a literal version of the published formulas."""

import math

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from run_tools.errors import InputError
from yolo_prune.loss import RegionLoss
from yolo_prune.overlap import complete_iou, iou

SIDES = st.tuples(*[st.floats(-5, 5, width=32)] * 2, *[st.floats(0.0625, 8, width=32)] * 2)  # cx, cy, w, h


def numbers(function, *boxes):
    return keras.ops.convert_to_numpy(function(*(np.asarray(box, np.float32) for box in boxes)))


def literal(a, b):
    """Equations 7 to 11 of Zheng et al. (2020) for one pair, with corners and Python floats."""
    (ax, ay, aw, ah), (bx, by, bw, bh) = a, b
    left, right = max(ax - aw / 2, bx - bw / 2), min(ax + aw / 2, bx + bw / 2)
    top, bottom = max(ay - ah / 2, by - bh / 2), min(ay + ah / 2, by + bh / 2)
    common = max(right - left, 0.0) * max(bottom - top, 0.0)
    overlap = common / (aw * ah + bw * bh - common)
    across = max(ax + aw / 2, bx + bw / 2) - min(ax - aw / 2, bx - bw / 2)
    down = max(ay + ah / 2, by + bh / 2) - min(ay - ah / 2, by - bh / 2)
    distance = ((ax - bx) ** 2 + (ay - by) ** 2) / (across**2 + down**2)
    v = 4 / math.pi**2 * (math.atan(bw / bh) - math.atan(aw / ah)) ** 2
    alpha = v / (1 - overlap + v) if v else 0.0
    return overlap - distance - alpha * v


def test_two_boxes_by_hand():
    # Unit squares half a side apart: IoU .5 / 1.5; centres .5 apart, the box around both 1.5 x 1: .25 / 3.25.
    a, b = (0, 0, 1, 1), (0.5, 0, 1, 1)
    assert numbers(lambda *pair: iou(*pair)[0], a, b) == pytest.approx(1 / 3, abs=1e-6)
    assert numbers(complete_iou, a, b) == pytest.approx(1 / 3 - 1 / 13, abs=1e-6)
    # One box twice as high about the same centre: IoU .5, v = 4/pi^2 (atan 1 - atan .5)^2 = .041955.
    v = 0.041955
    assert numbers(complete_iou, a, (0, 0, 1, 2)) == pytest.approx(0.5 - v * v / (0.5 + v), abs=1e-5)


@settings(deadline=None, max_examples=200)
@given(SIDES, SIDES)
def test_it_is_the_published_formula(a, b):
    assert float(numbers(complete_iou, a, b)) == pytest.approx(literal(a, b), abs=2e-4)


@settings(deadline=None, max_examples=50)
@given(SIDES)
def test_equal_boxes_have_one(a):
    assert float(numbers(complete_iou, a, a)) == pytest.approx(1.0, abs=1e-4)


def test_boxes_apart_still_have_a_gradient():
    tensorflow = pytest.importorskip("tensorflow")
    box = tensorflow.Variable([5.0, 0.0, 1.0, 1.0])
    with tensorflow.GradientTape() as tape:
        value = complete_iou(box, tensorflow.constant([0.0, 0.0, 1.0, 1.0]))
    gradient = tape.gradient(value, box).numpy()
    assert float(value) < 0
    assert np.isfinite(gradient).all()
    assert gradient[0] < 0, "moving away makes it worse"


def test_the_region_loss_with_it():
    # One cell, one anchor 1x1; the head predicts .5 .5 1 1 and the truth is .25 .25 .5 .5: IoU .25, centres √.125
    # apart, the box around both is the cell: CIoU = .25 - .125/2 = .1875. Box (2 - .25) · (1 - .1875) = 1.421875;
    # objectness ½ · 5 · (.25 - .5)² = .15625 as with squared errors.
    boxes = np.array([[[0.25, 0.25, 0.5, 0.5, 0], [0, 0, 0, 0, 0]]], np.float32)
    loss = RegionLoss(((1.0, 1.0),), 1, box_loss="ciou")
    logits = np.zeros((1, 1, 1, 6), np.float32)
    assert keras.ops.convert_to_numpy(loss.call(boxes, logits)) == pytest.approx([1.578125], abs=1e-5)
    doubled = RegionLoss(((1.0, 1.0),), 1, box_loss="ciou", coord_scale=2.0)
    assert keras.ops.convert_to_numpy(doubled.call(boxes, logits)) == pytest.approx([3.0], abs=1e-5)


def test_it_counts_cells_not_fractions():
    # A grid of 2 x 1: the truth is one cell wide and high, and the anchor too: a perfect box in pixels.
    loss = RegionLoss(((1.0, 1.0),), 1, box_loss="ciou")
    boxes = np.array([[[0.25, 0.5, 0.5, 1.0, 0]]], np.float32)
    terms = loss.terms(boxes, np.zeros((1, 1, 2, 6), np.float32))
    assert float(keras.ops.convert_to_numpy(terms["box"])[0]) == pytest.approx(0.0, abs=1e-5)


def test_another_name_is_refused():
    with pytest.raises(InputError, match="ciou"):
        RegionLoss("coco", 3, box_loss="giou")
