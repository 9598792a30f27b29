"""`evaluate` and its table: all metrics together, in the shape the interface promises."""

import json
import time

import numpy as np
import pytest

from run_tools.errors import InputError
from yolo_prune.evaluation import evaluate, table
from yolo_prune.records import Detections, Truth

SIZE = (375, 1242)
NAMES = ("car", "pedestrian", "cyclist", "truck", "tram")
CAR = (100.0, 100.0, 200.0, 150.0)
PERSON = (300.0, 100.0, 330.0, 180.0)


def scene():
    """A car found, a pedestrian missed, a Van found, a detection in a DontCare region, a truck that is none."""
    van, region = (400.0, 100.0, 500.0, 160.0), (700.0, 100.0, 900.0, 200.0)
    truth = Truth([CAR, PERSON, van, region], [0, 1, 0, -1], SIZE, names=("Car", "Pedestrian", "Van", "DontCare"))
    inside, nowhere = (720.0, 110.0, 800.0, 180.0), (1000.0, 100.0, 1100.0, 150.0)
    found = Detections([CAR, van, inside, nowhere], [0.9, 0.8, 0.85, 0.95], [0, 0, 0, 3])
    return [truth], [found]


def test_all_metrics_of_one_scene():
    result = evaluate(*scene(), NAMES)
    assert set(result) == {"paper", "one_to_one", "kitti", "coco"}
    # Algorithm 1 knows no DontCare: the detection there is false. Two of three car predictions are true.
    assert result["paper"]["car"] == {"precision": pytest.approx(2 / 3), "recall": 1.0, "tp": 2, "fp": 1, "fn": 0}
    assert result["one_to_one"]["car"] == {"precision": 1.0, "recall": 1.0, "tp": 2, "fp": 0, "fn": 0}
    assert result["one_to_one"]["truck"] == {"precision": 0.0, "recall": None, "tp": 0, "fp": 1, "fn": 0}
    # One valid car, found: only sample 0, 1/11. The pedestrian is missed: 0. No cyclist anywhere: None.
    assert result["kitti"]["car"]["easy"] == {"AP11": pytest.approx(100 / 11), "AP40": 0.0}
    assert result["kitti"]["pedestrian"]["hard"] == {"AP11": 0.0, "AP40": 0.0}
    assert result["kitti"]["cyclist"]["easy"] == {"AP11": None, "AP40": None}
    assert result["coco"]["car"]["AP50"] == pytest.approx(1.0)
    assert result["coco"]["pedestrian"]["AP50"] == 0.0
    # over car and pedestrian, the classes with a true box
    assert result["coco"]["all"]["AP50"] == pytest.approx(0.5)
    assert set(result["coco"]) == {"all", *NAMES}
    json.dumps(result, allow_nan=False)


def test_only_what_is_asked_for():
    truths, detections = scene()
    bare = [Truth(truths[0].boxes, truths[0].classes, SIZE)]
    assert set(evaluate(bare, detections, NAMES, metrics=("coco",))) == {"coco"}
    assert set(evaluate(bare, detections, NAMES, metrics=("paper",))) == {"paper", "one_to_one"}


def test_score_threshold():
    # At .86 the Van's detection (.8) and the one in the region (.85) are left out.
    result = evaluate(*scene(), NAMES, metrics=("paper",), score_threshold=0.86)
    for metric in ("paper", "one_to_one"):
        assert result[metric]["car"] == {"precision": 1.0, "recall": 0.5, "tp": 1, "fp": 0, "fn": 1}


def test_table_shows_every_metric_and_no_empty_class():
    text = table(evaluate(*scene(), NAMES))
    assert "Algorithm 1" in text
    assert "one-to-one" in text
    car = next(line for line in text.splitlines() if line.startswith("car"))
    assert car.split() == ["car", "0.667", "1.000", "2", "1", "0"]
    coco = text.split("COCO")[1].splitlines()
    assert [line.split()[0] for line in coco[3:]] == ["all", "car", "pedestrian"]
    assert len({len(line) for line in coco[1:]}) == 1  # columns are aligned


def test_table_of_nothing_found():
    empty = evaluate([Truth([], [], SIZE, names=())], [Detections([], [], [])], NAMES)
    assert "car" in table(empty)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"detections": []}, "1 images with true boxes and 0 with detections"),
        ({"truths": [], "detections": []}, "at least one"),
        ({"detections": [Detections([CAR], [0.5], [7])]}, "detected classes 7 to 7 in image 0"),
        ({"truths": [Truth([CAR], [5], SIZE, names=("Car",))]}, "true classes 5 to 5"),
        ({"detections": [Detections([CAR], [np.nan], [0])]}, "not finite"),
        ({"metrics": ("kity",)}, "did you mean 'kitti'"),
        ({"truths": [Truth([CAR], [0], SIZE)]}, "without KITTI class names"),
    ],
)
def test_mistakes_are_told(change, message):
    truths, detections = scene()
    with pytest.raises(InputError, match=message):
        evaluate(**({"truths": truths, "detections": detections, "class_names": NAMES} | change))


def test_hundreds_of_images_take_seconds():
    # 300 images of 6 objects and 60 detections: about one second; the limit allows for a busy machine.
    rng = np.random.default_rng(0)
    truths, detections = [], []
    for _ in range(300):
        corners = rng.uniform(0, 300, (6, 2))
        boxes = np.concatenate([corners, corners + rng.uniform(20, 150, (6, 2))], axis=1)
        classes = rng.integers(-1, 3, 6)
        kitti_names = [("DontCare", "Car", "Pedestrian", "Cyclist")[k + 1] for k in classes]
        truths.append(Truth(boxes, classes, SIZE, names=kitti_names))
        copies = np.repeat(boxes, 10, axis=0) + rng.normal(0, 8, (60, 4))
        detections.append(Detections(copies, rng.random(60), rng.integers(0, 5, 60)))
    started = time.perf_counter()
    evaluate(truths, detections, NAMES)
    assert time.perf_counter() - started < 10
