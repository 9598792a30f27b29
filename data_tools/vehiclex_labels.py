"""VehicleX's label files: XML with one Item an image, and the lists of types and colours."""

from __future__ import annotations

import codecs
import math
import pathlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import defusedxml.ElementTree
from defusedxml.common import DefusedXmlException

from data_tools.extractor import read_text
from run_tools.errors import InputError

TYPES = ("sedan", "suv", "van", "hatchback", "mpv", "pickup", "bus", "truck", "estate", "sportscar", "RV")
COLOURS = (
    *("yellow", "orange", "green", "gray", "red", "blue"),
    *("white", "golden", "brown", "black", "purple", "pink"),
)
COLUMNS = {
    "vehicleID": "vehicle_id",
    "colorID": "colour",
    "cameraID": "camera",
    "orientation": "orientation",
    "lightInt": "light_intensity",
    "lightDir": "light_direction",
    "camHei": "camera_height",
    "camDis": "camera_distance",
}
"""Attribute of an Item → column of a compiled file."""
WHOLE = ("vehicleID", "colorID", "cameraID")
_DECLARATION = re.compile(r"^\s*<\?xml[^>]*?\?>")
_ENCODING = re.compile(rb"<\?xml[^>]*?encoding\s*=\s*[\"']([A-Za-z0-9._-]+)[\"']")


@dataclass(frozen=True, slots=True)
class Label:
    """One Item of a label file.

    Attributes:
        name: of the image, without suffix.
        type_id: index into `TYPES`.
        attributes: numbers by their column's name.
        where: file and image, for messages.
    """

    name: str
    type_id: int
    attributes: Mapping[str, float]
    where: str


def _text(path: pathlib.Path) -> str:
    """An XML file as text without its declaration.

    Python's parser knows no multi-byte encodings but UTF-8 and UTF-16, and some releases declare GB2312, so the bytes
    are decoded here, by the declared codec.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"label file {path} that cannot be read ({error.strerror})", "VehicleX's XML", "check the file"
        ) from error
    declared = _ENCODING.search(data[:200])
    name = declared[1].decode("ascii") if declared else "utf-8"
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        name = "utf-16"
    elif data.startswith(codecs.BOM_UTF8):
        name = "utf-8-sig"
    try:
        text = data.decode(name)
    except LookupError:
        raise InputError(f"encoding {name!r} of {path}", "a known one, such as utf-8", "convert the file") from None
    except UnicodeError as error:  # some codecs do not say at which byte
        where = f"byte {error.start} of {path}" if isinstance(error, UnicodeDecodeError) else f"{path}"
        raise InputError(f"{where}, which is no {name}", "the encoding that the file declares", "convert it") from None
    return _DECLARATION.sub("", text, count=1)


def read_labels(path: pathlib.Path, types: Sequence[str] = TYPES, colours: Sequence[str] = COLOURS) -> list[Label]:
    """All Items of a label file.

    Args:
        path: XML, `TrainingImages > Items > Item`.
        types: names of the types, whose number limits `typeID`.
        colours: names of the colours, whose number limits `colorID`.

    Returns:
        Labels in the file's order, at least one; all have the same attributes.

    Raises:
        InputError: the file is missing, no XML, declares entities or a document type, or an Item is wrong; the message
            names the file and the image.
    """
    try:
        root = defusedxml.ElementTree.fromstring(_text(path), forbid_dtd=True)
    except DefusedXmlException:
        raise InputError(
            f"{path} with a document type or entities", "plain XML: entities can fill the memory", "remove these lines"
        ) from None
    except defusedxml.ElementTree.ParseError as error:
        raise InputError(f"{path}, which is no XML ({error})", "VehicleX's XML", "download the file again") from None
    items = list(root.iter("Item"))
    if root.tag != "TrainingImages" or not items:
        raise InputError(
            f"{path} with {root.tag} and {len(items)} Items", "TrainingImages with Items", "check that it is VehicleX's"
        )
    known = {name for item in items for name in item.attrib if name in COLUMNS}
    return [
        _label(item.attrib, known, f"Item {number} of {path}", types, colours) for number, item in enumerate(items, 1)
    ]


def _label(item: Mapping[str, str], known: set[str], where: str, types: Sequence[str], colours: Sequence[str]) -> Label:
    """One Item as numbers; `known` are the attributes that it must have because others do."""
    name = item.get("imageName", "").strip()
    missing = [key for key in ("imageName", "typeID", *sorted(known)) if not item.get(key, "").strip()]
    if missing:
        named = f" ({name})" if name else ""
        raise InputError(f"no {missing[0]} in {where}{named}", f"{missing[0]}", "complete the file or remove the Item")
    where = f"{where} ({name})"
    if pathlib.PurePosixPath(name).name != name or "\\" in name:
        raise InputError(f"imageName {name!r} in {where}", "a file name without folders", "correct the file")
    type_id = _limited(item["typeID"], "typeID", len(types), where)
    numbers: dict[str, float] = {}
    for key, column in COLUMNS.items():
        if key not in known:
            continue
        if key == "colorID":
            numbers[column] = _limited(item[key], key, len(colours), where)
        elif key in WHOLE:
            numbers[column] = _whole(item[key].strip().removeprefix("c"), key, where)
        else:
            numbers[column] = _number(item[key], key, where)
    return Label(pathlib.PurePosixPath(name).stem, type_id, numbers, where)


def _whole(text: str, key: str, where: str) -> int:
    if not (text.strip().isascii() and text.strip().isdecimal() and len(text.strip()) < 9):
        raise InputError(f"{key} {text!r} in {where}", "a whole number", "correct the file")
    return int(text)


def _limited(text: str, key: str, count: int, where: str) -> int:
    number = _whole(text, key, where)
    if number >= count:
        raise InputError(f"unknown {key} {number} in {where}", f"0 to {count - 1}", "correct the file")
    return number


def _number(text: str, key: str, where: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise InputError(f"{key} {text!r} in {where}", "a finite number", "correct the file")
    return number


def read_list(path: pathlib.Path, default: Sequence[str]) -> tuple[str, ...]:
    """Names by id from `list_type.txt` or `list_color.txt`, which the releases bring with them.

    Args:
        path: one "id name" a line; blanks and tabs around are as published.
        default: the published names, used where there is no such file.

    Returns:
        Names in the order of their ids.

    Raises:
        InputError: a line is something else, or the ids are not 0, 1, 2, ...
    """
    if not path.is_file():
        return tuple(default)
    names: list[str] = []
    for number, line in enumerate(read_text(path).splitlines(), 1):
        fields = line.split(maxsplit=1)
        if not fields:
            continue
        if len(fields) != 2 or fields[0] != str(len(names)):
            raise InputError(
                f"{line.strip()!r} in {path}, line {number}", f"{len(names)} and a name", "restore or remove the file"
            )
        names.append(fields[1].strip())
    if not names:
        raise InputError(f"{path} without names", "one id and name a line", "restore or remove the file")
    return tuple(names)
