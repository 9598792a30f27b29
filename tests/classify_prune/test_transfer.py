"""Weights by layer, from our own networks and under torchvision's names."""

import json
import struct
import types

import keras
import numpy as np
import pytest

from classify_prune import lenet5, mlp, resnet18
from classify_prune.loading import load_classifier
from classify_prune.presets import from_hub
from classify_prune.transfer import IMAGENET, from_torchvision, read_safetensors, transfer
from run_tools.errors import InputError

WIDTHS = (4, 5, 6, 7)


def torchvision_arrays(rng, classes=10):
    """The state of a ResNet-18 under the names and shapes of torchvision's `state_dict`, written out."""
    arrays = {}

    def norm(name, width):
        for part in ("weight", "bias", "running_mean", "running_var"):
            arrays[f"{name}.{part}"] = rng.random(width).astype(np.float32)
        arrays[f"{name}.num_batches_tracked"] = np.int64(7)

    def conv(name, out, given, size):
        arrays[f"{name}.weight"] = rng.normal(size=(out, given, size, size)).astype(np.float32)

    conv("conv1", WIDTHS[0], 3, 7)
    norm("bn1", WIDTHS[0])
    before = WIDTHS[0]
    for stage, width in enumerate(WIDTHS, start=1):
        for block in (0, 1):
            for number in (1, 2):
                conv(f"layer{stage}.{block}.conv{number}", width, before if number == 1 else width, 3)
                norm(f"layer{stage}.{block}.bn{number}", width)
            if stage > 1 and block == 0:
                conv(f"layer{stage}.0.downsample.0", width, before, 1)
                norm(f"layer{stage}.0.downsample.1", width)
            before = width
    arrays["fc.weight"] = rng.normal(size=(classes, before)).astype(np.float32)
    arrays["fc.bias"] = rng.normal(size=classes).astype(np.float32)
    return arrays


def write_safetensors(path, arrays):
    """By the format's description: u64 length, JSON header, then the bytes."""
    header, body = {"__metadata__": {"format": "pt"}}, b""
    for name, array in arrays.items():
        raw = np.asarray(array).tobytes()
        kind = {"float32": "F32", "float16": "F16", "int64": "I64", "int32": "I32"}[str(np.asarray(array).dtype)]
        header[name] = {
            "dtype": kind,
            "shape": list(np.shape(array)),
            "data_offsets": [len(body), len(body) + len(raw)],
        }
        body += raw
    told = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(told)) + told + body)
    return path


@pytest.mark.parametrize("kind", ["npz", "safetensors"])
def test_every_torchvision_array_finds_its_layer(tmp_path, kind):
    arrays = torchvision_arrays(np.random.default_rng(0))
    path = tmp_path / f"resnet18.{kind}"
    if kind == "npz":
        np.savez(path, **arrays)
    else:
        write_safetensors(path, arrays)
    model = resnet18(3, (32, 32), WIDTHS, ("a", "b", "c"), *IMAGENET)
    result = transfer(model, path)
    # All but the head, whose classes are others.
    weighted = [layer.name for layer in model.layers if layer.weights]
    assert set(result.loaded) == set(weighted) - {"logits"} and set(result.skipped) == {"logits"}
    kernel = keras.ops.convert_to_numpy(model.get_layer("stage2_block1_shortcut_conv").kernel)
    np.testing.assert_array_equal(kernel[0, 0], arrays["layer2.0.downsample.0.weight"][:, :, 0, 0].T)
    kernel = keras.ops.convert_to_numpy(model.get_layer("stage3_block2_1_conv").kernel)
    assert kernel[1, 2, 3, 4] == arrays["layer3.1.conv1.weight"][4, 3, 1, 2]
    gamma, beta, mean, variance = model.get_layer("stage4_block1_2_norm").get_weights()
    for name, ours in (("weight", gamma), ("bias", beta), ("running_mean", mean), ("running_var", variance)):
        np.testing.assert_array_equal(ours, arrays[f"layer4.0.bn2.{name}"])
    head = from_torchvision(arrays)
    np.testing.assert_array_equal(head["logits/kernel"], arrays["fc.weight"].T)
    np.testing.assert_array_equal(head["logits/bias"], arrays["fc.bias"])
    assert not any("num_batches" in name for name in head)


