"""The three recipes of paper 003, and that of the source network used where its own cannot be had.

`configs/paper003/*.yaml` are these recipes for `yolo-prune train`; the tests hold both to each other.

Where each number comes from (paper 003, section and words):
- input 608x608: section 3, "re-scaled in an input resolution of 608x608"; anchors: the same, "not modified";
- 5, 50 and 500 epochs, and which layers learn: section 5.1.1;
- Adam "at its defaults": section 5.1.1. Keras's are a learning rate of .001, beta .9 and .999; its epsilon was 1e-8
  then and is 1e-7 now. So: no schedule, no weight decay, no clipping;
- batch 16: section 5.1.1, "my computer (4) or the Stanford Sherlock cluster (16)";
- the weights "from the epoch with the lowest dev-loss": section 6.1;
- no augmentation: section 7 names it as future work;
- 1,000 images, 100 of them for dev and 100 for test: section 3; that is the compiled file's matter.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from data_tools.augment import Augment
from yolo_prune.recipe import Stage, TrainConfig

PAPER_INPUT = "608x608"
ClassesName = Literal["coco", "kitti"]


@dataclass(frozen=True)
class Recipe:
    """One of the paper's trainings.

    Attributes:
        name: of the run folder and the config.
        title: as the paper's Table 2 has it.
        classes: of the head.
        train: which layers learn.
        epochs: as in the paper.
        quick_epochs: with `--quick`.
        begins_with: the recipe whose best weights it starts from; None: the source network.
    """

    name: str
    title: str
    classes: ClassesName
    train: str
    epochs: int
    quick_epochs: int
    begins_with: str | None = None


RECIPES = (
    Recipe("coco_ft", "COCO-FT", "coco", "head", 5, 2),
    Recipe("coco_full", "COCO-Full", "coco", "all", 50, 2, begins_with="coco_ft"),
    Recipe("kitti_ft", "KITTI-FT", "kitti", "head", 500, 20),
)


def training(
    recipe: Recipe,
    data: Path,
    out: Path,
    weights: Path,
    *,
    input: str = PAPER_INPUT,
    batch_size: int = 16,
    new_head: bool | None = None,
    quick: bool = False,
    seed: int = 0,
    **network: Any,
) -> TrainConfig:
    """The config of a recipe.

    Args:
        recipe: one of `RECIPES`.
        data: compiled file.
        out: run folder.
        weights: what it starts from.
        input: network input WxH.
        batch_size: images a step.
        new_head: begin with a fresh head; default: where the classes are KITTI's, as the paper did.
        quick: few epochs.
        seed: of weights and shuffling.
        **network: `variant`, `widths`, `passthrough` and `anchors` of the source; default: tiny, as published, COCO's.

    Returns:
        A config for `Trainer`.
    """
    epochs = recipe.quick_epochs if quick else recipe.epochs
    return TrainConfig(
        data=data,
        out=out,
        weights=weights,
        input=input,
        classes=recipe.classes,
        stages=(Stage(recipe.train, epochs, 1e-3, "constant", warmup=0),),
        new_head=recipe.classes == "kitti" if new_head is None else new_head,
        batch_size=batch_size,
        optimizer="adam",
        clip_norm=None,
        augment=None,
        monitor="val_loss",
        # AP takes longer than an epoch on cached features, and chooses nothing here.
        ap_every=max(1, epochs // 10),
        images_every=max(1, epochs // 5),
        save_every=max(1, epochs // 20),
        seed=seed,
        **{"anchors": "coco", **network},
    )


def source(
    data: Path,
    out: Path,
    *,
    input: str = PAPER_INPUT,
    weights: Path | None = None,
    widths: Sequence[int] | None = None,
    quick: bool = False,
    seed: int = 0,
) -> TrainConfig:
    """A training that gives the COCO head a meaning for the classes of Table 1, on synthetic street scenes.

    Args:
        data: compiled scenes of `data-tools street`.
        out: run folder.
        input: network input WxH, best that of the recipes to come.
        weights: layers to start from, such as a `.npz` with some of COCO's; the others begin at random.
        widths: of the tiny network; default: the published ones.
        quick: few epochs.
        seed: of weights, shuffling and augmentation.

    Returns:
        A config for `Trainer`; tiny-YOLOv2 with COCO's 80 classes and anchors.
    """
    epochs = 2 if quick else 15
    return TrainConfig(
        data=data,
        out=out,
        weights=weights,
        input=input,
        widths=None if widths is None else tuple(widths),
        classes="coco",
        anchors="coco",
        stages=(Stage("all", epochs, 1e-3, "cosine", warmup=200),),
        batch_size=16,
        weight_decay=0.01,
        augment=Augment(),
        monitor_every=max(1, epochs // 6),
        images_every=max(1, epochs // 3),
        seed=seed,
    )
