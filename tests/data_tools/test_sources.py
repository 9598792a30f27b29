"""What the arguments of `detect` stand for, and how the results are called."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_tools.sources import Source, _names, find, natural
from run_tools.errors import InputError


@pytest.fixture
def tree(tmp_path):
    """Folders of empty files: `find` looks at names alone."""
    for name in ("drive/f2.png", "drive/f10.png", "drive/f1.JPG", "drive/notes.txt", "drive/.hidden.png",
                 "drive/deep/f1.png", "drive/deep/.part/x.png", "other/f2.png", "clips/a.mp4", "clips/b.avi",
                 "both/x.png", "both/x.jpg"):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "empty").mkdir()
    return tmp_path


def named(root: Path, *words: str, recursive=False, out="out"):
    return [
        (str(each.path.relative_to(root)), each.name) for each in find([root / w for w in words], root / out, recursive)
    ]


def test_a_folder_in_natural_order(tree):
    assert named(tree, "drive") == [("drive/f1.JPG", "f1"), ("drive/f2.png", "f2"), ("drive/f10.png", "f10")]


def test_a_folder_with_those_in_it(tree):
    assert named(tree, "drive", recursive=True) == [
        ("drive/deep/f1.png", "deep/f1"),
        ("drive/f1.JPG", "f1"),
        ("drive/f2.png", "f2"),
        ("drive/f10.png", "f10"),
    ]
    # The results of an earlier run are no input.
    assert ("drive/deep/f1.png", "deep/f1") not in named(tree, "drive", recursive=True, out="drive/deep")
    # Results beside the folder, or above it, are none of its pictures.
    assert named(tree, "drive", out=".") == named(tree, "drive") == named(tree, "drive", out="drives")


def test_patterns_and_files_each_once(tree):
    assert named(tree, "drive/f1*", "drive/f2.png", "drive", "clips/*") == [
        ("drive/f1.JPG", "f1"),
        ("drive/f10.png", "f10"),
        ("drive/f2.png", "f2"),
        ("clips/a.mp4", "a"),
        ("clips/b.avi", "b"),
    ]
    assert [name for _, name in named(tree, "**/f1.*")] == ["deep/f1", "drive/f1"]
    (tree / "drive/[1].png").touch()  # a file of that name is no pattern
    assert named(tree, "drive/[1].png") == [("drive/[1].png", "[1]")]


def test_names_that_would_be_shared(tree):
    assert named(tree, "drive", "other/f2.png") == [
        ("drive/f1.JPG", "f1"),
        ("drive/f2.png", "drive/f2"),
        ("drive/f10.png", "f10"),
        ("other/f2.png", "other/f2"),
    ]
    assert named(tree, "both") == [("both/x.jpg", "x.jpg"), ("both/x.png", "x.png")]
    assert [each.label for each in find([tree / "both", tree / "other"], tree / "out")] == ["x.jpg", "x.png", "f2.png"]


@given(
    st.lists(
        st.tuples(
            st.lists(st.sampled_from("ab"), max_size=3), st.sampled_from("xy"), st.sampled_from([".png", ".jpg"])
        ),
        unique_by=str,
        min_size=1,
    )
)
def test_names_always_differ_and_end_like_the_file(files):
    found = {}
    for folders, stem, suffix in files:
        path = Path("/root", *folders, stem + suffix)
        found[path] = path.parent
    names = _names(found)
    assert len(set(names)) == len(names) == len(found)
    for path, name in zip(found, names, strict=True):
        assert str(path.with_suffix("")).endswith(name) or str(path).endswith(name)


def test_natural_order_is_that_of_the_numbers():
    names = ["f10.png", "f2.png", "f002b.png", "g.png", "10.png", "9.png", "f.png"]
    wanted = ["9.png", "10.png", "f2.png", "f002b.png", "f10.png", "f.png", "g.png"]
    assert [str(path) for path in sorted(map(Path, names), key=natural)] == wanted


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("empty", "a folder without pictures; expected PNG or JPEG files"),
        ("clips", r"a folder without pictures but 2 videos; .*DIR/\*\.mp4"),
        ("drive/*.bmp", r"the pattern .*\*\.bmp, which matches no picture"),
        ("drive/*.txt", "matches no picture and no video"),
    ],
)
def test_nothing_to_look_at(tree, word, told):
    with pytest.raises(InputError, match=told):
        find([tree / word], tree / "out")


def test_videos_of_a_folder_of_pictures_are_told_of(tree, capsys):
    (tree / "drive" / "clip.mp4").touch()
    assert not any(source.is_video for source in find([tree / "drive"], tree / "out"))
    assert "not its 1 videos" in capsys.readouterr().err
    find([tree / "drive" / "*"], tree / "out")
    assert capsys.readouterr().err == ""


def test_results_that_would_replace_something(tree):
    with pytest.raises(InputError, match="the drawing would replace the picture or video"):
        find([tree / "drive/f2.png"], tree / "drive")
    with pytest.raises(InputError, match="the drawing would replace the picture or video"):
        find([tree / "clips/a.mp4"], tree / "clips")
    for recursive in (False, True):
        with pytest.raises(InputError, match="drive, the folder of the pictures; expected another folder"):
            find([tree / "drive"], tree / "other" / ".." / "drive", recursive)
    # Where nothing is drawn nothing can be replaced.
    assert [source.name for source in find([tree / "drive/f2.png"], None)] == ["f2"]
    (tree / "drive/deep.avi").touch()
    with pytest.raises(InputError, match=r"deep\.avi and .*deep/f1\.png; expected names that differ"):
        find([tree / "drive/deep.avi", tree / "drive"], tree / "out", recursive=True)


def test_videos_are_known_by_their_names():
    assert Source(Path("a.MP4"), "a").is_video and not Source(Path("a.png"), "a").is_video
    assert not Source(Path("noname"), "noname").is_video
