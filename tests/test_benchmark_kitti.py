"""The benchmark of the KITTI metric runs, compares what it says, and notices a difference."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import kitti_metric
from benchmarks.literal.kitti_devkit import literal_ap
from yolo_prune.evaluation.kitti import Frame

ROOT = Path(__file__).resolve().parents[1]


def test_it_runs_alone_and_writes_its_numbers(tmp_path):
    command = [sys.executable, ROOT / "benchmarks" / "kitti_metric.py", "--images", "40", "--rounds", "2"]
    done = subprocess.run([*command, "--json", tmp_path / "r.json"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "r.json").read_text())
    assert result["images"] == 40 and result["largest_difference"] < 1e-9 and result["ratio"] > 1
    assert f"40 random images with {result['true_boxes']} true boxes" in done.stdout
    # Cars are found and missed at every difficulty, or equality would say little.
    assert all(10 < level["AP40"] < 95 for level in result["result"]["car"].values())


def test_the_same_seed_gives_the_same_images():
    first, again, other = (kitti_metric.scenes(5, seed) for seed in (0, 0, 1))
    assert all((a.boxes == b.boxes).all() and a.names == b.names for a, b in zip(first, again, strict=True))
    assert [len(frame.names) for frame in first] != [len(frame.names) for frame in other]


def test_a_difference_fails(monkeypatch):
    wrong = kitti_metric.average_precision([])
    monkeypatch.setattr(kitti_metric, "average_precision", lambda frames: wrong)
    with pytest.raises(RuntimeError, match="differ by"):
        kitti_metric.measure(40, 0, 1)


def test_the_literal_version_by_hand():
    # One car found and one false positive that scores less than the only threshold: precision 1 at recall 0 of 41.
    box = np.array([[100.0, 100, 200, 150], [500, 100, 600, 150]])
    frame = Frame(box[:1], ["Car"], np.zeros(1), np.zeros(1, int), box, np.array([0.9, 0.1]), ["Car", "Car"])
    assert literal_ap([frame], "car", "easy") == {"AP11": pytest.approx(100 / 11), "AP40": 0.0}


def test_a_bad_call_is_one_line(capsys):
    with pytest.raises(SystemExit) as caught:
        kitti_metric.main(["--images", "0"])
    assert caught.value.code == 2 and "received 0 images" in capsys.readouterr().err
