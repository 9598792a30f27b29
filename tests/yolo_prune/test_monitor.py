"""What is watched during training: AP on the validation images, and pictures of them."""

import cv2
import numpy as np
import pytest

from data_tools.event_images import write_images
from data_tools.store import open_store
from yolo_prune import monitor
from yolo_prune.class_map import class_set
from yolo_prune.monitor import Pictures, ValidationAP
from yolo_prune.predict import predictions, truths
from yolo_prune.records import Detections

MERGED = class_set("merged")


@pytest.fixture
def store(small_h5):
    return open_store(small_h5)


@pytest.fixture
def lookup(store):
    return MERGED.lookup(store.class_names)


class Oracle:
    """A detector that knows the truth of the images in the order it is shown them, and tells some classes of it."""

    image_size = (64, 128)

    def __init__(self, found, classes=range(5), score=0.9):
        self.found, self.classes, self.score = list(found), set(classes), score
        self.shapes, self.place = [], 0

    def detect(self, images, score=0.005, *_):
        self.shapes.append(images.shape)
        chosen = self.found[self.place : self.place + len(images)]
        self.place += len(images)
        told = []
        for truth in chosen:
            height, width = truth.size
            kept = [k for k, label in enumerate(truth.classes) if label in self.classes]
            boxes = truth.boxes[kept] / np.array([width, height, width, height])
            scores = np.full(len(kept), self.score)
            told.append(Detections(boxes, scores, truth.classes[kept]))
        return told


def watch(store, lookup, model, epoch=0, split="val", **options):
    callback = ValidationAP(store, split, lookup, MERGED.names, **{"epochs": [1], **options})
    callback.set_model(model)
    logs = {"loss": 1.0}
    callback.on_epoch_end(epoch, logs)
    return callback, logs


def test_truths_are_in_pixels_of_the_original_images(store, lookup, true_boxes):
    view = store["train"]
    for index, truth in enumerate(truths(store, "train", lookup)):
        expected = true_boxes(int(view.ids[index]))
        assert truth.size == ((120, 200), (150, 240))[int(view.ids[index]) % 2]
        assert sorted(truth.names) == sorted(name for name, *_ in expected)
        for name, label, box in zip(truth.names, truth.classes, truth.boxes, strict=True):
            assert any(name == wanted and box == pytest.approx(sides, abs=1e-3) for wanted, *sides in expected)
            # Van is a car, a Cyclist is number 2, DontCare nothing.
            assert label == {"Car": 0, "Van": 0, "Pedestrian": 1, "Cyclist": 2, "DontCare": -1}[name]


def test_predictions_are_in_pixels_of_the_original_images(store, lookup):
    expected = truths(store, "train", lookup)
    model = Oracle(expected)
    found = list(predictions(model, store["train"], batch_size=5))
    # 12 images in batches of 5, stretched to the network's size.
    assert model.shapes == [(5, 64, 128, 3), (5, 64, 128, 3), (2, 64, 128, 3)]
    for truth, detected in zip(expected, found, strict=True):
        np.testing.assert_allclose(detected.boxes, truth.boxes[truth.classes >= 0], atol=1e-3)
    assert len(list(predictions(Oracle(expected), store["train"], count=3))) == 3


def test_a_perfect_detector_has_ap_one(store, lookup):
    callback, logs = watch(store, lookup, Oracle(truths(store, "val", lookup)))
    assert logs["val_ap50"] == pytest.approx(1.0)
    assert logs["val_ap50_car"] == pytest.approx(1.0)
    # 4 images with fewer than 50 boxes of each class: all classes that occur count.
    present = {MERGED.names[label] for truth in callback.truths for label in truth.classes if label >= 0}
    assert set(callback.counted) == present
    assert set(logs) == {"loss", "val_ap50", *(f"val_ap50_{name}" for name in present)}


def test_the_mean_is_over_classes(store, lookup):
    # Only cars are found: 1 for them and 0 for the others.
    callback, logs = watch(store, lookup, Oracle(truths(store, "val", lookup), classes=[0]))
    assert logs["val_ap50_car"] == pytest.approx(1.0)
    assert logs["val_ap50_pedestrian"] == 0.0
    assert logs["val_ap50"] == pytest.approx(1 / len(callback.counted))


def test_rare_classes_do_not_count_where_others_are_frequent(store, lookup, monkeypatch):
    # 12 training images have 12 pedestrians and more cars, but only a third of them a cyclist.
    monkeypatch.setattr(monitor, "MIN_BOXES", 10)
    callback, logs = watch(store, lookup, Oracle(truths(store, "train", lookup)), split="train")
    assert callback.counted == ["car", "pedestrian"]
    assert set(logs) == {"loss", "val_ap50", "val_ap50_car", "val_ap50_pedestrian"}


def test_only_some_epochs_and_images(store, lookup):
    _, logs = watch(store, lookup, Oracle([]), epoch=1, epochs=[1, 3])
    assert logs == {"loss": 1.0}
    model = Oracle(truths(store, "val", lookup))
    callback, logs = watch(store, lookup, model, epoch=2, epochs=[1, 3], limit=2)
    assert "val_ap50" in logs
    assert len(callback.truths) == 2
    assert [shape[0] for shape in model.shapes] == [2]


def images_in(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder)).Reload()
    return {tag: found.Images(tag) for tag in found.Tags()["images"]}


def test_pictures_show_truth_above_prediction(store, lookup, tmp_path):
    expected = truths(store, "val", lookup)
    callback = Pictures(tmp_path, store, "val", lookup, MERGED.names, every=5, count=2)
    callback.set_model(Oracle([expected[0], expected[3]]))
    callback.on_epoch_end(3)
    Pictures(tmp_path, store, "val", lookup, MERGED.names, every=0).on_epoch_end(0)
    assert not list(tmp_path.iterdir())
    callback.on_epoch_end(5)
    # Two of four images, spread over the split: the first and the last.
    ids = [store["val"].ids[index] for index in (0, 3)]
    found = images_in(tmp_path)
    assert set(found) == {f"detections/{name}" for name in ids}
    for name, truth in zip(ids, (expected[0], expected[3]), strict=True):
        (image,) = found[f"detections/{name}"]
        assert image.step == 5
        # One above the other, each as wide as the original and at least as high.
        assert image.width >= truth.size[1]
        assert image.height >= 2 * truth.size[0]


def test_an_image_comes_back_from_the_event_file(tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    write_images(tmp_path, {"a": picture, "b": picture[:2]}, 4)
    found = images_in(tmp_path)
    assert {tag: (image[0].height, image[0].width, image[0].step) for tag, image in found.items()} == {
        "a": (5, 7, 4),
        "b": (2, 7, 4),
    }
    decoded = cv2.imdecode(np.frombuffer(found["a"][0].encoded_image_string, np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), picture)
