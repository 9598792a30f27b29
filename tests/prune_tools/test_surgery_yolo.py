"""The project's own detectors through surgery, and back as their own class."""

from __future__ import annotations

import numpy as np
import pytest

from prune_tools import statistics, surgery
from prune_tools.graph import Graph
from yolo_prune import YoloV2


@pytest.mark.parametrize("variant", ["tiny", "full"])
def test_both_networks_stay_what_they_are(variant, tmp_path):
    model = YoloV2(2, "coco", (64, 64), variant, width_multiplier=0.1)
    model.get_layer("conv_1").trainable = False
    groups = [group for group in Graph(model).groups if group.removable.all()]
    assert len(groups) == len(model.widths)  # every convolution is a group of its own but the head
    units = {group.name: range(0, group.units, 4) for group in groups}
    images = np.random.default_rng(0).random((2, 64, 64, 3), np.float32)
    operation = surgery.Surgery(model, units, statistics=statistics.collect(model, images))
    smaller = operation.smaller()
    assert type(smaller) is YoloV2
    assert list(smaller.widths) == [width - len(range(0, width, 4)) for width in model.widths]
    assert (smaller.anchors, smaller.variant, smaller.image_size) == (model.anchors, variant, (64, 64))
    assert not smaller.get_layer("conv_1").trainable
    assert operation.certificate(images, smaller).sound()
