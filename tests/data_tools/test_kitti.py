"""KITTI's label files and folders, good and bad."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_tools.kitti import KITTI_CLASSES, KittiExtractor, format_label, parse_label, read_labels, write_labels
from data_tools.records import Box
from run_tools.errors import InputError

LINE = "Car 0.88 3 -0.69 0.00 192.37 402.31 374.00 1.60 1.57 3.23 -2.70 1.74 3.68 -1.29"
DONT_CARE = "DontCare -1 -1 -10 503.89 169.71 590.61 190.13 -1 -1 -1 -1000 -1000 -1000 -10"


def test_all_columns_are_kept():
    box = parse_label(LINE, "here")
    assert box == Box("Car", 0, 192.37, 402.31, 374, 0.88, 3, -0.69, 1.6, 1.57, 3.23, -2.7, 1.74, 3.68, -1.29)
    assert box.score is None
    assert parse_label(LINE + " 0.75", "here").score == 0.75


def test_dont_care_is_kept_as_such():
    box = parse_label(DONT_CARE, "here")
    assert (box.class_name, box.truncated, box.occluded, box.alpha, box.z) == ("DontCare", -1, -1, -10, -1000)
    assert format_label(box) == DONT_CARE


number = st.floats(-900, 900).map(lambda value: round(value, 2))


@settings(max_examples=40)
@given(
    st.lists(
        st.builds(
            lambda name, left, top, w, h, t, o, rest, score: Box(
                name, left, top, round(left + w, 2), round(top + h, 2), t, o, *rest, score=score
            ),
            st.sampled_from(KITTI_CLASSES), number, number, st.floats(0.1, 500), st.floats(0.1, 300),
            st.sampled_from([0.0, 0.5, 1.0]), st.integers(0, 3), st.tuples(*[number] * 8),
            st.one_of(st.none(), st.sampled_from([0.0, 0.125, 0.999999])),
        )
    )
)  # fmt: skip
def test_written_labels_read_back(tmp_path_factory, boxes):
    path = tmp_path_factory.mktemp("labels") / "000000.txt"
    write_labels(path, boxes)
    assert read_labels(path) == tuple(boxes)
    assert {len(line.split()) for line in path.read_text().splitlines()} <= {15, 16}


def test_empty_files_blank_lines_and_foreign_line_ends(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("")
    assert read_labels(path) == ()
    path.write_bytes(b"\xef\xbb\xbf" + LINE.encode() + b"\r\n\r\n" + DONT_CARE.encode())
    assert [box.class_name for box in read_labels(path)] == ["Car", "DontCare"]


def changed(column, value):
    """The good line with one column replaced."""
    fields = LINE.split()
    fields[column] = value
    return " ".join(fields)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (LINE.rsplit(" ", 1)[0], "received 14 columns"),
        (LINE + " 0.5 0.5", "received 17 columns"),
        (changed(4, "abc"), "left 'abc'"),
        (changed(1, "nan"), "truncated 'nan'"),
        (changed(7, "inf"), "bottom 'inf'"),
        (changed(0, "Bus"), "class 'Bus'"),
        (changed(0, "Pedestrians"), "did you mean 'Pedestrian'"),
        (changed(2, "4"), "occluded 4"),
        (changed(2, "0.5"), "occluded 0.5"),
        (changed(1, "1.5"), "truncated 1.5"),
        (changed(6, "0"), "left < right"),
        (changed(7, "100"), "top < bottom"),
    ],
)
def test_a_bad_line_is_named_with_file_and_number(tmp_path, line, message):
    path = tmp_path / "000007.txt"
    path.write_text(f"{LINE}\n\n{line}\n")
    with pytest.raises(InputError) as caught:
        read_labels(path)
    assert message in str(caught.value)
    assert f"{path}, line 3" in str(caught.value)


def test_a_result_may_hold_an_empty_box_but_not_an_inverted_one():
    assert parse_label(changed(6, "0") + " 0.1", "here").right == 0
    with pytest.raises(InputError, match="left < right"):
        parse_label(changed(6, "-1") + " 0.1", "here")


def test_binary_and_missing_label_files(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(InputError, match="no text"):
        read_labels(tmp_path / "a.txt")
    with pytest.raises(InputError, match="cannot be read"):
        read_labels(tmp_path / "missing.txt")


@pytest.mark.parametrize("suffix", ["png", "jpg", "JPG"])
def test_samples_of_a_folder(make_kitti, suffix):
    root = make_kitti(4, suffix=suffix)
    extractor = KittiExtractor(str(root))
    assert extractor.ids() == ["000000", "000001", "000002", "000003"]
    sample = extractor.sample("000003")
    assert [box.class_name for box in sample.boxes] == ["Car", "DontCare"]
    assert sample.group is None and not extractor.groups_known()
    assert extractor.image_size(sample) == (32, 64)
    assert extractor.read_image(sample).shape == (32, 64, 3)
    assert extractor.standard_splits() is None
    assert [extractor.class_index(name) for name in ("Car", "Misc", "DontCare")] == [0, 7, -1]


def test_drives_come_from_the_mapping(make_kitti):
    root = make_kitti(4)
    (root / "devkit").mkdir()
    (root / "devkit" / "train_mapping.txt").write_text(
        "d a 0000000001\nd b 0000000002\nd c 0000000003\nd b 0000000004\n"
    )
    # image 0 is line 3 (c), image 1 line 1 (a), image 2 line 4 (b), image 3 line 2 (b)
    (root / "devkit" / "train_rand.txt").write_text("3,1,4,2\n")
    extractor = KittiExtractor(root)
    assert extractor.groups_known()
    assert [extractor.sample(i).group for i in extractor.ids()] == ["c", "a", "b", "b"]


def test_image_sets_are_the_standard_split(make_kitti):
    root = make_kitti(2)
    (root / "ImageSets").mkdir()
    (root / "ImageSets" / "train.txt").write_text("000000\n000007\n")
    (root / "ImageSets" / "val.txt").write_text("000001")
    assert KittiExtractor(root).standard_splits() == {"train": ["000000", "000007"], "val": ["000001"]}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"devkit/train_mapping.txt": "d a 1\n"}, "train_mapping.txt alone"),
        ({"devkit/train_mapping.txt": "d a\n", "devkit/train_rand.txt": "1"}, "'d a' in .*train_mapping.txt, line 1"),
        ({"devkit/train_mapping.txt": "d a 1\n", "devkit/train_rand.txt": "2"}, "'2' as entry 1"),
        ({"devkit/train_mapping.txt": "d a 1\n", "devkit/train_rand.txt": "x"}, "'x' as entry 1"),
        ({"devkit/train_mapping.txt": "d a 1\n", "devkit/train_rand.txt": "1"}, "image id '000001'"),
        ({"ImageSets/train.txt": "000000"}, "val.txt that cannot be read"),
        ({"ImageSets/train.txt": "zero", "ImageSets/val.txt": ""}, "'zero' in .*train.txt, line 1"),
        (
            {"ImageSets/train.txt": "000000", "ImageSets/val.txt": "\n000000"},
            "val.txt, line 2 and in .*train.txt, line 1",
        ),
    ],
)
def test_malformed_lists_are_named(make_kitti, files, message):
    root = make_kitti(2)
    for name, text in files.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(text)
    with pytest.raises(InputError, match=message):
        extractor = KittiExtractor(root)
        extractor.standard_splits()
        [extractor.sample(i) for i in extractor.ids()]


def test_missing_folders_files_and_pairs(make_kitti, tmp_path):
    with pytest.raises(InputError, match="nothing there"):
        KittiExtractor(tmp_path / "nowhere")
    with pytest.raises(InputError, match="training/image_2"):
        KittiExtractor(tmp_path)
    root = make_kitti(3)
    label = root / "training" / "label_2" / "000001.txt"
    text = label.read_text()
    label.unlink()
    with pytest.raises(InputError, match=r"000001\.png without its label file \(one of 1 such\)"):
        KittiExtractor(root).ids()
    label.write_text(text)
    (root / "training" / "label_2" / "000009.txt").write_text("")
    with pytest.raises(InputError, match=r"000009\.txt without its image"):
        KittiExtractor(root).ids()


def test_two_images_of_one_id_and_no_images(make_kitti):
    root = make_kitti(2)
    images = root / "training" / "image_2"
    (images / "000001.jpg").write_bytes((images / "000001.png").read_bytes())
    with pytest.raises(InputError, match=r"two images 000001\.jpg and 000001\.png"):
        KittiExtractor(root).ids()
    for path in [*images.iterdir(), *(root / "training" / "label_2").iterdir()]:
        path.unlink()
    (images / "._000001.png").write_text("what some systems leave beside a file")
    with pytest.raises(InputError, match="no images"):
        KittiExtractor(root).ids()


def test_where_names_the_line_behind_blank_ones(make_kitti):
    root = make_kitti(1)
    path = root / "training" / "label_2" / "000000.txt"
    path.write_text(f"\n{LINE}\n\n{DONT_CARE}\n")
    extractor = KittiExtractor(root)
    assert extractor.where(extractor.sample("000000"), 1) == f"{path}, line 4"


def test_source_names_itself(make_kitti):
    root = make_kitti(1)
    assert KittiExtractor(root).source == "KITTI 2D object"
    (root / "source.txt").write_text("synthetic street scenes\nmore\n")
    assert KittiExtractor(root).source == "synthetic street scenes"


def test_boxes_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        parse_label(LINE, "here").left = 1


@pytest.mark.real
def test_every_real_label_reads(prune_data):
    extractor = KittiExtractor(prune_data / "kitti")
    samples = [extractor.sample(i) for i in extractor.ids()]
    names = [box.class_name for sample in samples for box in sample.boxes]
    # counts of the data's own README
    assert len(samples) == 1141 and len({sample.group for sample in samples}) == 37
    assert [names.count(name) for name in ("Car", "Cyclist", "Pedestrian", "Van", "Tram")] == [
        4016,
        1627,
        1579,
        379,
        115,
    ]
    original = (prune_data / "kitti" / "original_labels.txt").read_text().split()[0]
    path = prune_data / "kitti" / "training" / "label_2" / f"{original}.txt"
    written = [format_label(box) for box in read_labels(path)]
    for ours, theirs in zip(written, path.read_text().splitlines(), strict=True):
        np.testing.assert_array_equal([float(x) for x in ours.split()[1:]], [float(x) for x in theirs.split()[1:]])
