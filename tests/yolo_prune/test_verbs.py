"""`evaluate` and `detect`: the numbers, the files, and what a wrong input leads to."""

import json

import cv2
import numpy as np
import pytest

from data_tools.kitti import read_labels
from data_tools.records import Box
from data_tools.store import open_store
from run_tools import config
from run_tools.errors import InputError
from run_tools.files import write_json
from run_tools.folder import RunFolder
from yolo_prune import verbs
from yolo_prune.class_map import class_set
from yolo_prune.detector import YoloV2
from yolo_prune.evaluation import coco, kitti, one_to_one, paper
from yolo_prune.models import load_detector
from yolo_prune.options import DetectConfig, EvaluateConfig
from yolo_prune.predict import predictions, truths
from yolo_prune.recipe import TrainConfig
from yolo_prune.records import Detections
from yolo_prune.tables import detect_table, evaluate_table, train_table
from yolo_prune.verbs_kitti import KittiEval, kitti_eval

MERGED = class_set("merged")
ALL = ("paper", "kitti", "coco")


@pytest.fixture
def perfect(monkeypatch, small_h5, true_boxes):
    """Makes every detector answer with the labels of the split `test`, in the order of that split."""
    view = open_store(small_h5)["test"]
    asked = []

    def detect(self, images, score=0.005, iou=0.45, limit=100, batch_size=16):
        assert images.shape[1:] == (*self.image_size, 3)
        answers = []
        for _ in range(len(images)):
            position = len(asked)
            asked.append(position)
            rows = [row for row in true_boxes(int(view.ids[position])) if row[0] != "DontCare"]
            height, width = view.original_size[position]
            # By hand: pixels of the original over the original's size.
            boxes = np.array([row[1:] for row in rows]) / [width, height, width, height]
            classes = [MERGED.map[row[0]] for row in rows]
            answers.append(Detections(boxes, np.full(len(rows), 0.9), classes))
        return answers

    monkeypatch.setattr(YoloV2, "detect", detect)


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


# ---- detect


@pytest.fixture
def pictures(tmp_path, small_kitti):
    """A PNG, a JPEG of another size and a grey PNG."""
    folder = tmp_path / "in"
    folder.mkdir()
    first = cv2.imread(str(small_kitti / "training/image_2/000000.png"))
    cv2.imwrite(str(folder / "a.png"), first)
    cv2.imwrite(str(folder / "b.jpg"), cv2.resize(first, (333, 77)))
    cv2.imwrite(str(folder / "c.png"), cv2.cvtColor(first, cv2.COLOR_BGR2GRAY))
    return [folder / name for name in ("a.png", "b.jpg", "c.png")]


def run_detect(small_model, pictures, out, **options):
    return verbs.detect(DetectConfig(image=tuple(pictures), model=small_model, out=out, **options))


def test_detect_writes_pictures_and_result_files(small_model, pictures, tmp_path):
    result = run_detect(small_model, pictures, tmp_path / "out")
    model = load_detector(small_model)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.png", "b.png", "c.png", "results"]
    for path in pictures:
        image = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
        height, width = image.shape[:2]
        drawn = cv2.imread(str(tmp_path / "out" / f"{path.stem}.png"))
        assert drawn.shape == (height, width, 3) and (drawn[..., ::-1] != image).any()
        boxes = read_labels(tmp_path / "out/results" / f"{path.stem}.txt")
        found = model.detect(verbs.resize(image, (64, 128))[None])[0]
        assert len(boxes) == len(found) > 10
        wanted = found.boxes * [width, height, width, height]  # that picture's own pixels, two decimals in the file
        np.testing.assert_allclose([box.xyxy for box in boxes], wanted, atol=0.0051)
        assert [box.class_name.lower() for box in boxes] == [MERGED.names[index] for index in found.classes]
        assert [box.score for box in boxes] == pytest.approx(found.scores.tolist(), abs=1e-6)
        counted = sum(result["images"][path.name].values())
        assert counted == (found.scores >= 0.3).sum() > 0
    assert "KITTI result files in" in detect_table(result) and "note" not in detect_table(result)


def test_result_files_feed_the_official_metric(perfect, small_model, small_h5, small_kitti, tmp_path):
    ids = open_store(small_h5)["test"].ids  # `perfect` answers in this order
    images = [small_kitti / "training/image_2" / f"{name}.png" for name in ids]
    run_detect(small_model, images, tmp_path / "out")
    result = kitti_eval(KittiEval(small_kitti / "training/label_2", tmp_path / "out/results"))
    by_arrays = run_evaluate_perfect(small_h5)
    for name in ("car", "pedestrian"):
        for difficulty, wanted in by_arrays[name].items():
            assert result[name][difficulty] == pytest.approx(wanted) and wanted["AP11"] == pytest.approx(100 / 11)


