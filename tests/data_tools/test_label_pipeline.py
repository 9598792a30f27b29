"""The feed of classification files: what is in a batch, in which order, and how it was changed."""

import dataclasses
import json

import cv2
import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from data_tools import (
    DataCompiler,
    FeatureScale,
    ImageFolderExtractor,
    LabelAugment,
    Preprocess,
    VehicleXExtractor,
    label_batches,
    open_store,
)
from data_tools.label_augment import change, colour, turn
from run_tools.errors import InputError

OFF = LabelAugment(flip=0, rotation=0, brightness=0, contrast=0, saturation=0)


@pytest.fixture(params=[False, True], ids=["raw", "encoded"])
def images(request, make_folder, tmp_path):
    """Twelve images of 24x32 in train, two in val and in test; two classes."""
    extractor = ImageFolderExtractor(make_folder({"bus": 8, "car": 8}))
    compiler = DataCompiler(extractor, fractions=(0.75, 0.125, 0.125), encoded=request.param, progress=False)
    compiler.compile(tmp_path / "images.h5")
    return tmp_path / "images.h5"


@pytest.fixture
def vectors(make_vehiclex, tmp_path):
    """Thirteen vectors of eight numbers in each split."""
    DataCompiler(VehicleXExtractor(make_vehiclex(13, features=True)), progress=False).compile(tmp_path / "v.h5")
    return tmp_path / "v.h5"


def test_plain_batches_are_the_stored_images_in_0_1(images):
    view = open_store(images)["val"]
    feed = label_batches(images, "val", 2)
    assert len(feed) == 1 and feed.input_shape == (24, 32, 3) and feed.class_names == ("bus", "car")
    inputs, labels = feed[0]
    np.testing.assert_allclose(inputs, view.images(slice(None)) / 255, atol=1e-7)
    assert inputs.dtype == np.float32 and labels.dtype == np.int32
    np.testing.assert_array_equal(labels, view.labels)
    assert feed.ids(0) == view.ids


def test_every_image_once_an_epoch_in_a_new_order(images):
    feed = label_batches(images, "train", 5)
    assert len(feed) == 2  # the short third batch is left out
    orders = []
    for epoch in range(3):
        feed.epoch = epoch
        orders.append(np.concatenate([feed.indices(i) for i in range(len(feed))]))
        assert len(set(orders[-1])) == 10
        np.testing.assert_array_equal(feed[1][1], feed.split.labels[feed.indices(1)])
    assert not np.array_equal(orders[0], orders[1])
    again = label_batches(images, "train", 5)
    again.epoch = 2
    np.testing.assert_array_equal(np.concatenate([again.indices(i) for i in range(2)]), orders[2])


def test_augmented_batches_depend_on_seed_epoch_and_image_alone(images):
    feed = label_batches(images, "train", 6, augment=True, seed=3)
    feed.epoch = 1
    first = feed[1][0]
    other = label_batches(images, "train", 4, augment=True, seed=3)
    other.epoch = 1
    order = {int(row): place for place, row in enumerate(feed.indices(1))}
    both = 0
    for index in range(len(other)):
        for place, row in enumerate(other.indices(index)):
            if int(row) in order:
                both += 1
                np.testing.assert_array_equal(other[index][0][place], first[order[int(row)]])
    assert both == 6
    feed.epoch = 2
    assert not np.array_equal(feed[1][0], first)
    plain = label_batches(images, "train", 6, augment=OFF, seed=3)
    plain.epoch = 1
    np.testing.assert_array_equal(plain[0][0], label_batches_plain(images, 1)[0][0])


def label_batches_plain(images, epoch):
    feed = label_batches(images, "train", 6, seed=3)
    feed.epoch = epoch
    return feed


def test_grey_resized_and_standardised(images):
    store = open_store(images)
    plain = Preprocess(size=(8, 8), grey=True)
    measured = plain.measured(store["train"])
    feed = label_batches(store, "train", 12, preprocess=measured, shuffle=False)
    assert feed.input_shape == (8, 8, 1)
    inputs = feed[0][0]
    assert inputs.shape == (12, 8, 8, 1)
    # Measured on exactly these images, so they have mean 0 and deviation 1.
    np.testing.assert_allclose([inputs.mean(), inputs.std()], [0, 1], atol=1e-5)
    image = store["train"].images(0)[0]
    grey = cv2.cvtColor(cv2.resize(image, (8, 8), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    expected = (grey / 255 - measured.mean[0]) / measured.deviation[0]
    np.testing.assert_allclose(inputs[0, ..., 0], expected, atol=1e-5)
    np.testing.assert_array_equal(measured.apply(store["train"].images([0, 1])), inputs[:2])
    np.testing.assert_array_equal(measured.apply(store["train"].images([])).shape, (0, 8, 8, 1))


def test_preprocess_survives_json():
    options = Preprocess(size=(32, 32), grey=True, mean=(0.4,), deviation=(0.2,))
    assert Preprocess(**json.loads(json.dumps(dataclasses.asdict(options)))) == options


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"size": (0, 3)}, r"preprocess size \(0, 3\)"),
        ({"mean": (0.5,), "deviation": (0.5,)}, "1 means and 1 deviations; expected 3 of each"),
        ({"grey": True, "mean": (0.5,), "deviation": (0.0,)}, "above 0"),
        ({"grey": True, "mean": (0.5,)}, "1 means and 0 deviations"),
    ],
)
def test_wrong_preprocessing(options, told):
    with pytest.raises(InputError, match=told):
        Preprocess(**options)


