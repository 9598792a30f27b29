"""One image of a split at a time as the feed shows it: plain, changed at random, or put together from several."""

import numpy as np

from data_tools import boxes as box_tools
from data_tools.augment import Augment, draw_transform, shift_colours, transform_boxes, transform_image
from data_tools.image_files import resize
from data_tools.mosaic import blend, tiles
from data_tools.store import SplitView

DONTCARE = -1
PLAIN_COLUMNS = 5
"""x, y, w, h, class; a sixth is the weight."""


class Samples:
    """Images and rows, each a function of seed, epoch, image and visit alone.

    Args:
        split: where they come from.
        class_map: class of each stored class, and −1 last, for the stored −1.
        augment: random changes, or None.
        seed: of these.
        count: images in use, the first of the split.
        weights: how much each box of the split counts, (m,); None: all the same.

    Attributes:
        columns: of the rows: 5, or 6 where boxes have weights.
        most: images that may meet in one.
    """

    def __init__(
        self,
        split: SplitView,
        class_map: np.ndarray,
        augment: Augment | None,
        seed: int,
        count: int,
        weights: np.ndarray | None = None,
    ):
        self.split = split
        self.augment = augment
        mosaic, mixup = (augment.mosaic, augment.mixup) if augment else (0.0, 0.0)
        self.columns = PLAIN_COLUMNS + (weights is not None or mixup > 0)
        self.most = (4 if mosaic else 1) + (1 if mixup else 0)
        self._class_map = class_map
        self._seed = seed
        self._count = count
        self._weights = np.ones(len(split.all_boxes)) if weights is None else np.asarray(weights, np.float64)
        self._plain = self._plain_rows() if augment is None else np.zeros((0, self.columns), np.float32)

    def one(
        self, index: int, size: tuple[int, int], epoch: int, visit: int = 0, mix: bool = True
    ) -> tuple[np.ndarray, np.ndarray]:
        """One image.

        Args:
            index: of the split.
            size: (H, W) to make it.
            epoch: which augmentations are drawn.
            visit: how often the epoch has shown it before.
            mix: whether mosaic and mix-up may happen.

        Returns:
            `(image, rows)`: uint8 (H, W, 3), and (k, columns) x, y, w, h relative to the image, class, weight; objects
            before DontCare regions, so that who cuts rows cuts the latter first.
        """
        if self.augment is None:
            first, end = self.split.offsets[index : index + 2]
            return resize(self._stored(index), size), self._plain[first:end]
        rng = np.random.default_rng((self._seed, epoch, index, visit))
        if mix and self.augment.mosaic and rng.random() < self.augment.mosaic:
            image, objects = self._mosaic(rng, self.augment, index, size)
        else:
            image, objects = self._changed(rng, self.augment, index, size, (0, 0, *size))
        if mix and self.augment.mixup and rng.random() < self.augment.mixup:
            other = self._changed(rng, self.augment, int(rng.integers(self._count)), size, (0, 0, *size))
            image, objects = blend(rng, (image, objects), other)
        rows = self._rows(objects, size)
        return image, rows[np.argsort(rows[:, 4] == DONTCARE, kind="stable")]

    def _stored(self, index: int) -> np.ndarray:
        """One image as it is stored, uint8 and read-only: a view of the file where that can be mapped."""
        mapped = self.split.image_memmap
        return self.split.images(index)[0] if mapped is None else np.asarray(mapped)[index]

    def _objects(self, part: slice) -> np.ndarray:
        """Boxes of the split as xyxy in stored pixels, class and weight: float64 (k, 6)."""
        classes = self._class_map[self.split.all_classes[part]]
        return np.column_stack([self.split.all_boxes[part], classes, self._weights[part]]).astype(np.float64)

    def _changed(
        self,
        rng: np.random.Generator,
        options: Augment,
        index: int,
        size: tuple[int, int],
        window: tuple[int, int, int, int],
    ) -> tuple[np.ndarray, np.ndarray]:
        """What a window (top, left, bottom, right) of the changed image at `size` shows; boxes in its own pixels."""
        image = self._stored(index)
        matrix = draw_transform(rng, options, image.shape[:2], size)
        matrix[:, 2] -= window[1], window[0]
        out = (window[2] - window[0], window[3] - window[1])
        image = shift_colours(rng, transform_image(image, matrix, out), options)
        first, end = self.split.offsets[index : index + 2]
        objects = self._objects(slice(first, end))
        visible = np.where(objects[:, 4] == DONTCARE, 0.0, options.min_visible)
        boxes, kept = transform_boxes(objects[:, :4], matrix, out, visible, options.min_pixels)
        return image, np.concatenate([boxes, objects[:, 4:]], axis=1)[kept]

    def _mosaic(
        self, rng: np.random.Generator, options: Augment, index: int, size: tuple[int, int]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Windows of this and three other images, side by side."""
        image, found = np.empty((*size, 3), np.uint8), []
        chosen = [index, *rng.integers(self._count, size=3).tolist()]
        for number, (top, left, bottom, right) in zip(chosen, tiles(rng, size), strict=True):
            height, width = bottom - top, right - left
            y, x = int(rng.integers(size[0] - height + 1)), int(rng.integers(size[1] - width + 1))
            window = (y, x, y + height, x + width)
            image[top:bottom, left:right], objects = self._changed(rng, options, number, size, window)
            objects[:, :4] += (left, top, left, top)
            found.append(objects)
        return image, np.concatenate(found)

    def _rows(self, objects: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Rows (k, columns) of objects in pixels of `size`."""
        height, width = size
        rows = np.concatenate([box_tools.xyxy_to_cxcywh(objects[:, :4]), objects[:, 4:]], axis=1)[:, : self.columns]
        rows[:, :4] /= (width, height, width, height)
        return rows

    def _plain_rows(self) -> np.ndarray:
        """Rows of all boxes of the split as they are, float32 (m, columns), in the order of `one`."""
        rows = self._rows(self._objects(slice(None)), self.split.image_size)
        image = np.repeat(np.arange(len(self.split)), np.diff(self.split.offsets))
        return rows[np.lexsort((rows[:, 4] == DONTCARE, image))].astype(np.float32)
