"""The detector under masks: its head is left out, it learns, saves and goes on."""

import keras
import numpy as np

from prune_tools import cost, masks
from yolo_prune import RegionLoss, YoloV2


def test_the_detector_is_pruned_but_its_head(tmp_path):
    keras.utils.set_random_seed(0)
    model = YoloV2(2, ((1, 1), (2, 3)), (32, 64), "tiny", widths=(4,) * 8)
    model.compile(keras.optimizers.Adam(1e-2), loss=RegionLoss(model.anchors, 2))
    found = masks.global_magnitude(model, 0.6)
    # Eight convolutions: 3·3·3·4 = 108 and seven of 3·3·4·4 = 144; the ninth makes the output.
    assert len(found) == 8 and found.total == 108 + 7 * 144
    found.hold(model)
    images, boxes = np.random.default_rng(0).random((4, 32, 64, 3), np.float32), np.zeros((4, 2, 5), np.float32)
    boxes[:, 0] = (0.3, 0.4, 0.2, 0.3, 1)
    model.fit(images, boxes, batch_size=2, epochs=1, verbose=0, callbacks=[found.callback()])
    model.save(tmp_path / "held.keras")
    loaded = keras.saving.load_model(tmp_path / "held.keras")
    assert isinstance(loaded, YoloV2) and found.violations(loaded) == {}
    found.hold(loaded)
    loaded.fit(images, boxes, batch_size=2, epochs=1, verbose=0, callbacks=[found.callback()])
    assert cost.summary(loaded)["macs"] > cost.summary(loaded)["macs_nonzero"] > 0
