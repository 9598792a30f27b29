"""Reading a compiled file: gathers, threads, pickles, and every way in which it can be wrong."""

import concurrent.futures
import pickle

import h5py
import numpy as np
import pytest

from data_tools import DataCompiler, KittiExtractor, open_store, verify
from data_tools.schema import SCHEMA, damage_named
from run_tools.errors import InputError


@pytest.fixture(params=[False, True], ids=["raw", "encoded"])
def file(request, make_kitti, tmp_path):
    """A compiled file of 20 images in ten drives."""
    path = tmp_path / "a.h5"
    extractor = KittiExtractor(make_kitti(20, drives=10))
    DataCompiler(extractor, (32, 64), encoded=request.param, progress=False).compile(path)
    return path


def images_of(path, split):
    """All images of a split by the slow and sure way."""
    import cv2

    with h5py.File(path) as file:
        if "images" in file[split]:
            return file[split]["images"][()]
        return np.stack([cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1] for data in file[split]["encoded"]])


def test_any_order_repeats_and_slices(file):
    view, expected = open_store(file)["train"], images_of(file, "train")
    n = len(view)
    for indices in (
        [3, 0, 3, 1],
        [-1, -n],
        np.array([2], np.uint8),
        [],
        4,
        np.int64(-2),
        slice(1, 9, 3),
        slice(None),
        range(3),
    ):
        found = view.images(indices)
        wanted = expected[np.r_[indices].astype(int) if not isinstance(indices, slice) else indices]
        np.testing.assert_array_equal(found, wanted)
        assert found.dtype == np.uint8 and found.flags.owndata and found.flags.writeable


def test_wrong_indices(file):
    view = open_store(file)["train"]
    for bad in ([len(view)], [-len(view) - 1], 10**9):
        with pytest.raises(IndexError, match="expected"):
            view.images(bad)
    for bad in ([0.5], "a", [[0, 1]], [True, False]):
        with pytest.raises(TypeError, match="whole numbers"):
            view.images(bad)
    for read in (view.boxes, view.classes, view.truncated, view.occluded):
        with pytest.raises(IndexError, match="split 'train'"):
            read(len(view))
        np.testing.assert_array_equal(read(-1), read(len(view) - 1))


def test_many_threads_read_the_same(file):
    view, expected = open_store(file)["train"], images_of(file, "train")
    order = np.random.default_rng(0).integers(0, len(view), (64, 4))
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for indices, found in zip(order, pool.map(view.images, order), strict=True):
            np.testing.assert_array_equal(found, expected[indices])


def test_a_pickled_store_reads_the_same(file):
    store = open_store(file)
    store["train"].images([0])  # opens what must not be pickled
    data = pickle.dumps(store)
    assert len(data) < 20_000  # no pixels inside
    again = pickle.loads(data)
    assert (again.splits, again.class_names, again.image_size) == (store.splits, store.class_names, store.image_size)
    np.testing.assert_array_equal(again["train"].images([5, 2]), store["train"].images([5, 2]))
    np.testing.assert_array_equal(again["train"].boxes(2), store["train"].boxes(2))


def test_the_file_may_be_opened_by_a_relative_path_and_left_behind(file, monkeypatch, tmp_path_factory):
    monkeypatch.chdir(file.parent)
    store = open_store(file.name)
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert pickle.loads(pickle.dumps(store))["train"].images([0]).shape == (1, 32, 64, 3)


def test_an_unknown_split_is_named(file):
    store = open_store(file)
    assert "train" in store and "all" not in store
    with pytest.raises(InputError, match="received split 'all'; expected one of train, val, test"):
        store["all"]


def test_a_good_file_verifies(file):
    found = verify(file)
    assert sum(split["images"] for split in found["splits"].values()) == 20
    assert found["checksums"] == 3 * 9  # eight columns and the images, three splits


@pytest.mark.parametrize("encoded", [False, True])
def test_files_are_alike_when_their_digests_are(make_kitti, tmp_path, encoded):
    root = make_kitti(20, drives=10)

    def digest(name, **options):
        options = {"encoded": encoded, "progress": False} | options
        DataCompiler(KittiExtractor(root), (32, 64), **options).compile(tmp_path / name)
        return open_store(tmp_path / name).digest()

    first = digest("a.h5")
    assert digest("b.h5") == first == pickle.loads(pickle.dumps(open_store(tmp_path / "a.h5"))).digest()
    others = [digest("seed.h5", seed=1), digest("limit.h5", limit=16)]
    label = root / "training" / "label_2" / "000003.txt"
    before = label.read_text()
    label.write_text(before.replace("Car ", "Van "))
    others.append(digest("label.h5"))
    label.write_text(before)
    image = root / "training" / "image_2" / "000003.png"
    image.write_bytes((root / "training" / "image_2" / "000004.png").read_bytes())
    others.append(digest("image.h5"))
    assert len({first, *others}) == 5


def tamper(path, change):
    with h5py.File(path, "r+") as file:
        change(file)


def put(name, index, value):
    """A change of one value in a dataset."""

    def change(file):
        file[name][index] = value

    return change


def replace(name, array):
    """A change of a whole dataset."""

    def change(file):
        del file[name]
        file[name] = array

    return change


def without(name):
    def change(file):
        del file[name]

    return change


