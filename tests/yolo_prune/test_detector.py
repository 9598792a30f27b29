"""`YoloV2` as an ordinary Keras model: trains, saves, comes back, and goes on from there."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import pytest

from run_tools.errors import InputError
from yolo_prune.detector import YoloV2
from yolo_prune.freeze import freeze
from yolo_prune.loss import RegionLoss
from yolo_prune.metrics import region_metrics
from yolo_prune.models import load_detector, load_model, model_file

ROOT = Path(__file__).resolve().parents[2]
ANCHORS = ((1.0, 1.5), (2.0, 1.0))
WIDTHS = (4, 5, 6, 7, 8, 8, 6, 5)


def build(**options):
    keras.utils.set_random_seed(3)
    common = {"image_size": (64, 96), "variant": "tiny", "widths": WIDTHS, "class_names": ("car", "tram")}
    return YoloV2(2, ANCHORS, **{**common, **options})


def fixed_batch(count=4):
    """Grey images with one bright rectangle each, and its box."""
    rng = np.random.default_rng(0)
    images = np.full((count, 64, 96, 3), 0.3, np.float32)
    boxes = np.zeros((count, 3, 5), np.float32)
    for index in range(count):
        left, top, width, height = rng.integers((0, 0, 20, 15), (60, 40, 36, 24))
        label = index % 2
        images[index, top : top + height, left : left + width, label] = 1.0
        boxes[index, 0] = ((left + width / 2) / 96, (top + height / 2) / 64, width / 96, height / 64, label)
    return images, boxes


def compiled(model, optimizer):
    model.compile(optimizer, loss=RegionLoss(model.anchors, model.num_classes))
    return model


def arrays(variables):
    return [keras.ops.convert_to_numpy(variable) for variable in variables]


def differences(one, other):
    return max(float(np.abs(a - b).max(initial=0)) for a, b in zip(arrays(one), arrays(other), strict=True))


@dataclass(frozen=True)
class Trained:
    """A network with frozen lower layers, trained from plain arrays, saved, and trained for one epoch more."""

    model: YoloV2
    history: dict
    path: Path
    outputs: np.ndarray
    optimizer: list
    later: list


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    model = build()
    freeze(model, "top:4")
    schedule = keras.optimizers.schedules.CosineDecay(1e-2, 40)
    loss = RegionLoss(model.anchors, model.num_classes)
    optimizer = keras.optimizers.Adam(schedule, global_clipnorm=10.0, weight_decay=1e-3)
    model.compile(optimizer, loss=loss, metrics=region_metrics(loss))
    images, boxes = fixed_batch()
    options = {"batch_size": 2, "shuffle": False, "verbose": 0}
    history = model.fit(images, boxes, epochs=15, **options).history
    path = tmp_path_factory.mktemp("saved") / "model.keras"
    model.save(path)
    outputs, state = keras.ops.convert_to_numpy(model(images, training=False)), arrays(optimizer.variables)
    model.fit(images, boxes, epochs=1, **options)
    return Trained(model, history, path, outputs, state, arrays(model.weights))


def test_plain_fit_lowers_the_loss(trained):
    assert trained.history["loss"][-1] < 0.5 * trained.history["loss"][0]
    assert np.isfinite(trained.history["loss"]).all()


def test_the_logged_components_sum_to_the_loss(trained):
    parts = sum(np.array(trained.history[name]) for name in ("box", "objectness", "background", "classification"))
    assert parts == pytest.approx(trained.history["loss"], rel=1e-4)


def test_a_saved_model_is_the_same_model(trained):
    again = load_model(trained.path)
    assert type(again) is YoloV2
    assert again.get_config() == trained.model.get_config()
    assert (again.widths, again.class_names, again.anchors) == (WIDTHS, ("car", "tram"), ANCHORS)
    assert (again.image_size, again.variant, again.num_classes) == ((64, 96), "tiny", 2)
    assert [layer.trainable for layer in again.layers] == [layer.trainable for layer in trained.model.layers]
    np.testing.assert_array_equal(again(fixed_batch()[0], training=False), trained.outputs)
    # With fused batch-norms on a CPU.
    quick = load_detector(trained.path)
    np.testing.assert_allclose(quick(fixed_batch()[0], training=False), trained.outputs, rtol=1e-4, atol=1e-6)


def test_a_saved_model_goes_on_training_as_if_never_stopped(trained):
    again = load_model(trained.path, compile=True)
    assert again.compiled
    # 15 epochs of 2 batches were trained.
    assert int(again.optimizer.iterations) == 30
    assert again.optimizer.get_config() == trained.model.optimizer.get_config()
    assert differences(again.optimizer.variables, trained.optimizer) == 0.0
    assert isinstance(again.loss, RegionLoss)
    history = again.fit(*fixed_batch(), epochs=1, batch_size=2, shuffle=False, verbose=0).history
    assert set(history) == set(trained.history)
    assert differences(again.weights, trained.later) < 1e-7


@pytest.mark.parametrize(
    "shape, told",
    [
        ((2, 96, 64, 3), "an image of 64x96;"),  # height and width swapped
        ((2, 128, 96, 3), "an image of 96x128;"),
        ((64, 96, 3), "an image of shape (96, 3);"),  # no batch
        ((1, 64, 96), "an image of shape (64, 96);"),
        ((1, 3, 64, 96), "an image of shape (3, 64, 96);"),
    ],
)
def test_images_of_another_size_are_told(trained, shape, told):
    with pytest.raises(InputError, match=re.escape(told)) as caught:
        trained.model.detect(np.zeros(shape, np.uint8))
    assert "the network's size, 96x64" in str(caught.value)


def test_detect_takes_what_is_of_its_size(trained):
    images = np.zeros((3, 64, 96, 3), np.uint8)
    assert len(trained.model.detect(images)) == len(trained.model.detect(list(images), batch_size=2)) == 3
    assert trained.model.detect(images[:0]) == []


def test_a_rebuilt_model_takes_the_weights():
    model = build()
    freeze(model, "head")
    again = YoloV2.from_config(model.get_config())
    assert [layer.name for layer in again.layers] == [layer.name for layer in model.layers]
    assert [layer.trainable for layer in again.layers] == [layer.trainable for layer in model.layers]
    again.set_weights(model.get_weights())
    images, _ = fixed_batch(2)
    np.testing.assert_array_equal(again(images, training=False), model(images, training=False))
    assert build(class_names=None).get_config()["class_names"] is None


# Adam divides by the gradient's size; without a larger epsilon it blows up the rounding of gradients that are almost 0.
@pytest.mark.parametrize(
    "optimizer", [lambda: keras.optimizers.SGD(1e-2, momentum=0.9), lambda: keras.optimizers.Adam(1e-3, epsilon=1e-2)]
)
def test_the_same_images_twice_in_a_batch_give_the_same_step(optimizer):
    images, boxes = np.random.default_rng(0).random((2, 64, 96, 3), np.float32), fixed_batch(2)[1]
    once, twice = (compiled(build(), optimizer()) for _ in range(2))
    once.train_on_batch(images, boxes)
    twice.train_on_batch(np.concatenate([images, images]), np.concatenate([boxes, boxes]))
    assert differences(once.weights, twice.weights) < 1e-6
    assert differences(once.weights, build().weights) > 1e-4


@pytest.fixture
def bfloat16():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    yield
    keras.config.set_dtype_policy(before)


def test_mixed_precision_keeps_a_float32_head(bfloat16):
    model = compiled(build(), keras.optimizers.Adam(1e-3))
    images, boxes = fixed_batch()
    assert model.get_layer("conv_8").compute_dtype == "bfloat16"
    assert model.get_layer("conv_9").compute_dtype == "float32"
    assert keras.backend.standardize_dtype(model(images).dtype) == "float32"
    before = arrays(model.weights)
    logs = model.train_on_batch(images, boxes, return_dict=True)
    assert np.isfinite(list(logs.values())).all()
    assert differences(model.weights, before) > 0
    assert {str(value.dtype) for value in arrays(model.weights)} == {"float32"}


def test_run_folders_and_files(tmp_path, trained):
    with pytest.raises(InputError, match="a folder without best.keras"):
        model_file(tmp_path)
    (tmp_path / "best.keras").write_bytes(trained.path.read_bytes())
    assert model_file(tmp_path) == tmp_path / "best.keras"
    assert isinstance(load_detector(tmp_path), YoloV2)
    with pytest.raises(InputError, match="no such file"):
        model_file(tmp_path / "other.keras")


def test_what_is_no_detector_is_told(tmp_path, trained):
    whole = trained.path.read_bytes()
    broken = tmp_path / "broken.keras"
    for content in (b"", b"no archive", whole[: len(whole) // 2], whole[:5000] + bytes(3000) + whole[8000:]):
        broken.write_bytes(content)
        with pytest.raises(InputError, match="broken.keras"):
            load_model(broken)
    other = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    other.save(tmp_path / "other.keras")
    with pytest.raises(InputError, match="a Sequential; expected a YoloV2 detector"):
        load_detector(tmp_path / "other.keras")


MIRRORED = """
import numpy as np, keras, tensorflow as tf
processor = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(processor, [tf.config.LogicalDeviceConfiguration()] * 2)
from yolo_prune import distribution
from yolo_prune.detector import YoloV2
from yolo_prune.freeze import freeze
from yolo_prune.loss import RegionLoss
from yolo_prune.metrics import RegionMetric

