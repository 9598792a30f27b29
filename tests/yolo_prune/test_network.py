"""The two bodies: sizes, order of layers, widths, and the anchors they are built for."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from run_tools.errors import InputError
from yolo_prune.anchors import PRESETS, as_anchors
from yolo_prune.detector import YoloV2
from yolo_prune.network import FULL_WIDTHS, TINY_WIDTHS, check_image_size, resolve_widths


def tiny(**options):
    return YoloV2(**{"num_classes": 2, "anchors": "coco", "image_size": (64, 96), "variant": "tiny", **options})


def full(**options):
    return YoloV2(**{"num_classes": 2, "anchors": "coco", "image_size": (64, 96), "widths": (4,) * 22, **options})


def test_parameters_of_the_full_network():
    # Kernels (k² · in · out), convolutions 1–18:
    # 864 + 18,432 + 73,728 + 8,192 + 73,728 + 294,912 + 32,768 + 294,912 + 1,179,648 + 131,072 + 1,179,648 + 131,072
    # + 1,179,648 + 4,718,592 + 524,288 + 4,718,592 + 524,288 + 4,718,592 = 19,802,976
    # 19, 20: 2 · 9 · 1024² = 18,874,368; 21: 512 · 64 = 32,768; 22: 9 · (4 · 64 + 1024) · 1024 = 11,796,480
    # 23: 1024 · 425 + 425 = 435,625. Sum 50,942,217.
    # Batch-norms: gamma and beta, 2 · 10,336 channels = 20,672 (and as many statistics).
    # 50,942,217 + 20,672 + 20,672 = 50,983,561: the published 50.98 M.
    assert sum(FULL_WIDTHS) == 10_336
    assert YoloV2(80, "coco", image_size=(32, 32)).count_params() == 50_983_561


def test_parameters_of_the_tiny_network():
    # 9 · (3·16 + 16·32 + 32·64 + 64·128 + 128·256 + 256·512 + 512·1024 + 1024·512) = 9 · 1,223,216 = 11,008,944
    # head: 512 · 425 + 425 = 218,025; batch-norms: 4 · (16 + 32 + … + 1024 + 512) = 4 · 2,544 = 10,176.
    assert YoloV2(80, "coco", image_size=(32, 32), variant="tiny").count_params() == 11_237_145


@pytest.mark.parametrize("build", [tiny, full])
def test_the_head_has_a_cell_for_every_32_pixels(build):
    model = build(image_size=(64, 160))
    # 5 anchors · (5 + 2 classes) = 35 channels, 64 / 32 rows, 160 / 32 columns.
    assert model.output_shape == (None, 2, 5, 35)
    assert model(np.zeros((3, 64, 160, 3), np.float32)).shape == (3, 2, 5, 35)


def names(model, *kinds):
    return [layer.name for layer in model.layers if isinstance(layer, kinds)]


def test_order_of_the_tiny_network():
    blocks = [[f"conv_{i}", f"norm_{i}", f"leaky_{i}", *([f"pool_{i}"] if i <= 6 else [])] for i in range(1, 9)]
    assert [layer.name for layer in tiny(widths=(4,) * 8).layers] == ["image", *sum(blocks, []), "conv_9"]


def test_order_and_kernels_of_the_full_network():
    model = full()
    convolutions = [model.get_layer(f"conv_{i}") for i in range(1, 24)]
    sizes = [layer.kernel_size[0] for layer in convolutions]
    # yolov2.cfg; 21 is the passthrough's 1 × 1, 23 the head.
    assert sizes == [3, 3, 3, 1, 3, 3, 1, 3, 3, 1, 3, 1, 3, 3, 1, 3, 1, 3, 3, 3, 1, 3, 1]
    assert [layer.use_bias for layer in convolutions] == [False] * 22 + [True]
    assert names(model, keras.layers.MaxPooling2D) == ["pool_1", "pool_2", "pool_5", "pool_8", "pool_13"]


def test_the_passthrough_leaves_at_convolution_13_and_comes_first():
    widths = (4,) * 12 + (8,) + (4,) * 6 + (12, 2, 4)
    model = full(widths=widths)
    # Convolution 21 reads the 8 channels of 13 and gives 2; space_to_depth makes 8 of them, beside 12 of 20.
    assert model.get_layer("conv_21").kernel.shape == (1, 1, 8, 2)
    passthrough, deep = model.get_layer("concat").input
    assert (passthrough.shape[-1], deep.shape[-1]) == (8, 12)
    assert model.get_layer("conv_22").kernel.shape == (3, 3, 20, 4)


def test_the_blocks_are_darknets():
    model = tiny(widths=(4,) * 8)
    norm, leaky = model.get_layer("norm_3"), model.get_layer("leaky_3")
    assert (norm.epsilon, norm.momentum, leaky.negative_slope) == (1e-5, 0.99, 0.1)


def test_the_pool_of_stride_one_keeps_the_size_and_pads_right_and_below():
    # darknet pads with −∞: a zero would win against these negative numbers. Each place is the largest of itself, its
    # right neighbour and the two below.
    array = np.array([[-9.0, -2.0, -7.0], [-4.0, -5.0, -6.0]], np.float32)
    expected = [[-2.0, -2.0, -6.0], [-4.0, -5.0, -6.0]]
    pooled = tiny(widths=(4,) * 8).get_layer("pool_6")(array[None, :, :, None])
    assert keras.ops.convert_to_numpy(pooled)[0, :, :, 0].tolist() == expected


def test_widths_are_taken_as_they_are():
    widths = (3, 5, 6, 7, 9, 10, 11, 13)
    model = tiny(widths=widths, width_multiplier=0.5)
    assert model.widths == widths
    assert tuple(model.get_layer(f"conv_{i}").filters for i in range(1, 9)) == widths


def test_the_multiplier_rounds_to_four():
    # .3 · (16 32 64 128 256 512 1024 512) = 4.8 9.6 19.2 38.4 76.8 153.6 307.2 153.6
    assert resolve_widths("tiny", None, 0.3) == (4, 8, 20, 40, 76, 152, 308, 152)
    assert resolve_widths("tiny", None, 0.01) == (4, 4, 4, 4, 4, 4, 12, 4)
    assert resolve_widths("tiny") == TINY_WIDTHS
    assert resolve_widths("full") == FULL_WIDTHS


@given(st.floats(0.01, 3.0), st.sampled_from(("tiny", "full")))
def test_scaled_widths_are_multiples_of_four_near_the_product(factor, variant):
    published = resolve_widths(variant)
    for width, scaled in zip(published, resolve_widths(variant, None, factor), strict=True):
        if factor != 1.0:
            assert scaled % 4 == 0
            assert scaled == 4 or abs(scaled - factor * width) <= 2


@pytest.mark.parametrize(
    "options, told",
    [
        ({"variant": "small"}, "received variant 'small'; expected 'tiny' or 'full'"),
        ({"widths": (4,) * 7}, "received 7 widths; expected 8 for variant 'tiny'"),
        ({"widths": (4,) * 7 + (0,)}, "expected whole numbers of at least 1"),
        ({"widths": (4,) * 7 + (4.5,)}, "expected whole numbers of at least 1"),
        ({"width_multiplier": 0.0}, "received width_multiplier 0.0"),
        ({"width_multiplier": float("nan")}, "received width_multiplier nan"),
        ({"image_size": (60, 96)}, "received image size 96x60; expected multiples of 32; use 96x64"),
        ({"image_size": (0, 96)}, "use 96x32"),
        ({"num_classes": 0}, "received num_classes 0"),
        ({"class_names": ("car",)}, "received 1 class names; expected 2"),
        ({"class_names": ("car", "Car")}, "received class name 'car' twice"),
        ({"anchors": "cocos"}, "received anchors 'cocos'"),
        ({"anchors": ((1.0, -1.0),)}, "received anchors of shape (1, 2)"),
    ],
)
def test_what_does_not_fit_is_told(options, told):
    with pytest.raises(InputError) as error:
        tiny(**options)
    assert told in str(error.value)


def test_sizes_come_back_as_height_and_width():
    assert check_image_size([256, 832.0]) == (256, 832)


def test_published_anchors():
    assert as_anchors("coco")[0] == (0.57273, 0.677385)
    assert as_anchors("voc")[4] == (11.2364, 10.0071)
    assert as_anchors("tiny-voc")[2] == (6.63, 11.38)
    assert {len(preset) for preset in PRESETS.values()} == {5}
    assert as_anchors(np.array([[1, 2], [3, 4]])) == ((1.0, 2.0), (3.0, 4.0))
    assert as_anchors("1,2;3.5,4") == ((1.0, 2.0), (3.5, 4.0))


@pytest.mark.parametrize(
    "anchors", ["1,2;3", "1,a", "1,2,3;4,5,6", ";", "1,2;", ",", "0,1", "nan,1", "", [[1, 2], [3]], [None]]
)
def test_anchors_that_make_no_sense(anchors):
    with pytest.raises(InputError, match="anchors"):
        as_anchors(anchors)
