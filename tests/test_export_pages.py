"""The Python of the pages on export and on tensorflow_model_optimization runs as it stands."""

import re
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from prune_tools import masks, pruner, schedules

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGES = ("export.md", "from_tfmot.md")


def blocks(page):
    return re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL)


def network(sparsity):
    keras.utils.set_random_seed(0)
    layers = [keras.Input((8, 8, 1)), keras.layers.Conv2D(16, 3), keras.layers.Flatten(), keras.layers.Dense(2)]
    model = keras.Sequential(layers)
    chosen = masks.global_magnitude(model, sparsity)
    chosen.hold(model)
    chosen.release(model)
    return model


@pytest.mark.slow
def test_exporting(tmp_path, monkeypatch, capsys):
    for module in ("ai_edge_litert", "onnxruntime", "tf2onnx", "openvino", "zstandard"):
        pytest.importorskip(module, reason="the extra export")
    monkeypatch.chdir(tmp_path)
    names = {"model": network(0.8), "dense": network(0)}
    # All formats are written by the block before; the table is that of tests/prune_tools/test_comparison.py.
    short = "kinds=['onnx', 'compressed'], rounds=1, calls=1"
    for block in blocks("export.md"):
        exec(compile(block.replace("rounds=7, calls=5", short), "export.md", "exec"), names)
    assert names["again"].count_params() == names["model"].count_params()
    assert (tmp_path / "exported" / "model.onnx").is_file() and "compressed, exact" in capsys.readouterr().out


def test_coming_from_tfmot(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    stored, model = network(0.5), network(0)
    with h5py.File("pruned.h5", "w") as file:
        file.attrs["layer_names"] = [layer.name for layer in stored.layers]
        for layer in stored.layers:
            group = file.create_group(layer.name)
            group.attrs["weight_names"] = np.array([f"{v.path}:0".encode() for v in layer.weights], "S50")
            for variable in layer.weights:
                group[f"{variable.path}:0"] = variable.numpy()
    for block in blocks("from_tfmot.md"):
        exec(compile(block, "from_tfmot.md", "exec"), {"model": model})
    for one, other in zip(stored.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert "4 weights by" in capsys.readouterr().out
    model.compile("sgd", "mse")
    model.fit(np.ones((4, 8, 8, 1)), np.ones((4, 2)), verbose=0)
    assert np.count_nonzero(model.layers[0].get_weights()[0]) == 72  # half of 3 · 3 · 16


def test_the_calls_of_the_table_exist():
    model = network(0)
    assert schedules.Cubic(final=0.8, begin=0, end=200, every=100)(200)[1] == 0.8
    assert schedules.OneShot(0.5, step=3)(3) == (True, 0.5)
    pruner.Pruner(schedules.OneShot(0.5), layers=["*"], method=masks.layer_magnitude)
    assert masks.global_magnitude(model, 0.5, structure=masks.Blocks(3, 1)).sparsity() == 0.5
    assert masks.layer_magnitude(model, 0.5, ["*"]).sparsity() == 0.5
    inputs = keras.Input((8,))
    dense = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Dense(4, activation="relu")(inputs)))
    assert masks.n_of_m(dense, 2, 4).sparsity() == 0.5


@pytest.mark.parametrize("page", PAGES)
def test_their_links_lead_somewhere(page):
    text = (DOCS / page).read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        assert (DOCS / link).exists(), link
