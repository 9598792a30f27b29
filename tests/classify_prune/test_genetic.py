"""The genetic algorithm against the full search, itself cut off and the verb."""

import json

import hypothesis.strategies as st
import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given, settings

from classify_prune.cli import main
from classify_prune.clustering import genetic
from classify_prune.clustering.genetic import GeneticConfig, GeneticSelection
from run_tools import optional
from run_tools.errors import InputError

SMALL = GeneticConfig(population=8, generations=4, seed=3)


def weighed(features=12, seed=0):
    """A fitness whose best choice is known: the sum of chosen weights; and the weights."""
    weights = np.random.default_rng(seed).normal(size=features)
    return lambda chosen: float(weights[chosen].sum()), weights


def test_it_finds_the_best_of_all_choices():
    fitness, weights = weighed()
    found = GeneticSelection(GeneticConfig(population=20, generations=40)).fit(fitness, 12)
    np.testing.assert_array_equal(found.chosen_, weights > 0)
    assert found.fitness_ == pytest.approx(weights[weights > 0].sum())
    assert found.history_[0]["best"] < found.fitness_ and found.history_[-1]["features"] == (weights > 0).sum()


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 100), st.integers(4, 9), st.integers(2, 30))
def test_what_always_holds(seed, population, features):
    fitness, _ = weighed(features, seed)
    asked = []

    def noted(chosen):
        asked.append(chosen.copy())
        return fitness(chosen)

    search = GeneticConfig(population=population, generations=3, seed=seed)
    found = GeneticSelection(search).fit(noted, features)
    best = [entry["best"] for entry in found.history_]
    assert len(best) == 4 and best == sorted(best)
    assert found.fitness_ == max(map(fitness, asked)) == fitness(found.chosen_)
    assert all(chosen.sum() >= genetic.LEAST for chosen in asked) and len(asked) <= found.evaluated_ <= 4 * population
    again = GeneticSelection(search).fit(fitness, features)
    np.testing.assert_array_equal(again.chosen_, found.chosen_)
    assert again.history_ == found.history_


def test_the_first_generation_has_the_share_asked_for():
    seen = []
    GeneticSelection(GeneticConfig(population=20, share=0.2, generations=1)).fit(
        lambda chosen: seen.append(chosen.mean()) or 0.0, 500
    )
    assert np.mean(seen[:20]) == pytest.approx(0.2, abs=0.02)


def test_a_search_that_was_cut_off_goes_on_and_ends_the_same(tmp_path):
    fitness, _ = weighed(30)
    whole = GeneticSelection(SMALL, tmp_path / "whole", "d").fit(fitness, 30)
    assert sorted(path.name for path in (tmp_path / "whole").glob("*.npz")) == [
        f"generation-{number:04d}.npz" for number in range(5)
    ]
    asked = []

    def breaks(chosen):
        if len(asked) == 20:  # in the third generation of eight
            raise RuntimeError("cut off")
        asked.append(chosen)
        return fitness(chosen)

    with pytest.raises(RuntimeError):
        GeneticSelection(SMALL, tmp_path / "cut", "d").fit(breaks, 30)
    found = GeneticSelection(SMALL, tmp_path / "cut", "d").fit(fitness, 30)
    assert found.evaluated_ == whole.evaluated_ - 16
    np.testing.assert_array_equal(found.chosen_, whole.chosen_)
    assert found.history_ == whole.history_
    # A longer search is the same one; with all generations there, nothing is evaluated.
    longer = GeneticConfig(population=8, generations=6, seed=3)
    assert GeneticSelection(longer, tmp_path / "cut", "d").fit(fitness, 30).history_[:5] == whole.history_
    assert GeneticSelection(SMALL, tmp_path / "whole", "d").fit(breaks, 30).evaluated_ == 0


def test_another_search_is_not_gone_on_with(tmp_path):
    fitness, _ = weighed()
    GeneticSelection(SMALL, tmp_path, "d").fit(fitness, 12)
    with pytest.raises(InputError, match="data: d there, e now"):
        GeneticSelection(SMALL, tmp_path, "e").fit(fitness, 12)
    with pytest.raises(InputError, match="search: "):
        GeneticSelection(GeneticConfig(population=9, generations=4, seed=3), tmp_path, "d").fit(fitness, 12)
    with pytest.raises(InputError, match="features: 12 there, 13 now"):
        GeneticSelection(SMALL, tmp_path, "d").fit(fitness, 13)


