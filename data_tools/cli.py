"""`data-tools`: from raw data sets to compiled files."""

from __future__ import annotations

from collections.abc import Sequence

from data_tools import options
from data_tools.scenes.studio_verb import StudioConfig
from data_tools.scenes.verb import StreetConfig
from run_tools import cli

PROGRAM = "data-tools"
VERBS = (
    cli.Verb(
        "street",
        StreetConfig,
        "data_tools.scenes.verb:street",
        "data_tools.scenes.verb:table",
        "data-tools street scenes --images 200 --seed 0",
    ),
    cli.Verb(
        "studio",
        StudioConfig,
        "data_tools.scenes.studio_verb:studio",
        "data_tools.scenes.studio_verb:table",
        "data-tools studio vehicles --per-type 200 --vehicles 110 --seed 0",
    ),
    cli.Verb(
        "compile kitti",
        options.CompileKitti,
        "data_tools.verbs:compile_kitti",
        "data_tools.verbs:compile_table",
        "data-tools compile kitti kitti/ kitti.h5 --size 1248x384",
    ),
    cli.Verb(
        "compile vehiclex",
        options.CompileVehicleX,
        "data_tools.label_verbs:compile_vehiclex",
        "data_tools.label_verbs:compile_table",
        "data-tools compile vehiclex vehicle-x/ vehiclex.h5",
    ),
    cli.Verb(
        "compile folder",
        options.CompileFolder,
        "data_tools.label_verbs:compile_folder",
        "data_tools.label_verbs:compile_table",
        "data-tools compile folder vehicle_crops/ crops.h5 --size 96",
    ),
    cli.Verb(
        "features",
        options.Features,
        "data_tools.label_verbs:features",
        "data_tools.label_verbs:features_table",
        "data-tools features crops.h5 crops_squeezenet.h5 --backbone squeezenet --weights squeezenet_notop.h5",
    ),
    cli.Verb(
        "inspect",
        options.Inspect,
        "data_tools.verbs:inspect",
        "data_tools.verbs:inspect_table",
        "data-tools inspect kitti.h5 --plot plots/",
    ),
    cli.Verb(
        "verify",
        options.Verify,
        "data_tools.verbs:verify",
        "data_tools.verbs:verify_table",
        "data-tools verify kitti.h5",
    ),
    cli.Verb(
        "anchors",
        options.Anchors,
        "data_tools.verbs:anchors",
        "data_tools.verbs:anchors_table",
        "data-tools anchors kitti.h5 -k 5 --input 832x256",
    ),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb.

    Args:
        argv: the words after the program's name; default: the process's own.

    Returns:
        Exit code: 0 on success, 2 on bad input.
    """
    return cli.main(PROGRAM, VERBS, argv)
