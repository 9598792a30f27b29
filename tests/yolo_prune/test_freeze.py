"""Which layers learn, and that the others do not."""

import keras
import numpy as np
import pytest

from run_tools.errors import InputError
from yolo_prune.detector import YoloV2
from yolo_prune.freeze import freeze
from yolo_prune.loss import RegionLoss

BLOCKS = [name for i in range(1, 9) for name in (f"conv_{i}", f"norm_{i}")]


def tiny():
    return YoloV2(1, ((1.0, 1.0),), image_size=(32, 32), variant="tiny", widths=(4,) * 8)


@pytest.mark.parametrize(
    "train, expected",
    [
        ("all", [*BLOCKS, "conv_9"]),
        ("head", ["conv_9"]),
        ("top:1", ["conv_9"]),
        ("top:3", ["conv_7", "norm_7", "conv_8", "norm_8", "conv_9"]),
        ("top:9", [*BLOCKS, "conv_9"]),
        ("norm", [f"norm_{i}" for i in range(1, 9)]),
        ("names:conv_9", ["conv_9"]),
        ("names:conv_1*,norm_?", ["conv_1", "norm_1", *(f"norm_{i}" for i in range(2, 9))]),
        ("names:*_8,conv_9,conv_8", ["conv_8", "norm_8", "conv_9"]),
        ("except:conv_[1-7],norm_[1-7]", ["conv_8", "norm_8", "conv_9"]),
        ("except:norm_*", [f"conv_{i}" for i in range(1, 10)]),
    ],
)
def test_layers_that_learn(train, expected):
    model = tiny()
    for layer in model.layers:
        layer.trainable = "3" in layer.name
    assert freeze(model, train) == expected
    assert [layer.name for layer in model.layers if layer.weights and layer.trainable] == expected


def test_the_last_of_the_full_network_are_those_of_the_cfg():
    # The passthrough (21) stands between convolution 20 and 22, though it reads convolution 13.
    model = YoloV2(1, ((1.0, 1.0),), image_size=(32, 32), widths=(4,) * 22)
    assert sorted(freeze(model, "top:3")) == ["conv_21", "conv_22", "conv_23", "norm_21", "norm_22"]
    assert {"conv_20", "norm_20"} < set(freeze(model, "top:4"))
    assert "conv_19" not in freeze(model, "top:4")


@pytest.mark.parametrize(
    "train", ["top:10", "top:0", "top:", "top:-1", "top:x", "body", "", "heads", "names:", "names:a,,b", "except"]
)
def test_other_words_are_told(train):
    with pytest.raises(InputError, match=repr(train)):
        freeze(tiny(), train)


@pytest.mark.parametrize("train, told", [("names:conv_10", "conv_10"), ("except:conv_1,nrom_1", "nrom_1")])
def test_a_name_that_no_layer_has_is_told(train, told):
    model = tiny()
    with pytest.raises(InputError, match=f"layer in train '{train}': '{told}'"):
        freeze(model, train)
    assert all(layer.trainable for layer in model.layers)


@pytest.mark.parametrize(
    "train, moved",
    [
        ("top:2", {"conv_8", "norm_8", "conv_9"}),
        ("norm", {n for n in BLOCKS if "norm" in n}),
        ("names:conv_3,norm_5", {"conv_3", "norm_5"}),
    ],
)
def test_frozen_layers_stay_as_they_are(train, moved):
    model = tiny()
    freeze(model, train)
    model.compile(keras.optimizers.Adam(1e-2), loss=RegionLoss(model.anchors, 1))
    before = {layer.name: layer.get_weights() for layer in model.layers}
    images = np.random.default_rng(0).random((4, 32, 32, 3), np.float32)
    boxes = np.tile(np.array([0.4, 0.5, 0.3, 0.6, 0], np.float32), (4, 1, 1))
    model.fit(images, boxes, epochs=2, batch_size=2, verbose=0)
    for layer in model.layers:
        pairs = list(zip(before[layer.name], layer.get_weights(), strict=True))
        changed = [not np.array_equal(old, new) for old, new in pairs]
        # Frozen: kernels, scales, offsets and the moving statistics are the same numbers.
        assert all(changed) if layer.name in moved else not any(changed), layer.name
