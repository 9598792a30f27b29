"""Files, folders and patterns that a user names, as a list of pictures and videos with names of their own."""

import glob
import os
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from run_tools.errors import InputError

PICTURES = frozenset({".png", ".jpg", ".jpeg"})
VIDEOS = frozenset({".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv"})


@dataclass(frozen=True)
class Source:
    """One picture or video.

    Attributes:
        path: the file.
        name: under which its results are written: relative, with "/", without the suffix.
    """

    path: Path
    name: str

    @property
    def is_video(self) -> bool:
        """Whether it is decoded as a video; anything that is not named like one is taken for a picture."""
        return self.path.suffix.lower() in VIDEOS

    @property
    def label(self) -> str:
        """The name with the suffix of the file, as tables show it."""
        suffix = self.path.suffix
        return self.name if self.name.endswith(suffix) else self.name + suffix


def natural(path: Path) -> list[tuple[int, int, str]]:
    """A sort key that puts frame2 before frame10."""
    parts = re.split(r"([0-9]+)", str(path))
    key = [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts]
    return [*key, (1, 0, str(path))]  # 7 and 007 are one number and two names


def find(given: Iterable[Path], out: Path | None, recursive: bool = False) -> list[Source]:
    """Everything that is to be looked at, each file once.

    A picture is called by its file name without the suffix; one of a folder that is searched recursively by its path in
    that folder. Files that would share a name get their folders in front, as many as it takes, and two of one folder
    that differ in the suffix alone keep it.

    Args:
        given: files, folders (their pictures, in natural order) and patterns (`*`, `?`, `[...]`, `**`).
        out: the folder of drawn results; where it lies in a given folder, what it holds is no input. None: nothing is
            drawn.
        recursive: search folders below the given ones, too.

    Returns:
        In the order given; inside a folder or pattern in natural order.

    Raises:
        InputError: for a folder without pictures, a pattern without matches, names that stay the same, or an `out` that
            holds what is given.
    """
    places: dict[Path, Path] = {}
    given_as: dict[Path, Path] = {}
    for path in given:
        for file, root in _expand(path, out, recursive):
            places.setdefault(Path(os.path.abspath(file)), Path(os.path.abspath(root)))
            given_as.setdefault(Path(os.path.abspath(file)), file)
    sources = [Source(given_as[file], name) for file, name in zip(places, _names(places), strict=True)]
    if out is not None:
        _check_places(sources, out)
    return sources


def _expand(path: Path, out: Path | None, recursive: bool) -> Iterator[tuple[Path, Path]]:
    """The files that one argument stands for, each with the folder that its name starts from."""
    if path.is_dir():
        here, there = Path(os.path.abspath(path)), None if out is None else Path(os.path.abspath(out))
        if here == there:
            raise InputError(f"--out {out}, the folder of the pictures", "another folder", "choose one")
        inside = [file for file in path.glob("**/*" if recursive else "*") if _shown(file, path)]
        if there is not None and there.is_relative_to(here):
            inside = [file for file in inside if not Path(os.path.abspath(file)).is_relative_to(there)]
        pictures = sorted((file for file in inside if file.suffix.lower() in PICTURES), key=natural)
        videos, byname = sum(file.suffix.lower() in VIDEOS for file in inside), "or a pattern such as 'DIR/*.mp4'"
        if not pictures:
            told = f" but {videos} videos" if videos else ""
            fix = f"name the videos, {byname}" if videos else "check the path, or --recursive"
            raise InputError(f"{path}, a folder without pictures{told}", "PNG or JPEG files in it", fix)
        if videos:
            print(
                f"note: of {path} the pictures are taken, not its {videos} videos; name these, {byname}",
                file=sys.stderr,
            )
        yield from ((file, path) for file in pictures)
    elif glob.has_magic(str(path)) and not path.exists():
        matches = [Path(match) for match in glob.glob(str(path), recursive=True)]
        files = [file for file in matches if file.suffix.lower() in PICTURES | VIDEOS and file.is_file()]
        if not files:
            raise InputError(
                f"the pattern {path}, which matches no picture and no video",
                "one such as 'drive/*.png'",
                "check the folder and the suffix",
            )
        yield from ((file, file.parent) for file in sorted(files, key=natural))
    else:
        yield path, path.parent


def _shown(file: Path, root: Path) -> bool:
    """Whether no part of a file's path below `root` is hidden: half-written results are."""
    return file.is_file() and not any(part.startswith(".") for part in file.relative_to(root).parts)


def _names(found: dict[Path, Path]) -> list[str]:
    """One name a file; see `find`."""
    files = list(found)
    bare = Counter(file.with_suffix("") for file in files)
    whole = [file.with_suffix("") if bare[file.with_suffix("")] == 1 else file for file in files]
    parts = [path.parts[len(root.parts) :] for path, root in zip(whole, found.values(), strict=True)]
    while shared := {name for name, count in Counter(parts).items() if count > 1}:
        # The whole paths differ, so this comes to an end.
        parts = [
            path.parts[-len(name) - 1 :] if name in shared else name for path, name in zip(whole, parts, strict=True)
        ]
    return ["/".join(name) for name in parts]


def _check_places(sources: Sequence[Source], out: Path) -> None:
    """Refuses results that would replace an input or another result."""
    videos = {source.name: source for source in sources if source.is_video}
    files = {Path(os.path.abspath(source.path)).resolve(): source for source in sources}
    for source in sources:
        for name, video in videos.items():
            if source is not video and Path(os.path.abspath(source.path)).is_relative_to(os.path.abspath(out / name)):
                raise InputError(f"--out {out}, which holds {source.path}", "another folder", "choose one")
        for folder in Path(source.name).parents:
            # A video's single frames lie in a folder of its name.
            if str(folder) in videos:
                raise InputError(
                    f"{videos[str(folder)].path} and {source.path}",
                    "names that differ",
                    "give them in two runs, two --out",
                )
        for suffix in (".mp4", ".avi") if source.is_video else (".png",):
            replaced = files.get((out / (source.name + suffix)).resolve())
            if replaced is not None:
                raise InputError(
                    f"--out {out}, which holds {replaced.path}",
                    "another folder",
                    "choose one: the drawing would replace the picture or video",
                )
