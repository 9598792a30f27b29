"""`darknet.load` against darknet's own loops: every layer, both headers, sizes that are not square."""

import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from run_tools.errors import InputError
from tests.yolo_prune import darknet_reference as reference
from yolo_prune import darknet
from yolo_prune.class_map import COCO_NAMES, VOC_NAMES
from yolo_prune.darknet.weights import Header
from yolo_prune.network import TINY_WIDTHS

ROOT = Path(__file__).resolve().parents[2]
ANCHORS = "1,1.5, 2,1"
PASSTHROUGH = (
    reference.net(24, 16)
    + reference.conv(6)
    + reference.pool()
    + reference.conv(8, activation="linear")
    + reference.pool()
    + reference.conv(5, norm=0)
    + reference.route("-3")
    + reference.conv(4, size=1)
    + "\n[reorg]\nstride=2\n"
    + reference.route("-1,-4")
    + reference.conv(7, norm=0, activation="linear")
    + reference.head(ANCHORS, 2)
)


def body(*layers, width=10, height=6):
    return reference.net(width, height) + "".join(layers) + reference.head(ANCHORS, 1)


NETS = {
    "reorg, routes, bias-only and linear convolutions": PASSTHROUGH,
    "tiny: six pools, the last of stride 1": reference.tiny((4, 4, 4, 6, 6, 8, 8, 8), 3, size=(96, 64)),
    "full": reference.full(2, ANCHORS, (64, 32), of=16),
    "pool of stride 1 on odd sizes": body(reference.conv(4), reference.pool(2, 1), width=7, height=5),
    "pool of stride 2 on odd sizes": body(reference.conv(4), reference.pool(2, 2), width=7, height=5),
    "pool of size 3 and stride 1": body(reference.conv(4), reference.pool(3, 1)),
    "convolution of stride 2": body(reference.conv(4, stride=2)),
    "convolution of 2x2, stride 2, no padding": body(reference.conv(4, size=2, stride=2, pad="pad=0")),
    "convolution without padding": body(reference.conv(4, pad="pad=0")),
    "convolution with more padding": body(reference.conv(4, size=1, pad="padding=2")),
    "route to layers by their numbers": body(reference.conv(4), reference.conv(5), reference.route("1,0")),
}


@pytest.fixture
def load(tmp_path):
    """Writes a cfg and its random weights, and loads them: (model, bytes of the weights)."""

    def call(text, header=(0, 2, 0, 12_800), **options):
        weights = reference.random_weights(text, header=header)
        (tmp_path / "net.cfg").write_bytes(text.encode())
        (tmp_path / "net.weights").write_bytes(weights)
        return darknet.load(tmp_path / "net.cfg", tmp_path / "net.weights", **options), weights

    return call


def outputs(model, images):
    return keras.ops.convert_to_numpy(model(images, training=False))


@pytest.mark.parametrize("name", NETS)
def test_outputs_are_darknets(load, name):
    model, weights = load(NETS[name])
    images = np.random.default_rng(1).random((2, *model.image_size, 3), np.float32)
    found = outputs(model, images)
    assert np.abs(found).max() > 0.1
    for image, ours in zip(images, found, strict=True):
        theirs = reference.forward(NETS[name], weights, image.transpose(2, 0, 1))
        np.testing.assert_allclose(ours.transpose(2, 0, 1), theirs, rtol=1e-4, atol=1e-4 * np.abs(theirs).max())
        # The batch-norm of darknet without a graphics card differs in the last digits.
        theirs = reference.forward(NETS[name], weights, image.transpose(2, 0, 1), cpu=True)
        assert np.abs(ours.transpose(2, 0, 1) - theirs).max() < 1e-3 * np.abs(theirs).max()


@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 4), st.integers(1, 4), st.integers(1, 2))
def test_reorg_is_darknets(stride, blocks, rows, columns, batch):
    shape = (batch, rows * stride, columns * stride, blocks * stride**2)
    x = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    found = keras.ops.convert_to_numpy(darknet.Reorg(stride)(x))
    assert found.shape == darknet.Reorg(stride).compute_output_shape(shape)
    for image, ours in zip(x, found, strict=True):
        np.testing.assert_array_equal(ours.transpose(2, 0, 1), reference.reorg(image.transpose(2, 0, 1), stride))


