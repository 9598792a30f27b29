"""COCO metrics against hand-computed cases and a literal implementation of AP50 with crowd regions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yolo_prune.evaluation.coco import ap50, coco, curves
from yolo_prune.records import Detections, Truth

SIZE = (375, 1242)
BOX = (100.0, 100.0, 200.0, 150.0)  # area 5000: between 32² = 1024 and 96² = 9216, so medium
NAMES = ("Car", "Pedestrian")


def moved(box, right):
    return (box[0] + right, box[1], box[2] + right, box[3])


def test_a_perfect_detection():
    result = coco([Truth([BOX], [0], SIZE)], [Detections([BOX], [0.9], [0])], NAMES)
    whole = {"AP": 1.0, "AP50": 1.0, "AP75": 1.0, "AP_small": None, "AP_medium": 1.0, "AP_large": None}
    assert result["car"] == pytest.approx(whole)
    assert result["all"] == pytest.approx(whole)  # the mean over the classes that have a true box
    assert set(result["pedestrian"].values()) == {None}
    assert list(result) == ["all", "car", "pedestrian"]


def test_ap_over_ious():
    # The detection is 20 of 100 pixels to the right: IoU = 80 / 120 = .667, so it counts at .50, .55, .60, .65 of ten.
    result = coco([Truth([BOX], [0], SIZE)], [Detections([moved(BOX, 20)], [0.9], [0])], NAMES)["car"]
    assert result["AP"] == pytest.approx(0.4)
    assert (result["AP50"], result["AP75"]) == (pytest.approx(1.0), 0.0)


def test_ap50_with_a_better_scoring_false_positive_and_a_miss():
    # Scores .9 false, .8 true; two true boxes. Precision at recall 1/2 is 1/2, beyond it 0.
    # 101 recalls 0, .01, ..., 1: 51 of them reach to .5, so AP50 = 51 / 101 * 1/2.
    truth = Truth([BOX, moved(BOX, 300)], [0, 0], SIZE)
    found = Detections([moved(BOX, 600), BOX], [0.9, 0.8], [0, 0])
    assert ap50([truth], [found], NAMES)["car"] == pytest.approx(51 / 101 / 2)


def test_the_first_annotation_counts():
    # pycocotools reads a match with annotation id 0 as none: the first box of the first image would always be missed.
    truths = [Truth([BOX], [0], SIZE), Truth([BOX], [0], SIZE)]
    found = [Detections([BOX], [0.9], [0]), Detections([BOX], [0.8], [0])]
    assert ap50(truths, found, NAMES)["car"] == pytest.approx(1.0)


@pytest.mark.parametrize("class_index", [0, 1])
def test_dont_care_is_a_crowd_region_of_every_class(class_index):
    # Three better-scoring detections in the region, which may swallow any number: none is a false positive.
    region = (500.0, 50.0, 700.0, 200.0)
    truth = Truth([BOX, region], [class_index, -1], SIZE)
    boxes = [moved(BOX, 420), moved(BOX, 440), moved(BOX, 460), BOX]
    found = Detections(boxes, [0.95, 0.94, 0.93, 0.5], [class_index] * 4)
    name = NAMES[class_index].lower()
    assert ap50([truth], [found], NAMES)[name] == pytest.approx(1.0)
    # Without the region the true positive is the last of four: precision 1/4.
    bare = Truth([BOX], [class_index], SIZE)
    assert ap50([bare], [found], NAMES)[name] == pytest.approx(1 / 4)


def test_a_class_with_only_dont_care_regions_has_no_figure():
    result = ap50([Truth([BOX], [-1], SIZE)], [Detections([BOX], [0.9], [0])], NAMES)
    assert result == {"all": None, "car": None, "pedestrian": None}


def test_images_without_anything():
    truths = [Truth([], [], SIZE), Truth([BOX], [0], SIZE)]
    assert ap50(truths, [Detections([], [], [])] * 2, NAMES) == {"all": 0.0, "car": 0.0, "pedestrian": None}


def test_an_inverted_box_is_a_false_positive():
    # pycocotools would ignore its negative area. The true positive comes second: precision 1/2.
    found = Detections([(300, 100, 290, 150), BOX], [0.9, 0.8], [0, 0])
    assert ap50([Truth([BOX], [0], SIZE)], [found], NAMES)["car"] == pytest.approx(0.5)


def test_pycocotools_is_silent(capsys):
    coco([Truth([BOX], [0], SIZE)], [Detections([BOX], [0.9], [0])], NAMES)
    assert capsys.readouterr().out == ""


# --- literal AP50 -----------------------------------------------------------------------------------------------------


def literal_iou(box, other, crowd):
    width, height = min(box[2], other[2]) - max(box[0], other[0]), min(box[3], other[3]) - max(box[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    own, others = (max(b[2] - b[0], 0) * max(b[3] - b[1], 0) for b in (box, other))
    return width * height / (own if crowd else own + others - width * height)


def literal_ap50(truths, detections, class_index):
    """Each detection, by score, takes the free true box it overlaps most, else a crowd region, which ignores it."""
    outcomes, total = [], 0
    for truth, found in zip(truths, detections, strict=True):
        own = [box for box, c in zip(truth.boxes, truth.classes, strict=True) if c == class_index]
        regions = [box for box, c in zip(truth.boxes, truth.classes, strict=True) if c == -1]
        total += len(own)
        mine = [k for k in range(len(found)) if found.classes[k] == class_index]
        taken = set()
        for k in sorted(mine, key=lambda k: -found.scores[k])[:100]:
            overlaps = [(literal_iou(found.boxes[k], box, False), i) for i, box in enumerate(own) if i not in taken]
            overlap, best = max(overlaps, default=(0.0, -1))
            if overlap >= 0.5:
                taken.add(best)
                outcomes.append((found.scores[k], 1))
            elif not any(literal_iou(found.boxes[k], box, True) >= 0.5 for box in regions):
                outcomes.append((found.scores[k], 0))
    if total == 0:
        return None
    outcomes.sort(key=lambda outcome: -outcome[0])
    points, true = [], 0
    for rank, (_, hit) in enumerate(outcomes, start=1):
        true += hit
        points.append((true / total, true / rank))
    # the highest precision at any recall of at least r, for r = 0, .01, ..., 1
    best = [
        max((precision for recall, precision in points if recall >= r), default=0.0) for r in np.linspace(0, 1, 101)
    ]
    return sum(best) / 101


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_ap50_agrees_with_the_literal_version(seed):
    rng = np.random.default_rng(seed)
    truths, detections = [], []
    for _ in range(rng.integers(1, 5)):
        corners = rng.uniform(0, 200, (rng.integers(0, 7), 2))
        boxes = np.concatenate([corners, corners + rng.uniform(10, 120, corners.shape)], axis=1)
        classes = rng.integers(-1, 2, len(boxes))
        copies = np.repeat(boxes, 3, axis=0)
        found = copies + rng.normal(0, 8, copies.shape)
        # distinct scores: what pycocotools does with equal ones depends on the order of images alone
        scores = rng.permutation(len(found)) / 100 + rng.uniform(0, 0.009)
        truths.append(Truth(boxes, classes, SIZE))
        detections.append(Detections(found, scores, rng.integers(0, 2, len(found))))
    result = ap50(truths, detections, NAMES)
    expected = {name.lower(): literal_ap50(truths, detections, k) for k, name in enumerate(NAMES)}
    known = [value for value in expected.values() if value is not None]
    expected["all"] = sum(known) / len(known) if known else None
    full = coco(truths, detections, NAMES)
    for name, value in expected.items():
        assert result[name] == (None if value is None else pytest.approx(value, abs=1e-9)), name
        assert full[name]["AP50"] == (None if value is None else pytest.approx(result[name], abs=1e-12)), name


def test_the_curve_behind_ap50():
    # As above: a false positive, then one of two true boxes. Precision 1/2 at recalls 0 ... .5, nothing beyond.
    truth = Truth([BOX, moved(BOX, 300)], [0, 0], SIZE)
    found = Detections([moved(BOX, 600), BOX], [0.9, 0.8], [0, 0])
    precision = curves([truth], [found], NAMES)
    assert precision.shape == (2, 101) and precision[0] == pytest.approx([0.5] * 51 + [0.0] * 50)
    assert (precision[1] == -1).all()
