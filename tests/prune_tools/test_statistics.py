"""Sums and Gram matrices against plain NumPy on the activations that another Keras model gives."""

from __future__ import annotations

import math

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

from prune_tools import probe, statistics
from prune_tools.graph import Graph
from run_tools.errors import InputError


def inner(model, name, x):
    tensor = keras.Model(model.input, model.get_layer(name).output)(x, training=False)
    values = keras.ops.convert_to_numpy(tensor).astype(np.float64)
    return values.reshape(-1, values.shape[-1])


def same(found, values):
    np.testing.assert_allclose(found.gram, values.T @ values, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(found.sums, values.sum(axis=0), rtol=1e-6, atol=1e-9)
    assert found.count == len(values)
    assert found.gram.dtype == found.sums.dtype == np.float64


@pytest.fixture(scope="module")
def dense():
    keras.utils.set_random_seed(0)
    x = keras.Input((4,))
    y = layers.BatchNormalization(name="norm")(layers.Dense(6, name="hidden")(x))
    return keras.Model(x, layers.Dense(2, name="out")(layers.Dropout(0.5)(layers.ReLU(name="relu")(y))))


@pytest.fixture(scope="module")
def forked():
    keras.utils.set_random_seed(0)
    x = keras.Input((8, 8, 2))
    y = layers.ReLU(name="relu")(layers.Conv2D(5, 3, padding="same", name="conv")(x))
    deep = layers.Conv2D(3, 3, name="deep")(layers.MaxPooling2D(2, name="pool")(y))
    flat = layers.Flatten()(layers.Conv2D(3, 1, name="side")(y))
    return keras.Model(x, layers.Dense(2, name="out")(layers.Concatenate()([layers.Flatten()(deep), flat])))


def rows(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def test_a_dense_layer_is_measured_where_it_is_read(dense):
    x = rows(50, 4)
    found = statistics.collect(dense, x, batch_size=16)
    assert list(found) == ["hidden"] and len(found) == 1
    same(found["hidden"], inner(dense, "relu", x))
    assert found["hidden"].readers == {}
    values = inner(dense, "relu", x)
    np.testing.assert_allclose(found["hidden"].covariance() / 50, np.cov(values.T, bias=True), atol=1e-6)
    np.testing.assert_allclose(found["hidden"].mean(), values.mean(axis=0), atol=1e-6)
    with pytest.raises(KeyError, match="hidden"):
        found["hiden"]


def test_readers_of_different_tensors_have_their_own_sums(forked):
    x = rows(6, 8, 8, 2)
    found = statistics.collect(forked, x, positions=None)["conv"]
    relu, pool = inner(forked, "relu", x), inner(forked, "pool", x)
    same(found.readers["side"], relu)
    same(found.readers["deep"], pool)
    same(found, np.concatenate([relu, pool]))


def test_what_a_flatten_spreads_counts_as_patterns(forked):
    x = rows(6, 8, 8, 2)
    found = statistics.collect(forked, x, positions=None)
    same(found["side"], inner(forked, "side", x))
    same(found["deep"], inner(forked, "deep", x))


def test_positions_are_an_even_grid(forked):
    x = rows(6, 8, 8, 2)
    found = statistics.collect(forked, x, positions=16)["conv"]
    grid = keras.ops.convert_to_numpy(keras.Model(forked.input, forked.get_layer("relu").output)(x))
    same(found.readers["side"], grid[:, 1::2, 1::2].reshape(-1, 5).astype(np.float64))  # 1, 3, 5, 7: middles of 4
    same(found.readers["deep"], inner(forked, "pool", x))  # 4 x 4 already


def test_sizes_that_are_not_known_beforehand():
    keras.utils.set_random_seed(0)
    x = keras.Input((None, None, 2))
    y = layers.Conv2D(3, 1, name="out")(layers.Conv2D(4, 1, name="conv")(x))
    model = keras.Model(x, y)
    sizes = [(2, 8, 12, 2), (1, 12, 8, 2), (1, 4, 4, 2)]
    found = statistics.collect(model, (rows(*size) for size in sizes), positions=4)["conv"]
    chosen = [inner(model, "conv", rows(*size)).reshape(*size[:3], 4) for size in sizes]
    # Middles of two halves of each side.
    picked = [chosen[0][:, 2::4, 3::6], chosen[1][:, 3::6, 2::4], chosen[2][:, 1::2, 1::2]]
    same(found, np.concatenate([part.reshape(-1, 4) for part in picked]))
    same(statistics.collect(model, rows(2, 8, 12, 2), positions=None)["conv"], inner(model, "conv", rows(2, 8, 12, 2)))


def literally(values):
    """Sums over patterns one by one, in Python's own floats; exact up to one rounding (`math.fsum`)."""
    units = range(values.shape[1])
    gram = [[math.fsum(float(row[i]) * float(row[j]) for row in values) for j in units] for i in units]
    return np.array(gram), np.array([math.fsum(map(float, values[:, i])) for i in units])


@given(
    patterns=st.integers(1, 40),
    units=st.integers(1, 5),
    batch=st.integers(1, 17),
    offset=st.sampled_from([0.0, 1e4, -3e6]),
    seed=st.integers(0, 99),
)
@settings(max_examples=15, deadline=None)
def test_sums_are_of_double_precision_whatever_the_batches(patterns, units, batch, offset, seed):
    # The layer passes its input on, so that what is summed is known to the last bit.
    x = keras.Input((units,))
    y = layers.Dense(units, kernel_initializer="identity", name="it")(x)
    model = keras.Model(x, layers.Dense(1, name="out")(y))
    data = (rows(patterns, units, seed=seed) + offset).astype(np.float32)
    found = statistics.collect(model, data, batch_size=batch)["it"]
    gram, sums = literally(data)
    # Of single precision 1e-7 would be left; the products of large numbers nearly cancel in the covariance.
    size = np.abs(data.astype(np.float64))
    np.testing.assert_array_less(np.abs(found.gram - gram), 1e-14 * patterns * (size.T @ size) + 1e-300)
    np.testing.assert_array_less(np.abs(found.sums - sums), 1e-14 * patterns * size.sum(axis=0) + 1e-300)
    assert found.count == patterns
    np.testing.assert_array_equal(found.gram, found.gram.T)


@pytest.fixture(scope="module")
def tied():
    """Two units of `conv` and three of `grouped` can only go together, and neither reader sees all ten."""
    keras.utils.set_random_seed(0)
    x = keras.Input((6, 5, 2))
    y = layers.Conv2D(4, 1, name="conv")(x)
    z = layers.Conv2D(6, 3, groups=2, activation="relu", name="grouped")(y)
    return keras.Model(x, [layers.Conv2D(2, 1, name="out")(z), layers.Conv2D(1, 1, name="side")(y)])


@pytest.mark.parametrize("average", [False, True])
def test_units_that_do_not_stand_at_a_reader_are_zeros_there(tied, average):
    x = rows(7, 6, 5, 2)
    graph = Graph(tied)
    found = statistics.collect(tied, x, batch_size=3, positions=None, average=average)
    group = graph.group("conv")
    assert group.units == 10
    for reader, layer in (("out", "grouped"), ("side", "conv")):
        tensor = keras.Model(tied.input, tied.get_layer(layer).output)(x, training=False)
        values = keras.ops.convert_to_numpy(tensor).astype(np.float64)
        values = values.mean(axis=(1, 2)) if average else values.reshape(-1, values.shape[-1])
        wide = np.zeros((len(values), 10))
        wide[:, group.members[layer]] = values
        gram, sums = literally(wide)
        got = found.of(group, reader)
        np.testing.assert_allclose(got.gram, gram, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(got.sums, sums, rtol=1e-4, atol=1e-5)
        assert got.count == len(values)


def test_both_ways_of_summing_agree_and_the_same_data_give_the_same_sums(forked, tied, monkeypatch):
    for model, x in ((forked, rows(6, 8, 8, 2)), (tied, rows(6, 6, 5, 2))):
        collector = statistics.Collector(Graph(model))
        ones, again = (collector.collect(x, batch_size=4) for _ in range(2))
        with monkeypatch.context() as patch:
            patch.setattr(probe, "_TensorFlowSums", probe._Sums)  # as on a backend without float64
            others = statistics.collect(model, x, batch_size=4)
        assert list(ones) == list(others)
        for name in ones:
            np.testing.assert_array_equal(ones[name].gram, again[name].gram)
            np.testing.assert_allclose(ones[name].gram, others[name].gram, rtol=1e-12, atol=1e-12)
            np.testing.assert_allclose(ones[name].sums, others[name].sums, rtol=1e-12, atol=1e-12)
            assert ones[name].count == again[name].count == others[name].count


def test_a_pass_keeps_nothing_of_the_size_of_the_data(forked):
    graph = Graph(forked)
    group = graph.group("conv")
    site = group.readers[0].sites[0]
    look = probe.Probe(graph, [(site, site.columns)], None, False)
    assert [np.shape(one) for one in look.predict_on_batch(rows(6, 8, 8, 2))] == [()]  # the number of patterns alone
    look.reset()
    assert look.arrays()[0][2] == 0 and not look.arrays()[0][0].any()


def test_data_that_break_off_leave_nothing_behind(dense):
    def broken():
        yield rows(20, 4, seed=1)
        raise OSError("no such file")

    collector = statistics.Collector(Graph(dense))
    with pytest.raises(OSError, match="no such file"):
        collector.collect(broken())
    x = rows(50, 4)
    same(collector.collect(x)["hidden"], inner(dense, "relu", x))


@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_a_separable_reader_is_measured_before_its_pointwise_kernel(policy):
    keras.utils.set_random_seed(0)
    x = keras.Input((6, 6, 2))
    y = layers.Conv2D(4, 1, name="conv")(x)
    model = keras.Model(x, layers.SeparableConv2D(3, 3, name="sep", dtype=policy)(y))
    data = rows(3, 6, 6, 2)
    layer = model.get_layer("sep")
    deep = keras.ops.depthwise_conv(model.get_layer("conv")(data), layer.depthwise_kernel)
    values = keras.ops.convert_to_numpy(deep).reshape(-1, 4).astype(np.float64)
    found = statistics.collect(model, data)["conv"]
    if policy == "float32":
        same(found, values)
    else:  # a part of the largest entry; float16 has ten bits, bfloat16 seven
        size = np.abs(values.T @ values).max() * {"mixed_float16": 2**-8, "mixed_bfloat16": 2**-5}[policy]
        np.testing.assert_allclose(found.gram, values.T @ values, rtol=0, atol=size)


class Sequence(keras.utils.PyDataset):
    def __init__(self, x):
        super().__init__()
        self.x = x

    def __len__(self):
        return 5

    def __getitem__(self, index):
        return self.x[index * 10 : index * 10 + 10], np.zeros(10)


def test_every_kind_of_data_gives_the_same(dense):
    import tensorflow as tf

    x = rows(50, 4)
    parts = [x[:20], x[20:]]
    kinds = [iter(parts), [(part, 0) for part in parts], tf.data.Dataset.from_tensor_slices(x).batch(7), Sequence(x)]
    for kind in kinds:
        same(statistics.collect(dense, kind)["hidden"], inner(dense, "relu", x))


def test_several_inputs():
    keras.utils.set_random_seed(0)
    one, two = keras.Input((3,), name="one"), keras.Input((2,), name="two")
    y = layers.Dense(4, name="hidden")(layers.Concatenate()([one, two]))
    model = keras.Model({"one": one, "two": two}, layers.Dense(1)(y))
    x = {"one": rows(9, 3), "two": rows(9, 2)}
    hidden = np.concatenate([x["one"], x["two"]], axis=1) @ keras.ops.convert_to_numpy(model.get_layer("hidden").kernel)
    same(statistics.collect(model, x, batch_size=4)["hidden"], hidden.astype(np.float64))


def test_inputs_by_name_go_where_they_belong():
    keras.utils.set_random_seed(0)
    a, b = keras.Input((3,), name="a"), keras.Input((3,), name="b")
    hidden = layers.Dense(4, name="hidden")(layers.Concatenate()([b, 2 * a]))
    model = keras.Model([b, a], layers.Dense(1)(hidden))  # not in the order of their names
    x = {"a": rows(9, 3), "b": rows(9, 3, seed=1)}
    values = np.concatenate([x["b"], 2 * x["a"]], axis=1) @ model.get_layer("hidden").kernel.numpy()
    for data in (x, [x["b"], x["a"]], [({"b": x["b"], "a": x["a"]}, None)]):
        same(statistics.collect(model, data, batch_size=4)["hidden"], values.astype(np.float64))
    for data in (x["a"], {"a": x["a"]}, [x["b"], x["a"][:4]], [rows(9, 2), x["a"]]):
        with pytest.raises(InputError, match="received inputs of shapes"):
            statistics.collect(model, data)


def test_bad_data_are_one_line(dense):
    for data, told in [
        (rows(0, 4), "no data"),
        ([], "no data"),
        (np.full((2, 4), np.nan, np.float32), "not finite"),
        (3, "data of type int"),
        (rows(2, 5), r"inputs of shapes \(2, 5\); expected those of model .*\(batch, 4\)"),
        ([[1.0, 2.0, 3.0, 4.0]], "inputs of shapes"),
    ]:
        with pytest.raises(InputError, match=told):
            statistics.collect(dense, data)
    with pytest.raises(InputError, match="positions 0"):
        statistics.collect(dense, rows(2, 4), positions=0)
    with pytest.raises(InputError, match="batch_size 0"):
        statistics.collect(dense, rows(2, 4), batch_size=0)
    with pytest.raises(InputError, match="and 4 more; expected those of model"):
        statistics.collect(dense, [[1.0] * 12])


def test_nan_that_a_compiled_relu_swallows_is_told(dense):
    x = rows(4, 4)
    x[1, 2] = np.nan
    with pytest.raises(InputError, match="inputs that are not finite"):
        statistics.collect(dense, x)
    model = keras.models.clone_model(dense)
    kernel, bias = (weight.numpy() for weight in model.get_layer("hidden").weights)
    kernel[0, 0] = np.inf
    model.get_layer("hidden").set_weights([kernel, bias])
    with pytest.raises(InputError, match="hidden/kernel' that are not finite"):
        statistics.collect(model, rows(4, 4))


def test_inputs_are_made_the_models_type():
    keras.utils.set_random_seed(0)
    x = keras.Input((6, 6, 3))
    y = layers.Conv2D(4, 3, padding="same", name="a")(x)
    y = keras.ops.concatenate([y, x / 255], axis=-1)  # raw operations cast nothing
    model = keras.Model(x, layers.Conv2D(2, 1)(y))
    pixels = np.random.default_rng(0).integers(0, 256, (5, 6, 6, 3), dtype=np.uint8)
    expected = statistics.collect(model, pixels.astype(np.float32))["a"]
    for data in (pixels, pixels.astype(np.float64), [pixels]):
        np.testing.assert_array_equal(statistics.collect(model, data)["a"].gram, expected.gram)


def test_the_model_is_left_as_it_is(dense):
    nodes = [len(layer._inbound_nodes) for layer in dense.layers]
    state = [keras.ops.convert_to_numpy(weight) for weight in dense.weights]
    statistics.collect(dense, rows(20, 4))
    assert nodes == [len(layer._inbound_nodes) for layer in dense.layers]
    for old, new in zip(state, dense.weights, strict=True):
        np.testing.assert_array_equal(old, keras.ops.convert_to_numpy(new))


def test_average_makes_an_image_one_pattern() -> None:
    inputs = keras.Input((4, 5, 3))
    x = keras.layers.Conv2D(6, 3, activation="relu", name="first")(inputs)
    outputs = keras.layers.Conv2D(2, 1, name="last")(x)
    model, maps = keras.Model(inputs, outputs), keras.Model(inputs, x)
    images = np.random.default_rng(0).normal(size=(7, 4, 5, 3)).astype(np.float32)
    found = statistics.collect(model, images, average=True)["first"]
    means = np.asarray(maps(images)).mean(axis=(1, 2)).astype(np.float64)
    assert found.count == 7
    np.testing.assert_allclose(found.gram, means.T @ means, rtol=1e-5)
    np.testing.assert_allclose(found.sums, means.sum(axis=0), rtol=1e-5)
