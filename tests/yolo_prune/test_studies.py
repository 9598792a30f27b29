"""The two studies: what they compare, the tables from rows worked out by hand, and both verbs, shrunk."""

import json

import cv2
import numpy as np
import pytest

from data_tools.store import open_store
from yolo_prune.class_map import class_set
from yolo_prune.cli import main
from yolo_prune.detector import YoloV2
from yolo_prune.experiments import studies, study_pages
from yolo_prune.recipe import TrainConfig

SCORES = {"AP50": 0.5, "precision": None, "recall": 0.25}
TIMES = {"seconds": 90.0, "seconds_to_best": 30.0, "epoch_seconds": 2.5, "epochs": 4, "best_epoch": 1}
ROW = {**SCORES, **TIMES, "by_class": {"car": {"AP50": 0.5, "boxes": 60, "precision": None, "recall": 0.25}}}
FACTS = {"data": "KITTI, split test", "images": {"train": 12}, "input": "96x64", "weights": "w.npz", "epochs": 4}
FACTS |= {"out": "o", "score": 0.5, "seconds": 60.0, "report": "o/report.html"}


def test_the_table_of_depths():
    rows = {"top:2": {**ROW, "layers": 2, "trainable": 12345}}
    head, body = study_pages.columns({"kind": "depth", "rows": rows})
    expected = {
        "layers": "2",
        "weights that learn": 12345,
        "s an epoch": 2.5,
        "min": 1.5,
        "min to best": 0.5,
        "AP50": 0.5,
        "AP50 car": 0.5,
        "precision": None,
        "recall": 0.25,
    }
    assert dict(zip(head, body[0], strict=True)) == expected
    text = study_pages.text({"kind": "depth", "rows": rows, **FACTS})
    assert "12,345" in text and "4 epochs each, from w.npz" in text


def test_the_table_of_anchors():
    rows = {"coco": {**ROW, "anchors": [[1, 2]], "mean_iou": 0.6, "iou_by_class": {"car": 0.7, "tram": 0.1}}}
    head, body = study_pages.columns({"kind": "anchors", "rows": rows})
    # The fit is shown for the classes that are shown.
    assert head[:3] == ["anchors", "fit", "fit car"] and body[0][:3] == ["coco", 0.6, 0.7]


def run(out, words, capsys):
    code = main([*map(str, words), "--out", str(out), "--json", str(out.parent / "R.json")])
    captured = capsys.readouterr()
    assert code == 0, captured.err
    return json.loads((out.parent / "R.json").read_text()), captured.out


SMALL = ["--input", "96x64", "--batch-size", 4, "--epochs", 1]


@pytest.mark.slow
def test_anchors(small_h5, tmp_path, capsys, monkeypatch):
    words = ["study", "anchors", "--data", small_h5, *SMALL, "--widths", *"44444444"]
    words += ["--anchors", "voc", "balanced", "--anchor-count", 3]
    result, printed = run(tmp_path / "run", words, capsys)
    assert list(result["rows"]) == ["voc", "balanced"]
    # VOC's smallest anchor is 1.32 x 1.73 cells; no box here is larger than .9 x .8. So the IoU of any box with it is
    # its own area over 1.3221 · 1.73145 = 2.289, and that with k-means' anchors must be far better.
    voc, ours = result["rows"]["voc"], result["rows"]["balanced"]
    assert 0 < voc["mean_iou"] < 0.9 * 0.8 / 2.289 < 0.6 < ours["mean_iou"] <= 1
    assert len(voc["anchors"]) == 5 and len(ours["anchors"]) == 3
    # Weighted by the number of boxes, the fits of the classes make the whole: cars, people, cyclists.
    store = open_store(small_h5)
    kinds = class_set("merged").lookup(store.class_names)[store["train"].all_classes[store["train"].all_classes >= 0]]
    counts = {name: int((kinds == index).sum()) for index, name in enumerate(class_set("merged").names)}
    whole = sum(counts[name] * value for name, value in voc["iou_by_class"].items()) / sum(counts.values())
    assert voc["mean_iou"] == pytest.approx(whole)
    assert "balanced" in printed and cv2.imread(str(tmp_path / "run" / "study.png")) is not None
    assert "Anchors for wide images" in (tmp_path / "run" / "report.html").read_text()
    # Again: nothing is trained.
    monkeypatch.setattr(YoloV2, "fit", lambda *_, **__: pytest.fail("a finished training was run again"))
    again, _ = run(tmp_path / "run", words, capsys)
    assert again["rows"] == result["rows"]


