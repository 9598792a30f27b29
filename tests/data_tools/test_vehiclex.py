"""VehicleX: label files of every encoding, both releases, every way in which files and labels can disagree."""

import pickle

import numpy as np
import pytest

from data_tools import DataCompiler, VehicleXExtractor, open_store, verify
from data_tools.cli import main
from data_tools.label_extractor import read_vector
from data_tools.vehiclex_labels import COLOURS, TYPES, read_labels, read_list
from run_tools.errors import InputError

from .conftest import vehiclex_item, vehiclex_xml

BOMB = """<?xml version="1.0"?>
<!DOCTYPE lolz [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]>
<TrainingImages><Items><Item typeID="0" imageName="&c;.jpg"/></Items></TrainingImages>
"""


def compile_into(root, out, **options):
    return DataCompiler(VehicleXExtractor(root), progress=False, **options).compile(out)


def test_types_and_colours_are_the_published_ones(prune_data):
    assert read_list(prune_data / "vehiclex_list_type.txt", ()) == TYPES
    assert len(TYPES) == 11 and len(COLOURS) == 12


def test_a_list_with_blanks_tabs_and_a_missing_last_line_end(tmp_path):
    (tmp_path / "list.txt").write_bytes(b"0 sedan \r\n1 suv\r\n2 mpv \t\r\n3 RV")
    assert read_list(tmp_path / "list.txt", ()) == ("sedan", "suv", "mpv", "RV")
    assert read_list(tmp_path / "none.txt", ("a", "b")) == ("a", "b")
    (tmp_path / "list.txt").write_text("0 sedan\n2 suv\n")
    with pytest.raises(InputError, match="'2 suv' in .* line 2; expected 1 and a name"):
        read_list(tmp_path / "list.txt", ())


def test_every_attribute_of_an_item(tmp_path):
    (tmp_path / "a.xml").write_text(vehiclex_xml([vehiclex_item("0007_c012_33.jpg", 7, 12, 10, 266.1)]))
    (label,) = read_labels(tmp_path / "a.xml")
    assert (label.name, label.type_id) == ("0007_c012_33", 10)
    assert label.attributes == {
        "vehicle_id": 7, "colour": 7, "camera": 12, "orientation": 266.1, "light_intensity": 50.5,
        "light_direction": -12.0, "camera_height": 3.4, "camera_distance": 10.1,
    }  # fmt: skip


@pytest.mark.parametrize("encoding", ["gb2312", "GBK", "utf-8", "utf-16", "latin-1", "ascii"])
def test_encodings(tmp_path, encoding):
    item = vehiclex_item("0001_c001_1.jpg", 1, 1, 0, 0.0)
    comment = "" if encoding in ("latin-1", "ascii") else "<!-- 车辆 -->\n"
    (tmp_path / "a.xml").write_bytes(vehiclex_xml([comment + item], encoding).encode(encoding))
    assert read_labels(tmp_path / "a.xml")[0].name == "0001_c001_1"


def test_a_byte_order_mark_and_no_declaration(tmp_path):
    text = vehiclex_xml([vehiclex_item("0001_c001_1.jpg", 1, 1, 0, 0.0)]).split("\n", 1)[1]
    (tmp_path / "a.xml").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert len(read_labels(tmp_path / "a.xml")) == 1


GOOD = vehiclex_item("0001_c001_1.jpg", 1, 1, 0, 0.0)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (BOMB, "document type or entities"),
        ('<!DOCTYPE a SYSTEM "file:///etc/passwd"><TrainingImages/>', "document type or entities"),
        ("<TrainingImages><Items>", "is no XML"),
        ("", "is no XML"),
        ("<Other/>", "with Other and 0 Items"),
        (vehiclex_xml([]), "0 Items"),
        (vehiclex_xml([GOOD.replace('typeID="0"', 'typeID="11"')]), "unknown typeID 11 .*expected 0 to 10"),
        (vehiclex_xml([GOOD.replace('typeID="0"', 'typeID="-1"')]), "typeID '-1'.*a whole number"),
        (vehiclex_xml([GOOD.replace('typeID="0" ', "")]), r"no typeID in Item 1 of .* \(0001_c001_1.jpg\)"),
        (vehiclex_xml([GOOD.replace('colorID="1"', 'colorID="12"')]), "unknown colorID 12 .*expected 0 to 11"),
        (vehiclex_xml([GOOD.replace('camHei="3.4"', 'camHei="nan"')]), "camHei 'nan'.*a finite number"),
        (vehiclex_xml([GOOD.replace('"c001"', '"x1"')]), "cameraID 'x1'"),
        (vehiclex_xml([GOOD.replace("0001_c001_1.jpg", "../../a.jpg")]), "without folders"),
        (vehiclex_xml([GOOD, '<Item typeID="1" imageName="b.jpg"/>']), r"no camDis in Item 2 of .* \(b.jpg\)"),
    ],
)  # fmt: skip
def test_a_bad_label_file_is_one_line(tmp_path, text, told):
    (tmp_path / "a.xml").write_text(text)
    with pytest.raises(InputError, match=told) as raised:
        read_labels(tmp_path / "a.xml")
    assert "\n" not in str(raised.value) and "a.xml" in str(raised.value)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b'<?xml version="1.0" encoding="klingon"?><a/>', "encoding 'klingon'"),
        (b'<?xml version="1.0" encoding="gb2312"?><a>\xff\xff</a>', "byte 42 .* is no gb2312"),
        # Codecs whose errors name no byte.
        (b'<?xml version="1.0" encoding="undefined"?><a/>', "a.xml, which is no undefined"),
        (b'<?xml version="1.0" encoding="punycode"?><a b="c-d"/>', "a.xml, which is no punycode"),
    ],
)
def test_undecodable_bytes(tmp_path, data, told):
    (tmp_path / "a.xml").write_bytes(data)
    with pytest.raises(InputError, match=told):
        read_labels(tmp_path / "a.xml")


