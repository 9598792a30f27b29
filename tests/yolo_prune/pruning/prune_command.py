"""The command of `yolo-prune prune`, as its tests give it."""

import json

from yolo_prune.cli import main


def prune(model, data, out, *words):
    """The command's exit code, and its result."""
    result = out.parent / "R.json"
    (out.parent / "train.yaml").write_text("train: {images_every: 0}\n")
    words = ["--config", out.parent / "train.yaml", "--model", model, "--data", data, "--out", out, *words]
    code = main(["prune", *map(str, words), "--json", str(result)])
    return code, json.loads(result.read_text()) if code == 0 else None
