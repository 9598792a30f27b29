"""Budgets: curves against literal elimination on the activations, costs against the smaller network itself."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

from prune_tools import budget, cost, statistics, surgery
from prune_tools.budget import backward, curves
from prune_tools.budget.costs import Costs
from prune_tools.graph import Graph
from run_tools.errors import InputError
from yolo_prune.darknet import Reorg


def rows(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def two_readers(units=7, seed=0):
    """A dense layer read by two others, one of them beside another layer's units."""
    keras.utils.set_random_seed(seed)
    x = keras.Input((5,), name="x")
    hidden = layers.Dense(units, activation="relu", name="hidden")(x)
    other = layers.Dense(3, activation="tanh", name="other")(x)
    left = layers.Dense(4, name="left")(hidden)
    right = layers.Dense(2, name="right")(layers.Concatenate()([other, hidden]))
    return keras.Model(x, [left, right])


def convolutions(seed=0, width=8):
    """A stem with a residual block, a reorg, and an inner convolution; 8 x 8 images."""
    keras.utils.set_random_seed(seed)
    x = keras.Input((8, 8, 3), name="image")
    stem = layers.Conv2D(width, 3, padding="same", activation="relu", name="stem")(x)
    y = layers.Conv2D(12, 3, padding="same", use_bias=False, name="inner")(stem)
    y = layers.ReLU()(layers.BatchNormalization(name="norm")(y))
    y = layers.Add()([stem, layers.Conv2D(width, 1, name="second")(y)])
    y = layers.Conv2D(16, 3, padding="same", activation="relu", name="before")(y)
    y = layers.Conv2D(6, 1, activation="relu", name="after")(Reorg(name="reorg")(y))
    return keras.Model(x, layers.Dense(4, name="out")(layers.Flatten()(y)))


def hidden_and_rows(model, x):
    """Outputs of `hidden`, and the readers' rows for it, each divided by the root of the reader's output energy."""
    dense = {name: [np.asarray(w, np.float64) for w in model.get_layer(name).get_weights()] for name in
             ("hidden", "other", "left", "right")}  # fmt: skip
    values = np.maximum(x @ dense["hidden"][0] + dense["hidden"][1], 0)
    others = np.tanh(x @ dense["other"][0] + dense["other"][1])
    found = []
    # The energy of what a reader makes of each group it reads; the groups are taken one by one.
    for kernel, parts in ((dense["left"][0], [values]), (dense["right"][0], [others, values])):
        start, energy = 0, 0.0
        for part in parts:
            made = (part - part.mean(axis=0)) @ kernel[start : start + part.shape[1]]
            energy += np.square(made).sum() / len(x)
            start += part.shape[1]
        found.append(kernel[-values.shape[1] :] / np.sqrt(energy))
    return values - values.mean(axis=0), np.concatenate(found, axis=1)


def literal_residual(values, kernel):
    """Backward elimination, each time by refitting on every set that is left: [(unit, what it adds)]."""
    kept, target = list(range(values.shape[1])), values @ kernel

    def left(units):
        fit = values[:, units] @ np.linalg.lstsq(values[:, units], target, rcond=None)[0] if units else 0
        return np.square(target - fit).sum() / len(values)

    found = []
    while kept:
        errors = [left([unit for unit in kept if unit != gone]) - left(kept) for gone in kept]
        best = int(np.argmin(errors))
        found.append((kept.pop(best), errors[best]))
    return found


def literal_damage(values, kernel):
    """Greedy projection on vectors: the unit of which least is lost goes into the kept one of the largest |cos|."""
    kept, kernel, found = list(range(values.shape[1])), kernel.copy(), []
    while kept:
        lost = {}
        for one in kept:
            cosines = {
                other: abs(values[:, one] @ values[:, other]) / np.linalg.norm(values[:, other])
                for other in kept
                if other != one
            }
            partner = max(cosines, key=cosines.get, default=None)
            factor = 0.0
            if partner is not None:
                factor = values[:, one] @ values[:, partner] / np.square(values[:, partner]).sum()
            rest = values[:, one] - (factor * values[:, partner] if partner is not None else 0)
            lost[one] = (np.square(np.outer(rest, kernel[one])).sum() / len(values), partner, factor)
        one = min(lost, key=lambda unit: lost[unit][0])
        error, partner, factor = lost[one]
        if partner is not None:
            kernel[partner] += factor * kernel[one]
        kept.remove(one)
        found.append((one, error))
    return found


