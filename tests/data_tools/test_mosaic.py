"""Mosaic and mix-up: tiles that cover the picture once, boxes that stay on their objects, weights as faint as these."""

import cv2
import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_tools import open_store
from data_tools.augment import NO_AUGMENT, Augment
from data_tools.mosaic import blend, tiles
from data_tools.pipeline import batches
from data_tools.samples import Samples
from tests.data_tools.test_pipeline import write

SIDES = st.integers(1, 20).map(lambda count: 32 * count)


def only(**options):
    return Augment(**{**vars(NO_AUGMENT), **options})


@given(size=st.tuples(SIDES, SIDES), seed=st.integers(0, 2**32 - 1))
def test_tiles_cover_the_picture_once(size, seed):
    covered = np.zeros(size, int)
    found = tiles(np.random.default_rng(seed), size)
    for top, left, bottom, right in found:
        assert top < bottom and left < right
        covered[top:bottom, left:right] += 1
    assert len(found) == 4 and (covered == 1).all()
    heights, widths = (sorted(part) for part in zip(*((b - t, r - le) for t, le, b, r in found), strict=True))
    # From 2:1 on in a row, each tile of the full shorter side; else around a point that is not near the border.
    if size[1] >= 2 * size[0]:
        assert heights == [size[0]] * 4 and widths[0] >= 0.04 * size[1]
    elif size[0] >= 2 * size[1]:
        assert widths == [size[1]] * 4 and heights[0] >= 0.04 * size[0]
    else:
        assert heights[0] >= 0.3 * size[0] - 1 and widths[0] >= 0.3 * size[1] - 1


COLOURS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (0, 255, 255), (255, 0, 255))


@pytest.fixture(scope="module", params=[(128, 384), (192, 192)], ids=["wide", "square"])
def coloured(request, tmp_path_factory):
    """Six black images, each with a rectangle of its own colour, its class."""
    samples, (height, width) = [], request.param
    rng = np.random.default_rng(0)
    for label, colour in enumerate(COLOURS):
        image = np.zeros((height, width, 3), np.uint8)
        x, y = int(rng.integers(width - 60)), int(rng.integers(height - 40))
        image[y : y + 40, x : x + 60] = colour
        samples.append((image, [((x, y, x + 60, y + 40), label)]))
    path = tmp_path_factory.mktemp("mosaic") / "coloured.h5"
    return write(path, {"train": samples}, (height, width), names=[f"colour {i}" for i in range(6)])


def shown(image, colour):
    """Left, top, right, bottom and number of pixels of each patch of a colour."""
    patches = (np.abs(image.astype(int) - colour) < 90).all(axis=2).astype(np.uint8)
    left, top, width, height, count = cv2.connectedComponentsWithStats(patches)[2][1:].T
    return np.stack([left, top, left + width, top + height, count], axis=1)


def test_boxes_of_a_mosaic_lie_on_what_is_left_of_their_objects(coloured):
    view = open_store(coloured)["train"]
    options = only(mosaic=1.0, scale=1.5, flip=0.5, min_visible=0.3, min_pixels=2.0)
    samples, size = Samples(view, np.arange(7), options, 0, 6), view.image_size
    seen, dropped = 0, 0
    for epoch in range(300):
        rng = np.random.default_rng((0, epoch, epoch % 6, 0))
        rng.random()
        if len({epoch % 6, *rng.integers(6, size=3)}) < 4:
            continue  # an image that is there twice has two patches, which may touch
        image, rows = samples.one(epoch % 6, size, epoch)
        assert image.shape == (*size, 3) and (rows[:, :4] >= 0).all() and (rows[:, :4] <= 1).all()
        found = {int(row[4]): row for row in rows}
        for label, colour in enumerate(COLOURS):
            patches = shown(image, colour)
            assert len(patches) <= 1
            if label in found:
                seen += 1
                x, y, w, h = found[label][:4] * (size[1], size[0], size[1], size[0])
                np.testing.assert_allclose((x - w / 2, y - h / 2, x + w / 2, y + h / 2), patches[0][:4], atol=2.5)
            elif len(patches):
                # Less than .3 of an object that is zoomed by at most 1.5, and some pixels of rounding.
                dropped += 1
                assert patches[0][4] < 0.3 * 60 * 40 * 1.5**2 * 1.1
    assert seen > 40 and dropped > 2


