"""From the raw head to boxes: by hand, against literal loops, and against TensorFlow's own suppression."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from yolo_prune.decode import decode, detections, suppress
from yolo_prune.detector import YoloV2


def numpy_decode(logits, anchors, classes):
    boxes, scores = decode(logits, anchors, classes)
    return np.asarray(boxes), np.asarray(scores)


def test_one_cell_by_hand():
    # Grid of 2 rows and 4 columns, one anchor of 2 × .5 cells, two classes; the cell in row 1, column 3:
    # tx = 0 → x = (3 + .5) / 4 = .875; ty = ln 3 → σ = .75, y = (1 + .75) / 2 = .875
    # tw = ln 1.5 → w = 2 · 1.5 / 4 = .75; th = 0 → h = .5 / 2 = .25
    # to = ln 4 → σ = .8; classes 0 and ln 3 → softmax .25 and .75 → scores .2 and .6
    logits = np.zeros((1, 2, 4, 7), np.float32)
    logits[0, 1, 3] = (0, math.log(3), math.log(1.5), 0, math.log(4), 0, math.log(3))
    boxes, scores = numpy_decode(logits, ((2.0, 0.5),), 2)
    assert boxes.shape == (1, 8, 4)
    assert boxes[0, 7] == pytest.approx((0.875, 0.875, 0.75, 0.25))
    assert scores[0, 7] == pytest.approx((0.2, 0.6))
    # The first cell has zeros throughout: its centre, the anchor, .5 · .5 a class.
    assert boxes[0, 0] == pytest.approx((0.125, 0.25, 0.5, 0.25))
    assert scores[0, 0] == pytest.approx((0.25, 0.25))


def test_offsets_where_height_and_width_differ():
    # YAD2K's offsets are wrong here. All zeros: centres at (column + .5) / 5 and (row + .5) / 2, row by row.
    boxes, _ = numpy_decode(np.zeros((1, 2, 5, 6), np.float32), ((1.0, 1.0),), 1)
    centres = [((column + 0.5) / 5, (row + 0.5) / 2) for row in range(2) for column in range(5)]
    assert boxes[0, :, :2] == pytest.approx(np.array(centres))


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(1, 4), st.integers(1, 3), st.integers(1, 4))
def test_decode_equals_a_loop(seed, rows, columns, count, classes):
    rng = np.random.default_rng(seed)
    anchors = [tuple(pair) for pair in rng.uniform(0.3, 5.0, (count, 2))]
    logits = rng.normal(0, 2, (2, rows, columns, count * (5 + classes))).astype(np.float32)
    boxes, scores = numpy_decode(logits, anchors, classes)
    assert boxes.shape == (2, rows * columns * count, 4)
    assert scores.shape == (2, rows * columns * count, classes)
    for b in range(2):
        place = 0
        for row in range(rows):
            for column in range(columns):
                for n, (pw, ph) in enumerate(anchors):
                    t = [float(value) for value in logits[b, row, column, n * (5 + classes) : (n + 1) * (5 + classes)]]
                    sigma = [1 / (1 + math.exp(-value)) for value in t]
                    box = ((column + sigma[0]) / columns, (row + sigma[1]) / rows)
                    box += (pw * math.exp(t[2]) / columns, ph * math.exp(t[3]) / rows)
                    total = sum(math.exp(value) for value in t[5:])
                    assert boxes[b, place] == pytest.approx(box, rel=1e-4)
                    assert scores[b, place] == pytest.approx([sigma[4] * math.exp(v) / total for v in t[5:]], rel=1e-4)
                    place += 1


def corners(*rows):
    return np.array(rows, np.float32)


def test_suppression_by_hand():
    # 0 and 1 overlap by 8 of 12: .667. 1 and 2 overlap by 8 of 12 too, 0 and 2 by 6 of 14: .43. 3 is elsewhere.
    boxes = corners((0, 0, 10, 1), (2, 0, 12, 1), (4, 0, 14, 1), (50, 0, 60, 1))
    scores = np.array([0.9, 0.8, 0.7, 0.95])
    # 1 falls to 0 and can no longer take 2 with it.
    assert suppress(boxes, scores, 0.45).tolist() == [3, 0, 2]
    assert suppress(boxes, scores, 0.40).tolist() == [3, 0]
    assert suppress(boxes, scores, 0.70).tolist() == [3, 0, 1, 2]
    # At the threshold itself a box stays; equal scores keep their order.
    halves = corners((0, 0, 2, 1), (0, 0, 1, 1))
    assert suppress(halves, np.array([0.5, 0.5]), 0.5).tolist() == [0, 1]
    assert suppress(halves, np.array([0.5, 0.5]), 0.49).tolist() == [0]
    assert suppress(np.zeros((0, 4)), np.zeros(0), 0.5).tolist() == []


def overlap(a, b):
    common = max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))
    return common / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common)


def greedy(boxes, scores, threshold):
    """Suppression as it is described: take the best, drop all that overlap it too much, repeat."""
    left, kept = sorted(range(len(boxes)), key=lambda k: -scores[k]), []
    while left:
        best = left.pop(0)
        kept.append(best)
        left = [k for k in left if overlap(boxes[best], boxes[k]) <= threshold]
    return kept


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.sampled_from((0.1, 0.45, 0.7)))
def test_suppression_equals_the_literal_one_and_tensorflows(seed, count, threshold):
    import tensorflow as tf

    rng = np.random.default_rng(seed)
    low = rng.uniform(0, 0.6, (count, 2))
    boxes = np.concatenate([low, low + rng.uniform(0.1, 0.4, (count, 2))], axis=1).astype(np.float32)
    scores = rng.permutation(count) / count
    borders = [abs(overlap(a, b) - threshold) for a in boxes.astype(float) for b in boxes.astype(float)]
    assume(min(borders) > 1e-5)
    kept = suppress(boxes, scores, threshold).tolist()
    assert kept == greedy(boxes.astype(float), scores, threshold)
    theirs = tf.image.non_max_suppression(boxes, scores.astype(np.float32), count, threshold)
    assert kept == theirs.numpy().tolist()
    assert suppress(boxes, scores, threshold, limit=3).tolist() == kept[:3]


def test_suppression_is_per_class():
    # Two anchors of equal size in one cell predict the same box; classes .9 and .1 each, objectness .8 and .5.
    logits = np.zeros((1, 1, 1, 14), np.float32)
    logits[..., 4], logits[..., 11] = math.log(4), 0.0
    logits[..., 5] = logits[..., 12] = math.log(9)
    found = detections(logits, ((0.5, 0.5), (0.5, 0.5)), 2, score=0.01)[0]
    # Scores: anchor 0 .72 and .08, anchor 1 .45 and .05: the second falls to the first within each class.
    assert found.scores == pytest.approx((0.72, 0.08))
    assert found.classes.tolist() == [0, 1]
    assert found.boxes == pytest.approx(np.array([[0.25, 0.25, 0.75, 0.75]] * 2))


def test_boxes_are_clipped_and_scores_thresholded():
    # The anchor is twice the image, the score .5 · .5 = .25 for either class.
    logits = np.zeros((2, 1, 1, 7), np.float32)
    logits[1, ..., 4] = -9.0
    first, second = detections(logits, ((2.0, 2.0),), 2, score=0.25)
    assert first.boxes.tolist() == [[0, 0, 1, 1]] * 2
    assert len(second) == 0
    assert second.boxes.shape == (0, 4)
    assert len(detections(logits, ((2.0, 2.0),), 2, score=0.26)[0]) == 0


def test_the_best_are_kept_over_all_classes():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (1, 4, 4, 3 * 8)).astype(np.float32)
    anchors = ((0.5, 0.5), (1.0, 0.7), (0.6, 1.2))
    everything = detections(logits, anchors, 3, limit=1000)[0]
    best = detections(logits, anchors, 3, limit=7)[0]
    assert len(everything) > 20
    assert (np.diff(everything.scores) <= 0).all()
    assert best.scores.tolist() == everything.scores[:7].tolist()
    assert best.classes.tolist() == everything.classes[:7].tolist()


def test_a_diverging_head_gives_finite_boxes():
    logits = np.full((1, 1, 2, 6), 1e4, np.float32)
    boxes, scores = numpy_decode(logits, ((10.0, 10.0),), 1)
    assert np.isfinite(boxes).all()
    assert np.isfinite(scores).all()
    found = detections(logits, ((10.0, 10.0),), 1)[0]
    assert found.boxes.tolist() == [[0, 0, 1, 1]]
    boxes, _ = numpy_decode(-logits, ((10.0, 10.0),), 1)
    assert (boxes[..., 2:] == 0).all()


def test_a_head_of_other_classes_is_refused():
    with pytest.raises(ValueError, match="Received a head of 7 channels; expected 1 anchors x .5 . 1 classes. = 6"):
        decode(np.zeros((1, 1, 1, 7), np.float32), ((1.0, 1.0),), 1)


def test_the_detector_reads_bytes_and_fractions_in_any_batches():
    model = YoloV2(2, "coco", image_size=(32, 64), variant="tiny", widths=(4,) * 8)
    images = np.random.default_rng(0).integers(0, 256, (5, 32, 64, 3), np.uint8)
    expected = detections(model(images.astype(np.float32) / 255, training=False), model.anchors, 2)
    for given_images, batch in ((images, 2), (images / 255.0, 16)):
        found = model.detect(given_images, batch_size=batch)
        assert len(found) == 5
        for mine, theirs in zip(found, expected, strict=True):
            assert len(mine) == len(theirs) > 0
            np.testing.assert_allclose(mine.boxes, theirs.boxes, atol=1e-4)
            np.testing.assert_allclose(mine.scores, theirs.scores, atol=1e-5)
    assert model.detect(images[:0]) == []
