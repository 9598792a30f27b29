"""The trained models in `weights/`: what the manifest says of each is true, and they find cars."""

import keras
import numpy as np
import pytest

from classify_prune.loading import load_classifier
from data_tools import boxes as box_tools
from data_tools.image_files import read_rgb, resize
from data_tools.kitti import read_labels
from run_tools import manifest
from run_tools.files import sha256
from yolo_prune.models import load_detector
from yolo_prune.network import TINY_WIDTHS

# Of the test drives of `--split drive --fractions .6 .1 .3`.
UNSEEN = ("000211", "001951", "002112", "003677", "004520", "006026")
MOST_BYTES = 12_000_000
MOST_WEIGHTS = 3_000_000
SHIPPED = {name: entry for name, entry in manifest.entries().items() if entry.model and "://" not in entry.model}
DETECTORS = [name for name, entry in SHIPPED.items() if entry.kind == "detection"]


def test_a_newcomer_finds_a_detector():
    assert "kitti-tiny" in DETECTORS
    # Where COCO's weights fit it has the published widths, so that others can begin where it began.
    model = load_detector("kitti-tiny")
    assert model.widths[:5] == TINY_WIDTHS[:5] and {"car", "pedestrian", "cyclist"} <= set(model.class_names)


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_model_is_what_the_manifest_says(name):
    entry = SHIPPED[name]
    path = manifest.location().parent / str(entry.model)
    assert (path.stat().st_size, sha256(path)) == (entry.size, entry.sha256)
    assert path.stat().st_size <= MOST_BYTES
    for field in ("description", "origin", "licence", "command", "data", "metrics"):
        assert getattr(entry, field), field
    model = load_detector(name) if entry.kind == "detection" else load_classifier(name)
    assert model.count_params() <= MOST_WEIGHTS
    assert getattr(model, "optimizer", None) is None
    assert {variable.dtype for variable in model.variables} == {"float32"}
    assert all(np.isfinite(keras.ops.convert_to_numpy(variable)).all() for variable in model.variables)


@pytest.mark.real
@pytest.mark.parametrize("name", DETECTORS)
def test_a_shipped_model_finds_most_cars_of_drives_that_it_has_not_seen(name, prune_data):
    root = prune_data / "kitti" / "training"
    model = load_detector(name)
    found = sure = total = 0
    for image_id in UNSEEN:
        image = read_rgb(root / "image_2" / f"{image_id}.jpg")
        detections = model.detect(resize(image, model.image_size)[None], score=0.15)[0].in_pixels(image.shape[:2])
        labels = read_labels(root / "label_2" / f"{image_id}.txt")
        cars = np.array([(box.left, box.top, box.right, box.bottom) for box in labels if box.class_name == "Car"])
        overlaps = box_tools.iou(cars, detections.boxes) > 0.5
        overlaps &= detections.classes == model.class_names.index("car")
        found += int(overlaps.any(axis=1).sum())
        sure += int((overlaps & (detections.scores >= 0.3)).any(axis=1).sum())
        total += len(cars)
    assert found > 0.6 * total
    assert sure > 0.5 * total
