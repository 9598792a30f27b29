"""Cuts channels out of a detector: a folder with the smaller one, what was removed, and the proof that no more was.

What is operated on is the plain network as it was saved: one whose batch-norms were fused for speed would be looked at
through other operations than those that are cut.
"""

import dataclasses
import functools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from data_tools.image_files import resize
from data_tools.pipeline import to_unit
from data_tools.store import open_store
from prune_tools import budget, cost, recalibration, statistics
from prune_tools.certificate import Certificate
from prune_tools.statistics import Statistics
from prune_tools.surgery import Surgery
from run_tools import files
from run_tools.checkpoint import BEST
from run_tools.errors import InputError
from run_tools.folder import RunFolder
from yolo_prune.detector import YoloV2
from yolo_prune.models import digest, load_detector, load_model
from yolo_prune.pruning.surgery_options import CutConfig, SurgeryOptions

TOLD = "surgery.json"
CERTIFIED = 4
"""Images on which a surgery is certified: three networks run over them, one of them of the old widths."""
WITHOUT_STATISTICS = ("l1", "random", "weight_similarity")
"""Scores that look at weights alone."""


class Images:
    """Training images, spread over the split and in a random but fixed order, as batches for a network.

    In the split's order neighbouring frames would share a batch, and its statistics would miss what differs between
    drives.

    Args:
        data: compiled HDF5 file.
        image_size: (height, width) of the network.
        count: how many images at most.
        batch_size: images a batch.
    """

    def __init__(self, data: Path, image_size: tuple[int, int], count: int, batch_size: int):
        self.view = open_store(data, "detection")["train"]
        self.image_size, self.batch_size = image_size, batch_size
        total = len(self.view)
        spread = np.unique(np.linspace(0, total - 1, min(count, total)).astype(int))
        self.indices = np.random.default_rng(0).permutation(spread)

    def __iter__(self) -> Iterator[np.ndarray]:
        """float32 RGB in 0–1, (batch, height, width, 3)."""
        for start in range(0, len(self.indices), self.batch_size):
            yield self.first(self.batch_size, start)

    def first(self, count: int, start: int = 0) -> np.ndarray:
        """So many of them, from one on."""
        chosen = np.sort(self.indices[start : start + count])
        batch = np.empty((len(chosen), *self.image_size, 3), np.float32)
        for image, pixels in zip(self.view.images(chosen), batch, strict=True):
            to_unit(resize(image, self.image_size), pixels)
        return batch


def images_of(config: CutConfig) -> Images:
    """What a cut looks at."""
    options = config.surgery
    return Images(config.data, files.parse_size(config.input), options.images, config.batch_size)


def examine(config: CutConfig) -> Statistics:
    """The activation statistics of a cut's source; kept for the next cuts of the same one."""
    options = SurgeryOptions(images=config.surgery.images, positions=config.surgery.positions)
    plain = dataclasses.replace(config, out=Path(), keep=0.0, macs=0, seed=0, surgery=options)
    return _examined(digest(config.source), plain)


@functools.lru_cache(maxsize=1)
def _examined(network: str, config: CutConfig) -> Statistics:
    return statistics.collect(source(config), images_of(config), positions=config.surgery.positions)


def source(config: CutConfig) -> YoloV2:
    """The detector that something is cut out of, at the input of the cut, unfused."""
    model = load_model(config.source)
    if not isinstance(model, YoloV2):
        fix = "give a model that `train` or `import-darknet` saved"
        raise InputError(f"{config.source}: a {type(model).__name__}", "a YoloV2 detector", fix)
    return model.at_size(files.parse_size(config.input))


def choose(config: CutConfig, model: YoloV2, found: Statistics | None) -> "budget.Removals":
    """Which channels go."""
    options = config.surgery
    return budget.choose(
        model,
        found,
        score=options.score,
        scope=options.scope,
        macs=config.macs,
        multiple=options.multiple,
        floor=options.floor,
        exclude=options.exclude,
        seed=config.seed,
    )


