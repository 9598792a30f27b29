"""Back to darknet: the same bytes, and networks of our own in darknet's terms."""

import keras
import numpy as np
import pytest

from run_tools.errors import InputError
from tests.yolo_prune import darknet_reference as reference
from yolo_prune import YoloV2, darknet
from yolo_prune.network import DEFAULT_WIDTHS, check_passthrough

NET = (
    reference.net(24, 16)
    + reference.conv(6)
    + reference.conv(4, size=1, norm=0)
    + "\n[reorg]\nstride=2\n"
    + reference.head("1,1.5, 2,1", 2)
)
HEADERS = [(0, 2, 0, 32_013_312), (0, 2, 5, 2**40 + 1), (0, 1, 0, 32_013_312), (0, 0, 0, 0), (1, 0, 0, 5)]


@pytest.mark.parametrize("header", HEADERS)
def test_the_same_bytes(tmp_path, header):
    text = "# caf\u00e9\r\n" + NET.replace("\n\n", "\n\n\n").replace("=", " = ")
    cfg, weights = text.encode("latin-1"), bytearray(reference.random_weights(NET, header=header))
    # Numbers that arithmetic would change: a negative zero, the smallest one, infinity and no number.
    weights[-16:] = np.array([-0.0, 1e-45, np.inf, np.nan], "<f4").tobytes()
    (tmp_path / "in.cfg").write_bytes(cfg)
    (tmp_path / "in.weights").write_bytes(weights)
    model = darknet.load(tmp_path / "in.cfg", tmp_path / "in.weights")
    model.save(tmp_path / "net.keras")
    for number, source in enumerate((model, keras.saving.load_model(tmp_path / "net.keras", safe_mode=True))):
        told = darknet.save(source, tmp_path / f"{number}.cfg", tmp_path / f"{number}.weights")
        assert (tmp_path / f"{number}.cfg").read_bytes() == cfg
        assert (tmp_path / f"{number}.weights").read_bytes() == weights
        assert told["bytes"] == len(weights) and told["seen"] == header[3]


def test_what_is_trained_is_written(tmp_path):
    (tmp_path / "in.cfg").write_text(NET)
    (tmp_path / "in.weights").write_bytes(reference.random_weights(NET, header=(0, 1, 0, 9)))
    model = darknet.load(tmp_path / "in.cfg", tmp_path / "in.weights")
    bias = model.get_layer("conv_3").bias
    bias.assign(bias + 1.0)
    darknet.save(model, tmp_path / "out.cfg", tmp_path / "out.weights")
    before, after = ((tmp_path / name).read_bytes() for name in ("in.weights", "out.weights"))
    # The last convolution: 14 biases and 16 · 14 numbers of the kernel, 238 of 4 bytes, at the end.
    start = len(before) - 4 * 238
    assert after[:start] == before[:start] and after[start + 56 :] == before[start + 56 :]
    ours, theirs = (np.frombuffer(data[start : start + 56], "<f4") for data in (after, before))
    np.testing.assert_array_equal(ours, theirs + np.float32(1))


def trained(**options):
    """A detector whose batch-norms are not those of the beginning."""
    keras.utils.set_random_seed(0)
    anchors = ((0.1, 1 / 3), (2.5, 1e-7))
    model = YoloV2(3, anchors, image_size=(64, 96), class_names=("car", "tram", "cyclist"), **options)
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if layer.name.startswith("norm_"):
            scales, shifts, means, variances = (rng.normal(0, 0.3, 8)[: layer.gamma.shape[0]] for _ in range(4))
            layer.set_weights([scales + 1.5, shifts, means, np.abs(variances) + 0.5])
    return model


KINDS = {
    "tiny": {"variant": "tiny", "widths": (3, 4, 5, 4, 6, 8, 7, 5)},
    "full": {"variant": "full", "widths": (*(4,) * 20, 3, 5)},
    "full with reorg": {"variant": "full", "widths": (*(4,) * 20, 8, 5), "passthrough": "reorg"},
}


