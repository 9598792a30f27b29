"""Images a second from an HDF5 file: our feed, h5py's ways, and plain memory copy, side by side in one run.

    python benchmarks/pipeline.py [--images 512] [--size 1248x384] [--batch 16] [--rounds 15] [--json FILE]

Random files are written to a temporary folder, ours by the project's own writer, and all are read once before the
clock starts: everything is in the page cache, the disk plays no part. Every contender takes random batches; in each
round each gets the same short time, one after the other, so that whatever else the machine does hits all alike. A turn
counts by its median batch; rates are medians over the turns, and a ratio is the median of the ratios to memory copy in
the same round. Contenders that need more than a second for a batch sit out after three rounds.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import itertools
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

# Run as a script, only this file's folder is on the path.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from data_tools import open_store
from data_tools.layout import Plan
from data_tools.schema import SCHEMA, fixed_text
from data_tools.store import Store
from data_tools.store_writer import write_store
from run_tools.errors import InputError
from run_tools.files import parse_size, write_json
from run_tools.quiet import loading

with loading():
    from data_tools.pipeline import batches

BOXES = 8
SLOW_SECONDS, SLOW_ROUNDS = 1.0, 3
TARGET = 0.25
GROUPS = {1: 1, 2: 8}
COPY, GATHER, FEED = "memory copy", "store.images", "batches"


@dataclass(frozen=True)
class Contender:
    """One way to get batches: its name, what it yields, and an endless source of them.

    Batches of several workers come in bursts, so that only `group` of them together tell how long one takes.
    """

    name: str
    dtype: str
    source: Generator[Any, None, None]
    group: int = 1


def write_ours(path: Path, images: np.ndarray) -> None:
    """The images with random boxes as a split "train", written as `data-tools compile` would."""
    count, height, width = images.shape[:3]
    rng = np.random.default_rng(1)
    low, side = rng.uniform(0, 0.5, (count * BOXES, 2)), rng.uniform(0.02, 0.4, (count * BOXES, 2))
    columns = {
        "boxes": (np.concatenate([low, low + side], axis=1) * [width, height, width, height]).astype(np.float32),
        "classes": rng.integers(-1, 8, count * BOXES).astype(np.int16),
        "truncated": np.zeros(count * BOXES, np.float32),
        "occluded": np.zeros(count * BOXES, np.int8),
        "offsets": np.arange(count + 1, dtype=np.int64) * BOXES,
        "ids": fixed_text([f"{index:06d}" for index in range(count)]),
        "original_size": np.full((count, 2), (height, width), np.int32),
    }
    attributes: dict[str, object] = {
        "schema": SCHEMA,
        "source": "random pixels",
        "class_names": json.dumps([f"class {index}" for index in range(8)]),
        "image_size": np.array([height, width], np.int32),
        "created_by": "benchmarks/pipeline.py",
    }
    plan = Plan(attributes, {"train": columns}, {"train": count}, (height, width, 3), "random")
    write_store(path, plan, lambda _, index: images[index], workers=1, progress=False)


def write_peers(folder: Path, images: np.ndarray) -> dict[str, Path]:
    """The same pixels as h5py users store them, by kind of chunking."""
    kinds = {"chunks guessed by h5py": True, "one image a chunk": (1, *images.shape[1:])}
    paths = {}
    for number, (name, chunks) in enumerate(kinds.items()):
        paths[name] = folder / f"peer{number}.h5"
        with h5py.File(paths[name], "w") as file:
            file.create_dataset("images", data=images, chunks=chunks)
    return paths


def forever(function: Callable[[np.ndarray], Any], count: int, batch: int) -> Generator[Any, None, None]:
    """`function` of ever new random images, in rising order as h5py's fancy indexing needs them."""
    rng = np.random.default_rng(2)
    while True:
        yield function(np.sort(rng.choice(count, batch, replace=False)))


def feed_batches(store: Store, batch: int, augment: bool, workers: int) -> Generator[Any, None, None]:
    """Batches of `data_tools.batches`, epoch after epoch; several workers run as threads ahead, as in Keras's `fit`."""
    feed = batches(store, "train", batch, augment=augment)
    if workers == 1:
        while True:
            yield from feed
            feed.on_epoch_end()
    with ThreadPoolExecutor(workers) as pool:
        waiting: collections.deque[Any] = collections.deque()
        for index in itertools.cycle(range(len(feed))):
            waiting.append(pool.submit(feed.__getitem__, index))
            if len(waiting) > workers:
                yield waiting.popleft().result()


def read_direct(dataset: h5py.Dataset, indices: np.ndarray) -> np.ndarray:
    """Image by image into one array, past h5py's selection machinery."""
    out = np.empty((len(indices), *dataset.shape[1:]), np.uint8)
    for slot, index in enumerate(indices):
        dataset.read_direct(out, np.s_[index], np.s_[slot])
    return out


