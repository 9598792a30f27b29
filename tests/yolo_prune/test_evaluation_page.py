"""`evaluate`'s page, figures, sheets and intervals, on the small detector and on hand-made detections."""

import json

import cv2
import numpy as np
import pytest

from data_tools.store import open_store
from run_tools.errors import InputError
from run_tools.figures import pixels
from yolo_prune import evaluation_figures as figures
from yolo_prune import verbs
from yolo_prune.class_map import class_set
from yolo_prune.evaluation import bootstrap
from yolo_prune.evaluation.outcomes import confusion, outcome, outcomes
from yolo_prune.models import load_detector
from yolo_prune.options import EvaluateConfig
from yolo_prune.predict import predictions, truths
from yolo_prune.records import Detections, Truth
from yolo_prune.sheets import RED, sheet, worst_sheets
from yolo_prune.tables import evaluate_table

MERGED = class_set("merged")
SIZE = (375, 1242)
BOX = (100.0, 100.0, 200.0, 150.0)
NOTHING = Detections([], [], [])
ALL = ("paper", "kitti", "coco")


def run_evaluate(small_model, small_h5, **options):
    return verbs.evaluate(EvaluateConfig(**{"model": small_model, "data": small_h5, "metrics": ALL, **options}))


@pytest.fixture(scope="module")
def judged(small_model, small_h5, tmp_path_factory):
    """An evaluation with everything, and its folder."""
    out = tmp_path_factory.mktemp("page") / "report"
    (out / "worst").mkdir(parents=True)
    (out / "worst" / "01_earlier.png").write_bytes(b"of another evaluation")
    (out / "mine.txt").write_text("kept")
    options = {"score": 0.2, "bootstrap": 20, "seed": 3, "against": small_model, "report": out, "picture_count": 3}
    return run_evaluate(small_model, small_h5, **options), out


def test_the_page_holds_everything_and_the_files_lie_beside_it(judged):
    result, out = judged
    page = (out / "report.html").read_text()
    assert result["report"] == str(out / "report.html")
    assert "http" not in page and page.count("<img") == 4 + 3
    for heading in ("Result", "Curves and confusion", "Worst images", "How this was made", "95 % intervals"):
        assert heading in page
    pictures = {path.name for path in out.glob("*.png")}
    assert pictures == {"precision_recall_coco.png", "precision_recall_kitti.png", "confusion.png", "scores.png"}
    assert all(cv2.imread(str(path)) is not None for path in out.rglob("*.png"))
    assert len(list((out / "worst").iterdir())) == 3 and not (out / "worst" / "01_earlier.png").exists()
    assert (out / "mine.txt").read_text() == "kept"
    assert not [path for path in out.rglob("*") if ".part" in path.name]


def test_the_sheets_are_those_with_most_mistakes(judged, small_model, small_h5):
    store = open_store(small_h5)
    true = truths(store, "test", MERGED.lookup(store.class_names))
    found = list(predictions(load_detector(small_model), store["test"]))
    mistakes = [result.mistakes for result in outcomes(true, found, 0.3)]
    assert max(mistakes) > min(mistakes)
    order = sorted(range(4), key=lambda k: (-mistakes[k], k))[:3]
    names = sorted(path.name for path in (judged[1] / "worst").iterdir())
    assert names == [f"{rank:02d}_{store['test'].ids[k]}.png" for rank, k in enumerate(order, start=1)]


def test_intervals_are_the_bootstraps_and_nothing_else_changes(judged, small_model, small_h5):
    result = judged[0]
    store = open_store(small_h5)
    true = truths(store, "test", MERGED.lookup(store.class_names))
    found = list(predictions(load_detector(small_model), store["test"]))
    weights = bootstrap.resample(4, 20, 3)
    limits = dict(result["intervals"])
    assert limits.pop("resampling") == {"replicates": 20, "by": "image", "units": 4, "seed": 3, "level": 0.95}
    assert limits == bootstrap.intervals(true, found, MERGED.names, weights, ALL, 0.2)
    assert result["against"]["coco"]["car"]["AP50"] == {"difference": 0.0, "interval": [0.0, 0.0]}
    plain = run_evaluate(small_model, small_h5, score=0.2)
    assert {key: result[key] for key in plain} == plain
    assert set(result) - set(plain) == {"intervals", "against", "report"}
    json.dumps(result)


def test_the_table_shows_them(judged):
    text = evaluate_table(judged[0])
    assert "COCO, AP 0-1: 95 % intervals from 20 resamples of 4 images" in text
    low, high = judged[0]["intervals"]["coco"]["car"]["AP50"]
    value = judged[0]["coco"]["car"]["AP50"]
    assert f"{value:.3f} [{low:.3f}, {high:.3f}]" in text
    assert "both judged on the same" in text and "+0.000 [+0.000, +0.000]" in text
    assert text.endswith("report.html")


def test_drives_must_be_known_and_the_other_detector_alike(small_model, small_h5, make_detector, tmp_path):
    with pytest.raises(InputError, match="--bootstrap-by drive for .*small.h5, which does not know its drives"):
        run_evaluate(small_model, small_h5, bootstrap=10, bootstrap_by="drive")
    make_detector("kitti").save(tmp_path / "kitti.keras")
    with pytest.raises(InputError, match="a detector of car, van.*compare detectors of the same classes"):
        run_evaluate(small_model, small_h5, against=tmp_path / "kitti.keras")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="which is a file; expected a folder"):
        run_evaluate(small_model, small_h5, report=tmp_path / "file")


