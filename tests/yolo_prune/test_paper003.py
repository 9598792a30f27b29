"""Paper 003's recipes and table: its numbers as printed, rows worked out by hand, and the whole verb, shrunk."""

import contextlib
import dataclasses
import io
import json
from pathlib import Path

import cv2
import keras
import numpy as np
import pytest

from data_tools.kitti import KITTI_CLASSES
from data_tools.store import open_store
from run_tools import config
from run_tools.errors import InputError
from yolo_prune import darknet
from yolo_prune.class_map import COCO_NAMES, class_set
from yolo_prune.cli import main
from yolo_prune.detector import YoloV2
from yolo_prune.experiments import pages, recipes, sources, table2
from yolo_prune.recipe import TrainConfig
from yolo_prune.records import Detections

CONFIGS = Path(__file__).resolve().parents[2] / "configs" / "paper003"

# As the paper's text has it: Person, Cyclist, Car, Train, Truck.
PRINTED = """
COCO-FT   0.70 / 0.53 0.20 / 0.11 0.65 / 0.82 1.00 / 0.11 1.00 / 0.67
COCO-Full 0.47 / 0.33 1.00 / 0.23 0.70 / 0.83 0.00 / 0.00 1.00 / 0.23
KITTI-FT  0.67 / 0.18 0.00 / 0.00 0.97 / 0.53 0.00 / 0.00 0.83 / 0.36
"""


def test_the_papers_numbers():
    for line in PRINTED.strip().splitlines():
        title, *words = line.replace("/", "").split()
        pairs = list(zip(map(float, words[::2]), map(float, words[1::2]), strict=True))
        assert [table2.PAPER[title][name] for name in ("person", "cyclist", "car", "train", "truck")] == pairs
    assert table2.PAPER["not fine-tuned"] == {"car": (0.44, 0.60), "train": (0.0, 0.0), "truck": (0.21, 1.0)}


@pytest.mark.parametrize("recipe", recipes.RECIPES, ids=lambda recipe: recipe.name)
def test_the_configs_are_the_recipes(recipe):
    places = {"data": Path("a.h5"), "out": Path("run"), "weights": Path("w.npz")}
    loaded = config.load(TrainConfig, CONFIGS / f"{recipe.name}.yaml", **places)
    assert loaded == recipes.training(recipe, **places, variant="full", passthrough="reorg")
    head = (CONFIGS / f"{recipe.name}.yaml").read_text()
    assert f"yolo-prune train --config configs/paper003/{recipe.name}.yaml " in head
    # What the config says to expect is what the paper printed.
    car = "{:.2f} / {:.2f}".format(*table2.PAPER[recipe.title]["car"]).replace("0.", ".")
    assert f"car {car}" in head


def test_the_source_config_is_its_recipe():
    loaded = config.load(TrainConfig, CONFIGS / "source.yaml", data="a.h5", out="run")
    assert loaded == recipes.source(Path("a.h5"), Path("run"))


def test_what_the_paper_says_of_its_recipes():
    # Section 5.1.1: 5 epochs of the top layer, then 50 of all; 500 of the top layer with KITTI's classes.
    stages = {}
    for recipe in recipes.RECIPES:
        chosen = recipes.training(recipe, Path("a.h5"), Path("run"), Path("w"))
        stages[recipe.title] = [(stage.train, stage.epochs, stage.learning_rate) for stage in chosen.stages]
        assert (chosen.optimizer, chosen.stages[0].schedule, chosen.clip_norm) == ("adam", "constant", None)
        assert (chosen.weight_decay, chosen.augment, chosen.monitor) == (0.0, None, "val_loss")
        assert (chosen.input, chosen.anchors, chosen.batch_size) == ("608x608", "coco", 16)
    assert stages == {
        "COCO-FT": [("head", 5, 1e-3)],
        "COCO-Full": [("all", 50, 1e-3)],
        "KITTI-FT": [("head", 500, 1e-3)],
    }


def test_kittis_types_as_columns():
    # Table 1 of the paper; Misc is none. Columns: person, cyclist, car, train, truck.
    types = ("Car", "Van", "Truck", "Pedestrian", "Person_sitting", "Cyclist", "Tram", "Misc")
    assert table2.class_columns().lookup(types).tolist() == [2, 2, 4, 0, 0, 1, 3, -1]
    assert set(types) == set(KITTI_CLASSES)


@pytest.mark.parametrize(
    "names, expected",
    [
        # Of the two boxes on one object the better stays; the bus has no column.
        (("car", "van", "bus", "pedestrian"), [(0.9, 2), (0.7, 2), (0.6, 0)]),
        (("person", "bicycle", "train", "truck"), [(0.9, 0), (0.8, 1), (0.7, 1), (0.6, 4), (0.5, 3)]),
    ],
)
def test_detections_as_columns(names, expected):
    here, there = (0, 0, 10, 10), (50, 50, 60, 60)
    # Classes 0 and 1 on one object, 1 elsewhere, 3 and 2 on another.
    found = Detections([here, (0, 0, 10, 9), there, here, there], [0.9, 0.8, 0.7, 0.6, 0.5], [0, 1, 1, 3, 2])
    told = table2.as_columns(found, names)
    assert list(zip(told.scores.round(3).tolist(), told.classes.tolist(), strict=True)) == [
        (pytest.approx(score), kind) for score, kind in expected
    ]