def test_objects_of_a_mosaic_keep_their_size(coloured):
    # Nothing is zoomed: what is whole is as large as it was, 60 by 40 pixels, and nothing is larger.
    view = open_store(coloured)["train"]
    samples = Samples(view, np.arange(7), only(mosaic=1.0), 0, 6)
    size = view.image_size
    sides = np.concatenate([samples.one(0, size, epoch)[1][:, 2:4] * size[::-1] for epoch in range(40)])
    assert (sides <= (60.001, 40.001)).all() and (np.abs(sides - (60, 40)) < 1e-6).all(axis=1).sum() > 10


def test_mix_up_worked_out():
    # The share is drawn; whatever it is, pixels and weights have it alike.
    first = np.full((4, 4, 3), 200, np.uint8), np.array([[0, 0, 2, 2, 1, 1.0], [1, 1, 2, 2, -1, 0.5]])
    second = np.full((4, 4, 3), 100, np.uint8), np.array([[2, 2, 4, 4, 0, 1.0]])
    shares = []
    for seed in range(200):
        image, objects = blend(np.random.default_rng(seed), first, second)
        share = objects[0, 5]
        np.testing.assert_allclose(objects[:, 5], [share, 0.5 * share, 1 - share])
        assert objects[:, :5].tolist() == [[0, 0, 2, 2, 1], [1, 1, 2, 2, -1], [2, 2, 4, 4, 0]]
        np.testing.assert_allclose(image, 100 + 100 * share, atol=0.51)
        shares.append(share)
    # Beta(1.5, 1.5): mean 1/2, variance 1/16.
    assert np.mean(shares) == pytest.approx(0.5, abs=0.06) and np.var(shares) == pytest.approx(1 / 16, abs=0.02)


def test_the_feed_mixes_with_weights_until_it_is_told_not_to(coloured):
    options = only(mosaic=0.5, mixup=0.5)
    feed = batches(coloured, "train", 6, augment=options, mix_until=2)
    plain = batches(coloured, "train", 6, augment=NO_AUGMENT)
    # At most four images of a mosaic and one that shines through, one box each.
    assert (plain.max_boxes, plain.columns, feed.max_boxes, feed.columns) == (1, 5, 5, 6)
    for epoch in range(4):
        feed.epoch = plain.epoch = epoch
        images, labels = feed[0]
        expected, rows = plain[0]
        if epoch < 2:
            faint = labels[labels[..., 2] > 0][:, 5]
            assert ((faint > 0) & (faint <= 1)).all() and (faint < 1).any()
            assert not np.array_equal(images, expected)
        else:
            np.testing.assert_array_equal(images, expected)
            np.testing.assert_array_equal(labels[:, :1, :5], rows)
            assert (labels[:, 0, 5] == 1).all()


def test_keras_has_no_layers_that_would_do():
    # When this fails, Keras has learnt it, and `data_tools.mosaic` may go.
    images = np.zeros((2, 8, 8, 3), np.float32)
    boxes = {"boxes": np.tile(np.float32([[[0, 0, 4, 4]]]), (2, 3, 1)), "labels": np.zeros((2, 3), np.float32)}
    data = {"images": images, "bounding_boxes": boxes}
    mixed = keras.layers.MixUp(seed=0, bounding_box_format="xyxy")(data, training=True)["bounding_boxes"]
    assert mixed["boxes"].shape == (2, 6, 4)  # both images' boxes, side by side
    assert mixed["labels"].shape == (4, 3)  # their labels, one under the other
    with pytest.raises(NotImplementedError):
        keras.layers.CutMix(seed=0, bounding_box_format="xyxy")(data, training=True)
