"""A detector at another input than its own: `at_size`, and `--input` of `evaluate` and `detect`."""

import keras
import numpy as np
import pytest

from run_tools.errors import InputError
from run_tools.files import read_json
from tests.yolo_prune import darknet_reference as reference
from yolo_prune import YoloV2, cli, darknet
from yolo_prune.models import load_detector

ANCHORS = ((1.0, 1.5), (2.0, 1.0))


@pytest.fixture
def model():
    keras.utils.set_random_seed(3)
    model = YoloV2(2, ANCHORS, (64, 96), variant="tiny", widths=(4, 5, 6, 7, 8, 8, 6, 5), class_names=("car", "tram"))
    model.get_layer("conv_1").trainable = False
    return model


@pytest.fixture
def cfg_model(tmp_path):
    text = reference.tiny((8,) * 8, size=(128, 64))
    (tmp_path / "net.cfg").write_text(text)
    (tmp_path / "net.weights").write_bytes(reference.random_weights(text))
    return darknet.load(tmp_path / "net.cfg", tmp_path / "net.weights")


@pytest.mark.parametrize("kind", ["model", "cfg_model"])
def test_weights_and_everything_else_stay(kind, request):
    model = request.getfixturevalue(kind)
    wide = model.at_size((96, 160))
    assert type(wide) is type(model) and wide.image_size == (96, 160)
    assert wide.output_shape[1:3] == (3, 5)
    frozen = [[layer.name for layer in each.layers if not layer.trainable] for each in (model, wide)]
    assert frozen[0] == frozen[1]
    for before, after in zip(model.get_weights(), wide.get_weights(), strict=True):
        np.testing.assert_array_equal(after, before)
    images = np.random.default_rng(0).random((2, *model.image_size, 3), np.float32)
    there_and_back = wide.at_size(model.image_size)
    np.testing.assert_array_equal(there_and_back.predict(images, verbose=0), model.predict(images, verbose=0))


def test_a_cfg_says_its_new_size(cfg_model):
    wide = cfg_model.at_size((96, 160))
    changed = [pair for pair in zip(cfg_model.cfg.split("\n"), wide.cfg.split("\n"), strict=True) if pair[0] != pair[1]]
    assert changed == [("width=128", "width=160"), ("height = 64", "height = 96")]


def test_evaluate_and_detect_take_it(small_model, small_h5, small_kitti, tmp_path, capsys):
    own = load_detector(small_model)
    height, width = (side + 32 for side in own.image_size)
    common = ["--model", str(small_model), "--input", f"{width}x{height}", "--json"]
    told = tmp_path / "told.json"
    assert cli.main(["evaluate", "--data", str(small_h5), "--metrics", "coco", *common, str(told)]) == 0
    assert read_json(told)["run"]["input"] == [height, width]
    picture = next((small_kitti / "training" / "image_2").iterdir())
    assert cli.main(["detect", str(picture), "--out", str(tmp_path / "out"), *common, str(told)]) == 0
    assert picture.name in read_json(told)["images"]
    capsys.readouterr()
    common[3] = "100x64"
    assert cli.main(["detect", str(picture), "--out", str(tmp_path / "out"), *common, str(told)]) == 2
    assert "image size 100x64; expected multiples of 32; use 96x64" in capsys.readouterr().err


def test_a_size_that_no_network_has_is_told(small_model):
    with pytest.raises(InputError, match="multiples of 32"):
        load_detector(small_model, "100x64")
