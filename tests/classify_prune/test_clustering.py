"""Names of clusters, agreement, baselines and the verb, against brute force, scikit-learn and hand-made tables."""

import itertools
import json

import numpy as np
import pytest
import sklearn.decomposition
import sklearn.metrics
import sklearn.neighbors

from classify_prune.cli import main
from classify_prune.clustering import baselines, naming, verb
from classify_prune.options import ClusterConfig
from data_tools.store import open_store
from run_tools import optional
from run_tools.errors import InputError


def test_names_by_hand():
    # Cluster 0 is mostly class 1, cluster 1 too; the Hungarian rule gives class 1 to the one that gains most.
    table = np.array([[1, 6, 0], [2, 5, 0], [0, 0, 3]])
    np.testing.assert_array_equal(naming.names_of(table, "majority"), [1, 1, 2])
    np.testing.assert_array_equal(naming.names_of(table, "hungarian"), [1, 0, 2])  # 6 + 2 + 3 against 1 + 5 + 3
    np.testing.assert_array_equal(naming.names_of(table, "numbered"), [0, 1, 2])


@pytest.mark.parametrize("shape", [(4, 4), (5, 3), (3, 5)])
def test_the_hungarian_names_are_the_best_of_all(shape):
    table = np.random.default_rng(0).integers(0, 30, shape)
    names = naming.names_of(table, "hungarian")
    reached = sum(table[cluster, name] for cluster, name in enumerate(names) if name >= 0)
    clusters, classes = shape
    # Every way to give classes to clusters, none twice; −1: no class.
    choices = [*range(classes), *[-1] * max(0, clusters - classes)]
    best = max(
        sum(table[cluster, name] for cluster, name in enumerate(given) if name >= 0)
        for given in itertools.permutations(choices, clusters)
    )
    assert reached == best and len(set(names[names >= 0])) == min(shape)
    majority = naming.names_of(table, "majority")
    assert table[np.arange(clusters), majority].sum() >= reached


def test_numbered_clusters_beyond_the_classes_are_wrong():
    names = naming.names_of(np.ones((3, 2), int), "numbered")
    assert naming.accuracy(names, np.array([0, 1, 2, 2]), np.array([0, 0, 1, 0])) == 0.25


