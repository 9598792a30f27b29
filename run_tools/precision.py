"""What a training computes in; the weights stay float32."""

import contextlib
from collections.abc import Iterator

import keras


@contextlib.contextmanager
def scope(mixed: bool) -> Iterator[None]:
    """Within: float16 compute, Keras's policy "mixed_float16" for GPUs, where asked for. After: what was before."""
    before = keras.config.dtype_policy()
    try:
        if mixed:
            keras.config.set_dtype_policy("mixed_float16")
        yield
    finally:
        keras.config.set_dtype_policy(before)
