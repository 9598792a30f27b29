"""The two studies: what they compare, the tables from rows worked out by hand, and both verbs, shrunk."""

import json

import cv2
import numpy as np
import pytest

from data_tools.store import open_store
from yolo_prune.class_map import class_set
from yolo_prune.cli import main
from yolo_prune.detector import YoloV2
from yolo_prune.experiments import studies, study_judging, study_pages
from yolo_prune.recipe import TrainConfig
from yolo_prune.records import Detections, Truth

SCORES = {"AP50": 0.5, "precision": None, "recall": 0.25}
TIMES = {"seconds": 90.0, "seconds_to_best": 30.0, "epoch_seconds": 2.5, "epochs": 4, "best_epoch": 1}
ROW = {**SCORES, **TIMES, "by_class": {"car": {"AP50": 0.5, "boxes": 60, "precision": None, "recall": 0.25}}}
FACTS = {"data": "KITTI, split test", "images": {"train": 12}, "input": "96x64", "weights": "w.npz", "epochs": 4}
FACTS |= {"out": "o", "score": 0.5, "seconds": 60.0, "report": "o/report.html", "bootstrap": 0}


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


# A car in each of two images: found in the first, missed in the second, which has a false one and a person, found.
SIZE, BOX, FALSE, PERSON = (300, 400), (10, 10, 60, 40), (200, 10, 250, 40), (100, 100, 120, 160)
TRUE = [Truth([BOX], [0], SIZE), Truth([BOX, PERSON], [0, 1], SIZE)]
FOUND = [Detections([BOX], [0.9], [0]), Detections([FALSE, PERSON], [0.8, 0.95], [0, 1])]


def test_figures_of_resamples_by_hand():
    weights = np.array([[2, 0], [1, 1], [0, 2]])
    values = study_judging.figures(TRUE, FOUND, ("Car", "Pedestrian"), ["car", "pedestrian"], weights, 0.5)
    # The images as they are, then the resamples. Cars: precision 1 up to recall 1/2 is 51 of 101 recalls, with the
    # first image alone all, with the second none. People: all, if there are any; a mean without them is no such mean.
    cars = [51 / 101, 1, 51 / 101, 0]
    np.testing.assert_allclose(values["car"]["AP50"], cars)
    np.testing.assert_allclose(values["pedestrian"]["AP50"], [1, np.nan, 1, 1])
    np.testing.assert_allclose(values["all"]["AP50"], [76 / 101, np.nan, 76 / 101, 0.5])
    # Hits of all that were found, and of all true boxes: 2 of 3 and 3; 2 of 2 and 2; 2 of 3 and 3; 2 of 4 and 4.
    for key in ("precision", "recall"):
        np.testing.assert_allclose(values["all"][key], [2 / 3, 1, 2 / 3, 1 / 2])
    told = study_judging.uncertainty(values, values)
    # Of 1/2, 2/3 and 1, which are two steps: a fortieth of the whole is a twentieth of a step from each end.
    assert told["intervals"]["all"]["recall"] == pytest.approx([1 / 2 + 0.05 / 6, 1 - 0.05 / 3])
    assert told["against"]["car"]["AP50"] == {"difference": 0.0, "interval": [0.0, 0.0]}


def test_the_table_of_intervals():
    limits = {"all": {"AP50": [0.4, 0.6], "precision": None, "recall": [0.2, 0.3]}, "car": {"AP50": [0.4, 0.6]}}
    against = {"all": {key: {"difference": 0.1, "interval": [-0.05, 0.2]} for key in ("AP50", "recall")}}
    row = {**ROW, "trainable": 5, "intervals": limits, "against": against}
    rows = {"top:1": {**row, "layers": 1}, "top:2": {**row, "layers": 2}}
    result = {"kind": "depth", "rows": rows, **FACTS, "bootstrap": 1000, "reference": "top:2"}
    head, body = study_pages.intervals(result)
    assert head == ["layers", "AP50", "AP50 car", "precision", "recall", "AP50 minus that of 2 layers", "recall minus"]
    figures = ["0.500 [0.400, 0.600]"] * 2 + ["-", "0.250 [0.200, 0.300]"]
    assert body == [["1", *figures, *["+0.100 [-0.050, +0.200]"] * 2], ["2", *figures, "-", "-"]]
    assert "1,000 resamples" in study_pages.text(result)


def run(out, words, capsys):
    code = main([*map(str, words), "--out", str(out), "--json", str(out.parent / "R.json")])
    captured = capsys.readouterr()
    assert code == 0, captured.err
    return json.loads((out.parent / "R.json").read_text()), captured.out


SMALL = ["--input", "96x64", "--batch-size", 4, "--epochs", 1]


@pytest.mark.slow
def test_anchors(eager, small_h5, tmp_path, capsys, monkeypatch):
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
    # What is compared with itself is no different; every figure lies in its interval.
    assert result["reference"] == "voc" and voc["against"]["all"]["AP50"] == {"difference": 0.0, "interval": [0.0, 0.0]}
    low, high = ours["intervals"]["all"]["AP50"]
    assert low <= ours["AP50"] <= high and "AP50 minus that of voc" in printed
    assert "balanced" in printed and cv2.imread(str(tmp_path / "run" / "study.png")) is not None
    assert "Anchors for wide images" in (tmp_path / "run" / "report.html").read_text()
    # Again: nothing is trained.
    monkeypatch.setattr(YoloV2, "fit", lambda *_, **__: pytest.fail("a finished training was run again"))
    again, _ = run(tmp_path / "run", words, capsys)
    assert again["rows"] == result["rows"]


@pytest.mark.slow
def test_depth(eager, small_h5, small_model, tmp_path, capsys):
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
