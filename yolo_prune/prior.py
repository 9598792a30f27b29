"""The end of darknet's early pull towards the anchors, in the middle of a stage.

Source: darknet `region_layer.c`, `if(*(net.seen) < 12800)`; `network.c`, whose `train_network_datum` adds a batch to
`seen` before it goes forward.
"""

from typing import Any

import keras

from prune_tools import holding
from yolo_prune.loss import RegionLoss


class PriorEnds(keras.callbacks.Callback):
    """Sets a loss's `prior_scale` to 0 when so many images of a stage were seen.

    As in darknet a batch counts itself: it has the term when it and those before it hold fewer than so many images. A
    compiled step holds the scale as a constant, so step and validation are made anew once.

    Args:
        loss: that the model trains with; its metrics must hold the same one.
        images: from so many seen on the term is off, from 1 up.
        batch_size: images a step.
        steps: of an epoch.
        start: the epoch at which the stage begins; a training that goes on inside the stage counts from there.
    """

    def __init__(self, loss: RegionLoss, images: int, batch_size: int, steps: int, start: int = 0):
        super().__init__()
        self.loss = loss
        self.images = images
        self.batch_size = batch_size
        self.steps = steps
        self.start = start
        self._before = 0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Counts the steps of the stage before this epoch."""
        self._before = (epoch - self.start) * self.steps

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Ends the term where its time has come."""
        if self.loss.prior_scale and (self._before + batch + 1) * self.batch_size >= self.images:
            self.loss.prior_scale = 0.0
            holding.restart(self.model)
            self.model.make_test_function(force=True)
