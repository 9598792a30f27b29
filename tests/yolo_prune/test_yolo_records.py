"""Truth and Detections: shapes, types and the mistakes they refuse."""

import numpy as np
import pytest

from run_tools.errors import InputError
from yolo_prune.records import Detections, Truth


def test_relative_boxes_become_pixels():
    # An image 375 high and 1242 wide: x times 1242, y times 375.
    found = Detections([(0.5, 0.2, 1.0, 0.4)], [0.9], [3]).in_pixels((375, 1242))
    assert found.boxes.tolist() == [pytest.approx([621, 75, 1242, 150])]
    assert (found.boxes.dtype, found.scores.dtype, found.classes.dtype) == (np.float32, np.float32, np.int64)


def test_nothing_detected_keeps_its_shape():
    empty = Detections([], [], [])
    assert (empty.boxes.shape, len(empty), len(empty.in_pixels((10, 10)))) == ((0, 4), 0, 0)


def test_take():
    found = Detections(np.arange(12).reshape(3, 4), [0.1, 0.2, 0.3], [0, 1, 2])
    assert found.take(found.scores > 0.15).classes.tolist() == [1, 2]
    assert found.take(np.array([2, 0])).classes.tolist() == [2, 0]


def test_truth_without_kittis_columns():
    truth = Truth(np.zeros((2, 4)), [0, -1], (375, 1242))
    assert truth.truncated.tolist() == [0, 0]
    assert truth.occluded.tolist() == [0, 0]
    assert truth.names is None


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Detections(np.zeros((2, 5)), [0, 0], [0, 0]), r"shape \(2, 5\)"),
        (lambda: Detections(np.zeros((2, 4)), [0], [0, 0]), "1 scores for 2 boxes"),
        (lambda: Truth(np.zeros((2, 4)), [0], (1, 1)), "1 classes for 2 boxes"),
        (lambda: Truth(np.zeros((1, 4)), [0], (1, 1), truncated=np.zeros(2)), "2 truncations for 1 boxes"),
        (lambda: Truth(np.zeros((1, 4)), [0], (1, 1), names=("Car", "Van")), "2 names for 1 boxes"),
    ],
)
def test_columns_that_do_not_belong_together(build, message):
    with pytest.raises(InputError, match=message):
        build()
