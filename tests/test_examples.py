"""The examples run as they stand, on the small data set that one of them makes up."""

import csv
import runpy
import sys
from pathlib import Path

import pytest

from data_tools import open_store, verify
from run_tools.errors import InputError

ROOT = Path(__file__).resolve().parents[1]


def load(name):
    return runpy.run_path(str(ROOT / "examples" / f"{name}.py"))


@pytest.fixture(scope="module")
def parcels(tmp_path_factory):
    """The folder that `own_dataset.py` has filled."""
    folder = tmp_path_factory.mktemp("parcels")
    assert load("own_dataset")["main"](str(folder)) == 0
    return folder


def test_own_dataset_compiles_what_the_csv_says(parcels):
    verify(parcels / "parcels.h5")
    store = open_store(parcels / "parcels.h5")
    assert store.class_names == ("box", "tube") and store.image_size == (160, 224)
    with open(parcels / "boxes.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert sum(len(store[split].all_boxes) for split in store.splits) == len(rows) > 80
    belts = [{name.split("_")[0] for name in store[split].ids} for split in store.splits]
    assert sum(map(len, belts)) == len(set.union(*belts)) == 10  # no belt in two splits
    # 200x150 pixels to 224x160: x grows by 1.12, y by 16/15.
    view = store["val"]
    first = [row for row in rows if row["image"] == view.ids[0]]
    expected = [[float(row[side]) * factor for side, factor in SIDES] for row in first]
    assert view.boxes(0).tolist() == [pytest.approx(row, rel=1e-6) for row in expected]


SIDES = (("left", 1.12), ("top", 16 / 15), ("right", 1.12), ("bottom", 16 / 15))


def test_own_dataset_keeps_photos_without_parcels(parcels):
    store = open_store(parcels / "parcels.h5")
    assert sum(len(store[split]) for split in store.splits) == 80
    assert any(not len(store["train"].boxes(index)) for index in range(len(store["train"])))


def test_own_dataset_names_a_bad_line(parcels, tmp_path):
    (tmp_path / "boxes.csv").write_text("image,class,left,top,right,bottom\nbelt00_000,box,1,2,x,4\n")
    with pytest.raises(InputError, match="boxes.csv; expected four numbers; correct the line"):
        load("own_dataset")["ParcelExtractor"](tmp_path)


def test_train_plain_keras_trains_saves_and_detects(parcels, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "detector.keras"
    assert load("train_plain_keras")["main"](str(parcels / "parcels.h5"), "1", str(out)) == 0
    assert out.is_file()
    assert "val_loss" in capsys.readouterr().out


def test_the_readers_page_shows_the_extractor_of_the_example():
    page, code = (ROOT / "docs/own_dataset.md").read_text(), (ROOT / "examples/own_dataset.py").read_text()
    blocks = [part.split("```")[0] for part in page.split("```python\n")[1:]]
    assert blocks
    for block in blocks:
        for line in filter(str.strip, block.splitlines()):
            if "# not in the example" not in block:
                assert line.strip() in code, line


def test_examples_need_nothing_but_the_packages():
    for path in (ROOT / "examples").glob("*.py"):
        assert "sys.path" not in path.read_text()
    assert sys.version_info >= (3, 11)
