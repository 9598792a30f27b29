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
        """The layer's output, by reshaping alone.

        Args:
            inputs: (batch, H, W, C); H and W may be known only when the step runs, as where sizes rotate.

        Returns:
            (batch, H/stride, W/stride, C · stride²).
        """
        channels, step = self._checked(inputs.shape)[3], self.stride
        height, width = ops.shape(inputs)[1:3]
        planes = ops.reshape(ops.transpose(inputs, (0, 3, 1, 2)), (-1, channels // step**2, height, step, width, step))
        moved = ops.transpose(planes, (0, 3, 5, 1, 2, 4))
        packed = ops.reshape(moved, (-1, channels * step**2, height // step, width // step))
        return ops.transpose(packed, (0, 2, 3, 1))

    def compute_output_shape(self, input_shape):
        """(batch, H/stride, W/stride, C · stride²), None for a side that is unknown."""
        batch, *sides, channels = self._checked(input_shape)
        height, width = (None if side is None else side // self.stride for side in sides)
        return (batch, height, width, channels * self.stride**2)

    def get_config(self):
        """The layer's arguments."""
        return {**super().get_config(), "stride": self.stride}

    def _checked(self, shape):
        step = self.stride
        if len(shape) != 4 or any((side or 0) % step for side in shape[1:3]) or shape[3] is None or shape[3] % step**2:
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