@settings(max_examples=15)
@given(st.integers(0, 10**6))
def test_curves_are_those_of_elimination_on_the_activations(seed):
    model, x = two_readers(seed=seed % 1000), rows(60, 5, seed=seed)
    weights = [w + rows(*w.shape, seed=seed) / 4 for w in model.get_layer("hidden").get_weights()]
    model.get_layer("hidden").set_weights(weights)
    values, kernel = hidden_and_rows(model, x)
    if (values.std(axis=0) < 1e-3).any():
        return  # a dead unit's place in the order is rounding
    graph, found = Graph(model), statistics.collect(model, x)
    group, readings = graph.group("hidden"), curves.readings(graph, found)["hidden"]
    unit_of = {int(block): unit for unit, block in enumerate(group.blocks)}
    residual = curves.by_least_squares(group, readings, ridge=0)
    projected = curves.by_projection(group, readings)
    for curve, literal in ((residual, literal_residual(values, kernel)), (projected, literal_damage(values, kernel))):
        assert [unit_of[block] for block in curve.blocks] == [unit for unit, _ in literal]
        np.testing.assert_allclose(curve.scores, [score for _, score in literal], rtol=1e-3, atol=1e-5)


def test_waiting_downdates_are_the_refit(monkeypatch):
    values, kernel = rows(200, 24).astype(np.float64) @ rows(24, 24, seed=1), rows(24, 5, seed=2).astype(np.float64)
    values -= values.mean(axis=0)
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((4,)), layers.Dense(24, name="hidden"), layers.Dense(5)])
    graph = Graph(model)
    gram = statistics.Gram(values.T @ values, values.sum(axis=0), len(values))
    literal = literal_residual(values, kernel)
    for delay in (1, 5, 100):
        monkeypatch.setattr(curves, "DELAY", delay)
        reading = curves.Reading(gram, kernel @ kernel.T)
        curve = curves.by_least_squares(graph.group("hidden"), [reading], ridge=0)
        first = graph.group("hidden").blocks[0]
        assert [block - first for block in curve.blocks] == [unit for unit, _ in literal]
        np.testing.assert_allclose(curve.scores, [score for _, score in literal], rtol=1e-6)


def test_blocks_of_four_go_by_what_the_whole_block_adds():
    model, x = convolutions(), rows(30, 8, 8, 3)
    graph, found = Graph(model), statistics.collect(model, x, positions=None)
    group = graph.group("before")
    (reading,) = curves.readings(graph, found)["before"]
    curve = curves.by_least_squares(group, [reading], ridge=0)
    c, w, kept, total = reading.covariance, reading.products, list(range(16)), 0.0
    for block, score in zip(curve.blocks, curve.scores, strict=True):

        def left(units):
            gone = np.setdiff1d(np.arange(16), units)
            schur = c[np.ix_(gone, gone)]
            if len(units):
                cross = c[np.ix_(units, gone)]
                schur = schur - cross.T @ np.linalg.lstsq(c[np.ix_(units, units)], cross, rcond=None)[0]
            return float((schur * w[np.ix_(gone, gone)]).sum())

        options = {b: left([u for u in kept if group.blocks[u] != b]) for b in dict.fromkeys(group.blocks[kept])}
        assert options[block] == min(options.values())
        kept = [unit for unit in kept if group.blocks[unit] != block]
        np.testing.assert_allclose(score, options[block] - total, rtol=1e-5, atol=1e-9)
        total = options[block]


