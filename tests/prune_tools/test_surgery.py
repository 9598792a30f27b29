"""Removal: survivors against `np.delete`, outputs against the masked model, everything a Keras model can do after."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers, ops

from prune_tools import statistics, surgery
from run_tools.errors import InputError
from yolo_prune.darknet import Reorg


def data(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def predict(model, x):
    return [ops.convert_to_numpy(y) for y in keras.tree.flatten(model(x, training=False))]


def weights(model, layer):
    return [ops.convert_to_numpy(weight) for weight in model.get_layer(layer).weights]


def small(seed=0):
    keras.utils.set_random_seed(seed)
    x = keras.Input((6, 6, 3), name="image")
    stem = layers.Conv2D(6, 3, use_bias=False, padding="same", name="stem")(x)
    stem = layers.ReLU(name="relu")(layers.BatchNormalization(name="norm")(stem))
    y = layers.Conv2D(6, 3, padding="same", activation="relu", name="inner")(stem)
    y = layers.Add(name="sum")([stem, layers.Conv2D(6, 1, name="last")(y)])
    y = layers.MaxPooling2D(2, name="pool")(ops.softplus(y))
    model = keras.Model(x, layers.Dense(2, name="out")(layers.Flatten(name="flat")(y)), name="small")
    rng = np.random.default_rng(seed)
    model.get_layer("norm").set_weights([rng.uniform(0.5, 1.5, 6) for _ in range(4)])
    return model


def test_survivors_are_those_of_np_delete():
    model = small()
    gone = [1, 4]
    smaller = surgery.remove(model, {"stem": gone})
    for layer, axes in {"stem": [3], "norm": [0] * 4, "inner": [2, None], "last": [3, 0]}.items():
        for old, new, axis in zip(weights(model, layer), weights(smaller, layer), axes, strict=True):
            np.testing.assert_array_equal(new, old if axis is None else np.delete(old, gone, axis=axis))
    rows = [p * 6 + c for p in range(9) for c in gone]  # 3 x 3 positions after the pool
    np.testing.assert_array_equal(weights(smaller, "out")[0], np.delete(weights(model, "out")[0], rows, axis=0))
    assert [layer.name for layer in smaller.layers] == [layer.name for layer in model.layers]
    assert surgery.widths(smaller) == {"stem": 4, "inner": 6, "last": 4, "out": 2}
    assert smaller.name == "small"


def test_naming_another_layer_of_the_group_is_the_same():
    model, x = small(), data(3, 6, 6, 3)
    expected = predict(surgery.remove(model, {"stem": [2, 5]}), x)
    for layer in ("last", "norm", "sum", "pool"):
        np.testing.assert_allclose(predict(surgery.remove(model, {layer: np.array([5, 2])}), x)[0], expected[0])
    masked = np.isin(np.arange(6), [2, 5])
    np.testing.assert_allclose(predict(surgery.remove(model, {"stem": masked}), x)[0], expected[0])


def test_zero_outgoing_weights_may_go_and_the_given_model_stays_as_it_is():
    model, x = small(), data(4, 6, 6, 3)
    kernel, bias = weights(model, "last")
    kernel[:, :, [0, 3]] = 0
    model.get_layer("last").set_weights([kernel, bias])
    before, saved = predict(model, x), [ops.convert_to_numpy(weight) for weight in model.weights]
    nodes = [len(layer._inbound_nodes) for layer in model.layers]
    operation = surgery.Surgery(model, {"inner": [0, 3]})
    smaller = operation.smaller()
    np.testing.assert_allclose(predict(smaller, x)[0], before[0], atol=1e-5)
    certificate = operation.certificate(x, smaller)
    assert certificate.exact() and certificate.sound()
    assert "out" in str(certificate) and "structure" in str(certificate)
    for old, new in zip(saved, model.weights, strict=True):
        np.testing.assert_array_equal(old, ops.convert_to_numpy(new))
    assert nodes == [len(layer._inbound_nodes) for layer in model.layers]
    assert not surgery.Surgery(model, {"inner": [1]}).certificate(x).exact()


def test_a_certificate_names_every_output_and_its_own_differences():
    keras.utils.set_random_seed(0)
    x = keras.Input((4,), name="x")
    hidden = layers.Dense(6, activation="relu", name="hidden")(x)
    twice = layers.Dense(1, name="twice")(hidden)
    outputs = {"z": layers.Dense(2, name="read")(hidden), "a": layers.Dense(3, name="apart")(x), "m": [twice, twice]}
    model, inputs = keras.Model(x, outputs), data(9, 4)
    operation = surgery.Surgery(model, {"hidden": [0, 2]})
    smaller = operation.smaller()
    found = operation.certificate(inputs, smaller, batch_size=4)
    assert set(found.structure) == set(found.function) == {"read", "apart", "twice", "twice_1"}
    before, after = model(inputs), smaller(inputs)
    for name, place in {"read": "z", "apart": "a"}.items():
        gap = np.abs(ops.convert_to_numpy(before[place]) - ops.convert_to_numpy(after[place]))
        given = found.function[name]
        np.testing.assert_allclose([given.largest, given.mean], [gap.max(), gap.mean()], rtol=1e-4, atol=1e-7)
    assert found.function["read"].largest > 0.01 and found.function["twice_1"].largest > 0.01
    assert found.function["apart"].largest < 1e-6 and found.sound() and not found.exact()


def test_a_certificate_finds_a_wrong_cut():
    model, x = small(), data(4, 6, 6, 3)
    operation = surgery.Surgery(model, {"inner": [0]})
    wrong = surgery.remove(model, {"inner": [1]})
    assert not operation.certificate(x, wrong).sound()
    with pytest.raises(InputError, match="no data"):
        operation.certificate(x[:0], wrong)


def test_it_trains_saves_reloads_and_exports(tmp_path):
    model = small()
    model.get_layer("stem").trainable = False
    smaller = surgery.remove(model, {"stem": [0], "inner": [1, 2]})
    assert not smaller.get_layer("stem").trainable
    x, y = data(16, 6, 6, 3), data(16, 2, seed=1)
    smaller.compile("adam", "mse")
    smaller.fit(x, y, epochs=1, verbose=0)
    smaller.save(tmp_path / "smaller.keras")
    loaded = keras.saving.load_model(tmp_path / "smaller.keras")
    np.testing.assert_allclose(predict(loaded, x)[0], predict(smaller, x)[0], atol=1e-6)
    smaller.export(tmp_path / "exported", verbose=False)
    import tensorflow as tf

    loaded = tf.saved_model.load(str(tmp_path / "exported"))
    np.testing.assert_allclose(np.asarray(loaded.serve(x)), predict(smaller, x)[0], atol=1e-5)


def test_widths_are_rounded_up_to_a_multiple():
    keras.utils.set_random_seed(0)
    x = keras.Input((4,))
    model = keras.Model(x, layers.Dense(2, name="out")(layers.Dense(20, name="hidden")(x)))
    order = [7, 3, 19, 0, 11, 2, 5]  # 13 would be left; 16 is the next multiple of 8, so the first 4 go
    smaller = surgery.remove(model, {"hidden": order}, multiple=8)
    np.testing.assert_array_equal(
        weights(smaller, "hidden")[0], np.delete(weights(model, "hidden")[0], order[:4], axis=1)
    )
    assert surgery.widths(surgery.remove(model, {"hidden": [1, 2]}, multiple=8))["hidden"] == 20


def test_rounding_counts_what_all_layers_of_a_group_were_asked_for():
    keras.utils.set_random_seed(0)
    x = keras.Input((4, 4, 3))
    y = layers.Conv2D(16, 1, name="stem")(x)
    y = layers.Add(name="sum")([y, layers.Conv2D(16, 3, padding="same", name="second")(y)])
    both = layers.Concatenate(name="both")([y, layers.Conv2D(12, 1, name="side")(x)])
    model = keras.Model(x, layers.Conv2D(2, 1, name="out")(both))

    def left(units, multiple):
        smaller = surgery.widths(surgery.remove(model, units, multiple=multiple))
        assert smaller["stem"] == smaller["second"]
        return smaller["stem"], smaller["side"]

    assert left({"stem": [0, 1, 2, 3], "second": [4, 5, 6, 7]}, 8) == (8, 12)  # neither layer names enough alone
    assert left({"stem": [0, 1, 2, 3], "second": [2, 3, 9]}, 4) == (12, 12)  # 11 would be left: 9 stays
    assert left({"stem": list(range(8)), "second": [8, 9]}, 8) == (8, 12)
    assert left({"stem": [0, 1, 2], "second": [8]}, 8) == (16, 12)
    # Named where two groups stand side by side, each is rounded by itself: 5 of 16 and 3 of 12.
    assert left({"both": [0, 16, 1, 17, 2, 18, 3, 4]}, 4) == (12, 12)
    smaller = surgery.remove(model, {"stem": [5, 1], "second": [9, 2, 7, 8]}, multiple=4)
    np.testing.assert_array_equal(
        weights(smaller, "stem")[0], np.delete(weights(model, "stem")[0], [5, 1, 9, 2], axis=3)
    )


@pytest.mark.parametrize(
    ("units", "options", "told"),
    [
        ({"stam": [0]}, {}, "did you mean 'stem'"),
        ({"stem": [6]}, {}, "unit 6 of layer 'stem'; expected a whole number from 0 to 5"),
        ({"stem": ["a"]}, {}, "unit 'a' of layer 'stem'"),
        ({"stem": [1.5]}, {}, "unit 1.5"),
        ({"stem": [-1]}, {}, "unit -1"),
        ({"stem": list(range(6))}, {}, "all 6 channels"),
        ({"out": [0]}, {}, "output of the model"),
        ({"flat": [0]}, {}, "whole block, units 0, 6, 12"),
        ({"stem": [0]}, {"merge": "leastsquares"}, "did you mean 'least_squares'"),
        ({"stem": [0]}, {"merge": "least_squares"}, "without statistics"),
        ({"stem": [0]}, {"merge": "outgoing"}, "without kept units"),
        ({"stem": [(0, 1), (2, 0)]}, {"merge": "outgoing"}, "merged into 0, which is removed"),
        ({"stem": [0], "last": [(1, 0)]}, {"merge": "outgoing"}, "a unit of the same group, 'stem', that is still"),
        ({"stem": [0]}, {"multiple": 0}, "multiple 0"),
        ({"stem": [0]}, {"multiple": 2.5}, "multiple 2.5"),
        ({"stem": 3}, {}, "received 3 of layer 'stem'; expected a list of unit numbers"),
        ({"stem": None}, {}, "received None of layer 'stem'"),
        ({"stem": "12"}, {}, "received '12' of layer 'stem'"),
        ({"stem": [(1, 2, 3)]}, {}, r"received \(1, 2, 3\) of layer 'stem'; expected a number or a"),
        ({"stem": [0]}, {"ridge": -1.0}, "ridge -1"),
    ],
)
def test_bad_wishes_are_one_line(units, options, told):
    with pytest.raises(InputError, match=told):
        surgery.remove(small(), units, **options)


def test_reorg_goes_in_aligned_blocks_of_four_and_nothing_else():
    keras.utils.set_random_seed(0)
    x = keras.Input((4, 4, 3))
    y = Reorg(name="reorg")(layers.Conv2D(8, 1, name="a")(x))
    model = keras.Model(x, layers.Conv2D(2, 1, name="out")(y))
    with pytest.raises(InputError, match="unit 1 of layer 'a' alone; expected its whole block, units 0, 1, 2, 3"):
        surgery.remove(model, {"a": [1, 4, 5, 6, 7]})
    smaller = surgery.remove(model, {"a": [4, 5, 6, 7]})
    rows = [8 * off + c for off in range(4) for c in range(4, 8)]
    np.testing.assert_array_equal(weights(smaller, "out")[0], np.delete(weights(model, "out")[0], rows, axis=2))
    kernel, bias = weights(model, "out")
    kernel[:, :, rows] = 0
    model.get_layer("out").set_weights([kernel, bias])
    assert surgery.Surgery(model, {"a": [4, 5, 6, 7]}).certificate(data(2, 4, 4, 3)).exact()


def test_reshapes_separable_transposed_grouped_and_prelu_layers():
    keras.utils.set_random_seed(1)
    x = keras.Input((4, 4, 4), name="image")
    y = layers.PReLU(shared_axes=[1, 2], name="prelu")(layers.Conv2D(6, 3, padding="same", name="a")(x))
    y = layers.Conv2DTranspose(5, 2, strides=2, name="b")(y)
    y = layers.SeparableConv2D(4, 3, depth_multiplier=2, name="c")(y)
    y = layers.Conv2D(6, 3, groups=2, name="d")(y)
    y = layers.DepthwiseConv2D(2, depth_multiplier=2, name="e")(y)
    y = layers.LayerNormalization(name="f")(
        ops.reshape(layers.ZeroPadding2D(1)(layers.UpSampling2D()(y)), (-1, 16, 48))
    )
    y = layers.Reshape((-1,), name="flat")(y)
    model = keras.Model(x, layers.Dense(2, name="out")(y))
    x = data(3, 4, 4, 4)
    gone = {"a": [0, 5], "b": [1], "c": [0, 1], "d": [0, 1, 2], "e": list(range(6))}
    operation = surgery.Surgery(model, {"a": gone["a"], "b": gone["b"]}, statistics=statistics.collect(model, x))
    assert operation.certificate(x).sound()
    with pytest.raises(InputError, match="whole block"):
        surgery.remove(model, {"c": [0]})
    smaller = surgery.remove(model, {"c": [0, 1]})
    assert surgery.widths(smaller) == {"a": 6, "b": 5, "c": 2, "d": 3, "e": 6, "out": 2}
    assert smaller.get_layer("d").groups == 1
    for layer in ("d", "e"):
        again = surgery.remove(model, {layer: gone[layer]})
        np.testing.assert_array_equal(predict(again, x)[0], predict(smaller, x)[0])


def test_nested_and_shared_layers_come_out_flat():
    keras.utils.set_random_seed(2)
    one, two = keras.Input((4, 4, 2), name="one"), keras.Input((4, 4, 2), name="two")
    shared = layers.Conv2D(4, 3, name="shared")
    inner_in = keras.Input((2, 2, 4))
    inner_out = layers.BatchNormalization(name="shared")(layers.Conv2D(4, 1, name="head")(inner_in))
    inner = keras.Model(inner_in, inner_out, name="inner")
    y = layers.Subtract()([inner(shared(one), training=False), inner(shared(two))])
    model = keras.Model({"one": one, "two": two}, {"left": layers.Dense(1, name="left")(y), "right": shared(one)})
    x = {"one": data(2, 4, 4, 2), "two": data(2, 4, 4, 2, seed=1)}
    smaller = surgery.remove(model, {"head": [2]})
    assert {layer.name for layer in smaller.layers} >= {"one", "two", "shared", "head", "inner_shared", "left"}
    assert set(smaller(x)) == {"left", "right"}
    assert surgery.Surgery(model, {"head": [0, 2]}).certificate(x).sound()
    with pytest.raises(InputError, match="output of the model"):
        surgery.remove(model, {"shared": [0]})


def test_a_subclass_gets_its_class_back():
    @keras.saving.register_keras_serializable(package="test_surgery")
    class Own(keras.Model):
        def __init__(self, width, bias=True, **kwargs):
            x = keras.Input((3,), name="x")
            y = layers.Dense(2, name="out", use_bias=bias)(layers.Dense(width, name="hidden")(x))
            super().__init__(x, y, **kwargs)

        def resized(self, widths):
            return Own(widths["hidden"], self.get_layer("out").use_bias)

    model = Own(5)
    smaller = surgery.remove(model, {"hidden": [0, 3]})
    assert type(smaller) is Own
    np.testing.assert_array_equal(weights(smaller, "out")[0], np.delete(weights(model, "out")[0], [0, 3], axis=0))
    x = data(9, 3)
    with pytest.raises(InputError, match="resized with weights"):  # least squares asks for a bias that is not there
        model = Own(5, bias=False)
        surgery.remove(model, {"hidden": [0]}, statistics=statistics.collect(model, x + 1))
