"""The three networks: shapes, published sizes, the arithmetic, saving, and removing units."""

import keras
import numpy as np
import pytest

import classify_prune
from classify_prune import Classifier, lenet5, mlp, resnet18
from classify_prune.metrics import softmax
from prune_tools import cost, statistics, surgery
from run_tools.errors import InputError


def random_weights(model, seed=0):
    """Weights with batch-norm statistics that do something."""
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        array = rng.normal(0, 0.3, variable.shape)
        variable.assign(np.abs(array) + 0.5 if "variance" in variable.path or "gamma" in variable.path else array)
    return model


def trainable(model):
    return sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)


def test_sizes_are_the_published_ones():
    # torchvision's ResNet-18 has 11,689,512 parameters for 1,000 classes; each class less is 513 less.
    assert trainable(resnet18(11, (32, 32))) == 11_689_512 - 989 * 513
    # LeNet-5 with full connections: 156 + 2,416 + 48,120 + 10,164 + 850.
    assert trainable(lenet5()) == 61_706
    # 2048·500 + 500 + 500·11 + 11, and paper 001's own count of 2061 a hidden unit.
    model = mlp(2048, 11)
    assert trainable(model) == 1_030_011
    assert cost.flops(model, convention="paper001") == 1_030_500
    assert trainable(mlp(2048, 1362, (1024,), 0.0)) == 2048 * 1024 + 1024 + 1024 * 1362 + 1362


def convolve(x, kernel, stride, pad):
    """A convolution as PyTorch defines it, window by window: x (h, w, in), kernel (k, k, in, out)."""
    x = np.pad(x, ((pad, pad), (pad, pad), (0, 0)))
    size = kernel.shape[0]
    rows = range(0, x.shape[0] - size + 1, stride)
    columns = range(0, x.shape[1] - size + 1, stride)
    return np.array([[np.tensordot(x[r : r + size, c : c + size], kernel, 3) for c in columns] for r in rows])


