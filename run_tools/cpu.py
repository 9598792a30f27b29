"""Faster training on CPUs with the TensorFlow backend: fused batch normalisation, convolutions in bfloat16.

Keras 3 composes batch normalisation of elementwise operations, which TensorFlow does not fuse without XLA, and XLA's
convolutions are slow on CPUs. TensorFlow's fused operation does the same in two passes over the memory.
`benchmarks/training_cpu.py` says what both are worth.
"""

import contextlib
import functools
from collections.abc import Iterator
from typing import Any

import keras


def on_cpu() -> bool:
    """Whether Keras runs on TensorFlow without a GPU."""
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return not tf.config.list_physical_devices("GPU")


def fuse_batch_norm(model: keras.Model) -> list[str]:
    """Lets the batch-norms of a model use TensorFlow's fused operation, where it runs on a CPU.

    What is computed stays the same up to rounding, moving statistics included; nothing that is saved changes. To be
    called before `compile`, since a compiled step is kept. Layers that are renormalised, synchronised, without scale or
    centre, not over the last axis or not of rank four are left alone.

    Args:
        model: any model; nested ones are searched too.

    Returns:
        The names of the layers that changed; none on another backend or with a GPU.
    """
    if not on_cpu():
        return []
    found = [layer for layer in model._flatten_layers() if _fusible(layer)]
    for layer in found:
        layer.call = functools.partial(_call, layer)
    return [layer.name for layer in found]


def _fusible(layer: keras.layers.Layer) -> bool:
    return (
        type(layer) is keras.layers.BatchNormalization
        and layer.built
        and layer.scale
        and layer.center
        and not (layer.renorm or layer.synchronized)
        and layer.input_spec.ndim == 4
        and layer.axis in (-1, 3)
    )


def _call(layer: keras.layers.BatchNormalization, inputs: Any, training: Any = None, mask: Any = None) -> Any:
    """`BatchNormalization.call` by the fused operation."""
    if mask is not None:
        return type(layer).call(layer, inputs, training=training, mask=mask)
    import tensorflow as tf

    learns = bool(training) and layer.trainable
    empty = tf.zeros([0])
    outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
        x=inputs,
        scale=tf.cast(layer.gamma, tf.float32),
        offset=tf.cast(layer.beta, tf.float32),
        mean=empty if learns else tf.cast(layer.moving_mean, tf.float32),
        variance=empty if learns else tf.cast(layer.moving_variance, tf.float32),
        epsilon=layer.epsilon,
        is_training=learns,
    )
    if learns:
        # The operation returns the unbiased variance; Keras averages the biased one.
        count = tf.cast(tf.reduce_prod(tf.shape(inputs)[:-1]), tf.float32)
        for variable, value in ((layer.moving_mean, mean), (layer.moving_variance, variance * ((count - 1) / count))):
            variable.assign(variable * layer.momentum + value * (1.0 - layer.momentum))
    return outputs


@contextlib.contextmanager
def bfloat16_convolutions(wanted: bool = True) -> Iterator[None]:
    """Within: functions that TensorFlow traces on a CPU with bfloat16 units (AMX, AVX512-BF16) convolve in bfloat16.

    Variables, batch-norm statistics and the loss stay float32. Elsewhere it changes nothing. After: as before.
    """
    if not wanted or not on_cpu():
        yield
        return
    import tensorflow as tf

    name = "auto_mixed_precision_onednn_bfloat16"
    before = tf.config.optimizer.get_experimental_options().get(name, False)
    tf.config.optimizer.set_experimental_options({name: True})
    try:
        yield
    finally:
        tf.config.optimizer.set_experimental_options({name: before})