def test_the_image_release(make_vehiclex, tmp_path):
    root = make_vehiclex(4, encoding="gb2312")
    result = compile_into(root, tmp_path / "a.h5")
    assert result["split"] == "standard" and result["image_size"] == [24, 32]
    store = open_store(tmp_path / "a.h5")
    assert store.kind == "classification" and store.content == "images" and store.input_shape == (24, 32, 3)
    assert store.class_names == TYPES and store.source == "VehicleX" and store.names == {"colour": COLOURS}
    view = store["val"]
    assert view.ids == ["0001_c002_4", "0002_c002_5", "0003_c002_6", "0004_c002_7"]
    np.testing.assert_array_equal(view.labels, [0, 1, 2, 3])
    np.testing.assert_array_equal(view.columns["vehicle_id"], [1, 2, 3, 4])
    np.testing.assert_array_equal(view.columns["camera"], [2, 2, 2, 2])
    np.testing.assert_allclose(view.columns["orientation"], [40, 50, 60, 70])
    np.testing.assert_allclose(view.columns["light_direction"], -12.0)
    extractor = VehicleXExtractor(root)
    expected = np.stack([extractor.read_image(extractor.sample(i)) for i in view.ids])
    np.testing.assert_array_equal(view.images(slice(None)), expected)
    with pytest.raises(InputError, match="holds images; expected a file of features"):
        view.features([0])
    assert verify(tmp_path / "a.h5")["splits"]["test"] == {"images": 4, "classes": 4}


@pytest.mark.parametrize("task_folder", ["", "Classification Task", "ClassificationTask"])
def test_one_label_file_for_all_takes_the_split_from_the_folders(make_vehiclex, task_folder):
    extractor = VehicleXExtractor(make_vehiclex(3, one_file=True, task_folder=task_folder))
    splits = extractor.standard_splits()
    assert {name: len(ids) for name, ids in splits.items()} == {"train": 3, "val": 3, "test": 3}
    assert splits["test"][0] == "0001_c003_6"


def test_all_images_together_have_no_split_of_their_own(make_vehiclex, tmp_path):
    root = make_vehiclex(2, one_file=True)
    (root / "images").mkdir()
    for split in ("train", "val", "test"):
        for path in (root / split).iterdir():
            path.rename(root / "images" / path.name)
        (root / split).rmdir()
    assert VehicleXExtractor(root).standard_splits() is None
    result = compile_into(root, tmp_path / "a.h5", fractions=(0.4, 0.3, 0.3))
    assert result["split"] == "stratified" and [s["images"] for s in result["splits"].values()] == [2, 2, 2]


def test_the_feature_release(make_vehiclex, tmp_path):
    root = make_vehiclex(4, features=True, width=5)
    result = compile_into(root, tmp_path / "a.h5")
    assert result["content"] == "features" and result["feature_width"] == 5
    store = open_store(tmp_path / "a.h5", "classification")
    view = store["train"]
    expected = np.stack([np.load(root / "train" / f"{name}.npy") for name in view.ids])
    np.testing.assert_array_equal(view.features(slice(None)), expected)
    np.testing.assert_array_equal(view.features([3, 0, 3]), expected[[3, 0, 3]])
    assert view.feature_memmap.shape == (4, 5) and view.image_memmap is None and view.original_size is None
    with pytest.raises(InputError, match="holds feature vectors; expected a file of images"):
        view.images([0])


