"""Algorithm 1 against hand-computed cases and its literal loop."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yolo_prune.evaluation.paper import algorithm_1
from yolo_prune.records import Detections, Truth

SIZE = (375, 1242)
BOX = (100.0, 100.0, 200.0, 150.0)
FAR = (600.0, 100.0, 700.0, 150.0)
NAMES = ("Car", "Truck")


def run(truth, found, threshold=0.7):
    """One image; truth rows: class, box; found rows: class, box, score."""
    true = Truth([row[1] for row in truth], [row[0] for row in truth], SIZE)
    seen = Detections([row[1] for row in found], [row[2] for row in found], [row[0] for row in found])
    result = algorithm_1([true], [seen], NAMES, threshold)
    return {name: (row["tp"], row["fp"], row["fn"]) for name, row in result.items()}


def test_a_found_box_and_a_missed_one():
    assert run([(0, BOX), (0, FAR)], [(0, BOX, 0.9)]) == {"car": (1, 0, 1), "truck": (0, 0, 0)}


def test_duplicates_are_true_positives():
    assert run([(0, BOX)], [(0, BOX, 0.9), (0, BOX, 0.8)])["car"] == (2, 0, 0)


def test_any_overlap_matches():
    # IoU = 20 / 180 = .11: a false positive, yet the true box counts as matched and is no false negative.
    assert run([(0, BOX)], [(0, (180, 100, 280, 150), 0.9)])["car"] == (0, 1, 0)


def test_no_overlap_matches_the_first_true_box():
    # argmax over equal IoUs of 0 is the first true box.
    assert run([(0, BOX), (0, FAR)], [(0, (900, 10, 950, 60), 0.9)])["car"] == (0, 1, 1)


def test_the_best_true_box_may_be_of_another_class():
    # A car predicted on the truck: false positive of car; truck's box is matched by no truck.
    assert run([(1, BOX)], [(0, BOX, 0.9)]) == {"car": (0, 1, 0), "truck": (0, 0, 1)}


def test_iou_of_one_half_is_not_enough():
    # 100 x 50 against its left half: IoU = 1/2, and the algorithm asks for more.
    assert run([(0, BOX)], [(0, (100, 100, 150, 150), 0.9)])["car"] == (0, 1, 0)


def test_score_threshold_is_inclusive():
    found = [(0, BOX, 0.7), (0, BOX, 0.69)]
    assert run([(0, BOX)], found)["car"] == (1, 0, 0)
    assert run([(0, BOX)], found, threshold=0.69)["car"] == (2, 0, 0)


def test_predictions_without_truth_are_false_positives():
    assert run([], [(0, BOX, 0.9), (1, BOX, 0.9)]) == {"car": (0, 1, 0), "truck": (0, 1, 0)}


def test_dont_care_regions_are_no_true_boxes():
    assert run([(-1, BOX)], [(0, BOX, 0.9)])["car"] == (0, 1, 0)
    assert run([(-1, BOX), (0, FAR)], [])["car"] == (0, 0, 1)


def test_precision_and_recall():
    # 2 found, 1 missed, 1 false: precision 2/3, recall 2/3. Trucks: nothing predicted, nothing true.
    truth = Truth([BOX, FAR, (0, 0, 50, 50)], [0, 0, 0], SIZE)
    found = Detections([BOX, FAR, (160, 100, 260, 150)], [0.9] * 3, [0] * 3)
    result = algorithm_1([truth], [found], NAMES)
    assert result["car"] == {
        "precision": pytest.approx(2 / 3),
        "recall": pytest.approx(2 / 3),
        "tp": 2,
        "fp": 1,
        "fn": 1,
    }
    assert result["truck"] == {"precision": None, "recall": None, "tp": 0, "fp": 0, "fn": 0}


def literal_iou(a, b):
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0) * max(height, 0)
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def literal(truth, found, of_class, threshold):
    """Algorithm 1 as printed, for one image and class, whose false negatives are true boxes of that class."""
    true_boxes = [(c, box) for c, box in zip(truth.classes, truth.boxes.astype(float), strict=True) if c >= 0]
    predicted = [
        box
        for c, box, score in zip(found.classes, found.boxes.astype(float), found.scores, strict=True)
        if c == of_class and score >= np.float32(threshold)
    ]
    matches = [0] * len(true_boxes)
    tp = fp = fn = 0
    for p_box in predicted:
        ious = [literal_iou(p_box, t_box) for _, t_box in true_boxes]
        if not ious:
            fp += 1
            continue
        k = ious.index(max(ious))
        matches[k] += 1
        if true_boxes[k][0] == of_class and ious[k] > 0.5:
            tp += 1
        else:
            fp += 1
    for j, (true_class, _) in enumerate(true_boxes):
        if matches[j] == 0 and true_class == of_class:
            fn += 1
    return np.array([tp, fp, fn])


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.3, 0.7]))
def test_agrees_with_the_literal_loop(seed, threshold):
    rng = np.random.default_rng(seed)
    truths, detections = [], []
    for _ in range(rng.integers(1, 5)):
        corners = rng.uniform(0, 150, (rng.integers(0, 6), 2))
        boxes = np.concatenate([corners, corners + rng.uniform(10, 120, corners.shape)], axis=1)
        copies = np.repeat(boxes, 2, axis=0) + rng.normal(0, 15, (2 * len(boxes), 4))
        copies[:, 2:] = np.maximum(copies[:, 2:], copies[:, :2] + 1)
        strays = rng.uniform(0, 150, (rng.integers(0, 3), 2))
        found = np.concatenate([copies, np.concatenate([strays, strays + 40], axis=1)])
        truths.append(Truth(boxes, rng.integers(-1, 2, len(boxes)), SIZE))
        detections.append(Detections(found, rng.integers(0, 11, len(found)) / 10, rng.integers(0, 2, len(found))))
    result = algorithm_1(truths, detections, NAMES, threshold)
    for k, name in enumerate(NAMES):
        expected = sum(literal(t, d, k, threshold) for t, d in zip(truths, detections, strict=True))
        assert [result[name.lower()][key] for key in ("tp", "fp", "fn")] == expected.tolist()
