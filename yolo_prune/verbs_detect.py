"""`detect`: pictures, folders, patterns and videos → drawings and result files."""

import contextlib
import itertools
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from data_tools.frames import Frame, frames, look
from data_tools.sources import Source, find
from data_tools.video import output_format
from run_tools.background import Behind, ahead
from run_tools.errors import unknown_name
from run_tools.report import check_folder
from yolo_prune.forward import Forward, choose_batch_size
from yolo_prune.models import load_detector
from yolo_prune.options import DetectConfig
from yolo_prune.outputs import Outputs, Wanted, check_replaced
from yolo_prune.records import Detections
from yolo_prune.results import KITTI_NAMES, CocoResults

LIMIT = 100
"""Most detections an image, as the metrics take."""
SHOWN = 20
"""Pictures and videos that the table lists; `--json` has all of them."""
WRITERS = 4
"""Threads that draw and compress pictures, if there are so many cores."""


def detect(options: DetectConfig) -> dict[str, Any]:
    """Run `detect`.

    Every file is looked at, its beginning and its end, before the first result is written. Images are then read,
    put through the network and drawn at the same time, a few batches of them in memory.

    Returns:
        `{"out", "images": {label: {class: count drawn}}, "videos": {label: {"frames", "rate", "counts"}}, "video":
        codec and suffix or None, "results", "skipped": {label: reason}, "not_in_results", "batch", "speed"}`:
        `not_in_results` are the head's classes that KITTI's format has no name for: they are drawn, but not in KITTI's
        result files. `speed` has frames (images) a second, after a warm-up: `overall`, and `network` for the forward
        passes.

    Raises:
        InputError: for what cannot be read (unless `keep_going`), would overwrite something or is not in the head.
    """
    check_folder(options.out, "--out")
    skipped: dict[str, str] = {}
    sources, total = look(find(options.image, options.out, options.recursive), options.keep_going, skipped)
    check_replaced(replaced(options, sources))
    films = options.video and any(source.is_video for source in sources)
    video = output_format() if films else None
    model = load_detector(options.model, options.input)
    names = model.class_names or tuple(f"class {index}" for index in range(model.num_classes))
    kept = class_indices(options.classes, names)
    batch = choose_batch_size(model, total, options.batch_size)
    forward = Forward(model, batch.images)
    forward.warm_up()
    begun = time.perf_counter()
    with contextlib.closing(
        ahead(frames(sources, model.image_size, options.keep_going, skipped), 2 * batch.images)
    ) as images:
        found = detected(forward, progress(images, total), min(options.score, options.result_score), kept)
        tally = write(options, names, found, in_order=any(source.is_video for source in sources))
    seconds = time.perf_counter() - begun
    kitti = options.results != "coco"
    return {
        "out": str(options.out),
        "images": tally.images,
        "videos": tally.videos,
        "video": video,
        "results": options.results,
        "skipped": skipped,
        "not_in_results": [name for name in names if name.lower() not in KITTI_NAMES] if kitti else [],
        "batch": {"images": forward.images, "per_image": batch.per_image, "available": batch.available},
        "speed": {
            "images": forward.count,
            "overall": round(forward.count / seconds, 2),
            "network": round(forward.count / max(forward.seconds, 1e-9), 2),
        },
    }


def replaced(options: DetectConfig, sources: Sequence[Source]) -> Iterator[Path]:
    """The folders of results that are written as a whole."""
    if options.results != "kitti":
        yield options.out / "coco"
    for source in sources:
        if source.is_video:
            if options.results != "coco":
                yield options.out / "results" / source.name
            if options.frames:
                yield options.out / source.name


def class_indices(wanted: Sequence[str] | None, names: Sequence[str]) -> np.ndarray | None:
    """Indices of the classes asked for, in upper or lower case; None for all.

    Raises:
        InputError: for a class that the head does not have.
    """
    if wanted is None:
        return None
    known = {name.lower(): index for index, name in enumerate(names)}
    for name in wanted:
        if name.lower() not in known:
            raise unknown_name("class", name, names)
    return np.array([known[name.lower()] for name in wanted])


def progress(images: Iterable[Frame], total: int) -> Iterator[Frame]:
    """The images, with a bar on the error stream."""
    # In a log file a line every ten seconds is enough.
    pace = 0.1 if sys.stderr.isatty() else 10.0
    yield from tqdm(images, total=total, unit="image", desc="detecting", mininterval=pace)


