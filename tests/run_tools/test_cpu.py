"""Training on CPUs: the fused batch-norm computes what Keras's does, and changes nothing that is saved."""

import keras
import numpy as np
import pytest

from run_tools import cpu

pytestmark = pytest.mark.skipif(not cpu.on_cpu(), reason="about TensorFlow on a CPU")


def network(**options):
    inputs = keras.Input((6, 10, 3))
    x = keras.layers.Conv2D(4, 3, padding="same", name="conv")(inputs)
    x = keras.layers.BatchNormalization(momentum=0.8, epsilon=1e-2, name="norm", **options)(x)
    return keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU()(x)))


def pair(**options):
    """Two models of the same weights, none of them at its initial value."""
    plain = network(**options)
    rng = np.random.default_rng(0)
    plain.set_weights([rng.uniform(0.5, 1.5, weight.shape) for weight in plain.get_weights()])
    fused = network(**options)
    fused.set_weights(plain.get_weights())
    return plain, fused


def batches(count=3):
    rng = np.random.default_rng(1)
    return rng.normal(2.0, 3.0, (count * 5, 6, 10, 3)).astype("float32"), rng.random((count * 5, 4), np.float32)


@pytest.mark.parametrize("jit", [False, True])
def test_a_training_ends_with_the_same_weights_and_statistics(jit):
    models = pair()
    assert cpu.fuse_batch_norm(models[1]) == ["norm"]
    for model in models:
        model.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=jit)
        model.fit(*batches(), batch_size=5, epochs=2, shuffle=False, verbose=0)
    # An odd count of 5 · 6 · 10 positions: the unbiased variance would be off by 1 in 300.
    for plain, fused in zip(models[0].get_weights(), models[1].get_weights(), strict=True):
        np.testing.assert_allclose(fused, plain, rtol=2e-4, atol=2e-5)
    images = batches()[0]
    np.testing.assert_allclose(models[1].predict(images, verbose=0), models[0].predict(images, verbose=0), rtol=1e-4)


def test_a_frozen_one_uses_and_keeps_its_statistics():
    plain, fused = pair()
    cpu.fuse_batch_norm(fused)
    before = fused.get_layer("norm").get_weights()
    for model in (plain, fused):
        model.get_layer("norm").trainable = False
        model.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=False)
        model.fit(*batches(), batch_size=5, shuffle=False, verbose=0)
    for old, new in zip(before, fused.get_layer("norm").get_weights(), strict=True):
        np.testing.assert_array_equal(new, old)
    np.testing.assert_allclose(fused.get_layer("conv").kernel, plain.get_layer("conv").kernel, rtol=1e-4, atol=1e-6)


def test_what_is_saved_is_the_plain_layer(tmp_path):
    plain, fused = pair()
    cpu.fuse_batch_norm(fused)
    fused.save(tmp_path / "model.keras")
    assert fused.get_layer("norm").get_config() == plain.get_layer("norm").get_config()
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert "call" not in vars(loaded.get_layer("norm"))
    images = batches()[0]
    np.testing.assert_allclose(loaded.predict(images, verbose=0), fused.predict(images, verbose=0), rtol=1e-4)
    assert "call" not in vars(keras.models.clone_model(fused).get_layer("norm"))


@pytest.mark.parametrize("options", [{"axis": 1}, {"scale": False}, {"center": False}, {"renorm": True}])
def test_layers_that_the_operation_cannot_do_are_left_alone(options):
    model = network(**options)
    assert cpu.fuse_batch_norm(model) == []
    assert "call" not in vars(model.get_layer("norm"))


def test_vectors_and_layers_of_ones_own_are_left_alone():
    class Own(keras.layers.BatchNormalization):
        pass

    inputs = keras.Input((4, 4, 2))
    x = keras.layers.GlobalAveragePooling2D()(Own()(inputs))
    assert cpu.fuse_batch_norm(keras.Model(inputs, keras.layers.BatchNormalization()(x))) == []


def test_nested_models_are_searched():
    inner = network()
    inputs = keras.Input((6, 10, 3))
    assert cpu.fuse_batch_norm(keras.Model(inputs, inner(inputs))) == ["norm"]


def wide():
    """Two convolutions that read many channels, the second of them an output, and one that reads few."""
    inputs = keras.Input((6, 10, 3))
    x = keras.layers.Conv2D(64, 3, padding="same", name="few")(inputs)
    x = keras.layers.Conv2D(32, 3, strides=2, padding="same", activation="relu", name="many")(x)
    x = keras.layers.Conv2D(48, 1, use_bias=False, padding="valid", name="remainder")(x)
    x = keras.layers.Conv2D(32, 1, use_bias=False, padding="valid", name="of_remainder")(x)
    return keras.Model(inputs, keras.layers.Conv2D(4, 1, name="head")(x))


@pytest.fixture
def bfloat16(monkeypatch):
    """Any CPU will do: without such units TensorFlow computes the same more slowly."""
    monkeypatch.setattr(cpu, "has_bfloat16", lambda: True)


def test_products_are_those_of_rounded_numbers(bfloat16):
    import tensorflow as tf

    model = wide()
    assert cpu.bfloat16_convolutions(model) == ["many"]
    layer = model.get_layer("many")
    images = np.random.default_rng(0).normal(size=(2, 6, 10, 64)).astype("float32")

    def rounded(values):
        return tf.cast(tf.cast(values, tf.bfloat16), tf.float32)

    exact = tf.nn.relu(tf.nn.conv2d(rounded(images), rounded(layer.kernel), 2, "SAME") + layer.bias)
    found = layer(images)
    assert found.dtype == tf.float32
    # Sums of 576 exact products, rounded to eight bits once.
    np.testing.assert_allclose(found, exact, rtol=2**-8, atol=1e-3)


def test_it_learns_in_bfloat16_and_keeps_float32(bfloat16):
    plain, low = wide(), wide()
    low.set_weights(plain.get_weights())
    first = plain.get_layer("many").kernel.numpy()
    cpu.bfloat16_convolutions(low)
    rng = np.random.default_rng(0)
    images, goals = rng.random((15, 6, 10, 3), np.float32), rng.random((15, 3, 5, 4), np.float32)
    for model in (plain, low):
        model.compile(keras.optimizers.SGD(0.05), "mse", jit_compile=False)
        model.fit(images, goals, batch_size=5, epochs=2, shuffle=False, verbose=0)
    learnt = [keras.ops.convert_to_numpy(model.get_layer("many").kernel) - first for model in (plain, low)]
    assert not np.array_equal(*learnt)
    # The gradients are those of rounded numbers: a hundredth off in the mean, of what was learnt.
    assert np.linalg.norm(learnt[1] - learnt[0]) < 0.03 * np.linalg.norm(learnt[0])
    assert {variable.dtype for variable in low.variables} == {"float32"}


def test_a_cpu_without_bfloat16_is_left_alone(monkeypatch):
    monkeypatch.setattr(cpu, "has_bfloat16", lambda: False)
    model = wide()
    assert cpu.bfloat16_convolutions(model) == []
    assert "call" not in vars(model.get_layer("many"))