def test_ids_of_four_digits_in_labels_and_five_in_file_names(make_vehiclex):
    root = make_vehiclex(2, features=True)
    for path in (root / "train").iterdir():
        path.rename(path.with_name("0" + path.name))
    extractor = VehicleXExtractor(root)
    assert extractor.standard_splits()["train"] == ["00001_c001_0", "00002_c001_1"]
    assert extractor.sample("00002_c001_1").label == "suv"


def test_jpg_in_the_labels_and_npy_on_disk(make_vehiclex):
    root = make_vehiclex(2, features=True)
    for path in root.glob("*.xml"):
        path.write_text(path.read_text().replace(".npy", ".jpg"))
    assert VehicleXExtractor(root).content == "features"


def test_the_same_bytes_every_time(make_vehiclex, tmp_path):
    for features in (False, True):
        root = make_vehiclex(5, features=features, name=f"root{features}")
        for name, workers in (("a", 1), ("b", 3)):
            compile_into(root, tmp_path / f"{name}.h5", workers=workers)
        assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()
        assert not list(tmp_path.glob("*.partial*"))


def test_resized_and_limited(make_vehiclex, tmp_path):
    result = compile_into(make_vehiclex(6), tmp_path / "a.h5", image_size=(20, 10), limit=9)
    assert sum(split["images"] for split in result["splits"].values()) == 9
    view = open_store(tmp_path / "a.h5")["train"]
    assert view.images(0).shape == (1, 20, 10, 3)
    np.testing.assert_array_equal(view.original_size, [[24, 32]] * len(view))


def test_tasks(make_vehiclex, tmp_path):
    compile_into(make_vehiclex(13), tmp_path / "a.h5")
    store = open_store(tmp_path / "a.h5")
    assert store.tasks == ("type", "vehicle", "colour", "camera")
    types = store.task()
    # 13 vehicles of types 0-10, 0, 1.
    np.testing.assert_array_equal(types.counts("train"), [2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1])
    ten = store.task("vehicle", 10)
    assert ten.class_names[0] == "0001" and ten.class_names[-1] == "0010" and len(ten.class_names) == 10
    np.testing.assert_array_equal(ten.rows["test"], np.arange(10))
    np.testing.assert_array_equal(ten.labels["test"], np.arange(10))
    # Every camera is in one split; the classes' order is that of the file all the same.
    cameras = store.task("camera")
    assert cameras.class_names == ("c001", "c002", "c003")
    assert [cameras.counts(split).tolist() for split in store.splits] == [[13, 0, 0], [0, 13, 0], [0, 0, 13]]
    assert store.task("colour").class_names == COLOURS
    assert store.task("colour").counts("val").tolist() == [1, 2] + [1] * 10  # vehicles 1 and 13 share colour 1
    for bad, told in ((("vehicle", 14), "1 to 13"), (("vehicle", 0), "1 to 13"), (("colur",), "did you mean 'colour'")):
        with pytest.raises(InputError, match=told):
            store.task(*bad)


def test_a_detection_file_is_told_from_a_classification_file(make_vehiclex, make_kitti, tmp_path):
    from data_tools import KittiExtractor, batches, label_batches

    compile_into(make_vehiclex(2), tmp_path / "labels.h5")
    DataCompiler(KittiExtractor(make_kitti(6)), (32, 64), progress=False).compile(tmp_path / "boxes.h5")
    assert open_store(tmp_path / "boxes.h5").kind == "detection"
    with pytest.raises(InputError, match="labels.h5, a classification file; expected a detection file"):
        batches(tmp_path / "labels.h5", "train", 2)
    with pytest.raises(InputError, match="boxes.h5, a detection file; expected a classification file"):
        label_batches(tmp_path / "boxes.h5", "train", 2)


