"""Stages, the plan they make, and what a training config refuses."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_tools.augment import Augment
from run_tools import config
from run_tools.errors import InputError
from yolo_prune.recipe import Plan, Stage, TrainConfig, check_train


@pytest.mark.parametrize(
    "text, expected",
    [
        ("all:50", Stage("all", 50)),
        ("all:50:1e-3", Stage("all", 50, 1e-3)),
        ("head:5:0.01:constant", Stage("head", 5, 0.01, "constant")),
        ("norm:2:1e-4:darknet", Stage("norm", 2, 1e-4, "darknet")),
        ("top:3:20", Stage("top:3", 20)),
        ("names:conv_8,norm_*:20:1e-4", Stage("names:conv_8,norm_*", 20, 1e-4)),
        ("except:conv_1:20", Stage("except:conv_1", 20)),
        ("top:3:20:1e-4:constant", Stage("top:3", 20, 1e-4, "constant")),
    ],
)
def test_stages_as_text(text, expected):
    assert Stage.parse(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "all", "all:", "all:x", "all:1.5", "all:0", "all:-1", "all:5:fast", "all:5:0", "all:5:-1e-3", "all:5:nan"]
    + ["all:5:1e-3:linear", "all:5:1e-3:cosine:7", "top:5", "top:x:5", "top:0:5", "body:5", ":5"],
)
def test_stages_that_make_no_sense(text):
    with pytest.raises(InputError):
        Stage.parse(text)


@pytest.mark.parametrize("wrong", [{"warmup": -1}, {"prior_scale": -0.1}, {"learning_rate": float("nan")}])
def test_numbers_out_of_range(wrong):
    with pytest.raises(InputError):
        Stage(**wrong)


def test_which_layers_a_word_names():
    assert [check_train(word) for word in ("all", "head", "norm", "top:1", "top:12")] == [None, None, None, 1, 12]


def test_the_seeds_recipe():
    # COCO-FT 5 epochs of the head, COCO-Full 50 of everything, KITTI-FT 500 of a new head: 0, 5, 55; 555 in all.
    plan = Plan((Stage("head", 5), Stage("all", 50), Stage("head", 500)))
    assert plan.starts == (0, 5, 55)
    assert plan.epochs == 555
    assert [plan.end(index) for index in range(3)] == [5, 55, 555]


@given(st.lists(st.integers(1, 100), min_size=1, max_size=5))
def test_stages_follow_each_other(lengths):
    plan = Plan(tuple(Stage("all", length) for length in lengths))
    assert plan.starts[0] == 0
    assert plan.epochs == sum(lengths)
    for index, length in enumerate(lengths):
        assert plan.end(index) - plan.starts[index] == length
        assert plan.end(index) == (*plan.starts, plan.epochs)[index + 1]


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_that_keras_does_not_take(seed):
    with pytest.raises(InputError, match=f"seed {seed}; expected a whole number from 0"):
        TrainConfig(data=Path("a.h5"), out=Path("run"), seed=seed)


def test_a_config_needs_a_stage():
    with pytest.raises(InputError, match="no stages"):
        TrainConfig(data=Path("a.h5"), out=Path("run"), stages=())


def test_a_config_survives_its_yaml(tmp_path):
    stages = (Stage("head", 5, 1e-2, "constant", 0, 0.01), Stage("top:3", 2))
    whole = TrainConfig(
        data=Path("a.h5"), out=Path("run"), widths=(4,) * 8, stages=stages, augment=Augment(flip=0.0), clip_norm=None
    )
    for given_config in (whole, TrainConfig(data=Path("a.h5"), out=Path("run"), augment=None, weights=Path("w.npz"))):
        path = tmp_path / "config.yaml"
        config.dump(given_config, path)
        assert config.load(TrainConfig, path) == given_config


def test_stages_on_the_command_line_are_text():
    loaded = config.load(TrainConfig, data="a.h5", out="run", stages=["head:5", "top:2:3:1e-4"])
    assert loaded.stages == (Stage("head", 5), Stage("top:2", 3, 1e-4))
