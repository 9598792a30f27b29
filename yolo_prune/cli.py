"""`yolo-prune`: train, judge, use and export a detector."""

import os
from collections.abc import Sequence

from run_tools import cli
from yolo_prune import options
from yolo_prune.experiments import options as experiments
from yolo_prune.pruning.options import PruneConfig
from yolo_prune.recipe import TrainConfig
from yolo_prune.verbs_kitti import KittiEval

PROGRAM = "yolo-prune"
_VERBS, _TABLES = "yolo_prune.verbs:", "yolo_prune.tables:"
_STUDIES = "yolo_prune.experiments.studies:"
VERBS = (
    cli.Verb(
        "train",
        TrainConfig,
        _VERBS + "train",
        _TABLES + "train_table",
        "yolo-prune train --data kitti.h5 --out runs/kitti --input 832x256 --stages top:5:10:1e-3 all:50:1e-3",
    ),
    cli.Verb(
        "evaluate",
        options.EvaluateConfig,
        _VERBS + "evaluate",
        _TABLES + "evaluate_table",
        "yolo-prune evaluate --model runs/kitti --data kitti.h5 --split test --metrics paper,kitti,coco --json R.json",
    ),
    cli.Verb(
        "kitti-eval",
        KittiEval,
        "yolo_prune.verbs_kitti:kitti_eval",
        "yolo_prune.verbs_kitti:table",
        "yolo-prune kitti-eval label_2 results --json R.json",
    ),
    cli.Verb(
        "ablate",
        options.AblateConfig,
        "yolo_prune.ablation:ablate",
        "yolo_prune.ablation:table",
        "yolo-prune ablate --config configs/ablation/kitti_tiny.yaml --data kitti.h5 --out runs/ablation",
    ),
    cli.Verb(
        "prune",
        PruneConfig,
        "yolo_prune.pruning.verb:prune",
        "yolo_prune.pruning.verb:table",
        "yolo-prune prune --model runs/kitti --data kitti.h5 --out runs/pruned --sparsity .3 .5 .7 .9 --epochs 6",
    ),
    cli.Verb(
        "detect",
        options.DetectConfig,
        "yolo_prune.verbs_detect:detect",
        "yolo_prune.verbs_detect:table",
        "yolo-prune detect drive/ street.png clip.mp4 --model runs/kitti --out detections",
    ),
    cli.Verb(
        "export",
        options.ExportConfig,
        _VERBS + "export",
        _TABLES + "export_table",
        "yolo-prune export --model runs/kitti --out exported --formats saved_model --nms",
    ),
    cli.Verb(
        "import-darknet",
        options.ImportDarknetConfig,
        "yolo_prune.darknet.verbs:import_darknet",
        "yolo_prune.darknet.verbs:import_table",
        "yolo-prune import-darknet yolov2-tiny.cfg yolov2-tiny.weights yolov2-tiny.keras",
    ),
    cli.Verb(
        "export-darknet",
        options.ExportDarknetConfig,
        "yolo_prune.darknet.verbs:export_darknet",
        "yolo_prune.darknet.verbs:export_table",
        "yolo-prune export-darknet runs/kitti kitti.cfg kitti.weights",
    ),
    cli.Verb(
        "demo",
        options.DemoConfig,
        "yolo_prune.demo:demo",
        _TABLES + "demo_table",
        "yolo-prune demo --out runs/demo",
    ),
    cli.Verb(
        "paper003",
        experiments.Paper003Config,
        "yolo_prune.experiments.paper003:paper003",
        "yolo_prune.experiments.paper003:table",
        "yolo-prune paper003 --data kitti.h5 --weights runs/source --out runs/paper003 --json R.json",
    ),
    cli.Verb(
        "study anchors",
        experiments.AnchorStudyConfig,
        _STUDIES + "anchors",
        _STUDIES + "table",
        "yolo-prune study anchors --data kitti.h5 --out runs/anchors --weights tiny_coco.npz",
    ),
    cli.Verb(
        "study depth",
        experiments.DepthStudyConfig,
        _STUDIES + "depth",
        _STUDIES + "table",
        "yolo-prune study depth --data kitti.h5 --out runs/depth --weights runs/source",
    ),
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
