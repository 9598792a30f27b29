"""Distillation: a detector learns from another one's answers to the same images, beside the true boxes.

Keras's `keras.distillation.Distiller` is a model around both, which saves both and has neither's class; here the
student stays the model that is fitted, judged, held by masks and saved.

Source: Mehta & Ozturk (2018), "Object detection at 200 Frames Per Second", section 3.2, objectness scaled distillation.
"""

import functools
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from run_tools.errors import InputError
from yolo_prune.anchors import as_anchors
from yolo_prune.decode import MAX_LOG_SIZE, head_boxes, split_head
from yolo_prune.detector import YoloV2

DISTILLATION = "distillation"
"""What the loss is called in logs."""

OPTIONS = ("num_classes", "object_scale", "noobject_scale", "class_scale", "coord_scale", "box_weighting")


@keras.saving.register_keras_serializable(package="yolo_prune")
class DistillationLoss(keras.losses.Loss):
    """How far a raw head is from a teacher's, summed over the anchors of an image.

    Called as `loss(teacher_logits, logits)`, the mean over the images; `loss.call(…)` gives one value an image. Both
    have shape (batch, gh, gw, anchors · (5 + classes)). With o, the objectness that the teacher gives an anchor:

    - objectness: ½ · (`noobject_scale` + o · (`object_scale` − `noobject_scale`)) · squared error. The paper leaves
      open how darknet's two scales, for anchors with and without an object, meet an objectness that is neither.
    - box: ½ · o · `coord_scale` · squared errors of σ(tx), σ(ty), tw and th, by which background teaches no boxes.
    - classes: o · `class_scale` · Kullback–Leibler divergence of the softmaxes, which has the cross-entropy's gradient
      and is 0 where both agree.

    The paper's suppression of neighbouring cells of the teacher's map is not done. No gradient reaches the teacher.

    Args:
        anchors: (width, height) in grid cells, or a preset's name.
        num_classes: classes of both heads.
        object_scale: as of `RegionLoss`.
        noobject_scale: likewise.
        class_scale: likewise.
        coord_scale: likewise.
        box_weighting: the teacher's small boxes weigh more, by 2 − w·h, as true ones do in `RegionLoss`.

    Raises:
        ValueError: when the heads do not have the channels of these anchors and classes.

    Source: Mehta & Ozturk (2018), section 3.2, equations 3–5.
    """

    def __init__(
        self,
        anchors: str | Sequence[Sequence[float]],
        num_classes: int,
        object_scale: float = 5.0,
        noobject_scale: float = 1.0,
        class_scale: float = 1.0,
        coord_scale: float = 1.0,
        box_weighting: bool = True,
        name: str = "distillation_loss",
        reduction: str = "sum_over_batch_size",
        dtype: str | None = "float32",
    ):
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.anchors = as_anchors(anchors)
        self.num_classes = int(num_classes)
        self.object_scale = object_scale
        self.noobject_scale = noobject_scale
        self.class_scale = class_scale
        self.coord_scale = coord_scale
        self.box_weighting = box_weighting

    def get_config(self):
        """Every option, for saved models."""
        config = {key: getattr(self, key) for key in OPTIONS}
        return {**super().get_config(), **config, "anchors": [list(pair) for pair in self.anchors]}

    def call(self, teacher_logits, logits):
        """The loss of each image, float32 (batch,)."""
        taught = ops.stop_gradient(split_head(teacher_logits, self.anchors, self.num_classes))
        head = split_head(logits, self.anchors, self.num_classes)
        wanted = ops.sigmoid(taught[..., 4])
        scale = self.noobject_scale + (self.object_scale - self.noobject_scale) * wanted
        errors = 0.5 * scale * (wanted - ops.sigmoid(head[..., 4])) ** 2
        errors = errors + wanted * self.coord_scale * self._box(taught, head)
        if self.num_classes > 1:  # a single class is certain
            log_p, log_q = (ops.log_softmax(each[..., 5:], axis=-1) for each in (taught, head))
            errors = errors + wanted * self.class_scale * ops.sum(ops.exp(log_p) * (log_p - log_q), axis=-1)
        return ops.sum(errors, axis=(1, 2, 3))

    def _box(self, taught, head):
        errors = ops.sum((ops.sigmoid(taught[..., 0:2]) - ops.sigmoid(head[..., 0:2])) ** 2, axis=-1)
        # Beyond, decoding cuts both to the same box.
        sizes = (ops.minimum(each[..., 2:4], MAX_LOG_SIZE) for each in (taught, head))
        errors = errors + ops.sum((next(sizes) - next(sizes)) ** 2, axis=-1)
        if self.box_weighting:
            boxes = head_boxes(taught, self.anchors)
            # A teacher's box, unlike a true one, may be larger than the image.
            errors = errors * (2.0 - ops.minimum(boxes[..., 2] * boxes[..., 3], 1.0))
        return 0.5 * errors