@pytest.mark.parametrize(("score", "merge"), [("damage", "project"), ("residual", "least_squares")])
def test_what_is_predicted_for_a_dense_reader_is_what_surgery_loses(score, merge):
    """One group, read by one dense layer: no approximation is left but the ridge."""
    keras.utils.set_random_seed(3)
    model = keras.Sequential(
        [keras.Input((6,)), layers.Dense(12, activation="tanh", name="hidden"), layers.Dense(3, name="out")]
    )
    x = rows(300, 6)
    found = statistics.collect(model, x)
    removals = budget.choose(model, found, score=score, parameters=model.count_params() - 10)  # one unit has 6 + 1 + 3
    assert len(removals["hidden"]) == 1
    before = keras.ops.convert_to_numpy(model(x))
    after = keras.ops.convert_to_numpy(surgery.remove(model, removals, merge, found)(x))
    lost = np.square(after - before).sum() / np.square(before - before.mean(axis=0)).sum()
    assert removals.predicted == pytest.approx(lost, rel=1e-3)


def random_models():
    path = Path(__file__).with_name("test_surgery_random.py")
    spec = importlib.util.spec_from_file_location("random_graphs", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.random_model


RANDOM_MODEL = random_models()


@settings(max_examples=10)
@given(st.integers(0, 10**6))
def test_costs_are_those_of_the_smaller_network(seed):
    model, rng = RANDOM_MODEL(seed), np.random.default_rng(seed)
    graph = Graph(model)
    costs, units, gone = Costs(graph), {}, []
    assert costs.total("macs") == cost.flops(model)
    assert costs.total("parameters") == model.count_params()
    for group in graph.groups:
        if group.removable.all():
            name = max(group.members, key=lambda member, group=group: len(group.members[member]))
            blocks = np.unique(group.blocks)
            chosen = rng.permutation(blocks)[: rng.integers(0, len(blocks))]
            units[name] = np.flatnonzero(np.isin(group.blocks[group.members[name]], chosen))
            gone += chosen.tolist()
    counts = costs.counts - costs.loss(gone)
    smaller = surgery.remove(model, units)
    assert costs.total("macs", counts) == cost.flops(smaller)
    assert costs.total("parameters", counts) == smaller.count_params()
    saved = costs.saved("macs", costs.counts, costs.loss(gone)[None])
    assert saved[0] == pytest.approx(cost.flops(model) - cost.flops(smaller))


@pytest.mark.parametrize("score", budget.SCORES)
@pytest.mark.parametrize("scope", budget.SCOPES)
def test_every_score_meets_its_budget_and_no_unit_more_than_it_must(score, scope):
    model, x = convolutions(), rows(12, 8, 8, 3)
    found = statistics.collect(model, x)
    model.compile(loss="mse")
    ranking = budget.Ranking(model, found, score, floor=0.25, data=(x, rows(12, 4)))
    for kind, limit in (("macs", 60_000), ("parameters", 2_500)):
        removals = ranking.choose(scope, **{kind: limit})
        smaller = surgery.remove(model, removals, "delete")
        assert removals.reached == {"macs": cost.flops(smaller), "parameters": smaller.count_params()}
        assert 0.6 * limit < removals.reached[kind] <= limit
        assert len(removals.get("before", [])) % 4 == 0  # whole blocks of the reorg
        for row in removals.table():
            assert row["after"] >= 0.25 * row["before"]
            assert (row["score"] is None) == (row["after"] == row["before"])


@pytest.mark.parametrize("score", ["l1", "random"])
def test_no_step_can_be_given_back(score):
    ranking = budget.Ranking(convolutions(width=9), score=score, floor=0.25)
    search = ranking._search
    for limit in range(20_000, 160_000, 20_000):
        taken = search.globally("macs", limit)
        assert search.total("macs", taken) <= limit
        for index in np.flatnonzero(taken):
            assert search.total("macs", [count - (index == at) for at, count in enumerate(taken)]) > limit


def test_widths_left_are_multiples_and_groups_can_be_left_alone():
    model = convolutions()
    removals = budget.choose(model, score="l1", keep=0.4, multiple=4, exclude=["second"])
    widths = {row["group"]: row["after"] for row in removals.table()}
    assert "stem" not in widths and not {"stem", "second"} & set(removals)
    assert widths["inner"] in (4, 8, 12) and widths["before"] % 4 == 0 and widths["after"] in (4, 6)
    only = budget.choose(model, score="l1", keep=0.9, layers=["inner"])
    assert [row["group"] for row in only.table()] == ["inner"] and list(only) == ["inner"]


def test_a_group_no_wider_than_the_multiple_is_cut_in_halves_of_it():
    least = budget.choose(convolutions(), score="random", parameters=1156, multiple=8).table()
    # 6 units: half of 8 is below; of 12 and 16 units whole eights stay.
    assert {row["group"]: (row["before"], row["after"]) for row in least} == {
        "stem": (8, 4), "inner": (12, 8), "before": (16, 8), "after": (6, 4),
    }  # fmt: skip


def test_uniform_takes_the_same_part_of_every_group():
    keras.utils.set_random_seed(0)
    stack = [layers.Dense(width, name=f"d{width}") for width in (10, 20, 40)]
    model = keras.Sequential([keras.Input((5,)), *stack, layers.Dense(2)])
    removals = budget.choose(model, score="random", scope="uniform", keep=0.5, seed=1)
    assert len({row["after"] / row["before"] for row in removals.table()}) <= 2
    parts = [row["after"] / row["before"] for row in removals.table()]
    assert max(parts) - min(parts) <= 0.1
    again = budget.choose(model, score="random", scope="uniform", keep=0.5, seed=1)
    assert all(np.array_equal(removals[name], again[name]) for name in removals)
    other = budget.choose(model, score="random", scope="uniform", keep=0.5, seed=2)
    assert any(not np.array_equal(removals[name], other[name]) for name in removals)


def dense_stack(kernel):
    """Two inputs, a linear layer of these weights, one output."""
    model = keras.Sequential([keras.Input((2,)), layers.Dense(len(kernel), name="a"), layers.Dense(1, name="b")])
    model.get_layer("a").set_weights([np.array(kernel, np.float32).T, np.zeros(len(kernel), np.float32)])
    return model


def test_l1_and_weight_similarity_by_hand():
    # |w| sums: 3, 1, 4, 2; a unit costs 2 + 1 + 1 weights of 4 · 4 + 1.
    model = dense_stack([[1, 2], [1, 0], [2, -2], [0, 2]])
    assert budget.choose(model, score="l1", parameters=9)["a"].tolist() == [1, 3]
    # Directions 63°, 0°, −45°, 90°: nearest are 0 and 3 (26.6°), of which the later goes; then 1 and 2 (45°).
    removals = budget.choose(model, score="weight_similarity", parameters=9)
    assert removals["a"].tolist() == [2, 3]
    assert removals.table() == [{"group": "a", "before": 4, "after": 2, "score": pytest.approx(45)}]


@pytest.mark.parametrize("score", ["l1", "weight_similarity", "badness"])
def test_weights_that_are_not_numbers_rank_nothing(score):
    model = dense_stack([[1, 2], [np.nan, 0], [2, -2]])
    model.compile(loss="mse")
    with pytest.raises(InputError, match="not finite"):
        budget.choose(model, score=score, keep=0.7, data=(rows(4, 2), rows(4, 1)))


def test_a_unit_that_is_dear_stays_while_one_of_another_layer_that_is_cheap_goes():
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input((4,)), layers.Dense(6, activation="relu", name="a"), layers.Dense(6, activation="relu", name="b"),
         layers.Dense(2, name="out")]
    )  # fmt: skip
    kernel, bias = (w.copy() for w in model.get_layer("b").get_weights())
    kernel[:, 3:], bias[3:] = kernel[:, :3], bias[:3]  # b's last three do what its first three do
    model.get_layer("b").set_weights([kernel, bias])
    found = statistics.collect(model, rows(200, 4))
    for score in ("damage", "residual"):
        removals = budget.choose(model, found, score=score, keep=0.6)  # 24 + 36 + 12; 24 + 18 + 6 = 0.67
        assert len(removals["b"]) >= 3 and removals.table()[1]["after"] == 6 - len(removals["b"])
        one = budget.choose(model, found, score=score, keep=0.67)
        assert list(one) == ["b"] and one.predicted < 1e-4