def test_own_models_give_their_head_only_to_the_same_classes(tmp_path):
    given = lenet5(3, widths=(2, 3, 4, 5), class_names=("a", "b", "c"))
    given.save(tmp_path / "m.keras")
    same, other = (lenet5(3, widths=(2, 3, 4, 5), class_names=names) for names in (("a", "b", "c"), ("a", "c", "b")))
    assert "logits" in transfer(same, tmp_path / "m.keras").loaded
    assert set(transfer(other, given).skipped) == {"logits"}
    assert transfer(same, given, head=False).skipped == {"logits": "a new head is wanted"}
    wider = lenet5(3, widths=(2, 3, 6, 5), class_names=("a", "b", "c"))
    assert set(transfer(wider, given).skipped) == {"conv_3", "dense_1"}


def test_what_does_not_fit_or_is_damaged_is_one_line(tmp_path):
    with pytest.raises(InputError, match="no layer fits"):
        transfer(mlp(4, 2), lenet5(2))
    with pytest.raises(InputError, match="no such file"):
        transfer(mlp(4, 2), tmp_path / "none.npz")
    whole = write_safetensors(tmp_path / "w.safetensors", {"fc.bias": np.zeros(4, np.float32)})
    np.testing.assert_array_equal(read_safetensors(whole)["fc.bias"], np.zeros(4))
    data = whole.read_bytes()
    for name, damaged in {
        "cut": data[:-1],
        "empty": b"",
        "header": b"\xff" * 8,
        "json": data[:8] + b"x" + data[9:],
    }.items():
        path = tmp_path / f"{name}.safetensors"
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=f"{name}.safetensors: .*; expected a whole .safetensors file"):
            read_safetensors(path)
    with pytest.raises(InputError, match="fc.bias of type I32"):
        read_safetensors(write_safetensors(tmp_path / "i.safetensors", {"fc.bias": np.zeros(2, np.int32)}))


def test_a_model_of_another_kind_is_refused(tmp_path):
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).save(tmp_path / "other.keras")
    with pytest.raises(InputError, match="a Sequential; expected a classifier"):
        load_classifier(tmp_path / "other.keras")
    with pytest.raises(InputError, match="no such file; expected a run folder, a .keras file or a name in"):
        load_classifier(tmp_path / "none.keras")


def test_keras_hubs_backbone_computes_the_same_under_our_names():
    hub = pytest.importorskip("keras_hub", reason="keras-hub is not installed")
    # Its first stack is always 64 wide.
    backbone = hub.models.ResNetBackbone(
        [64], [7], [64, 5, 6, 7], [2, 2, 2, 2], [1, 2, 2, 2], block_type="basic_block", image_shape=(40, 48, 3)
    )
    rng = np.random.default_rng(0)
    for layer in backbone.layers:
        layer.set_weights([rng.uniform(0.1, 0.5, array.shape) for array in layer.get_weights()])
    model = resnet18(3, (40, 48), (64, 5, 6, 7))
    arrays = from_hub(backbone)
    assert set(arrays) == {f"{layer.name}/{v.name}" for layer in model.layers[:-1] for v in layer.weights}
    for layer in model.layers[:-1]:
        layer.set_weights([arrays[f"{layer.name}/{variable.name}"] for variable in layer.weights])
    images = rng.random((2, 40, 48, 3)).astype(np.float32)
    pooled = keras.ops.convert_to_numpy(keras.Model(model.input, model.get_layer("pool").output)(images))
    np.testing.assert_allclose(pooled, np.mean(backbone(images), axis=(1, 2)), rtol=1e-4)


def test_imagenet_by_name_takes_all_but_the_head(monkeypatch):
    donor = resnet18(3, (32, 32), WIDTHS)
    arrays = {f"{layer.name}/{v.name}": np.array(v.numpy()) for layer in donor.layers[:-1] for v in layer.weights}
    monkeypatch.setattr("classify_prune.presets.imagenet", lambda: arrays)
    model = resnet18(2, (32, 32), WIDTHS, ("a", "b"))
    result = transfer(model, "imagenet")
    assert list(result.skipped) == ["logits"]
    np.testing.assert_array_equal(model.get_layer("stem_conv").kernel, donor.get_layer("stem_conv").kernel)


def test_imagenet_without_a_connection_is_one_line(monkeypatch):
    class Backbone:
        @staticmethod
        def from_preset(name):
            assert name == "resnet_18_imagenet"
            raise ConnectionError("Failed to resolve\n'api.kaggle.com'")

    hub = types.SimpleNamespace(models=types.SimpleNamespace(ResNetBackbone=Backbone))
    monkeypatch.setattr("run_tools.optional.require", lambda module, extra: hub)
    with pytest.raises(InputError, match="cannot be downloaded .*go online once") as raised:
        transfer(resnet18(2, (32, 32), WIDTHS), "imagenet")
    assert "\n" not in str(raised.value)
