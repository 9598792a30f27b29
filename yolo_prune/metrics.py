"""Keras metrics of the region loss: its components, and how well the responsible anchors fit.

Source: the line darknet prints every batch ("Region Avg IOU … .5R …").
"""

from typing import Any

import keras
from keras import ops

from yolo_prune.loss import COMPONENTS, RegionLoss

_RATIOS = {"average_iou": "iou_sum", "recall": "recalled"}


class _Shared:
    """`RegionLoss.terms` of one batch, computed once for all metrics of a model.

    Each metric is given the same tensors; a step in which each of them computed the terms anew would take several times
    as long to trace. A quantity that asks twice means another batch, and NumPy arrays, which may change under their
    name, are never shared.
    """

    def __init__(self, quantities: list[str]):
        self.quantities = quantities
        self.batch: tuple[Any, Any] | None = None
        self.terms: dict[str, Any] = {}
        self.due: set[str] = set()

    def of(self, loss: RegionLoss, quantity: str, y_true: Any, y_pred: Any) -> dict[str, Any]:
        """The terms of a batch for one metric."""
        known = self.batch is not None and self.batch[0] is y_true and self.batch[1] is y_pred
        if not known or quantity not in self.due:
            self.terms, self.due = loss.terms(y_true, y_pred), set(self.quantities)
            self.batch = (y_true, y_pred) if ops.is_tensor(y_true) and ops.is_tensor(y_pred) else None
        terms = self.terms
        self.due.discard(quantity)
        if not self.due or self.batch is None:
            # A kept tensor would keep its graph.
            self.batch, self.terms, self.due = None, {}, set()
        return terms


@keras.saving.register_keras_serializable(package="yolo_prune")
class RegionMetric(keras.metrics.Metric):
    """One quantity of `RegionLoss.terms`, averaged over an epoch.

    Args:
        loss: the region loss that the model trains with.
        quantity: a component of the loss ("box", "objectness", "background", "classification", "prior"), the mean over
            the images; or "average_iou" / "recall", the mean IoU of the anchors' best boxes with their true boxes, and
            the share of true boxes where it exceeds .5.
    """

    def __init__(self, loss: RegionLoss, quantity: str, name: str | None = None, dtype: str | None = "float32"):
        super().__init__(name=name or quantity, dtype=dtype)
        if quantity not in (*COMPONENTS, *_RATIOS):
            raise ValueError(f"Received quantity {quantity!r}; expected one of {(*COMPONENTS, *_RATIOS)}.")
        self.loss = loss
        self.quantity = quantity
        self._shared = _Shared([quantity])
        self.total = self.add_variable((), "zeros", name="total")
        self.count = self.add_variable((), "zeros", name="count")

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Adds a batch."""
        terms = self._shared.of(self.loss, self.quantity, y_true, y_pred)
        value = terms[_RATIOS.get(self.quantity, self.quantity)]
        self.total.assign_add(ops.sum(value))
        # Ratios are per true box, components per image.
        per = ops.sum(terms["matched"]) if self.quantity in _RATIOS else ops.sum(ops.ones_like(value))
        self.count.assign_add(per)

    def result(self):
        """The mean so far, 0 before the first batch."""
        return ops.divide_no_nan(self.total, self.count)

    def get_config(self):
        """Name, quantity and loss, for saved models."""
        loss = keras.saving.serialize_keras_object(self.loss)
        return {"name": self.name, "dtype": self.dtype, "quantity": self.quantity, "loss": loss}

    @classmethod
    def from_config(cls, config):
        """The metric of a `get_config`, empty."""
        return cls(**{**config, "loss": keras.saving.deserialize_keras_object(config["loss"])})


def region_metrics(loss: RegionLoss) -> list[RegionMetric]:
    """Every metric of a loss, which compute its terms once a batch between them.

    Args:
        loss: what the model is compiled with.

    Returns:
        For `compile(metrics=…)`: one a component, "prior" only when the loss has that term, "average_iou" and "recall".
    """
    components = [name for name in COMPONENTS if name != "prior" or loss.prior_scale]
    metrics = [RegionMetric(loss, quantity) for quantity in (*components, *_RATIOS)]
    shared = _Shared([metric.quantity for metric in metrics])
    for metric in metrics:
        metric._shared = shared
    return metrics