def test_errors_are_those_of_cutting_units_one_by_one():
    """Sensitivity: for a loss that is linear in a unit's gate the first order is the change itself, image by image."""
    model, x, y = two_readers(), rows(10, 5), (rows(10, 4, seed=1), rows(10, 2, seed=2))
    model.compile(loss=[lambda true, made: keras.ops.mean(true * made, axis=-1)] * 2)
    graph = Graph(model)
    hidden = backward.errors(graph, graph.groups[:2], (x, y))["hidden"]
    values = np.maximum(x @ model.get_layer("hidden").get_weights()[0], 0).astype(np.float64)
    left, right = model.get_layer("left").get_weights()[0], model.get_layer("right").get_weights()[0][3:]
    delta = y[0] @ left.T / 4 + y[1] @ right.T / 2  # the losses are means over 4 and 2 outputs
    np.testing.assert_allclose(hidden.squares, np.square(delta).sum(axis=0), rtol=1e-4)
    np.testing.assert_allclose(hidden.changes, np.abs(delta * values).sum(axis=0), rtol=1e-4)
    assert hidden.patterns == 10

    def losses(model):
        made = [keras.ops.convert_to_numpy(part) for part in model(x)]
        return (y[0] * made[0]).mean(axis=1) + (y[1] * made[1]).mean(axis=1)

    for unit in range(7):
        change = losses(surgery.remove(model, {"hidden": [unit]}, "delete")) - losses(model)
        assert np.abs(change).sum() == pytest.approx(hidden.changes[unit], rel=1e-3, abs=1e-5)


