"""Classifiers by name: what the manifest lists, for every verb that takes a model."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from classify_prune import lenet5, mlp
from classify_prune.cli import main
from classify_prune.export import benchmark
from classify_prune.loading import load_classifier, model_file
from classify_prune.options import BenchmarkConfig
from classify_prune.transfer import transfer
from prune_tools import comparison
from prune_tools.export import save_compressed
from run_tools import manifest
from run_tools.errors import InputError

POINTS, STRIPES = ("north", "east", "south", "west"), ("across", "down", "plain")


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """A folder with two classifiers and a manifest that names them, and a detector that is not there."""
    folder = tmp_path / "weights"
    folder.mkdir()
    mlp(6, 4, (8,), class_names=POINTS).save(folder / "points.keras")
    lenet5(3, widths=(2, 3, 4, 5), class_names=STRIPES).save(folder / "stripes.keras")
    known = {"cars": {"model": "cars.keras", "sha256": "0" * 64}}
    for name in ("points", "stripes"):
        digest = hashlib.sha256((folder / f"{name}.keras").read_bytes()).hexdigest()
        known[f"{name}-net"] = {"kind": "classification", "model": f"{name}.keras", "sha256": digest}
    (folder / "manifest.yaml").write_text(yaml.safe_dump(known))
    monkeypatch.setattr(manifest, "PLACES", (folder,))
    monkeypatch.chdir(tmp_path)
    return folder


def test_every_verb_takes_names(shelf, features_h5, image_folder, tmp_path, capsys):
    def told(verb, *words):
        assert main([verb, *map(str, words), "--json", "r.json"]) == 0, capsys.readouterr().err
        return json.loads((tmp_path / "r.json").read_text())

    points = ("--model", "points-net")
    by_name = told("evaluate", *points, "--data", features_h5)
    by_file = told("evaluate", "--model", shelf / "points.keras", "--data", features_h5)
    assert by_name["confusion"] == by_file["confusion"] and by_name["run"]["model"] == "points-net"
    found = told("predict", image_folder / "down/03.png", "--model", "stripes-net")["images"]
    assert {each["class"] for (row,) in [found.values()] for each in row} == set(STRIPES)
    assert told("export", *points, "--out", "exported", "--formats", "keras")["keras"]["max_difference"] == 0
    options = ("--data", features_h5, "--out", "pruned", "--sparsity", 0.5, "--epochs", 0, "--splits", "test")
    assert told("prune", *points, *options)["levels"][0]["widths"]["dense_1"] == 4
    # The folder knows the file that the name meant.
    digest = hashlib.sha256((shelf / "points.keras").read_bytes()).hexdigest()
    assert json.loads((tmp_path / "pruned/model.json").read_text()) == {"sha256": digest}


def test_benchmark_takes_names(shelf, monkeypatch):
    # What it measures, in processes of their own, is tested elsewhere.
    monkeypatch.setattr(comparison, "compare", lambda models, *rest: {name: one.widths for name, one in models.items()})
    told = benchmark(BenchmarkConfig(model=Path("points-net"), against=Path("points-net"), runtimes=("keras",)))
    assert told["model"] == told["against"] == (8,)


def test_what_is_no_name_is_one_line_with_those_that_are(shelf, features_h5, tmp_path, capsys):
    for name, received in (("pints", "pints: no such file"), ("cars", "cars, a model for detection")):
        out = ("--out", tmp_path / "out")
        for verb, *words in (
            ("evaluate", "--data", features_h5),
            ("predict", tmp_path),
            ("prune", "--data", features_h5, *out),
            ("export", *out),
            ("benchmark", "--runtimes", "keras"),
        ):
            assert main([verb, "--model", name, *map(str, words)]) == 2
            (line,) = capsys.readouterr().err.strip().splitlines()
            expected = f"a run folder, a .keras file or a name in {shelf}/manifest.yaml (points-net, stripes-net)"
            assert f"received {received}; expected {expected}; " in line
    assert not (tmp_path / "out").exists()


def test_a_file_of_that_name_goes_before(shelf, tmp_path):
    assert model_file("points-net") == shelf / "points.keras"
    (tmp_path / "points-net").mkdir()
    mlp(6, 4, (3,), class_names=POINTS).save(tmp_path / "points-net/best.keras")
    assert load_classifier("points-net").widths == (3,)


def test_compressed_files_are_models_too(shelf, tmp_path):
    model = load_classifier("points-net")
    save_compressed(tmp_path / "small.kerasz", model, bits=0, codec="lzma")
    found = load_classifier(tmp_path / "small.kerasz")
    assert found.class_names == POINTS and found.widths == (8,)
    for one, other in zip(model.get_weights(), found.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_training_begins_with_a_name(shelf):
    model = mlp(6, 4, (8,), class_names=POINTS)
    assert transfer(model, "points-net").loaded == ("dense_1", "logits")


def test_other_contents_and_other_entries_are_refused(shelf):
    (shelf / "points.keras").write_bytes(b"other")
    with pytest.raises(InputError, match="put the right file there"):
        load_classifier("points-net")
    (shelf / "manifest.yaml").write_text("darknet: {kind: classification, weights: a, cfg: b}")
    with pytest.raises(InputError, match="classification with weights and cfg; expected a model"):
        load_classifier("darknet")
    (shelf / "manifest.yaml").write_text("cars: {model: a}")
    with pytest.raises(InputError, match=r"\(none for classification yet\)"):
        load_classifier("none")
