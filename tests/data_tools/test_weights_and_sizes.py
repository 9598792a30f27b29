"""Weights of boxes, repetition of images, and sizes that rotate: worked out by hand, and through the feed."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_tools import open_store
from data_tools.augment import NO_AUGMENT, Augment
from data_tools.order import epoch_order
from data_tools.pipeline import batches
from data_tools.sizes import around
from data_tools.weights import balanced, repeats, visible
from run_tools.errors import InputError
from tests.data_tools.test_pipeline import SIZE, noise, write

BOX = [10, 10, 40, 50]


def test_rare_classes_weigh_more_by_the_root_of_their_number():
    # Nine of class 0, one of class 2: 1/3 and 1 before the mean, (9 · 1/3 + 1) / 10 = .4, is made 1: 5/6 and 5/2.
    classes = np.array([0] * 9 + [2] + [-1] * 2)
    np.testing.assert_allclose(balanced(classes), [5 / 6] * 9 + [5 / 2] + [1, 1])
    assert balanced(np.array([-1, -1])).tolist() == [1, 1]


# Occlusion and truncation of one box each: all there, partly, unknown, half outside, both, not told.
HIDDEN = [(BOX, 0, 0, 0.0), (BOX, 0, 1, 0.0), (BOX, 0, 3, 0.0), (BOX, 0, 0, 0.5), (BOX, 1, 2, 0.25), (BOX, 1, -1, -1.0)]


@pytest.fixture(scope="module")
def hidden(tmp_path_factory):
    image = np.zeros((*SIZE, 3), np.uint8)
    return write(tmp_path_factory.mktemp("hidden") / "a.h5", {"train": [(image, HIDDEN)], "val": [(image, [])]})


def test_what_is_hidden_weighs_less(hidden):
    view = open_store(hidden)["train"]
    # (1 − .6 · o/3) · (1 − .8 · t)
    expected = [1, 0.8, 0.4, 0.6, 0.6 * 0.8, 1]
    np.testing.assert_allclose(visible(view, 0.6, 0.8), expected, rtol=1e-6)
    assert (visible(view, 0.0, 0.0) == 1).all()
    for wrong in ((-0.1, 0.0), (0.0, 1.1), (float("nan"), 0.0)):
        with pytest.raises(InputError, match="discount"):
            visible(view, *wrong)


@pytest.mark.parametrize("augment", [None, NO_AUGMENT, Augment()])
def test_weights_are_a_sixth_column_that_goes_with_its_box(hidden, augment):
    weights = np.arange(6) / 4
    plain = batches(hidden, "train", 1, augment=augment)[0]
    weighted = batches(hidden, "train", 1, augment=augment, weights=weights)[0]
    np.testing.assert_array_equal(weighted[0], plain[0])
    np.testing.assert_array_equal(weighted[1][..., :5], plain[1])
    kept = int((plain[1][..., 2] > 0).sum())
    # All six boxes are in one place, so that all are kept or none; they keep their order.
    assert weighted[1].shape == (1, 6, 6) and kept == 6
    np.testing.assert_allclose(weighted[1][0, :, 5], weights)


def test_images_with_rare_classes_are_shown_more_often(tmp_path):
    # Eight images: a car in all, a bus in two, a tram in one that also holds a bus; one more tram is DontCare here.
    image = np.zeros((*SIZE, 3), np.uint8)
    content = [[0]] * 6 + [[0, 1], [0, 1, 2]]
    path = write(tmp_path / "a.h5", {"train": [(image, [(BOX, label) for label in labels]) for labels in content]})
    view = open_store(path)["train"]
    # √(.5 · 8 / 2) for the bus, √(.5 · 8 / 1) for the tram.
    np.testing.assert_allclose(repeats(view, view.all_classes), [1] * 6 + [math.sqrt(2), 2])
    without = np.where(view.all_classes == 2, -1, view.all_classes)
    np.testing.assert_allclose(repeats(view, without), [1] * 6 + [math.sqrt(2)] * 2)


@given(seed=st.integers(0, 1000), factors=st.lists(st.floats(0.5, 20), min_size=1, max_size=30))
def test_an_epoch_keeps_its_length_and_shows_each_image_as_often_as_it_should(seed, factors):
    factors = np.array(factors)
    expected = len(factors) * factors / factors.sum()
    order, visits = epoch_order(len(factors), True, (seed, 3), factors)
    assert len(order) == len(visits) == len(factors)
    count = np.bincount(order, minlength=len(factors))
    assert (count >= np.floor(expected - 1e-9)).all() and (count <= np.ceil(expected + 1e-9)).all()
    before = Counter()
    for image, visit in zip(order.tolist(), visits.tolist(), strict=True):
        assert visit == before[image]
        before[image] += 1


def test_over_many_epochs_the_shares_are_right():
    factors = np.array([1, 1, 1, 3.0])
    shown = sum(np.bincount(epoch_order(4, True, (0, epoch), factors)[0], minlength=4) for epoch in range(600))
    np.testing.assert_allclose(shown / 600, [2 / 3, 2 / 3, 2 / 3, 2], atol=0.06)


def test_an_image_that_is_shown_twice_is_changed_in_two_ways(tmp_path):
    path = write(tmp_path / "a.h5", {"train": noise(4)})
    feed = batches(path, "train", 4, augment=True, repeats=[1, 1, 1, 9])
    images, _ = feed[0]
    order = feed.indices(0).tolist()
    assert order.count(3) == 3
    twice = [image for image, index in zip(images, order, strict=True) if index == 3]
    assert not np.array_equal(twice[0], twice[1]) and not np.array_equal(twice[1], twice[2])
    np.testing.assert_array_equal(batches(path, "train", 4, augment=True, repeats=[1, 1, 1, 9])[0][0], images)


@pytest.mark.parametrize(
    "size, share, expected",
    [
        # The shorter side from 128 / 1.3 = 98.5 to 166.4, or from 128 / 1.35 = 94.8 to 172.8; 3.25 times it is 312 (the
        # nearest multiple is 320), 416 or 520 (512).
        ((128, 416), 0.3, [(128, 416), (160, 512)]),
        ((128, 416), 0.35, [(96, 320), (128, 416), (160, 512)]),
        ((416, 128), 0.35, [(320, 96), (416, 128), (512, 160)]),
        # darknet's 320 to 608 around 416 is not symmetric; .45 gives 286.9 to 603.2.
        ((416, 416), 0.45, [(side, side) for side in range(288, 577, 32)]),
        ((384, 1248), 0.1, [(352, 1152), (384, 1248), (416, 1344)]),
        ((32, 64), 0.0, [(32, 64)]),
    ],
)
def test_sizes_around_an_input(size, share, expected):
    assert list(around(size, share)) == expected


@given(st.tuples(st.integers(1, 40), st.integers(1, 40)), st.floats(0, 2))
def test_sizes_are_multiples_near_the_aspect(cells, share):
    size = (32 * cells[0], 32 * cells[1])
    found = around(size, share)
    assert size in found and len(set(found)) == len(found)
    for height, width in found:
        assert height % 32 == width % 32 == 0
        # The longer side is off by half a cell at most.
        short, long = sorted((height, width))
        assert abs(long - short * max(size) / min(size)) <= 16
        assert min(size) / (1 + share) - 1e-3 <= short <= min(size) * (1 + share) + 1e-3


@pytest.fixture(scope="module")
def noisy(tmp_path_factory):
    return write(tmp_path_factory.mktemp("sizes") / "noisy.h5", {"train": noise(12)})


SIZES = [(32, 64), (64, 96), (96, 160)]


def test_sizes_rotate_with_the_step_of_the_whole_training(noisy):
    feed, seen = batches(noisy, "train", 2, augment=True, sizes=SIZES, sizes_every=4, seed=1), []
    for epoch in range(10):
        feed.epoch = epoch
        for index in range(6):
            images, labels = feed[index]
            assert images.shape == (2, *feed.size(index), 3) and images.flags["C_CONTIGUOUS"]
            seen.append(feed.size(index))
    # Six batches an epoch, four of a size: blocks go on over the ends of epochs.
    blocks = [seen[start : start + 4] for start in range(0, 60, 4)]
    assert all(len(set(block)) == 1 for block in blocks)
    # Five times each size once.
    assert all({block[0] for block in blocks[start : start + 3]} == set(SIZES) for start in range(0, 15, 3))
    # Any batch again, out of order, in a feed that has just begun: as when a run is resumed.
    fresh = batches(noisy, "train", 2, augment=True, sizes=SIZES, sizes_every=4, seed=1)
    for epoch, index in ((7, 3), (2, 5), (9, 0)):
        fresh.epoch = feed.epoch = epoch
        assert fresh.size(index) == seen[6 * epoch + index]
        for part, expected in zip(fresh[index], feed[index], strict=True):
            np.testing.assert_array_equal(part, expected)
    assert len({tuple(block[0] for block in blocks[start : start + 3]) for start in range(0, 15, 3)}) > 1


@pytest.mark.parametrize("augment", [None, NO_AUGMENT])
def test_a_size_that_rotates_is_what_a_feed_of_that_size_gives(noisy, augment):
    feed = batches(noisy, "train", 3, augment=augment, sizes=SIZES, sizes_every=1)
    for index in range(4):
        fixed = batches(noisy, "train", 3, augment=augment, input_size=feed.size(index))
        for part, expected in zip(feed[index], fixed[index], strict=True):
            np.testing.assert_array_equal(part, expected)


@pytest.mark.parametrize(
    "options, named",
    [
        ({"sizes": [(64, 100)]}, "100x64"),
        ({"sizes": SIZES, "sizes_every": 0}, "sizes_every 0"),
        ({"weights": [1.0, 2.0]}, "weights of shape (2,)"),
        ({"weights": -np.ones(24)}, "weights of shape (24,)"),
        ({"repeats": np.zeros(12)}, "repeats of shape (12,)"),
        ({"repeats": np.full(12, np.inf)}, "repeats of shape (12,)"),
    ],
)
def test_mistakes_are_named(noisy, options, named):
    with pytest.raises(InputError) as caught:
        batches(noisy, "train", 4, **options)
    assert named in str(caught.value)


@pytest.mark.parametrize("share", [-0.1, float("nan"), float("inf")])
def test_a_share_that_makes_no_sense(share):
    with pytest.raises(InputError, match="multi-scale share"):
        around((64, 64), share)
