"""darknet's reorg as a Keras layer."""

import keras
import numpy as np
from keras import ops

from prune_tools import graph


@keras.saving.register_keras_serializable(package="yolo_prune")
class Reorg(keras.layers.Layer):
    """darknet's `[reorg]`: (batch, H, W, C) to (batch, H/stride, W/stride, C · stride²).

    Not `space_to_depth`: darknet reads the memory of its (C, H, W) tensor as one of C/stride² channels that are stride
    times as high and wide, moves the pixels of that into channels, and reads the result as (C · stride², H/stride,
    W/stride). So one output pixel holds input pixels from far apart, and no order of channels makes up for it.

    Args:
        stride: divides height and width; its square divides the channels.

    Raises:
        ValueError: for an input that is not so.

    Source: darknet, `reorg_cpu` (blas.c) as `forward_reorg_layer` calls it.
    """

    def __init__(self, stride: int = 2, **kwargs):
        super().__init__(**kwargs)
        self.stride = int(stride)

    def call(self, inputs):
        """The layer's output, by reshaping alone."""
        _, height, width, channels = self._checked(inputs.shape)
        step = self.stride
        planes = ops.reshape(ops.transpose(inputs, (0, 3, 1, 2)), (-1, channels // step**2, height, step, width, step))
        moved = ops.transpose(planes, (0, 3, 5, 1, 2, 4))
        packed = ops.reshape(moved, (-1, channels * step**2, height // step, width // step))
        return ops.transpose(packed, (0, 2, 3, 1))

    def compute_output_shape(self, input_shape):
        """(batch, H/stride, W/stride, C · stride²)."""
        batch, height, width, channels = self._checked(input_shape)
        return (batch, height // self.stride, width // self.stride, channels * self.stride**2)

    def get_config(self):
        """The layer's arguments."""
        return {**super().get_config(), "stride": self.stride}

    def _checked(self, shape):
        step = self.stride
        sides = tuple(shape)[1:]
        if len(shape) != 4 or None in sides or sides[0] % step or sides[1] % step or sides[2] % step**2:
            raise ValueError(
                f"received an input of shape {tuple(shape)}; expected (batch, H, W, C) with H and W divisible by {step}"
                f" and C by {step**2}; change the layers before it"
            )
        return tuple(shape)


def _aligned_blocks(call: graph.Call) -> np.ndarray:
    """Channels for pruning: stride² neighbours share one stretch of memory, so they go together, and come out apart."""
    (channels,) = call.inputs
    block = call.layer.stride**2
    call.tie(channels.reshape(-1, block))
    return np.tile(channels, block)


graph.register(Reorg, _aligned_blocks)