def run_evaluate_perfect(small_h5):
    """KITTI's metric of the truth itself as detections, on arrays."""
    store = open_store(small_h5)
    true = truths(store, "test", MERGED.lookup(store.class_names))
    kept = [truth.classes >= 0 for truth in true]
    found = [Detections(t.boxes[k], np.full(k.sum(), 0.9), t.classes[k]) for t, k in zip(true, kept, strict=True)]
    return kitti.kitti(true, found, MERGED.names)


def test_no_detection_is_an_empty_result_file(small_model, pictures, tmp_path):
    result = run_detect(small_model, pictures[:1], tmp_path / "out", score=1.0, result_score=1.0)
    assert (tmp_path / "out/results/a.txt").read_text() == "" and read_labels(tmp_path / "out/results/a.txt") == ()
    assert "a.png: nothing" in detect_table(result)


def test_classes_without_a_name_in_kitti_are_drawn_and_left_out_of_the_files(make_detector, pictures, tmp_path):
    make_detector("coco").save(tmp_path / "coco.keras")
    result = run_detect(tmp_path / "coco.keras", pictures[:1], tmp_path / "out", score=0.005)
    boxes = read_labels(tmp_path / "out/results/a.txt")  # it refuses types it does not know
    assert len(boxes) < sum(result["images"]["a.png"].values())
    assert "traffic light" in result["not_in_results"] and "person" not in result["not_in_results"]
    assert "note: KITTI's format has no motorbike, aeroplane, bus and 72 more" in detect_table(result)
    make_detector(class_names=None).save(tmp_path / "none.keras")
    result = run_detect(tmp_path / "none.keras", pictures[:1], tmp_path / "out")
    assert set(result["images"]["a.png"]) <= {f"class {k}" for k in range(5)} and len(result["not_in_results"]) == 5


def test_as_boxes_names_the_classes_as_kitti_does():
    found = Detections([[1, 2, 3, 4]] * 4, [0.9, 0.8, 0.7, 0.6], [0, 1, 2, 3])
    boxes = verbs.as_boxes(found, ("person", "person_sitting", "boat", "train"))
    assert [box.class_name for box in boxes] == ["Pedestrian", "Person_sitting", "Tram"]
    unknown = Box("Tram", 1, 2, 3, 4, truncated=-1, occluded=-1, score=boxes[2].score)
    assert boxes[2] == unknown and boxes[2].score == pytest.approx(0.6)


def test_a_broken_picture_among_good_ones_writes_nothing(small_model, pictures, tmp_path):
    broken = pictures[2]
    broken.write_bytes(broken.read_bytes()[:-500])
    with pytest.raises(InputError, match=r"c\.png that is cut off"):
        run_detect(small_model, pictures, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["twice", "replaced", "missing", "text"])
def test_pictures_that_cannot_be(small_model, pictures, tmp_path, kind):
    before = {path: path.read_bytes() for path in pictures}
    other = tmp_path / "in" / "a.jpg"
    other.write_text("no picture")
    given, out, told = {
        "twice": ([*pictures, tmp_path / "elsewhere" / "b.png"], tmp_path / "out", "names that differ"),
        "replaced": (pictures, tmp_path / "in", "the drawing would replace the picture"),
        "missing": ([tmp_path / "none.png"], tmp_path / "out", "cannot be read"),
        "text": ([other], tmp_path / "out", "neither PNG nor JPEG"),
    }[kind]
    with pytest.raises(InputError, match=told):
        run_detect(small_model, given, out)
    assert {path: path.read_bytes() for path in pictures} == before and not (tmp_path / "out").exists()
    assert not (tmp_path / "in" / "results").exists()


def test_the_train_verb_reads_the_same_config_as_python(small_h5, tmp_path):
    write_json(tmp_path / "c.json", {"widths": [4] * 8, "stages": [{"train": "head", "epochs": 2}]})
    loaded = config.load(TrainConfig, tmp_path / "c.json", data=small_h5, out=tmp_path / "run")
    assert loaded.widths == (4,) * 8 and loaded.stages[0].epochs == 2


def test_the_table_of_a_training():
    told = {"out": "runs/a", "epochs": 3, "images": 12, "seconds": 90.0, "parameters": 1494, "monitor": "val_ap50"}
    text = train_table({**told, "best": 0.51236, "best_epoch": 1})
    assert text == "runs/a: 3 epochs of 12 images in 1.5 min, 1,494 parameters\nbest val_ap50 0.5124 in epoch 2"
    assert train_table({**told, "best": None, "best_epoch": None}).endswith("val_ap50 was never measured")