def test_agreement_and_silhouette_are_scikit_learns():
    rng = np.random.default_rng(0)
    vectors, clusters, labels = rng.normal(size=(60, 4)), rng.integers(0, 3, 60), rng.integers(0, 4, 60)
    found = naming.agreement(clusters, labels)
    assert found["ari"] == pytest.approx(sklearn.metrics.adjusted_rand_score(labels, clusters))
    whole = sklearn.metrics.silhouette_score(vectors, clusters)
    assert naming.silhouette(vectors, clusters, None, 0) == pytest.approx(whole)
    assert naming.silhouette(vectors, clusters, 60, 0) == pytest.approx(whole)
    drawn = [naming.silhouette(vectors, clusters, 30, seed) for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert naming.silhouette(vectors, np.zeros(60, int), None, 0) is None


def test_nearest_means_are_scikit_learns():
    rng = np.random.default_rng(0)
    vectors, labels = rng.normal(size=(80, 5)).astype(np.float32), rng.integers(0, 4, 80)
    labels[labels == 2] = 3  # a class without vectors
    vectors[labels == 1] += 3
    others = rng.normal(size=(30, 5)).astype(np.float32) + 1
    expected = sklearn.neighbors.NearestCentroid().fit(vectors, labels).predict(others)
    means = baselines.class_means(vectors, labels, 4)
    np.testing.assert_array_equal(baselines.nearest_mean(others, means), expected)
    assert np.isnan(means[2]).all() and baselines.majority(np.array([3, 1, 1]), 5) == 1


def test_components_are_scikit_learns():
    vectors = np.random.default_rng(0).normal(size=(50, 6)).astype(np.float32) * np.arange(1, 7)
    found = verb._reduced({"train": vectors, "test": vectors[:9]}, 3)
    expected = sklearn.decomposition.PCA(3).fit_transform(vectors)
    np.testing.assert_allclose(np.abs(found["train"]), np.abs(expected), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(found["test"], found["train"][:9], rtol=1e-5)


def test_the_verb_finds_the_clouds_and_says_what_it_did(features_h5, tmp_path, capsys):
    words = ("cluster", "--data", features_h5, "--fuzziness", 1.3, 30, "--iterations", 2, 12, "--seeds", 0, 1)
    options = ("--start", "kmeans++", "--json", tmp_path / "r.json", "--silhouette", 0)
    assert main([str(word) for word in (*words, *options)]) == 0
    found = json.loads((tmp_path / "r.json").read_text())
    assert [(row["fuzziness"], row["seed"], row["iterations"]) for row in found["rows"]] == [
        (m, seed, number) for m in (1.3, 30) for seed in (0, 1) for number in (2, 12)
    ]
    best = max(found["rows"], key=lambda row: row["ari"])
    # Four clouds, three deviations apart and more: one start in two finds them.
    assert best["judged"]["hungarian"] == best["judged"]["majority"] > 0.85 and best["silhouette"] > 0.2
    for row in found["rows"]:
        assert sum(row["sizes"]) == sum(row["answers"]["majority"]) == 16 and row["ran"] == row["iterations"]
    assert found["baselines"]["majority"] == {"train": 0.25, "judged": 0.25}
    assert found["baselines"]["linear probe"]["judged"] > 0.85
    told = capsys.readouterr().out
    assert "nearest centroid" in told and "±" in told and "all centres" not in told
    found["rows"][0]["collapsed"] = True
    assert "in 1 of 8 rows all centres are the same point" in verb.table(found)


def test_iterations_beyond_the_rest_are_told_alike(features_h5):
    options = ClusterConfig(data=features_h5, fuzziness=(1.5,), iterations=(400, 500), tolerance=1e-3, baselines=False)
    one, other = verb.cluster(options)["rows"]
    assert one["ran"] < 400 and {**one, "iterations": 500} == other


@pytest.mark.parametrize("scale", ["none", "standard", "minmax", "length"])
def test_scales(features_h5, scale):
    found = verb.Vectors(ClusterConfig(data=features_h5, scale=scale))
    view = open_store(features_h5)["train"]
    raw = view.features(slice(None)).astype(np.float64)
    expected = {
        "none": raw,
        "standard": (raw - raw.mean(axis=0)) / raw.std(axis=0),
        "minmax": (raw - raw.min(axis=0)) / np.ptp(raw, axis=0),
        "length": raw / np.sqrt((raw**2).sum(axis=1))[:, None],
    }[scale]
    np.testing.assert_allclose(found.train, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(found.labels["train"], view.labels)
    assert found.judged.shape == (16, 6)


def test_bad_input_is_one_line(features_h5, images_h5, tmp_path, monkeypatch, capsys):
    cases = [
        (("--data", images_h5), "which holds images; expected feature vectors"),
        (("--data", features_h5, "--task", "colour"), "without colour"),
        (("--data", features_h5, "--fuzziness", 1), "fuzziness 1"),
        (("--data", features_h5, "--components", 7), "--components 7; expected at most 6"),
        (("--data", features_h5, "--clusters", 60), "one a cluster"),
        (("--data", features_h5, "--genetic-out", tmp_path / "search"), "without --genetic"),
    ]
    for words, told in cases:
        assert main(["cluster", *map(str, words)]) == 2
        assert told in capsys.readouterr().err
    for name in ("fuzziness", "iterations", "seeds"):
        (tmp_path / "c.yaml").write_text(f"{name}: []")
        assert main(["cluster", "--data", str(features_h5), "--config", str(tmp_path / "c.yaml")]) == 2
        assert f"no {name}; expected at least one" in capsys.readouterr().err
    monkeypatch.setattr(optional.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"no module sklearn; .*prune-vision\[cluster\]"):
        verb.cluster(ClusterConfig(data=features_h5))
