"""Channel groups: index sets worked out by hand, refusals by name, and the well-known architectures."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers, ops

from prune_tools import graph
from prune_tools.graph import Graph
from run_tools.errors import InputError


@keras.saving.register_keras_serializable(package="test_graph")
class Reorg(layers.Layer):
    """darknet's reorg by 2 of (batch, H, W, C), C a multiple of 4."""

    def call(self, x):
        height, width, channels = x.shape[1:]
        x = ops.transpose(x, (0, 3, 1, 2))
        x = ops.reshape(x, (-1, channels // 4, height, 2, width, 2))
        x = ops.transpose(x, (0, 3, 5, 1, 2, 4))
        return ops.transpose(ops.reshape(x, (-1, 4 * channels, height // 2, width // 2)), (0, 2, 3, 1))


def _reorg_rule(call):
    (channels,) = call.inputs
    call.tie(channels.reshape(-1, 4))
    return np.tile(channels, 4)


graph.register(Reorg, _reorg_rule)


def places(model: keras.Model, group: str, reader: str) -> list[list[int]]:
    """Columns of the reader's input for each unit of the group."""
    found = Graph(model).group(group).reader(reader).sites[0].columns
    return [[int(place) for place in unit if place >= 0] for unit in found.T]


def conv(x, width, name, size=3, **options):
    return layers.Conv2D(width, size, padding="same", name=name, **options)(x)


def image(side=4, channels=2):
    return keras.Input((side, side, channels), name="image")


def test_a_chain_of_additions_is_one_group():
    x = image()
    stem = conv(x, 3, "stem")
    inner = conv(stem, 5, "inner")
    first = layers.Add(name="sum")([stem, conv(inner, 3, "second")])
    second = first + conv(first, 3, "third", 1)
    model = keras.Model(x, conv(second, 2, "out"))
    groups = Graph(model).groups
    assert [list(group.members) for group in groups] == [["stem", "second", "third"], ["inner"], ["out"]]
    assert [reader.layer for reader in groups[0].readers] == ["inner", "third", "out"]
    assert [reader.layer for reader in groups[1].readers] == ["second"]


def test_concatenation_offsets_and_what_follows_it():
    x = image()
    a, b = conv(x, 2, "a"), conv(x, 3, "b")
    both = layers.BatchNormalization(name="norm")(layers.Concatenate()([a, b, a]))
    model = keras.Model(x, conv(both, 2, "out"))
    assert places(model, "a", "out") == [[0, 5], [1, 6]]
    assert places(model, "b", "out") == [[2], [3], [4]]


def test_space_to_depth_and_back():
    x = image()
    down = ops.space_to_depth(conv(x, 3, "a"), 2)  # channel c becomes c, 3 + c, 6 + c, 9 + c
    model = keras.Model(x, conv(down, 2, "out"))
    assert places(model, "a", "out") == [[c, 3 + c, 6 + c, 9 + c] for c in range(3)]
    up = ops.depth_to_space(conv(x, 8, "b"), 2)  # two channels out of c, 2 + c, 4 + c, 6 + c
    found = Graph(keras.Model(x, conv(up, 2, "out")))
    assert found.group("b").units == 2
    assert found.group("b").members["b"].tolist() == [0, 1] * 4


def test_flatten_and_reshapes():
    x = image(side=2)
    y = conv(x, 3, "a")
    flat = keras.Model(x, layers.Dense(2, name="out")(layers.Flatten()(y)))
    assert places(flat, "a", "out") == [[c, 3 + c, 6 + c, 9 + c] for c in range(3)]  # p·C + c
    rows = keras.Model(x, layers.Dense(2, name="out")(layers.Reshape((2, 6))(y)))  # two pixels a row
    assert places(rows, "a", "out") == [[c, 3 + c] for c in range(3)]
    raw = keras.Model(x, layers.Dense(2, name="out")(ops.reshape(y, (-1, 12))))
    assert places(raw, "a", "out") == places(flat, "a", "out")


def test_reorg_ties_aligned_blocks_of_four():
    x = image()
    model = keras.Model(x, conv(Reorg(name="reorg")(conv(x, 8, "a")), 2, "out"))
    found = Graph(model)
    group = found.group("a")
    assert [np.flatnonzero(group.blocks == block).tolist() for block in dict.fromkeys(group.blocks)] == [
        [0, 1, 2, 3],
        [4, 5, 6, 7],
    ]
    assert places(model, "a", "out") == [[8 * off + c for off in range(4)] for c in range(8)]
    assert "blocks of up to 4" in str(found)


def test_depthwise_follows_and_grouped_goes_by_the_group():
    x = image()
    a = layers.DepthwiseConv2D(3, padding="same", name="deep")(conv(x, 4, "a"))
    model = keras.Model(x, conv(a, 2, "out"))
    assert [list(group.members) for group in Graph(model).groups] == [["a"], ["out"]]
    y = conv(conv(x, 4, "a"), 6, "grouped", groups=2)  # reads 0, 1 | 2, 3 and makes 0, 1, 2 | 3, 4, 5
    group = Graph(keras.Model(x, conv(y, 2, "out"))).group("a")
    assert list(group.members) == ["a", "grouped"]
    blocks = [np.flatnonzero(group.blocks == block).tolist() for block in dict.fromkeys(group.blocks)]
    assert blocks == [[0, 1, 2, 6, 7], [3, 4, 5, 8, 9]]  # the widest layer is counted first
    y = layers.DepthwiseConv2D(3, depth_multiplier=2, name="deep")(conv(x, 2, "a"))
    group = Graph(keras.Model(x, conv(y, 2, "out"))).group("a")
    blocks = [np.flatnonzero(group.blocks == block).tolist() for block in dict.fromkeys(group.blocks)]
    assert blocks == [[0, 1, 4], [2, 3, 5]]


def test_a_squeeze_and_excitation_gate_belongs_to_what_it_gates():
    x = image()
    y = conv(x, 4, "a", activation="relu")
    gate = layers.Reshape((1, 1, 4))(layers.GlobalAveragePooling2D()(y))
    gate = conv(conv(gate, 2, "down", 1), 4, "up", 1, activation="sigmoid")
    model = keras.Model(x, conv(layers.Multiply()([y, gate]), 2, "out"))
    assert [list(group.members) for group in Graph(model).groups] == [["a", "up"], ["down"], ["out"]]
    assert [reader.layer for reader in Graph(model).group("a").readers] == ["down", "out"]


def test_shared_layers_nested_models_several_inputs_and_outputs():
    one, two = keras.Input((4, 4, 2), name="one"), keras.Input((4, 4, 2), name="two")
    shared = layers.Conv2D(3, 3, name="shared")
    inner_in = keras.Input((2, 2, 3))
    inner = keras.Model(inner_in, layers.Conv2D(4, 1, name="head")(inner_in), name="inner")
    y = layers.Subtract()([inner(shared(one)), inner(shared(two))])
    model = keras.Model([one, two], [layers.Dense(1, name="left")(y), layers.Dense(2, name="right")(y)])
    found = Graph(model)
    assert sorted(list(group.members) for group in found.groups) == [["head"], ["left"], ["right"], ["shared"]]
    assert len(found.group("shared").reader("head").sites) == 2
    assert sorted(reader.layer for reader in found.group("head").readers) == ["left", "right"]


@pytest.mark.parametrize(
    ("name", "build", "told"),
    [
        ("attention", lambda y: layers.MultiHeadAttention(1, 2, name="odd")(y, y), "not supported"),
        ("softmax", lambda y: layers.Activation("softmax", name="odd")(y), "elementwise"),
        ("cut apart", lambda y: layers.Reshape((4, 4, 2, 2), name="odd")(y), "apart"),
        ("moved", lambda y: layers.Permute((3, 1, 2), name="odd")(y), "another axis"),
        ("mean over channels", lambda y: ops.mean(y, axis=-1, keepdims=True), "reduces over the channels"),
        ("some channels", lambda y: y[..., :2], "some of the channels"),
        ("group norm", lambda y: layers.GroupNormalization(2, name="odd")(y), "not supported"),
        ("one channel over all", lambda y: y * layers.Dense(1, name="odd")(y), None),
        ("constant array", lambda y: y * np.ones(4, np.float32), "constant array"),
    ],
)
def test_what_cannot_be_cut_is_frozen_with_layer_and_reason(name, build, told):
    x = image()
    y = build(conv(x, 4, "a"))
    found = Graph(keras.Model(x, layers.Dense(2, name="out")(y)))
    if told is None:
        assert found.group("a").removable.all()
        assert "spread over all channels" in found.group("odd").frozen[0]
        return
    assert all(told in reason for reason in found.group("a").frozen)
    assert "odd" in found.group("a").frozen[0] or name in ("mean over channels", "some channels", "constant array")


def test_outputs_and_inputs_stay():
    x = image()
    model = keras.Model(x, layers.Add()([layers.Concatenate()([x, conv(x, 1, "a")]), conv(x, 3, "b")]))
    assert Graph(model).group("b").frozen == ["it is an output of the model"] * 3
    y = layers.Add()([layers.Concatenate()([x, conv(x, 1, "a")]), conv(x, 3, "b")])
    model = keras.Model(x, conv(y, 2, "out"))
    assert Graph(model).group("b").removable.tolist() == [False, False, True]


@pytest.mark.parametrize("name", ["relu", "relu6", "silu", "gelu", "tanh", "leaky_relu", "elu", "sigmoid", "softplus"])
def test_an_activation_may_be_called_as_a_function(name):
    x = image()
    y = getattr(keras.activations, name)(conv(x, 4, "a"))
    assert Graph(keras.Model(x, conv(y, 2, "out"))).group("a").removable.all()


def test_a_batch_is_put_in_the_models_order():
    a, b = keras.Input((3,), name="a"), keras.Input((None, 3), name="b")
    y = layers.Dense(2)(layers.Concatenate()([a, layers.GlobalMaxPooling1D()(b)]))
    one, two = np.zeros((5, 3), np.float32), np.zeros((5, 7, 3), np.float32)
    flat = Graph(keras.Model([b, a], y)).flat
    for given in ([two, one], (two, one), {"a": one, "b": two}, {"b": two, "c": 0, "a": one}):
        assert [part.shape for part in flat.arrange(given)] == [(5, 7, 3), (5, 3)]
    for given in ([one, two], [two], two, {"a": one}, [two, one[:4]], [two, one, one], {}, [1.0, 2.0]):
        with pytest.raises(InputError, match=r"expected those of model '.*': b of \(batch, None, 3\), a of"):
            flat.arrange(given)
    named = Graph(keras.Model({"b": b, "a": a}, y)).flat
    assert [part.shape for part in named.arrange({"b": two, "a": one})] == [(5, 3), (5, 7, 3)]
    with pytest.raises(InputError, match="in a dict by their names"):  # Keras does not take a list here either
        named.arrange([one, two])
    in_order = Graph(keras.Model({"a": a, "b": b}, y)).flat
    assert in_order.arrange([one, two])[0] is one


def test_a_model_without_a_graph_is_refused():
    class Own(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(InputError, match="no graph of layers"):
        Graph(Own(name="own"))
    with pytest.raises(InputError, match="no graph of layers"):
        Graph(keras.Sequential([layers.Dense(2)]))
    built = keras.Sequential([keras.Input((3,)), layers.Dense(2, name="a"), layers.Dense(1, name="b")])
    assert [group.name for group in Graph(built).groups] == ["a", "b"]


def test_a_rule_that_miscounts_is_told():
    class Twice(layers.Layer):
        def call(self, x):
            return ops.concatenate([x, x], axis=-1)

    graph.register(Twice, lambda call: call.inputs[0])
    x = image()
    with pytest.raises(InputError, match="gives 2 channels for layer 'twice'"):
        Graph(keras.Model(x, Twice(name="twice")(x)))


def test_it_is_drawn():
    x = image()
    stem = conv(x, 3, "stem")
    y = layers.ReLU(name="relu")(layers.Add(name="sum")([stem, conv(stem, 3, "second_conv")]))
    model = keras.Model(x, layers.Dense(2, name="out")(layers.Flatten(name="flat")(y)))
    assert str(Graph(model)) == "\n".join(
        [
            "stem: 3 units",
            "  made by       stem ────────┐",
            "                second_conv ─┘",
            "  pass through  sum, relu, flat",
            "  read by       second_conv, out (16 places a unit)",
            "",
            "out: 2 units",
            "  made by       out",
            "  kept          2 of 2: it is an output of the model",
        ]
    )
