"""Units before darknet's reorg: the blocks that can go, and that what is left computes the same."""

import keras
import numpy as np
import pytest
from keras import layers

from prune_tools import surgery
from prune_tools.graph import Graph
from run_tools.errors import InputError
from yolo_prune.darknet import Reorg


@pytest.fixture
def model():
    """A convolution of 8 units, read through reorg and by a strided convolution, as YOLOv2's passthrough is."""
    keras.utils.set_random_seed(5)
    image = keras.Input((8, 12, 3))
    first = layers.Conv2D(8, 3, padding="same", name="first")(image)
    below = layers.Conv2D(5, 3, strides=2, padding="same", name="below")(first)
    both = layers.Concatenate()([Reorg(name="reorg")(first), below])
    return keras.Model(image, layers.Conv2D(4, 1, name="out")(both))


def test_blocks_of_four_go_and_the_rest_stays_as_it_was(model):
    images = np.random.default_rng(0).normal(size=(2, 8, 12, 3)).astype(np.float32)
    smaller = surgery.remove(model, {"first": [4, 5, 6, 7]}, merge="delete")
    assert smaller.get_layer("first").kernel.shape == (3, 3, 3, 4)
    # Channel c of reorg's input comes out at c, 8 + c, 16 + c and 24 + c. Without rows in a reader it is not read.
    out, below = model.get_layer("out").kernel, model.get_layer("below").kernel
    values = keras.ops.convert_to_numpy(out).copy()
    values[:, :, [offset + c for offset in (0, 8, 16, 24) for c in (4, 5, 6, 7)]] = 0
    out.assign(values)
    values = keras.ops.convert_to_numpy(below).copy()
    values[:, :, 4:] = 0
    below.assign(values)
    np.testing.assert_allclose(smaller.predict(images, verbose=0), model.predict(images, verbose=0), atol=1e-5)


def test_a_part_of_a_block_is_refused(model):
    assert "blocks of up to 4" in str(Graph(model))
    with pytest.raises(InputError, match="units 4, 5, 6, 7, which can only go together"):
        surgery.remove(model, {"first": [4]}, merge="delete")
