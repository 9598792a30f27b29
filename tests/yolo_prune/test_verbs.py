"""`evaluate` and `detect`: the numbers, the files, and what a wrong input leads to."""

import json

import cv2
import numpy as np
import pytest

from data_tools.store import open_store
from run_tools import config
from run_tools.errors import InputError
from run_tools.files import write_json
from run_tools.folder import RunFolder
from yolo_prune import verbs
from yolo_prune.class_map import class_set
from yolo_prune.evaluation import coco, kitti, one_to_one, paper
from yolo_prune.models import load_detector
from yolo_prune.options import EvaluateConfig
from yolo_prune.predict import predictions, truths
from yolo_prune.recipe import TrainConfig
from yolo_prune.tables import evaluate_table, main_table, train_table

MERGED = class_set("merged")
ALL = ("paper", "kitti", "coco")


def run_evaluate(small_model, small_h5, **options):
    return verbs.evaluate(EvaluateConfig(**{"model": small_model, "data": small_h5, "metrics": ALL, **options}))


def test_a_perfect_detector_gets_full_marks(perfect, small_model, small_h5):
    result = run_evaluate(small_model, small_h5, batch_size=3)
    for name in ("car", "pedestrian"):
        assert result["coco"][name]["AP50"] == pytest.approx(1.0)
        assert result["coco"][name]["AP"] == pytest.approx(1.0)  # .95 too: not a pixel is lost between the three sizes
        assert result["paper"][name]["precision"] == result["paper"][name]["recall"] == 1.0
        assert result["one_to_one"][name]["fn"] == result["one_to_one"][name]["fp"] == 0
        # Four true boxes (a van is neutral for cars) give four score thresholds, so precision is 1 at samples 0 to 3
        # and 0 at 4 to 40: of 0, 4, 8 ... 40 one of 11 counts, of 1 ... 40 three.
        assert result["kitti"][name]["moderate"] == pytest.approx({"AP11": 100 / 11, "AP40": 100 * 3 / 40})
    assert result["coco"]["tram"]["AP50"] is None  # there is none


def test_the_headline_has_the_metrics_asked_for():
    result = {"run": {"score": 0.7}, "truth": {"car": 3, "tram": 0}, "kitti": {}}
    assert main_table(result) == (["class", "true boxes"], [["car", "3"]])
    result["coco"] = {"car": {"AP50": 0.5, "AP": None}, "all": {}}
    assert main_table(result) == (["class", "true boxes", "AP50", "AP"], [["car", "3", "0.500", "-"]])
    rates = {"car": {"precision": 1.0, "recall": 0.25}}
    head, rows = main_table({**result, "one_to_one": rates, "paper": rates})
    assert head[4:] == ["precision at 0.7", "recall", "paper's precision", "paper's recall"]
    assert rows == [["car", "3", "0.500", "-", "1.000", "0.250", "1.000", "0.250"]]


def test_truths_are_the_labels_in_original_pixels(small_h5, true_boxes):
    store = open_store(small_h5)
    view = store["test"]
    assert {tuple(size) for size in view.original_size.tolist()} == {(120, 200), (150, 240)}
    for index, truth in enumerate(truths(store, "test", MERGED.lookup(store.class_names))):
        labels = true_boxes(int(view.ids[index]))
        np.testing.assert_allclose(truth.boxes, [row[1:] for row in labels], atol=1e-3)
        assert truth.size == tuple(view.original_size[index]) and truth.names == tuple(row[0] for row in labels)
        assert truth.classes.tolist() == [MERGED.map.get(row[0], -1) for row in labels]


def test_the_structure_that_programs_rely_on(small_model, small_h5):
    result = json.loads(json.dumps(run_evaluate(small_model, small_h5)))
    for metric in ("paper", "one_to_one"):
        assert set(result[metric]) == set(MERGED.names)
        assert set(result[metric]["car"]) == {"precision", "recall", "tp", "fp", "fn"}
    for difficulty in ("easy", "moderate", "hard"):
        assert set(result["kitti"]["car"][difficulty]) == {"AP11", "AP40"}
    assert set(result["kitti"]) == {"car", "pedestrian", "cyclist"}
    assert set(result["coco"]) == {"all", *MERGED.names}
    assert set(result["coco"]["car"]) == {"AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large"}
    assert result["run"]["images"] == 4 and result["run"]["split"] == "test" and result["run"]["input"] == [64, 128]
    assert "train_images" not in result["run"]  # a file does not tell what it was trained on
    # Every test image holds one car and one pedestrian, odd ones a van besides.
    store = open_store(small_h5)
    odd = sum(int(name) % 2 for name in store["test"].ids)
    assert result["truth"]["car"] == 4 + odd and result["truth"]["pedestrian"] == 4 and result["truth"]["tram"] == 0


