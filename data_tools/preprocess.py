"""From stored images or vectors to a classifier's input: size, grey, 0-1, standardisation; the same in `predict`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np

from data_tools.image_files import resize
from data_tools.label_store import LabelView
from run_tools.errors import InputError

BLOCK = 256
"""Images looked at together when a split is measured."""


@dataclass(frozen=True)
class Preprocess:
    """Images as a network takes them; plain numbers, so that a config or a model's folder can keep them.

    In this order: resize, grey, scale to 0-1, (x - mean) / deviation.

    Attributes:
        size: (H, W) to resize to; None keeps the stored size.
        grey: one channel, the luma of ITU-R BT.601.
        mean, deviation: of each channel, in 0-1 units; empty for none. `measured` finds those of a data set.
    """

    size: tuple[int, int] | None = None
    grey: bool = False
    mean: tuple[float, ...] = ()
    deviation: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        # YAML and JSON give lists.
        for name in ("size", "mean", "deviation"):
            value = getattr(self, name)
            if isinstance(value, list):
                object.__setattr__(self, name, tuple(value))
        if self.size is not None and (len(self.size) != 2 or min(self.size) < 1):
            raise InputError(f"preprocess size {self.size}", "(H, W) of at least 1", "give two numbers")
        if len(self.mean) != len(self.deviation) or len(self.mean) not in (0, self.channels):
            raise InputError(
                f"{len(self.mean)} means and {len(self.deviation)} deviations",
                f"{self.channels} of each, one a channel, or none",
                "use Preprocess.measured",
            )
        if not all(np.isfinite(self.mean)) or not all(0 < value < np.inf for value in self.deviation):
            raise InputError(f"mean {self.mean}, deviation {self.deviation}", "numbers, above 0", "measure them again")

    @property
    def channels(self) -> int:
        """1 with grey, else 3."""
        return 1 if self.grey else 3

    def shape(self, stored: Sequence[int]) -> tuple[int, int, int]:
        """(H, W, channels) of what stored images (H, W, 3) become."""
        height, width = self.size or (int(stored[0]), int(stored[1]))
        return height, width, self.channels

    def one(self, image: np.ndarray) -> np.ndarray:
        """One image.

        Args:
            image: uint8 RGB, shape (h, w, 3).

        Returns:
            float32, shape (H, W, channels).
        """
        pixels = image if self.size is None else resize(image, self.size)
        if self.grey:
            pixels = cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2GRAY)[..., None]
        out = np.multiply(pixels, np.float32(1 / 255), dtype=np.float32)
        if self.mean:
            out -= np.asarray(self.mean, np.float32)
            out /= np.asarray(self.deviation, np.float32)
        return out

    def apply(self, images: np.ndarray) -> np.ndarray:
        """Some images.

        Args:
            images: uint8 RGB, shape (n, h, w, 3).

        Returns:
            float32, shape (n, H, W, channels).
        """
        return np.stack([self.one(image) for image in images]) if len(images) else self._empty(images.shape[1:])

    def _empty(self, stored: Sequence[int]) -> np.ndarray:
        return np.empty((0, *self.shape(stored)), np.float32)

    def measured(self, view: LabelView, rows: np.ndarray | None = None) -> Preprocess:
        """The same with the mean and the deviation of each channel over a split.

        Args:
            view: of the training images.
            rows: which of them; default: all.

        Returns:
            A copy.

        Raises:
            InputError: there is no image, or a channel is constant.

        Source: paper 004, section 1.2, "basic preprocessing of standardization".
        """
        plain = replace(self, mean=(), deviation=())
        chosen = np.arange(len(view)) if rows is None else np.asarray(rows)
        if not len(chosen):
            raise InputError("no images to measure", "at least one", "use a split that holds images")
        sums, squares, count = np.zeros(self.channels), np.zeros(self.channels), 0
        for start in range(0, len(chosen), BLOCK):
            block = plain.apply(view.images(chosen[start : start + BLOCK])).reshape(-1, self.channels)
            sums += block.sum(axis=0, dtype=np.float64)
            squares += np.square(block, dtype=np.float64).sum(axis=0)
            count += len(block)
        mean = sums / count
        deviation = np.sqrt(np.maximum(squares / count - mean**2, 0))
        if (deviation < 1e-6).any():
            raise InputError("images of one shade", "images that differ", "check the data")
        return replace(plain, mean=tuple(mean.tolist()), deviation=tuple(deviation.tolist()))


@dataclass(frozen=True, eq=False)
class FeatureScale:
    """Feature vectors as a network takes them: (x - offset) * factor, number by number.

    Attributes:
        offset, factor: float32, shape (D,).
    """

    offset: np.ndarray
    factor: np.ndarray

    def __post_init__(self) -> None:
        for name in ("offset", "factor"):
            object.__setattr__(self, name, np.asarray(getattr(self, name), np.float32))
        if self.offset.ndim != 1 or self.offset.shape != self.factor.shape:
            raise InputError(
                f"offset {self.offset.shape} and factor {self.factor.shape}", "(D,) each", "use FeatureScale.measured"
            )

    def shape(self, stored: Sequence[int]) -> tuple[int, ...]:
        """(D,) of what stored vectors become: the same; InputError where their length is another."""
        if tuple(stored) != self.offset.shape:
            raise InputError(f"a scale of {len(self.offset)} numbers", f"{stored[0]}", "measure it on this file")
        return tuple(stored)

    def apply(self, features: np.ndarray) -> np.ndarray:
        """float32 (n, D) of float32 (n, D)."""
        return (np.asarray(features, np.float32) - self.offset) * self.factor

    @classmethod
    def measured(
        cls, view: LabelView, how: Literal["standard", "minmax"] = "standard", rows: np.ndarray | None = None
    ) -> FeatureScale:
        """The scale that a split's vectors ask for.

        Args:
            view: of the training vectors.
            how: "standard" gives each number mean 0 and deviation 1, "minmax" the range 0-1. A constant number becomes
                0.
            rows: which of them; default: all.

        Returns:
            The scale.

        Source: paper 002, section 2, "normalisation has done on the data frame", which does not say which one.
        """
        if how not in ("standard", "minmax"):
            raise InputError(f"feature scale {how!r}", "standard or minmax", "choose one of them")
        found = view.features(slice(None) if rows is None else rows).astype(np.float64)
        if not len(found):
            raise InputError("no vectors to measure", "at least one", "use a split that holds vectors")
        offset, spread = (
            (found.mean(axis=0), found.std(axis=0))
            if how == "standard"
            else (found.min(axis=0), found.max(axis=0) - found.min(axis=0))
        )
        return cls(offset, 1 / np.where(spread > 1e-12, spread, 1.0))
