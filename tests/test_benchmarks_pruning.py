"""The benchmarks of merging, budgets and one-by-one removal, and the teaching example, run small."""

import importlib.util
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
pytest.importorskip("sklearn", reason="scikit-learn is not installed")


def load(path):
    spec = importlib.util.spec_from_file_location(f"script_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_the_digits_table_has_least_squares_ahead(tmp_path, capsys):
    digits = load(ROOT / "benchmarks" / "digits.py")
    digits.main(["--seeds", "1", "--units", "60", "--epochs", "8", "--json", str(tmp_path / "r.json")])
    rows = json.loads((tmp_path / "r.json").read_text())["rows"]
    assert [row["kept"] for row in rows] == [30, 6, 6]
    printed = capsys.readouterr().out
    for row in rows:
        assert row["mean"]["base"] > 0.85 and f"{row['mean']['least_squares']:.3f}" in printed
        assert row["mean"]["least_squares"] == max(value for name, value in row["mean"].items() if name != "base")
        assert row["runs"][0]["ridge"] in digits.RIDGES


def test_cross_entropy_is_that_of_the_logits():
    digits = load(ROOT / "benchmarks" / "digits.py")
    # Softmax of (0, ln 3) is (¼, ¾): right once, −ln ¾; wrong once, −ln ¼.
    logits = np.log([[1.0, 3.0], [1.0, 3.0]])
    found = digits.judge(lambda x, training: logits[x], (np.array([0, 1]), np.array([1, 0])))
    assert found == (0.5, pytest.approx(-(np.log(0.75) + np.log(0.25)) / 2))


def test_one_by_one_finds_the_pairs_of_starting_over(tmp_path, capsys):
    script = load(ROOT / "benchmarks" / "one_by_one.py")
    script.main(["--units", "48", "--remove", "20", "--rounds", "1", "--json", str(tmp_path / "r.json")])
    result = json.loads((tmp_path / "r.json").read_text())
    assert result["times"]["kept"] == pytest.approx(result["anew"] / result["kept"])
    assert "48 units, 20 removed" in capsys.readouterr().out
    given = script.gram_of(48)
    assert script.anew(*given, 20)[0] == script.updated(*given, 20, adding=False)[0]
    with pytest.raises(SystemExit) as caught:
        script.main(["--units", "4", "--remove", "5"])
    assert caught.value.code == 2


@pytest.mark.slow
def test_budgets_are_met_by_every_way_and_damage_is_foretold(tmp_path, capsys):
    script = load(ROOT / "benchmarks" / "budget.py")
    script.main(["--seeds", "1", "--epochs", "6", "--keep", "0.3", "--json", str(tmp_path / "r.json")])
    run = json.loads((tmp_path / "r.json").read_text())["runs"][0]
    assert set(run["accuracy"]) == {name for name, *_ in script.WAYS}
    assert run["base"] > 0.9
    assert run["accuracy"]["residual, global"][0] > run["accuracy"]["random, uniform"][0]
    assert run["correlation"]["residual"] > 0.6
    assert "rank correlation" in capsys.readouterr().out
    assert script.ranks([3.0, 1.0, 2.0]).tolist() == [2, 0, 1]


@pytest.mark.slow
def test_the_teaching_example_draws_what_its_page_shows(tmp_path, capsys):
    example = load(ROOT / "examples" / "teach_distinctiveness.py")
    assert example.main(str(tmp_path / "pictures")) == 0
    page = (ROOT / "docs" / "distinctiveness.md").read_text(encoding="utf-8")
    shown = re.findall(r"\]\((distinctiveness/[^)]+)\)", page)
    assert sorted(Path(name).name for name in shown) == sorted(path.name for path in (tmp_path / "pictures").iterdir())
    assert all((ROOT / "docs" / name).stat().st_size < 200_000 for name in shown)
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith(example.RULES)]
    assert [row[0] for row in rows] == list(example.RULES)
    halves = {row[0]: float(row[6]) for row in rows}
    assert halves["least_squares"] == max(halves.values())
