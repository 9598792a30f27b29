"""`classify-prune`: train, judge, prune and use a classifier; cluster features; papers run again."""

import os
from collections.abc import Sequence

from classify_prune import options
from classify_prune.papers import registry
from classify_prune.pruning.options import PruneConfig
from classify_prune.recipe import TrainConfig
from run_tools import cli

PROGRAM = "classify-prune"
_VERBS, _TABLES = "classify_prune.verbs:", "classify_prune.tables:"
VERBS = (
    cli.Verb(
        "train",
        TrainConfig,
        _VERBS + "train",
        _TABLES + "train_table",
        "classify-prune train --data types.h5 --out runs/types --network resnet18 --input 64x64 --epochs 30",
    ),
    cli.Verb(
        "evaluate",
        options.EvaluateConfig,
        _VERBS + "evaluate",
        _TABLES + "evaluate_table",
        "classify-prune evaluate --model runs/types --data types.h5 --split test --json R.json",
    ),
    cli.Verb(
        "prune",
        PruneConfig,
        "classify_prune.pruning.verb:prune",
        "classify_prune.pruning.verb:table",
        "classify-prune prune --model runs/types --data types.h5 --out runs/pruned --sparsity .25 .5 .75",
    ),
    cli.Verb(
        "export",
        options.ExportConfig,
        "classify_prune.export:export",
        "classify_prune.export:export_table",
        "classify-prune export --model runs/types --out exported --formats saved_model,litert,onnx,openvino",
    ),
    cli.Verb(
        "benchmark",
        options.BenchmarkConfig,
        "classify_prune.export:benchmark",
        "prune_tools.comparison:table",
        "classify-prune benchmark --model runs/pruned/distinctiveness-50-0 --against runs/types --json R.json",
    ),
    cli.Verb(
        "demo",
        options.DemoConfig,
        "classify_prune.demo:demo",
        "classify_prune.demo:table",
        "classify-prune demo --out runs/classify-demo",
    ),
    cli.Verb(
        "predict",
        options.PredictConfig,
        "classify_prune.predict:predict",
        _TABLES + "predict_table",
        "classify-prune predict photos/ clip.mp4 --model runs/types",
    ),
    cli.Verb(
        "cluster",
        options.ClusterConfig,
        "classify_prune.clustering.verb:cluster",
        "classify_prune.clustering.verb:table",
        "classify-prune cluster --data features.h5 --fuzziness 1.3 1.7 2.5 --iterations 5 10 15 --seeds 0 1 2",
    ),
    *registry.verbs(),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb.

    Args:
        argv: the words after the program's name; default: the process's own.

    Returns:
        Exit code: 0 on success, 2 on bad input.
    """
    # TensorFlow calls a machine without a GPU an error; what goes wrong in earnest comes back as an exception.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    return cli.main(PROGRAM, VERBS, argv)