def literal_colour(image, brightness, contrast, saturation):
    """Pixel by pixel, as the definitions read."""
    out = np.zeros(image.shape)
    luma = lambda rgb: 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2]  # noqa: E731
    bright = np.minimum(image.astype(float) * brightness, 255)
    mean = np.mean([luma(rgb) for row in bright for rgb in row])
    for y, row in enumerate(bright):
        for x, rgb in enumerate(row):
            rgb = np.clip(mean + contrast * (rgb - mean), 0, 255)
            grey = luma(rgb)
            out[y, x] = np.clip(grey + saturation * (rgb - grey), 0, 255)
    return out


@given(st.integers(0, 1000), st.floats(0, 2), st.floats(0, 2), st.floats(0, 2))
def test_colours_agree_with_their_definition(seed, brightness, contrast, saturation):
    image = np.random.default_rng(seed).integers(0, 256, (3, 4, 3), np.uint8)
    found = colour(image, brightness, contrast, saturation)
    np.testing.assert_allclose(found, literal_colour(image, brightness, contrast, saturation), atol=0.51)


def test_a_turn_by_ninety_degrees_and_a_flip():
    image = np.zeros((5, 5, 3), np.uint8)
    image[0, 1] = 200  # near the upper left
    np.testing.assert_array_equal(turn(image, True, 0.0), image[:, ::-1])
    # Counter-clockwise: what was in the top row is now in the left column, and left of the middle is below it.
    np.testing.assert_array_equal(turn(image, False, 90.0), np.rot90(image))
    assert turn(image, False, 0.0) is image


def test_what_is_turned_off_draws_nothing_else():
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    assert change(np.random.default_rng(1), image, OFF) is image
    seen = {change(np.random.default_rng(i), image, LabelAugment()).tobytes() for i in range(10)}
    assert len(seen) == 10
    flips = [np.array_equal(change(np.random.default_rng(i), image, dataclasses.replace(OFF, flip=0.5)), image)
             for i in range(200)]  # fmt: skip
    assert 70 < sum(flips) < 130
    for bad in ({"flip": 1.1}, {"rotation": 181}, {"contrast": -0.1}, {"brightness": float("nan")}):
        with pytest.raises(InputError, match=f"augment {next(iter(bad))}"):
            LabelAugment(**bad)


def test_vectors_are_fed_as_they_are_and_scaled(vectors):
    store = open_store(vectors)
    raw = store["train"].features(slice(None))
    feed = label_batches(store, "train", 4, shuffle=False)
    assert len(feed) == 4 and feed.input_shape == (8,)
    np.testing.assert_array_equal(np.concatenate([feed[i][0] for i in range(4)]), raw)
    test = store["test"].features(slice(None))
    for how, scaler in (("standard", StandardScaler()), ("minmax", MinMaxScaler())):
        scale = FeatureScale.measured(store["train"], how)
        scaled = label_batches(store, "test", 13, preprocess=scale)[0][0]
        np.testing.assert_allclose(scaled, scaler.fit(raw.astype(np.float64)).transform(test), rtol=1e-4, atol=1e-5)
        assert scaled.dtype == np.float32


def test_constant_numbers_become_zero(vectors):
    view = open_store(vectors)["train"]
    scale = FeatureScale.measured(view, "standard", rows=np.array([2, 2, 2]))
    np.testing.assert_allclose(scale.apply(view.features([2])), 0, atol=1e-6)


def test_a_task_with_few_classes_and_a_limit(vectors):
    feed = label_batches(vectors, "train", 3, task="vehicle", classes=10, shuffle=False)
    assert len(feed.labels) == 10 and feed.labels.max() == 9 and len(feed.class_names) == 10
    few = label_batches(vectors, "train", 3, task="vehicle", limit=4, shuffle=False)
    # Evenly through thirteen: 0, 4, 8, 12.
    np.testing.assert_array_equal(few.rows, [0, 4, 8, 12])
    np.testing.assert_array_equal(few[1][1], [12])


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"preprocess": Preprocess()}, "preprocess Preprocess for .* of features; expected FeatureScale"),
        ({"preprocess": FeatureScale(np.zeros(3), np.ones(3))}, "a scale of 3 numbers; expected 8"),
        ({"augment": True}, "augment for .* of features"),
        ({"augment": 3}, "augment 3"),
        ({"batch_size": 0}, "batch_size 0"),
        ({"split": "all"}, "split 'all'; expected one of train, val, test"),
        ({"task": "wheels"}, "unknown task 'wheels'"),
        ({"limit": 0}, "limit 0"),
    ],
)
def test_wrong_arguments(vectors, options, told):
    with pytest.raises(InputError, match=told):
        label_batches(vectors, **{"split": "train", "batch_size": 2} | options)


def test_plain_fit(images):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 1))
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(inputs)))
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    feed = label_batches(images, "train", 4, preprocess=Preprocess(size=(8, 8), grey=True), augment=True)
    history = model.fit(feed, epochs=2, shuffle=False, verbose=0)
    assert len(history.history["loss"]) == 2 and np.isfinite(history.history["loss"]).all()
    assert feed.epoch == 3  # once before the first epoch, once after each
