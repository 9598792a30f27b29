"""What a pruning runs: trainings with names, each a folder, each begun from the model or from another one of them."""

from dataclasses import dataclass
from typing import Any

from data_tools.store import Store, open_store
from run_tools import config as configs
from run_tools.errors import InputError
from run_tools.files import parse_size, told_size
from yolo_prune.class_map import ClassSet
from yolo_prune.detector import YoloV2
from yolo_prune.models import load_detector
from yolo_prune.network import check_image_size
from yolo_prune.pruning.options import PruneConfig
from yolo_prune.pruning.surgery_options import CutConfig
from yolo_prune.recipe import TrainConfig
from yolo_prune.verbs import classes_of

PRUNED, DENSE = "pruned", "dense"
MAIN_CLASSES = ("car", "pedestrian", "cyclist")


@dataclass(frozen=True)
class Run:
    """One training of a pruning.

    Attributes:
        kind: "pruned", or the control that it is.
        level: index of the level, from 0; None: the same training stands beside all levels.
        sparsity: fraction of the prunable weights that are zero in the end; 0 for dense ones.
        weights: how many of them that is.
        seed: of the training.
        config: everything that it depends on; where something is cut out before, its widths are known only then.
        cut: what is cut out of the network that it begins from; None: nothing.
    """

    kind: str
    level: int | None
    sparsity: float
    weights: int
    seed: int
    config: TrainConfig
    cut: CutConfig | None = None


@dataclass(frozen=True)
class Subject:
    """The detector that is pruned, and what it is judged on.

    Attributes:
        model: as it was given, at the input of its trainings.
        store: the data.
        classes: of its head.
        named: those in the report.
    """

    model: YoloV2
    store: Store
    classes: ClassSet
    named: tuple[str, ...]

    @classmethod
    def of(cls, options: PruneConfig) -> "Subject":
        """Reads model and data.

        Raises:
            InputError: for a model, data, split or class that is not there, or classes that do not fit each other.
        """
        model, store = load_detector(options.model), open_store(options.data, "detection")
        for name in dict.fromkeys(("train", "val", *options.splits)):
            if len(store[name]) < 2:
                raise InputError(f"split {name!r} of {len(store[name])} images", "at least two", "compile it again")
        classes = classes_of(model, store)
        if options.input is not None:
            size = check_image_size(parse_size(options.input))
            wide = YoloV2.from_config({**model.get_config(), "image_size": size})
            wide.set_weights(model.get_weights())
            model = wide
        named = options.classes or tuple(name for name in MAIN_CLASSES if name in classes.names) or classes.names
        for name in named:
            if name not in classes.names:
                raise InputError(f"class {name!r}", f"of {', '.join(classes.names)}", "choose others with --classes")
        return cls(model, store, classes, named)


def train_config(options: PruneConfig, subject: Subject, **own: Any) -> TrainConfig:
    """The config of one training: what the detector is, the options of all trainings, those of this one.

    Raises:
        InputError: for options in `train` that prune sets itself, or that make no training.
    """
    model = subject.model
    values: dict[str, Any] = {
        "data": options.data,
        "input": told_size(model.image_size),
        "variant": model.variant,
        "widths": model.widths,
        "passthrough": model.passthrough,
        "classes": subject.classes.name,
        "anchors": ";".join(f"{wide!r},{high!r}" for wide, high in model.anchors),
        "batch_size": options.batch_size,
        "weight_decay": options.weight_decay,
        "ema": options.ema,
        "teacher": options.teacher,
        "teacher_weight": options.teacher_weight,
        "augment": options.augment,
        "cpu_bfloat16": options.cpu_bfloat16,
        "workers": options.workers,
        "prune": None,
        **own,
    }
    stages = [{"train": "all", "epochs": options.epochs, "learning_rate": options.learning_rate}]
    for name in sorted({name.replace("-", "_") for name in options.train} & set(values)):
        raise InputError(f"{name} in train", "options that prune does not set itself", f"remove {name}")
    return configs.from_mapping(TrainConfig, {"stages": stages, **options.train, **values}, where="train")
