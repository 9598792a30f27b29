"""Each training judged once: detections and counts are kept beside its checkpoint."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from prune_tools import cost
from prune_tools.mask_set import Masks
from run_tools import files
from run_tools.checkpoint import MASKS
from run_tools.errors import InputError
from yolo_prune.class_map import lookup_of
from yolo_prune.detector import YoloV2
from yolo_prune.evaluation import ap50
from yolo_prune.evaluation.bootstrap import replicated
from yolo_prune.evaluation.weighted import Values
from yolo_prune.predict import predictions, truths
from yolo_prune.pruning.plan import Run, Subject
from yolo_prune.records import Detections, Truth, load_detections, save_detections

JUDGED = "judged.json"
START = "start"
"""The folder with what was found by the model as it was given."""


class Judge:
    """Judges detectors on the splits of a pruning.

    Args:
        subject: data and classes.
        splits: names of splits of the data.
        weights: split → what `bootstrap.resample` returned.
    """

    def __init__(self, subject: Subject, splits: Sequence[str], weights: dict[str, np.ndarray]):
        self.subject = subject
        self.splits = tuple(splits)
        self.weights = weights
        lookup = lookup_of(subject.classes, subject.store)
        self.truths: dict[str, list[Truth]] = {name: truths(subject.store, name, lookup) for name in self.splits}

    def judge(
        self, folder: Path, model: Callable[[], YoloV2], run: Run | None = None, digest: str | None = None
    ) -> dict[str, Any]:
        """Judges a network, or reads what was found when it was judged before.

        Args:
            folder: where that is kept.
            model: gives the network, where it has to be judged.
            run: the training that it comes from, whose masks it must obey; None: none.
            digest: SHA-256 of the network's file, compared with that of when it was judged before; None: not compared.

        Returns:
            `{"ap50": {split: {class: value or None}}, "parameters", "nonzero", "kernel_nonzero", "macs_nonzero",
            "sparsity", "by_kernel": {name: sparsity}}`; `sparsity` is that of the kernels under masks; where a digest
            was given, it is "sha256".

        Raises:
            InputError: if another network was judged in that folder, or pruned weights are not zero, or are not as
                many as they are to be.
        """
        path = folder / JUDGED
        own = {} if digest is None else {"sha256": digest}
        judged: dict[str, Any] = files.read_json(path) if path.is_file() else {"ap50": {}, **own}
        # What was judged before digests were kept has none.
        if digest is not None and judged.get("sha256") not in (None, digest):
            raise InputError(
                f"a model with other contents than when {path} was written",
                "the file that the pruning was started with",
                "bring that file back, or choose a new --out",
            )
        missing = [name for name in self.splits if name not in judged["ap50"]]
        if missing:
            network = model()
            judged |= counted(network, run)
            for name in missing:
                found = list(predictions(network, self.subject.store[name]))
                save_detections(folder / f"found-{name}.npz", found)
                judged["ap50"][name] = ap50(self.truths[name], found, self.subject.classes.names)
            files.write_json(path, judged)
            keras.utils.clear_session()  # graphs of judged networks would pile up
        return judged

    def detections(self, folder: Path, split: str) -> list[Detections]:
        """What `judge` found."""
        return load_detections(folder / f"found-{split}.npz")

    def values(self, folder: Path, split: str) -> Values:
        """AP50 on the images as they are, then on each replicate (`bootstrap.replicated`)."""
        found = self.detections(folder, split)
        return replicated(self.truths[split], found, self.subject.classes.names, self.weights[split], keys=("AP50",))


def counted(model: keras.Model, run: Run | None) -> dict[str, Any]:
    """Weights and zeros of a network, checked against the masks of its training; see `Judge.judge`."""
    told = cost.summary(model)
    kernels = {row["name"]: row["sparsity"] for row in told["layers"]}
    result = {name: told[name] for name in ("parameters", "nonzero", "kernel_nonzero", "macs", "macs_nonzero")}
    if run is None or run.config.prune is None:
        return {**result, "sparsity": told["sparsity"], "pruned": 0, "by_kernel": kernels}
    masks = Masks.load(run.config.out / MASKS)
    broken = masks.violations(model)
    if broken or masks.pruned != run.weights:
        wrong = f"{sum(broken.values())} pruned weights that are not zero" if broken else f"{masks.pruned} pruned"
        raise InputError(f"{run.config.out}: {wrong}", f"exactly {run.weights} zeros", "delete that folder, run again")
    return {**result, "sparsity": masks.sparsity(), "pruned": masks.pruned, "by_kernel": kernels}