def test_reorg_by_hand():
    # Four channels of 2x2, channel c holding 4c, 4c+1, 4c+2, 4c+3: darknet reads memory 0–15 as one plane of 4x4 and
    # takes its even and odd rows and columns: 0 2 8 10, 1 3 9 11, 4 6 12 14, 5 7 13 15, 16 channels of one pixel.
    x = np.arange(16, dtype=np.float32).reshape(1, 4, 2, 2).transpose(0, 2, 3, 1)
    found = keras.ops.convert_to_numpy(darknet.Reorg(2)(x)).ravel().tolist()
    assert found == [0, 2, 8, 10, 1, 3, 9, 11, 4, 6, 12, 14, 5, 7, 13, 15]
    # Every channel of space_to_depth comes from one channel; of darknet's each of these four comes from two.
    assert keras.ops.convert_to_numpy(keras.ops.space_to_depth(x, 2)).ravel().tolist() != found
    for shape in ((1, 3, 2, 4), (1, 2, 3, 4), (1, 2, 2, 6), (1, None, 2, 4)):
        with pytest.raises(ValueError, match="divisible by 2 and C by 4"):
            darknet.Reorg(2).compute_output_shape(shape)


def test_what_the_model_says_of_itself(load):
    model, _ = load(PASSTHROUGH)
    # 24x16 pixels, two pools: 6x4 cells; 2 anchors · (5 + 2 classes) = 14 channels.
    assert isinstance(model, keras.Model) and model.input_shape == (None, 16, 24, 3)
    assert model.output_shape == (None, 4, 6, 14)
    assert model.cfg == PASSTHROUGH and model.header == Header(0, 2, 0, 12_800)
    assert model.anchors == ((1.0, 1.5), (2.0, 1.0)) and model.num_classes == 2 and model.class_names is None
    assert model.image_size == (16, 24) and model.widths == (6, 8, 5, 4, 7)
    assert model.layers[-1].name == "conv_6" and model.get_layer("conv_3").use_bias
    assert not model.get_layer("conv_1").use_bias and model.get_layer("norm_1").epsilon == 1e-5


def test_everything_survives_a_keras_file(load, tmp_path):
    model, _ = load("# café\r\n" + PASSTHROUGH.replace("\n", "\r\n"), header=(0, 2, 5, 2**40), class_names=("a", "b"))
    model.get_layer("conv_1").trainable = False
    model.save(tmp_path / "net.keras")
    again = keras.saving.load_model(tmp_path / "net.keras", safe_mode=True)
    assert again.get_config() == model.get_config() and again.cfg.startswith("# café\r\n[net]\r\n")
    assert again.header == (0, 2, 5, 2**40) and again.class_names == ("a", "b")
    assert not again.get_layer("conv_1").trainable and again.get_layer("conv_2").trainable
    images = np.random.default_rng(1).random((1, 16, 24, 3), np.float32)
    np.testing.assert_array_equal(outputs(again, images), outputs(model, images))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["YoloV2", "darknet"])
def test_a_process_that_knows_the_package_can_load_it(load, tmp_path, name):
    load(PASSTHROUGH)[0].save(tmp_path / "net.keras")
    code = (
        "import sys, keras\n"
        + f"from yolo_prune import {name}\n"
        + "print(keras.saving.load_model(sys.argv[1]).header)"
    )
    words = [sys.executable, "-c", code, str(tmp_path / "net.keras")]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and "seen=12800" in done.stdout, done.stderr


def test_names_that_the_published_networks_have(load):
    widths = (4,) * 8
    assert load(reference.tiny(widths, 80, size=(32, 32)))[0].class_names == COCO_NAMES
    assert load(reference.tiny(widths, 20, size=(32, 32)))[0].class_names == VOC_NAMES
    assert load(reference.tiny(widths, 19, size=(32, 32)))[0].class_names is None
    with pytest.raises(InputError, match="2 class names; expected 3"):
        load(reference.tiny(widths, 3, size=(32, 32)), class_names=("a", "b"))


