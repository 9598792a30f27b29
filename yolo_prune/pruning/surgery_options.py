"""What is cut out of a detector, and how: the options of structural pruning; nothing here loads Keras."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from run_tools.config import option
from run_tools.errors import InputError

Score = Literal["damage", "residual", "l1", "random", "weight_similarity"]
Merge = Literal["delete", "incoming", "outgoing", "project", "least_squares"]


@dataclass(frozen=True)
class SurgeryOptions:
    """How channels are chosen and cut.

    Attributes:
        score: what ranks the channels: the damage predicted for the layers that read them, with all that stay standing
            in ("residual") or the most similar one ("damage"); or one of the scores to compare with, see
            `prune_tools.budget.choose`.
        scope: "global": one budget for all layers together; "uniform": every layer keeps the same fraction.
        merge: what the next layers get for the channels that go, see docs/surgery.md.
        control_merge: likewise of the controls l1 and random, which are published without compensation.
        multiple: widths are multiples of it, or of half of it in layers that are no wider; odd widths can be slower
            than the dense network, and processors that multiply 16 numbers at once take as long for 24 channels as
            for 32.
        control_multiple: likewise of the controls. The same fraction of every layer misses a budget by far where widths
            come in coarse steps, and controls are there for equal multiply-adds, not for speed.
        floor: least fraction of each layer's channels that is kept, in 0–1.
        exclude: names of layers that keep all channels.
        ridge: of least_squares, as a part of the channels' mean variance.
        images: training images, spread over the split, on which the channels are compared.
        positions: most positions of each that count.
        recalibrate: batches of these whose statistics batch-norm takes over after the cut; 0: none.
    """

    score: Score = "residual"
    scope: Literal["global", "uniform"] = "global"
    merge: Merge = "least_squares"
    control_merge: Merge = "delete"
    multiple: int = 8
    control_multiple: int = 1
    floor: float = 0.1
    exclude: tuple[str, ...] = ()
    ridge: float = 1e-6
    images: int = 256
    positions: int = 64
    recalibrate: int = 32

    def __post_init__(self):
        if (
            min(self.multiple, self.control_multiple) < 1
            or self.images < 1
            or self.positions < 1
            or self.recalibrate < 0
        ):
            raise InputError(
                f"multiple {self.multiple}, control_multiple {self.control_multiple}, images {self.images}, "
                f"positions {self.positions}, recalibrate {self.recalibrate}",
                "whole numbers from 1 up, recalibrate from 0",
                "change them",
            )
        if not 0 <= self.floor < 1 or not self.ridge >= 0:
            raise InputError(
                f"floor {self.floor:g}, ridge {self.ridge:g}", "a floor in 0–1, a ridge from 0", "change them"
            )


@dataclass(frozen=True)
class CutConfig:
    """One operation: from a detector to a smaller one."""

    source: Path = option(help="run folder, .keras file or name of the detector")
    data: Path = option(help="compiled HDF5 file, whose training images are looked at")
    out: Path = option(help="folder of the smaller detector")
    input: str = option(help="network input WxH")
    keep: float = option(help="fraction of the first detector's multiply-adds that is to stay")
    macs: int = option(help="how many multiply-adds that is, at most")
    surgery: SurgeryOptions = option(SurgeryOptions(), help="how channels are chosen and cut")
    batch_size: int = option(16, help="images a batch", minimum=1)
    seed: int = option(0, help="of the score random")


def check_keep(levels: tuple[float, ...]) -> None:
    """InputError unless levels lie between 0 and 1 and fall."""
    told = " ".join(f"{level:g}" for level in levels) or "none"
    if not levels or not all(0 < level < 1 for level in levels):
        raise InputError(f"keep {told}", "fractions of the multiply-adds, above 0 and below 1", "divide percent by 100")
    if any(high <= low for high, low in zip(levels, levels[1:], strict=False)):
        raise InputError(f"keep {told}", "levels that fall", "sort them, each once, the largest first")
