"""What a training computes in; the weights stay float32."""

import contextlib
from collections.abc import Iterator

import keras

from run_tools import cpu


@contextlib.contextmanager
def scope(mixed: bool, cpu_bfloat16: bool) -> Iterator[None]:
    """Within: float16 compute, or bfloat16 convolutions, where asked for. After: what the process had before.

    Args:
        mixed: Keras's policy "mixed_float16", for GPUs.
        cpu_bfloat16: see `run_tools.cpu.bfloat16_convolutions`.
    """
    before = keras.config.dtype_policy()
    try:
        if mixed:
            keras.config.set_dtype_policy("mixed_float16")
        with cpu.bfloat16_convolutions(cpu_bfloat16):
            yield
    finally:
        keras.config.set_dtype_policy(before)
