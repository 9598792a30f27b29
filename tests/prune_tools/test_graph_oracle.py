"""The channel groups against brute force: perturb a channel, look which channels of which tensors move."""

from __future__ import annotations

import random

import keras
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers, ops

from prune_tools.graph import Graph
from yolo_prune.darknet import Reorg


def random_model(seed: int) -> keras.Model:
    """A small graph of convolutions, joins and reshapes; smooth activations, so that nothing hides a change."""
    rng = random.Random(seed)
    keras.utils.set_random_seed(seed)
    count = iter(range(1000))
    inputs = keras.Input((8, 8, 3), name="image")

    def conv(x, width=None):
        name = f"conv_{next(count)}"
        return layers.Conv2D(width or rng.choice([2, 4, 6]), rng.choice([1, 3]), padding="same", name=name)(x)

    pool = [conv(inputs), conv(inputs)]
    for _ in range(rng.randint(4, 9)):
        x = rng.choice(pool)
        same = [y for y in pool if y.shape[:3] == x.shape[:3]]
        fits = [y for y in same if y.shape == x.shape]
        width, side = x.shape[-1], x.shape[1]
        kinds = ["conv", "norm", "residual", "add", "concat", "depthwise", "gate", "act"]
        kinds += ["pool", "s2d"] * (side > 2) + ["reorg"] * (side > 2 and width % 4 == 0)
        kind = rng.choice(kinds)
        if kind == "conv":
            y = layers.Activation("softplus")(conv(x))
        elif kind == "norm":
            y = layers.BatchNormalization()(x)
        elif kind == "residual":
            y = layers.Add()([x, conv(x, width)])
        elif kind == "add":
            y = x + rng.choice(fits)
        elif kind == "concat":
            y = layers.Concatenate()([x, rng.choice(same)])
        elif kind == "depthwise":
            y = layers.DepthwiseConv2D(3, padding="same", name=f"deep_{next(count)}")(x)
        elif kind == "gate":
            gate = layers.Dense(width, activation="sigmoid", name=f"gate_{next(count)}")
            y = layers.Multiply()([x, layers.Reshape((1, 1, width))(gate(layers.GlobalAveragePooling2D()(x)))])
        elif kind == "act":
            y = ops.softplus(x)
        elif kind == "pool":
            y = layers.AveragePooling2D(2)(x)
        elif kind == "s2d":
            y = ops.space_to_depth(x, 2)
        else:
            y = Reorg()(x)
        pool.append(y)
    flat = [layers.Flatten()(pool[-2]), layers.GlobalAveragePooling2D()(pool[-1])]
    return keras.Model(inputs, [layers.Dense(2, name=f"out_{i}")(x) for i, x in enumerate(flat)])


def mixes(layer) -> bool:
    return isinstance(layer, (layers.Dense, layers.Conv2D)) and not isinstance(layer, layers.DepthwiseConv2D)


def moved(found: Graph, base: dict, name: str) -> dict[int, np.ndarray]:
    """Tensor → booleans (channels of the layer, channels of the tensor): which move without passing a kernel."""
    values: dict = {}
    width = 0
    for step in found.flat.steps:
        if step.name == name:
            value = base[step.outputs[0]]
            width = value.shape[-1]
            eye = np.eye(width).reshape(width, *[1] * (len(value.shape) - 2), width)
            shape = (1, *value.shape[1:])
            bump = eye * np.random.default_rng(0).uniform(0.5, 1, shape)
            values[step.outputs[0]] = np.asarray(value) + bump.astype(np.float32)
        elif not mixes(step.layer) and set(step.inputs) & set(values):

            def fellow(key, width=width):
                return values.get(key, np.repeat(np.asarray(base[key])[:1], width, axis=0))

            args, kwargs = step.fill({key: fellow(key) for key in step.inputs})
            values[step.outputs[0]] = np.asarray(step.layer(*args, **kwargs))
    result = {}
    for key, value in values.items():
        gap = np.abs(value - np.asarray(base[key])[:1])
        result[key] = gap.reshape(width, -1, value.shape[-1]).max(axis=1) > 1e-6
    return result


@settings(max_examples=15)
@given(st.integers(0, 10**6))
def test_units_go_together_exactly_where_brute_force_says_so(seed):
    model = random_model(seed)
    found = Graph(model)
    makers = [name for group in found.groups for name in group.members]
    inputs = np.random.default_rng(seed).normal(size=(1, 8, 8, 3)).astype(np.float32)
    base = found.flat.run([inputs])

    # Brute force: whatever moves the same channel of the same tensor goes together.
    # Reorg's formula divides by C / 4, so besides its input's channels go by four, whatever the grid mixes.
    reorgs = {step.inputs[0] for step in found.flat.steps if isinstance(step.layer, Reorg)}
    sets: dict[tuple, set] = {}
    for name in makers:
        for key, matrix in moved(found, base, name).items():
            for unit, column in zip(*np.nonzero(matrix), strict=True):
                places = {(key, int(column)), (key, "four", int(column) // 4) if key in reorgs else (key, int(column))}
                for place in places:
                    sets.setdefault(place, set()).add((name, int(unit)))
    blocks = [set(members) for members in sets.values()]
    merged: list[set] = []
    for block in blocks:
        touching = [other for other in merged if other & block]
        merged = [other for other in merged if not other & block] + [block.union(*touching)]
    expected = {frozenset(block) for block in merged}

    ours: dict[int, set] = {}
    for name in makers:
        for unit, block in enumerate(found.blocks(found.channels(name))):
            ours.setdefault(int(block), set()).add((name, unit))
    assert {frozenset(block) for block in ours.values()} == expected

    # And every tensor's channels stand where the graph says.
    for name in makers:
        own = found.blocks(found.channels(name))
        for key, matrix in moved(found, base, name).items():
            there = found.blocks(found.tensor_channels(key))
            assert (matrix <= (own[:, None] == there[None, :])).all()
