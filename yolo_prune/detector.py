"""`YoloV2`: the network as a `keras.Model` that trains under plain `compile`/`fit` and rebuilds itself."""

from collections.abc import Mapping, Sequence

import keras
import numpy as np

from run_tools import cpu, saved
from run_tools.errors import InputError
from yolo_prune import network
from yolo_prune.anchors import as_anchors
from yolo_prune.class_map import check_names
from yolo_prune.decode import detections
from yolo_prune.records import Detections


@keras.saving.register_keras_serializable(package="yolo_prune")
class YoloV2(keras.Model):
    """YOLOv2: RGB images in 0–1, (batch, H, W, 3), to the raw head, (batch, H/32, W/32, anchors · (5 + classes)).

    Args:
        num_classes: classes of the head, at least 1.
        anchors: a preset's name ("coco", "voc", "tiny-voc") or (width, height) pairs in grid cells.
        image_size: (height, width) of the input, multiples of 32, not necessarily equal.
        variant: "full" (Darknet-19 with passthrough) or "tiny".
        width_multiplier: factor on the published widths; ignored when `widths` is given.
        widths: output channels of every convolution but the head, 22 (full) or 8 (tiny).
        class_names: lower-case names, one a class; kept with the model for evaluation and drawing.
        passthrough: of the full network: "space_to_depth", or "reorg", darknet's, which darknet's weights are made for.

    Raises:
        InputError: for sizes not divisible by 32, or widths, anchors or names that do not fit.

    Example:
        >>> model = YoloV2(5, "coco", image_size=(256, 832), variant="tiny")
        >>> model.compile("adam", loss=RegionLoss("coco", 5))
        >>> model.fit(batches("kitti.h5", "train", 16), epochs=10)
    """

    def __init__(
        self,
        num_classes: int,
        anchors: str | Sequence[Sequence[float]],
        image_size: tuple[int, int] = (416, 416),
        variant: str = "full",
        width_multiplier: float = 1.0,
        widths: Sequence[int] | None = None,
        class_names: Sequence[str] | None = None,
        passthrough: str = "space_to_depth",
        **kwargs,
    ):
        if num_classes < 1:
            raise InputError(f"num_classes {num_classes}", "at least 1", "give the number of classes of the head")
        named = check_names(class_names, num_classes)
        anchors = as_anchors(anchors)
        resolved = network.resolve_widths(variant, widths, width_multiplier)
        size = network.check_image_size(image_size)
        outputs = len(anchors) * (5 + num_classes)
        way = network.check_passthrough(variant, passthrough, resolved)
        inputs, logits = network.build(size, variant, resolved, outputs, way)
        kwargs.setdefault("name", f"yolov2_{variant}")
        super().__init__(inputs=inputs, outputs=logits, **kwargs)
        self.num_classes = int(num_classes)
        self.anchors = anchors
        self.image_size = size
        self.variant = variant
        self.widths = resolved
        self.class_names = named
        self.passthrough = way

    def get_config(self):
        """Everything needed to build the network again, and which layers are frozen."""
        return {
            "name": self.name,
            "num_classes": self.num_classes,
            "anchors": [list(pair) for pair in self.anchors],
            "image_size": list(self.image_size),
            "variant": self.variant,
            "widths": list(self.widths),
            "class_names": None if self.class_names is None else list(self.class_names),
            "passthrough": self.passthrough,
            "frozen": saved.frozen(self),
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """The network of a `get_config`, without its weights."""
        return saved.from_config(cls, config)

    def resized(self, widths: Mapping[str, int]) -> "YoloV2":
        """The same network with other widths and new weights: how `prune_tools.surgery` gives pruned ones their class.

        Args:
            widths: output channels by the names of the convolutions.
        """
        ordered = [widths[f"conv_{index}"] for index in range(1, len(self.widths) + 1)]
        return self.from_config({**self.get_config(), "widths": ordered})

    def at_size(self, image_size: Sequence[int]) -> "YoloV2":
        """The same network and weights for another input: convolutions and anchors do not depend on it.

        Args:
            image_size: (height, width), multiples of 32.

        Returns:
            A new detector. It finds things at the scales that it was trained on, so train on a little at the new size.
        """
        return self._with_weights(
            self.from_config({**self.get_config(), "image_size": network.check_image_size(image_size)})
        )

    def _with_weights(self, other: "YoloV2") -> "YoloV2":
        other.set_weights(self.get_weights())
        return other

    def compile(self, *args, jit_compile="auto", **kwargs):
        """`keras.Model.compile`; "auto" does not use XLA for TensorFlow on a CPU, where it halves the speed."""
        if jit_compile == "auto" and cpu.on_cpu():
            jit_compile = False
        super().compile(*args, jit_compile=jit_compile, **kwargs)

    def compile_from_config(self, config):
        """Compiles as the saved model was, optimizer slots included; with an own `compile`, Keras leaves that to us."""
        # Whether XLA pays is a matter of the machine that loads, not of the one that saved.
        config = {key: value for key, value in config.items() if key != "jit_compile"}
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)

    def detect(
        self, images: np.ndarray, score: float = 0.005, iou: float = 0.45, limit: int = 100, batch_size: int = 16
    ) -> list[Detections]:
        """Decoded and suppressed detections of images of the network's size.

        Args:
            images: (n, H, W, 3) RGB, float in 0–1 or uint8.
            score: least score kept, in 0–1.
            iou: per-class suppression threshold.
            limit: most detections an image.
            batch_size: images a forward pass.

        Returns:
            One `Detections` an image, boxes xyxy relative to the image.

        Raises:
            InputError: for images of another size than the network's.
        """
        found: list[Detections] = []
        for start in range(0, len(images), batch_size):
            found += self.decoded(self.logits(images[start : start + batch_size]), score, iou, limit)
        return found

    def logits(self, images: np.ndarray) -> np.ndarray:
        """The raw head of one batch, the network alone.

        Args:
            images: (n, H, W, 3) RGB, float in 0–1 or uint8.

        Returns:
            float32, (n, H/32, W/32, anchors · (5 + classes)).

        Raises:
            InputError: for images of another size than the network's.
        """
        for image in images:
            self._check_input(np.shape(image))
        batch = np.asarray(images)
        if batch.dtype == np.uint8:
            batch = batch.astype(np.float32) / 255.0
        # Under a distribution strategy every replica sees the whole batch and all their outputs come back.
        logits: np.ndarray = self.predict_on_batch(batch)[: len(batch)]
        return logits

    def decoded(
        self, logits: np.ndarray, score: float = 0.005, iou: float = 0.45, limit: int | None = 100
    ) -> list[Detections]:
        """What `detect` makes of a raw head.

        Args:
            logits: (n, gh, gw, anchors · (5 + classes)); the grid need not be that of the network's own input.
            score: least score kept, in 0–1.
            iou: per-class suppression threshold, in 0–1.
            limit: most detections an image; None: all that suppression leaves.

        Returns:
            One `Detections` an image, boxes xyxy relative to the image.
        """
        return detections(logits, self.anchors, self.num_classes, score, iou, limit)

    def _check_input(self, shape: Sequence[int]) -> None:
        height, width = self.image_size
        if self.input_shape[-1] != 3:
            raise InputError(
                f"a network of {self.input_shape[-1]}-channel images",
                "one of RGB images",
                "call it on arrays of its own",
            )
        if tuple(shape) != (height, width, 3):
            told = f"of {shape[1]}x{shape[0]}" if len(shape) == 3 and shape[2] == 3 else f"of shape {tuple(shape)}"
            raise InputError(
                f"an image {told}",
                f"RGB of the network's size, {width}x{height}: a batch (n, {height}, {width}, 3)",
                "resize the images with data_tools.image_files.resize",
            )


def has_gpu() -> bool:
    """Whether the Keras backend runs on a GPU or another accelerator."""
    if keras.backend.backend() == "jax":
        import jax

        return bool(jax.default_backend() != "cpu")
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))
