"""Which kernels are taken, in models of every kind, and under which names."""

import keras
import numpy as np
import pytest
from keras import layers as kl

from prune_tools import masks, targets
from run_tools.errors import InputError


def names(model, layers=None):
    return [kernel.name for kernel in targets.kernels(model, layers)]


@pytest.fixture
def mixed():
    return keras.Sequential(
        [
            kl.Input((8, 8, 3)),
            kl.Conv2D(4, 3, name="first"),
            kl.BatchNormalization(),
            kl.DepthwiseConv2D(3, name="depth"),
            kl.SeparableConv2D(5, 3, name="separable"),
            kl.Conv2DTranspose(6, 2, name="up"),
            kl.Flatten(),
            kl.Dense(7, name="hidden"),
            kl.Dense(3, name="head"),
            kl.Activation("softmax"),
        ]
    )


def test_convolutions_and_dense_but_the_output(mixed):
    expected = ["first/kernel", "separable/pointwise_kernel", "up/kernel", "hidden/kernel"]
    assert names(mixed) == names(mixed, "conv+dense") == expected
    assert names(mixed, "conv") == expected[:3]
    assert names(mixed, "depthwise") == ["depth/kernel", "separable/depthwise_kernel"]


def test_whatever_is_named_is_taken(mixed):
    assert names(mixed, ["head"]) == ["head/kernel"]
    assert names(mixed, ["h*", mixed.get_layer("first")]) == ["first/kernel", "hidden/kernel", "head/kernel"]
    assert names(mixed, mixed.get_layer("first")) == ["first/kernel"]
    assert names(mixed, "separable") == ["separable/depthwise_kernel", "separable/pointwise_kernel"]
    assert names(mixed, ["separable/point*"]) == ["separable/pointwise_kernel"]
    with pytest.raises(InputError, match="unknown prunable layer 'hiden'.*did you mean 'hidden'"):
        targets.kernels(mixed, ["hiden"])
    with pytest.raises(InputError, match="unknown prunable layer 'nothing_\\*'"):
        targets.kernels(mixed, ["nothing_*"])


def test_several_outputs_and_a_layer_that_two_paths_share():
    inputs, shared = kl.Input((6,)), kl.Dense(6, name="shared")
    x = kl.Dense(6, name="body")(shared(shared(inputs)))
    boxes = kl.Reshape((2, 2))(kl.Dense(4, name="boxes")(x))
    both = kl.Concatenate()([kl.Dense(1, name="a")(x), kl.Dense(2, name="b")(x)])
    model = keras.Model(inputs, {"boxes": boxes, "both": both})
    assert names(model) == ["shared/kernel", "body/kernel"]


def test_a_residual_model_without_head_keeps_its_blocks():
    inputs = kl.Input((8, 8, 4))
    x = kl.Add()([inputs, kl.Conv2D(4, 3, padding="same", name="one")(inputs)])
    x = kl.ReLU()(kl.Add()([x, kl.Conv2D(4, 3, padding="same", name="two")(x)]))
    assert names(keras.Model(inputs, x)) == ["one/kernel", "two/kernel"]


def test_nested_models_with_equal_names():
    def part(name):
        inputs = kl.Input((4,))
        return keras.Model(inputs, kl.Dense(4, name="fc")(kl.Dense(4, name="in")(inputs)), name=name)

    first, last = part("first"), part("last")
    inputs = kl.Input((4,))
    model = keras.Model(inputs, last(first(inputs)))
    # The output of `last` is the model's, that of `first` is not.
    assert names(model) == ["first/in/kernel", "first/fc/kernel", "last/in/kernel"]
    assert names(model, ["last/*"]) == ["last/in/kernel", "last/fc/kernel"]
    assert names(model, [first]) == ["first/in/kernel", "first/fc/kernel"]
    assert names(keras.Sequential([model, kl.Softmax()], name="outer"))[-1].endswith("last/in/kernel")


class Subclassed(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.stem = kl.Conv2D(4, 3)
        self.blocks = [kl.Dense(5), kl.Dense(5)]
        self.out = kl.Dense(2)

    def call(self, inputs, training=None):
        x = keras.ops.mean(self.stem(inputs), axis=(1, 2))
        for block in self.blocks:
            x = keras.ops.relu(block(x))
        return self.out(x)


def test_a_subclass_is_traced_and_its_names_do_not_count_instances():
    for _ in range(2):
        model = Subclassed()
        model(np.zeros((1, 8, 8, 3), "f4"))
        before = [len(layer._inbound_nodes) for layer in model._flatten_layers()]
        assert names(model) == ["stem/kernel", "blocks/0/kernel", "blocks/1/kernel"]
        assert [len(layer._inbound_nodes) for layer in model._flatten_layers()] == before  # left as it was


def test_a_subclass_that_cannot_be_traced_is_refused_but_can_be_named():
    class Opaque(Subclassed):
        def call(self, inputs, training=None):
            return super().call(keras.ops.convert_to_tensor(keras.ops.convert_to_numpy(inputs)))

    model = Opaque()
    model(np.zeros((1, 8, 8, 3), "f4"))
    with pytest.raises(InputError, match="cannot be called on symbolic tensors.*name the layers with `layers=`"):
        names(model)
    assert names(model, ["stem"]) == ["stem/kernel"]


def test_attention_is_made_of_einsum_dense():
    inputs = kl.Input((4, 8))
    x = kl.MultiHeadAttention(2, 4, name="attention")(inputs, inputs)
    model = keras.Model(inputs, kl.Dense(3)(x))
    assert len(names(model)) == 4 and all(name.startswith("attention/") for name in names(model))
    # Without a layer behind it, its last projection makes the output.
    assert len(names(keras.Model(inputs, x))) == 3


def test_models_without_anything_to_prune():
    unbuilt = keras.Sequential([kl.Dense(3)])
    with pytest.raises(InputError, match="not built"):
        targets.kernels(unbuilt)
    only = keras.Sequential([kl.Input((3,)), kl.Dense(3)])
    with pytest.raises(InputError, match="nothing but its outputs"):
        targets.kernels(only)
    with pytest.raises(InputError, match="without convolution or dense kernels"):
        targets.kernels(keras.Sequential([kl.Input((3,)), kl.BatchNormalization()]))


def test_quantized_and_lora_kernels_are_refused():
    model = keras.Sequential([kl.Input((4,)), kl.Dense(4, name="a"), kl.Dense(4, name="b"), kl.Dense(2)])
    older = masks.global_magnitude(model, 0.5)
    model.get_layer("a").enable_lora(2)
    # What LoRA adds stands where the masks are too, and the kernel by itself would not show it.
    for method in (older.hold, older.measured, older.violations):
        with pytest.raises(InputError, match="a/kernel with LoRA"):
            method(model)
    with pytest.raises(InputError, match="a/kernel.*LoRA"):
        masks.global_magnitude(model, 0.5)
    model.get_layer("b").quantize("int8")
    with pytest.raises(InputError, match="b/kernel, int8"):
        masks.global_magnitude(model, 0.5, ["b"])