rng = np.random.default_rng(0)
images = rng.random((8, 32, 64, 3), np.float32)
boxes = np.zeros((8, 2, 5), np.float32)
boxes[:, 0] = (0.3, 0.4, 0.2, 0.3, 1)

class Feed(keras.utils.PyDataset):
    def __len__(self):
        return 2

    def __getitem__(self, index):
        return images[4 * index : 4 * index + 4], boxes[4 * index : 4 * index + 4]

results, replicas = [], []
for kind in ("none", "mirrored"):
    with distribution.scope(kind):
        keras.utils.set_random_seed(0)
        replicas.append(tf.distribute.get_strategy().num_replicas_in_sync)
        model = YoloV2(2, ((1, 1), (2, 3)), (32, 64), "tiny", widths=(4,) * 8)
        freeze(model, "head")
        loss = RegionLoss(model.anchors, 2)
        model.compile(keras.optimizers.SGD(1e-2), loss=loss, metrics=[RegionMetric(loss, "average_iou")])
        history = model.fit(Feed(), epochs=2, verbose=0, shuffle=False).history
        results.append((model.get_weights(), history, model.detect(images)))
assert replicas == [1, 2], replicas
(plain, plain_history, plain_found), (mirrored, history, found) = results
# Half a batch a replica, the gradients averaged: with frozen batch-norms the same steps as on one device.
assert max(np.abs(a - b).max() for a, b in zip(plain, mirrored, strict=True)) < 1e-6
for name in plain_history:
    np.testing.assert_allclose(plain_history[name], history[name], rtol=1e-4, atol=1e-6, err_msg=name)
assert len(found) == len(plain_found) == 8
for a, b in zip(plain_found, found, strict=True):
    np.testing.assert_allclose(a.scores, b.scores, atol=1e-5)
print("agrees")
"""


@pytest.mark.slow
@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="MirroredStrategy is TensorFlow's")
def test_two_replicas_train_like_one_device():
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path, "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, "-c", MIRRORED], env=environment, capture_output=True, text=True, timeout=400
    )
    assert done.stdout.strip().endswith("agrees"), done.stderr[-3000:]


def test_a_backend_that_cannot_distribute_is_told():
    from yolo_prune import distribution

    other = "multihost" if keras.backend.backend() == "tensorflow" else "mirrored"
    told = f"--distribute {other} on the {keras.backend.backend()} backend"
    with pytest.raises(InputError, match=told), distribution.scope(other):
        pass
