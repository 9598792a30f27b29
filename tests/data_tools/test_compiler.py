"""From a folder to an HDF5 file: what is in it, how it is divided, what is refused."""

import collections
import csv
import hashlib
import pathlib
import textwrap
import time

import cv2
import h5py
import numpy as np
import pytest

from data_tools import Box, DataCompiler, DataExtractor, KittiExtractor, Sample, extractor, open_store, splits, verify
from data_tools.image_files import resize
from run_tools.errors import InputError


def compiler(root, size=(32, 64), **options):
    return DataCompiler(KittiExtractor(root), size, progress=False, **options)


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def edit(root, index, text):
    (root / "training" / "label_2" / f"{index:06d}.txt").write_text(text)


def test_images_boxes_and_columns(make_kitti, tmp_path):
    root = make_kitti(6)
    compiler(root, (64, 32), seed=1).compile(tmp_path / "a.h5")
    store = open_store(tmp_path / "a.h5")
    assert (store.splits, store.image_size, store.source) == (("train", "val", "test"), (64, 32), "KITTI 2D object")
    assert sorted(sum((store[s].ids for s in store.splits), [])) == [f"{i:06d}" for i in range(6)]
    for split in store.splits:
        view = store[split]
        for row, name in enumerate(view.ids):
            index = int(name)
            source = cv2.imread(str(root / "training" / "image_2" / f"{name}.png"))[..., ::-1]
            np.testing.assert_array_equal(view.images(row)[0], resize(source, (64, 32)))
            # 64x32 to 32x64: x is halved, y doubled. The Car is left, 10, left + 20.5, 30 with left = index.
            expected = [[index / 2, 20, index / 2 + 10.25, 60]]
            expected += [[20, 10, 24.25, 58]] * (index % 2 == 0) + [[25, 4, 30, 18]] * (index % 3 == 0)
            np.testing.assert_allclose(view.boxes(row), expected, rtol=1e-6)
            assert view.classes(row).tolist() == [0] + [3] * (index % 2 == 0) + [-1] * (index % 3 == 0)
            assert view.truncated(row).tolist() == [0] + [0.25] * (index % 2 == 0) + [-1] * (index % 3 == 0)
            assert view.occluded(row).tolist() == [0] + [2] * (index % 2 == 0) + [-1] * (index % 3 == 0)
            assert view.original_size[row].tolist() == [32, 64]


