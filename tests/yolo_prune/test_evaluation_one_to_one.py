"""One-to-one matching: hand-computed cases, and what must hold for any detections."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yolo_prune.evaluation.one_to_one import matchings, one_to_one
from yolo_prune.records import Detections, Truth

SIZE = (375, 1242)
BOX = (100.0, 100.0, 200.0, 150.0)
NAMES = ("Car", "Truck")


def moved(right):
    return (BOX[0] + right, BOX[1], BOX[2] + right, BOX[3])


def counts(truth, found, threshold=0.7):
    """One image; truth rows: class, box; found rows: class, box, score. Returns car's tp, fp, fn."""
    true = Truth([row[1] for row in truth], [row[0] for row in truth], SIZE)
    seen = Detections([row[1] for row in found], [row[2] for row in found], [row[0] for row in found])
    row = one_to_one([true], [seen], NAMES, threshold)["car"]
    return row["tp"], row["fp"], row["fn"]


def test_a_duplicate_is_a_false_positive():
    assert counts([(0, BOX)], [(0, BOX, 0.9), (0, BOX, 0.8)]) == (1, 1, 0)


def test_a_false_positive_leaves_its_neighbour_missed():
    # IoU = 20 / 180: Algorithm 1 would call the true box matched.
    assert counts([(0, BOX)], [(0, moved(80), 0.9)]) == (0, 1, 1)


def test_the_higher_score_chooses_first():
    # The detection at +10 overlaps the box at 0 by 90/110 and the one at +40 by 70/130 = .54; the one at 0 overlaps the
    # box at 0 fully and the one at +40 by 60/140 = .43. If +10 chooses first, 0 is left without a partner.
    truth = [(0, BOX), (0, moved(40))]
    assert counts(truth, [(0, moved(10), 0.8), (0, BOX, 0.9)]) == (2, 0, 0)
    assert counts(truth, [(0, moved(10), 0.9), (0, BOX, 0.8)]) == (1, 1, 1)


def test_a_box_of_another_class_is_not_claimed():
    assert counts([(1, BOX)], [(0, BOX, 0.9)]) == (0, 1, 0)


def test_detections_mostly_in_dont_care_are_ignored():
    # The region covers 60 of the detection's 100 pixels of width, then 50: half is not "mostly".
    assert counts([(-1, (0, 0, 160, 300))], [(0, BOX, 0.9)]) == (0, 0, 0)
    assert counts([(-1, (0, 0, 150, 300))], [(0, BOX, 0.9)]) == (0, 1, 0)
    # one that finds a true box counts wherever it lies
    assert counts([(-1, (0, 0, 300, 300)), (0, BOX)], [(0, BOX, 0.9)]) == (1, 0, 0)


def test_iou_of_one_half_is_not_enough():
    assert counts([(0, BOX)], [(0, (100, 100, 150, 150), 0.9)]) == (0, 1, 1)


def test_curve_and_best_threshold():
    # By score: hit .9, miss .8, hit .7, miss .6; 3 true boxes. Precision 1, 1/2, 2/3, 1/2; recall 1/3, 1/3, 2/3, 2/3;
    # F1 = 2 tp / (kept + 3) = 2/4, 2/5, 4/6, 4/7: best at .7.
    truth = Truth([BOX, moved(300), moved(600)], [0, 0, 0], SIZE)
    found = Detections([BOX, moved(150), moved(300), moved(450)], [0.9, 0.8, 0.7, 0.6], [0] * 4)
    matching = matchings([truth], [found], NAMES)["car"]
    curve = matching.curve()
    assert curve["score"] == pytest.approx([0.9, 0.8, 0.7, 0.6])
    assert curve["precision"] == pytest.approx([1, 1 / 2, 2 / 3, 1 / 2])
    assert curve["recall"] == pytest.approx([1 / 3, 1 / 3, 2 / 3, 2 / 3])
    assert curve["f1"] == pytest.approx([1 / 2, 2 / 5, 2 / 3, 4 / 7])
    best = matching.best()
    assert best["score_threshold"] == pytest.approx(0.7)
    assert (best["tp"], best["fp"], best["fn"], best["f1"]) == (2, 1, 1, pytest.approx(2 / 3))


def test_equal_scores_are_one_point_of_the_curve():
    truth = Truth([BOX], [0], SIZE)
    found = Detections([moved(300), BOX], [0.5, 0.5], [0, 0])
    curve = matchings([truth], [found], NAMES)["car"].curve()
    assert curve["precision"].tolist() == [0.5]


def test_curves_without_detections_or_truth():
    empty = matchings([Truth([], [], SIZE)], [Detections([], [], [])], NAMES)["car"]
    assert all(len(values) == 0 for values in empty.curve().values())
    assert empty.best()["score_threshold"] is None
    only_found = matchings([Truth([], [], SIZE)], [Detections([BOX], [0.9], [0])], NAMES)["car"]
    assert np.isnan(only_found.curve()["recall"]).all()
    assert only_found.curve()["precision"].tolist() == [0.0]
    assert only_found.best() == {
        "score_threshold": None, "f1": None, "precision": None, "recall": None, "tp": 0, "fp": 0, "fn": 0
    }  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0, 1, width=32))
def test_one_matching_serves_every_threshold(seed, threshold):
    # Filtering first and matching then gives what the curve's matching gives; every true box is found or missed once.
    rng = np.random.default_rng(seed)
    truths, detections = [], []
    for _ in range(rng.integers(1, 4)):
        corners = rng.uniform(0, 150, (rng.integers(0, 6), 2))
        boxes = np.concatenate([corners, corners + rng.uniform(10, 120, corners.shape)], axis=1)
        found = np.repeat(boxes, 3, axis=0) + rng.normal(0, 8, (3 * len(boxes), 4))
        truths.append(Truth(boxes, rng.integers(-1, 2, len(boxes)), SIZE))
        detections.append(Detections(found, rng.integers(0, 11, len(found)) / 10, rng.integers(0, 2, len(found))))
    kept = [found.take(found.scores >= threshold) for found in detections]
    result = one_to_one(truths, detections, NAMES, threshold)
    assert result == one_to_one(truths, kept, NAMES, 0.0)
    for k, name in enumerate(NAMES):
        total = sum(int((truth.classes == k).sum()) for truth in truths)
        assert result[name.lower()]["tp"] + result[name.lower()]["fn"] == total