def detected(
    forward: Forward, images: Iterator[Frame], least: float, kept: np.ndarray | None
) -> Iterator[tuple[Frame, Detections]]:
    """What is found in each image.

    Args:
        forward: the network.
        images: the images.
        least: least score.
        kept: indices of the classes that count, None for all. Others do not take one of the `LIMIT` places either.

    Yields:
        Each image with its detections, in its pixels and by descending score.
    """
    while batch := list(itertools.islice(images, forward.images)):
        logits = forward([frame.small for frame in batch])
        everything = forward.model.decoded(logits, least, limit=LIMIT if kept is None else None)
        for frame, found in zip(batch, everything, strict=True):
            if kept is not None:
                found = found.take(np.flatnonzero(np.isin(found.classes, kept))[:LIMIT])
            height, width = frame.image.shape[:2]
            yield frame, found.in_pixels((height, width))


class Tally:
    """How many of each class are drawn.

    Args:
        names: of the head's classes.
        score: least score drawn.

    Attributes:
        images: label of a picture → class → count.
        videos: label of a video → its images, their rate, and class → count over all of them.
    """

    def __init__(self, names: Sequence[str], score: float) -> None:
        self.names = tuple(names)
        self.score = score
        self.images: dict[str, dict[str, int]] = {}
        self.videos: dict[str, dict[str, Any]] = {}

    def add(self, frame: Frame, found: Detections) -> None:
        """Counts an image."""
        drawn = Counter(found.classes[found.scores >= self.score].tolist())
        counts = {name: drawn[index] for index, name in enumerate(self.names) if drawn[index]}
        if not frame.source.is_video:
            self.images[frame.source.label] = counts
            return
        video = self.videos.setdefault(frame.source.label, {"frames": 0, "rate": frame.rate, "counts": {}})
        video["frames"] += 1
        for name, count in counts.items():
            video["counts"][name] = video["counts"].get(name, 0) + count


def write(
    options: DetectConfig, names: Sequence[str], found: Iterable[tuple[Frame, Detections]], in_order: bool
) -> Tally:
    """Writes everything that is asked for, in threads.

    Args:
        options: what is asked for.
        names: of the head's classes.
        found: images and their detections.
        in_order: whether images must be written one after the other, as those of videos must.

    Returns:
        What was found, counted.
    """
    workers = 1 if in_order else min(WRITERS, os.cpu_count() or 1)
    tally = Tally(names, options.score)
    kitti = options.results != "coco"
    wanted = Wanted(options.out, names, options.score, options.result_score, kitti, options.video, options.frames)
    with contextlib.ExitStack() as stack:
        outputs = stack.enter_context(Outputs(wanted))
        coco = None if options.results == "kitti" else stack.enter_context(CocoResults(options.out / "coco", names))
        behind = stack.enter_context(Behind(workers, depth=2 * workers + 2))
        for frame, detections in found:
            tally.add(frame, detections)
            if coco is not None:
                height, width = frame.image.shape[:2]
                listed = detections.take(detections.scores >= options.result_score)
                coco.add(frame.label, (height, width), listed)
            behind.call(outputs.video_frame if frame.source.is_video else outputs.picture, frame, detections)
    return tally


def table(result: dict[str, Any]) -> str:
    """The result of `detect`: what was found, where it lies, how fast it went."""
    told = [(name, _counted(counts)) for name, counts in result["images"].items()]
    told += [
        (name, f"{video['frames']} images at {video['rate']:.4g}/s, {_counted(video['counts'])}")
        for name, video in result["videos"].items()
    ]
    lines = [f"{name}: {text}" for name, text in told[:SHOWN]]
    if len(told) > SHOWN:
        lines.append(f"and {len(told) - SHOWN} more")
    lines += [f"left out: {reason}" for reason in result["skipped"].values()]
    out = result["out"]
    if result["video"] is not None:
        codec, suffix = result["video"]
        lines.append(f"videos NAME{suffix} ({codec}) in {out}")
    kinds = {
        "kitti": f"KITTI result files in {out}/results",
        "coco": f"COCO results in {out}/coco",
        "both": f"KITTI result files in {out}/results, COCO results in {out}/coco",
    }
    lines.append((f"pictures in {out}, " if result["images"] else "") + kinds[result["results"]])
    unknown = result["not_in_results"]
    if unknown:
        shown = ", ".join(unknown[:3]) + (f" and {len(unknown) - 3} more" if len(unknown) > 3 else "")
        lines.append(f"note: KITTI's format has no {shown}; the result files leave them out")
    return "\n".join([*lines, _speed_line(result["batch"], result["speed"])])


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items()) or "nothing"


def _speed_line(batch: dict[str, Any], speed: dict[str, Any]) -> str:
    told = f"{speed['overall']:.1f} frames/s overall, {speed['network']:.1f} the network alone, after a warm-up; "
    told += f"batches of {batch['images']}, {batch['per_image'] / 1e6:.0f} MB an image"
    return told + ("" if batch["available"] is None else f" with {batch['available'] / 1e9:.1f} GB of memory free")