def test_the_schema_is_as_documented(make_kitti, tmp_path):
    compiler(make_kitti(10, drives=5)).compile(tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5") as file:
        assert {"schema", "source", "class_names", "image_size", "created_by", "complete"} <= set(file.attrs)
        assert file.attrs["complete"] and file.attrs["image_size"].tolist() == [32, 64]
        group = file["train"]
        kinds = {name: (str(d.dtype), d.shape[1:]) for name, d in group.items() if name not in ("ids", "groups")}
        assert kinds == {
            "images": ("uint8", (32, 64, 3)),
            "boxes": ("float32", (4,)),
            "classes": ("int16", ()),
            "truncated": ("float32", ()),
            "occluded": ("int8", ()),
            "offsets": ("int64", ()),
            "original_size": ("int32", (2,)),
        }
        assert group["images"].chunks is None and group["images"].id.get_offset() % 4096 == 0
        assert group["ids"].asstr()[0] == open_store(tmp_path / "a.h5")["train"].ids[0]


def test_same_bytes_at_another_time_with_other_threads(make_kitti, tmp_path):
    root = make_kitti(12, drives=6)
    compiler(root, workers=1).compile(tmp_path / "a.h5")
    time.sleep(1.1)  # HDF5's own times have a resolution of a second
    compiler(root, workers=5).compile(tmp_path / "b.h5")
    assert digest(tmp_path / "a.h5") == digest(tmp_path / "b.h5")
    compiler(root, seed=1).compile(tmp_path / "c.h5")
    assert digest(tmp_path / "a.h5") != digest(tmp_path / "c.h5")
    assert sorted(path.name for path in tmp_path.glob("*.h5*")) == ["a.h5", "b.h5", "c.h5"]


def test_encoded_holds_the_same_images(make_kitti, tmp_path):
    root = make_kitti(8)
    compiler(root).compile(tmp_path / "raw.h5")
    compiler(root, encoded=True, workers=3).compile(tmp_path / "png.h5")
    compiler(root, encoded=True, workers=1).compile(tmp_path / "again.h5")
    assert digest(tmp_path / "png.h5") == digest(tmp_path / "again.h5")
    raw, png = open_store(tmp_path / "raw.h5"), open_store(tmp_path / "png.h5")
    for split in raw.splits:
        order = list(range(len(raw[split])))[::-1]
        np.testing.assert_array_equal(raw[split].images(order), png[split].images(order))
        assert png[split].image_memmap is None and raw[split].image_memmap.shape[0] == len(order)


def test_drive_is_the_default_where_drives_are_known(make_kitti, tmp_path):
    result = compiler(make_kitti(20, drives=10)).compile(tmp_path / "a.h5")
    assert result["split"] == "drive" and "split by drive" in result["notes"][0]
    store = open_store(tmp_path / "a.h5")
    owners = [set(store[split].groups) for split in store.splits]
    assert sum(map(len, owners)) == len(set.union(*owners)) == 10
    assert [result["splits"][split]["groups"] for split in store.splits] == [len(owner) for owner in owners]


def test_random_is_the_default_without_drives(make_kitti, tmp_path):
    result = compiler(make_kitti(20)).compile(tmp_path / "a.h5")
    assert result["split"] == "random" and "at random" in result["notes"][0]
    assert [split["images"] for split in result["splits"].values()] == [16, 2, 2]
    # 20 Cars, 10 Pedestrians (even ids), 7 DontCare (0, 3, ..., 18)
    counts = [split["boxes"] for split in result["splits"].values()]
    assert [sum(c[name] for c in counts) for name in ("Car", "Pedestrian", "DontCare", "Van")] == [20, 10, 7, 0]


def test_standard_says_what_is_missing(make_kitti, tmp_path):
    root = make_kitti(12, drives=6)
    (root / "ImageSets").mkdir()
    (root / "ImageSets" / "train.txt").write_text("\n".join(f"{i:06d}" for i in [0, 1, 2, 3, 6, 7, 100, 101]))
    (root / "ImageSets" / "val.txt").write_text("\n".join(f"{i:06d}" for i in [4, 5, 10, 102]))
    result = compiler(root, split="standard").compile(tmp_path / "a.h5")
    assert result["notes"] == [
        "standard train list: 6 of 8 ids present, 2 missing",
        "standard val list: 3 of 4 ids present, 1 missing",
        "3 images are in no standard list and left out",
    ]
    assert open_store(tmp_path / "a.h5")["test"].ids == ["000004", "000005", "000010"]
    assert result["splits"]["val"]["groups"] == 1  # a tenth of four drives, one at least


def test_limit_takes_the_first_ids(make_kitti, tmp_path):
    compiler(make_kitti(12), limit=5).compile(tmp_path / "a.h5")
    store = open_store(tmp_path / "a.h5")
    assert sorted(sum((store[s].ids for s in store.splits), [])) == [f"{i:06d}" for i in range(5)]


def test_an_image_without_objects_is_kept(make_kitti, tmp_path):
    root = make_kitti(3)
    for index in range(3):
        edit(root, index, "")
    compiler(root).compile(tmp_path / "a.h5")
    view = open_store(tmp_path / "a.h5")["train"]
    assert len(view) == 1 and view.boxes(0).shape == (0, 4) and view.images([0]).shape == (1, 32, 64, 3)


def test_half_a_pixel_of_overhang_is_cut(make_kitti, tmp_path):
    root = make_kitti(3)
    for index in range(3):
        edit(root, index, "Car 0 0 0 -0.60 -1.00 64.52 33.00 1 1 1 1 1 1 1")
    compiler(root).compile(tmp_path / "a.h5")
    assert open_store(tmp_path / "a.h5")["val"].boxes(0).tolist() == [[0, 0, 64, 32]]


@pytest.mark.parametrize("box", ["-1.2 0 9 9", "0 -3 9 9", "50 0 65.1 9", "0 0 9 40", "64.5 1 64.9 9"])
def test_a_box_outside_the_image_is_refused(make_kitti, tmp_path, box):
    root = make_kitti(3)
    edit(root, 1, f"Car 0 0 0 1 1 9 9 1 1 1 1 1 1 1\nCar 0 0 0 {box} 1 1 1 1 1 1 1\n")
    with pytest.raises(InputError, match=r"000001\.txt, line 2; expected .* inside the image, 64x32"):
        compiler(root).compile(tmp_path / "a.h5")
    assert not list(tmp_path.glob("a.h5*"))


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_a_cut_off_image_is_refused(make_kitti, tmp_path, suffix):
    root = make_kitti(4, suffix=suffix)
    path = root / "training" / "image_2" / f"000002.{suffix}"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(InputError, match=rf"000002\.{suffix} that is cut off"):
        compiler(root).compile(tmp_path / "a.h5")
    assert not list(tmp_path.glob("a.h5*"))


def test_a_damage_found_while_decoding_leaves_nothing(make_kitti, tmp_path):
    root = make_kitti(6)
    path = root / "training" / "image_2" / "000002.png"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    path.write_bytes(data)
    (tmp_path / "a.h5").write_text("an older file")
    with pytest.raises(InputError, match="wrong checksum"):
        compiler(root).compile(tmp_path / "a.h5")
    assert [path.name for path in tmp_path.glob("a.h5*")] == ["a.h5"]
    assert (tmp_path / "a.h5").read_text() == "an older file"


@pytest.mark.parametrize(
    ("size", "near"), [((300, 400), "384x288 or 416x320"), ((375, 1242), "1216x352 or 1248x384"), ((0, 5), "use 32x32")]
)
def test_sizes_are_multiples_of_32(make_kitti, size, near):
    with pytest.raises(InputError, match=near):
        compiler(make_kitti(1), size)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "drive"}, "without drives"),
        ({"split": "standard"}, "without lists"),
        ({"split": "alphabetical"}, "one of drive, random, standard"),
        ({"fractions": (0.5, 0.1, 0.1)}, "sum 0.7"),
        ({"limit": 0}, "limit 0"),
        ({"workers": 0}, "workers 0"),
        ({"seed": -1}, "seed -1"),
    ],
)
def test_bad_options(make_kitti, options, message):
    with pytest.raises(InputError, match=message):
        compiler(make_kitti(1), **options)


