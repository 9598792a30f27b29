"""A run in TensorBoard: which charts stand together, its options, its best result, its network."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras

from run_tools.folder import RunFolder


class RunBoard(keras.callbacks.Callback):
    """Writes TensorBoard's layout, hyperparameters and graph once a run, and its best value after every epoch.

    Put it after `run_tools.checkpoint.Checkpoint`, which decides what is best.

    Args:
        folder: the run folder; the files go into its `tensorboard`.
        config: the training; its options are the run's hyperparameters.
        monitor: the quantity of which the best is shown.
        charts: title of a group → title of a chart → tags, see `board.layout`.
        columns: tag, sub-folder and title of the results beside the options.
        first: options that come before the others.
        block_of: box of the drawing for each layer's name, see `board.graph`.
        last: whether the end of this `fit` is the end of the run.
    """

    def __init__(
        self,
        folder: RunFolder,
        config: Any,
        monitor: str,
        charts: Mapping[str, Mapping[str, Sequence[str]]],
        columns: Sequence[tuple[str, str, str]],
        first: Sequence[str] = (),
        block_of: Callable[[str], str] = lambda name: "",
        last: bool = True,
    ):
        super().__init__()
        self.folder = folder
        self.config = config
        self.monitor = monitor
        self.charts = charts
        self.columns = columns
        self.first = first
        self.block_of = block_of
        self.last = last
        self._file: Any = None

    def network(self) -> keras.Model:
        """The model whose graph is drawn."""
        return self.model

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Writes what does not change, unless an earlier `fit` of the run did."""
        from run_tools import board, events  # here, because TensorBoard is slow to import

        logdir = self.folder.path("tensorboard")
        begun = any(logdir.glob("events.out.tfevents.*"))
        self._file = events.EventFile(logdir)
        if begun:
            return
        options = board.hyperparameters(self.config, leave_out=("out",))
        metrics = [board.Metric(*each) for each in self.columns]
        values = [board.layout(self.charts), board.experiment(options, metrics, self.first)]
        self._file.add([*values, board.session_start(options)], 0)
        self._file.add_graph(board.graph(self.network(), self.block_of))

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Writes the best value so far, so that the last one is that of `best.keras`."""
        from run_tools import events

        best = (self.folder.read_state() or {}).get("best")
        if best is not None:
            self._file.add([events.scalar(best_tag(self.monitor), best)], epoch)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Marks the run as finished after its last `fit`."""
        from run_tools import board

        if self.last:
            self._file.add([board.session_end()], 0)


def best_tag(monitor: str) -> str:
    """The tag of the best value of the monitored quantity."""
    return f"best/{monitor.removeprefix('val_')}"
