"""Every shipped config says how to run it, can be read, and works on a small file."""

import dataclasses
import itertools
from pathlib import Path

import pytest

from classify_prune.clustering.verb import cluster
from classify_prune.options import ClusterConfig
from classify_prune.papers import registry
from classify_prune.recipe import TrainConfig
from classify_prune.trainer import Trainer
from run_tools import config

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = {path.stem: path for path in sorted((ROOT / "configs" / "classify").glob("*.yaml"))}
SMALL = {
    "mlp": {"widths": (5,)},
    "lenet5": {"widths": (2, 3, 4, 5)},
    "resnet18": {"widths": (2, 2, 3, 3), "input": "24x24"},
}


def test_configs_are_there():
    assert {"resnet18_types", "mlp_types", "mlp_vehicles", "lenet5_vehicles", "clusters"} <= set(CONFIGS)


@pytest.mark.parametrize("name", CONFIGS)
def test_the_first_lines_say_what_to_type_and_what_to_expect(name):
    verb = "cluster" if name == "clusters" else "train"
    head = [line for line in CONFIGS[name].read_text().splitlines() if line.startswith("#")]
    assert any(f"classify-prune {verb} --config configs/classify/{name}.yaml --data " in line for line in head)
    # The data file comes first, by the command that makes it, and is the one that the verb is given.
    assert head[0].startswith("# data-tools compile ")
    made = [line.split("#")[1].split(" --")[0].split()[-1] for line in head if line.startswith("# data-tools ")]
    given = [word for line in head for flag, word in itertools.pairwise(line.split()) if flag == "--data"]
    assert set(given) == {made[-1]}
    told = " ".join(line.removeprefix("#") for line in head)
    assert "xpected" in told and "uration" in told


@pytest.mark.parametrize("name", [name for name in CONFIGS if name != "clusters"])
def test_a_shrunk_run(name, eager, images_h5, features_h5, tmp_path):
    whole = config.load(TrainConfig, CONFIGS[name], data=images_h5, out=tmp_path)
    features = whole.network == "mlp"
    changes = {"data": features_h5 if features else images_h5, "out": tmp_path / "run", **SMALL[whole.network]}
    # The small file of images has no vehicles.
    changes |= {"epochs": 1, "batch_size": 8} | ({} if features else {"task": "type", "classes": None})
    result = Trainer(config.load(TrainConfig, CONFIGS[name], **changes), verbose=0).fit()
    assert result["epochs"] == 1 and result["best"] is not None


def test_shrunk_clusters(features_h5):
    options = config.load(ClusterConfig, CONFIGS["clusters"], data=features_h5)
    assert (options.fuzziness, options.iterations) == ((1.7, 2.5, 3.5, 4.5, 5.5), (5, 10, 15))
    assert len(cluster(options)["rows"]) == 5 * 3 * 3


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("paper00[0124]/*.yaml")), ids=lambda path: path.stem)
def test_configs_of_papers_are_options_of_their_verb(path):
    number = path.parent.name.removeprefix("paper")
    cls = registry.options_of(number)
    options = config.load(cls, path, data="d.h5", out="o")
    assert registry.settings_of(options) != registry.settings_of(dataclasses.replace(options, quick=True))
    head = " ".join(line.removeprefix("#") for line in path.read_text().splitlines() if line.startswith("#"))
    assert f"classify-prune paper {number} --config configs/{path.parent.name}/{path.name} --data " in head
    assert "xpected" in head and "uration" in head
