"""The demo, shrunk: everything it promises lies there, says that it is synthetic, and it can be run again."""

import html.parser
import json
import re

import cv2
import numpy as np
import pytest

from data_tools.store import open_store
from prune_tools.export import run_saved_model
from run_tools.folder import RunFolder
from yolo_prune import demo as demo_module
from yolo_prune import report
from yolo_prune.cli import main
from yolo_prune.models import load_detector
from yolo_prune.records import Detections, Truth

pytestmark = pytest.mark.slow
WORDS = ["--images", "30", "--epochs", "1", "--input", "416x128"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """(folder, what was printed) of one demo with small scenes."""
    out = tmp_path_factory.mktemp("demo") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo_module, "SCENE_SIZE", (128, 416))
        printed: list[str] = []
        patch.setattr(demo_module, "_say", printed.append)
        assert main(["demo", "--out", str(out), *WORDS]) == 0
    return out, "\n".join(printed)


class Links(html.parser.HTMLParser):
    """Every address and every text of a page."""

    def __init__(self):
        super().__init__()
        self.addresses, self.texts = [], []

    def handle_starttag(self, tag, attrs):
        assert tag not in ("script", "link", "iframe")
        self.addresses += [value for name, value in attrs if name in ("src", "href", "srcset", "data", "action")]

    def handle_data(self, data):
        self.texts.append(data)


def test_everything_is_there(finished):
    out, _ = finished
    result = json.loads((out / "demo.json").read_text())
    assert result["synthetic"] is True and result["report"] == str(out / "report.html") and result["seconds"] > 0
    assert set(result["export"]) == {"raw head", "detections"}
    for told in result["export"].values():
        assert told["max_difference"] <= 1e-4 and told["compared"] > 0
        assert (out / "run").joinpath(told["path"].rsplit("/", 1)[-1], "saved_model.pb").is_file()
    assert result["evaluation"]["run"]["images"] == 3 and "AP50" in result["evaluation"]["coco"]["car"]
    store = open_store(out / "street.h5")
    assert "synthetic" in store.source and store.image_size == (128, 416)
    assert [len(store[split]) for split in ("train", "val", "test")] == [24, 3, 3]
    # One picture an image of val, twelve at most.
    assert sorted(path.stem for path in (out / "detections").iterdir()) == sorted(store["val"].ids)
    model = load_detector(out / "run")
    answer = run_saved_model(out / "run" / "saved_model", np.zeros((1, *model.image_size, 3), np.uint8), "uint8")
    assert answer["boxes"].shape == (1, 100, 4)


def test_the_report_stands_alone(finished):
    out, _ = finished
    page = (out / "report.html").read_text()
    found = Links()
    found.feed(page)
    assert found.addresses and all(re.match(r"data:image/|#section-", address) for address in found.addresses)
    assert not re.search(r"url\(|@import|file:", page) and "http" not in "".join(found.texts)
    text = " ".join(" ".join(found.texts).split())
    for told in ("synthetic street scenes that the program rendered itself, not real images", "yolo-prune demo --out",
                 "--images 30 --epochs 1 --input 416x128 --seed 0", "tensorflow 2.", "CPUs", "AP50", "saved_model_raw",
                 "synthetic scene"):  # fmt: skip
        assert told in text, told
    # Three curves and three pictures, each with a caption.
    assert page.count("<img ") == page.count("<figcaption>") == 3 + 3


def test_the_screen_says_synthetic(finished, capsys):
    out, printed = finished
    assert "synthetic street scenes, not real images" in printed and "5/5 drawing detections in 3 scenes" in printed
    from yolo_prune.tables import demo_table

    table = demo_table(json.loads((out / "demo.json").read_text()))
    assert table.startswith("synthetic street scenes, not real images") and f"open {out / 'report.html'}" in table


def test_run_again_it_renders_and_trains_nothing(finished, monkeypatch, capsys):
    out, _ = finished
    before = json.loads((out / "demo.json").read_text())
    kept = {name: (out / name).stat().st_mtime_ns for name in ("street.h5", "run/best.keras", "run/last.keras")}
    (out / "report.html").unlink()
    monkeypatch.setattr(demo_module.street, "write", lambda *_: pytest.fail("rendered again"))
    monkeypatch.setattr(demo_module, "DataCompiler", lambda *_: pytest.fail("compiled again"))
    assert main(["demo", "--out", str(out), *WORDS]) == 0
    after = json.loads((out / "demo.json").read_text())
    assert after["evaluation"] == before["evaluation"] and (out / "report.html").is_file()
    assert {name: (out / name).stat().st_mtime_ns for name in kept} == kept
    assert "demo 3/5" in capsys.readouterr().out


def test_other_options_need_another_folder(finished, capsys):
    out, _ = finished
    assert main(["demo", "--out", str(out), *WORDS, "--images", "60"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "images: 30 there, 60 now" in error


@pytest.mark.parametrize(
    ("words", "told"),
    [(["--input", "416x100"], "416x96"), (["--images", "3"], "at least 30"), (["--epochs", "0"], "at least 1")],
)
def test_wrong_options_write_nothing(tmp_path, capsys, words, told):
    assert main(["demo", "--out", str(tmp_path / "run"), *words]) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1 and told in captured.err and captured.out == ""
    assert not (tmp_path / "run").exists()


def test_a_report_of_a_run_without_history_or_environment(tmp_path, finished):
    out, _ = finished
    evaluation = json.loads((out / "demo.json").read_text())["evaluation"]
    picture = cv2.imread(str(next((out / "detections").iterdir())))
    true, found = [Truth([], [], (32, 64))], [Detections([], [], [])]
    run = RunFolder(tmp_path)
    page = report.write_report(run, "Title", evaluation, true, found, ("car",), {"one": picture}, "Notes.")
    assert page == tmp_path / "report.html"
    text = page.read_text()
    assert "How this was made" in text and "CPUs" not in text and text.count("<img ") == 4
