"""What became of every box, by hand and against the one-to-one counts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yolo_prune.evaluation.one_to_one import claim, one_to_one
from yolo_prune.evaluation.outcomes import confusion, outcome, outcomes, worst
from yolo_prune.records import Detections, Truth

SIZE = (375, 1242)
BOX = (100.0, 100.0, 200.0, 150.0)
NAMES = ("car", "truck")


def moved(right):
    return (BOX[0] + right, BOX[1], BOX[2] + right, BOX[3])


def test_every_kind_of_outcome():
    # Cars at 0, 300, 600; a truck at 900; a region from 1100 on.
    region = (1100.0, 0.0, 1242.0, 375.0)
    truth = Truth([BOX, moved(300), moved(600), moved(900), region], [0, 0, 0, 1, -1], SIZE)
    # Right; a car called a truck; a second detection of the first car; a phantom; one in the region; one too weak.
    boxes = [moved(5), moved(300), BOX, moved(150), moved(1020), moved(600)]
    found = Detections(boxes, [0.8, 0.7, 0.6, 0.5, 0.9, 0.1], [0, 1, 0, 1, 0, 0])
    result = outcome(truth, found, 0.3)
    assert result.found.scores == pytest.approx([0.8, 0.7, 0.6, 0.5])
    assert result.partners.tolist() == [0, 1, -1, -1] and result.right.tolist() == [True, False, False, False]
    assert result.missed.tolist() == [1, 2, 3]  # the mistaken one too: nobody found a car there
    assert result.mistakes == 3 + 3
    # Rows car, truck, nothing; columns likewise.
    assert confusion([truth], [result], 2).tolist() == [[1, 1, 1], [0, 0, 1], [1, 1, 0]]


def test_a_class_of_its_own_comes_first():
    # The truck scores more and lies on the car as well, but the car's own detection claims the car.
    truth = Truth([BOX], [0], SIZE)
    result = outcome(truth, Detections([BOX, moved(10)], [0.9, 0.5], [1, 0]), 0.0)
    assert confusion([truth], [result], 2).tolist() == [[1, 0, 0], [0, 0, 0], [0, 1, 0]]


def test_claim_by_hand():
    # Row 0 takes column 1; row 1 would too, but takes column 0; row 2 finds none above .5 left.
    overlaps = np.array([[0.6, 0.9], [0.7, 0.8], [0.9, 0.5]])
    assert claim(overlaps).tolist() == [1, 0, -1]
    assert claim(np.zeros((2, 0))).tolist() == [-1, -1] and claim(np.zeros((0, 2))).tolist() == []


@pytest.mark.parametrize(
    "truth", [Truth([], [], SIZE), Truth([BOX], [-1], SIZE), Truth([BOX], [0], SIZE)], ids=["empty", "dontcare", "car"]
)
@pytest.mark.parametrize("found", [Detections([], [], []), Detections([moved(300)], [0.9], [1])], ids=["none", "one"])
def test_degenerate_images(truth, found):
    result = outcome(truth, found, 0.5)
    matrix = confusion([truth], [result], 2)
    assert matrix[0].tolist() == [0, 0, int(0 in truth.classes)] and matrix[2].tolist() == [0, len(found), 0]
    assert result.mistakes == matrix.sum()


def test_the_worst_come_first():
    perfect, missed = Truth([BOX], [0], SIZE), Truth([BOX, moved(300)], [0, 0], SIZE)
    found = [Detections([BOX], [0.9], [0]), Detections([], [], []), Detections([BOX, moved(500)], [0.9, 0.8], [0, 0])]
    results = outcomes([perfect, missed, perfect], found, 0.5)
    assert [result.mistakes for result in results] == [0, 2, 1]
    assert worst(results, 5) == [1, 2] and worst(results, 1) == [1] and worst([], 3) == []


@settings(max_examples=100)
@given(st.integers(0, 2**32 - 1), st.floats(0, 1, width=32))
def test_the_matrix_holds_the_one_to_one_counts(seed, threshold):
    rng = np.random.default_rng(seed)
    truths, detections = [], []
    for _ in range(rng.integers(1, 4)):
        corners = rng.uniform(0, 150, (rng.integers(0, 6), 2))
        boxes = np.concatenate([corners, corners + rng.uniform(10, 120, corners.shape)], axis=1)
        found = np.repeat(boxes, 3, axis=0) + rng.normal(0, 8, (3 * len(boxes), 4))
        truths.append(Truth(boxes, rng.integers(-1, 2, len(boxes)), SIZE))
        detections.append(Detections(found, rng.integers(0, 11, len(found)) / 10, rng.integers(0, 2, len(found))))
    results = outcomes(truths, detections, threshold)
    matrix = confusion(truths, results, 2)
    counts = one_to_one(truths, detections, NAMES, threshold)
    for k, name in enumerate(NAMES):
        assert matrix[k, k] == counts[name]["tp"]
        assert matrix[:, k].sum() - matrix[k, k] == counts[name]["fp"]
        assert matrix[k].sum() - matrix[k, k] == counts[name]["fn"]
    assert matrix[2, 2] == 0
    assert sum(result.mistakes for result in results) == sum(row["fp"] + row["fn"] for row in counts.values())
    for result in results:  # nobody stands on another's box
        taken = result.partners[result.partners >= 0]
        assert len(set(taken.tolist())) == len(taken)