@pytest.mark.slow
def test_depth(small_h5, small_model, tmp_path, capsys):
    words = ["study", "depth", "--data", small_h5, *SMALL, "--widths", *"88888888", "--weights", small_model]
    result, printed = run(tmp_path / "run", [*words, "--depths", 1, 3], capsys)
    assert [row["layers"] for row in result["rows"].values()] == [1, 3]
    # The head: 5 anchors of 5 + 5 numbers from 8 channels and a bias: 9 · 50. Convolutions 7 and 8: 8 · 8 · 9 = 576
    # weights and 2 · 8 of the batch-norm each.
    assert [row["trainable"] for row in result["rows"].values()] == [450, 450 + 2 * (576 + 16)]
    for row in result["rows"].values():
        assert row["seconds"] >= row["seconds_to_best"] > 0 and row["epochs"] == 1
        assert row["AP50"] == pytest.approx(np.mean([each["AP50"] for each in row["by_class"].values()]))
    assert "s an epoch" in printed and cv2.imread(str(tmp_path / "run" / "study.png")) is not None


def test_depths_are_all_those_there_are(small_h5, small_model, tmp_path, monkeypatch):
    seen = {}
    monkeypatch.setattr(studies, "_study", lambda kind, options, trainings, facts: seen.update(trainings))
    options = {"data": small_h5, "out": tmp_path, "weights": small_model, "epochs": 16}
    studies.depth(studies.DepthStudyConfig(**options))
    assert list(seen) == [f"top:{count}" for count in range(1, 10)]
    for name, chosen in seen.items():
        assert isinstance(chosen, TrainConfig)
        # Same budget, and nothing that one of them could take a short cut by.
        assert (chosen.stages[0].train, chosen.stages[0].epochs, chosen.cache) == (name, 16, "off")
        assert chosen.new_head and chosen.weights == small_model and chosen.monitor_every == 2
    studies.anchors(studies.AnchorStudyConfig(**options))
    chosen = [seen[name] for name in ("coco", "voc", "kmeans", "balanced")]
    assert [each.anchors for each in chosen] == ["coco", "voc", "kmeans", "kmeans"]
    assert [each.anchor_balance for each in chosen] == [False, False, False, True]


@pytest.mark.parametrize(
    "words, told",
    [
        (["anchors", "--anchors", "vocc"], "anchors 'vocc'"),
        (["anchors", "--anchors", "voc", "voc"], "each set once"),
        (["anchors", "--train", "bottom"], "train 'bottom'"),
        (["depth", "--weights", "MODEL", "--depths", "10"], "--depths 10; expected at most 9"),
        (["depth"], "no --weights for a study of frozen layers"),
        (["depth", "--weights", "MODEL", "--split", "tset"], "split 'tset'"),
        (["anchors", "--input", "100x64"], "image size 100x64"),
        (["anchors", "--weights", "missing.npz"], "missing.npz: no such file"),
        (["anchors", "--weights", "missing"], "missing: no such file"),
        (["anchors", "--widths", "4", "4"], "2 widths"),
        (["depth", "--weights", "MODEL", "--anchors", "1,2;3"], "anchors"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(small_h5, small_model, tmp_path, capsys, words, told):
    words = [str(small_model) if word == "MODEL" else word for word in words]
    assert main(["study", *words, "--data", str(small_h5), "--out", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err
    assert told in error and error.count("\n") == 1
    assert not (tmp_path / "run").exists()