def check_teacher(model: YoloV2, teacher: YoloV2, source: Any = "the teacher") -> None:
    """InputError unless a teacher's answers mean what the student's do: the same anchors and classes.

    Args:
        model: the student.
        teacher: of any widths, full or tiny.
        source: where the teacher comes from, for the message.
    """
    cells = ";".join(f"{width:g},{height:g}" for width, height in teacher.anchors)
    theirs, ours = (", ".join(each.class_names or [str(each.num_classes)]) for each in (teacher, model))
    if theirs != ours:
        raise InputError(
            f"a teacher with classes {theirs} ({source})", f"those of the student: {ours}", "choose another teacher"
        )
    same = len(teacher.anchors) == len(model.anchors)
    if not same or not np.allclose(teacher.anchors, model.anchors, rtol=0, atol=1e-3):
        ours = ";".join(f"{width:g},{height:g}" for width, height in model.anchors)
        raise InputError(
            f"a teacher with anchors {cells} ({source})",
            f"those of the student: {ours}",
            f'train with --anchors "{cells}", or choose another teacher',
        )


def distil(model: YoloV2, teacher: YoloV2, weight: float = 1.0, source: Any = "the teacher") -> None:
    """Lets every later step of `fit` learn from a teacher too, which sees the same images, augmented ones as well.

    The student's loss becomes its own plus `weight` times `DistillationLoss` with the default scales of `RegionLoss`.
    Validation only measures the latter: the loss of `evaluate`, "val_loss", stays the student's own. Both are logged,
    as "distillation" and "val_distillation", without the weight. To be called before `compile`, since a compiled step
    is kept. Nothing that is saved of the student changes, and the teacher learns nothing.

    Args:
        model: the student; its class, variables and optimizer stay as they are.
        teacher: shares anchors and classes; frozen here, and sees the student's images at the student's input from now
            on, whatever it was made for. How well it knows that scale is the caller's to know.
        weight: of the distillation loss, above 0.
        source: where the teacher comes from, for messages.

    Raises:
        InputError: for a teacher that does not fit.

    Example:
        >>> distil(model, load_detector("runs/wide"))
        >>> model.compile("adam", loss=RegionLoss(model.anchors, model.num_classes))
    """
    check_teacher(model, teacher, source)
    teacher.trainable = False
    teacher.input_spec = keras.layers.InputSpec(ndim=4, axes={-1: 3})
    measure = DistillationLoss(model.anchors, model.num_classes)
    mean = keras.metrics.Mean(name=DISTILLATION)
    # Not as attributes, which would become the student's own layers and be saved with it; Keras resets and logs what
    # is in this list.
    model._metrics[:] = [each for each in model._metrics if each.name != DISTILLATION] + [mean]
    model.compute_loss = functools.partial(_compute_loss, model, teacher, measure, weight, mean)


def _compute_loss(
    model: YoloV2,
    teacher: YoloV2,
    measure: DistillationLoss,
    weight: float,
    mean: keras.metrics.Mean,
    x: Any = None,
    y: Any = None,
    y_pred: Any = None,
    sample_weight: Any = None,
    training: bool = True,
) -> Any:
    """`keras.Model.compute_loss` with the teacher's part."""
    own = type(model).compute_loss(model, x, y, y_pred, sample_weight, training)
    far = measure(teacher(x, training=False), y_pred)
    mean.update_state(far, sample_weight=ops.shape(y_pred)[0])
    return own + weight * far if training else own