def test_other_widths_change_the_cfg_alone_where_they_must(load):
    model, _ = load(PASSTHROUGH)
    pruned = darknet.DarknetModel.from_config({**model.get_config(), "widths": [3, 8, 5, 4, 2]})
    assert pruned.widths == (3, 8, 5, 4, 2) and pruned.header == model.header
    changed = [(a, b) for a, b in zip(model.cfg.split("\n"), pruned.cfg.split("\n"), strict=True) if a != b]
    assert changed == [("filters=6", "filters=3"), ("filters=7", "filters=2")]
    assert darknet.DarknetModel.from_config(pruned.get_config()).widths == pruned.widths
    for widths in ((3, 8, 5, 4), (3, 8, 5, 4, 0)):
        with pytest.raises(InputError, match="5 whole numbers of at least 1"):
            darknet.DarknetModel(model.cfg, widths=widths)
    with pytest.raises(InputError, match="channels by 4"):
        darknet.DarknetModel(model.cfg, widths=(6, 8, 5, 3, 7))


@pytest.mark.parametrize("channels", [1, 4])
def test_other_numbers_of_channels(load, channels):
    text = body(reference.conv(4), reference.pool()).replace("channels=3", f"channels={channels}")
    model, weights = load(text)
    image = np.random.default_rng(1).random((1, 6, 10, channels), np.float32)
    theirs = reference.forward(text, weights, image[0].transpose(2, 0, 1))
    np.testing.assert_allclose(outputs(model, image)[0].transpose(2, 0, 1), theirs, rtol=1e-4, atol=1e-4)
    with pytest.raises(InputError, match=f"a network of {channels}-channel images; expected one of RGB"):
        model.detect(np.zeros((1, 6, 10, 3), np.uint8))


def test_the_first_layers_alone(load, tmp_path):
    text = reference.net(64, 32) + reference.darknet19(16)
    classifier = reference.conv(10, size=1, norm=0, activation="linear") + "\n[avgpool]\n\n[softmax]\ngroups=1\n"
    weights = reference.random_weights(text, header=(0, 1, 0, 7))
    (tmp_path / "d.cfg").write_text(text + classifier)
    (tmp_path / "d.conv.23").write_bytes(weights)
    model = darknet.load(tmp_path / "d.cfg", tmp_path / "d.conv.23", layers=23)
    images = np.random.default_rng(1).random((1, 32, 64, 3), np.float32)
    theirs = reference.forward(text, weights, images[0].transpose(2, 0, 1))
    np.testing.assert_allclose(outputs(model, images)[0].transpose(2, 0, 1), theirs, rtol=1e-4, atol=1e-4)
    with pytest.raises(InputError, match=r"line \d+: \[avgpool\]"):
        darknet.load(tmp_path / "d.cfg", tmp_path / "d.conv.23")
    with pytest.raises(InputError, match=r"line \d+: \[avgpool\]"):
        darknet.load(tmp_path / "d.cfg", tmp_path / "d.conv.23", layers=25)
    with pytest.raises(InputError, match="1 to 26"):
        darknet.load(tmp_path / "d.cfg", tmp_path / "d.conv.23", layers=27)


def test_sizes_of_the_published_networks():
    # Published files: yolov2.weights has 203,934,260 bytes = 16 + 4 · 50,983,561.
    assert darknet.parse(reference.full()).values == 50_983_561
    assert darknet.parse(reference.full()).layers[-1].shape == (19, 19, 425)
    # test_network.py has the sum of tiny's 11,237,145 with 80 classes.
    assert darknet.parse(reference.tiny()).values == 11_237_145
    # Voc: convolution 8 has 1024 filters: + 9 · 1024 · 512 + 4 · 512; the head 1024 · 125 + 125 in place of
    # 512 · 425 + 425: 11,237,145 + 4,718,592 + 2,048 + 128,125 − 218,025 = 15,867,885.
    voc = reference.tiny((*TINY_WIDTHS[:7], 1024), 20, reference.TINY_VOC)
    assert darknet.parse(voc).values == 15_867_885


@pytest.mark.real
def test_the_two_batch_norms_on_published_weights(prune_data):
    """What `DarknetModel` says of the difference between darknet with and without a graphics card."""
    worst = {}
    with np.load(prune_data / "weights" / "yolov2_tiny_coco_partial.npz") as arrays:
        for number in range(1, 9):
            variance = arrays[f"batch_normalization_{number}/moving_variance"].astype(np.float64)
            worst[number] = np.abs(np.sqrt(variance + 1e-5) / (np.sqrt(variance) + 1e-6) - 1).max()
    assert 6e-4 < worst.pop(1) < 6.2e-4
    assert max(worst.values()) < 1e-5
