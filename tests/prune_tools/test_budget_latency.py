"""Latencies and the knapsack: interpolation by hand, choices against all that there are."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from keras import layers

from prune_tools import budget, cost, statistics, surgery
from prune_tools.budget import latencies
from prune_tools.budget.knapsack import knapsack
from prune_tools.budget.latencies import Latencies
from prune_tools.graph import Graph
from run_tools.errors import InputError
from run_tools.files import read_json

NAMES = ["a", "b", "out"]


def network(seed=0, width=6):
    keras.utils.set_random_seed(seed)
    x = keras.Input((6, 6, 3), name="image")
    y = layers.Conv2D(width, 3, padding="same", activation="relu", name="a")(x)
    y = layers.Conv2D(width, 3, padding="same", activation="relu", name="b")(layers.MaxPooling2D()(y))
    return keras.Model(x, layers.Dense(3, name="out")(layers.GlobalAveragePooling2D()(y)))


def images(seed=0):
    return np.random.default_rng(seed).normal(size=(20, 6, 6, 3)).astype(np.float32)


def test_times_between_the_points_by_hand():
    # One call; at (½, ½) 1, (½, 1) 2, (1, ½) 3, (1, 1) 6.
    table = Latencies(["a"], [[[1, 2], [3, 6]]], [0.5, 1])

    def at(read, made):
        return float(table.milliseconds(np.array([[read, made]]))[0])

    assert at(1, 1) == pytest.approx(6) and at(0.5, 1) == pytest.approx(2, rel=1e-5)
    assert at(0.75, 0.75) == pytest.approx((1 + 2 + 3 + 6) / 4, rel=1e-5)
    assert at(0.25, 0.5) == pytest.approx(1, rel=1e-5)  # below the first point as at it
    assert at(0.25, 0.5) < at(0.3, 0.5)  # but never without a gain
    # 4 for fewer channels than 3 for all of them: noise.
    assert Latencies(["a"], [[[4, 3], [3, 3]]], [0.5, 1]).grids.tolist() == [[[4, 4], [4, 4]]]
    assert table.table()[1] == {"layer": "a", "read": 0.5, "made": 1.0, "milliseconds": 2.0}


def test_times_that_go_with_the_work_choose_as_the_work_does():
    model, x = network(), images()
    found, graph = statistics.collect(model, x), Graph(model)
    macs = {kernel.layer.name: count for kernel, count in cost.macs(model)}
    parts = np.array([1e-6, 1.0])
    grids = np.array([macs[name] * np.outer(parts, parts) for name in NAMES])
    grids[0] = macs["a"] * parts  # a reads the image, which stays
    table = Latencies(NAMES, grids, parts)
    ranking = budget.Ranking(model, found, "l1")
    by_time = ranking.choose(milliseconds=0.5 * cost.flops(model), latencies=table)
    by_work = ranking.choose(keep=0.5)
    assert {name: units.tolist() for name, units in by_time.items()} == {n: u.tolist() for n, u in by_work.items()}
    assert by_time.reached["milliseconds"] == pytest.approx(cost.flops(surgery.remove(model, by_time)), rel=1e-4)
    assert [step.name for step in latencies.timed(graph)] == NAMES


def lumpy(seed):
    """Times in steps of three of six channels, as processors have them, other for each layer."""
    rng = np.random.default_rng(seed)
    parts = np.arange(1, 7) / 6
    stairs = np.ceil(parts * 2) / 2
    return Latencies(NAMES, [rng.uniform(1, 5) * np.outer(stairs, stairs) for _ in NAMES], parts)


@pytest.mark.parametrize("seed", [0, 3])
def test_a_latency_target_is_met_as_well_as_by_the_best_of_all_choices(seed):
    model, table = network(seed), lumpy(seed)
    found = statistics.collect(model, images(seed))
    ranking = budget.Ranking(model, found, "residual", floor=0.1)
    lines, costs = ranking._lines, ranking._costs
    costs.time(table)
    for part in (0.5, 0.65, 0.8):
        limit = part * costs.total("milliseconds")
        options = {}
        for taken in itertools.product(*(range(len(line.steps) + 1) for line in lines)):
            if ranking._search.total("milliseconds", taken) <= limit:
                options[taken] = sum(s[1] for line, at in zip(lines, taken, strict=True) for s in line.steps[:at])
        removals = ranking.choose(milliseconds=limit)
        assert removals.reached["milliseconds"] <= limit
        assert removals.predicted == pytest.approx(min(options.values()))


class Stairs:
    """Costs of a chain of layers that look at the widths before and behind them, in stairs."""

    def __init__(self, seed, lines=3, width=8):
        rng = np.random.default_rng(seed)
        self.counts = np.full((lines, 1), float(width))
        self.table = np.cumsum(
            rng.exponential(size=(lines, width + 1)) * rng.integers(0, 2, (lines, width + 1)), axis=1
        )

    def loss(self, blocks):
        found = np.zeros_like(self.counts)
        np.add.at(found[:, 0], blocks, 1)
        return found

    def sums(self, kind, counts):
        own = self.table[np.arange(len(self.counts)), counts[..., 0].astype(int)]
        before = np.concatenate([np.ones_like(own[..., :1]), own[..., :-1]], axis=-1)
        return (own * before).sum(axis=-1) + 1e-6 * counts.sum(axis=(-1, -2))

    def total(self, kind, counts):
        return float(self.sums(kind, counts))


def test_the_knapsack_is_never_worse_than_its_start_and_mostly_the_best():
    best = []
    for seed in range(40):
        costs, rng = Stairs(seed), np.random.default_rng(seed)
        scores = np.sort(rng.exponential(size=(3, 7)), axis=1)
        lines = [SimpleNamespace(steps=[([line], s, s, 0) for s in own]) for line, own in enumerate(scores)]
        limit = rng.uniform(0.2, 0.9) * costs.total("", costs.counts)
        options = {
            taken: sum(own[:at].sum() for own, at in zip(scores, taken, strict=True))
            for taken in itertools.product(range(8), repeat=3)
            if costs.total("", costs.counts - np.array(taken)[:, None]) <= limit
        }
        if options:
            start = max(options, key=options.get)
            found = tuple(knapsack(costs, "", limit, lines, start))
            assert found in options and options[found] <= options[start]
            best.append(options[found] <= min(options.values()) + 1e-9)
    assert len(best) >= 30 and np.mean(best) >= 0.85


def test_what_was_measured_is_kept_with_the_machines_name(tmp_path, monkeypatch):
    model, path = network(), tmp_path / "latencies.json"
    first = Latencies.measured(Graph(model), cache=path, calls=1, parts=(0.5, 1))
    assert first.grids.shape == (3, 2, 2) and (first.grids > 0).all()
    kept = read_json(path)
    assert list(kept) == [latencies.machine_name()] and first.machine in kept

    def never(*_):
        raise AssertionError("measured again")

    monkeypatch.setattr(latencies, "_milliseconds", never)
    again = Latencies.measured(Graph(model), cache=path, calls=1, parts=(0.5, 1))
    np.testing.assert_array_equal(first.grids, again.grids)
    # The grids add up to the whole network's time, which is the last one measured.
    whole = [value for key, value in kept[first.machine].items() if key.startswith("model")]
    assert again.grids[:, -1, -1].sum() >= whole[0] * (1 - 1e-9)
    with pytest.raises(AssertionError, match="again"):
        Latencies.measured(Graph(network(width=8)), cache=path, calls=1, parts=(0.5, 1))


def test_every_kind_of_layer_is_timed():
    keras.utils.set_random_seed(0)
    x = keras.Input((8, 8, 4))
    y = layers.Conv2D(8, 3, name="conv")(x)
    y = layers.Conv2D(8, 3, groups=2, name="grouped")(layers.ReLU()(layers.BatchNormalization()(y)))
    y = layers.DepthwiseConv2D(3, padding="same", name="depthwise")(y)
    y = layers.SeparableConv2D(6, 3, padding="same", name="separable")(y)
    y = layers.Conv2DTranspose(4, 2, name="up")(y)
    model = keras.Model(x, layers.Dense(2, name="out")(layers.Flatten()(y)))
    found = Latencies.measured(Graph(model), calls=1, parts=(0.5, 1))
    assert found.layers == ["conv", "grouped", "depthwise", "separable", "up", "out"]
    assert (found.grids > 0).all()
    # What such small layers take is noise, by which half of the channels may take as long as all of them.
    ideal = Latencies(found.layers, np.tile(np.outer(found.parts, found.parts), (6, 1, 1)), found.parts)
    removals = budget.choose(model, score="l1", milliseconds=0.9 * 6, latencies=ideal)
    assert removals.reached["milliseconds"] <= 0.9 * 6


def test_a_table_of_another_model_and_an_unknown_size_are_told():
    table = Latencies(["a", "c", "out"], np.ones((3, 2, 2)), [0.5, 1])
    with pytest.raises(InputError, match=r"latencies of another model \(b\)"):
        budget.choose(network(), score="l1", milliseconds=1, latencies=table)
    x = keras.Input((None, None, 3))
    model = keras.Model(x, layers.Conv2D(2, 1)(layers.Conv2D(4, 1, name="a")(x)))
    with pytest.raises(InputError, match="give `input_shape`"):
        budget.choose(model, score="l1", milliseconds=1)
    found = Latencies.measured(Graph(model), (6, 6, 3), calls=1, parts=(0.5, 1))
    assert found.layers[0] == "a"


@pytest.mark.parametrize(
    ("grids", "parts", "told"),
    [
        (np.ones((3, 2, 2)), [0.25, 0.5, 1], r"shape \(3, 2, 2\).* shape \(3, 3, 3\)"),  # a width is missing
        (np.ones((2, 2, 2)), [0.5, 1], r"shape \(3, 2, 2\)"),
        (np.full((3, 2, 2), np.nan), [0.5, 1], "of at least 0"),
        (-np.ones((3, 2, 2)), [0.5, 1], "least -1"),
        (np.ones((3, 2, 2)), [1, 0.5], "rise"),
        (np.ones((3, 2, 2)), [0.25, 0.5], "to 1"),
        (np.ones((3, 1, 1)), [1], "two or more"),
    ],
)
def test_tables_with_holes_are_told(grids, parts, told):
    with pytest.raises(InputError, match=told):
        Latencies(NAMES, grids, parts)


@pytest.mark.parametrize("text", ["[]", '{"a": 3}', '{"a": {"b": "fast"}}', '{"a": {"b": NaN}}'])
def test_a_file_that_is_no_table_is_told_and_left_alone(tmp_path, text):
    path = tmp_path / "latencies.json"
    path.write_text(text)
    with pytest.raises(InputError, match="no table of latencies"):
        Latencies.measured(Graph(network()), cache=path, calls=1, parts=(0.5, 1))
    assert path.read_text() == text
