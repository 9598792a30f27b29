"""TensorBoard's layout, hyperparameters and graph, read back by TensorBoard itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

import keras
import pytest
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.hparams import api_pb2

from run_tools import board
from run_tools.config import option
from run_tools.events import EventFile, scalar

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # of a library that TensorBoard brings along
    from tensorboard.plugins.custom_scalar.custom_scalars_plugin import CustomScalarsPlugin
    from tensorboard.plugins.graph.graphs_plugin import GraphsPlugin
    from tensorboard.plugins.hparams import backend_context, list_session_groups
    from tensorboard.plugins.scalar.scalars_plugin import ScalarsPlugin

ROOT = Path(__file__).resolve().parents[2]
CONTEXT = RequestContext()


@dataclass(frozen=True)
class Part:
    train: str = "all"
    rate: float = 1e-3


@dataclass(frozen=True)
class Distort:
    flip: float = 0.5
    hue: float | None = None


@dataclass(frozen=True)
class Options:
    """A made-up verb."""

    out: Path = option(Path("runs/a"), help="folder")
    weights: Path | None = option(None, help="weights")
    batch: int = option(8, help="images")
    patience: int | None = option(None, help="epochs")
    fresh: bool = option(False, help="fresh")
    widths: tuple[int, ...] | None = option(None, help="widths")
    stages: tuple[Part, ...] = option((Part(),), help="stages")
    augment: Distort | None = option(Distort(), help="changes")


def shown(logdir: Path) -> TBContext:
    """What TensorBoard's pages get when it is started on a folder."""
    multiplexer = EventMultiplexer().AddRunsFromDirectory(str(logdir)).Reload()
    provider = MultiplexerDataProvider(multiplexer, str(logdir))
    context = TBContext(logdir=str(logdir), data_provider=provider, plugin_name_to_instance={})
    context.plugin_name_to_instance["scalars"] = ScalarsPlugin(context)
    return context


def test_the_layout_comes_back_and_draws_exactly_its_tags(tmp_path: Path) -> None:
    layout = {"Losses": {"all": ["epoch/loss", "epoch/box (w, h)"]}, "Rate": {"rate": ["epoch/rate"]}}
    for run in ("a", "b"):
        EventFile(tmp_path / run).add([board.layout(layout)], 0)
    tags = ["epoch/loss", "epoch/loss_other", "epoch/box (w, h)"]
    EventFile(tmp_path / "a" / "train").add([scalar(tag, 2.0) for tag in tags], 3)
    page = CustomScalarsPlugin(shown(tmp_path))
    told = json.loads(page.layout_impl(CONTEXT, ""))
    assert [(each["title"], [chart["title"] for chart in each["chart"]]) for each in told["category"]] == [
        ("Losses", ["all"]),  # once, though two runs brought it
        ("Rate", ["rate"]),
    ]
    drawn = set()
    for pattern in told["category"][0]["chart"][0]["multiline"]["tag"]:
        result = page.scalars_impl(CONTEXT, "a/train", pattern, "")
        assert result["regex_valid"]
        drawn |= set(result["tag_to_events"])
        assert all(points[0][1:] == (3, 2.0) for points in result["tag_to_events"].values())
    assert drawn == {"epoch/loss", "epoch/box (w, h)"}


def test_hyperparameters_are_flat_and_have_the_kinds_of_their_class() -> None:
    config = Options(widths=(4, 8), stages=(Part("head", 0.01), Part()), batch=4, weights=Path("w.npz"))
    found = {each.name: (each.kind, each.value) for each in board.hyperparameters(config, leave_out=("out",))}
    assert found == {
        "weights": ("text", "w.npz"),
        "batch": ("number", 4),
        "patience": ("number", None),
        "fresh": ("bool", False),
        "widths": ("text", "4 8"),
        "stages": ("text", "head:0.01 all"),
        "augment/flip": ("number", 0.5),
        "augment/hue": ("number", None),
    }
    without = board.hyperparameters(Options(augment=None), leave_out=("out",))
    assert [each.name for each in without] == list(found) and without[-2].value is None