def break_folder(root, how):
    """Makes one thing wrong in a folder of four vehicles."""
    train = sorted((root / "train").iterdir())
    if how == "no xml":
        for path in root.glob("*.xml"):
            path.unlink()
    elif how == "one xml missing":
        (root / "val_label.xml").unlink()
    elif how == "missing file":
        train[0].unlink()
    elif how == "no label":
        train[0].rename(train[0].with_name("0099_c001_1.jpg"))
    elif how == "wrong split":
        train[0].rename(root / "val" / train[0].name)
    elif how == "twice":
        (root / "val_label.xml").write_bytes((root / "train_label.xml").read_bytes())
    elif how == "no files":
        for path in root.rglob("*.jpg"):
            path.unlink()
    elif how == "cut off":
        train[1].write_bytes(train[1].read_bytes()[:-100])
    elif how == "both kinds":
        np.save(train[0].with_suffix(".npy"), np.zeros(3))
        train[0].unlink()


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("no xml", "without label files; expected train_label.xml, val_label.xml, test_label.xml or finegrained"),
        ("one xml missing", "val without val_label.xml; expected it beside train_label.xml, test_label.xml"),
        ("missing file", r"no file for Item 1 of .*train_label.xml \(0001_c001_0.jpg\) \(one of 1 such\)"),
        ("no label", "0099_c001_1.jpg, which is not in train_label.xml"),
        ("wrong split", "0001_c001_0.jpg, which is not in val_label.xml"),
        ("twice", "expected each image once"),
        ("no files", "no images and no .npy files"),
        ("cut off", "cut off"),
        ("both kinds", "both images and .npy files"),
    ],
)
def test_files_and_labels_that_disagree(make_vehiclex, tmp_path, capsys, how, told):
    import re

    root = make_vehiclex(4)
    break_folder(root, how)
    assert main(["compile", "vehiclex", str(root), str(tmp_path / "a.h5")]) == 2
    error = capsys.readouterr().err
    line = next(line for line in error.splitlines() if "error:" in line)
    assert re.search(told, line), line
    assert not list(tmp_path.glob("a.h5*"))


def test_skip_missing(make_vehiclex, tmp_path, capsys):
    root = make_vehiclex(4)
    break_folder(root, "missing file")
    assert main(["compile", "vehiclex", str(root), str(tmp_path / "a.h5"), "--skip-missing"]) == 0
    assert "1 Items without a file left out (0001_c001_0" in capsys.readouterr().out
    assert len(open_store(tmp_path / "a.h5")["train"]) == 3


class Trap:
    """Unpickling it would write a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


def test_pickles_are_refused_unopened(tmp_path):
    sprung = tmp_path / "sprung"
    np.save(tmp_path / "object.npy", np.array([Trap(str(sprung))], object), allow_pickle=True)
    (tmp_path / "raw.npy").write_bytes(pickle.dumps(Trap(str(sprung))))
    for name in ("object.npy", "raw.npy"):
        with pytest.raises(InputError, match=f"{name} that holds pickled Python objects"):
            read_vector(tmp_path / name)
    assert not sprung.exists()


@pytest.mark.parametrize(
    ("array", "told"),
    [
        (np.zeros((2, 3)), r"float64 \(2, 3\)"),
        (np.zeros(0), r"float64 \(0,\)"),
        (np.array(["a"]), "one row of real numbers"),
        (np.array([1j]), "one row of real numbers"),
        (np.array([0.0, np.nan]), "nan as number 2"),
        (np.array([1e300]), "inf as number 1"),
    ],
)
def test_vectors_that_are_none(tmp_path, array, told):
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(InputError, match=told):
        read_vector(tmp_path / "a.npy")


def test_vectors_as_rows_columns_and_of_other_types(tmp_path):
    for array in (np.arange(4.0), np.arange(4.0)[:, None], np.arange(4, dtype=np.int16)[None]):
        np.save(tmp_path / "a.npy", array)
        found = read_vector(tmp_path / "a.npy")
        np.testing.assert_array_equal(found, [0, 1, 2, 3])
        assert found.dtype == np.float32
    (tmp_path / "a.npy").write_bytes((tmp_path / "a.npy").read_bytes()[:-3])
    with pytest.raises(InputError, match="cut off"):
        read_vector(tmp_path / "a.npy")
    (tmp_path / "a.npy").write_bytes(b"")
    with pytest.raises(InputError, match="a.npy"):
        read_vector(tmp_path / "a.npy")


def test_vectors_of_unequal_length(make_vehiclex, tmp_path, capsys):
    root = make_vehiclex(4, features=True)
    odd = sorted((root / "val").iterdir())[2]
    np.save(odd, np.zeros(7, np.float32))
    assert main(["compile", "vehiclex", str(root), str(tmp_path / "a.h5")]) == 2
    error = capsys.readouterr().err
    assert f"a vector of 7 numbers in {odd}" in error and "8, as in 11 of 12 files" in error
    assert not list(tmp_path.glob("a.h5*"))


def test_a_size_for_vectors_is_refused(make_vehiclex, tmp_path):
    with pytest.raises(InputError, match="leave --size out"):
        compile_into(make_vehiclex(2, features=True), tmp_path / "a.h5", image_size=(8, 8))
    with pytest.raises(InputError, match="leave --encoded out"):
        compile_into(make_vehiclex(2, features=True, name="b"), tmp_path / "a.h5", encoded=True)