def test_evaluate_is_the_metrics_on_the_predictions(small_model, small_h5):
    result = run_evaluate(small_model, small_h5, score=0.2, split="val")
    store, model = open_store(small_h5), load_detector(small_model)
    true = truths(store, "val", MERGED.lookup(store.class_names))
    found = list(predictions(model, store["val"]))
    assert sum(map(len, found)) > 40  # or nothing would be compared
    assert result["paper"] == paper.algorithm_1(true, found, MERGED.names, 0.2)
    assert result["one_to_one"] == one_to_one.one_to_one(true, found, MERGED.names, 0.2)
    assert result["coco"] == coco.coco(true, found, MERGED.names)
    assert result["kitti"] == kitti.kitti(true, found, MERGED.names)


def test_predictions_are_in_the_pixels_of_each_original(small_model, small_h5):
    store, model = open_store(small_h5), load_detector(small_model)
    view = store["val"]
    assert len(list(predictions(model, view, count=1))) == 1
    for index, found in enumerate(predictions(model, view, batch_size=3)):
        image = cv2.resize(view.images(index)[0], (128, 64), interpolation=cv2.INTER_AREA)
        relative = model.detect(image[None])[0]
        height, width = view.original_size[index]
        np.testing.assert_allclose(found.boxes, relative.boxes * [width, height, width, height], rtol=1e-5)
        np.testing.assert_allclose(found.scores, relative.scores, rtol=1e-5)


def test_a_run_folder_tells_how_it_was_trained(small_model, small_h5, tmp_path):
    run = tmp_path / "run"
    with RunFolder(run).create(TrainConfig(data=small_h5, out=run)) as folder:
        folder.log({"epoch": 0, "seconds": 1.5})
        folder.log({"epoch": 1, "seconds": 2.25})
        folder.write_state({"epoch": 2, "best_epoch": 1})
    (run / "best.keras").write_bytes(small_model.read_bytes())
    result = run_evaluate(run, small_h5, metrics=("coco",))
    told = result["run"]
    assert (told["epochs"], told["best_epoch"], told["train_seconds"], told["train_images"]) == (2, 1, 3.8, 12)
    assert "trained 2 epochs of 12 images in 0.1 min, best epoch 2" in evaluate_table(result)
    # On another file nothing is said of the training images: they were not these.
    copy = tmp_path / "copy.h5"
    copy.write_bytes(small_h5.read_bytes())
    told = run_evaluate(run, copy, metrics=("coco",))
    assert "train_images" not in told["run"] and "trained 2 epochs in 0.1 min" in evaluate_table(told)


def test_pictures_have_the_size_of_the_originals(small_model, small_h5, tmp_path):
    run_evaluate(small_model, small_h5, metrics=("coco",), pictures=tmp_path / "p", picture_count=3)
    written = sorted((tmp_path / "p").iterdir())
    view = open_store(small_h5)["test"]
    assert [path.stem for path in written] == sorted(view.ids[index] for index in (0, 1, 3))
    for path in written:
        height, width = view.original_size[view.ids.index(path.stem)]
        picture = cv2.imread(str(path))
        assert picture.shape[1] == width and picture.shape[0] > 2 * height


def test_spread_takes_the_ends():
    assert verbs.spread(48, 12)[0] == 0 and verbs.spread(48, 12)[-1] == 47 and len(verbs.spread(48, 12)) == 12
    assert verbs.spread(3, 12) == [0, 1, 2] and verbs.spread(1, 1) == [0]


@pytest.mark.parametrize(
    "given", [("paper,kitti,coco",), ("paper", "kitti", "coco"), ("paper,", "kitti coco"), ("paper,kitti,coco,paper",)]
)
def test_metrics_with_commas_or_blanks(given):
    assert verbs.metric_names(given) == ["paper", "kitti", "coco"]


