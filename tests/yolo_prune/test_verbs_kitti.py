"""`kitti-eval` on small folders of text files."""

import json

import pytest

from run_tools.cli import Verb, main
from run_tools.errors import InputError
from yolo_prune.verbs_kitti import KittiEval, kitti_eval, table

TRUE = "Car 0.00 0 1.96 100.00 100.00 200.00 150.00 1.49 1.76 4.01 -15.71 2.16 38.26 1.57\n"
FOUND = "Car -1 -1 -10 100.00 100.00 200.00 150.00 -1 -1 -1 -1000 -1000 -1000 -10 0.90\n"


@pytest.fixture
def folders(tmp_path):
    for name, lines in (("label_2", {"000001": TRUE, "000002": ""}), ("results", {"000001": FOUND, "000002": ""})):
        (tmp_path / name).mkdir()
        for sample, text in lines.items():
            (tmp_path / name / f"{sample}.txt").write_text(text)
    return tmp_path


def run(folders):
    return kitti_eval(KittiEval(folders / "label_2", folders / "results"))


def test_a_found_car(folders):
    # One of one found: sample 0 alone, 100/11; nothing is known of other classes.
    result = run(folders)
    assert result["car"]["hard"] == {"AP11": pytest.approx(100 / 11), "AP40": 0.0}
    assert result["cyclist"]["hard"] == {"AP11": None, "AP40": None}
    assert table(result).splitlines()[2].split() == ["car", *["9.09", "0.00"] * 3]


def test_images_without_result_files_are_left_out_and_told(folders, capsys):
    (folders / "label_2" / "000003.txt").write_text(TRUE)
    assert run(folders)["car"]["easy"]["AP11"] == pytest.approx(100 / 11)
    assert "2 images evaluated; 1 label files have no result file" in capsys.readouterr().err


def test_an_empty_result_file_is_an_image_without_detections(folders):
    (folders / "results" / "000001.txt").write_text("")
    assert run(folders)["car"]["easy"] == {"AP11": 0.0, "AP40": 0.0}


def test_types_are_read_as_the_devkit_reads_them(folders):
    """It compares without regard to case, knows no list of types, and skips columns 2 and 3 of a detection."""
    path = folders / "results" / "000001.txt"
    low = "bus -1 -1 -10 100 100 200 120 -1 -1 -1 -1000 -1000 -1000 -10 0.95\n"
    path.write_text(FOUND.replace("Car -1 -1", "car 0.25 -10") + low.replace("120", "180"))
    (folders / "label_2" / "000001.txt").write_text(TRUE.replace("Car", "CAR") + TRUE.replace("Car", "Bus"))
    assert run(folders)["car"]["hard"]["AP11"] == pytest.approx(100 / 11)
    # Lower than 25 pixels a detection of any type may hold a true box, here Bus of 24 the car, so that none is found.
    (folders / "label_2" / "000001.txt").write_text(TRUE.replace("150.00", "125.50"))
    path.write_text(FOUND.replace("150.00", "125.50") + low.replace("120", "124.9"))
    assert run(folders)["car"]["hard"]["AP11"] == 0.0


def test_the_devkits_own_folder_of_results(folders):
    (folders / "results" / "data").mkdir()
    for path in (folders / "results").glob("*.txt"):
        path.rename(path.parent / "data" / path.name)
    assert run(folders)["car"]["easy"]["AP11"] == pytest.approx(100 / 11)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: (f / "label_2" / "000001.txt").unlink(), "000001.txt without a label file"),
        (lambda f: (f / "results" / "000001.txt").write_text(TRUE), "lines of 15 columns"),
        (lambda f: [path.unlink() for path in (f / "results").iterdir()], "without .txt files"),
        (lambda f: (f / "results").rename(f / "elsewhere"), "which is not a folder"),
    ],
)
def test_mistakes_are_told(folders, spoil, message):
    spoil(folders)
    with pytest.raises(InputError, match=message):
        run(folders)


def test_a_folder_that_is_called_like_a_file_is_none(folders):
    (folders / "results" / "000007.txt").mkdir()
    assert run(folders)["car"]["easy"]["AP11"] == pytest.approx(100 / 11)


def test_from_the_command_line(folders, capsys):
    verb = Verb("kitti-eval", KittiEval, kitti_eval, table, "yolo-prune kitti-eval label_2 results --json R.json")
    arguments = ["kitti-eval", str(folders / "label_2"), str(folders / "results"), "--json", str(folders / "R.json")]
    assert main("yolo-prune", [verb], arguments) == 0
    assert json.loads((folders / "R.json").read_text())["car"]["easy"]["AP11"] == pytest.approx(100 / 11)
    assert "easy AP11" in capsys.readouterr().out
    assert main("yolo-prune", [verb], ["kitti-eval", str(folders / "label_2"), "nowhere"]) == 2
