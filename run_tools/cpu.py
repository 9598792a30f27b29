"""Faster training on CPUs with the TensorFlow backend: fused batch normalisation, convolutions in bfloat16.

Keras 3 composes batch normalisation of elementwise operations, which TensorFlow does not fuse without XLA, and XLA's
convolutions are slow on CPUs. TensorFlow's fused operation does the same in two passes over the memory.
`benchmarks/training_cpu.py` says what both are worth.
"""

import functools
from pathlib import Path
from typing import Any

import keras

BLOCK = 32
"""Convolutions in bfloat16 read and write multiples of so many channels. With fewer, rounding large maps takes longer
than multiplying. Remainders are left out to be careful: two trainings with 304 and 336 channels in bfloat16 stopped at
a NaN that did not come back when they went on from their last checkpoint. Its cause was not found; oneDNN's issue 5717
is of remainders in AMX's matrix products."""


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


def bfloat16_convolutions(model: keras.Model) -> list[str]:
    """Lets the convolutions of a model multiply in bfloat16, where it runs on a CPU that has such units.

    Inputs and kernels are rounded for the convolution and for its gradients, which come back as float32. Variables,
    everything between the convolutions and the loss stay float32, and nothing that is saved changes. Layers that make
    the model's outputs keep float32 too, and so do those with other channels than multiples of `BLOCK`. To be called
    before `compile`. (TensorFlow's own rewriting of graphs to bfloat16 would take in parts of the loss, where box
    coordinates need the digits.)

    Args:
        model: any model; nested ones are searched too.

    Returns:
        The names of the layers that changed; none on another backend, with a GPU, or on a CPU without bfloat16.
    """
    if not on_cpu() or not has_bfloat16():
        return []
    last = {id(tensor._keras_history.operation) for tensor in keras.tree.flatten(getattr(model, "outputs", None) or [])}
    found = [layer for layer in model._flatten_layers() if _in_bfloat16(layer) and id(layer) not in last]
    for layer in found:
        layer.call = functools.partial(_convolve, layer)
    return [layer.name for layer in found]


def has_bfloat16() -> bool:
    """Whether Linux says that this processor multiplies bfloat16: AMX or AVX512-BF16."""
    try:
        told = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return "amx_bf16" in told or "avx512_bf16" in told


def _in_bfloat16(layer: keras.layers.Layer) -> bool:
    return (
        type(layer) is keras.layers.Conv2D
        and layer.built
        and layer.groups == 1
        and layer.data_format == "channels_last"
        and layer.compute_dtype == "float32"
        and not (layer.kernel.shape[2] % BLOCK or layer.kernel.shape[3] % BLOCK)
    )


def _convolve(layer: keras.layers.Conv2D, inputs: Any) -> Any:
    """`Conv2D.call` with the products in bfloat16."""
    import tensorflow as tf

    outputs = tf.nn.conv2d(
        tf.cast(inputs, tf.bfloat16),
        tf.cast(layer.kernel, tf.bfloat16),
        strides=layer.strides,
        padding=layer.padding.upper(),
        dilations=layer.dilation_rate,
    )
    outputs = tf.cast(outputs, tf.float32)
    if layer.use_bias:
        outputs = outputs + tf.cast(layer.bias, tf.float32)
    return outputs if layer.activation is None else layer.activation(outputs)
