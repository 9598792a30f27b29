"""The command line: results, exit codes, one line for every mistake."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from data_tools.cli import main


@pytest.fixture
def run(capsys):
    """Run the program: (exit code, standard output, standard error)."""

    def call(*words):
        code = main([str(word) for word in words])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture
def compiled(make_kitti, tmp_path, run):
    """A compiled file of 20 images in ten drives."""
    assert run("compile", "kitti", make_kitti(20, drives=10), tmp_path / "a.h5", "--size", "64x32")[0] == 0
    return tmp_path / "a.h5"


def test_compile_prints_counts_and_writes_json(make_kitti, tmp_path, run):
    root = make_kitti(20, drives=10)
    code, out, err = run(
        "compile", "kitti", root, tmp_path / "a.h5", "--size", "128x64", "--split", "drive",
        "--fractions", ".6", ".2", ".2", "--seed", "3", "--limit", "20", "--workers", "2",
        "--json", tmp_path / "r.json",
    )  # fmt: skip
    assert code == 0 and "error" not in err
    result = json.loads((tmp_path / "r.json").read_text())
    assert result["image_size"] == [64, 128] and result["seed"] == 3
    assert [split["images"] for split in result["splits"].values()] == [12, 4, 4]
    lines = out.splitlines()
    assert lines[1].split()[:4] == ["split", "images", "drives", "Car"]
    assert lines[2].split()[:4] == ["train", "12", "6", "12"]
    assert "note:" not in out  # the split was asked for


def test_compile_says_which_split_it_chose(make_kitti, tmp_path, run):
    assert "note: split at random" in run("compile", "kitti", make_kitti(5), tmp_path / "a.h5", "--size", "64x32")[1]


def test_options_from_yaml(make_kitti, tmp_path, run):
    (tmp_path / "c.yaml").write_text("size: 64x32\nfractions: [0.5, 0.25, 0.25]\nencoded: true\n")
    root = make_kitti(8)
    code, out, _ = run("compile", "kitti", root, tmp_path / "a.h5", "--config", tmp_path / "c.yaml")
    assert code == 0 and out.splitlines()[2].split()[:2] == ["train", "4"]


def test_inspect_with_plots(compiled, tmp_path, run):
    code, out, _ = run("inspect", compiled, "--plot", tmp_path / "plots", "--json", tmp_path / "r.json")
    assert code == 0 and "original sizes of train: 64x32 (16)" in out
    assert sorted(path.name for path in (tmp_path / "plots").iterdir())[0] == "aspect.png"
    result = json.loads((tmp_path / "r.json").read_text())
    assert sum(split["boxes"]["Car"] for split in result["splits"].values()) == 20
    (tmp_path / "taken").write_text("")
    assert run("inspect", compiled, "--plot", tmp_path / "taken")[0] == 2


def test_verify(compiled, run):
    code, out, _ = run("verify", compiled)
    assert code == 0 and "good (27 checksums" in out
    with open(compiled, "r+b") as file:
        file.truncate(compiled.stat().st_size - 100)
    code, out, err = run("verify", compiled)
    assert (code, out) == (2, "") and err.startswith("data-tools: error: received") and "cut off" in err


def test_anchors_can_be_pasted(compiled, tmp_path, run):
    code, out, _ = run(
        "anchors", compiled, "-k", 2, "--input", "128x64", "--split", "all", "--classes", "car", "Pedestrian",
        "--json", tmp_path / "r.json",
    )  # fmt: skip
    assert code == 0
    result = json.loads((tmp_path / "r.json").read_text())
    # Pedestrians are 8.5x24, Cars 20.5x20 in 64x32: 17x48 and 41x40 in 128x64, by 32 pixels 0.5312x1.5 and 1.2812x1.25
    assert result["pixels"] == [[17, 48], [41, 40]] and result["boxes"] == 30
    assert result["anchors"] == [[0.5312, 1.5], [1.2812, 1.25]] and result["mean_iou"] == pytest.approx(1)
    assert result["class_iou"] == {"Car": pytest.approx(1), "Pedestrian": pytest.approx(1)}
    assert "\n--anchors '0.5312,1.5;1.2812,1.25'\n" in out
    assert "anchors = 0.5312,1.5, 1.2812,1.25" in out


def test_balanced_anchors(compiled, run, monkeypatch):
    seen = []

    def kmeans(sizes, k, seed, weights):
        seen.append(weights)
        return np.asarray(sizes)[:k]

    monkeypatch.setattr("data_tools.anchors.kmeans", kmeans)
    assert run("anchors", compiled, "--split", "all")[0] == 0
    assert run("anchors", compiled, "--split", "all", "--balance")[0] == 0
    # 20 Cars and 10 Pedestrians.
    assert seen[0] is None
    np.testing.assert_allclose(sorted(seen[1]), [1 / 20**0.5] * 20 + [1 / 10**0.5] * 10)


def test_how_well_anchors_fit_each_class(compiled, run, monkeypatch, tmp_path):
    # The Cars' own size alone: a Pedestrian of 8.5x24 overlaps 20.5x20 by 170 of 410 + 204 - 170 = 444.
    monkeypatch.setattr("data_tools.anchors.kmeans", lambda sizes, k, seed, weights: np.array([[20.5, 20.0]]))
    code, out, _ = run("anchors", compiled, "-k", 1, "--split", "all", "--json", tmp_path / "r.json")
    found = json.loads((tmp_path / "r.json").read_text())["class_iou"]
    assert code == 0 and found == {"Car": pytest.approx(1), "Pedestrian": pytest.approx(170 / 444)}
    assert "mean IoU 0.7943 (Car 1.000, Pedestrian 0.383)" in out  # (20 + 10 · .3829) / 30


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["compile", "kitti", "{root}", "{out}", "--size", "65x32"], "size 65x32"),
        (["compile", "kitti", "{root}", "{out}", "--size", "big"], "size 'big'"),
        (["compile", "kitti", "{root}", "{out}"], "--size"),
        (["compile", "kitti", "{root}/none", "{out}", "--size", "64x32"], "nothing there"),
        (["compile", "kitti", "{root}", "{out}", "--size", "64x32", "--fractions", ".5", ".5", ".5"], "sum 1.5"),
        (["compile", "kitti", "{root}", "{out}", "--size", "64x32", "--fractions", ".5", ".5"], "--fractions"),
        (["compile", "kitti", "{root}", "{out}", "--size", "64x32", "--split", "drives"], "'drive'"),
        (["compile", "kitti", "{root}", "{out}", "--size", "64x32", "--limit", "0"], "--limit"),
        (["compile", "kitti", "{root}", "{out}", "--size", "64x32", "--limit", "2"], "2 images for 3 splits"),
        (["compile", "kitti", "{root}", "{out}", "--sise", "64x32"], "--size"),
        (["inspect", "{out}"], "nothing there"),
        (["anchors", "{file}", "-k", "40"], "k 40"),
        (["anchors", "{file}", "--split", "tests"], "split 'tests'"),
        (["anchors", "{file}", "--classes", "cars"], "'Car'"),
        (["anchors", "{file}", "--classes", "tram"], "without boxes"),
        (["anchors", "{file}", "--input", "100"], "96x96 or 128x128"),
        (["verify"], "FILE"),
        (["inspekt"], "'inspect'"),
    ],
)
def test_every_mistake_is_one_line_and_code_2(make_kitti, tmp_path, run, words, message):
    root, file, out = make_kitti(5), tmp_path / "good.h5", tmp_path / "new.h5"
    assert run("compile", "kitti", root, file, "--size", "64x32")[0] == 0
    code, printed, err = run(*[word.format(root=root, out=out, file=file) for word in words])
    assert code == 2 and printed == ""
    lines = [line for line in err.splitlines() if line.startswith("data-tools: error: ")]
    assert len(lines) == 1 and message in lines[0] and "expected" in lines[0] and "Traceback" not in err
    assert not list(tmp_path.glob("new.h5*"))


@pytest.mark.parametrize("verb", ["street", "compile kitti", "inspect", "verify", "anchors"])
def test_help_shows_an_example(run, verb):
    code, out, _ = run(*verb.split(), "--help")
    assert code == 0 and f"data-tools {verb}" in out.split("example:")[1]


def test_rendered_streets_compile_and_name_themselves_synthetic(tmp_path, run):
    assert run("street", tmp_path / "s", "--images", 3, "--seed", 1, "--size", "160x64", "--workers", 1)[0] == 0
    code, out, err = run("compile", "kitti", tmp_path / "s", tmp_path / "s.h5", "--size", "160x64", "--split", "random")
    assert code == 0, err
    assert "synthetic" in out and run("verify", tmp_path / "s.h5")[0] == 0


def test_the_module_runs_and_never_loads_keras(tmp_path):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    found = subprocess.run(
        [sys.executable, "-m", "data_tools", "verify", str(tmp_path / "none.h5")],
        capture_output=True, text=True, env=environment, timeout=60,
    )  # fmt: skip
    assert (
        found.returncode == 2
        and found.stderr.startswith("data-tools: error: received")
        and found.stderr.count("\n") == 1
    )
    script = (
        "import sys, data_tools.cli, data_tools.verbs, data_tools.plots\n"
        "from data_tools import DataCompiler, DataExtractor, KittiExtractor, open_store\n"
        "heavy = {'keras', 'tensorflow', 'jax'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", script], check=True, env=environment, timeout=60)
