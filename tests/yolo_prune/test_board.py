"""What a detector's training adds to TensorBoard."""

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar.layout_pb2 import Layout
from tensorboard.plugins.hparams import metadata

from run_tools.folder import RunFolder
from yolo_prune.board import Board, block_of, charts, metric_columns
from yolo_prune.loss import COMPONENTS, RegionLoss
from yolo_prune.metrics import region_metrics
from yolo_prune.recipe import Stage, TrainConfig


@pytest.fixture
def folder(tmp_path, small_h5):
    folder = RunFolder(tmp_path / "run")
    folder.path("tensorboard").mkdir(parents=True)
    return folder


def config(small_h5, folder, **changes):
    stages = (Stage("head", 1), Stage("all", 2, prior_scale=0.01))
    return TrainConfig(data=small_h5, out=folder.root, **{"stages": stages, **changes})


def read(folder):
    return EventAccumulator(str(folder.path("tensorboard"))).Reload()


def test_a_run_in_two_stages_and_a_resumed_one_are_described_once(folder, small_h5, make_detector):
    model = make_detector()
    for stage, best in ((0, [None]), (1, [0.25, 0.5]), (1, [0.5])):
        callback = Board(folder, config(small_h5, folder), ("car",), last=stage == 1)
        callback.set_model(model)
        callback.on_train_begin()
        for epoch, value in enumerate(best, start=stage):
            folder.write_state({"best": value})
            callback.on_epoch_end(epoch, {})
        if stage == 1:
            callback.on_train_end()
    events = read(folder)
    assert len(events.Tensors("custom_scalars__config__")) == 1
    assert [event.step for event in events.Tensors(metadata.SESSION_START_INFO_TAG)] == [0]
    points = [(event.step, float(event.tensor_proto.float_val[0])) for event in events.Tensors("best/ap50")]
    assert points[:2] == [(1, 0.25), (2, 0.5)]
    assert metadata.SESSION_END_INFO_TAG in events.Tags()["tensors"]
    content = events.SummaryMetadata(metadata.SESSION_START_INFO_TAG).plugin_data.content
    options = metadata.parse_session_start_info_plugin_data(content).hparams
    assert options["stages"].string_value == "head:1 all:2:0.001:cosine:100:0.01"
    assert options["augment/flip"].number_value == 0.5 and "out" not in options
    layout = Layout.FromString(events.Tensors("custom_scalars__config__")[0].tensor_proto.string_val[0])
    assert [chart.title for chart in layout.category[0].chart] == ["mean over the classes", "car"]
    names = [node.name for node in events.Graph().node]
    assert len(names) == len(model.layers) and {"image", "block_1/conv_1", "block_6/pool_6", "block_9/conv_9"} <= set(
        names
    )


def test_a_run_that_is_not_finished_has_no_end(folder, small_h5, make_detector):
    callback = Board(folder, config(small_h5, folder), (), last=False)
    callback.set_model(make_detector())
    callback.on_train_begin()
    callback.on_epoch_end(0, {})
    callback.on_train_end()
    assert metadata.SESSION_END_INFO_TAG not in read(folder).Tags()["tensors"]


@pytest.mark.parametrize("prior", [False, True])
def test_every_quantity_of_a_training_has_its_chart(prior):
    """A chart without a quantity would be empty, and a quantity without a chart not be seen."""
    logged = {f"epoch/{metric.name}" for metric in region_metrics(RegionLoss("voc", 5, prior_scale=0.1 * prior))}
    logged |= {"epoch/loss", "epoch/learning_rate", "epoch/ap50", "epoch/ap50_car"}
    drawn = [tag for group in charts(("car",), prior).values() for tags in group.values() for tag in tags]
    assert sorted(drawn) == sorted(logged)
    assert ("epoch/prior" in drawn) == prior and "prior" in COMPONENTS


def test_the_columns_of_results():
    assert metric_columns("val_ap50", ("car",)) == [
        ("best/ap50", "", "best ap50"),
        ("epoch/ap50", "validation", "last ap50"),
        ("epoch/ap50_car", "validation", "last ap50 car"),
        ("epoch/loss", "train", "train loss"),
        ("epoch/loss", "validation", "validation loss"),
    ]
    assert metric_columns("val_loss", ())[0] == ("best/loss", "", "best loss")


def test_blocks():
    assert [block_of(name) for name in ("conv_1", "pool_12", "norm_7", "leaky_3")] == [
        "block_1",
        "block_12",
        "block_7",
        "block_3",
    ]
    assert block_of("concat") == block_of("image") == block_of("conv_x") == ""
