"""The benchmark of the activation statistics measures what it says."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "benchmarks" / "activations.py"


@pytest.fixture(scope="module")
def benchmark():
    spec = importlib.util.spec_from_file_location("benchmark_activations", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_it_times_both_passes_and_writes_its_numbers(benchmark, tmp_path, capsys):
    numbers = ["--images", "4", "--size", "16", "--batch", "2", "--rounds", "1", "--json", str(tmp_path / "r.json")]
    benchmark.main(numbers)
    printed = capsys.readouterr().out
    found = json.loads((tmp_path / "r.json").read_text())
    assert found["ratio"] == pytest.approx(found["collect"] / found["predict"])
    spent = found["processor"]
    assert spent["ratio"] == pytest.approx(spent["collect"] / spent["predict"]) and f"{spent['ratio']:.2f}" in printed
    assert found["target"] == 1.5 and found["images"] == 4
    assert "4 images of 16x16, conv, batch 2" in printed and f"{found['ratio']:.2f}" in printed


def test_a_bad_call_is_one_line(benchmark, capsys):
    for call in (["--model", "Resnet"], ["--images", "0"]):
        with pytest.raises(SystemExit) as caught:
            benchmark.main(call)
        assert caught.value.code == 2
        assert "received" in capsys.readouterr().err
