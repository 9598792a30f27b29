"""The well-known architectures, random weights: every group that can be cut is cut, and the certificate holds."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from prune_tools import statistics, surgery
from prune_tools.graph import Graph

# Name, and a group that a person can check against the paper's drawing: its layers.
KNOWN = {
    "ResNet50": [f"conv2_block{block}_3_conv" for block in (1, 2, 3)] + ["conv2_block1_0_conv"],
    "MobileNetV2": ["block_1_project", "block_2_project"],
    "EfficientNetB0": ["block2a_expand_conv", "block2a_se_expand"],
    "DenseNet121": ["conv2_block1_2_conv"],
    "VGG16": ["block5_conv3"],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", KNOWN)
def test_it_goes_through(name):
    keras.utils.set_random_seed(0)
    build = getattr(keras.applications, name)
    # fc1 alone has 100 million weights; 32 x 32 leaves it 2 million.
    model = build(weights=None, input_shape=(32, 32, 3), classes=10, classifier_activation=None)
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 1.5, weight.shape) for weight in layer.weights])
    groups = Graph(model).groups
    assert set(KNOWN[name]) in [set(group.members) for group in groups]
    frozen = [group for group in groups if not group.removable.all()]
    assert [group.name for group in frozen] == ["predictions"]
    units = {group.name: range(0, group.units, 2) for group in groups if group not in frozen}
    images = rng.random((2, 32, 32, 3), np.float32)
    operation = surgery.Surgery(model, units, statistics=statistics.collect(model, images))
    smaller = operation.smaller()
    certificate = operation.certificate(images, smaller)
    assert certificate.sound(1e-3), certificate  # float32 through up to 120 convolutions
    assert smaller.count_params() < 0.4 * model.count_params()
    assert [layer.name for layer in smaller.layers] == [layer.name for layer in model.layers]


@pytest.mark.slow
def test_keras_hubs_resnet18_goes_through():
    hub = pytest.importorskip("keras_hub", reason="keras-hub is not installed")
    model = hub.models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64, 128, 256, 512],
        stackwise_num_blocks=[2, 2, 2, 2],
        stackwise_num_strides=[1, 2, 2, 2],
        block_type="basic_block",
        image_shape=(32, 32, 3),
    )
    inputs = keras.Input((32, 32, 3))
    model = keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(model(inputs))))
    units = {group.name: range(0, group.units, 2) for group in Graph(model).groups if group.removable.all()}
    assert len(units) == 12  # 4 stages, and the inner convolution of each of 8 blocks
    assert surgery.Surgery(model, units).certificate(np.random.default_rng(0).random((2, 32, 32, 3))).sound()
