"""The options of `classify-prune prune`; nothing here loads Keras."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from classify_prune.recipe import Task
from data_tools.label_augment import LabelAugment
from run_tools.config import option
from run_tools.errors import InputError
from run_tools.manifest import MODEL_HELP


@dataclass(frozen=True)
class PruneConfig:
    """Prune a classifier level by level, fine-tune and judge each, beside the dense one trained as long."""

    model: Path = option(help=MODEL_HELP)
    data: Path = option(help="compiled HDF5 file with the splits train, val and those of --splits")
    out: Path = option(help="folder of the runs and the report; what is finished there is not run again")
    method: Literal["magnitude", "distinctiveness"] = option(
        "distinctiveness", help="magnitude: single weights to zero, the smallest first; distinctiveness: units go"
    )
    sparsity: tuple[float, ...] | None = option(
        None,
        help="levels: fractions of the weights, or of each layer's units; default, without --angles: .3 .5 .7 .9",
    )
    angles: tuple[float, ...] | None = option(
        None,
        help="distinctiveness: thresholds in degrees instead of --sparsity",
        minimum=0,
        maximum=180,
    )
    rule: Literal["most_similar", "similar_complementary", "most_parallel", "batch"] = option(
        "most_similar", help="distinctiveness: which units go at a fraction"
    )
    merge: Literal["delete", "incoming", "outgoing", "project", "least_squares"] = option(
        "least_squares", help="distinctiveness: what becomes of a removed unit's weights"
    )
    centre: Literal["none", "mean", "half"] = option("mean", help="taken out of outputs before angles are measured")
    images: int | None = option(None, help="training inputs whose outputs are measured; default: all", minimum=1)
    multiple: int = option(1, help="what the widths left should be multiples of", minimum=1)
    epochs: int = option(5, help="of fine-tuning at each level; 0: none", minimum=0)
    learning_rate: float = option(3e-4, help="of Adam, followed by a cosine", minimum=1e-12)
    batch_size: int = option(100, help="inputs a step", minimum=1)
    augment: LabelAugment | None = option(None, help="random changes of training images, such as {flip: .5}")
    dense: bool = option(True, help="also the dense network, trained as long: the control")
    seeds: tuple[int, ...] = option((0,), help="of fine-tuning", minimum=0)
    task: Task = option("type", help="what it tells apart")
    classes: int | None = option(None, help="only the first so many classes of the task", minimum=2)
    splits: tuple[str, ...] = option(("val", "test"), help="splits to judge on")
    cpu_bfloat16: bool = option(False, help="convolutions in bfloat16 on CPUs that have it")
    workers: int = option(1, help="threads that prepare batches", minimum=1)

    def __post_init__(self):
        if self.angles is not None and (self.sparsity is not None or self.method == "magnitude"):
            other = "--sparsity" if self.sparsity is not None else "--method magnitude"
            raise InputError(f"--angles with {other}", "one kind of level", f"leave --angles or {other} out")
        for level in self.levels:
            if self.angles is None and not 0 < level < 1:
                raise InputError(f"sparsity {level:g}", "fractions above 0 and below 1", "divide percent by 100")
        for name in ("levels", "seeds", "splits"):
            given = getattr(self, name)
            if not given or len(set(given)) < len(given):
                raise InputError(f"{name} {' '.join(map(str, given)) or 'none'}", "each once", "name what to run")

    @property
    def levels(self) -> tuple[float, ...]:
        """What is pruned at each level: fractions, or thresholds in degrees."""
        return self.angles if self.angles is not None else self.sparsity or (0.3, 0.5, 0.7, 0.9)
