"""What a training is. One frozen dataclass for YAML, the command line and Python."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from data_tools.label_augment import LabelAugment
from run_tools.config import option
from run_tools.errors import InputError
from run_tools.manifest import MODEL_HELP

TASKS = ("type", "vehicle", "colour", "camera")
Task = Literal["type", "vehicle", "colour", "camera"]


@dataclass(frozen=True)
class TrainConfig:
    """Train a classifier; a run that was cut off goes on where it stopped."""

    data: Path = option(help="compiled HDF5 file of labelled images or features")
    out: Path = option(help="run folder")
    task: Task = option("type", help="what to tell apart; a folder of classes has only its types")
    classes: int | None = option(
        None, help="only the first so many classes of the task, such as 10 vehicles", minimum=2
    )
    network: Literal["resnet18", "lenet5", "mlp"] | None = option(
        None, help="default: resnet18 for images, mlp for features"
    )
    input: str | None = option(None, help="size of the network's images, WxH; default: as stored, 32x32 for lenet5")
    widths: tuple[int, ...] | None = option(
        None, help="resnet18: 4, one a stage, or 12; lenet5: 4; mlp: one a hidden layer"
    )
    dropout: float = option(0.2, help="of the hidden units of an mlp", minimum=0.0, maximum=0.99)
    standardise: Literal["none", "standard", "minmax", "imagenet"] = option(
        "none",
        help="inside the network: standard, by the training split's mean and deviation; minmax (features); "
        "imagenet, by the colours of ImageNet",
    )
    weights: Path | None = option(
        None,
        help=f"begin with these: {MODEL_HELP}; for resnet18 imagenet, which keras-hub downloads once, or "
        "torchvision's as .npz or .safetensors",
    )
    new_head: bool = option(False, help="begin with a fresh last layer, whatever --weights has")
    masks: Path | None = option(None, help="masks of prune_tools.masks (.npz): what they prune is held at zero")
    train: Literal["all", "head"] = option("all", help="which layers learn")
    epochs: int = option(50, help="passes over the training split", minimum=1)
    batch_size: int = option(100, help="images a batch", minimum=1)
    optimizer: Literal["adam", "sgd"] = option("adam", help="optimizer")
    momentum: float = option(0.9, help="of sgd", minimum=0.0, maximum=0.999)
    learning_rate: float = option(1e-3, help="the largest", minimum=1e-12)
    schedule: Literal["constant", "cosine"] = option("constant", help="cosine: down to a hundredth at the last epoch")
    weight_decay: float = option(0.0, help="decoupled weight decay of the kernels", minimum=0.0)
    clip_norm: float | None = option(None, help="global gradient norm above which gradients are scaled down")
    augment: LabelAugment | None = option(None, help="random changes of training images, such as {flip: .5}")
    monitor: Literal["val_loss", "val_accuracy"] = option("val_loss", help="what the best checkpoint is best by")
    patience: int | None = option(20, help="stop after so many epochs without a better checkpoint", minimum=1)
    save_every: int = option(1, help="epochs between checkpoints to resume from", minimum=1)
    images_every: int = option(5, help="epochs between confusion matrices in TensorBoard", minimum=1)
    mixed_precision: bool = option(False, help="float16 compute on a GPU, float32 head and loss")
    cpu_bfloat16: bool = option(False, help="convolutions in bfloat16 on CPUs that have it")
    seed: int = option(0, help="of weights, shuffling, dropout and augmentation", minimum=0)
    workers: int = option(1, help="threads that prepare batches", minimum=1)
    limit: int | None = option(None, help="learn from only so many images, taken evenly", minimum=1)

    def __post_init__(self):
        if self.standardise == "imagenet" and self.network in ("lenet5", "mlp"):
            raise InputError(f"standardise imagenet for {self.network}", "colour images", "choose standard or none")
        if self.clip_norm is not None and not self.clip_norm > 0:
            raise InputError(f"clip_norm {self.clip_norm:g}", "above 0, or null for no clipping", "for example 10")
