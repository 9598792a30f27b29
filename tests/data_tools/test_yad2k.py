"""The paper's four arrays: shapes and kinds, agreement with feed and encoder, and under `fit` as YAD2K does it."""

import keras
import numpy as np
import pytest

import data_tools
from data_tools import DataCompiler, KittiExtractor, Yad2kData, batches, open_store
from data_tools.targets import encode
from run_tools.errors import InputError

ANCHORS = [[0.57273, 0.677385], [1.87446, 2.06253], [3.33843, 5.47434]]


@pytest.fixture
def kitti(make_kitti, tmp_path):
    """Twelve images of 64 high, 128 wide: a Car in each, a Pedestrian in every second, a DontCare in every third."""
    compiler = DataCompiler(KittiExtractor(make_kitti(12)), (64, 128), split="random", progress=False)
    compiler.compile(tmp_path / "kitti.h5")
    return tmp_path / "kitti.h5"


def test_it_is_importable_from_the_package():
    assert data_tools.Yad2kData is Yad2kData


def test_four_arrays_of_the_papers_shapes(kitti):
    data = Yad2kData(kitti, "train", 4, ANCHORS)
    images, labels, mask, matching = data[0]
    boxes = data.feed.max_boxes
    assert (images.shape, labels.shape) == ((4, 64, 128, 3), (4, boxes, 5))
    assert (mask.shape, matching.shape) == ((4, 2, 4, 3, 1), (4, 2, 4, 3, 5))
    assert (images.dtype, labels.dtype, mask.dtype, matching.dtype) == (np.float32, np.float32, bool, np.float32)
    assert images.min() >= 0.0 and 0.9 < images.max() <= 1.0


def test_a_car_worked_out(kitti):
    # Stored twice as large as on disk, 128 by 64: image i has its Car at 2i', 20, 2i' + 41, 60 with i' = i % 10.
    data = Yad2kData(kitti, "val", 1, ANCHORS)
    _, labels, mask, matching = data[0]
    left = 2 * (int(data.feed.ids(0)[0]) % 10)
    x, y, w, h = (left + 20.5) / 32, 40 / 32, 41 / 32, 40 / 32  # in cells
    np.testing.assert_allclose(labels[0, 0], [x / 4, y / 2, w / 4, h / 2, 0], rtol=1e-6)
    # IoU of (1.28, 1.25) with (.57, .68) is .388 / 1.602 = .24, with (1.87, 2.06) 1.602 / 3.866 = .41: the second.
    assert mask[0, 1, int(x), 1, 0]
    expected = [x - int(x), 0.25, np.log(w / 1.87446), np.log(h / 2.06253), 0]
    np.testing.assert_allclose(matching[0, 1, int(x), 1], expected, rtol=1e-5)


@pytest.mark.parametrize("options", [{}, {"input_size": (96, 64)}, {"augment": True, "seed": 2, "class_map": [0] * 8}])
def test_it_agrees_with_the_feed_and_the_encoder(kitti, options):
    data, feed = Yad2kData(kitti, "train", 3, ANCHORS, **options), batches(kitti, "train", 3, **options)
    for _ in range(2):
        assert len(data) == len(feed)
        for index in range(len(feed)):
            images, true_boxes = feed[index]
            found = data[index]
            expected_mask, expected = encode(true_boxes, ANCHORS, (images.shape[1] // 32, images.shape[2] // 32))
            np.testing.assert_array_equal(found[0], images)
            objects = true_boxes[..., 4] >= 0
            np.testing.assert_array_equal(found[1], np.where(objects[..., None], true_boxes, 0))
            np.testing.assert_array_equal(found[2], expected_mask)
            np.testing.assert_array_equal(found[3], expected)
        data.on_epoch_end()
        feed.on_epoch_end()


def test_dont_care_regions_are_left_out(kitti):
    labels = np.concatenate([batch[1] for batch in Yad2kData(kitti, "train", 1, ANCHORS)])
    stored = open_store(kitti)["train"]
    assert (stored.all_classes == -1).any()
    assert labels[..., 4].min() == 0
    assert np.count_nonzero(labels[..., 2]) == np.count_nonzero(stored.all_classes >= 0)


@keras.saving.register_keras_serializable(package="test_yad2k")
class LastLayerLoss(keras.layers.Layer):
    """Stands for YAD2K's `yolo_loss` layer: squared error of the matched boxes, one value an image."""

    def call(self, inputs):
        logits, labels, mask, matching = inputs
        predicted = keras.ops.reshape(logits, keras.ops.shape(matching))
        errors = keras.ops.sum(mask * (predicted - matching) ** 2, axis=(1, 2, 3, 4))
        return errors[:, None] + 0.0 * keras.ops.sum(labels)


@pytest.mark.parametrize("workers", [1, 2])
def test_it_trains_a_model_with_its_loss_in_the_last_layer(kitti, workers):
    data = Yad2kData(kitti, "train", 3, ANCHORS, for_fit=True, workers=workers)
    arrays, zeros = data[0]
    assert len(arrays) == 4 and zeros.tolist() == [0, 0, 0]
    inputs = [keras.Input(array.shape[1:]) for array in arrays]
    logits = keras.layers.Conv2D(15, 32, strides=32)(inputs[0])
    model = keras.Model(inputs, LastLayerLoss()([logits, *inputs[1:]]))
    model.compile("adam", loss=lambda y_true, y_pred: y_pred)
    history = model.fit(data, epochs=3, shuffle=False, verbose=0)
    assert np.isfinite(history.history["loss"]).all() and history.history["loss"][-1] < history.history["loss"][0]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"anchors": [1, 2]}, "anchors of shape (2,)"),
        ({"input_size": (100, 64)}, "size 64x100"),
        ({"batch_size": 0}, "batch_size 0"),
        ({"split": "tests"}, "split 'tests'"),
    ],
)
def test_mistakes_are_named(kitti, arguments, named):
    with pytest.raises(InputError) as caught:
        Yad2kData(**{"path": kitti, "split": "train", "batch_size": 2, "anchors": ANCHORS, **arguments})
    assert named in str(caught.value)
