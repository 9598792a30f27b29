"""The benchmark of fuzzy c-means compares like with like, and fails where results differ."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "benchmarks" / "fuzzy_cmeans.py"
SMALL = ["--vectors", "60", "--features", "8", "--clusters", "3", "--iterations", "4", "--rounds", "2"]


@pytest.fixture(scope="module")
def benchmark():
    spec = importlib.util.spec_from_file_location("benchmark_fuzzy_cmeans", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_both_run_as_many_iterations_to_the_same_end(benchmark):
    vectors = benchmark.vectors_of(60, 8, 3).astype(np.float64)
    start = np.random.default_rng(0).random((60, 3))
    start /= start.sum(axis=1, keepdims=True)
    centres, memberships = benchmark.theirs(vectors, start, 1.7, 4)
    found = benchmark.ours(vectors, start, 1.7, 4, "float64")
    assert found.iterations_ == 4
    np.testing.assert_allclose(found.centres_, centres, rtol=1e-9)
    np.testing.assert_allclose(found.memberships_, memberships, rtol=1e-7)
    # One iteration more would have moved them: the comparison would see it.
    more = benchmark.ours(vectors, start, 1.7, 5, "float64")
    assert np.abs(more.memberships_ - memberships).max() > benchmark.CLOSE["float64"]


def test_it_times_all_and_writes_its_numbers(benchmark, tmp_path, capsys):
    assert benchmark.main([*SMALL, "--json", str(tmp_path / "r.json")]) == 0
    found = json.loads((tmp_path / "r.json").read_text())
    assert set(found["seconds"]) == {"float32", "float64", "scikit-fuzzy"} and found["target"] == 5
    printed = capsys.readouterr().out
    assert "60 x 8, 3 clusters, m 1.7, 4 iterations" in printed and f"{found['ratio']['float32']:6.2f}" in printed


def test_other_results_are_a_failure(benchmark, monkeypatch, capsys):
    original = benchmark.theirs
    monkeypatch.setattr(benchmark, "theirs", lambda *given: (original(*given)[0], original(*given)[1][::-1]))
    assert benchmark.main(SMALL) == 1
    assert "results differ" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--clusters", "1"], ["--fuzziness", "1"], ["--vectors", "5", "--clusters", "6"]])
def test_a_bad_call_is_one_line(benchmark, words, capsys):
    with pytest.raises(SystemExit) as caught:
        benchmark.main(words)
    assert caught.value.code == 2 and "received" in capsys.readouterr().err