def test_whole_drives_are_drawn(small_model, small_h5, monkeypatch):
    drawn, original = [], bootstrap.intervals
    monkeypatch.setattr(bootstrap, "intervals", lambda *given: drawn.append(given[3]) or original(*given))
    store = open_store(small_h5)
    store["test"].groups = ["a", "a", "b", "b"]
    monkeypatch.setattr(verbs, "open_store", lambda path, kind: store)
    result = run_evaluate(small_model, small_h5, bootstrap=30, bootstrap_by="drive", metrics=("coco",))
    (weights,) = drawn
    assert (weights[:, 0] == weights[:, 1]).all() and (weights[:, 2] == weights[:, 3]).all()
    assert result["intervals"]["resampling"]["units"] == 2
    assert "30 resamples of 2 drives" in evaluate_table(result)


def test_a_mistake_is_framed_in_red():
    image = np.full((*SIZE, 3), 128, np.uint8)
    away = (600.0, 200.0, 700.0, 260.0)
    truth = Truth([BOX, away], [0, 0], SIZE, names=["Car", "Car"])
    found = Detections([BOX, (900.0, 200.0, 980.0, 260.0)], [0.9, 0.8], [0, 0])
    drawn = sheet(image, truth, found, outcome(truth, found, 0.3), MERGED.names, 0.3)
    rows, columns = np.nonzero((drawn == RED).all(axis=2))
    above, middle = rows < drawn.shape[0] // 2, drawn.shape[0] // 2
    # Above only the missed box, below only the false one; nothing near the car that was found.
    assert columns[above].min() > 590 and columns[above].max() < 710
    assert columns[~above].min() > 890 and columns[~above].max() < 990
    assert (rows[above] < middle).all() and drawn.shape[1] == SIZE[1]


def test_an_image_without_mistakes_has_no_sheet(small_h5):
    store = open_store(small_h5)
    true = truths(store, "test", MERGED.lookup(store.class_names))
    found = [
        Detections(t.boxes[t.classes >= 0], np.full((t.classes >= 0).sum(), 0.9), t.classes[t.classes >= 0])
        for t in true
    ]
    found[2] = NOTHING
    sheets = worst_sheets(store["test"], true, found, outcomes(true, found, 0.3), MERGED.names, 0.3, 10)
    assert list(sheets) == [store["test"].ids[2]]


def test_lines_of_the_curves_are_the_precisions():
    # One of two cars is found: precision 1 up to recall 1/2, 51 of 101 recalls; KITTI samples recall 0 alone.
    truth = Truth([BOX, (600, 200, 700, 260)], [0, 0], SIZE, names=["Car", "Car"])
    found = Detections([BOX], [0.9], [0])
    (line,) = figures.coco_curves([truth], [found], ["Car", "Truck"]).axes[0].lines
    assert line.get_ydata().sum() == pytest.approx(51) and line.get_xdata()[50] == pytest.approx(0.5)
    assert line.get_label() == "car, AP50 0.505"
    (line,) = figures.kitti_curves([truth], [found], ["Car", "Truck"]).axes[0].lines
    assert line.get_ydata().sum() == 1 and line.get_label() == "car, AP40 0.0 %"


def test_the_confusion_matrix_is_drawn_with_its_numbers():
    matrix = np.zeros((4, 4), int)
    matrix[0, 0], matrix[0, 3], matrix[3, 2] = 7, 3, 1234
    axis = figures.confusion_matrix(matrix, ["car", "tram", "truck"]).axes[0]
    assert {text.get_text(): text.get_position() for text in axis.texts} == {"7": (0, 0), "3": (2, 0), "1,234": (1, 2)}
    assert [label.get_text() for label in axis.get_xticklabels()] == ["car", "truck", "not detected"]  # tram is neither
    many = [str(k) for k in range(80)]
    assert not figures.confusion_matrix(np.eye(81, dtype=int), many).axes[0].texts


CASES = {
    "nothing at all": (Truth([], [], SIZE, names=[]), NOTHING),
    "only DontCare": (Truth([BOX], [-1], SIZE, names=["DontCare"]), Detections([BOX], [0.9], [0])),
    "no detections": (Truth([BOX], [0], SIZE, names=["Car"]), NOTHING),
    "no truth": (Truth([], [], SIZE, names=[]), Detections([BOX], [0.9], [0])),
    "names unknown to KITTI": (Truth([BOX], [0], SIZE, names=["Box"]), Detections([BOX], [0.9], [0])),
}


@pytest.mark.parametrize("case", CASES)
def test_figures_of_degenerate_detections(case):
    truth, found = CASES[case]
    names = ["car", "tram"]
    drawn = [
        figures.coco_curves([truth], [found], names),
        figures.confusion_matrix(confusion([truth], outcomes([truth], [found], 0.3), 2), names),
        figures.score_histograms([truth], [found], names),
    ]
    for figure in drawn:
        picture = pixels(figure)
        assert picture.dtype == np.uint8 and picture.shape[2] == 3 and picture.min() < 128 < picture.max()
    has_car = truth.names == ("Car",)
    assert (figures.kitti_curves([truth], [found], names) is not None) == has_car


def test_a_detector_that_finds_nothing_gets_a_page(small_model, small_h5, tmp_path, monkeypatch):
    monkeypatch.setattr("yolo_prune.detector.YoloV2.detect", lambda self, images, *_: [NOTHING] * len(images))
    result = run_evaluate(small_model, small_h5, bootstrap=10, report=tmp_path / "r")
    assert result["intervals"]["coco"]["car"]["AP50"] == [0.0, 0.0]
    assert result["intervals"]["one_to_one"]["car"]["precision"] is None
    assert (tmp_path / "r/report.html").is_file() and "- " in evaluate_table(result)
