"""`--model` and `--weights`: a run folder, a `.keras` file or a name in the weights manifest → a model."""

from pathlib import Path

import keras

from prune_tools.export import load_compressed
from run_tools import cpu, manifest, saved
from run_tools.errors import InputError
from run_tools.files import parse_size, sha256
from yolo_prune import detector, loss, metrics  # noqa: F401  (registers the classes that a saved model names)
from yolo_prune.darknet import files as darknet_files


def model_file(source: str | Path) -> Path:
    """The `.keras` file meant by a run folder or a file; InputError when there is none."""
    return saved.model_file(source, lambda: manifest.others("detection"))


def load_model(source: str | Path, compile: bool = False) -> keras.Model:
    """A saved model, in Keras's safe mode.

    Args:
        source: a run folder (its best checkpoint), a `.keras` file, a `.kerasz` file of `export` (never compiled), or a
            name in the manifest of weights, whose files are downloaded where they are not here yet.
        compile: restore optimizer and loss as well.

    Raises:
        InputError: when there is no such file or it does not hold a model.
    """
    files = manifest.named(source, "detection")
    if files is not None:
        if files.cfg is not None and files.weights is not None:
            return darknet_files.load(files.cfg, files.weights, layers=files.entry.layers)
        source = files.model or source
    path = model_file(source)
    return load_compressed(path) if path.suffix == saved.COMPRESSED else saved.load(path, compile)


def digest(source: str | Path) -> str:
    """The SHA-256 of the file that `load_model` reads; of darknet models, that of the weights.

    Raises:
        InputError: when there is no such file.
    """
    files = manifest.named(source, "detection")
    if files is not None:
        return sha256(files.weights or files.model or model_file(source))
    return sha256(model_file(source))


def load_detector(source: str | Path, size: str | None = None) -> "detector.YoloV2":
    """Like `load_model`, for verbs that need boxes, and quicker on CPUs (`run_tools.cpu`).

    Args:
        source: as of `load_model`.
        size: another input than its own, "WIDTHxHEIGHT", multiples of 32.

    Raises:
        InputError: when the model is no `YoloV2`, for a size that no network has, or as `load_model`.
    """
    model = load_model(source)
    if not isinstance(model, detector.YoloV2):
        fix = "give a model that `train` or `import-darknet` saved"
        raise InputError(f"{source}: a {type(model).__name__}", "a YoloV2 detector", fix)
    if size is not None:
        model = model.at_size(parse_size(size))
    cpu.fuse_batch_norm(model)
    return model