def test_every_run_is_a_row_with_its_results(tmp_path: Path) -> None:
    metrics = [board.Metric("best/ap", "", "best ap"), board.Metric("epoch/loss", "validation", "loss")]
    configs = {"one": Options(batch=4, fresh=True), "two": Options(batch=16, patience=3, augment=None)}
    for place, (run, config) in enumerate(configs.items()):
        options, file = board.hyperparameters(config), EventFile(tmp_path / run)
        file.add([board.experiment(options, metrics, first=("batch",)), board.session_start(options)], 0)
        for epoch in range(3):
            file.add([scalar("best/ap", 0.25 * (place + 1))], epoch)
            EventFile(tmp_path / run / "validation").add([scalar("epoch/loss", 8.0 - epoch)], epoch)
        if run == "one":
            file.add([board.session_end()], 0)
    context = backend_context.Context(shown(tmp_path))
    content = context.hparams_metadata(CONTEXT, "")
    experiment = context.experiment_from_metadata(CONTEXT, "", True, content, None)
    assert experiment.hparam_infos[0].name == "batch"
    assert {info.name: info.type for info in experiment.hparam_infos} == {
        "out": api_pb2.DATA_TYPE_STRING,
        "weights": api_pb2.DATA_TYPE_STRING,
        "batch": api_pb2.DATA_TYPE_FLOAT64,
        "patience": api_pb2.DATA_TYPE_FLOAT64,
        "fresh": api_pb2.DATA_TYPE_BOOL,
        "widths": api_pb2.DATA_TYPE_STRING,
        "stages": api_pb2.DATA_TYPE_STRING,
        "augment/flip": api_pb2.DATA_TYPE_FLOAT64,
        "augment/hue": api_pb2.DATA_TYPE_FLOAT64,
    }
    assert [info.display_name for info in experiment.metric_infos] == ["best ap", "loss"]
    request = api_pb2.ListSessionGroupsRequest(
        start_index=0,
        slice_size=10,
        allowed_statuses=[api_pb2.STATUS_SUCCESS, api_pb2.STATUS_RUNNING, api_pb2.STATUS_UNKNOWN],
        aggregation_type=api_pb2.AGGREGATION_AVG,
    )
    groups = list_session_groups.Handler(CONTEXT, context, "", request).run().session_groups
    rows = {group.sessions[0].name: group for group in groups}
    assert set(rows) == {"one", "two"}
    assert rows["one"].hparams["batch"].number_value == 4 and rows["one"].hparams["fresh"].bool_value is True
    assert "patience" not in rows["one"].hparams and rows["two"].hparams["patience"].number_value == 3
    assert rows["one"].sessions[0].status == api_pb2.STATUS_SUCCESS
    assert rows["two"].sessions[0].status != api_pb2.STATUS_SUCCESS
    values = {name: [each.value for each in row.metric_values] for name, row in rows.items()}
    assert values == {"one": [0.25, 6.0], "two": [0.5, 6.0]}  # the last values


def branched() -> keras.Model:
    image = keras.Input((8, 8, 3), name="image")
    conv = keras.layers.Conv2D(4, 3, padding="same", name="conv")
    first = conv(image)
    second = keras.ops.space_to_depth(first, 2)
    again = keras.layers.Dense(16, name="dense", trainable=False)(second)
    return keras.Model(image, keras.layers.Add(name="add")([again, second]), name="net")


def test_the_graph_has_the_layers_their_shapes_and_edges(tmp_path: Path) -> None:
    EventFile(tmp_path).add_graph(board.graph(branched(), lambda name: "block" if name == "conv" else ""))
    graph = EventAccumulator(str(tmp_path)).Reload().Graph()
    nodes = {node.name: node for node in graph.node}
    shuffle = next(name for name in nodes if name.startswith("space_to_depth"))
    assert [node.name for node in graph.node][:2] == ["image", "block/conv"]
    assert {name: list(node.input) for name, node in nodes.items()} == {
        "image": [],
        "block/conv": ["image"],
        shuffle: ["block/conv"],
        "dense": [shuffle],
        "add": ["dense", shuffle],
    }
    assert [nodes[name].op for name in ("block/conv", shuffle, "add")] == ["Conv2D", "SpaceToDepth", "Add"]
    # 3*3*3*4 + 4 weights, 16*16 + 16.
    assert nodes["block/conv"].attr["parameters"].i == 112 and nodes["block/conv"].attr["trainable"].b
    assert nodes["dense"].attr["parameters"].i == 272 and not nodes["dense"].attr["trainable"].b
    (shape,) = nodes["add"].attr["_output_shapes"].list.shape
    assert [dim.size for dim in shape.dim] == [-1, 4, 4, 16]
    page = GraphsPlugin(shown(tmp_path))
    assert page.info_impl(CONTEXT, "")["."]["run_graph"]
    drawn, _ = page.graph_impl(CONTEXT, ".", None, False, experiment="")
    assert "SpaceToDepth" in drawn


def test_a_layer_that_is_used_twice_is_two_nodes() -> None:
    image = keras.Input((4,), name="image")
    dense = keras.layers.Dense(4, name="dense")
    graph = board.graph(keras.Model(image, dense(dense(image))))
    assert [(node.name, list(node.input)) for node in graph.node] == [
        ("image", []),
        ("dense", ["image"]),
        ("dense__1", ["dense"]),
    ]


def test_a_model_without_a_graph_is_refused() -> None:
    class Own(keras.Model):
        def call(self, inputs):  # type: ignore[no-untyped-def]
            return inputs

    with pytest.raises(ValueError, match="Own; expected a functional model"):
        board.graph(Own())


def test_it_is_written_without_tensorflow(tmp_path: Path) -> None:
    pytest.importorskip("jax")
    code = (
        "import sys, keras\n"
        "from run_tools import board, events\n"
        "image = keras.Input((4,)); model = keras.Model(image, keras.layers.Dense(1)(image))\n"
        "file = events.EventFile(sys.argv[1])\n"
        "file.add([board.layout({'a': {'b': ['c']}}), board.experiment([], []), board.session_start([])], 0)\n"
        "file.add([board.session_end()], 0)\n"
        "file.add_graph(board.graph(model))\n"
        "sys.exit('tensorflow' in sys.modules)"
    )
    environment = {**os.environ, "KERAS_BACKEND": "jax"}
    words = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert len(list(tmp_path.iterdir())) == 1
