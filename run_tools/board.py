"""What TensorBoard shows beside plain charts: their layout, the hyperparameters of a run, the graph of its model.

Written with TensorBoard's own records and without TensorFlow, so that it is there on every Keras backend.
"""

from __future__ import annotations

import dataclasses
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
from tensorboard.compat.proto.graph_pb2 import GraphDef
from tensorboard.compat.proto.node_def_pb2 import NodeDef
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.compat.proto.types_pb2 import DT_FLOAT
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.custom_scalar import metadata as layout_metadata
from tensorboard.plugins.hparams import api_pb2, plugin_data_pb2
from tensorboard.plugins.hparams import metadata as hparams_metadata
from tensorboard.util.tensor_util import make_tensor_proto

from run_tools.config import plain, settings
from run_tools.convert import without_none

Layout = Mapping[str, Mapping[str, Sequence[str]]]
KINDS = {"number": api_pb2.DATA_TYPE_FLOAT64, "bool": api_pb2.DATA_TYPE_BOOL, "text": api_pb2.DATA_TYPE_STRING}


def layout(categories: Layout) -> Summary.Value:
    """The page "Custom Scalars": which charts there are, and what each draws.

    TensorBoard merges the layouts of all runs it shows: equal charts of equal categories appear once.

    Args:
        categories: title → title of a chart → the tags it draws, exactly these, of every run that has them.

    Returns:
        A value for `EventFile.add`; one a run.
    """
    made = layout_pb2.Layout(
        category=[
            layout_pb2.Category(
                title=title,
                chart=[
                    # TensorBoard takes patterns and would also draw what only begins like the tag.
                    layout_pb2.Chart(title=name, multiline={"tag": [f"^{re.escape(tag)}$" for tag in tags]})
                    for name, tags in charts.items()
                ],
            )
            for title, charts in categories.items()
        ]
    )
    return Summary.Value(
        tag=layout_metadata.CONFIG_SUMMARY_TAG,
        tensor=make_tensor_proto(np.array(made.SerializeToString(), object)),
        metadata=layout_metadata.create_summary_metadata(),
    )


@dataclasses.dataclass(frozen=True)
class Metric:
    """A column of results on the page "HParams": the last value of a scalar.

    Attributes:
        tag: of the scalar.
        part: sub-folder of the run that holds it, "" for the run's own.
        title: the column's head.
    """

    tag: str
    part: str
    title: str


@dataclasses.dataclass(frozen=True)
class Hyperparameter:
    """One option of a run.

    Attributes:
        name: as in YAML, those of nested options with "/" between.
        kind: "number", "bool" or "text": what the page filters and sorts it by.
        value: None where the option has no value.
    """

    name: str
    kind: str
    value: bool | float | str | None


def hyperparameters(config: Any, leave_out: Sequence[str] = ()) -> list[Hyperparameter]:
    """The options of a run, flattened.

    Args:
        config: an instance of a config class. Names and kinds are those of its class, whatever the values are, so that
            all runs of one verb have the same columns.
        leave_out: fields that are no options, such as "out".

    Returns:
        One entry an option, in the order of declaration. Lists are texts with blanks between the elements, and a list's
        records are their values with ":" between, the way the command line takes them, up to the last that is not the
        default.
    """
    return [found for found in _flat(type(config), config, "") if found.name.split("/")[0] not in leave_out]


def _flat(cls: type, config: Any, prefix: str) -> Iterator[Hyperparameter]:
    for setting in settings(cls):
        kind, name = without_none(setting.annotation), prefix + setting.name
        value = None if config is None else getattr(config, setting.name)
        if dataclasses.is_dataclass(kind) and isinstance(kind, type):
            yield from _flat(kind, value, name + "/")
        elif kind is bool:
            yield Hyperparameter(name, "bool", value)
        elif kind in (int, float):
            yield Hyperparameter(name, "number", value)
        else:
            yield Hyperparameter(name, "text", None if value is None else _text(value))


