"""The region loss of YOLOv2, whose gradients are darknet's deltas.

Source: darknet `region_layer.c` (`forward_region_layer`); paper 003, section 4.
"""

from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from run_tools.errors import InputError
from yolo_prune.anchors import as_anchors
from yolo_prune.decode import MAX_LOG_SIZE, head_boxes, split_head
from yolo_prune.overlap import complete_iou, iou

COMPONENTS = ("box", "objectness", "background", "classification", "prior")
"""Parts whose sum is the loss of an image, as `RegionLoss.terms` names them."""

DONTCARE_COVERAGE = 0.5

BOX_LOSSES = ("squared", "ciou")

OPTIONS = (
    *("num_classes", "object_scale", "noobject_scale", "class_scale", "coord_scale"),
    *("threshold", "rescore", "box_weighting", "prior_scale", "box_loss"),
)


@keras.saving.register_keras_serializable(package="yolo_prune")
class RegionLoss(keras.losses.Loss):
    """½ · squared errors of boxes and objectness plus softmax cross-entropy, summed over an image.

    Called as `loss(true_boxes, logits)`; the mean over the images. `loss.call(true_boxes, logits)` gives one value an
    image.

    `true_boxes` has shape (batch, max_boxes, 5): x, y, w, h, class, relative to the image; rows of zero width are
    unused, class −1 is a DontCare region: a prediction that lies mostly inside one is not taught as background. A sixth
    column may hold weights from 0 up: each multiplies what its true box adds to box, objectness and classification.
    `logits` has shape (batch, gh, gw, anchors · (5 + classes)). A class the head does not have makes the loss NaN.

    Args:
        anchors: (width, height) in grid cells, or a preset's name.
        num_classes: classes of the head.
        object_scale: weight of the objectness of matched anchors.
        noobject_scale: weight of the objectness of all others.
        class_scale: weight of the classification.
        coord_scale: weight of the box.
        threshold: an unmatched anchor whose box has an IoU above this with any true box is not taught as background.
        rescore: the objectness target is the prediction's IoU with its true box, else 1.
        box_weighting: small boxes weigh more, by 2 − w·h.
        prior_scale: pull of unmatched anchors to their priors; darknet uses .01 for the first 12,800 images.
        box_loss: "squared", darknet's ½ · squared errors of the four numbers of the head; "ciou", 1 − complete IoU
            (`overlap.complete_iou`), which asks more exactness of narrow boxes.

    Raises:
        InputError: for another `box_loss`.
        ValueError: when `logits` or `true_boxes` do not have the shape above.

    Source: darknet `region_layer.c`; the rules are numbered in the tests' literal version.
    """

    def __init__(
        self,
        anchors: str | Sequence[Sequence[float]],
        num_classes: int,
        object_scale: float = 5.0,
        noobject_scale: float = 1.0,
        class_scale: float = 1.0,
        coord_scale: float = 1.0,
        threshold: float = 0.6,
        rescore: bool = True,
        box_weighting: bool = True,
        prior_scale: float = 0.0,
        box_loss: str = "squared",
        name: str = "region_loss",
        reduction: str = "sum_over_batch_size",
        dtype: str | None = "float32",
    ):
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        if box_loss not in BOX_LOSSES:
            raise InputError(f"box_loss {box_loss!r}", f"one of {', '.join(BOX_LOSSES)}", "choose one of them")
        self.anchors = as_anchors(anchors)
        self.num_classes = int(num_classes)
        self.object_scale = object_scale
        self.noobject_scale = noobject_scale
        self.class_scale = class_scale
        self.coord_scale = coord_scale
        self.threshold = threshold
        self.rescore = rescore
        self.box_weighting = box_weighting
        self.prior_scale = prior_scale
        self.box_loss = box_loss

    def get_config(self):
        """Every option, for saved models."""
        config = {key: getattr(self, key) for key in OPTIONS}
        return {**super().get_config(), **config, "anchors": [list(pair) for pair in self.anchors]}

    def call(self, true_boxes, logits):
        """The loss of each image.

        Args:
            true_boxes: (batch, max_boxes, 5 or 6), see the class.
            logits: (batch, gh, gw, anchors · (5 + classes)).

        Returns:
            float32 (batch,), the sum of the `COMPONENTS`; NaN for an image with a class that the head does not have.

        Raises:
            ValueError: for other shapes.
        """
        terms = self.terms(true_boxes, logits)
        return sum(terms[name] for name in COMPONENTS)

    def terms(self, true_boxes, logits) -> dict:
        """The loss by component, and how well the responsible anchors fit.

        Args:
            true_boxes: as of `call`.
            logits: as of `call`.

        Returns:
            float32 (batch,) each: the `COMPONENTS`, already weighted; `matched`, the number of true boxes that teach;
            `iou_sum`, their predictions' IoU summed; `recalled`, how many of these exceed .5.
        """
        head = split_head(logits, self.anchors, self.num_classes)
        true_boxes = ops.cast(true_boxes, "float32")
        _check_shapes(true_boxes, head)
        grid = ops.shape(head)[1:3]
        cells = grid[0] * grid[1] * len(self.anchors)
        predicted = ops.reshape(ops.stop_gradient(head_boxes(head, self.anchors)), (-1, cells, 4))
        flat = ops.reshape(head, (-1, cells, 5 + self.num_classes))

        valid = true_boxes[..., 2] > 0
        regions = ops.logical_and(valid, true_boxes[..., 4] < 0)
        valid = ops.logical_and(valid, true_boxes[..., 4] >= 0)
        targets = self._targets(true_boxes, valid, grid)
        alive = ops.cast(targets["alive"], "float32")
        teach = alive * true_boxes[..., 5] if true_boxes.shape[-1] > 5 else alive

        overlap, intersection = iou(predicted[:, :, None], true_boxes[:, None, :, :4])
        matched_cell = ops.any(
            ops.logical_and(targets["alive"][:, None], targets["key"][:, None] == ops.arange(cells)[None, :, None]),
            axis=2,
        )
        background = self._background(overlap, intersection, predicted, valid, regions, matched_cell)

        taught = ops.take_along_axis(flat, targets["key"][..., None], axis=1)
        fit, _ = iou(ops.take_along_axis(predicted, targets["key"][..., None], axis=1), true_boxes[..., :4])
        fit = ops.stop_gradient(fit)
        objectness = ops.sigmoid(flat[..., 4])
        goal = fit if self.rescore else ops.ones_like(fit)
        surprise = self._classification(taught, true_boxes)
        return {
            "box": ops.sum(teach * self._box(taught, true_boxes, targets), axis=1),
            "objectness": 0.5 * self.object_scale * ops.sum(teach * (goal - ops.sigmoid(taught[..., 4])) ** 2, axis=1),
            "background": 0.5 * self.noobject_scale * ops.sum(ops.where(background, objectness**2, 0.0), axis=1),
            "classification": self.class_scale * ops.sum(ops.where(targets["alive"], teach * surprise, 0.0), axis=1),
            "prior": self._prior(flat, matched_cell),
            "matched": ops.sum(alive, axis=1),
            "iou_sum": ops.sum(alive * fit, axis=1),
            "recalled": ops.sum(alive * ops.cast(fit > 0.5, "float32"), axis=1),
        }

    def _targets(self, true_boxes, valid, grid) -> dict:
        """Cell, anchor and regression target of each true box (rule 3); which are not overwritten (rule 5)."""
        # Integer tensors where a step is traced for any size.
        height, width = (ops.cast(side, "float32") for side in grid)
        x, y = true_boxes[..., 0] * width, true_boxes[..., 1] * height
        # Unused rows get width 1, so that no logarithm of zero reaches the gradient.
        w = ops.where(valid, true_boxes[..., 2] * width, 1.0)
        h = ops.where(valid, true_boxes[..., 3] * height, 1.0)
        column = ops.clip(ops.floor(x), 0, width - 1)
        row = ops.clip(ops.floor(y), 0, height - 1)
        sizes = np.asarray(self.anchors, "float32")
        common = ops.minimum(w[..., None], sizes[:, 0]) * ops.minimum(h[..., None], sizes[:, 1])
        size_iou = common / ((w * h)[..., None] + sizes[:, 0] * sizes[:, 1] - common)
        anchor = ops.argmax(size_iou, axis=-1)
        key = ops.cast(row * width + column, "int32") * len(sizes) + ops.cast(anchor, "int32")

        order = ops.arange(ops.shape(true_boxes)[1])
        later = order[None, :] > order[:, None]
        same = ops.logical_and(key[:, :, None] == key[:, None, :], valid[:, None, :])
        overwritten = ops.any(ops.logical_and(same, later), axis=2)
        prior = ops.take(ops.convert_to_tensor(sizes), anchor, axis=0)
        return {
            "key": key,
            "alive": ops.logical_and(valid, ops.logical_not(overwritten)),
            "xy": ops.stack([x - column, y - row], axis=-1),
            "size": ops.stack([w, h], axis=-1),
            "prior": prior,
        }

    def _background(self, overlap, intersection, predicted, valid, regions, matched_cell):
        """Where "no object" is taught: (batch, cells) bool. Rule 1, and DontCare."""
        best = ops.max(ops.where(valid[:, None], overlap, 0.0), axis=2)
        covered = intersection / ops.maximum(predicted[..., 2] * predicted[..., 3], 1e-12)[..., None]
        ignored = ops.any(ops.logical_and(regions[:, None], covered > DONTCARE_COVERAGE), axis=2)
        kept = ops.logical_not(ops.logical_or(matched_cell, ignored))
        return ops.logical_and(kept, best <= self.threshold)

    def _box(self, taught, true_boxes, targets):
        weight = 2.0 - true_boxes[..., 2] * true_boxes[..., 3] if self.box_weighting else 1.0
        if self.box_loss == "ciou":
            # In cells from the cell's corner: cells are square in pixels, fractions of a wide image are not.
            # Cut below, too: boxes of no size at all have proportions without a gradient.
            sizes = targets["prior"] * ops.exp(ops.clip(taught[..., 2:4], -MAX_LOG_SIZE, MAX_LOG_SIZE))
            predicted = ops.concatenate([ops.sigmoid(taught[..., 0:2]), sizes], axis=-1)
            true = ops.concatenate([targets["xy"], targets["size"]], axis=-1)
            return self.coord_scale * weight * (1.0 - complete_iou(predicted, true))
        errors = ops.sum((targets["xy"] - ops.sigmoid(taught[..., 0:2])) ** 2, axis=-1)
        errors = errors + ops.sum((ops.log(targets["size"] / targets["prior"]) - taught[..., 2:4]) ** 2, axis=-1)
        return 0.5 * self.coord_scale * weight * errors

    def _classification(self, taught, true_boxes):
        classes = ops.cast(ops.maximum(true_boxes[..., 4], 0.0), "int32")
        wanted = ops.one_hot(classes, self.num_classes, dtype="float32")
        surprise = -ops.sum(wanted * ops.log_softmax(taught[..., 5:], axis=-1), axis=-1)
        # No channel for a class means that the feed lacks its class map; a loss without it would hide that.
        return ops.where(classes < self.num_classes, surprise, float("nan"))

    def _prior(self, flat, matched_cell):
        if not self.prior_scale:
            return ops.zeros_like(flat[:, 0, 0])
        errors = ops.sum((0.5 - ops.sigmoid(flat[..., 0:2])) ** 2, axis=-1) + ops.sum(flat[..., 2:4] ** 2, axis=-1)
        return 0.5 * self.prior_scale * ops.sum(ops.where(matched_cell, 0.0, errors), axis=1)


def _check_shapes(true_boxes, head) -> None:
    shape, images = tuple(true_boxes.shape), head.shape[0]
    if len(shape) != 3 or shape[-1] not in (5, 6) or shape[1] == 0:
        raise ValueError(
            f"Received true boxes of shape {shape}; expected (batch, max_boxes, 5): x, y, w, h, class, with at"
            " least one row an image, and a weight in a sixth column if any; pad with rows of zeros."
        )
    if None not in (shape[0], images) and shape[0] != images:
        raise ValueError(f"Received true boxes of {shape[0]} images and logits of {images}; expected as many of both.")