@pytest.mark.parametrize("kind", KINDS)
def test_networks_of_our_own(tmp_path, kind):
    model = trained(**KINDS[kind])
    cfg, weights = tmp_path / "own.cfg", tmp_path / "own.weights"
    told = darknet.save(model, cfg, weights)
    images = np.random.default_rng(1).random((2, 64, 96, 3), np.float32)
    ours = keras.ops.convert_to_numpy(model(images, training=False))
    # What darknet computes from the two files, by its own loops …
    for image, answer in zip(images, ours, strict=True):
        theirs = reference.forward(cfg.read_text(), weights.read_bytes(), image.transpose(2, 0, 1))
        np.testing.assert_allclose(answer.transpose(2, 0, 1), theirs, rtol=1e-4, atol=1e-4 * np.abs(theirs).max())
    # … and what comes back here.
    again = darknet.load(cfg, weights, class_names=model.class_names)
    answers = keras.ops.convert_to_numpy(again(images, training=False))
    np.testing.assert_allclose(answers, ours, rtol=1e-4, atol=1e-5 * np.abs(ours).max())
    assert again.anchors == model.anchors and again.num_classes == 3 and again.image_size == (64, 96)
    assert told["seen"] == 0 and told["values"] == darknet.parse(cfg.read_text()).values
    kinds = [name for name, _ in reference.sections(cfg.read_text())]
    assert kinds.count("reorg") == (kind == "full with reorg")
    # Written once more, it is the same.
    darknet.save(again, tmp_path / "b.cfg", tmp_path / "b.weights")
    assert (tmp_path / "b.cfg").read_bytes() == cfg.read_bytes()
    assert (tmp_path / "b.weights").read_bytes() == weights.read_bytes()


def test_the_made_up_cfg_is_the_published_network(tmp_path):
    anchors, size = ((0.5, 0.6), (1.5, 2.0)), (32, 64)
    narrow = {kind: tuple(width // 16 for width in widths) for kind, widths in DEFAULT_WIDTHS.items()}
    published = {
        "tiny": reference.tiny(narrow["tiny"], 2, "0.5,0.6,1.5,2.0", (64, 32)),
        "full": reference.full(2, "0.5,0.6,1.5,2.0", (64, 32), of=16),
    }
    for kind, text in published.items():
        model = YoloV2(2, anchors, size, variant=kind, widths=narrow[kind], passthrough="reorg")
        darknet.save(model, tmp_path / "a.cfg", tmp_path / "a.weights")
        ours, theirs = reference.sections((tmp_path / "a.cfg").read_text()), reference.sections(text)
        # All but the options for training, in [net] and [region], must be equal.
        assert ours[1:-1] == theirs[1:-1] and (ours[0][0], ours[-1][0]) == ("net", "region")
        for name in ("width", "height", "channels"):
            assert ours[0][1][name] == theirs[0][1][name]
        for name in ("anchors", "classes", "coords", "num", "softmax"):
            assert ours[-1][1][name] == theirs[-1][1][name]


def test_what_cannot_be_written(tmp_path):
    model = trained(**KINDS["tiny"])
    with pytest.raises(InputError, match="two files"):
        darknet.save(model, tmp_path / "a", tmp_path / "a")
    with pytest.raises(InputError, match="a Functional; expected a YoloV2"):
        darknet.save(keras.models.clone_model(model), tmp_path / "a.cfg", tmp_path / "a.weights")
    assert not list(tmp_path.iterdir())
    with pytest.raises(InputError, match="multiple of 4 for reorg"):
        trained(variant="full", widths=(4,) * 20 + (6, 4), passthrough="reorg")
    with pytest.raises(InputError, match="one of space_to_depth, reorg"):
        check_passthrough("tiny", "none", (4,) * 8)


def test_a_failure_leaves_the_files_as_they_were(tmp_path):
    model = trained(**KINDS["tiny"])
    (tmp_path / "a.cfg").write_text("before")
    model.get_layer("conv_9").name = "lost"
    with pytest.raises(ValueError, match="conv_9"):
        darknet.save(model, tmp_path / "a.cfg", tmp_path / "a.weights")
    assert [path.name for path in tmp_path.iterdir()] == ["a.cfg"] and (tmp_path / "a.cfg").read_text() == "before"