def test_bad_outputs(make_kitti, tmp_path):
    root = make_kitti(3)
    with pytest.raises(InputError, match="a folder"):
        compiler(root).compile(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="a folder to write to"):
        compiler(root).compile(tmp_path / "file" / "a.h5")
    compiler(root).compile(tmp_path / "new" / "folder" / "a.h5")
    assert len(open_store(tmp_path / "new" / "folder" / "a.h5")["train"]) == 1


class Painted(DataExtractor):
    """A data set without files of images: pixels are computed, boxes too."""

    class_names = ("disc",)
    source = "painted discs"

    def __init__(self, folder, wrong=False):
        self.folder, self.wrong = folder, wrong

    def ids(self):
        return sorted(path.stem for path in self.folder.glob("*.disc"))

    def sample(self, sample_id):
        x, y, radius = map(int, (self.folder / f"{sample_id}.disc").read_text().split())
        return Sample(
            sample_id, self.folder / f"{sample_id}.disc", (Box("disc", x - radius, y - radius, x + radius, y + radius),)
        )

    def read_image(self, sample):
        box = sample.boxes[0]
        image = np.zeros((64, 96, 3), np.float32 if self.wrong else np.uint8)
        cv2.circle(image, (int(box.left + box.right) // 2, int(box.top + box.bottom) // 2), 5, (255, 0, 0), -1)
        return image


def test_a_data_set_of_ones_own(tmp_path):
    for index in range(5):
        (tmp_path / f"größe {index}.disc").write_text(f"{20 + index} 30 10")
    result = DataCompiler(Painted(tmp_path), (64, 96), progress=False).compile(tmp_path / "a.h5")
    assert result["splits"]["train"] == {"images": 3, "groups": None, "boxes": {"disc": 3, "DontCare": 0}}
    store = open_store(tmp_path / "a.h5")
    index = int(store["test"].ids[0].split()[1])
    assert store["test"].ids == [f"größe {index}"] and store["test"].groups is None
    assert store["test"].boxes(0).tolist() == [[10 + index, 20, 30 + index, 40]]
    assert store["test"].images(0)[0, 30, 20 + index].tolist() == [255, 0, 0]
    with pytest.raises(InputError, match="float32"):
        DataCompiler(Painted(tmp_path, wrong=True), (64, 96), progress=False).compile(tmp_path / "b.h5")
    with pytest.raises(InputError, match="without samples"):
        DataCompiler(Painted(tmp_path / "nowhere"), (64, 96), progress=False).compile(tmp_path / "b.h5")
    assert not list(tmp_path.glob("b.h5*"))


EXAMPLE = """photo_1,car,1,2,11,12
photo_1,bus,5,5,9,9
photo_2,bus,3,4,30,20
"""


def test_the_child_in_the_base_class_docstring_works(tmp_path, monkeypatch):
    """The example that users copy: run as it stands there, on a folder as it describes."""
    lines = extractor.__doc__.split("boxes:\n", 1)[1].splitlines()
    assert all(line.startswith("    ") or not line for line in lines)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "boxes.csv").write_text(EXAMPLE)
    for number in range(1, 5):
        cv2.imwrite(
            str(tmp_path / "photos" / f"photo{'' if number > 2 else '_'}{number}.png"), np.zeros((32, 32, 3), np.uint8)
        )
    monkeypatch.chdir(tmp_path)
    names = {"collections": collections, "csv": csv, "pathlib": pathlib, "Box": Box, "Sample": Sample}
    exec(textwrap.dedent("\n".join(lines)), names | {"DataExtractor": DataExtractor, "DataCompiler": DataCompiler})
    store = open_store(tmp_path / "photos.h5")
    assert store.class_names == ("car", "bus") and store.source == "my cameras, summer 2024"
    boxes = {name: store[s].classes(i).tolist() for s in store.splits for i, name in enumerate(store[s].ids)}
    assert boxes == {"photo_1": [0, 1], "photo_2": [1], "photo3": [], "photo4": []}


@pytest.mark.real
def test_real_drives_are_divided_well(prune_data, tmp_path):
    data = KittiExtractor(prune_data / "kitti")
    samples = {i: data.sample(i) for i in data.ids()}
    classes = ("Car", "Pedestrian", "Cyclist")
    counts = {i: [sum(b.class_name == c for b in s.boxes) for c in classes] for i, s in samples.items()}
    groups = {i: s.group for i, s in samples.items()}
    wanted = (0.7, 0.1, 0.2)
    found = splits.by_group(groups, counts, wanted)
    for share, ids in zip(wanted, found.values(), strict=True):
        assert len(ids) / 1141 == pytest.approx(share, abs=0.02)
        # README: 4,016 Cars, 1,579 Pedestrians, 1,627 Cyclists
        np.testing.assert_allclose(np.sum([counts[i] for i in ids], 0) / (4016, 1579, 1627), share, atol=0.03)
    standard = splits.standard(data.standard_splits(), list(samples), groups, counts)
    assert len(standard["test"]) == 627 and len(standard["train"]) + len(standard["val"]) == 514
    assert not {groups[i] for i in standard["val"]} & {groups[i] for i in standard["train"]}


@pytest.mark.real
@pytest.mark.parametrize("folder", ["kitti", "kitti_png"])
def test_real_images_compile(prune_data, tmp_path, folder):
    DataCompiler(KittiExtractor(prune_data / folder), (96, 320), limit=30, progress=False).compile(tmp_path / "a.h5")
    assert sum(split["images"] for split in verify(tmp_path / "a.h5")["splits"].values()) == 30
