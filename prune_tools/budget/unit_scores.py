"""Scores of units to compare predicted damage with: what weights or back-propagated errors say, and chance."""

from __future__ import annotations

import keras
import numpy as np

from prune_tools.budget.backward import Errors
from prune_tools.budget.curves import Curve
from prune_tools.distinctiveness import angles
from prune_tools.graph import Graph, Group
from run_tools.errors import InputError


def static(group: Group, values: np.ndarray) -> Curve:
    """Blocks by the mean of their units' values, lowest first, equal ones in their order.

    Args:
        group: of the units.
        values: one a unit, shape (units,).

    Raises:
        InputError: for values that are not finite, by which nothing can be ranked.
    """
    if not np.isfinite(values).all():
        raise InputError(
            f"scores of {group.name!r} that are not finite numbers",
            "finite weights and losses",
            "check the data and the model's weights",
        )
    blocks = np.array(list(dict.fromkeys(group.blocks[group.removable].tolist())), dtype=np.int64)
    means = np.array([values[group.blocks == block].mean() for block in blocks])
    order = np.argsort(means, kind="stable")
    return Curve(blocks[order].tolist(), means[order])


def relative(values: np.ndarray) -> np.ndarray:
    """Values as parts of their mean size, so that those of different groups can be compared."""
    size = np.abs(values).mean()
    return values / size if size > 0 else values


def l1(graph: Graph, group: Group) -> Curve:
    """By the sum of |w| over the kernels that make a unit, as a part of the group's mean.

    Source: Li et al. (ICLR 2017), "Pruning Filters for Efficient ConvNets".
    """
    total = np.zeros(group.units)
    for members, rows in _incoming(graph, group, kernels_only=True):
        np.add.at(total, members, np.abs(rows).sum(axis=1))
    return static(group, relative(total))


def random(group: Group, generator: np.random.Generator) -> Curve:
    """Uniform numbers: the control."""
    return static(group, generator.random(group.units))


def weight_similarity(graph: Graph, group: Group) -> Curve:
    """By the angle, in degrees, between a unit's weights and bias and those of the most similar unit that is left.

    Of two nearest the later goes; a unit without weights goes first. Paper 001's source finds weights insufficient:
    units of different weights can do the same on the data, and the other way round.
    """
    products = np.zeros((group.units, group.units))
    for members, rows in _incoming(graph, group, kernels_only=False):
        np.add.at(products, np.ix_(members, members), rows @ rows.T)
    between = angles(products, np.zeros(group.units), 1, "none")
    between = np.where(np.isnan(between), 180.0, between)
    between[group.blocks[:, None] == group.blocks[None, :]] = np.inf
    empty = np.diag(products) == 0
    blocks = np.array(list(dict.fromkeys(group.blocks[group.removable].tolist())), dtype=np.int64)
    units = [np.flatnonzero(group.blocks == block) for block in blocks]
    flat, sizes = np.concatenate(units), np.array([len(one) for one in units])
    starts = np.cumsum(sizes) - sizes
    alive, order, scores = np.ones(len(blocks), bool), [], []
    nearest = between.min(axis=1)
    owner = between.argmin(axis=1)
    for _ in blocks:
        value = np.where(empty, 0.0, np.minimum(nearest, 180.0))
        means = np.add.reduceat(value[flat], starts) / sizes
        means = np.where(alive, means, np.inf)
        row = int(len(means) - 1 - means[::-1].argmin())
        order.append(int(blocks[row]))
        scores.append(float(means[row]))
        alive[row] = False
        between[:, units[row]] = np.inf
        lost = np.flatnonzero(np.isin(owner, units[row]))
        nearest[lost], owner[lost] = between[lost].min(axis=1), between[lost].argmin(axis=1)
    return Curve(order, np.array(scores))


def badness(group: Group, errors: Errors) -> Curve:
    """By the squared error propagated back to a unit, summed over the patterns, as a part of the group's mean; the
    unit of the largest goes first, so a score is its negative.

    Source: Hagiwara (1990), "Novel back propagation algorithm for reduction of hidden units and acceleration of
    convergence using artificial selection"; named as future work by paper 001.
    """
    return static(group, -relative(errors.squares))


def sensitivity(group: Group, errors: Errors) -> Curve:
    """By how much the loss of a pattern changes when a unit is cut, to first order: the mean of |Σ a ∂L/∂a|.

    Source: Karnin (1990), "A simple procedure for pruning back-propagation trained neural networks", for a unit instead
    of a weight, with the gradient at the end of training as in Molchanov et al. (CVPR 2019), equation 8; named as
    future work by paper 001.
    """
    return static(group, errors.changes / max(errors.patterns, 1))


def _incoming(graph: Graph, group: Group, kernels_only: bool) -> list[tuple[np.ndarray, np.ndarray]]:
    """(members, rows of weights) of every weight that runs over a layer's own units; rows of shape (width, weights)."""
    layers = {step.name: step.layer for step in graph.flat.steps}
    found = []
    for name, members in group.members.items():
        notes = graph.notes[name]
        for attribute, axes in notes.weights.items():
            variable = getattr(layers[name], attribute)
            if kernels_only and len(variable.shape) < 2:
                continue
            for axis, channels in axes.items():
                if notes.produced is not None and np.array_equal(channels, notes.produced):
                    array = np.asarray(keras.ops.convert_to_numpy(variable), np.float64)
                    found.append((members, np.moveaxis(array, axis, 0).reshape(len(members), -1)))
    return found
