"""The examples, and the page that walks through them, run as they stand, on the data set that one of them makes up."""

import csv
import os
import runpy
from pathlib import Path

import pytest

from data_tools import open_store, verify
from run_tools.errors import InputError
from run_tools.files import read_json
from yolo_prune.cli import main as yolo_prune

ROOT = Path(__file__).resolve().parents[1]
# 200x150 pixels to 224x160: x grows by 1.12, y by 16/15.
SIDES = (("left", 1.12), ("top", 16 / 15), ("right", 1.12), ("bottom", 16 / 15))


def load(name):
    return runpy.run_path(str(ROOT / "examples" / f"{name}.py"))


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A folder where `own_dataset.py parcels` was run, which is the working directory of this file's tests."""
    folder, before = tmp_path_factory.mktemp("work"), Path.cwd()
    os.chdir(folder)
    try:
        assert load("own_dataset")["main"]("parcels") == 0
        yield folder
    finally:
        os.chdir(before)


def page_blocks():
    """The page's pieces of Python."""
    page = (ROOT / "docs" / "own_dataset.md").read_text(encoding="utf-8")
    return [part.split("```")[0] for part in page.split("```python\n")[1:]]


def test_own_dataset_compiles_what_the_csv_says(work):
    verify(work / "parcels" / "parcels.h5")
    store = open_store(work / "parcels" / "parcels.h5")
    assert store.class_names == ("box", "tube") and store.image_size == (160, 224)
    with open(work / "parcels" / "boxes.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert sum(len(store[split].all_boxes) for split in store.splits) == len(rows) > 80
    belts = [{name.split("_")[0] for name in store[split].ids} for split in store.splits]
    assert sum(map(len, belts)) == len(set.union(*belts)) == 10  # no belt in two splits
    view = store["train"]
    for index, name in enumerate(view.ids):
        expected = [[float(row[side]) * by for side, by in SIDES] for row in rows if row["image"] == name]
        assert view.boxes(index).tolist() == [pytest.approx(row, rel=1e-6) for row in expected]


def test_own_dataset_keeps_photos_without_parcels(work):
    store = open_store(work / "parcels" / "parcels.h5")
    assert sum(len(store[split]) for split in store.splits) == 80
    assert any(not len(store["train"].boxes(index)) for index in range(len(store["train"])))


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("belt00_000,box,1,2,x,4", "boxes.csv; expected four numbers; correct the line"),
        ("belt00_000,box,1,2,3", "boxes.csv; expected four numbers; correct the line"),
        ("belt77_000,box,1,2,3,4", "received boxes of belt77_000; expected its photo in"),
    ],
)
def test_own_dataset_names_bad_lines(tmp_path, line, named):
    (tmp_path / "boxes.csv").write_text(f"image,class,left,top,right,bottom\n{line}\n")
    with pytest.raises(InputError) as caught:
        load("own_dataset")["ParcelExtractor"](tmp_path).ids()
    assert named in str(caught.value)


def test_train_plain_keras_and_the_pages_evaluation(work, capsys):
    assert load("train_plain_keras")["main"]("parcels/parcels.h5", "1") == 0
    assert (work / "detector.keras").is_file()
    assert "val_loss" in capsys.readouterr().out
    exec(compile(page_blocks()[-1], "docs/own_dataset.md", "exec"), {})
    printed = capsys.readouterr().out
    assert "AP50" in printed and "tube" in printed


@pytest.mark.slow
def test_the_pages_commands(work, capsys):
    page = (ROOT / "docs" / "own_dataset.md").read_text(encoding="utf-8")
    train, *evaluate = [line.split()[1:] for line in page.splitlines() if line.startswith("yolo-prune ")]
    assert train[0] == "train" and [words[0] for words in evaluate] == ["evaluate"] * 2
    # As they stand, but for how long and how large: the last of two equal options counts.
    short = ["--stages", "all:1:1e-3", "--widths", *"44444444", "--limit", "16"]
    assert yolo_prune(train + short) == 0
    if not Path("detector.keras").is_file():  # the test before may have left it
        load("train_plain_keras")["main"]("parcels/parcels.h5", "1")
    for words in evaluate:
        capsys.readouterr()
        assert yolo_prune([*words, "--json", "result.json"]) == 0
        assert "tube" in capsys.readouterr().out
        result = read_json("result.json")
        assert list(result["truth"]) == list(result["paper"]) == ["box", "tube"]
        counted = open_store("parcels/parcels.h5")["test"].all_classes
        assert list(result["truth"].values()) == [(counted == 0).sum(), (counted == 1).sum()]
    assert len(list(Path("seen").glob("belt*.png"))) > 5


def test_own_data_and_kittis_classes(work, capsys):
    assert yolo_prune(["train", "--data", "parcels/parcels.h5", "--out", "runs/merged"]) == 2
    assert "train with --classes data" in capsys.readouterr().err
    assert not Path("runs/merged").exists()


def test_the_page_quotes_the_example():
    code = (ROOT / "examples" / "own_dataset.py").read_text(encoding="utf-8")
    blocks = page_blocks()
    assert len(blocks) == 7
    for block in blocks[:-1]:
        assert block in code
