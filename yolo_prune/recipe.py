"""What a training is: data, network, stages. One frozen dataclass for YAML, the command line and Python."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from data_tools.augment import Augment
from run_tools.config import option
from run_tools.errors import InputError
from yolo_prune.pruning.settings import Pruning
from yolo_prune.region import Region

SCHEDULES = ("cosine", "constant", "darknet")
NAMED = ("names", "except")
"""Begin a `Stage.train` that lists layers."""


@dataclass(frozen=True)
class Stage:
    """One part of a training: which layers learn, how long and how fast.

    Attributes:
        train: "all"; "head", the last convolution; "top:N", the last N convolutions with their batch-norms; "norm",
            the batch-norms alone; "names:conv_8,norm_8,conv_9", the layers of these names, in which * and ? stand for
            any characters; or "except:conv_1,norm_1", all others. A frozen batch-norm uses its stored statistics.
        epochs: passes over the training split, at least 1.
        learning_rate: the largest one of the stage.
        schedule: "cosine", down to a hundredth at the end of the stage; "constant"; or "darknet", constant up to
            `steps`.
        warmup: steps that raise the learning rate from 0, at most half of the stage: linearly, or with the schedule
            "darknet" to the fourth power, its burn-in.
        prior_scale: `RegionLoss.prior_scale`; darknet's is .01, and steadies the beginning.
        prior_images: the term is on while the stage has seen fewer images than this, those of the batch included:
            darknet's 12,800; None: to the end of the stage.
        steps: of the schedule "darknet": from which on the learning rate is scaled; below 1 a fraction of the stage,
            from 1 up the number of a step. The default is that of yolov2.cfg.
        scales: of the schedule "darknet": the factor of each of `steps`.
    """

    train: str = "all"
    epochs: int = 50
    learning_rate: float = 1e-3
    schedule: str = "cosine"
    warmup: int = 100
    prior_scale: float = 0.0
    steps: tuple[float, ...] = (0.8, 0.9)
    scales: tuple[float, ...] = (0.1, 0.1)
    prior_images: int | None = None

    def __post_init__(self):
        if self.epochs < 1 or not self.learning_rate > 0 or self.warmup < 0 or self.prior_scale < 0:
            raise InputError(
                f"stage {self.train} of {self.epochs} epochs, learning rate {self.learning_rate:g}, "
                f"warmup {self.warmup}, prior_scale {self.prior_scale:g}",
                "at least one epoch, a learning rate above 0, warmup and prior_scale from 0",
                "for example all:50:1e-3",
            )
        if self.prior_images is not None and (self.prior_images < 1 or not self.prior_scale):
            raise InputError(
                f"prior_images {self.prior_images} with prior_scale {self.prior_scale:g}",
                "at least 1, and a prior_scale above 0",
                "as in darknet: prior_scale .01 and prior_images 12800",
            )
        if self.schedule not in SCHEDULES:
            raise InputError(f"schedule {self.schedule!r}", f"one of {', '.join(SCHEDULES)}", "choose one")
        if len({step < 1 for step in self.steps}) > 1 or any(step >= 1 and step % 1 for step in self.steps):
            raise InputError(f"steps {self.steps}", "all fractions below 1, or all whole numbers", "choose one kind")
        check_steps(self.steps, self.scales)
        check_train(self.train)

    @classmethod
    def parse(cls, text: str) -> "Stage":
        """A stage as the command line has it.

        Args:
            text: "WHAT:EPOCHS[:LEARNING_RATE[:SCHEDULE]]", such as "all:50:1e-3" or "top:3:20:1e-4:constant".

        Returns:
            The stage; what is not told has its default.

        Raises:
            InputError: for anything else.
        """
        parts = text.split(":")
        if parts[0] in ("top", *NAMED) and len(parts) > 1:
            parts[:2] = [":".join(parts[:2])]
        if not 2 <= len(parts) <= 4:
            raise InputError(f"stage {text!r}", "WHAT:EPOCHS[:LEARNING_RATE[:SCHEDULE]]", "for example all:50:1e-3")
        try:
            epochs, rate = int(parts[1]), float(parts[2]) if len(parts) > 2 else cls.learning_rate
        except ValueError:
            raise InputError(f"stage {text!r}", "a whole number of epochs and a learning rate", "all:50:1e-3") from None
        return cls(parts[0], epochs, rate, parts[3] if len(parts) == 4 else cls.schedule)


def check_steps(steps: Sequence[float], scales: Sequence[float]) -> None:
    """InputError unless the steps are above 0 and in order, and each has a scale above 0."""
    ordered = all(a <= b for a, b in zip(steps, steps[1:], strict=False)) and all(step > 0 for step in steps)
    if not ordered or len(steps) != len(scales) or not all(scale > 0 for scale in scales):
        raise InputError(
            f"steps {', '.join(map(str, steps))} with scales {', '.join(map(str, scales))}",
            "steps above 0 in order, and one scale above 0 for each",
            "for example steps .8 .9 and scales .1 .1",
        )


def check_train(train: str) -> int | None:
    """N of "top:N", else None; InputError for anything that `Stage.train` does not name."""
    kind, _, told = train.partition(":")
    if train in ("all", "head", "norm") or (kind in NAMED and all(told.split(","))):
        return None
    if kind != "top" or not told.isdigit() or int(told) < 1:
        expected = "all, head, top:N, norm, names:LAYERS or except:LAYERS"
        raise InputError(f"train {train!r}", expected, "for example top:5 or names:conv_8,conv_9")
    return int(told)


@dataclass(frozen=True)
class TrainConfig:
    """Train a detector in stages; a run that was cut off goes on where it stopped."""

    data: Path = option(help="compiled HDF5 file with the splits train and val")
    out: Path = option(help="run folder; an unfinished run there is resumed")
    input: str | None = option(None, help="network input WxH, multiples of 32; default: the stored size")
    variant: Literal["full", "tiny"] = option("tiny", help="network")
    widths: tuple[int, ...] | None = option(None, help="channels of every convolution but the head")
    width_multiplier: float = option(1.0, help="factor on the published widths")
    passthrough: Literal["space_to_depth", "reorg"] = option(
        "space_to_depth", help="of the full network; reorg is darknet's, which its weights need"
    )
    classes: Literal["merged", "kitti", "coco", "data"] = option(
        "merged", help="class set of the head; data: the file's own classes, for data that is not KITTI's"
    )
    anchors: str = option(
        "kmeans",
        help="kmeans (of the training boxes), weights (those of --weights), coco, voc, tiny-voc, or w,h;w,h;... cells",
    )
    anchor_count: int = option(5, help="anchors found by kmeans", minimum=1)
    anchor_balance: bool = option(False, help="each class counts as the square root of its number of boxes in kmeans")
    stages: tuple[Stage, ...] = option(
        (Stage(),), help="WHAT:EPOCHS[:RATE[:SCHEDULE]] each; WHAT: all, head, top:N, norm, names:A,B*, except:A,B*"
    )
    weights: Path | None = option(
        None, help="warm start: run folder, .keras, .npz in Keras layout, or name in the manifest"
    )
    new_head: bool = option(False, help="begin with a fresh head, whatever --weights has")
    batch_size: int = option(16, help="images a batch", minimum=1)
    accumulate: int = option(1, help="batches whose gradients make one step: a larger batch in less memory", minimum=1)
    multi_scale: float = option(
        0.0, help="train at inputs of --input's aspect, from 1/(1+X) to 1+X times its shorter side: .35", minimum=0.0
    )
    sizes: tuple[str, ...] | None = option(None, help="train at these inputs WxH instead")
    sizes_every: int = option(10, help="batches of one size, with --multi-scale or --sizes", minimum=1)
    class_balance: Literal["none", "weights", "images"] = option(
        "none",
        help="rare classes: weights, in the loss, by 1/√(boxes); images, those that hold them are shown more often",
    )
    occlusion_discount: float = option(
        0.0, help="share of its weight in the loss that a wholly occluded object loses", minimum=0.0, maximum=1.0
    )
    truncation_discount: float = option(
        0.0, help="share that an object loses that is wholly outside the image", minimum=0.0, maximum=1.0
    )
    box_loss: Literal["squared", "ciou"] = option(
        "squared", help="of boxes: darknet's squared errors, or 1 - complete IoU, which is stricter with narrow ones"
    )
    box_scale: float = option(1.0, help="weight of the boxes in the loss", minimum=0.0)
    region: Region = option(Region(), help="the loss's other options, such as {rescore: false} (docs/training.md)")
    optimizer: Literal["adam", "sgd"] = option("adam", help="optimizer; sgd has momentum .9")
    weight_decay: float = option(0.0, help="decoupled weight decay of the kernels", minimum=0.0)
    clip_norm: float | None = option(10.0, help="global gradient norm above which gradients are scaled down")
    ema: float | None = option(None, help="momentum of the weights' averages, which are judged and saved: .998")
    teacher: Path | None = option(
        None, help="learn from this detector's answers too, a wider or a dense one: run folder, .keras or name"
    )
    teacher_weight: float = option(1.0, help="of the distillation loss beside the region loss", minimum=0.0)
    prune: Pruning | None = option(
        None, help="prune and hold at zero while it learns, such as {sparsity: .9} (docs/prune_detector.md)"
    )
    augment: Augment | None = option(Augment(), help="random changes of training images; null for none")
    mosaic_off: int = option(0, help="last epochs, without the mosaic and mix-up of --augment", minimum=0)
    monitor: Literal["val_ap50", "val_loss"] = option("val_ap50", help="what the best checkpoint is best by")
    monitor_every: int = option(1, help="epochs between validations", minimum=1)
    patience: int | None = option(None, help="stop after so many epochs without a better checkpoint", minimum=1)
    ap_every: int | None = option(
        None, help="epochs between measurements of AP on the validation split; default: at every validation", minimum=1
    )
    save_every: int = option(1, help="epochs between checkpoints to resume from", minimum=1)
    cache: Literal["float32", "float16", "off"] = option(
        "float32",
        help="how stages that train the head alone store the features of the frozen layers (docs/training.md)",
    )
    cache_variants: int | None = option(
        None, help="with augmentation, such stages store so many variants of each image; default: none", minimum=1
    )
    images_every: int = option(5, help="epochs between pictures in TensorBoard; 0: none", minimum=0)
    mixed_precision: bool = option(False, help="float16 compute on a GPU, float32 head and loss")
    cpu_bfloat16: bool = option(False, help="convolutions in bfloat16 on CPUs that have it: up to twice as fast")
    distribute: Literal["none", "mirrored", "multihost"] = option("none", help="several GPUs, or several hosts (JAX)")
    seed: int = option(0, help="of weights, shuffling and augmentation", minimum=0)
    workers: int = option(1, help="threads that prepare batches", minimum=1)
    limit: int | None = option(
        None, help="use only the first N training images and validate on them: an overfitting check", minimum=1
    )

    def __post_init__(self):
        if not self.stages:
            raise InputError("no stages", "at least one", "for example --stages all:50:1e-3")
        if self.ema is not None and not 0 < self.ema < 1:
            raise InputError(f"ema {self.ema}", "a momentum between 0 and 1", "for example .998")
        if self.clip_norm is not None and not self.clip_norm > 0:
            raise InputError(f"clip_norm {self.clip_norm:g}", "above 0, or null for no clipping", "for example 10")
        if not self.teacher_weight > 0:
            raise InputError(f"teacher_weight {self.teacher_weight:g}", "above 0", "leave --teacher out instead")
        for name in ("prune", "teacher"):
            if self.distribute == "multihost" and getattr(self, name) is not None:
                raise InputError(f"{name} with distribute multihost", "one of the two", "train on one host")
        if not 0 <= self.seed < 2**32:
            raise InputError(f"seed {self.seed}", "a whole number from 0 to 2^32 - 1", "choose another")
        if self.sizes and self.multi_scale:
            raise InputError("sizes and multi_scale", "one of the two", "leave one out")


@dataclass(frozen=True)
class Plan:
    """Where each stage begins and ends, in epochs counted over the whole training."""

    stages: tuple[Stage, ...]
    starts: tuple[int, ...] = field(init=False)

    def __post_init__(self):
        starts = [0]
        for stage in self.stages[:-1]:
            starts.append(starts[-1] + stage.epochs)
        object.__setattr__(self, "starts", tuple(starts))

    @property
    def epochs(self) -> int:
        """Epochs of all stages together."""
        return self.starts[-1] + self.stages[-1].epochs

    def end(self, index: int) -> int:
        """The epoch at which stage `index` is done."""
        return self.starts[index] + self.stages[index].epochs
