"""TensorBoard's event files, written at once and in the caller's thread."""

from __future__ import annotations

import io
import itertools
import os
import socket
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.graph_pb2 import GraphDef
from tensorboard.compat.proto.summary_pb2 import DATA_CLASS_SCALAR, Summary, SummaryMetadata
from tensorboard.plugins.scalar.metadata import PLUGIN_NAME
from tensorboard.summary.writer.record_writer import RecordWriter
from tensorboard.util.tensor_util import make_tensor_proto

_NUMBERS = itertools.count()


class EventFile:
    """One event file.

    TensorBoard's own writer writes in a thread, which prints a traceback of its own when the disk is full, and through
    TensorFlow where that is installed, which then reports a lack of memory. Here the OSError comes from `add`. The file
    is open only while something is added, so nothing waits to be written and nothing has to be closed.

    Args:
        folder: where to make it; with its parents, if need be.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        Path(folder).mkdir(parents=True, exist_ok=True)
        # TensorBoard knows event files by the word "tfevents" and reads those of a folder in the order of their names.
        name = f"events.out.tfevents.{int(time.time()):010d}.{socket.gethostname()}.{os.getpid()}.{next(_NUMBERS):06d}"
        self.path = Path(folder) / name
        self._write(Event(wall_time=time.time(), file_version="brain.Event:2"))

    def add(self, values: Iterable[Summary.Value], step: int) -> None:
        """Appends an event.

        Args:
            values: what `scalar`, `image` and the functions of `board` return.
            step: the place on TensorBoard's axis, such as the epoch.

        Raises:
            OSError: if it cannot be written.
        """
        self._write(Event(wall_time=time.time(), step=step, summary=Summary(value=list(values))))

    def add_graph(self, graph: GraphDef) -> None:
        """Appends a graph, such as `board.graph` makes; TensorBoard shows the last one of a folder.

        Raises:
            OSError: if it cannot be written.
        """
        self._write(Event(wall_time=time.time(), graph_def=graph.SerializeToString()))

    def _write(self, event: Event) -> None:
        record = io.BytesIO()
        RecordWriter(record).write(event.SerializeToString())
        with open(self.path, "ab") as file:
            file.write(record.getvalue())


def scalar(tag: str, value: float) -> Summary.Value:
    """A number for a chart.

    Args:
        tag: the chart's name.
        value: kept as float32.

    Returns:
        A value for `EventFile.add`.
    """
    plugin = SummaryMetadata.PluginData(plugin_name=PLUGIN_NAME)
    metadata = SummaryMetadata(plugin_data=plugin, data_class=DATA_CLASS_SCALAR)
    return Summary.Value(tag=tag, tensor=make_tensor_proto(np.float32(value)), metadata=metadata)


def image(tag: str, png: bytes, size: tuple[int, int]) -> Summary.Value:
    """A picture.

    Args:
        tag: its name.
        png: an RGB PNG file.
        size: its height and width.

    Returns:
        A value for `EventFile.add`.
    """
    picture = Summary.Image(height=size[0], width=size[1], colorspace=3, encoded_image_string=png)
    return Summary.Value(tag=tag, image=picture)
