"""Surgery on random graphs: residuals, concatenations, gates, reorg, `space_to_depth`, flatten, batch normalisation."""

from __future__ import annotations

import random

import keras
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers, ops

from prune_tools import statistics, surgery
from prune_tools.cuts import plan
from prune_tools.graph import Graph


def block(x, kind: str, rng: random.Random, count: int):
    """One more layer or two on x."""
    width = x.shape[-1]
    if kind == "conv":
        return layers.Conv2D(rng.choice([3, 5]), 3, padding="same", activation="relu", name=f"conv_{count}")(x)
    if kind == "norm":
        x = layers.Conv2D(4, 1, use_bias=False, name=f"conv_{count}")(x)
        return layers.ReLU()(layers.BatchNormalization(name=f"norm_{count}")(x))
    if kind == "residual":
        return layers.Add()([x, layers.Conv2D(width, 3, padding="same", name=f"conv_{count}")(x)])
    if kind == "depthwise":
        return layers.DepthwiseConv2D(3, padding="same", name=f"deep_{count}")(x)
    if kind == "gate":
        gate = layers.Dense(width, activation="sigmoid", name=f"gate_{count}")(layers.GlobalAveragePooling2D()(x))
        return x * ops.reshape(gate, (-1, 1, 1, width))
    if kind == "separable":
        return layers.SeparableConv2D(4, 3, padding="same", name=f"separable_{count}")(x)
    return ops.space_to_depth(x, 2) if kind == "s2d" else layers.MaxPooling2D(2)(x)


def random_model(seed: int) -> keras.Model:
    rng = random.Random(seed)
    keras.utils.set_random_seed(seed)
    x = keras.Input((8, 8, 3), name="image")
    pool = [block(x, "conv", rng, 0), block(x, "norm", rng, 1)]
    kinds = ["conv", "norm", "residual", "depthwise", "gate", "separable", "concat"]
    for count in range(2, rng.randint(4, 8)):
        last = rng.choice(pool)
        kind = rng.choice(kinds + ["s2d", "pool"] * (last.shape[1] > 2))
        if kind == "concat":
            pool.append(layers.Concatenate()([last, rng.choice([y for y in pool if y.shape[1] == last.shape[1]])]))
        else:
            pool.append(block(last, kind, rng, count))
    ends = [layers.Flatten()(pool[-1]), layers.GlobalMaxPooling2D()(pool[-2])]
    model = keras.Model(x, [layers.Dense(2, name=f"out_{index}")(end) for index, end in enumerate(ends)])
    noise = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.set_weights([noise.uniform(0.5, 1.5, weight.shape) for weight in layer.weights])
    return model


def assign(variable, array):
    variable.assign(array.astype(np.float32))


@settings(max_examples=12)
@given(st.integers(0, 10**6))
def test_the_smaller_network_is_the_masked_and_folded_one(seed):
    model, rng = random_model(seed), np.random.default_rng(seed)
    images = rng.normal(size=(4, 8, 8, 3)).astype(np.float32)
    units = {}
    for group in Graph(model).groups:
        name, members = max(group.members.items(), key=lambda item: len(item[1]))
        if group.removable.all():
            blocks = group.blocks[members]
            chosen = rng.permutation(np.unique(blocks))[: rng.integers(0, len(np.unique(blocks)))]
            units[name] = np.flatnonzero(np.isin(blocks, chosen))
    found = statistics.collect(model, images)
    rule = str(rng.choice(["delete", "incoming", "outgoing", "project", "least_squares"]))
    operation = surgery.Surgery(model, units, rule, found)
    certificate = operation.certificate(images)
    assert certificate.sound(1e-4), f"{rule} of {units}\n{certificate}"
    gone = {name: len(wish) for name, wish in units.items()}
    smaller = surgery.widths(operation.smaller())
    assert all(surgery.widths(model)[name] - smaller[name] == number for name, number in gone.items())


@settings(max_examples=8)
@given(st.integers(0, 10**6))
def test_duplicates_and_unread_units_go_without_a_trace(seed):
    model, rng = random_model(seed), np.random.default_rng(seed)
    images = rng.normal(size=(4, 8, 8, 3)).astype(np.float32)
    found = Graph(model)
    twins, unread = {}, {}
    for group in found.groups:
        if not group.removable.all() or group.units < 3 or len(np.unique(group.blocks)) < group.units:
            continue
        kept, twin, silent = (int(unit) for unit in rng.permutation(group.units)[:3])
        name = max(group.members, key=lambda member: len(group.members[member]))
        places = {unit: np.flatnonzero(group.members[name] == unit).tolist() for unit in (kept, twin, silent)}
        twins[name] = list(zip(places[twin], places[kept], strict=True))
        unread[name] = places[silent]
        _make_twins(found, group, kept, twin)
        for reader in group.readers:
            _silence(found, reader, silent)
    if twins:
        assert surgery.Surgery(model, twins, "outgoing").certificate(images).exact(1e-4)
        assert surgery.Surgery(model, unread).certificate(images).exact(1e-4)


@settings(max_examples=12)
@given(st.integers(0, 10**6), st.sampled_from([2, 3, 4]))
def test_widths_left_are_multiples_and_what_goes_was_asked_for_first(seed, multiple):
    graph, rng = Graph(random_model(seed)), np.random.default_rng(seed)
    units = {}
    for group in graph.groups:
        if group.removable.all():
            blocks = rng.permutation(np.unique(group.blocks))
            asked = blocks[: rng.integers(0, len(blocks))]
            for name in rng.permutation(list(group.members)):  # every layer of the group asks for a part
                own = group.blocks[group.members[str(name)]]
                part = [block for block in asked if rng.random() < 0.7]
                units[str(name)] = [unit for block in part for unit in np.flatnonzero(own == block).tolist()]
    gone = plan(graph, units, multiple).blocks
    order = [int(block) for name, wish in units.items() for block in graph.blocks(graph.channels(name)[wish])]
    for group in graph.groups:
        own = [block for block in dict.fromkeys(order) if block in group.blocks]
        left = np.count_nonzero(~np.isin(group.blocks[max(group.members.values(), key=len)], list(gone)))
        taken = [block for block in own if block in gone]
        assert taken == own[: len(taken)]
        assert left % multiple == 0 or not taken
    assert gone <= set(order)


def _make_twins(found: Graph, group, kept: int, twin: int) -> None:
    """Every layer that makes or scales the two units does the same for both."""
    for step in {step.name: step for step in found.flat.steps}.values():
        reads = {read.kernel: read for read in found.notes[step.name].reads}
        for attribute, axes in found.notes[step.name].weights.items():
            for axis, channels in axes.items():
                if attribute in reads and channels is reads[attribute].channels:
                    continue  # what the layer reads may differ
                places = [found.place(unit) for unit in found.units(channels)]
                own = np.array([place[1] if place and place[0] is group else -1 for place in places])
                if (own == kept).any():
                    variable = getattr(step.layer, attribute)
                    array = np.moveaxis(keras.ops.convert_to_numpy(variable).copy(), axis, -1)
                    array[..., own == twin] = array[..., own == kept]
                    assign(variable, np.moveaxis(array, -1, axis))


def _silence(found: Graph, reader, silent: int) -> None:
    layer = next(step.layer for step in found.flat.steps if step.name == reader.layer)
    variable = getattr(layer, reader.read.kernel)
    array = np.moveaxis(keras.ops.convert_to_numpy(variable).copy(), reader.read.axis, -1)
    array[..., [place for place in reader.sites[0].columns[:, silent] if place >= 0]] = 0
    assign(variable, np.moveaxis(array, -1, reader.read.axis))
