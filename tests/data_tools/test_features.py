"""Images to vectors: the networks, their weights, and the file that comes out."""

import h5py
import keras
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from data_tools import DataCompiler, ImageFolderExtractor, VehicleXExtractor, open_store, verify
from data_tools.backbones import Backbone, squeezenet
from data_tools.cli import main
from data_tools.features import extract
from run_tools.errors import InputError


@pytest.fixture
def images(make_vehiclex, tmp_path):
    """Five images of 40x36 in each split, with VehicleX's attributes."""
    DataCompiler(VehicleXExtractor(make_vehiclex(5, size=(36, 40))), progress=False).compile(tmp_path / "images.h5")
    return tmp_path / "images.h5"


def layer_file(path, model, rename=lambda name: name.replace("_", "/")):
    """A weights file as the first Keras port wrote them: a group a layer, arrays under names of its own."""
    with h5py.File(path, "w") as file:
        for number, layer in enumerate(layer for layer in model.layers if layer.weights):
            kernel, bias = layer.get_weights()
            group = file.create_group(rename(layer.name))
            group[f"uniform{number}"] = kernel
            group[f"{rename(layer.name)}_b"] = bias


def test_squeezenet_has_the_published_number_of_parameters():
    # SqueezeNet 1.1: 1,235,496 with its top, a 1x1 convolution of 512 to 1000 channels: 513,000.
    assert squeezenet().count_params() == 1_235_496 - 513_000


