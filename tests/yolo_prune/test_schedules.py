"""Learning rates: darknet's against its `get_current_rate` written out, and what each stage gets."""

import keras
import numpy as np
import pytest

from run_tools.errors import InputError
from yolo_prune.recipe import Stage
from yolo_prune.schedules import DarknetSchedule, PerUpdate, schedule_of


def get_current_rate(net, batch_num):
    """darknet's `network.c`, policies CONSTANT (no steps) and STEPS; `batch_num` counts from 1 in `update_network`."""
    if batch_num < net["burn_in"]:
        return net["learning_rate"] * (batch_num / net["burn_in"]) ** net["power"]
    rate = net["learning_rate"]
    for i in range(len(net["steps"])):
        if net["steps"][i] > batch_num:
            return rate
        rate *= net["scales"][i]
    return rate


NETS = [
    # yolov2.cfg, yolov2-voc.cfg (whose scales also go up) and no step at all.
    {"learning_rate": 0.001, "burn_in": 1000, "steps": (400000, 450000), "scales": (0.1, 0.1), "power": 4.0},
    {"learning_rate": 0.0001, "burn_in": 0, "steps": (100, 25000, 35000), "scales": (10, 0.1, 0.1), "power": 4.0},
    {"learning_rate": 0.01, "burn_in": 7, "steps": (), "scales": (), "power": 2.0},
    # A step inside the burn-in, and two at once.
    {"learning_rate": 0.01, "burn_in": 10, "steps": (5, 20, 20), "scales": (0.5, 0.1, 0.2), "power": 4.0},
]


@pytest.mark.parametrize("net", NETS, ids=["yolov2", "voc", "no steps", "odd"])
def test_the_rates_of_darknet(net):
    schedule = DarknetSchedule(**net)
    edges = {0, 1, 4, 5, net["burn_in"], *net["steps"], 499_999}
    for step in sorted({max(0, edge + shift) for edge in edges for shift in (-2, -1, 0, 1)}):
        assert float(schedule(step)) == pytest.approx(get_current_rate(net, step + 1), rel=1e-5), step
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(schedule))
    assert again.get_config() == schedule.get_config() and isinstance(again, DarknetSchedule)


def test_a_step_before_the_first_batch_is_another_rate():
    # docs/darknet.md: yolov2-tiny-voc.cfg's schedule, with its step at -1, as darknet has it and as it is written here.
    steps, scales = (-1, 100, 20000, 30000), (0.1, 10, 0.1, 0.1)
    net = {"learning_rate": 0.001, "burn_in": 0, "steps": steps, "scales": scales, "power": 4.0}
    stage = Stage(learning_rate=1e-4, schedule="darknet", warmup=0, steps=(100, 20000, 30000), scales=(10, 0.1, 0.1))
    schedule = schedule_of(stage, 40200)
    for batch in (1, 99, 100, 101, 19999, 20000, 29999, 30000, 40200):
        assert float(schedule(batch - 1)) == pytest.approx(get_current_rate(net, batch), rel=1e-5), batch


def test_an_optimizer_follows_it():
    # Gradient 1 a step, plain SGD: the weight falls by the rates, .1/16, .1, .1, .1 · .5.
    layer = keras.Variable(np.float32(0.0))
    optimizer = keras.optimizers.SGD(DarknetSchedule(0.1, burn_in=2, steps=(4,), scales=(0.5,)))
    seen = []
    for _ in range(4):
        optimizer.apply([keras.ops.ones(())], [layer])
        seen.append(float(layer))
    np.testing.assert_allclose(seen, -np.cumsum([0.1 / 16, 0.1, 0.1, 0.05]), rtol=1e-5)


def test_a_schedule_of_updates_counts_those_not_batches():
    inner = DarknetSchedule(0.1, burn_in=2, steps=(4,), scales=(0.5,))
    schedule = PerUpdate(inner, 3)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(schedule))
    for made in (schedule, again):
        assert [float(made(batch)) for batch in range(12)] == pytest.approx([0.1 / 16] * 3 + [0.1] * 6 + [0.05] * 3)


def test_steps_of_a_stage_are_fractions_or_numbers():
    darknet = {"train": "all", "schedule": "darknet", "learning_rate": 0.1, "warmup": 10}
    by_default = schedule_of(Stage(**darknet), 1000)
    assert (by_default.burn_in, by_default.steps, by_default.scales) == (10, (800, 900), (0.1, 0.1))
    numbered = schedule_of(Stage(**darknet, steps=(30, 60), scales=(0.5, 0.2)), 1000)
    assert (numbered.steps, numbered.scales) == ((30, 60), (0.5, 0.2))
    # 16 steps: burn-in no longer than half of them; .8 · 16 = 12.8 and .9 · 16 = 14.4.
    short = schedule_of(Stage(**darknet), 16)
    assert (short.burn_in, short.steps) == (8, (13, 14))
    assert schedule_of(Stage(schedule="constant", learning_rate=0.3), 16) == 0.3


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": (0.9, 0.8)},
        {"steps": (0.5,)},
        {"steps": (0.5, 100)},
        {"steps": (100.5, 200)},
        {"steps": (0, 0.5)},
        {"steps": (-1, 0.5)},
        {"scales": (0.1, 0)},
        {"scales": (0.1, -0.1)},
        {"steps": (float("nan"), 0.5)},
    ],
)
def test_steps_that_make_no_sense(wrong):
    with pytest.raises(InputError, match="steps"):
        Stage(schedule="darknet", **wrong)