def contenders(
    ours: Path, peers: dict[str, Path], resident: np.ndarray, batch: int, stack: contextlib.ExitStack
) -> list[Contender]:
    """Everything that is timed; memory copy first."""
    count = len(resident)
    store = open_store(ours)
    view = store["train"]
    for start in range(0, count, batch):
        view.images(slice(start, start + batch))  # a map's pages are entered once, in the first epoch
    contiguous = stack.enter_context(h5py.File(ours, "r"))["train/images"]
    buffer = np.zeros((batch, *resident.shape[1:]), np.uint8)

    def copy(indices: np.ndarray) -> np.ndarray:
        for slot, index in enumerate(indices):
            np.copyto(buffer[slot], resident[index])
        return buffer

    def add(name: str, dtype: str, function: Callable[[np.ndarray], Any]) -> None:
        found.append(Contender(name, dtype, forever(function, count, batch)))

    found: list[Contender] = []
    add(COPY, "uint8", copy)
    add(GATHER, "uint8", view.images)
    for augment, workers in itertools.product((False, True), (1, 2)):
        name = f"{FEED}{', augment' if augment else ''}{f', workers={workers}' if workers > 1 else ''}"
        found.append(Contender(name, "float32 + boxes", feed_batches(store, batch, augment, workers), GROUPS[workers]))
    add("h5py read_direct, image by image", "uint8", lambda indices: read_direct(contiguous, indices))
    add("h5py fancy indexing, contiguous", "uint8", lambda indices: contiguous[indices])
    add("… and astype(float64) / 255", "float64", lambda indices: contiguous[indices].astype(np.float64) / 255)
    for name, path in peers.items():
        dataset = stack.enter_context(h5py.File(path, "r"))["images"]
        add(f"h5py fancy indexing, {name}", "uint8", dataset.__getitem__)
    return found


def turn(entry: Contender, seconds: float) -> float:
    """Seconds for a batch, the median of those that fit into a turn; at least one group."""
    times: list[float] = []
    while not times or sum(times) * entry.group < seconds:
        start = time.perf_counter()
        for _ in range(entry.group):
            next(entry.source)
        times.append((time.perf_counter() - start) / entry.group)
    return statistics.median(times)


def race(entries: list[Contender], rounds: int, seconds: float) -> dict[str, list[float]]:
    """Seconds for a batch of every contender in every round that it took part in."""
    times: dict[str, list[float]] = {entry.name: [] for entry in entries}
    for entry in entries:
        next(entry.source)  # opens files, starts threads, faults in buffers
    for number in range(rounds):
        # Turned round each time, so that nobody always follows the same neighbour.
        for entry in entries[number % len(entries) :] + entries[: number % len(entries)]:
            mine = times[entry.name]
            if len(mine) < SLOW_ROUNDS or mine[-1] < SLOW_SECONDS:
                mine.append(turn(entry, seconds))
    return times


def measure(
    images: int, size: tuple[int, int], batch: int, rounds: int, seconds: float, folder: Path
) -> dict[str, Any]:
    """The whole benchmark.

    Args:
        images: how many the files hold.
        size: (H, W).
        batch: images a batch.
        rounds: how often each contender has its turn.
        seconds: how long a turn takes, at least one batch.
        folder: where the random files are written.

    Returns:
        `rows`: for each contender name, dtype, images_per_second and ratio (to memory copy); the settings; the machine.
    """
    if not 1 <= batch <= images or rounds < 1:
        raise InputError(
            f"batch {batch} of {images} images, {rounds} rounds", "1 ≤ batch ≤ images, rounds ≥ 1", "change them"
        )
    resident = np.random.default_rng(0).integers(0, 256, (images, *size, 3), np.uint8)
    ours = folder / "ours.h5"
    write_ours(ours, resident)
    peers = write_peers(folder, resident)
    for path in (ours, *peers.values()):
        with open(path, "rb") as file:
            while file.read(1 << 24):
                pass
    with contextlib.ExitStack() as stack:
        entries = contenders(ours, peers, resident, batch, stack)
        for entry in entries:
            stack.callback(entry.source.close)
        times = race(entries, rounds, seconds)
    rows = []
    for entry in entries:
        ratio = statistics.median(copied / own for own, copied in zip(times[entry.name], times[COPY], strict=False))
        rate = batch / statistics.median(times[entry.name])
        rows.append({"name": entry.name, "dtype": entry.dtype, "images_per_second": rate, "ratio": ratio})
    machine = {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "h5py": h5py.__version__,
    }
    settings = {"images": images, "size": list(size), "batch": batch, "rounds": rounds, "seconds": seconds}
    return {"rows": rows, **settings, "cache": "all files in the page cache", "machine": machine}


def table(result: dict[str, Any]) -> str:
    """The result for people."""
    height, width = result["size"]
    lines = [
        f"{result['images']} images of {width}x{height}, random batches of {result['batch']}, all in the page cache, "
        f"median of {result['rounds']} interleaved rounds, {result['machine']['cores']} cores",
        "",
        f"{'':44} {'yields':16} {'images/s':>9} {'of memory copy':>15}",
    ]
    for row in result["rows"]:
        lines.append(f"{row['name']:44} {row['dtype']:16} {row['images_per_second']:9,.0f} {row['ratio']:15.3f}")
    ratios = {row["name"]: row["ratio"] for row in result["rows"]}
    lines.append("")
    for name, kind in ((GATHER, "uint8 gather"), (FEED, "float32 batches with boxes")):
        verdict = "met" if ratios[name] >= TARGET else "missed"
        lines.append(f"at least {TARGET:g} of memory copy without augmentation, {kind}: {verdict}")
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    """Parses, measures, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=512, help="images in the files (default 512)")
    parser.add_argument("--size", default="1248x384", help="WIDTHxHEIGHT (default 1248x384)")
    parser.add_argument("--batch", type=int, default=16, help="images a batch (default 16)")
    parser.add_argument("--rounds", type=int, default=15, help="turns of every contender (default 15)")
    parser.add_argument("--seconds", type=float, default=0.1, help="length of a turn (default 0.1)")
    parser.add_argument("--folder", help="where to make the temporary folder (default: the system's)")
    parser.add_argument("--json", help="also write the result to this file")
    options = parser.parse_args(argv)
    try:
        with tempfile.TemporaryDirectory(dir=options.folder, prefix="pipeline-") as folder:
            size = parse_size(options.size)
            result = measure(options.images, size, options.batch, options.rounds, options.seconds, Path(folder))
    except InputError as error:
        parser.error(str(error))
    print(table(result))
    if options.json:
        write_json(options.json, result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