def test_the_table_as_text():
    rates = {"precision": 0.5, "recall": None, "tp": 1, "fp": 1, "fn": 0}
    row = {kind: dict.fromkeys(table2.COLUMNS, rates) for kind in ("paper", "one_to_one")}
    row["truth"] = dict.fromkeys(table2.COLUMNS, 7)
    lines = table2.text({"COCO-FT": row, "COCO-Full": None}).splitlines()
    # Head, rule, four rows of three lines, true boxes.
    assert len(lines) == 2 + 12 + 1
    assert lines[5].split()[:3] == ["COCO-FT", "paper", "0.70"]
    assert lines[6].split() == ["ours,", "its", "metric", *("0.50", "/", "-") * 5]
    assert lines[9].split() == ["ours,", "its", "metric", *"-----"]
    assert lines[-1].split()[-5:] == ["7"] * 5


def keras_layout(model, lacks=()):
    """A detector's arrays as `.npz` files name them."""
    names = {"conv": "conv2d", "norm": "batch_normalization"}
    return {
        f"{names[layer.name[:4]]}_{layer.name[5:]}/{variable.name}": keras.ops.convert_to_numpy(variable)
        for layer in model.layers
        for variable in layer.weights
        if layer.name not in lacks
    }


def test_losses_below_one_are_labelled_with_decimals():
    rows = [{"epoch": epoch, "loss": 5 / 2**epoch, "val_loss": 6.0} for epoch in range(5)]
    figure = pages.loss_figure({"one": rows})
    figure.draw_without_rendering()
    told = {label.get_text() for label in figure.axes[0].yaxis.get_ticklabels(which="both")}
    assert {"0.6", "1", "2"} <= told and not any("e" in text for text in told)


def test_a_source_of_arrays_tells_what_it_lacks(make_detector, tmp_path):
    model = make_detector("coco", anchors="coco", widths=(4, 4, 4, 4, 8, 4, 4, 4))
    np.savez(tmp_path / "part.npz", **keras_layout(model, lacks=("conv_6", "conv_7")))
    found = sources.read(tmp_path / "part.npz", (64, 96), seed=0)
    assert (found.head, found.random) == (True, ("conv_6", "conv_7"))
    assert found.told == "part.npz, tiny-YOLOv2; it lacks conv_6, conv_7, which begin at random"
    assert (found.network["variant"], found.network["passthrough"]) == ("tiny", "reorg")
    assert found.network["widths"] == (4, 4, 4, 4, 8, 4, 4, 4)
    assert found.detector.class_names == COCO_NAMES and found.detector.image_size == (64, 96)
    for name in ("conv_5", "norm_5", "conv_8", "conv_9"):
        for value, expected in zip(
            found.detector.get_layer(name).get_weights(), model.get_layer(name).get_weights(), strict=True
        ):
            np.testing.assert_array_equal(value, expected)


def test_arrays_of_no_yolo_are_refused(tmp_path):
    np.savez(tmp_path / "other.npz", **{"batch_normalization_1/gamma": np.ones(4)})
    with pytest.raises(InputError, match="1 batch-norms; expected those of a YOLOv2: 8 .tiny. or 22 .full."):
        sources.read(tmp_path / "other.npz", (64, 96), seed=0)


def test_a_source_of_other_classes_lends_its_body(small_model):
    found = sources.read(small_model, (64, 96), seed=0)
    assert (found.head, found.random) == (False, ())
    assert found.network["anchors"].startswith("1.3221,1.73145;")


@pytest.fixture(scope="module")
def finished(small_h5, make_detector, tmp_path_factory):
    """(folder, words, what was printed) of a quick re-run with fewer epochs still."""
    out = tmp_path_factory.mktemp("paper003")
    make_detector("coco", anchors="coco", widths=(4,) * 8).save(out / "source.keras")
    short = tuple(
        dataclasses.replace(each, quick_epochs=epochs) for each, epochs in zip(recipes.RECIPES, (1, 1, 3), strict=True)
    )
    words = ["paper003", "--data", str(small_h5), "--out", str(out / "run"), "--weights", str(out / "source.keras")]
    words += ["--input", "96x64", "--quick", "--batch-size", "4", "--json", str(out / "R.json")]
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as printed:
        patch.setattr(recipes, "RECIPES", short)
        patch.setattr(pages, "RECIPES", short)
        assert main(words) == 0
        yield out, words, printed.getvalue()


