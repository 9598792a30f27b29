"""Which epochs get figures, and what TensorBoard finds of them."""

import numpy as np
import pytest

from data_tools.store import open_store
from yolo_prune.class_map import class_set
from yolo_prune.monitor import ValidationAP
from yolo_prune.monitor_figures import SHEETS, Judgement, chosen_epochs
from yolo_prune.records import Detections

MERGED = class_set("merged")


@pytest.mark.parametrize(
    ("validated", "every", "chosen"),
    [
        ([1, 2, 3], 0, set()),  # none
        # Stretches of ten epochs, 1-10, 11-20, 21-30: the first validation in each, and the last one.
        ([5, 10, 15, 20, 23], 10, {5, 15, 23}),
        ([1, 2, 3], 1, {1, 2, 3}),
        ([4, 8, 12], 100, {4, 12}),
        ([7], 3, {7}),
        ([], 3, set()),
    ],
)
def test_chosen_epochs(validated, every, chosen):
    assert chosen_epochs(validated, every) == chosen


class Blind:
    """A detector that finds one car in every image."""

    image_size = (64, 128)

    def detect(self, images, *_):
        return [Detections([[0.1, 0.1, 0.5, 0.5]], [0.9], [0])] * len(images)


def test_figures_of_what_was_judged(small_h5, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    store = open_store(small_h5)
    lookup = MERGED.lookup(store.class_names)
    validation = ValidationAP(store, "val", lookup, MERGED.names, [1, 2, 3])
    judgement = Judgement(tmp_path, validation, every=2)
    validation.set_model(Blind())
    for epoch in range(3):
        validation.on_epoch_end(epoch, {})
        judgement.on_epoch_end(epoch, {})
    assert len(validation.found) == 4
    found = EventAccumulator(str(tmp_path)).Reload()
    tags = {"curves/coco", "curves/kitti_moderate", "confusion", "scores", *(f"worst/{k + 1}" for k in range(SHEETS))}
    assert set(found.Tags()["images"]) == tags
    assert [image.step for image in found.Images("confusion")] == [0, 2]  # epochs 1 and 3, counted from 0


def test_before_the_first_validation_nothing_is_written(small_h5, tmp_path):
    store = open_store(small_h5)
    validation = ValidationAP(store, "val", np.zeros(8, int), ("car",), [5])
    Judgement(tmp_path, validation, every=2).on_epoch_end(0)
    assert not list(tmp_path.iterdir())