def attribute(name, value):
    def change(file):
        file.attrs[name] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (attribute("schema", "others 3"), "schema 'others 3'; expected schema 'data_tools.detection 1'"),
        (lambda file: file.attrs.__delitem__("schema"), "schema 'none'"),
        (lambda file: file.attrs.__delitem__("source"), "without source"),
        (attribute("complete", False), "not complete"),
        (attribute("image_size", [32]), "damaged contents"),
        (attribute("class_names", "no json"), "damaged contents"),
        (lambda file: [file.__delitem__(name) for name in list(file)], "without splits"),
        (without("train/boxes"), "split train with .*; expected boxes"),
        (without("train/offsets"), "split train with"),
        (put("val/offsets", 1, 99), "offsets out of order"),
        (put("val/offsets", -1, 0), "offsets out of order"),
        (replace("val/boxes", np.zeros((1, 4))), "boxes as float64"),
        (replace("val/classes", np.zeros(1, np.int16)), r"classes as int16 \(1,\)"),
        (replace("val/truncated", np.zeros((1, 1), np.float32)), "truncated as"),
    ],
)
def test_a_file_that_breaks_the_schema_is_refused(file, change, message):
    tamper(file, change)
    for read in (open_store, verify):
        with pytest.raises(InputError, match=message) as caught:
            read(file)
        assert str(file) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put("train/boxes", (0, 2), 64.5), "box 0 10 64.5 30 of image .*expected a box inside 64x32"),
        (put("train/boxes", (0, 0), np.nan), "box nan 10"),
        (put("train/boxes", (0, 0), 60), "box 60 10"),
        (put("train/classes", 0, 8), "classes 8 of image"),
        (put("train/classes", 0, -2), "classes -2 of image"),
        (put("train/occluded", 0, 4), "occluded 4 of image"),
        (put("train/truncated", 0, 2), "truncated 2.0 of image"),
        (put("train/original_size", (0, 0), 0), "an original size of 0"),
        (put("train/boxes", (0, 0), 0.25), "train/boxes with SHA-256"),
        (put("val/classes", 0, 1), "val/classes with SHA-256"),
    ],
)
def test_verify_finds_bad_contents(file, change, message):
    with h5py.File(file) as opened:
        left = opened["train/boxes"][0, 0]
    tamper(file, change)
    open_store(file)  # cheap checks pass
    with pytest.raises(InputError, match=message.replace("box 0 10", f"box {left:g} 10")):
        verify(file)


def test_verify_finds_one_changed_pixel(file):
    def change(opened):
        name = "images" if "images" in opened["test"] else "encoded"
        if name == "images":
            opened["test/images"][0, 3, 4, 1] ^= 1
        else:
            data = opened["test/encoded"][0].copy()
            data[-20] ^= 1
            opened["test/encoded"][0] = data

    tamper(file, change)
    with pytest.raises(InputError, match="test/(images|encoded) with SHA-256"):
        verify(file)


def test_verify_finds_an_image_or_a_drive_in_two_splits(file):
    def twice(name):
        def change(opened):
            opened[f"val/{name}"][0] = opened[f"train/{name}"][0]

        return change

    tamper(file, twice("groups"))
    with pytest.raises(InputError, match="drive drive_000. in the splits train and val"):
        verify(file)
    tamper(file, twice("ids"))
    with pytest.raises(InputError, match=r"image \d+ in the splits train and val"):
        verify(file)
    tamper(file, lambda opened: opened["train/ids"].__setitem__(1, opened["train/ids"][0]))
    with pytest.raises(InputError, match=r"image \d+ twice in split train"):
        verify(file)


@pytest.mark.parametrize("part", [0.0, 0.01, 0.5, 0.95])
def test_a_cut_off_file_is_refused(file, part):
    data = file.read_bytes()
    file.write_bytes(data[: int(part * len(data))])
    for read in (open_store, verify):
        with pytest.raises(InputError, match="cut off|no HDF5 file"):
            read(file)


def test_no_hdf5_a_folder_and_nothing(tmp_path):
    (tmp_path / "a.h5").write_text("hello")
    with pytest.raises(InputError, match="no HDF5 file"):
        open_store(tmp_path / "a.h5")
    with pytest.raises(InputError, match="a folder"):
        open_store(tmp_path)
    with pytest.raises(InputError, match="nothing there"):
        open_store(tmp_path / "b.h5")


def test_chunked_images_are_refused(make_kitti, tmp_path):
    path = tmp_path / "a.h5"
    DataCompiler(KittiExtractor(make_kitti(3)), (32, 64), progress=False).compile(path)

    def change(opened):
        images = opened["train/images"][()]
        del opened["train/images"]
        opened["train"].create_dataset("images", data=images, chunks=(1, 32, 64, 3))

    tamper(path, change)
    with pytest.raises(InputError, match="images in chunks"):
        open_store(path)


def test_a_broken_encoded_image_is_named(make_kitti, tmp_path):
    path = tmp_path / "a.h5"
    DataCompiler(KittiExtractor(make_kitti(3)), (32, 64), encoded=True, progress=False).compile(path)
    tamper(path, put("val/encoded", 0, np.zeros(10, np.uint8)))
    with pytest.raises(InputError, match="encoded image 0 of val"):
        open_store(path)["val"].images([0])


@pytest.mark.parametrize(
    "error", [OSError("ran off"), KeyError("no"), ValueError("bad"), MemoryError(), OverflowError()]
)
def test_whatever_hdf5_says_of_damage_names_the_file(tmp_path, error):
    with pytest.raises(InputError, match="a.h5 with damaged contents"), damage_named(tmp_path / "a.h5"):
        raise error


def test_the_schema_has_a_version():
    assert SCHEMA.rsplit(" ", 1)[1].isdigit()
