"""Stages that train the head alone, on features that the frozen layers computed once.

Where only the last convolution learns, everything below it answers the same for the same image in every epoch. Its
answers are computed once, kept on disk and read from there, so that an epoch costs one 1x1 convolution and the loss.
Frozen batch-norms use their stored statistics in training too, so this is the same training: the same batches in the
same order, the same loss, the same optimizer, and the head's own variables.

Source: the third recipe of paper 003, section 5.1.1, trains the top layer for 500 epochs.
"""

import hashlib
import shutil
import sys
from collections.abc import Callable, Container
from pathlib import Path
from typing import Any

import keras
import numpy as np
from tqdm import tqdm

from data_tools.pipeline import Batches
from run_tools import files
from yolo_prune.detector import YoloV2
from yolo_prune.metrics import region_metrics
from yolo_prune.recipe import Stage, TrainConfig

FEATURES, BOXES = "features.npy", "boxes.npy"
MOST_OF_THE_DISK = 0.9
"""Of the free space; a cache that would take more is not made."""


class CachedBatches(keras.utils.PyDataset):
    """The batches of a `Batches`, with features in the place of images.

    Args:
        source: says which images a batch holds, in which epoch.
        folder: holds `features.npy`, (variants, images, gh, gw, channels), and `boxes.npy`, (variants, images,
            max_boxes, columns). Both are mapped, never read whole.

    Epoch e takes variant e modulo their number.
    """

    def __init__(self, source: Batches, folder: Path):
        super().__init__(workers=1, use_multiprocessing=False, max_queue_size=4)
        self.source = source
        self._features = np.load(folder / FEATURES, mmap_mode="r")
        self._boxes = np.load(folder / BOXES, mmap_mode="r")

    @property
    def epoch(self) -> int:
        """The epoch of `source`."""
        return self.source.epoch

    @epoch.setter
    def epoch(self, value: int) -> None:
        self.source.epoch = value

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        chosen, variant = self.source.indices(index), self.source.epoch % len(self._features)
        return np.array(self._features[variant][chosen], np.float32), np.array(self._boxes[variant][chosen])

    def ids(self, index: int) -> list[str]:
        """Names of the images of batch `index` of the current epoch."""
        return self.source.ids(index)

    def on_epoch_end(self) -> None:
        """Turns to the next epoch."""
        self.source.on_epoch_end()