def test_errors_of_convolutions_shared_and_separable_layers_are_finite_differences():
    keras.utils.set_random_seed(0)
    one, two = keras.Input((4, 4, 2)), keras.Input((4, 4, 2))
    first = layers.Conv2D(3, 3, padding="same", activation="tanh", name="first")
    shared = layers.SeparableConv2D(4, 3, depth_multiplier=2, padding="same", name="shared")
    y = shared(first(one)) + shared(first(two))
    model = keras.Model([one, two], layers.Dense(2, name="out")(layers.Flatten()(y)))
    model.compile(loss=lambda true, made: keras.ops.mean(true * made, axis=-1))
    x, y = [rows(3, 4, 4, 2, seed=4), rows(3, 4, 4, 2, seed=5)], rows(3, 2, seed=6)
    graph = Graph(model)
    found = backward.errors(graph, [graph.group("first"), graph.group("shared")], [(x, y)])

    def losses(model):
        return (y * keras.ops.convert_to_numpy(model(x))).mean(axis=1)

    for name in ("first", "shared"):
        for unit in range(3):
            change = losses(surgery.remove(model, {name: [unit]}, "delete")) - losses(model)
            assert np.abs(change).sum() == pytest.approx(found[name].changes[unit], rel=1e-3, abs=1e-5)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"keep": 0.5, "macs": 9}, "keep and macs"),
        ({}, "no budget"),
        ({"keep": 1.5}, "above 0, at most 1"),
        ({"keep": 0.001}, "which floor and multiple leave"),
        ({"keep": 0.001, "scope": "uniform"}, "which floor and multiple leave"),
        ({"keep": 0.5, "score": "damage"}, "without statistics"),
        ({"keep": 0.5, "score": "badness"}, "without data"),
        ({"keep": 0.5, "score": "badness", "data": (rows(2, 8, 8, 3), rows(2, 4))}, "not compiled"),
        ({"keep": 0.5, "score": "residul"}, "did you mean 'residual'"),
        ({"keep": 0.5, "scope": "local"}, "scope"),
        ({"keep": 0.5, "floor": 2}, "floor 2"),
        ({"keep": 0.5, "layers": ["out"]}, "output of the model"),
        ({"keep": 0.5, "layers": ["inner"], "exclude": ["inner"]}, "no layer to cut"),
        ({"keep": 0.5, "exclude": ["iner"]}, "did you mean 'inner'"),
    ],
)
def test_what_cannot_be_is_told(options, told):
    with pytest.raises(InputError, match=told):
        budget.choose(convolutions(), **{"score": "l1", **options})
