"""`--model`: a run folder, a `.keras` file or a name in the weights manifest → a classifier."""

from pathlib import Path

from classify_prune.models import Classifier
from prune_tools.export import load_compressed
from run_tools import cpu, manifest, saved
from run_tools.errors import InputError


def model_file(source: str | Path) -> Path:
    """The file of a model that a user means.

    Args:
        source: a run folder (its best checkpoint), a `.keras` file, a `.kerasz` file of `export`, or a name in the
            manifest of weights, whose file is downloaded where it is not here yet.

    Raises:
        InputError: when there is none.
    """
    files = manifest.named(source, "classification")
    if files is not None and files.model is not None:
        return files.model
    return saved.model_file(source, lambda: manifest.others("classification"))


def load_classifier(source: str | Path, compile: bool = False) -> Classifier:
    """A saved classifier, in Keras's safe mode, and quicker on CPUs (`run_tools.cpu`).

    Args:
        source: as of `model_file`.
        compile: restore optimizer and loss as well; a compressed one has none.

    Raises:
        InputError: when there is no such file or it holds something else.
    """
    path = model_file(source)
    model = load_compressed(path) if path.suffix == saved.COMPRESSED else saved.load(path, compile)
    if not isinstance(model, Classifier):
        fix = "give a model that `classify-prune train` saved"
        raise InputError(f"{source}: a {type(model).__name__}", "a classifier of this project", fix)
    return quicker(model)


def quicker(model: Classifier) -> Classifier:
    """The same classifier, set up to answer quickly on CPUs; for one that was just made, by surgery say."""
    cpu.fuse_batch_norm(model)
    # XLA's convolutions are slow on CPUs.
    if cpu.on_cpu():
        model.jit_compile = False
    return model
