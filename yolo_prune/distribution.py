"""Several GPUs of one host (TensorFlow's `MirroredStrategy`) or several hosts (`keras.distribution` on JAX)."""

import contextlib
from collections.abc import Iterator

import keras

from run_tools.errors import InputError


@contextlib.contextmanager
def scope(kind: str) -> Iterator[None]:
    """Where a model is built and trained.

    Args:
        kind: "none"; "mirrored", every GPU of this host, TensorFlow backend; "multihost", every device of every host,
            JAX backend, one process a host, started with JAX's usual cluster variables.

    Raises:
        InputError: when the Keras backend does not offer that.
    """
    backend = keras.backend.backend()
    needed = {"none": backend, "mirrored": "tensorflow", "multihost": "jax"}[kind]
    if backend != needed:
        raise InputError(f"--distribute {kind} on the {backend} backend", needed, f"set KERAS_BACKEND={needed}")
    if kind == "mirrored":
        import tensorflow as tf

        with tf.distribute.MirroredStrategy().scope():
            yield
        return
    if kind == "multihost":
        keras.distribution.initialize()
        keras.distribution.set_distribution(keras.distribution.DataParallel(auto_shard_dataset=False))
    yield
