"""Class sets of a detector, the map from KITTI's types to them, and the classes of a file of your own.

Source: paper 003, Table 1. Misc is treated like DontCare in every set: it may be any vehicle, so it teaches nothing.
Only among a file's own classes (`own_classes`) is it one like any other.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from data_tools.store import Store
from run_tools.errors import InputError

DONTCARE = -1

COCO_NAMES: tuple[str, ...] = tuple(
    """person,bicycle,car,motorbike,aeroplane,bus,train,truck,boat,traffic light,fire hydrant,stop sign,parking meter,
bench,bird,cat,dog,horse,sheep,cow,elephant,bear,zebra,giraffe,backpack,umbrella,handbag,tie,suitcase,frisbee,skis,
snowboard,sports ball,kite,baseball bat,baseball glove,skateboard,surfboard,tennis racket,bottle,wine glass,cup,fork,
knife,spoon,bowl,banana,apple,sandwich,orange,broccoli,carrot,hot dog,pizza,donut,cake,chair,sofa,pottedplant,bed,
diningtable,toilet,tvmonitor,laptop,mouse,remote,keyboard,cell phone,microwave,oven,toaster,sink,refrigerator,book,
clock,vase,scissors,teddy bear,hair drier,toothbrush""".replace("\n", "").split(",")
)
"""The 80 classes in the order of darknet's `coco.names`."""

VOC_NAMES: tuple[str, ...] = tuple(
    """aeroplane,bicycle,bird,boat,bottle,bus,car,cat,chair,cow,diningtable,dog,horse,motorbike,person,pottedplant,
sheep,sofa,train,tvmonitor""".replace("\n", "").split(",")
)
"""The 20 classes in the order of darknet's `voc.names`."""


@dataclass(frozen=True)
class ClassSet:
    """Classes of a detector's head.

    Attributes:
        name: "kitti", "merged", "coco" or "voc"; "data" for a file's own classes; or a name of your own.
        names: lower case, in the order of the head.
        map: stored class, such as KITTI's types → index into `names`; one that is not in it is a DontCare region.
    """

    name: str
    names: tuple[str, ...]
    map: dict[str, int] = field(default_factory=dict)

    def lookup(self, class_names: Sequence[str]) -> np.ndarray:
        """Index of the head for each stored class, int64 (len(class_names),); −1 teaches nothing, as DontCare."""
        return np.array([self.map.get(name, DONTCARE) for name in class_names], np.int64)


def _merged() -> ClassSet:
    names = ("car", "pedestrian", "cyclist", "truck", "tram")
    types = {"Car": 0, "Van": 0, "Pedestrian": 1, "Person_sitting": 1, "Cyclist": 2, "Truck": 3, "Tram": 4}
    return ClassSet("merged", names, types)


def _kitti() -> ClassSet:
    types = ("Car", "Van", "Truck", "Pedestrian", "Person_sitting", "Cyclist", "Tram")
    return ClassSet("kitti", tuple(name.lower() for name in types), {name: i for i, name in enumerate(types)})


def _published(name: str, names: tuple[str, ...]) -> ClassSet:
    wanted = {
        "Car": "car",
        "Van": "car",
        "Truck": "truck",  # which VOC has not
        "Pedestrian": "person",
        "Person_sitting": "person",
        "Cyclist": "bicycle",
        "Tram": "train",
    }
    return ClassSet(name, names, {kind: names.index(same) for kind, same in wanted.items() if same in names})


OWN = "data"
"""What `--classes` says for the file's own classes."""

CLASS_SETS = {
    "merged": _merged(),
    "kitti": _kitti(),
    "coco": _published("coco", COCO_NAMES),
    "voc": _published("voc", VOC_NAMES),
}


def class_set(name: str) -> ClassSet:
    """The class set of a name.

    Args:
        name: a key of `CLASS_SETS`.

    Raises:
        InputError: for another.
    """
    if name not in CLASS_SETS:
        raise InputError(f"class set {name!r}", f"one of {', '.join(CLASS_SETS)}", "choose one with --classes")
    return CLASS_SETS[name]


def own_classes(store: Store) -> ClassSet:
    """The classes of a file as they are: every stored class is one of the head, also KITTI's Misc, in the file's order.

    Args:
        store: an open file.

    Returns:
        The class set "data", with the names in lower case; regions stored as DontCare remain that.

    Raises:
        InputError: if two names differ in nothing but upper and lower case.
    """
    names = tuple(name.lower() for name in store.class_names)
    if len(set(names)) < len(names):
        raise InputError(
            f"{store.path} with the classes {', '.join(store.class_names)}",
            "names that differ in more than upper and lower case",
            "rename one and compile the file again",
        )
    return ClassSet(OWN, names, {name: index for index, name in enumerate(store.class_names)})


def check_names(names: Sequence[str] | None, count: int) -> tuple[str, ...] | None:
    """The names of a head's classes; None where it has none.

    Args:
        names: as given.
        count: of the classes.

    Raises:
        InputError: for another number of names, or two that are the same in lower case, as results have them.
    """
    if names is None:
        return None
    if len(names) != count:
        raise InputError(f"{len(names)} class names", f"{count}, one a class", "name every class once")
    lower = [name.lower() for name in names]
    twice = next((name for name in lower if lower.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"class name {twice!r} twice", "names that differ", "name every class once")
    return tuple(names)


def lookup_of(classes: ClassSet, store: Store) -> np.ndarray:
    """Class of the head for each class of a file.

    Args:
        classes: of the head.
        store: an open file.

    Returns:
        int64, (len(store.class_names),), indices into `classes.names`; −1 teaches nothing, as DontCare.

    Raises:
        InputError: when none of the file's classes is in the set.
    """
    lookup = classes.lookup(store.class_names)
    if (lookup < 0).all():
        raise InputError(
            f"{store.path} with the classes {', '.join(store.class_names)}",
            f"KITTI's types, such as {', '.join(list(classes.map)[:3])}",
            f"train with --classes {OWN}, the file's own classes, or compile data in KITTI's layout",
        )
    return lookup