@pytest.mark.slow
def test_the_whole_verb(finished):
    out, _, printed = finished
    result = json.loads((out / "R.json").read_text())
    assert list(result["rows"]) == ["not fine-tuned", "COCO-FT", "COCO-Full", "KITTI-FT"]
    assert [told["epochs"] for told in result["runs"].values()] == [1, 1, 3]
    assert all(told["monitor"] == "val_loss" for told in result["runs"].values())
    for row in result["rows"].values():
        # 4 test images: a Car and a Pedestrian each, Vans and Cyclists in some, no Truck, no Tram.
        assert row["truth"]["person"] == 4 and row["truth"]["car"] >= 4
        assert row["truth"]["train"] == row["truth"]["truck"] == 0
        one = row["one_to_one"]["car"]
        assert one["tp"] + one["fn"] == row["truth"]["car"]
    assert result["paper"]["KITTI-FT"]["car"] == [0.97, 0.53]
    assert "source weights: source.keras, tiny-YOLOv2" in printed
    assert "QUICK: 1/1/3 epochs instead of 5/50/500; these are not the paper's recipes" in printed
    kept = config.load(TrainConfig, out / "run" / "kitti_ft" / "config.yaml")
    assert kept.classes == "kitti" and kept.new_head and kept.weights == out / "source.keras"
    assert config.load(TrainConfig, out / "run" / "coco_full" / "config.yaml").weights == out / "run" / "coco_ft"
    page = (out / "run" / "report.html").read_text()
    for told in (
        "QUICK RUN",
        "source.keras",
        "0.97 / 0.53",
        "ours, one-to-one",
        "Table 2",
        "Fig. 2",
        "--input 96x64 --batch-size 4 --quick",
    ):
        assert told in page
    assert cv2.imread(str(out / "run" / "fig2.png")) is not None


@pytest.mark.slow
def test_what_is_done_is_not_run_again(finished, monkeypatch, capsys):
    out, words, _ = finished
    before = json.loads((out / "R.json").read_text())
    monkeypatch.setattr(YoloV2, "fit", lambda *_, **__: pytest.fail("a finished recipe was trained"))
    assert main(words) == 0
    after = json.loads((out / "R.json").read_text())
    assert {**after, "seconds": 0} == {**before, "seconds": 0}


@pytest.mark.parametrize(
    "words, told",
    [
        (["--weights", "missing.npz"], "missing.npz: no such file"),
        (["--weights", "MODEL", "--input", "100x64"], "image size 100x64"),
        (["--weights", "MODEL", "--split", "tset"], "split 'tset'"),
        (["--weights", "MODEL", "--scenes", "3"], "--scenes 3; expected at least 30"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(small_h5, small_model, tmp_path, capsys, words, told):
    words = [str(small_model) if word == "MODEL" else word for word in words]
    assert main(["paper003", "--data", str(small_h5), "--out", str(tmp_path / "run"), *words]) == 2
    error = capsys.readouterr().err
    assert told in error and error.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_without_weights_a_source_is_made_from_scenes(tmp_path, monkeypatch):
    trained = []

    class Recorder:
        def __init__(self, chosen, verbose):
            trained.append(chosen)

        def fit(self):
            return {}

    monkeypatch.setattr(sources, "Trainer", Recorder)
    monkeypatch.setattr(sources, "SCENE_SIZE", (96, 320))
    assert sources.make(tmp_path / "made", "96x64", 10, True, 5) == tmp_path / "made" / "source"
    store = open_store(trained[0].data)
    assert "synthetic" in store.source and (len(store["train"]), len(store["val"])) == (9, 1)
    assert store.image_size == (64, 96) and trained[0].classes == class_set("coco").name and trained[0].seed == 5
    monkeypatch.setattr(sources.street, "write", lambda *_: pytest.fail("rendered a second time"))
    sources.make(tmp_path / "made", "96x64", 10, True, 5)
    assert trained[0] == trained[1]


def test_a_source_of_darknets_files_keeps_its_passthrough(make_detector, tmp_path):
    model = make_detector("coco", anchors="coco", variant="full", passthrough="reorg", widths=(4,) * 22)
    darknet.save(model, tmp_path / "a.cfg", tmp_path / "a.weights")
    darknet.load(tmp_path / "a.cfg", tmp_path / "a.weights").save(tmp_path / "a.keras")
    found = sources.read(tmp_path / "a.keras", (64, 128), seed=0)
    assert (found.head, found.random, found.told) == (True, (), "a.keras, YOLOv2")
    assert (found.network["variant"], found.network["passthrough"]) == ("full", "reorg")
    images = np.random.default_rng(0).random((2, 64, 128, 3), np.float32)
    np.testing.assert_allclose(found.detector.logits(images), model.logits(images), rtol=1e-3, atol=1e-3)


def test_a_source_by_name_is_named(monkeypatch):
    known = {"yolov2": type("Entry", (), {"description": "YOLOv2, trained on COCO"})}
    monkeypatch.setattr(sources.manifest, "entries", lambda: known)
    assert sources._describe(Path("yolov2")) == "yolov2 of the manifest (YOLOv2, trained on COCO)"
