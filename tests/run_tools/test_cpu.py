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


def test_bfloat16_is_asked_for_within_and_not_after():
    import tensorflow as tf

    name = "auto_mixed_precision_onednn_bfloat16"

    def asked():
        return tf.config.optimizer.get_experimental_options().get(name, False)

    with cpu.bfloat16_convolutions():
        assert asked()
        with cpu.bfloat16_convolutions(False):
            assert asked()
    assert not asked()
    with pytest.raises(KeyError), cpu.bfloat16_convolutions():
        raise KeyError
    assert not asked()


def test_in_bfloat16_variables_stay_float32_and_results_close():
    plain, low = pair()
    images = batches()[0]
    with cpu.bfloat16_convolutions():
        found = low.predict(images, verbose=0)
    np.testing.assert_allclose(found, plain.predict(images, verbose=0), rtol=0.05, atol=0.05)
    assert {variable.dtype for variable in low.variables} == {"float32"}
