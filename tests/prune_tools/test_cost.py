"""Costs by hand, by the papers' numbers, and by TensorFlow's profiler."""

import keras
import numpy as np
import pytest
from keras import layers as kl

from prune_tools import cost, masks, tracing
from run_tools.errors import InputError


def mlp(hidden, *, separate=False):
    first = [kl.Dense(hidden), kl.ReLU()] if separate else [kl.Dense(hidden, "relu")]
    return keras.Sequential([kl.Input((2048,)), *first, kl.Dropout(0.2), kl.Dense(11, "softmax")])


@pytest.mark.parametrize(("hidden", "printed"), [(500, 1_030_500), (270, 556_470), (334, 688_374), (224, 461_664)])
def test_paper_001s_numbers(hidden, printed):
    assert cost.flops(mlp(hidden), convention="paper001") == printed == 2061 * hidden
    assert cost.flops(mlp(hidden, separate=True), convention="paper001") == printed


def test_conventions():
    assert cost.flops(mlp(10)) == 2048 * 10 + 10 * 11
    assert cost.flops(mlp(10), "flops") == 2 * (2048 * 10 + 10 * 11)
    with pytest.raises(InputError, match="convention 'ops'"):
        cost.flops(mlp(10), "ops")


def test_every_kind_of_layer_by_hand():
    model = keras.Sequential(
        [
            kl.Input((9, 9, 3)),
            kl.Conv2D(4, 3, strides=2, padding="same", name="conv"),  # 5·5 positions · 3·3·3·4 = 2700
            kl.BatchNormalization(),
            kl.Conv2D(6, 1, groups=2, name="grouped"),  # 25 · 2·6 = 300
            kl.DepthwiseConv2D(3, padding="same", name="depth"),  # 25 · 3·3·6 = 1350
            kl.SeparableConv2D(5, 3, name="separable"),  # 3·3 positions: 9 · 9·6 = 486 and 9 · 6·5 = 270
            kl.Conv2DTranspose(2, 2, strides=2, name="up"),  # from 9 positions: 9 · 2·2·2·5 = 360
            kl.Reshape((12, 6)),
            kl.Dense(3, name="dense"),  # 12 · 6·3 = 216
            kl.EinsumDense("abc,cd->abd", output_shape=(None, 4), name="einsum"),  # 12 · 3·4 = 144
        ]
    )
    found = {row["name"]: row["macs"] for row in cost.summary(model)["layers"]}
    assert found == {
        "conv/kernel": 2700, "grouped/kernel": 300, "depth/kernel": 1350, "separable/depthwise_kernel": 486,
        "separable/pointwise_kernel": 270, "up/kernel": 360, "dense/kernel": 216, "einsum/kernel": 144,
    }  # fmt: skip
    assert cost.flops(model) == sum(found.values())


def test_einsum_with_an_ellipsis():
    model = keras.Sequential([kl.Input((5, 7, 3)), kl.EinsumDense("...x,xy->...y", output_shape=4)])
    assert cost.flops(model) == 5 * 7 * 3 * 4


def test_an_activation_that_is_a_layer_does_not_open_the_layer_that_has_it():
    model = keras.Sequential([kl.Input((4, 4, 2)), kl.Conv2D(3, 1, name="a", activation=kl.LeakyReLU()), kl.Flatten()])
    model.add(kl.Dense(2, name="head", activation=kl.Softmax()))
    assert cost.flops(model) == 16 * 2 * 3 + 48 * 2
    assert [layer.name for layer in tracing.output_layers(model)] == ["head"]


def test_shared_layers_count_each_call_and_nested_models_are_opened():
    inputs, shared = kl.Input((6,)), kl.Dense(6, use_bias=False)
    inner = keras.Sequential([kl.Input((6,)), shared, shared])
    model = keras.Model(inputs, kl.Dense(2)(inner(shared(inputs))))
    found = cost.summary(model)
    assert found["macs"] == 3 * 36 + 12
    assert found["parameters"] == model.count_params() == 36 + 14


def test_parameters_and_zeros():
    keras.utils.set_random_seed(0)
    layers = [kl.Input((8, 8, 3)), kl.Conv2D(10, 3, name="a"), kl.BatchNormalization(), kl.Flatten(), kl.Dense(2)]
    model = keras.Sequential(layers)
    found = masks.global_magnitude(model, 0.7)
    found.hold(model)
    result = cost.summary(model)
    # Kernels 270 and 720, biases 10 and 2 (zero), batch-norm 4 · 10, of which gamma and variance are ones.
    assert result["parameters"] == model.count_params() == 270 + 720 + 12 + 40
    assert result["trainable"] == 270 + 720 + 12 + 20
    assert result["nonzero"] == 81 + 720 + 20
    assert (result["kernel_parameters"], result["kernel_nonzero"]) == (990, 801)
    assert result["sparsity"] == pytest.approx(189 / 990)
    assert result["bytes"] == 4 * result["parameters"]
    assert result["macs"] == 36 * 270 + 720
    assert result["macs_nonzero"] == 36 * 81 + 720


def test_an_input_of_any_size():
    inputs = kl.Input((None, None, 3))
    model = keras.Model(inputs, kl.Conv2D(2, 3, padding="same")(kl.MaxPooling2D()(inputs)))
    with pytest.raises(InputError, match="give `input_shape`"):
        cost.summary(model)
    for shape in ((8, 6, 3), (None, 8, 6, 3), [(8, 6, 3)]):
        assert cost.summary(model, input_shape=shape)["macs"] == 4 * 3 * 54
    with pytest.raises(InputError, match="3 sizes without the batch"):
        cost.summary(model, input_shape=(8, 6))


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.first, self.second = kl.Conv2D(4, 3), kl.Dense(2)

    def call(self, inputs):
        return self.second(keras.ops.mean(keras.ops.relu(self.first(inputs)), axis=(1, 2)))


def test_a_subclass():
    model = Subclassed()
    model(np.zeros((2, 8, 8, 3), "f4"))
    assert cost.summary(model)["macs"] == 36 * 108 + 8
    assert cost.summary(model, input_shape=(10, 10, 3))["macs"] == 64 * 108 + 8


@pytest.mark.parametrize("layer", [kl.LSTM(3), kl.MultiHeadAttention(2, 2)])
def test_what_is_not_counted_is_refused(layer):
    inputs = kl.Input((4, 6))
    x = layer(inputs, inputs) if isinstance(layer, kl.MultiHeadAttention) else layer(inputs)
    with pytest.raises(InputError, match="count this model elsewhere"):
        cost.flops(keras.Model(inputs, x))


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="the profiler is TensorFlow's")
def test_as_tensorflows_profiler_counts():
    import tensorflow as tf

    model = keras.Sequential(
        [kl.Input((16, 16, 3)), kl.Conv2D(8, 3, strides=2, use_bias=False), kl.DepthwiseConv2D(3, use_bias=False),
         kl.Flatten(), kl.Dense(5, use_bias=False)]
    )  # fmt: skip
    graph = tf.function(lambda x: model(x, training=False)).get_concrete_function(tf.TensorSpec((1, 16, 16, 3))).graph
    options = tf.compat.v1.profiler.ProfileOptionBuilder(
        tf.compat.v1.profiler.ProfileOptionBuilder.float_operation()
    ).with_empty_output().build()  # fmt: skip
    counted = tf.compat.v1.profiler.profile(graph, options=options).total_float_ops
    assert cost.flops(model, "flops") == counted
