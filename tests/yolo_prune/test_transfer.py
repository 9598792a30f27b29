"""Warm starts: by layer, where it fits, and told what was taken."""

import io

import keras
import numpy as np
import pytest

from run_tools.errors import InputError
from yolo_prune.detector import YoloV2
from yolo_prune.transfer import transfer

ANCHORS = ((1.0, 1.5), (2.0, 1.0))
WIDTHS = (4, 4, 4, 4, 4, 6, 8, 6)
PARTS = ("gamma", "beta", "moving_mean", "moving_variance")


def tiny(seed=0, classes=2, anchors=ANCHORS, widths=WIDTHS, names=None):
    keras.utils.set_random_seed(seed)
    return YoloV2(classes, anchors, image_size=(32, 32), variant="tiny", widths=widths, class_names=names)


def weights(model, name):
    return model.get_layer(name).get_weights()


def same(model, other, name):
    return all(np.array_equal(a, b) for a, b in zip(weights(model, name), weights(other, name), strict=True))


@pytest.fixture
def partial(tmp_path):
    """As the published tiny-COCO file: kernels 6, 7, 8 are missing, all batch-norms are there, a head of 80 classes."""
    rng = np.random.default_rng(0)
    widths = (3, *WIDTHS)
    arrays = {f"conv2d_{i}/kernel": rng.normal(size=(3, 3, widths[i - 1], widths[i])) for i in range(1, 6)}
    for i in range(1, 9):
        arrays.update({f"batch_normalization_{i}/{part}": rng.random(widths[i]) for part in PARTS})
    arrays |= {"conv2d_9/kernel": rng.normal(size=(1, 1, 6, 425)), "conv2d_9/bias": rng.normal(size=425)}
    arrays = {name: value.astype(np.float32) for name, value in arrays.items()}
    path = tmp_path / "partial.npz"
    np.savez_compressed(path, **arrays)
    return path, arrays


def test_a_partial_file(partial):
    path, arrays = partial
    model, fresh = tiny(), tiny()
    result = transfer(model, path)
    assert result.loaded == tuple(name for i in range(1, 6) for name in (f"conv_{i}", f"norm_{i}"))
    for i in range(1, 6):
        np.testing.assert_array_equal(weights(model, f"conv_{i}")[0], arrays[f"conv2d_{i}/kernel"])
        for value, part in zip(weights(model, f"norm_{i}"), PARTS, strict=True):
            np.testing.assert_array_equal(value, arrays[f"batch_normalization_{i}/{part}"])
    # Statistics belong to the kernel before them: without it they stay fresh, and so does a head of other classes.
    for name in ("conv_6", "norm_6", "conv_7", "norm_7", "conv_8", "norm_8", "conv_9"):
        assert same(model, fresh, name), name
    assert result.skipped["conv_6"] == "the source has no kernel"
    assert result.skipped["norm_6"] == "its statistics are those of another conv_6"
    # 2 anchors · (5 + 2 classes) = 14 channels here.
    assert result.skipped["conv_9"] == "shapes [(1, 1, 6, 425), (425,)], here [(1, 1, 6, 14), (14,)]"
    assert set(result.loaded) | set(result.skipped) == {layer.name for layer in model.layers if layer.weights}


def test_another_model_of_the_same_network():
    model, source = tiny(0), tiny(1)
    source.get_layer("norm_2").set_weights([np.full(4, value) for value in (1.0, 2.0, 3.0, 4.0)])
    result = transfer(model, source)
    assert not result.skipped
    assert not result.notes
    images = np.random.default_rng(0).random((2, 32, 32, 3), np.float32)
    np.testing.assert_array_equal(model(images, training=False), source(images, training=False))


def test_a_saved_model_and_a_run_folder(tmp_path):
    source = tiny(1)
    source.save(tmp_path / "best.keras")
    for given in (tmp_path, tmp_path / "best.keras", str(tmp_path)):
        model = tiny(0)
        assert len(transfer(model, given).loaded) == 17
        assert same(model, source, "conv_9")


def test_narrower_layers_keep_their_own():
    # Width 3 of convolution 3 changes its outputs, and the inputs of convolution 4.
    model, source = tiny(0, widths=(4, 4, 3, 4, 4, 6, 8, 6)), tiny(1)
    result = transfer(model, source)
    assert set(result.skipped) == {"conv_3", "norm_3", "conv_4", "norm_4"}
    assert same(model, source, "conv_5")


def test_a_head_of_other_classes_or_anchors_is_told():
    cars, fruit = ("car", "tram"), ("apple", "pear")
    model, source = tiny(0, names=cars), tiny(1, names=fruit)
    result = transfer(model, source)
    assert result.skipped == {"conv_9": "its classes are apple, pear, here car, tram"}
    assert not same(model, source, "conv_9")

    source = tiny(1, names=cars, anchors=((1.0, 1.5), (2.0, 3.0)))
    result = transfer(model, source)
    assert not result.skipped
    assert result.notes == (
        "the head was trained with other anchors, 1.000,1.500 2.000,3.000; here 1.000,1.500 2.000,1.000",
    )
    # Another number of anchors is another shape.
    assert set(transfer(model, tiny(1, names=cars, anchors="coco")).skipped) == {"conv_9"}


def test_a_new_head_can_be_asked_for():
    model, source, fresh = tiny(0), tiny(1), tiny(0)
    result = transfer(model, source, head=False)
    assert set(result.skipped) == {"conv_9"}
    assert same(model, fresh, "conv_9")
    assert same(model, source, "conv_8")


@pytest.mark.parametrize("names", [(None, None), (("car", "tram"), ("a", "b", "c"))])
def test_nothing_fits(names):
    with pytest.raises(InputError, match=r"no layer fits \(conv_1: shapes .* check --widths"):
        transfer(tiny(names=names[0]), tiny(1, widths=(3, 3, 3, 3, 3, 3, 3, 3), classes=3, names=names[1]))


def test_files_that_cannot_be_read(tmp_path, partial):
    whole = partial[0].read_bytes()
    broken = tmp_path / "broken.npz"
    single = io.BytesIO()
    np.save(single, np.zeros(3))
    for content in (
        b"",
        b"text",
        single.getvalue(),
        whole[:4],
        whole[: len(whole) // 2],
        whole[:600] + bytes(200) + whole[800:],
    ):
        broken.write_bytes(content)
        with pytest.raises(InputError, match="broken.npz"):
            transfer(tiny(), broken)
    for name in ("missing.npz", "missing.keras"):
        with pytest.raises(InputError, match="no such file"):
            transfer(tiny(), tmp_path / name)


def test_objects_in_a_file_are_not_run(tmp_path):
    class Trap:
        def __reduce__(self):
            return (pytest.fail, ("the file's code was run",))

    trap = np.empty(1, object)
    trap[0] = Trap()
    np.savez(tmp_path / "trap.npz", **{"conv2d_1/kernel": trap})
    with pytest.raises(InputError, match="trap.npz"):
        transfer(tiny(), tmp_path / "trap.npz")


@pytest.mark.real
def test_the_published_partial_file(prune_data):
    model = YoloV2(5, "coco", image_size=(32, 32), variant="tiny")
    result = transfer(model, prune_data / "weights" / "yolov2_tiny_coco_partial.npz")
    assert result.loaded == tuple(name for i in range(1, 6) for name in (f"conv_{i}", f"norm_{i}"))