def test_options_as_text():
    assert GeneticConfig.parse("probe") == GeneticConfig(fitness="probe")
    assert GeneticConfig.parse("{fitness: centroid, generations: 7}") == GeneticConfig(
        fitness="centroid", generations=7
    )
    for text, told in [
        ("accuracy", "unknown fitness"),
        ("{generation: 3}", "generations"),
        ("{share: 2}", "at most 1"),
    ]:
        with pytest.raises(InputError, match=told):
            GeneticConfig.parse(text)
    with pytest.raises(InputError, match="mutation 2"):
        GeneticSelection(GeneticConfig(mutation=2.0))
    with pytest.raises(InputError, match="1 features; expected at least 2"):
        GeneticSelection(SMALL).fit(lambda chosen: 0.0, 1)


def test_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(optional.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"no module pymoo; .*prune-vision\[cluster\]"):
        GeneticSelection(SMALL).fit(lambda chosen: 0.0, 5)


@pytest.mark.parametrize("kind", ["silhouette", "centroid", "probe"])
def test_the_verb_clusters_what_it_chose(kind, features_h5, tmp_path, capsys):
    words = ["cluster", "--data", features_h5, "--genetic", f"{{fitness: {kind}, population: 6, generations: 2}}"]
    words += ["--genetic-out", tmp_path / "search", "--iterations", 6, "--json", tmp_path / "r.json"]
    words += ["--start", "kmeans++", "--fuzziness", 1.3]
    assert main([str(word) for word in words]) == 0
    found = json.loads((tmp_path / "r.json").read_text())
    chosen = found["selection"]
    assert chosen["by"] == f"genetic {kind}" and chosen["of"] == 6 and 2 <= chosen["features"] <= 6
    assert found["run"]["features"] == chosen["features"] and len(chosen["history"]) == 3
    assert -1 <= chosen["silhouette"] <= 1 and (tmp_path / "search/generation-0002.npz").is_file()
    assert f"of 6 features chosen by genetic {kind}" in capsys.readouterr().out
    assert main([str(word) for word in words]) == 0  # all generations are there
    assert json.loads((tmp_path / "r.json").read_text())["selection"] == chosen


def test_two_ways_to_choose_are_refused(features_h5, capsys):
    words = ("cluster", "--data", features_h5, "--genetic", "probe", "--correlation", "cfs")
    assert main([str(word) for word in words]) == 2
    assert "--genetic and --correlation" in capsys.readouterr().err
    assert main(["cluster", "--data", str(features_h5), "--correlation", "cfs"]) == 0
    assert "features chosen by cfs" in capsys.readouterr().out
    words = ["cluster", "--data", str(features_h5), "--correlation", "decorrelated", "--most-correlated", "0"]
    assert main(words) == 0  # no two features are exactly uncorrelated
    assert "1 of 6 features chosen by correlation, none above 0" in capsys.readouterr().out


def test_the_silhouette_at_the_end_is_that_of_all_vectors(features_h5):
    from classify_prune.clustering import verb
    from classify_prune.clustering.choosing import choose
    from classify_prune.clustering.fuzzy import FuzzyCMeans, hardened
    from classify_prune.options import ClusterConfig

    search = GeneticConfig(population=4, generations=1, sample=20)
    options = ClusterConfig(data=features_h5, genetic=search)
    data = verb.Vectors(options)
    choice = choose(options, data, 4)
    vectors = data.train[:, choice.chosen]
    clusters = hardened(FuzzyCMeans(4, 1.7, 5, 0.0).fit(vectors).memberships_)
    assert choice.told["silhouette"] == pytest.approx(sklearn.metrics.silhouette_score(vectors, clusters))
    assert len(vectors) == 48 and choice.told["silhouette"] != pytest.approx(choice.told["fitness"])
