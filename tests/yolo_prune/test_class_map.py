"""Class sets against paper 003's Table 1 and KITTI's own list."""

from types import SimpleNamespace

import pytest

from data_tools.kitti import KITTI_CLASSES
from run_tools.errors import InputError
from yolo_prune.class_map import CLASS_SETS, COCO_NAMES, VOC_NAMES, class_set, lookup_of, own_classes

# Paper 003, Table 1 ("bike" is COCO's bicycle).
TABLE_1 = {
    "Car": "car",
    "Van": "car",
    "Truck": "truck",
    "Pedestrian": "person",
    "Person_sitting": "person",
    "Cyclist": "bicycle",
    "Tram": "train",
}


def names_of(kind):
    chosen = class_set(kind)
    return {name: chosen.names[index] for name, index in chosen.map.items()}


def test_the_coco_set_is_table_1():
    assert names_of("coco") == TABLE_1


def test_coco_names_are_darknets():
    # coco.names counts from 0: person 0, bicycle 1, car 2, train 6, truck 7, toothbrush 79.
    assert len(COCO_NAMES) == len(set(COCO_NAMES)) == 80
    places = {"person": 0, "bicycle": 1, "car": 2, "train": 6, "truck": 7, "stop sign": 11, "tvmonitor": 62}
    assert {name: COCO_NAMES.index(name) for name in places} == places
    assert COCO_NAMES[79] == "toothbrush"


def test_the_voc_set_is_table_1_without_trucks():
    assert names_of("voc") == {name: coco for name, coco in TABLE_1.items() if name != "Truck"}
    # voc.names counts from 0: aeroplane 0, bicycle 1, car 6, person 14, train 18, tvmonitor 19.
    places = {"aeroplane": 0, "bicycle": 1, "car": 6, "person": 14, "train": 18, "tvmonitor": 19}
    assert {name: VOC_NAMES.index(name) for name in places} == places and len(set(VOC_NAMES)) == 20


def test_the_merged_set_is_table_1_with_names_of_its_own():
    renamed = {"car": "car", "truck": "truck", "person": "pedestrian", "bicycle": "cyclist", "train": "tram"}
    assert names_of("merged") == {name: renamed[coco] for name, coco in TABLE_1.items()}
    assert class_set("merged").names == ("car", "pedestrian", "cyclist", "truck", "tram")


def test_the_kitti_set_is_the_first_seven():
    assert class_set("kitti").names == ("car", "van", "truck", "pedestrian", "person_sitting", "cyclist", "tram")
    assert class_set("kitti").lookup(KITTI_CLASSES).tolist() == [0, 1, 2, 3, 4, 5, 6, -1]


def test_lookup_follows_the_order_of_the_file():
    # Car Van Truck Pedestrian Person_sitting Cyclist Tram Misc
    assert class_set("merged").lookup(KITTI_CLASSES).tolist() == [0, 0, 3, 1, 1, 2, 4, -1]
    assert class_set("coco").lookup(KITTI_CLASSES).tolist() == [2, 2, 7, 0, 0, 1, 6, -1]
    assert class_set("merged").lookup(("Misc", "Tram", "Bus", "Car")).tolist() == [-1, 4, -1, 0]
    assert class_set("merged").lookup(()).tolist() == []


@pytest.mark.parametrize("kind", sorted(CLASS_SETS))
def test_misc_teaches_nothing_anywhere(kind):
    assert "Misc" not in class_set(kind).map
    assert "DontCare" not in class_set(kind).map
    # Pascal VOC has no trucks.
    assert set(class_set(kind).map) == set(KITTI_CLASSES) - ({"Misc", "Truck"} if kind == "voc" else {"Misc"})


def test_another_name_is_told():
    with pytest.raises(InputError, match="class set 'pascal'; expected one of merged, kitti, coco, voc"):
        class_set("pascal")


def file_with(*names):
    return SimpleNamespace(path="a.h5", class_names=names)


def test_a_files_own_classes_are_all_its_classes_in_its_order():
    own = own_classes(file_with("Tube", "box", "Misc"))
    assert (own.name, own.names) == ("data", ("tube", "box", "misc"))
    assert lookup_of(own, file_with("Tube", "box", "Misc")).tolist() == [0, 1, 2]


def test_own_classes_that_would_be_called_the_same():
    with pytest.raises(InputError, match="a.h5 with the classes Box, tube, box; expected names that differ"):
        own_classes(file_with("Box", "tube", "box"))


def test_without_kittis_types_the_own_classes_are_the_way_out():
    with pytest.raises(InputError, match="classes box, tube; expected KITTI's types.*; train with --classes data"):
        lookup_of(class_set("merged"), file_with("box", "tube"))