def test_squeezenet_takes_its_weights_layer_by_layer(tmp_path):
    source = squeezenet()
    layer_file(tmp_path / "w.h5", source)
    model = Backbone("squeezenet", str(tmp_path / "w.h5")).model
    pixels = np.random.default_rng(0).normal(size=(2, 40, 40, 3)).astype(np.float32)
    for found, expected in zip(model.get_weights(), source.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(model(pixels), source(pixels))


def test_fire_modules_are_what_the_paper_draws():
    """One fire module by hand: squeeze 1x1, then 1x1 and 3x3 side by side, each followed by a ReLU."""
    model = squeezenet()
    fire = keras.Model(model.get_layer("pool1").output, model.get_layer("fire2_concat").output)
    x = np.random.default_rng(0).normal(size=(1, 4, 5, 64)).astype(np.float32)
    weights = [model.get_layer(f"fire2_{name}").get_weights() for name in ("squeeze1x1", "expand1x1", "expand3x3")]
    squeezed = np.maximum(x[0] @ weights[0][0][0, 0] + weights[0][1], 0)
    one = np.maximum(squeezed @ weights[1][0][0, 0] + weights[1][1], 0)
    padded = np.pad(squeezed, ((1, 1), (1, 1), (0, 0)))
    three = np.zeros((4, 5, 64))
    for i in range(4):
        for j in range(5):
            three[i, j] = np.einsum("abc,abcd->d", padded[i : i + 3, j : j + 3], weights[2][0]) + weights[2][1]
    expected = np.concatenate([one, np.maximum(three, 0)], axis=-1)
    np.testing.assert_allclose(fire(x)[0], expected, rtol=1e-4, atol=1e-5)


def test_vectors_with_labels_attributes_and_splits(images, tmp_path, capsys):
    words = ["features", images, tmp_path / "f.h5", "--backbone", "squeezenet", "--weights", "random"]
    assert main([str(word) for word in words]) == 0
    assert "512 numbers an image (train 5, val 5, test 5)" in capsys.readouterr().out
    stored, store = open_store(images), open_store(tmp_path / "f.h5", "classification")
    assert store.content == "features" and store.input_shape == (512,) and store.tasks == stored.tasks
    assert store.source == stored.source and store.names == stored.names
    backbone = Backbone("squeezenet", "random")
    for split in stored.splits:
        assert store[split].ids == stored[split].ids
        np.testing.assert_array_equal(store[split].labels, stored[split].labels)
        for name, values in stored[split].columns.items():
            np.testing.assert_array_equal(store[split].columns[name], values)
        expected = backbone.vectors(stored[split].images(slice(None)))
        np.testing.assert_allclose(store[split].features(slice(None)), expected, rtol=1e-5, atol=1e-5)
    assert store.attributes["images_digest"] == stored.digest()
    assert verify(tmp_path / "f.h5")["splits"]["val"] == {"images": 5, "classes": 5}


def test_a_killed_run_goes_on_with_the_same_bytes(images, tmp_path, monkeypatch):
    backbone = Backbone("squeezenet", "random")
    extract(images, tmp_path / "whole.h5", backbone, batch_size=2, progress=False)
    original, calls = backbone.vectors, []

    def stopping(pixels):
        if len(calls) == 4:
            raise KeyboardInterrupt
        calls.append(len(pixels))
        return original(pixels)

    with monkeypatch.context() as patch:
        patch.setattr(backbone, "vectors", stopping)
        with pytest.raises(KeyboardInterrupt):
            extract(images, tmp_path / "f.h5", backbone, batch_size=2, progress=False)
    assert calls == [2, 2, 1, 2]  # a batch does not reach into the next split
    # What was under way when it was killed may not have been noted.
    assert 5 <= extract(images, tmp_path / "f.h5", backbone, batch_size=2, progress=False)["resumed"] <= 7
    assert (tmp_path / "f.h5").read_bytes() == (tmp_path / "whole.h5").read_bytes()


def test_resnet50_gives_2048_numbers_and_prepares_images_as_keras_does():
    backbone = Backbone("resnet50", "random")
    pixels = np.random.default_rng(0).integers(0, 256, (2, 40, 36, 3), np.uint8)
    found = backbone.vectors(pixels)
    prepared = keras.applications.resnet50.preprocess_input(pixels.astype(np.float32))
    np.testing.assert_allclose(found, backbone.model(prepared, training=False), rtol=1e-4, atol=1e-4)
    assert found.shape == (2, 2048) and found.std() > 0


def test_images_are_resized_first():
    backbone = Backbone("squeezenet", "random", (48, 64))
    pixels = np.full((1, 20, 20, 3), 99, np.uint8)
    np.testing.assert_allclose(backbone.vectors(pixels), backbone.vectors(np.full((1, 48, 64, 3), 99, np.uint8)))


def test_no_connection_is_told_in_one_line(images, tmp_path, monkeypatch, capsys):
    from keras.src.applications import resnet

    def offline(*args, **kwargs):
        raise Exception("URL fetch failure on https://storage...: None -- Name or service not known")

    monkeypatch.setattr(resnet.file_utils, "get_file", offline)
    assert main(["features", str(images), str(tmp_path / "f.h5"), "--backbone", "resnet50"]) == 2
    error = capsys.readouterr().err
    assert "no connection to Keras's server for the ImageNet weights of ResNet-50" in error
    assert "--weights resnet50" in error and "(of papers: --feature-weights)" in error
    assert error.count("\n") == 1 and not list(tmp_path.glob("f.h5*"))


def test_weights_that_do_not_fit(images, tmp_path):
    layer_file(tmp_path / "slashless.h5", squeezenet(), lambda name: name)
    (tmp_path / "text.h5").write_text("no weights")
    for name, weights, told in (
        ("squeezenet", None, "--backbone squeezenet without --weights; expected a file"),
        ("squeezenet", "imagenet", "--backbone squeezenet with --weights imagenet"),
        ("squeezenet", str(tmp_path / "none.h5"), "nothing there"),
        ("squeezenet", str(tmp_path / "text.h5"), "no HDF5 file.*; expected a whole weights file"),
        ("squeezenet", str(tmp_path / "slashless.h5"), "with nothing as fire2/squeeze1x1"),
        ("resnet50", str(tmp_path / "text.h5"), "no HDF5 file.*; expected a whole weights file"),
        ("resnet50", str(tmp_path / "slashless.h5"), "do not fit"),
        ("vgg", None, "unknown backbone 'vgg'"),
    ):
        with pytest.raises(InputError, match=told) as raised:
            Backbone(name, weights)
        assert "\n" not in str(raised.value)
    backbone = Backbone("squeezenet", "random")
    with pytest.raises(InputError, match="images of 20x34 for squeezenet; expected at least 35x35"):
        backbone.vectors(np.zeros((1, 34, 20, 3), np.uint8))
    with pytest.raises(InputError, match="as input and output"):
        extract(images, images, backbone)


def test_vectors_of_vectors_are_refused(images, tmp_path):
    backbone = Backbone("squeezenet", "random")
    extract(images, tmp_path / "f.h5", backbone, progress=False)
    with pytest.raises(InputError, match="which holds features; expected a file of images"):
        extract(tmp_path / "f.h5", tmp_path / "g.h5", backbone)


@pytest.mark.real
def test_real_weights_tell_real_vehicles_apart(prune_data, tmp_path):
    extractor = ImageFolderExtractor(prune_data / "vehicle_crops")
    compiler = DataCompiler(extractor, fractions=(0.75, 0.0, 0.25), limit=240, progress=False)
    compiler.compile(tmp_path / "crops.h5")
    weights = str(prune_data / "weights" / "squeezenet_imagenet_notop.h5")
    extract(tmp_path / "crops.h5", tmp_path / "f.h5", Backbone("squeezenet", weights), progress=False)
    store = open_store(tmp_path / "f.h5")
    train, test = (store[name] for name in ("train", "test"))
    probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=300))
    probe.fit(train.features(slice(None)), train.labels)
    # Chance is 1/6; with all 4,800 crops it is .92. Unused channels would mean the wrong scale of the input.
    assert probe.score(test.features(slice(None)), test.labels) > 0.7
    assert (train.features(slice(None)).max(axis=0) > 0).mean() > 0.95
