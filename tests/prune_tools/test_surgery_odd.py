"""Graphs that people do build: every rule of merging on each, the certificate, and training afterwards."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers, ops

from prune_tools import budget, cost, masks, merge, statistics, surgery
from prune_tools.graph import Graph
from run_tools.errors import InputError

HALF = "mixed_float16"


def image(channels=3):
    return keras.Input((6, 6, channels), name="image")


def conv(x, width, name, size=3, **options):
    return layers.Conv2D(width, size, padding="same", name=name, **options)(x)


def norm(x, **options):
    return layers.BatchNormalization(**options)(x)


def out(x):
    return layers.Dense(2, name="out")(layers.Flatten()(x))


def a_layer_in_two_branches(x):
    shared = layers.Conv2D(5, 3, activation="relu", name="shared")
    return layers.Concatenate()([shared(conv(x, 4, "a")), shared(conv(x, 4, "b"))])


def a_layer_that_reads_two_orders(x):
    a, b, shared = conv(x, 4, "a"), conv(x, 4, "b"), layers.Conv2D(5, 3, name="shared")
    both = layers.Concatenate()
    return shared(both([a, b])) + shared(both([b, a]))


def a_group_beside_itself(x):
    a = conv(x, 4, "a", activation="relu")
    return norm(layers.Concatenate()([a, a]))


def a_group_beside_itself_added_to_a_wide_one(x):
    a = conv(x, 4, "a", activation="relu")
    return layers.Concatenate()([a, a]) + conv(x, 8, "wide")


def a_gate(x):
    y = conv(x, 8, "a", activation="relu")
    gate = conv(layers.GlobalAveragePooling2D(keepdims=True)(y), 4, "down", 1, activation="relu")
    return layers.Multiply()([y, conv(gate, 8, "up", 1, activation="sigmoid")])


def a_norm_on_a_concatenation(x):
    y = norm(layers.Concatenate()([conv(x, 4, "a", use_bias=False), conv(x, 6, "b", use_bias=False)]))
    return norm(conv(layers.ReLU()(y), 4, "c", use_bias=False))


def a_grouped_convolution(x):
    return norm(conv(conv(x, 8, "a", activation="relu"), 8, "grouped", groups=4))


def a_depthwise_one_that_multiplies(x):
    y = layers.DepthwiseConv2D(3, depth_multiplier=2, name="deep", use_bias=False)(conv(x, 4, "a"))
    return layers.ReLU()(norm(y))


def a_nested_model_called_twice(x):
    inside = keras.Input((6, 6, 4))
    inner = keras.Model(inside, conv(norm(conv(inside, 5, "first")), 4, "second"), name="inner")
    return inner(inner(conv(x, 4, "a")))


def dense_layers_on_three_axes(x):
    y = layers.Dense(8, activation="relu", name="a")(layers.Reshape((36, 3))(x))
    return layers.GlobalAveragePooling1D()(layers.Dense(6, activation="relu", name="b")(y))


def constraints_and_regularisers(x):
    y = conv(x, 6, "a", kernel_constraint=keras.constraints.MaxNorm(1.0), kernel_regularizer="l2")
    return conv(y, 4, "b", kernel_constraint="non_neg")


def activations_that_are_layers(x):
    return conv(conv(x, 6, "a", activation=layers.LeakyReLU(negative_slope=0.1)), 4, "b", activation=layers.ReLU())


def half_precision(x):
    for name in "abcdef":
        x = layers.Conv2D(16, 3, padding="same", use_bias=False, name=name, dtype=HALF)(x)
        x = layers.ReLU(dtype=HALF)(norm(x, dtype=HALF))
    return x


def raw_operations(x):
    a, b = conv(x, 6, "a"), conv(x, 6, "b")
    y = a / ops.sqrt(ops.square(b) + 1.0)
    return ops.where(y > 0.1, ops.arctan(y), ops.power(ops.abs(b) + 0.1, 0.5) - ops.erf(a))


def a_chain_of_all_that_moves_positions(x):
    x = conv(layers.UpSampling2D(2, interpolation="bilinear")(conv(x, 4, "a")), 6, "b", strides=2)
    x = layers.Dropout(0.1)(layers.MaxPooling2D(2)(conv(x, 4, "c", dilation_rate=2)))
    x = layers.ZeroPadding2D(1)(layers.Conv2DTranspose(6, 3, strides=2, name="d")(x))
    x = layers.SeparableConv2D(5, 2, strides=2, name="e")(layers.AveragePooling2D(2)(x))
    return layers.SpatialDropout2D(0.1)(layers.Cropping2D(0)(layers.GlobalMaxPooling2D(keepdims=True)(x)))


def noise_that_a_pixel_shares(x):
    return layers.Dropout(0.5, noise_shape=(None, 1, 1, 6))(conv(x, 6, "a"))


def activations_that_are_functions(x):
    return keras.activations.relu(conv(x, 6, "a"), max_value=1.5) + keras.activations.relu(conv(x, 6, "b"))


def tokens_with_layer_normalisations(x):
    y = layers.Reshape((36, 6))(conv(x, 6, "a"))
    z = layers.Dense(8, activation="gelu", name="wide")(layers.LayerNormalization(name="before")(y))
    y = y + layers.Dense(6, name="narrow")(z)
    return layers.LayerNormalization(name="after", center=False)(y)


def channels_and_a_vector(x):
    vector = layers.Dense(6, name="vector")(layers.GlobalAveragePooling2D()(x))
    return conv(x, 6, "a") * vector[:, None, None, :]


GRAPHS = [
    *(a_layer_in_two_branches, a_layer_that_reads_two_orders, a_group_beside_itself, a_gate),
    *(a_group_beside_itself_added_to_a_wide_one, a_norm_on_a_concatenation, a_grouped_convolution),
    *(a_depthwise_one_that_multiplies, a_nested_model_called_twice, dense_layers_on_three_axes),
    *(constraints_and_regularisers, activations_that_are_layers, half_precision, raw_operations),
    *(a_chain_of_all_that_moves_positions, channels_and_a_vector),
    *(noise_that_a_pixel_shares, activations_that_are_functions, tokens_with_layer_normalisations),
]


def made(build):
    keras.utils.set_random_seed(0)
    x = image()
    model, rng = keras.Model(x, out(build(x))), np.random.default_rng(0)
    for layer in model._flatten_layers():
        if isinstance(layer, layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 1.5, weight.shape) for weight in layer.weights])
    return model, rng.normal(size=(4, 6, 6, 3)).astype(np.float32)


def half_of_all(model):
    """Half of the blocks of every group whose units can all go, named by its widest layer."""
    units = {}
    for group in Graph(model).groups:
        if group.removable.all():
            name = max(group.members, key=lambda member: len(group.members[member]))
            blocks = group.blocks[group.members[name]]
            chosen = list(dict.fromkeys(blocks.tolist()))
            units[name] = np.flatnonzero(np.isin(blocks, chosen[: len(chosen) // 2]))
    return units


@pytest.mark.parametrize("build", GRAPHS, ids=lambda build: build.__name__)
def test_half_of_every_group_goes(build):
    model, x = made(build)
    units = half_of_all(model)
    assert units and all(len(gone) for gone in units.values())
    found = statistics.collect(model, x)
    for rule in merge.RULES:
        operation = surgery.Surgery(model, units, rule, found)
        smaller = operation.smaller()
        certificate = operation.certificate(x, smaller)
        assert certificate.sound(), f"{rule} of {units}\n{certificate}"
    assert cost.summary(smaller)["macs"] < cost.summary(model)["macs"]
    assert not {layer.name for layer in model.layers} - {layer.name for layer in smaller.layers} - {"inner"}
    smaller.compile("sgd", "mse")
    smaller.fit(x, np.zeros((4, 2), np.float32), verbose=0)


def test_rounding_in_half_precision_is_not_a_wrong_cut():
    model, x = made(half_precision)
    operation = surgery.Surgery(model, {"c": [0, 1]})
    certificate = operation.certificate(x)
    assert certificate.rounding == pytest.approx(8 / 1024)  # float16 has ten bits behind the leading one
    assert not operation.certificate(x, surgery.remove(model, {"c": [2, 3]})).sound()


def test_a_constant_does_not_go_into_a_norm_over_another_axis():
    x = image()
    a = conv(x, 5, "a", 1, activation="relu")
    y = norm(conv(a, 6, "reader", 1, use_bias=False), axis=1)  # over rows, of which there are as many as channels
    model = keras.Model(x, out(y))
    kernel, bias = (weight.numpy() for weight in model.get_layer("a").weights)
    kernel[..., 2], bias[2] = 0, 3.0
    model.get_layer("a").set_weights([kernel, bias])
    data = np.random.default_rng(0).normal(size=(4, 6, 6, 3)).astype(np.float32)
    operation = surgery.Surgery(model, {"a": [(2, None)]}, "project", statistics.collect(model, data))
    assert operation.certificate(data).exact()
    assert operation.smaller().get_layer("reader").bias is not None


@pytest.mark.filterwarnings("ignore:You passed `rms_scaling=True`")
@pytest.mark.parametrize("options", [{}, {"scale": False, "epsilon": 0.1}, {"center": False}, {"rms_scaling": True}])
def test_the_reference_normalises_over_the_channels_that_stay(options):
    keras.utils.set_random_seed(0)
    x = keras.Input((4,), name="x")
    y = layers.LayerNormalization(name="norm", **options)(layers.Dense(7, name="a")(x))
    model, rng = keras.Model(x, layers.Dense(2, name="out")(y)), np.random.default_rng(0)
    for weight in model.get_layer("norm").weights:
        weight.assign(rng.uniform(0.5, 1.5, weight.shape))
    data, gone = rng.normal(size=(9, 4)).astype(np.float32), [1, 4, 5]
    operation = surgery.Surgery(model, {"a": gone})
    # Keras's own layer of four channels, on four of the seven columns.
    values = np.delete(model.get_layer("a")(data).numpy(), gone, axis=1)
    small = layers.LayerNormalization(**options)
    small.build(values.shape)
    small.set_weights([np.delete(weight.numpy(), gone) for weight in model.get_layer("norm").weights])
    kernel, bias = (weight.numpy() for weight in model.get_layer("out").weights)
    expected = small(values).numpy() @ np.delete(kernel, gone, axis=0) + bias
    np.testing.assert_allclose(operation.reference()(data), expected, rtol=1e-4, atol=1e-5)
    assert operation.certificate(data).sound()
    assert not operation.certificate(data, surgery.remove(model, {"a": [0, 4, 5]})).sound()


def test_units_that_stand_less_often_than_others_of_their_group_can_go_alone():
    x = image()
    a, b = conv(x, 2, "a"), conv(x, 2, "b")
    both = layers.Concatenate()([a, b, a])  # units 0, 1 | 2, 3 | 0, 1
    model, data = keras.Model(x, out(both + conv(x, 6, "wide"))), np.ones((2, 6, 6, 3), np.float32)
    smaller = surgery.remove(model, {"wide": [2]})
    kernel = model.get_layer("out").kernel.numpy().reshape(36, 6, 2)
    rows = np.delete(kernel, 2, axis=1).reshape(-1, 2)
    np.testing.assert_array_equal(smaller.get_layer("out").kernel.numpy(), rows)
    assert surgery.Surgery(model, {"wide": [2]}, "project", statistics.collect(model, data)).certificate(data).sound()


def test_what_no_output_needs_is_left_out_and_costs_nothing():
    inside = keras.Input((6, 6, 4))
    inner = conv(inside, 5, "inner")
    two = keras.Model(inside, [conv(inner, 3, "taken", 1), conv(inner, 7, "left", 1)], name="two")
    x = image()
    model = keras.Model(x, out(two(conv(x, 4, "a"))[0]))
    data = np.random.default_rng(0).normal(size=(3, 6, 6, 3)).astype(np.float32)
    assert [reader.layer for reader in Graph(model).group("inner").readers] == ["taken"]
    with pytest.raises(InputError, match="unknown layer 'left'"):
        surgery.remove(model, {"left": [0]})
    plain = surgery.remove(model, {})
    np.testing.assert_allclose(plain(data), model(data), atol=1e-6)
    ranking = budget.Ranking(model, statistics.collect(model, data), "residual")
    full, removals = ranking.choose(macs=10**9), ranking.choose(keep=0.5)
    for units, told in (({}, full.reached), (removals, removals.reached)):
        counted = cost.summary(surgery.remove(model, units))
        assert told == {kind: counted[kind] for kind in ("parameters", "macs")}
    assert removals.reached["macs"] <= 0.5 * full.reached["macs"]


def test_a_nested_model_of_open_size_may_be_flattened():
    inside = keras.Input((None, None, 4))
    x = image()
    y = keras.Model(inside, conv(inside, 5, "head"), name="inner")(conv(x, 4, "a"))
    model, data = keras.Model(x, out(y)), np.ones((2, 6, 6, 3), np.float32)
    smaller = surgery.remove(model, {"head": [1, 3]})
    kernel = model.get_layer("out").kernel.numpy().reshape(36, 5, 2)
    rows = np.delete(kernel, [1, 3], axis=1).reshape(-1, 2)
    np.testing.assert_array_equal(smaller.get_layer("out").kernel.numpy(), rows)
    assert surgery.Surgery(model, {"head": [1]}).certificate(data).sound()


def test_incoming_refuses_units_that_are_made_unequally_often():
    x = image()
    a, b = conv(x, 2, "a"), conv(x, 2, "b")
    y = layers.Concatenate()([a, b, a]) + conv(x, 6, "wide")  # a's channels are made twice by `wide`, b's once
    model = keras.Model(x, out(y))
    with pytest.raises(InputError, match="of units that 'wide' makes 2 and 1 times"):
        surgery.remove(model, {"wide": [(0, 2), (4, 2)]}, "incoming")


@pytest.mark.parametrize(
    "build",
    [
        lambda y: ops.clip(y, np.zeros(4, np.float32), np.arange(4, dtype=np.float32) + 1),
        lambda y: ops.clip(y, 0.0, [1.0, 2.0, 3.0, 4.0]),
    ],
    ids=["clip", "list"],
)
def test_arrays_of_one_value_a_channel_are_found_wherever_they_are(build):
    x = image()
    reason = Graph(keras.Model(x, out(build(conv(x, 4, "a"))))).group("a").frozen[0]
    assert "constant array" in reason


def test_a_layer_that_cannot_be_made_again_is_told():
    class Own(layers.Layer):
        def __init__(self, array, **options):
            super().__init__(**options)
            self.array = array

        def call(self, x):
            return x * self.array

    x = image()
    model = keras.Model(x, out(conv(Own(np.ones(3, np.float32), name="own")(x), 4, "a")))
    with pytest.raises(InputError, match=r"layer 'own' \(Own\), which cannot be made again from its config"):
        surgery.remove(model, {"a": [0]})


def test_masks_stay_with_the_model_that_they_hold():
    model, x = made(a_gate)
    held = masks.global_magnitude(model, 0.5)
    held.hold(model)
    smaller = surgery.remove(model, {"a": [0]})
    assert all(weight.constraint is None for weight in smaller.weights)
    zeros = cost.summary(smaller)["kernel_parameters"] - cost.summary(smaller)["kernel_nonzero"]
    assert zeros > 0  # what was zero still is, until it is trained
    assert not held.violations(model)
