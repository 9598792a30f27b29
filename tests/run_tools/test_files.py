from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from run_tools import files
from run_tools.errors import InputError


def test_atomic_path_replaces_only_when_the_block_succeeds(tmp_path: Path) -> None:
    target = tmp_path / "made" / "a.keras"
    with files.atomic_path(target) as temporary:
        assert temporary.suffix == ".keras" and temporary.is_relative_to(target.parent)
        temporary.write_text("one")
        assert not target.exists()
    with pytest.raises(RuntimeError), files.atomic_path(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert target.read_text() == "one"
    with pytest.raises(KeyboardInterrupt), files.atomic_path(target) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert [path.name for path in target.parent.iterdir()] == ["a.keras"]


def test_atomic_path_of_a_folder_replaces_a_full_one(tmp_path: Path) -> None:
    target = tmp_path / "saved"
    for text in ("old", "new"):
        with files.atomic_path(target) as temporary:
            temporary.mkdir()
            (temporary / text).write_text(text)
    assert [path.name for path in target.iterdir()] == ["new"]
    assert [path.name for path in tmp_path.iterdir()] == ["saved"]


def test_atomic_path_leaves_a_folder_alone_when_nothing_replaces_it(tmp_path: Path) -> None:
    target = tmp_path / "saved"
    target.mkdir()
    (target / "kept").write_text("x")
    with pytest.raises(FileNotFoundError), files.atomic_path(target):
        pass
    assert (target / "kept").read_text() == "x"


def test_json_is_strict_and_reads_back(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    files.write_json(
        path,
        {
            "nan": float("nan"),
            "array": np.array([[1.5, np.inf]], np.float32),
            "scalar": np.int64(3),
            "flag": np.bool_(True),
            "path": tmp_path,
            "tuple": (1, {"b"}),
            7: None,
            "text": "ä",
        },
    )
    expected = {
        "nan": None,
        "array": [[1.5, None]],
        "scalar": 3,
        "flag": True,
        "path": str(tmp_path),
        "tuple": [1, ["b"]],
        "7": None,
        "text": "ä",
    }
    assert files.read_json(path) == expected
    assert "NaN" not in path.read_text() and "Infinity" not in path.read_text()


def test_json_refuses_what_it_cannot_hold(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="object"):
        files.write_json(tmp_path / "r.json", {"a": object()})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [None, "{", "\udcff"])
def test_read_json_says_what_is_wrong(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "bad.json"
    if content is not None:
        path.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError, match=r"bad\.json"):
        files.read_json(path)


def test_sha256_reads_past_one_block(tmp_path: Path) -> None:
    content = bytes(range(256)) * 8192  # 2 MiB, two blocks
    (tmp_path / "f").write_bytes(content)
    assert files.sha256(tmp_path / "f") == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(
    ("text", "expected"),
    # Written width first, returned height first.
    [("1242x375", (375, 1242)), ("256", (256, 256)), (" 8 X 4 ", (4, 8)), ("3×2", (2, 3))],
)
def test_parse_size(text: str, expected: tuple[int, int]) -> None:
    assert files.parse_size(text) == expected


@pytest.mark.parametrize("text", ["", "x", "12x", "x12", "0x5", "5x0", "-3x4", "1.5x2", "1x2x3", "1234567x1"])
def test_parse_size_refuses(text: str) -> None:
    with pytest.raises(InputError, match="WIDTHxHEIGHT"):
        files.parse_size(text)


@given(st.integers(1, 999_999), st.integers(1, 999_999))
def test_parse_size_of_any_size(width: int, height: int) -> None:
    assert files.parse_size(f"{width}x{height}") == (height, width)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(_json)
def test_plain_keeps_what_is_json_already(value: object) -> None:
    assert files.plain(value) == value
    json.dumps(files.plain(value), allow_nan=False)


def test_once_makes_what_is_not_there_and_gives_the_same_every_time(tmp_path: Path) -> None:
    calls = []

    def make() -> dict[str, object]:
        calls.append(1)
        return {"pair": (1, 2.5), "path": tmp_path}

    first = files.once(tmp_path / "new" / "r.json", make)
    assert first == {"pair": [1, 2.5], "path": str(tmp_path)}
    assert files.once(tmp_path / "new" / "r.json", make) == first and calls == [1]


def test_once_leaves_nothing_when_making_fails(tmp_path: Path) -> None:
    def fail() -> dict[str, object]:
        raise InputError("a", "b", "c")

    with pytest.raises(InputError):
        files.once(tmp_path / "r.json", fail)
    assert not list(tmp_path.iterdir())
