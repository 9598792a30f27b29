"""Moving averages of the weights: what is judged and saved, while the raw weights go on learning.

Source: Polyak & Juditsky (1992), "Acceleration of Stochastic Approximation by Averaging". Keras's optimizers keep the
averages (`use_ema`); its callback, `SwapEMAWeights`, swaps by adding and subtracting, which loses bits, and leaves the
raw weights behind when a fit stops early.
"""

from typing import Any

import keras

from prune_tools import holding


def swap(model: keras.Model) -> None:
    """Exchanges the model's trainable weights with the optimizer's averages of them, bit for bit; twice is nothing.

    In a model that masks hold, pruned weights are zero afterwards: optimizers average weights before they mask them.

    Args:
        model: compiled with a built optimizer that has `use_ema`; its weights and those averages change.

    Raises:
        KeyError: without such averages.
    """
    averages = holding.averages_of(model)
    for weight in model.trainable_variables:
        average = averages[id(weight)]
        raw = keras.ops.convert_to_numpy(weight).copy()
        weight.assign(average)
        average.assign(raw)
    holding.apply(model)


class Averages(keras.callbacks.Callback):
    """Has the averages in the model while the callbacks after it see the end of an epoch.

    Put it before the callbacks that judge and save, and its `back` behind them. What they save holds the averages as
    the model's weights and the raw weights in the optimizer; `swap` such a model once before it goes on learning.
    """

    def __init__(self) -> None:
        super().__init__()
        self.back = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: swap(self.model))

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """The averages go in."""
        swap(self.model)

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        """The averages go in for the validation loss too."""
        swap(self.model)

    def on_test_end(self, logs: dict[str, Any] | None = None) -> None:
        """And out."""
        swap(self.model)