def operate(config: CutConfig) -> dict[str, Any]:
    """Cuts, or reads what was done when it was cut before.

    Args:
        config: of the cut.

    Returns:
        `{"source_sha256", "keep", "score", "scope", "merge", "macs": {"before", "target", "after"}, "parameters":
        {"before", "after"}, "widths": {"before", "after"}: {layer: channels}, "removed": {layer: channels}, "table":
        what `budget.Removals.table` says, "predicted": the damage, "certificate": see `told_certificate`, "images",
        "recalibrated": batches}`; also written to `OUT/surgery.json`, with the network beside it in `best.keras`.

    Raises:
        InputError: for a source, data or budget that does not fit, a folder of another cut, or a network that does not
            compute what the cut says.
    """
    with RunFolder(config.out).create(config) as folder:
        told, best, now = folder.path(TOLD), folder.path(BEST), digest(config.source)
        if told.is_file() and best.is_file():
            before: dict[str, Any] = files.read_json(told)
            if before["source_sha256"] != now:
                raise InputError(
                    f"{config.source} with other contents than when {config.out} was cut from it",
                    "the same detector", "delete that folder and what went on from it, or choose a new --out",
                )  # fmt: skip
            return before
        model, images = source(config), images_of(config)
        result, smaller = _cut(config, model, images)
        result["recalibrated"] = settle(smaller, images, config.surgery.recalibrate)
        result["source_sha256"] = now
        with files.atomic_path(best) as temporary:
            smaller.save(temporary)
        files.write_json(told, result)
        return files.plain(result)


def settle(model: YoloV2, images: Images, batches: int) -> int:
    """Gives batch-norm the statistics of the smaller network; returns the number of batches used."""
    return recalibration.recalibrate(model, images, batches) if batches else 0


def _cut(config: CutConfig, model: YoloV2, images: Images) -> tuple[dict[str, Any], YoloV2]:
    options = config.surgery
    blind = options.score in WITHOUT_STATISTICS and options.merge == "delete"
    found = None if blind else examine(config)
    removals = choose(config, model, found)
    operation = Surgery(model, removals, options.merge, found, options.ridge)
    smaller = operation.smaller()
    certificate = operation.certificate(images.first(CERTIFIED), smaller)
    if not certificate.sound():
        raise InputError(
            f"a cut of {config.source} that differs from its masked reference:\n{certificate}".replace("\n", "; "),
            "rounding errors alone", "report this with the network: nothing was written",
        )  # fmt: skip
    before, after = cost.summary(model), cost.summary(smaller)
    names = [f"conv_{index}" for index in range(1, len(model.widths) + 1)]
    widths = {key: dict(zip(names, one.widths, strict=True)) for key, one in (("before", model), ("after", smaller))}
    return {
        "keep": config.keep,
        "score": options.score,
        "scope": options.scope,
        "merge": options.merge,
        "macs": {"before": before["macs"], "target": config.macs, "after": after["macs"]},
        "parameters": {"before": before["parameters"], "after": after["parameters"]},
        "widths": widths,
        "removed": {name: widths["before"][name] - widths["after"][name] for name in names},
        "table": removals.table(),
        "predicted": removals.predicted,
        "certificate": told_certificate(certificate),
        "images": len(images.indices),
    }, smaller


def told_certificate(certificate: Certificate) -> dict[str, Any]:
    """A certificate as numbers: `{"structure" and "function": {output: {"largest", "mean", "scale"}}, "sound"}`."""

    def numbers(found: Mapping[str, Any]) -> dict[str, Any]:
        return {name: {"largest": item.largest, "mean": item.mean, "scale": item.scale} for name, item in found.items()}

    return {
        "structure": numbers(certificate.structure),
        "function": numbers(certificate.function),
        "sound": certificate.sound(),
    }


def load(config: CutConfig) -> YoloV2:
    """The smaller detector of a finished cut, quicker on CPUs; not to be operated on."""
    return load_detector(config.out)
