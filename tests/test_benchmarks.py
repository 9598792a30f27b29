"""The benchmarks run, measure what they say, and time honest work."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from data_tools import open_store, verify

SCRIPTS = Path(__file__).resolve().parents[1] / "benchmarks"
SCRIPT = SCRIPTS / "pipeline.py"


def load(path):
    spec = importlib.util.spec_from_file_location(f"benchmark_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def pipeline():
    return load(SCRIPT)


@pytest.fixture(scope="module")
def street():
    return load(SCRIPTS / "street.py")


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (8, 64, 96, 3), np.uint8)


def test_it_writes_a_file_that_the_project_accepts(pipeline, images, tmp_path):
    pipeline.write_ours(tmp_path / "ours.h5", images)
    verify(tmp_path / "ours.h5")
    np.testing.assert_array_equal(open_store(tmp_path / "ours.h5")["train"].images(slice(None)), images)


def test_peers_hold_the_same_pixels_in_the_chunks_they_are_named_after(pipeline, images, tmp_path):
    for name, path in pipeline.write_peers(tmp_path, images).items():
        with h5py.File(path) as file:
            np.testing.assert_array_equal(file["images"][()], images)
            assert file["images"].chunks is not None
            assert (file["images"].chunks == (1, 64, 96, 3)) == (name == "one image a chunk")


def test_every_contender_yields_the_pixels_it_is_timed_for(pipeline, images, tmp_path):
    pipeline.write_ours(tmp_path / "ours.h5", images)
    peers = pipeline.write_peers(tmp_path, images)
    with pipeline.contextlib.ExitStack() as stack:
        entries = pipeline.contenders(tmp_path / "ours.h5", peers, images, 4, stack)
        assert len({entry.name for entry in entries}) == len(entries) == 11
        assert entries[0].name == pipeline.COPY
        chosen = np.sort(np.random.default_rng(2).choice(8, 4, replace=False))
        for entry in entries:
            stack.callback(entry.source.close)
            found = next(entry.source)
            if entry.dtype.startswith("float32"):
                assert (
                    found[0].shape == (4, 64, 96, 3) and found[0].dtype == np.float32 and found[1].shape[::2] == (4, 5)
                )
            else:
                expected = images[chosen] / 255 if entry.dtype == "float64" else images[chosen]
                assert found.dtype == entry.dtype
                np.testing.assert_array_equal(found, expected)


def test_threads_give_the_batches_of_one_thread(pipeline, images, tmp_path):
    pipeline.write_ours(tmp_path / "ours.h5", images)
    alone, ahead = (pipeline.feed_batches(open_store(tmp_path / "ours.h5"), 4, True, workers) for workers in (1, 2))
    for _ in range(2):  # one epoch
        np.testing.assert_array_equal(next(alone)[0], next(ahead)[0])
    ahead.close()


def test_it_runs_alone_and_writes_its_numbers(tmp_path):
    command = [sys.executable, SCRIPT, "--images", "12", "--size", "96x64", "--batch", "4", "--rounds", "2"]
    command += ["--seconds", "0.01", "--folder", tmp_path, "--json", tmp_path / "result.json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["rows"][0] == {**result["rows"][0], "name": "memory copy", "ratio": 1.0}
    assert all(row["images_per_second"] > 0 and row["ratio"] > 0 for row in result["rows"])
    for row in result["rows"]:
        assert row["name"] in done.stdout
    assert "12 images of 96x64" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]  # nothing is left behind


def test_a_bad_call_is_one_line(pipeline, capsys):
    with pytest.raises(SystemExit) as caught:
        pipeline.main(["--images", "4", "--batch", "16", "--size", "96x64"])
    assert caught.value.code == 2
    assert "received batch 16 of 4 images" in capsys.readouterr().err


def test_scenes_a_second_are_those_of_the_time_spent(street, monkeypatch, tmp_path, capsys):
    # A clock that counts readings: every timed piece of work takes one second, so each of the three makes 1 image/s.
    ticks = iter(range(10_000))
    monkeypatch.setattr(street.time, "process_time", lambda: float(next(ticks)))
    monkeypatch.setattr(street, "WARM_UP", 1)
    written = []
    original = street.street.write
    monkeypatch.setattr(street.street, "write", lambda *args, **kw: written.append(args) or original(*args, **kw))
    assert street.main(["--images", "3", "--size", "320x96", "--json", str(tmp_path / "r.json")]) == 0
    result = json.loads((tmp_path / "r.json").read_text())
    assert [(row["images_per_second"], row["ratio"]) for row in result["rows"]] == [(1.0, 1.0)] * 3
    assert len(written) == 3
    assert capsys.readouterr().out.count("missed") == 2  # 20 and 10 images/s are wanted


@pytest.mark.parametrize("words", [["--images", "0"], ["--size", "8x8"]])
def test_scenes_that_cannot_be_timed_are_one_line(street, words):
    with pytest.raises(SystemExit) as caught:
        street.main(words)
    assert caught.value.code == 2
