"""`Yad2kData`: the four arrays that YAD2K's networks and the paper's code train on.

For users who come from there; new code trains on `data_tools.batches`, whose boxes are matched inside the loss.
"""

from __future__ import annotations

import pathlib
from typing import Any

import keras
import numpy as np
from numpy.typing import ArrayLike

from data_tools.items import STRIDE, check_size
from data_tools.pipeline import batches
from data_tools.samples import DONTCARE
from data_tools.store import Store, open_store
from data_tools.targets import check_anchors, encode


class Yad2kData(keras.utils.PyDataset):
    """Batches of images, labels, detectors mask and matching true boxes.

    `self[i]` is `(images, labels, detectors_mask, matching_true_boxes)` of batch i:

    - images float32 (m, H, W, 3) RGB in 0–1;
    - labels float32 (m, max_boxes, 5), rows x, y, w, h, class relative to the image, zero where unused. DontCare
      regions, which YAD2K does not know, are left out;
    - detectors mask bool (m, H/32, W/32, anchors, 1);
    - matching true boxes float32 (m, H/32, W/32, anchors, 5), see `data_tools.targets.encode`.

    A YAD2K model takes these four as its inputs, computes the loss in its last layer and is fitted to zeros. With
    `for_fit=True`, `self[i]` is `(those four, zeros (m,))`, which `fit` takes as it is.

    Args:
        path: an HDF5 file of `DataCompiler`, or an open store.
        split: "train", "val" or "test".
        batch_size: images a batch, at least 1.
        anchors: (A, 2) width and height in grid cells.
        input_size: (H, W) of the network's input, multiples of 32; default: the stored size.
        for_fit: yield `(four arrays, zeros)`.
        **options: of `data_tools.batches`: `class_map`, `augment`, `shuffle`, `seed`, `max_boxes`, `workers`, `limit`.

    Raises:
        InputError: for anchors, sizes, a file or options that do not fit.

    Example:
        >>> data = Yad2kData("kitti.h5", "train", 16, YOLO_ANCHORS, for_fit=True)
        >>> model = Model([image_input, boxes_input, detectors_mask_input, matching_boxes_input], model_loss)
        >>> model.compile("adam", loss=lambda y_true, y_pred: y_pred)
        >>> model.fit(data, epochs=5, shuffle=False)

    Source: paper 003's `Yad2kData`; YAD2K, `retrain_yolo.py`.
    """

    def __init__(
        self,
        path: str | pathlib.Path | Store,
        split: str,
        batch_size: int,
        anchors: ArrayLike,
        input_size: tuple[int, int] | None = None,
        *,
        for_fit: bool = False,
        **options: Any,
    ) -> None:
        store = path if isinstance(path, Store) else open_store(path, "detection")
        self.anchors = check_anchors(anchors)
        self.image_size = check_size(store.image_size if input_size is None else input_size)
        self.grid = (self.image_size[0] // STRIDE, self.image_size[1] // STRIDE)
        self.for_fit = for_fit
        self.feed = batches(store, split, batch_size, input_size=self.image_size, **options)
        super().__init__(workers=self.feed.workers, max_queue_size=self.feed.max_queue_size)

    def __len__(self) -> int:
        return len(self.feed)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        images, labels = self.feed[index]
        labels = labels[..., :5]  # YAD2K knows no weights of boxes
        labels[labels[..., 4] == DONTCARE] = 0.0
        arrays = (images, labels, *encode(labels, self.anchors, self.grid))
        return (arrays, np.zeros(len(images), np.float32)) if self.for_fit else arrays

    def on_epoch_end(self) -> None:
        """Turns to the next epoch; Keras calls it after every pass."""
        self.feed.on_epoch_end()
