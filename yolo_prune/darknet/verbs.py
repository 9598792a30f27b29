"""`yolo-prune import-darknet` and `export-darknet`."""

from pathlib import Path
from typing import Any

import numpy as np

from run_tools.errors import InputError
from run_tools.files import atomic_path, write_text
from yolo_prune.darknet.files import load, save
from yolo_prune.models import load_detector
from yolo_prune.options import ExportDarknetConfig, ImportDarknetConfig


def import_darknet(options: ImportDarknetConfig) -> dict[str, Any]:
    """Run `import-darknet`.

    Returns:
        `{"out", "input" (height, width), "parameters", "anchors", "num_classes", "class_names", "names_given",
        "header", "not_finite", "bytes"}`; `not_finite` is how many of the weights are no finite numbers.

    Raises:
        InputError: see `load`; or when OUT does not end in .keras, or the names are not one a class.
    """
    if options.out.suffix != ".keras" or options.out.is_dir():
        raise InputError(f"{options.out}", "a file that ends in .keras", "give it such a name")
    names = None if options.names is None else read_names(options.names)
    model = load(options.cfg, options.weights, names)
    with atomic_path(options.out) as temporary:
        model.save(temporary)
    return {
        "out": str(options.out),
        "input": list(model.image_size),
        "parameters": int(model.count_params()),
        "anchors": [list(pair) for pair in model.anchors],
        "num_classes": model.num_classes,
        "class_names": None if model.class_names is None else list(model.class_names),
        "names_given": names is not None,
        "header": model.header._asdict(),
        "not_finite": sum(int(np.count_nonzero(~np.isfinite(array))) for array in model.get_weights()),
        "bytes": options.out.stat().st_size,
    }


def read_names(path: Path) -> tuple[str, ...]:
    """The classes in a text file, such as darknet's `coco.names`: one a line, in lower case.

    Raises:
        InputError: when there is no such file or it is no text.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, IsADirectoryError, UnicodeDecodeError):
        raise InputError(f"{path}, which is no text file", "a file with one class a line", "check --names") from None
    return tuple(line.strip().lower() for line in lines if line.strip())


def import_table(result: dict[str, Any]) -> str:
    """The result of `import-darknet`."""
    height, width = result["input"]
    header, names = result["header"], result["class_names"]
    lines = [
        f"{result['out']}: input {width}x{height}, {result['parameters']:,} parameters, "
        f"{result['num_classes']} classes, {len(result['anchors'])} anchors",
        f"written by darknet {header['major']}.{header['minor']}.{header['revision']} after {header['seen']:,} images",
    ]
    if result["not_finite"]:
        lines.append(f"note: {result['not_finite']:,} of the weights are no finite numbers; is the file whole?")
    if names is None:
        lines.append("note: the classes have no names; give them with --names")
    elif not result["names_given"]:
        lines.append(f"note: classes named {', '.join(names[:3])} … as {len(names)} usually are; --names gives others")
    return "\n".join(lines)


def export_darknet(options: ExportDarknetConfig) -> dict[str, Any]:
    """Run `export-darknet`.

    Returns:
        `{"cfg", "weights", "names", "bytes", "values", "seen"}`; see `save`.

    Raises:
        InputError: see `save`; or when names are wanted of a model that has none, or in one of the other two files.
    """
    if options.names is not None and options.names.absolute() in (options.cfg.absolute(), options.weights.absolute()):
        raise InputError(f"{options.names} twice", "three files", "give the names a file of their own")
    model = load_detector(options.model)
    if options.names is not None and model.class_names is None:
        raise InputError(f"--names for {options.model}", "a model whose classes have names", "leave --names out")
    told = save(model, options.cfg, options.weights)
    if options.names is not None:
        write_text(options.names, "".join(f"{name}\n" for name in model.class_names or ()))
    names = None if options.names is None else str(options.names)
    return {"cfg": str(options.cfg), "weights": str(options.weights), "names": names, **told}


def export_table(result: dict[str, Any]) -> str:
    """The result of `export-darknet`."""
    return (
        f"{result['cfg']} and {result['weights']}: {result['values']:,} numbers, {result['bytes']:,} bytes; "
        f"{result['seen']:,} images seen"
    )
