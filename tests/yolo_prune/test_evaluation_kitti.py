"""The KITTI metric against hand-computed cases, a literal slow version and the devkit's own answers."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.literal.kitti_devkit import literal_ap
from data_tools.boxes import scale
from run_tools.errors import InputError
from yolo_prune.evaluation.kitti import Frame, average_precision, curves, kitti
from yolo_prune.evaluation.kitti_matching import sample
from yolo_prune.records import Detections, Truth
from yolo_prune.verbs_kitti import KittiEval, kitti_eval

CAR = (100.0, 100.0, 200.0, 150.0)  # 100 x 50 pixels: easy


def frame(truth=(), found=()):
    """Truth rows: name, box[, truncated, occluded]; found rows: name, box, score."""
    rows = [(*row, 0.0, 0)[:4] for row in truth]
    return Frame(
        np.array([row[1] for row in rows], float).reshape(-1, 4),
        [row[0] for row in rows],
        np.array([row[2] for row in rows], float),
        np.array([row[3] for row in rows], int),
        np.array([row[1] for row in found], float).reshape(-1, 4),
        np.array([row[2] for row in found], float),
        [row[0] for row in found],
    )


def moved(box, right=0.0, down=0.0):
    return (box[0] + right, box[1] + down, box[2] + right, box[3] + down)


def test_one_car_found_gives_one_sample():
    # One true box, one true positive: the only threshold is its score, sample 0 has precision 1, samples 1-40 are 0.
    # AP11 = (1 + 10 * 0) / 11, AP40 = 0 / 40.
    result = average_precision([frame([("Car", CAR)], [("Car", CAR, 0.9)])])
    assert result["car"]["easy"] == {"AP11": pytest.approx(100 / 11), "AP40": 0.0}
    assert result["pedestrian"]["easy"] == {"AP11": None, "AP40": None}


def test_forty_cars_found_and_one_better_scoring_false_positive():
    # 40 found cars, scores .99, .98, ...: each score's recall (k + 1)/40 lies beyond the wanted k/40, so the devkit
    # passes over none of them and there are 40 thresholds: samples 0 ... 39.
    # The false positive scores higher than all: precision at sample k is (k + 1) / (k + 2), rising, so the maximum
    # from the right is 40/41 in samples 0 ... 39 and sample 40 is 0.
    # AP40 = 39 * (40/41) / 40; AP11 = samples 0, 4, ..., 36 of 11 = 10 * (40/41) / 11.
    frames = [frame([("Car", CAR)], [("Car", CAR, 0.99 - 0.01 * k)]) for k in range(40)]
    frames.append(frame([], [("Car", CAR, 1.0)]))
    easy = average_precision(frames)["car"]["easy"]
    assert easy["AP40"] == pytest.approx(100 * 39 * (40 / 41) / 40)
    assert easy["AP11"] == pytest.approx(100 * 10 * (40 / 41) / 11)


def ap11(truth, found):
    """AP11 of a scene beside one found car of score .5: 100/11 where the rest counts nothing."""
    scene = frame([("Car", moved(CAR, 500)), *truth], [("Car", moved(CAR, 500), 0.5), *found])
    return {level: value["AP11"] for level, value in average_precision([scene])["car"].items()}


NOTHING = pytest.approx(100 / 11)
FALSE_POSITIVE = pytest.approx(50 / 11)  # precision 1/2 at the only sample


@pytest.mark.parametrize(
    ("truth", "found", "easy", "moderate", "hard"),
    [
        ([], [("Car", CAR, 0.9)], FALSE_POSITIVE, FALSE_POSITIVE, FALSE_POSITIVE),
        # scores less than the only threshold
        ([], [("Car", CAR, 0.4)], NOTHING, NOTHING, NOTHING),
        # Van is neutral, and holds the detection; Truck is not
        ([("Van", CAR)], [("Car", CAR, 0.9)], NOTHING, NOTHING, NOTHING),
        ([("Truck", CAR)], [("Car", CAR, 0.9)], FALSE_POSITIVE, FALSE_POSITIVE, FALSE_POSITIVE),
        # a duplicate is a false positive
        ([("Van", CAR)], [("Car", CAR, 0.9), ("Car", CAR, 0.8)], FALSE_POSITIVE, FALSE_POSITIVE, FALSE_POSITIVE),
        # detections of other classes take no part
        ([], [("Van", CAR, 0.9), ("Pedestrian", CAR, 0.9)], NOTHING, NOTHING, NOTHING),
        # 39.9 pixels high is 39 < 40: ignored in easy; 25 pixels pass moderate and hard; 24.9 pass nothing
        ([], [("Car", (100, 100, 200, 139.9), 0.9)], NOTHING, FALSE_POSITIVE, FALSE_POSITIVE),
        ([], [("Car", (100, 100, 200, 125.0), 0.9)], NOTHING, FALSE_POSITIVE, FALSE_POSITIVE),
        ([], [("Car", (100, 100, 200, 124.9), 0.9)], NOTHING, NOTHING, NOTHING),
        # DontCare: 75 of 100 pixels of width are inside, .75 > .7; 65 are not enough for cars
        ([("DontCare", (0, 0, 175, 400))], [("Car", CAR, 0.9)], NOTHING, NOTHING, NOTHING),
        ([("DontCare", (0, 0, 165, 400))], [("Car", CAR, 0.9)], FALSE_POSITIVE, FALSE_POSITIVE, FALSE_POSITIVE),
    ],
)
def test_what_counts_nothing(truth, found, easy, moderate, hard):
    assert ap11(truth, found) == {"easy": easy, "moderate": moderate, "hard": hard}


@pytest.mark.parametrize(
    ("truncated", "occluded", "height", "valid"),
    [
        (0.15, 0, 41, ("easy", "moderate", "hard")),
        (0.16, 0, 41, ("moderate", "hard")),
        (0.3, 1, 26, ("moderate", "hard")),
        (0.31, 1, 26, ("hard",)),
        (0.5, 2, 26, ("hard",)),
        (0.51, 2, 26, ()),
        (0.0, 3, 41, ()),
        (0.0, 0, 40, ("moderate", "hard")),  # the devkit wants more than 40 and 25 pixels of a true box
        (0.0, 0, 25, ()),
    ],
)
def test_difficulty_of_a_true_box(truncated, occluded, height, valid):
    # A found valid box gives AP11 100/11; an ignored one leaves nothing to find, which the devkit calls 0.
    box = (100, 100, 200, 100 + height)
    result = average_precision([frame([("Car", box, truncated, occluded)], [("Car", box, 0.5)])])["car"]
    for level, value in result.items():
        assert value["AP11"] == pytest.approx(100 / 11 if level in valid else 0.0)


def test_truncation_of_exactly_the_limit_survives_float32():
    truth = Truth([CAR], [0], (375, 1242), truncated=np.array([0.15], np.float32), names=("Car",))
    assert kitti([truth], [Detections([CAR], [0.5], [0])], ["car"])["car"]["easy"]["AP11"] == pytest.approx(100 / 11)


def test_a_height_of_exactly_the_limit_survives_the_stored_image():
    # 25 pixels in the label file, which is not more than 25: to the stored size in float32, as compiled, and back.
    tops = np.arange(100, 300) + 0.37
    boxes = np.stack([tops, tops, tops + 60, tops + 25], axis=1)
    stored = scale(boxes, (375, 1242), (384, 1248)).astype(np.float32)
    back = scale(stored, (384, 1248), (375, 1242)).astype(np.float32)
    heights = back[:, 3].astype(float) - back[:, 1]
    assert (heights > 25).any() and (heights < 25).any()
    for box in back[heights > 25]:
        truth = Truth([box], [0], (375, 1242), names=("Car",))
        found = Detections([[box[0], box[1], box[2], box[3] + 1]], [0.5], [0])
        assert kitti([truth], [found], ["car"])["car"]["hard"]["AP11"] == 0.0


def test_an_unignored_detection_displaces_an_ignored_one():
    # Pedestrian of 50 px; the first detection is 39 px high (ignored in easy, IoU 39/50), the second 45 (IoU 45/50).
    # In the second pass the proper one wins although it comes later: one true positive, no false positive.
    person = (100, 100, 120, 150)
    found = [("Pedestrian", (100, 100, 120, 139), 0.4), ("Pedestrian", (100, 100, 120, 145), 0.5)]
    easy = average_precision([frame([("Pedestrian", person)], found)])["pedestrian"]["easy"]
    assert easy["AP11"] == pytest.approx(100 / 11)
    # By score the ignored one is taken in the first pass when it scores more: no threshold at all.
    found = [("Pedestrian", (100, 100, 120, 139), 0.6), ("Pedestrian", (100, 100, 120, 145), 0.5)]
    easy = average_precision([frame([("Pedestrian", person)], found)])["pedestrian"]["easy"]
    assert easy["AP11"] == 0.0


def test_the_highest_overlap_wins_in_the_second_pass():
    # Boxes 100 x 50, moved to the right: true A at 0, true B at 30; detections P at 20 and Q at -5, in this order.
    # IoU: A-P 80/120 = .67, A-Q 95/105 = .90, B-P 90/110 = .82, B-Q 65/135 = .48 (not enough).
    # At the threshold .5 A takes Q although P comes first, and leaves P to B: two true positives, none false.
    # Samples 0 and 1 are 1, so AP40 = 1/40; had A taken P, Q would be false and sample 1 be 1/2.
    truth = [("Pedestrian", CAR), ("Pedestrian", moved(CAR, 30))]
    found = [("Pedestrian", moved(CAR, 20), 0.5), ("Pedestrian", moved(CAR, -5), 0.9)]
    assert average_precision([frame(truth, found)])["pedestrian"]["easy"]["AP40"] == pytest.approx(100 / 40)


def test_small_detections_of_another_class_hold_a_true_box():
    # Rule 2: a Cyclist detection of 39 px is ignored "whatever its class" and takes the easy pedestrian away.
    person = (100, 100, 120, 150)
    found = [("Cyclist", (100, 100, 120, 139), 0.6)]
    scene = frame([("Pedestrian", person), ("Pedestrian", moved(person, 300))], found)
    assert average_precision([scene])["pedestrian"]["easy"]["AP40"] == 0.0


def test_classes_of_a_detector_become_kittis():
    truth = Truth([CAR, (10, 10, 40, 90)], [2, 0], (375, 1242), names=("Car", "Pedestrian"))
    found = Detections([CAR, (10, 10, 40, 90)], [0.9, 0.9], [2, 0])
    result = kitti([truth], [found], ["person", "bicycle", "car"])
    assert result["car"]["easy"]["AP11"] == pytest.approx(100 / 11)
    assert result["pedestrian"]["easy"]["AP11"] == pytest.approx(100 / 11)


def test_the_curve_behind_ap():
    # One car of two is found: one threshold, where precision is 1. The pedestrian is 30 px high: not in easy.
    truth = Truth([CAR, moved(CAR, 300), (10, 10, 40, 40)], [0, 0, 1], (375, 1242), names=("Car", "Car", "Pedestrian"))
    found = [Detections([CAR], [0.9], [0])]
    result = curves([truth], found, ["car", "pedestrian"])
    assert {name: values.tolist() for name, values in result.items()} == {
        "car": [1.0] + [0.0] * 40,
        "pedestrian": [0.0] * 41,
    }
    assert list(curves([truth], found, ["car", "pedestrian"], "easy")) == ["car"]


def test_truth_without_names_is_refused():
    with pytest.raises(InputError, match="without KITTI class names"):
        kitti([Truth([CAR], [0], (375, 1242))], [Detections([], [], [])], ["car"])


def test_no_image_at_all():
    assert average_precision([])["car"]["easy"] == {"AP11": None, "AP40": None}


def test_sample_skips_scores_nearer_to_the_next_recall():
    # 80 true boxes, all found: recalls 1/80, 2/80, ... Wanted 0: the first (1/80). Wanted 1/40 = 2/80: 2/80 is exact.
    # Wanted 2/40 = 4/80: 3/80 is passed over, as 4/80 is nearer. So scores 1, 2, 4, 6, ..., 80: 41 of them.
    scores = np.linspace(1, 0.2, 80)
    chosen = sample(scores, 80)
    assert chosen.tolist() == scores[[0, *range(1, 80, 2)]].tolist()
    assert len(chosen) == 41


# --- the literal slow version -----------------------------------------------------------------------------------------


def crowded(seed):
    """A few small images whose boxes overlap much more than any real ones."""
    rng = np.random.default_rng(seed)
    names = ["Car", "Car", "Van", "Pedestrian", "Pedestrian", "Person_sitting", "Cyclist", "Truck", "DontCare"]
    frames = []
    for _ in range(rng.integers(1, 5)):
        truth, found = [], []
        for _ in range(rng.integers(0, 7)):
            left, top = rng.integers(0, 60, 2)
            box = (left, top, left + rng.integers(20, 60), top + rng.integers(20, 60))
            truth.append((rng.choice(names), box, rng.choice([0, 0, 0.15, 0.3, 0.4, 0.6]), rng.choice([0, 0, 1, 2, 3])))
            for _ in range(rng.integers(0, 4)):
                moved_box = np.array(box) + rng.integers(-4, 5, 4)
                found.append((rng.choice(names[:-1]), tuple(moved_box), rng.integers(0, 12) / 12))
        frames.append(frame(truth, found))
    return frames


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_agrees_with_the_literal_version(seed):
    frames = crowded(seed)
    result = average_precision(frames)
    for name, levels in result.items():
        for level, value in levels.items():
            if value["AP11"] is not None:
                assert value == pytest.approx(literal_ap(frames, name, level), abs=1e-9)


@pytest.mark.real
def test_the_devkits_own_answers(prune_data):
    # expected.json is what the official C++ program prints for these files.
    folder = prune_data / "kitti_eval"
    result = kitti_eval(KittiEval(folder / "label_2", folder / "results"))
    expected = json.loads((folder / "expected.json").read_text())
    assert len(expected) == 9
    for key, value in expected.items():
        name, level = key.split("/")
        assert result[name][level] == pytest.approx(value, abs=1e-3), key