def _text(value: Any) -> str:
    if dataclasses.is_dataclass(value):
        parts = [(getattr(value, field.name), field.default) for field in dataclasses.fields(value)]
        while len(parts) > 1 and parts[-1][0] == parts[-1][1]:
            parts.pop()
        return ":".join(_text(part) for part, _ in parts)
    if isinstance(value, list | tuple):
        return " ".join(_text(item) for item in value)
    value = plain(value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def experiment(found: Sequence[Hyperparameter], metrics: Sequence[Metric], first: Sequence[str] = ()) -> Summary.Value:
    """The columns of the page "HParams"; TensorBoard takes them from any one of the runs that it shows.

    Args:
        found: the options.
        metrics: the results.
        first: names of options that come before the others; at first TensorBoard shows five columns.

    Returns:
        A value for `EventFile.add`; one a run.
    """
    made = api_pb2.Experiment(
        # Those that "differ" are put in front, the others follow in alphabetical order.
        hparam_infos=[
            api_pb2.HParamInfo(name=each.name, type=KINDS[each.kind], differs=each.name in first) for each in found
        ],
        metric_infos=[
            api_pb2.MetricInfo(name=api_pb2.MetricName(group=each.part, tag=each.tag), display_name=each.title)
            for each in metrics
        ],
    )
    return _hparams(hparams_metadata.EXPERIMENT_TAG, experiment=made)


def session_start(found: Sequence[Hyperparameter]) -> Summary.Value:
    """The row of a run on the page "HParams"; its event file lies above the sub-folders of its metrics."""
    info = plugin_data_pb2.SessionStartInfo(start_time_secs=time.time())
    for each in found:
        if isinstance(each.value, bool):
            info.hparams[each.name].bool_value = each.value
        elif isinstance(each.value, (int, float)):
            info.hparams[each.name].number_value = each.value
        elif each.value is not None:
            info.hparams[each.name].string_value = each.value
    return _hparams(hparams_metadata.SESSION_START_INFO_TAG, session_start_info=info)


def session_end() -> Summary.Value:
    """Says that a run has come to its end; without it TensorBoard takes it for unfinished."""
    info = plugin_data_pb2.SessionEndInfo(status=api_pb2.STATUS_SUCCESS, end_time_secs=time.time())
    return _hparams(hparams_metadata.SESSION_END_INFO_TAG, session_end_info=info)


def _hparams(tag: str, **content: Any) -> Summary.Value:
    metadata = hparams_metadata.create_summary_metadata(plugin_data_pb2.HParamsPluginData(**content))
    return Summary.Value(tag=tag, metadata=metadata, tensor=hparams_metadata.NULL_TENSOR)


def graph(model: keras.Model, scope: Callable[[str], str] = lambda name: "") -> GraphDef:
    """A functional model for the page "Graphs": a node an operation, in the words of Keras.

    TensorBoard's own conversion reads the layers from a model's config, where a subclass such as a detector has other
    things, and a traced function's graph would show hundreds of TensorFlow's operations.

    Args:
        model: a functional model, or a subclass of `keras.Model` built as one.
        scope: box of the drawing for each operation's name; "" for none.

    Returns:
        The graph. A node has the operation's class, output shape (−1 for the batch), number of weights and
        whether these learn.

    Raises:
        ValueError: for a model that is not functional.
    """
    depths: dict[int, list[Any]] | None = getattr(model, "_nodes_by_depth", None)
    if depths is None:
        raise ValueError(f"Received {model.name}, a {type(model).__name__}; expected a functional model.")
    nodes = [node for depth in sorted(depths, reverse=True) for node in depths[depth]]
    names: dict[int, str] = {}
    made = GraphDef()
    made.versions.producer = 22
    for node in nodes:
        name, inside = node.operation.name, scope(node.operation.name)
        name = f"{inside}/{name}" if inside else name
        # An operation that is used again is another node.
        again = sum(other == name or other.startswith(f"{name}__") for other in names.values())
        names[id(node)] = f"{name}__{again}" if again else name
        sources = [names[id(_source(tensor))] for tensor in node.input_tensors]
        made.node.append(_node(names[id(node)], node, sources))
    return made


def _source(tensor: Any) -> Any:
    history = tensor._keras_history
    return history.operation._inbound_nodes[history.node_index]


def _node(name: str, node: Any, sources: Sequence[str]) -> NodeDef:
    operation = node.operation
    made = NodeDef(name=name, op=type(operation).__name__, input=sources)
    for tensor in node.outputs:
        shape = made.attr["_output_shapes"].list.shape.add()
        for side in tensor.shape:
            shape.dim.add(size=-1 if side is None else side)
    made.attr["dtype"].type = DT_FLOAT
    if getattr(operation, "weights", None):
        made.attr["parameters"].i = int(operation.count_params())
        made.attr["trainable"].b = bool(operation.trainable)
    return made