@pytest.mark.parametrize(
    ("given", "told"), [(("koko",), "'coco'"), ((",",), "no metrics"), (("AP50",), "one of paper")]
)
def test_wrong_metrics_are_told_before_anything_is_read(given, told, tmp_path):
    with pytest.raises(InputError, match=told):
        verbs.evaluate(EvaluateConfig(model=tmp_path / "none", data=tmp_path / "none", metrics=given))


@pytest.mark.parametrize("option", ["report", "pictures"])
def test_a_file_where_a_folder_is_to_be_is_told_before_anything_is_read(option, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=f"--{option} .*file, which is a file"):
        verbs.evaluate(EvaluateConfig(model=tmp_path / "none", data=tmp_path / "none", **{option: tmp_path / "file"}))


def test_a_head_of_unknown_classes(make_detector, small_h5, tmp_path):
    names = ("cat", "dog", "cow", "pig", "hen")
    make_detector(class_names=names).save(tmp_path / "farm.keras")
    with pytest.raises(InputError, match="detector of cat, dog, cow, pig, hen; expected one of the class sets"):
        run_evaluate(tmp_path / "farm.keras", small_h5)
    make_detector(class_names=None).save(tmp_path / "none.keras")
    with pytest.raises(InputError, match="5 classes without names"):
        run_evaluate(tmp_path / "none.keras", small_h5)


@pytest.mark.parametrize("classes", ["kitti", "coco"])
def test_the_other_class_sets(make_detector, small_h5, tmp_path, classes):
    make_detector(classes).save(tmp_path / "m.keras")
    result = run_evaluate(tmp_path / "m.keras", small_h5)
    person = {"kitti": "pedestrian", "coco": "person"}[classes]
    assert result["truth"][person] == 4 and result["coco"][person]["AP50"] is not None
    assert evaluate_table(result).count("\n") > 10


def test_a_file_of_other_classes_is_refused(small_h5, monkeypatch):
    store = open_store(small_h5)
    monkeypatch.setattr(store, "class_names", ("Cat", "Dog"))
    with pytest.raises(InputError, match=r"with the classes Cat, Dog; expected KITTI's types"):
        verbs.lookup_of(MERGED, store)


def test_the_class_set_is_the_files_or_a_known_one(make_detector, small_h5, monkeypatch):
    store = open_store(small_h5)  # KITTI's eight
    assert verbs.classes_of(make_detector(), store) is MERGED
    # Names of the plain script are those of the file, as they are spelled there.
    plain = make_detector(class_names=("Box", "Tube", "Bag", "Car", "Van"))
    monkeypatch.setattr(store, "class_names", ("box", "TUBE", "Bag", "car", "Van"))
    own = verbs.classes_of(plain, store)
    assert own.names == ("box", "tube", "bag", "car", "van")
    assert own.lookup(store.class_names).tolist() == [0, 1, 2, 3, 4]
    # Another order is another head.
    monkeypatch.setattr(store, "class_names", ("tube", "box", "bag", "car", "van"))
    with pytest.raises(InputError, match=r"detector of Box, Tube, .*or the classes of .*small.h5 \(tube, box, bag"):
        verbs.classes_of(plain, store)
    # A file whose classes are called as the merged set's, spelled otherwise than in KITTI.
    monkeypatch.setattr(store, "class_names", MERGED.names)
    assert verbs.classes_of(make_detector(), store).lookup(MERGED.names).tolist() == [0, 1, 2, 3, 4]


def test_the_train_verb_reads_the_same_config_as_python(small_h5, tmp_path):
    write_json(tmp_path / "c.json", {"widths": [4] * 8, "stages": [{"train": "head", "epochs": 2}]})
    loaded = config.load(TrainConfig, tmp_path / "c.json", data=small_h5, out=tmp_path / "run")
    assert loaded.widths == (4,) * 8 and loaded.stages[0].epochs == 2


def test_the_table_of_a_training():
    told = {"out": "runs/a", "epochs": 3, "images": 12, "seconds": 90.0, "parameters": 1494, "monitor": "val_ap50"}
    text = train_table({**told, "best": 0.51236, "best_epoch": 1})
    assert text == "runs/a: 3 epochs of 12 images in 1.5 min, 1,494 parameters\nbest val_ap50 0.5124 in epoch 2"
    assert train_table({**told, "best": None, "best_epoch": None}).endswith("val_ap50 was never measured")