class CachedHead(keras.Model):
    """The head of a detector as a model of its own: features (batch, gh, gw, channels) to the raw head.

    It shares variables, optimizer and loss with the detector, and passes on to it what callbacks ask of a detector:
    detections, the input's size, saving. So whatever is judged, drawn or saved during its `fit` is the whole detector.

    Args:
        detector: compiled, with all layers but the last one frozen.
    """

    def __init__(self, detector: YoloV2):
        # Features come in the precision that the head wants.
        super().__init__(name=f"{detector.name}_head", dtype="float32")
        self.detector = detector
        loss = detector.loss
        # The same optimizer: it is built for the same variables, and saved with the detector.
        self.compile(detector.optimizer, loss, metrics=region_metrics(loss), jit_compile=detector.jit_compile)

    def call(self, features):
        """The raw head."""
        return self.detector.layers[-1](features)

    @property
    def image_size(self) -> tuple[int, int]:
        """Of the detector."""
        return self.detector.image_size

    def detect(self, *args: Any, **kwargs: Any):
        """`YoloV2.detect`."""
        return self.detector.detect(*args, **kwargs)

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Saves the detector, optimizer included."""
        self.detector.save(*args, **kwargs)


def prepare(
    model: YoloV2,
    stage: Stage,
    train: Batches,
    ordered: Callable[[], Batches],
    val: Batches,
    folder: Path,
    config: TrainConfig,
):
    """What a stage calls `fit` on, and the feeds for it.

    Args:
        model: compiled for the stage, its other layers frozen.
        stage: how long it takes.
        train: feed of the training split.
        ordered: makes a feed of the same images and augmentations without the shuffle, where it is needed.
        val: feed of the validation split, neither shuffled nor augmented.
        folder: where features are kept; those that a run before left there are used again if they are the same.
        config: its `cache`, `cache_variants`, `augment`, `mosaic_off` and `distribute` decide whether features are
            cached, where nothing but the head learns at one size.

    Returns:
        `(model, train, val)` as given, or a `CachedHead` with two `CachedBatches` where that gives the same training
        and the disk has room.
    """
    variants = (config.cache_variants or 0) if config.augment is not None else 1
    learning = [layer for layer in model.layers if layer.weights and layer.trainable]
    same = learning == [model.layers[-1]] and tuple(train.sizes) == (model.image_size,)
    # The last epochs would see what they should not; several hosts would write the same files.
    possible = not (config.augment is not None and config.mosaic_off) and config.distribute == "none"
    if config.cache == "off" or not (variants and same and possible):
        clear(folder)
        return model, train, val
    body = keras.Model(model.inputs, model.layers[-1].input)
    body.jit_compile = model.jit_compile
    wanted = {}
    for name, feed, count in (("train", ordered(), min(variants, stage.epochs)), ("val", val, 1)):
        wanted[folder / f"{name}-{_key(model, feed, config.cache, count)}"] = (feed, count)
    clear(folder, keep=wanted)
    sizes = {made: _bytes(body, feed, config.cache, count) for made, (feed, count) in wanted.items()}
    told = f"features of the frozen layers, {sum(sizes.values()) / 1e6:,.1f} MB of {config.cache} in {folder}"
    missing = [made for made in wanted if not made.is_dir()]
    if sum(sizes[made] for made in missing) > MOST_OF_THE_DISK * shutil.disk_usage(folder.parent).free:
        print(f"note: no room for {told}; every epoch computes them anew")
        return model, train, val
    print(f"stage {stage.train} learns from {told}")
    for made in missing:
        feed, count = wanted[made]
        _write(body, feed, made, config.cache, count)
    train_folder, val_folder = wanted
    return CachedHead(model), CachedBatches(train, train_folder), CachedBatches(val, val_folder)


def clear(folder: Path, keep: Container[Path] = ()) -> None:
    """Deletes what stages before left in `folder`, but for `keep`."""
    for path in folder.glob("*"):
        if path not in keep:
            shutil.rmtree(path)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def _count(feed: Batches) -> int:
    """Images of a feed that does not shuffle."""
    return int(feed.indices(len(feed) - 1)[-1]) + 1


def _bytes(body: keras.Model, feed: Batches, dtype: str, variants: int) -> int:
    return variants * _count(feed) * int(np.prod(body.output_shape[1:])) * np.dtype(dtype).itemsize


def _key(model: YoloV2, feed: Batches, dtype: str, variants: int) -> str:
    """16 hexadecimal digits that change with the frozen weights, the images and how both are stored.

    The rest of what features depend on, such as the augmentation, is the same for all of a run folder's life.
    """
    digest = hashlib.sha256(repr((feed.split.digests, _count(feed), feed.image_size, dtype, variants)).encode())
    for layer in model.layers[:-1]:
        for value in layer.get_weights():
            digest.update(np.ascontiguousarray(value).tobytes())
    return digest.hexdigest()[:16]


def _write(body: keras.Model, feed: Batches, folder: Path, dtype: str, variants: int) -> None:
    """Computes the features of every image, in as many variants; the folder appears when it is complete."""
    count = _count(feed)
    pace = 0.1 if sys.stderr.isatty() else 10.0
    with files.atomic_path(folder) as temporary, tqdm(total=variants * count, unit="image", mininterval=pace) as bar:
        temporary.mkdir()
        features = _array(temporary / FEATURES, dtype, (variants, count, *body.output_shape[1:]))
        boxes = _array(temporary / BOXES, "float32", (variants, count, *feed[0][1].shape[1:]))
        for variant in range(variants):
            feed.epoch = variant
            for index in range(len(feed)):
                chosen = feed.indices(index)
                images, boxes[variant, chosen] = feed[index]
                # Under a distribution strategy every replica sees the whole batch and all their outputs come back.
                features[variant, chosen] = body.predict_on_batch(images)[: len(chosen)]
                bar.update(len(chosen))
        features.flush()
        boxes.flush()


def _array(path: Path, dtype: str, shape: tuple[int, ...]) -> np.memmap:
    return np.lib.format.open_memmap(path, mode="w+", dtype=np.dtype(dtype), shape=shape)
