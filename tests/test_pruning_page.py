"""The example, the page and the benchmark of magnitude pruning run as they stand."""

import importlib.util
import json
import runpy
import subprocess
import sys
from pathlib import Path

import cv2
import keras
import numpy as np
import pytest

from prune_tools import cost
from run_tools.errors import InputError

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "pruning.md").read_text(encoding="utf-8")


@pytest.fixture
def images(tmp_path, monkeypatch):
    """A working folder with a folder of dark and light noise."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for kind in ("dark", "light"):
        (tmp_path / "images" / kind).mkdir(parents=True)
        for number in range(16):
            picture = rng.integers(0, 128, (32, 32, 3), np.uint8) + (128 if kind == "light" else 0)
            cv2.imwrite(str(tmp_path / "images" / kind / f"{number}.png"), picture.astype(np.uint8))


def test_the_example_prunes_a_stock_model(eager, images, capsys):
    example = runpy.run_path(str(ROOT / "examples" / "prune_plain_keras.py"))
    assert example["main"]("images", "0.8", "2", "32") == 0
    assert "80.0% of" in capsys.readouterr().out
    model = keras.saving.load_model("pruned.keras")
    kernels = [array for array in model.get_weights() if array.ndim == 4 and array.shape[2] > 3 and array.shape[3] > 1]
    zeros = sum(array.size - np.count_nonzero(array) for array in kernels)
    assert zeros / sum(array.size for array in kernels) == pytest.approx(0.8, abs=0.01)


def test_the_example_that_takes_channels_out(images, capsys):
    layers = keras.layers
    kind = [layers.Input((16, 16, 3)), layers.Rescaling(1 / 255)]
    kind += [layers.Conv2D(12, 3, activation="relu", name="a"), layers.Conv2D(20, 3, activation="relu", name="b")]
    model = keras.Sequential([*kind, layers.GlobalAveragePooling2D(), layers.Dense(2, activation="softmax")])
    model.save("model.keras")
    example = runpy.run_path(str(ROOT / "examples" / "shrink_plain_keras.py"))
    assert example["main"]("model.keras", "images", "0.5", "1") == 0
    smaller = keras.saving.load_model("smaller.keras")
    assert smaller.get_layer("a").filters < 12 and smaller.get_layer("b").filters < 20
    assert cost.summary(smaller)["macs"] <= 0.5 * cost.summary(model)["macs"]
    assert f"parameters: {model.count_params():,}, now {smaller.count_params():,}" in capsys.readouterr().out


def test_the_pages_python(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    keras.utils.set_random_seed(0)
    layers = keras.layers
    model = keras.Sequential([layers.Input((8, 8, 1)), layers.Conv2D(4, 3), layers.Flatten(), layers.Dense(2)])
    model.compile("adam", "mse")
    x, y = np.ones((24, 8, 8, 1), "f4"), np.ones((24, 2), "f4")
    for block in [part.split("```")[0] for part in PAGE.split("```python\n")[1:]]:
        exec(compile(block, "docs/pruning.md", "exec"), {"model": model, "x": x, "y": y})
    assert "(8, 0.8" in capsys.readouterr().out and (tmp_path / "pruned.keras").is_file()


@pytest.mark.parametrize("link", ["../examples/prune_plain_keras.py", "../benchmarks"])
def test_the_pages_links(link):
    assert f"({link})" in PAGE and (ROOT / "docs" / link).exists()


@pytest.fixture(scope="module")
def benchmark():
    spec = importlib.util.spec_from_file_location("benchmark_masking", ROOT / "benchmarks" / "masking.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_the_benchmark_runs_alone(tmp_path):
    command = [sys.executable, ROOT / "benchmarks" / "masking.py", "--only", "plain fit", "held masks"]
    command += ["--image", "16", "--batch", "2", "--steps", "2", "--rounds", "1", "--weights", "1000"]
    done = subprocess.run(
        [*command, "--json", tmp_path / "result.json"], cwd=tmp_path, capture_output=True, text=True, timeout=500
    )
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "result.json").read_text())
    plain, held = result["rows"]
    assert plain["ratio"] == plain["processor_ratio"] == 1 and plain["sparsity"] < 0.01
    assert held["sparsity"] == pytest.approx(0.8, abs=1e-4) and held["peak_mib"] > 100
    assert "held masks at most 1.05 of plain fit" in done.stdout and result["missing"] == []


def test_the_benchmark_says_what_is_missing(benchmark):
    result = {"rows": [], "missing": ["tfmot, every step"], "selection": benchmark.selection(1, 1000)}
    shown = benchmark.table({**result, "image": 16, "batch": 2, "rounds": 1, "steps": 2})
    assert "tfmot, every step          not installed (--peer-python)" in shown
    with pytest.raises(InputError, match="a Python interpreter"):
        benchmark.installed("/no/such/python")
    # Convolutions 9 · (3·32 + 32² + 32·64 + 64² + 64·128 + 128² + 128·256 + 256²), batch-norms 4 · 2 · 480, head 2570.
    assert benchmark.network(keras, 16).count_params() == 1_171_296 + 3_840 + 2_570
    with pytest.raises(SystemExit) as caught:
        benchmark.main(["--image", "8"])
    assert caught.value.code == 2
