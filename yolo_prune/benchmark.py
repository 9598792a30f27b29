"""`benchmark`: a detector, and another one beside it, in every format."""

from typing import Any

from prune_tools import comparison
from prune_tools.runtimes import check_kinds
from run_tools.errors import InputError
from yolo_prune.export import check_images
from yolo_prune.models import load_detector
from yolo_prune.options import BenchmarkConfig


def benchmark(options: BenchmarkConfig) -> dict[str, Any]:
    """Run `benchmark`.

    Returns:
        What `prune_tools.comparison.compare` returns, with `input` (height, width) and the paths of both models.

    Raises:
        InputError: for an unknown runtime, models that are no detectors or have other inputs, or an unreadable picture.
    """
    kinds = check_kinds(options.runtimes, comparison.RUNTIMES, "runtime")
    models = {"model": load_detector(options.model)}
    if options.against is not None:
        models["against"] = load_detector(options.against)
    sizes = {name: model.image_size for name, model in models.items()}
    if len(set(sizes.values())) > 1:
        told = ", ".join(f"{name}: {width}x{height}" for name, (height, width) in sizes.items())
        raise InputError(f"detectors of different inputs ({told})", "one size", "compare detectors of the same input")
    images = check_images(models["model"], None if options.image is None else [options.image])[:1]
    inputs = {"image": images.astype("float32") / 255}
    result = comparison.compare(models, kinds, inputs, options.threads, options.rounds, options.calls)
    paths = {"model": str(options.model), "against": None if options.against is None else str(options.against)}
    return {**result, "input": list(models["model"].image_size), "paths": paths}