def literal_resnet18(weights, x):
    """He et al. (2016) with torchvision's paddings, one image, layer by layer."""

    def convolution(x, name, stride, pad):
        y = convolve(x, weights[f"{name}_conv/kernel"], stride, pad)
        gamma, beta, mean, variance = (
            weights[f"{name}_norm/{part}"] for part in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        return gamma * (y - mean) / np.sqrt(variance + 1e-5) + beta

    x = np.maximum(convolution(x, "stem", 2, 3), 0)
    x = np.pad(x, ((1, 1), (1, 1), (0, 0)), constant_values=-np.inf)
    rows, columns = range(0, x.shape[0] - 2, 2), range(0, x.shape[1] - 2, 2)
    x = np.array([[x[r : r + 3, c : c + 3].max(axis=(0, 1)) for c in columns] for r in rows])
    for stage in range(1, 5):
        for block in (1, 2):
            name = f"stage{stage}_block{block}"
            stride = 2 if stage > 1 and block == 1 else 1
            y = np.maximum(convolution(x, f"{name}_1", stride, 1), 0)
            y = convolution(y, f"{name}_2", 1, 1)
            if stride == 2:
                x = convolution(x, f"{name}_shortcut", 2, 0)
            x = np.maximum(x + y, 0)
    return x.mean(axis=(0, 1)) @ weights["logits/kernel"] + weights["logits/bias"]


@pytest.mark.parametrize("size", [(40, 56), (35, 47)])
def test_resnet18_computes_what_torchvision_does(size):
    model = random_weights(resnet18(3, size, (4, 5, 6, 7)))
    weights = {variable.path: keras.ops.convert_to_numpy(variable) for variable in model.weights}
    image = np.random.default_rng(1).random((1, *size, 3))
    ours = keras.ops.convert_to_numpy(model(image, training=False))
    np.testing.assert_allclose(ours[0], literal_resnet18(weights, image[0]), rtol=1e-3, atol=1e-4 * np.abs(ours).max())


def test_lenet5_has_the_sizes_that_paper_004_tells():
    model = lenet5(10)
    shapes = {layer.name: layer.output.shape[1:] for layer in model.layers}
    assert shapes["conv_1"] == (28, 28, 6) and shapes["pool_1"] == (14, 14, 6)
    assert shapes["conv_2"] == (10, 10, 16) and shapes["pool_2"] == (5, 5, 16)
    assert shapes["conv_3"] == (1, 1, 120) and shapes["dense_1"] == (84,) and shapes["logits"] == (10,)


def test_mlp_by_hand():
    model = mlp(2, 2, (2,), 0.0, mean=[1, 3], deviation=[2, 4])
    model.set_weights([np.array([[1, -1], [2, 1]]), np.array([0, 1]), np.array([[1, 0], [3, -1]]), np.array([0.5, 0])])
    # (3, 7) is standardised to (1, 1); hidden relu(1 + 2, -1 + 1 + 1) = (3, 1); logits (3 + 3 + .5, -1).
    np.testing.assert_allclose(keras.ops.convert_to_numpy(model(np.array([[3.0, 7.0]]))), [[6.5, -1.0]], rtol=1e-6)


MODELS = {
    "resnet18": lambda: resnet18(3, (33, 40), (8, 6, 8, 10), mean=[0.5, 0.4, 0.3], deviation=[0.2, 0.3, 0.2]),
    "lenet5": lambda: lenet5(4, widths=(6, 8, 12, 10), class_names=("a", "b", "c", "d")),
    "lenet5 of larger images": lambda: lenet5(3, (40, 36), (4, 6, 8, 9), mean=[0.4], deviation=[0.2]),
    "mlp": lambda: mlp(12, 3, (10, 7), 0.2, mean=np.arange(12.0), deviation=np.ones(12)),
}
REMOVED = {
    "resnet18": {"stem_conv": [1, 5], "stage1_block2_1_conv": [0, 2], "stage3_block1_2_conv": [3],
                 "stage4_block2_1_conv": [9]},
    "lenet5": {"conv_1": [2], "conv_2": [0, 7], "conv_3": [3, 4, 5], "dense_1": [1, 9]},
    "lenet5 of larger images": {"conv_2": [1], "conv_3": [2, 3], "dense_1": [0]},
    "mlp": {"dense_1": [0, 4, 9], "dense_2": [6]},
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("merge", ["delete", "least_squares"])
def test_units_can_be_removed_and_the_class_stays(name, merge):
    model = random_weights(MODELS[name]())
    data = np.random.default_rng(2).random((6, *model.inputs_shape), np.float32)
    found = statistics.collect(model, data) if merge == "least_squares" else None
    operation = surgery.Surgery(model, REMOVED[name], merge, found)
    smaller = operation.smaller()
    assert isinstance(smaller, Classifier) and smaller.class_names == model.class_names
    assert sum(model.widths) - sum(smaller.widths) == sum(map(len, REMOVED[name].values()))
    assert operation.certificate(data, smaller).sound()
    again = Classifier.from_config(smaller.get_config())
    again.set_weights(smaller.get_weights())
    np.testing.assert_array_equal(again.predict_on_batch(data), smaller.predict_on_batch(data))


def test_removing_a_duplicate_changes_nothing():
    model = random_weights(mlp(5, 3, (6,), 0.2))
    kernel, bias, *rest = model.get_weights()
    kernel[:, 4], bias[4] = kernel[:, 1], bias[1]
    model.set_weights([kernel, bias, *rest])
    data = np.random.default_rng(0).random((20, 5), np.float32)
    operation = surgery.Surgery(model, {"dense_1": [(4, 1)]}, "outgoing", statistics.collect(model, data))
    assert operation.certificate(data).exact()


def test_a_saved_model_comes_back_with_its_frozen_layers(tmp_path):
    model = random_weights(MODELS["resnet18"]())
    model.get_layer("stem_conv").trainable = False
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras", safe_mode=True)
    assert isinstance(again, Classifier) and again.get_config() == model.get_config()
    assert not again.get_layer("stem_conv").trainable and again.get_layer("stage1_block1_1_conv").trainable
    data = np.random.default_rng(0).random((2, 33, 40, 3), np.float32)
    np.testing.assert_array_equal(again.probabilities(data), model.probabilities(data))


def test_probabilities_are_the_softmax_and_take_bytes():
    model = random_weights(lenet5(3))
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 1), np.uint8)
    found = model.probabilities(images)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(found, model.probabilities(images / np.float32(255)), rtol=1e-5)
    # e^0 : e^ln 3 is 1 : 3; large logits do not overflow.
    np.testing.assert_allclose(softmax([[1000, 1000 + np.log(3)]]), [[0.25, 0.75]], rtol=1e-4)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: resnet18(1), "num_classes 1; expected at least 2"),
        (lambda: resnet18(3, (32, 32), (64, 64)), "2 widths; expected 12 for resnet18 or 4"),
        (lambda: lenet5(3, (28, 28)), "sides of at least 32 pixels"),
        (lambda: lenet5(3, widths=(6, 16, 0, 84)), "widths .*; expected whole numbers of at least 1"),
        (lambda: mlp(4, 2, ()), "no widths"),
        (lambda: mlp(4, 2, dropout=1.0), "dropout 1.0"),
        (lambda: mlp(4, 2, mean=[0] * 4), "4 and 0 numbers; expected 4 finite"),
        (lambda: mlp(2, 2, mean=[0, 0], deviation=[1, 0]), "deviations above 0"),
        (lambda: lenet5(2, class_names=("one",)), "1 class names; expected 2"),
        (lambda: Classifier("resnet50", 2, (32, 32, 3)), "did you mean 'resnet18'"),
        (lambda: Classifier("mlp", 2, (32, 32, 3)), "expected vectors"),
        (lambda: mlp(4, 2).probabilities(np.zeros((1, 5))), r"\(1, 5\); expected \(n, 4\)"),
    ],
)
def test_what_does_not_fit_is_one_line(make, told):
    with pytest.raises(InputError, match=told):
        make()


def test_everything_offered_is_there():
    offered: dict[str, object] = {}
    exec("from classify_prune import *", offered)
    assert set(classify_prune.__all__) == set(classify_prune._HOMES) <= set(offered)
