"""The batches that a training learns from and is validated on."""

from typing import Any

import keras
import numpy as np

from data_tools import weights as box_weights
from data_tools.pipeline import Batches, batches
from data_tools.sizes import around
from data_tools.store import Store
from run_tools.files import parse_size
from yolo_prune.class_map import DONTCARE
from yolo_prune.network import check_image_size
from yolo_prune.recipe import TrainConfig


class Feeds:
    """Makes the feeds of one config.

    Args:
        config: what was asked for.
        store: the data.
        lookup: class of the head for each stored class, −1 for DontCare.
        image_size: (H, W) of the network's input.
        epochs: of the whole training.

    Attributes:
        share: (i, n) where this is the i-th of n processes, from 0, that put each training batch together.

    Raises:
        InputError: for sizes that are no multiples of 32.
    """

    def __init__(self, config: TrainConfig, store: Store, lookup: np.ndarray, image_size: tuple[int, int], epochs: int):
        self.config = config
        self.store = store
        self.lookup = lookup
        self.image_size = image_size
        self.epochs = epochs
        self.share = (0, 1)
        if config.sizes:
            self.sizes = tuple(check_image_size(parse_size(size)) for size in config.sizes)
        else:
            self.sizes = around(image_size, config.multi_scale)

    def train(self, shuffle: bool = True) -> Batches:
        """The training images, augmented, with the weights, repetitions and sizes of the config.

        Args:
            shuffle: a new order every epoch, without a last, short batch; False: the file's order, each image once.

        Returns:
            A feed of (images, true_boxes); the latter with a sixth column, the weight, where boxes have weights.

        Raises:
            InputError: if the split has no images, or an option does not fit it.
        """
        config, view = self.config, self.store["train"]
        classes = np.append(self.lookup, DONTCARE)[view.all_classes]
        weights = box_weights.visible(view, config.occlusion_discount, config.truncation_discount)
        if config.class_balance == "weights":
            weights *= box_weights.balanced(classes)
        return self._feed(
            "train",
            shuffle=shuffle,
            augment=config.augment,
            sizes=self.sizes,
            sizes_every=config.sizes_every,
            weights=weights if (weights != 1.0).any() else None,
            repeats=box_weights.repeats(view, classes) if config.class_balance == "images" else None,
            mix_until=self.epochs - config.mosaic_off,
            share=self.share,
        )

    def val(self) -> Batches:
        """The validation images as they are, or with `limit` the training images."""
        return self._feed("train" if self.config.limit else "val", shuffle=False)

    def plain(self) -> Batches:
        """The training images as they are, shuffled."""
        return self._feed("train", shuffle=True)

    def _feed(self, split: str, **options: Any) -> Batches:
        config = self.config
        common: dict[str, Any] = {"input_size": self.image_size, "class_map": self.lookup, "seed": config.seed}
        common |= {"workers": config.workers, "limit": config.limit}
        return batches(self.store, split, config.batch_size, **common, **options)

    def for_fit(self, model: keras.Model, feed: Batches) -> Any:
        """What to pass to `fit`: the feed itself, or where sizes rotate something that may change its shape.

        The network is fully convolutional and its anchors are in grid cells of 32 pixels, so that an anchor stands for
        the same number of pixels at every size, as in darknet: the model is told to take any. Keras tells TensorFlow
        the shape of all batches from the first two; here every height and width is left open, and the step is traced
        once for all sizes. JAX compiles once for each.

        Args:
            model: the network, built for one size; what is saved of it stays that.
            feed: of `train`.

        Returns:
            The feed or a `tf.data.Dataset`, which reads `feed.epoch` whenever an epoch begins.
        """
        if self.sizes == (self.image_size,):
            return feed
        model.input_spec = keras.layers.InputSpec(ndim=4, axes={-1: 3})
        if keras.backend.backend() != "tensorflow":
            return feed
        import tensorflow as tf

        images, boxes = tf.TensorSpec((None, None, None, 3)), tf.TensorSpec((None, feed.max_boxes, feed.columns))
        dataset = tf.data.Dataset.from_generator(lambda: iter(feed), output_signature=(images, boxes))
        return dataset.apply(tf.data.experimental.assert_cardinality(len(feed))).prefetch(tf.data.AUTOTUNE)
