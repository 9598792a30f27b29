"""The feed: what a batch holds, and that it depends on seed, epoch and index alone."""

import json
import pickle
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from data_tools import open_store
from data_tools.augment import Augment, draw_transform, shift_colours, transform_image
from data_tools.layout import Plan
from data_tools.pipeline import batches
from data_tools.schema import SCHEMA, fixed_text
from data_tools.store_writer import write_store
from run_tools.errors import InputError

SIZE = (64, 96)
NAMES = ("car", "bus", "tram")
LEVELS = np.arange(256, dtype=np.uint8)


def write(path, splits, size=SIZE, encoded=False, names=NAMES):
    """A compiled file of `{split: [(image, [(box, class, occlusion and truncation if any), ...]), ...]}`."""
    attributes: dict[str, object] = {
        "schema": SCHEMA, "source": "test", "class_names": json.dumps(names), "image_size": np.array(size, np.int32),
        "created_by": "test",
    }  # fmt: skip
    columns, counts = {}, {}
    for split, samples in splits.items():
        rows = [(*row, 0, 0.0)[:4] if len(row) == 2 else row for _, boxes in samples for row in boxes]
        counts[split] = len(samples)
        columns[split] = {
            "boxes": np.array([box for box, *_ in rows], np.float32).reshape(-1, 4),
            "classes": np.array([row[1] for row in rows], np.int16),
            "truncated": np.array([row[3] for row in rows], np.float32),
            "occluded": np.array([row[2] for row in rows], np.int8),
            "offsets": np.cumsum([0, *(len(boxes) for _, boxes in samples)], dtype=np.int64),
            "ids": fixed_text([f"{split}{index}" for index in range(len(samples))]),
            "original_size": np.full((len(samples), 2), size, np.int32),
        }
    plan = Plan(attributes, columns, counts, (*size, 3), "test", encoded)
    write_store(path, plan, lambda split, index: splits[split][index][0], workers=1, progress=False)
    return path


def noise(count, size=SIZE, seed=0):
    """Noisy images with one to three boxes each; image i shows i in its first pixel."""
    rng, samples = np.random.default_rng(seed), []
    for index in range(count):
        image = rng.integers(0, 256, (*size, 3), np.uint8)
        image[0, 0] = index
        low = rng.uniform(0, 0.5, (1 + index % 3, 2))
        corners = np.concatenate([low, low + 0.3], axis=1) * [size[1], size[0], size[1], size[0]]
        samples.append((image, [(corner, index % len(NAMES)) for corner in corners]))
    return samples


@pytest.fixture(scope="module")
def noisy(tmp_path_factory):
    """Twelve images in train, five in val."""
    return write(tmp_path_factory.mktemp("feed") / "noisy.h5", {"train": noise(12), "val": noise(5, seed=1)})


def shown(images):
    """Which images of `noise` a batch holds."""
    return [round(float(image[0, 0, 0]) * 255) for image in images]


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


# What a batch holds


def test_images_are_rgb_float32_in_0_to_1_to_the_last_bit(tmp_path):
    image = np.zeros((*SIZE, 3), np.uint8)
    image[0, :, 0] = 255  # a red line
    image[1:4].reshape(-1, 3)[:256, 2] = LEVELS  # all levels of blue
    images, _ = batches(write(tmp_path / "a.h5", {"val": [(image, [])]}), "val", 1)[0]
    assert images.dtype == np.float32 and images.shape == (1, *SIZE, 3)
    assert (images[0, 0] == [1.0, 0.0, 0.0]).all()
    np.testing.assert_array_equal(images[0], np.multiply(image, np.float32(1 / 255), dtype=np.float32))
    assert images.min() == 0.0 and images.max() == 1.0


BOXES = [([10.5, 20.25, 40.75, 60.0], 1), ([0, 0, 96, 64], -1), ([90.125, 1.0, 96.0, 3.5], 2)]


@pytest.mark.parametrize("input_size", [None, (32, 32), (96, 192)])
def test_boxes_are_relative_never_rounded_and_objects_come_before_regions(tmp_path, input_size):
    path = write(tmp_path / "a.h5", {"val": [(np.zeros((*SIZE, 3), np.uint8), BOXES)]})
    images, labels = batches(path, "val", 1, input_size=input_size)[0]
    assert images.shape == (1, *(input_size or SIZE), 3) and labels.dtype == np.float32
    # 96 wide, 64 high. First box: centre (25.625, 40.125), size (30.25, 39.75). Third: centre (93.0625, 2.25), size
    # (5.875, 2.5). The second is a DontCare region. All sides are multiples of 1/8, exact in float32.
    expected = np.array(
        [
            [25.625 / 96, 40.125 / 64, 30.25 / 96, 39.75 / 64, 1],
            [93.0625 / 96, 2.25 / 64, 5.875 / 96, 2.5 / 64, 2],
            [0.5, 0.5, 1, 1, -1],
        ]
    )
    np.testing.assert_allclose(labels[0], expected, rtol=1e-6)


def test_max_boxes_cuts_regions_first_and_pads_with_zeros(tmp_path):
    empty = np.zeros((*SIZE, 3), np.uint8)
    path = write(tmp_path / "a.h5", {"train": [(empty, [BOXES[0]] * 4)], "val": [(empty, BOXES), (empty, [])]})
    feed = batches(path, "val", 2)
    assert feed.max_boxes == 4  # the most of any image of the file, in whatever split
    _, labels = feed[0]
    assert labels[0, :, 4].tolist() == [1, 2, -1, 0] and not labels[0, 3].any() and not labels[1].any()
    assert batches(path, "val", 2, max_boxes=2)[0][1][0, :, 4].tolist() == [1, 2]
    assert batches(path, "val", 2, max_boxes=9)[0][1].shape == (2, 9, 5)


def test_class_map_renames_classes_and_makes_regions(tmp_path):
    path = write(tmp_path / "a.h5", {"val": [(np.zeros((*SIZE, 3), np.uint8), BOXES)]})
    # bus (1) becomes 5, tram (2) a region; the stored region stays one, whatever the map's last entry is.
    labels = batches(path, "val", 1, class_map=[7, 5, -1])[0][1]
    assert labels[0, :, 4].tolist() == [5, -1, -1]
    assert batches(path, "val", 1, class_map=[7, 5, 6])[0][1][0, :, 4].tolist() == [5, 6, -1]


def test_encoded_files_and_open_stores_give_the_same_batches(tmp_path, noisy):
    encoded = write(tmp_path / "encoded.h5", {"train": noise(12), "val": noise(5, seed=1)}, encoded=True)
    for split, options in (("train", {"augment": True}), ("val", {}), ("val", {"input_size": (32, 64)})):
        expected = batches(noisy, split, 4, **options)[0]
        assert same(expected, batches(encoded, split, 4, **options)[0])
        assert same(expected, batches(open_store(noisy), split, 4, **options)[0])


# Epochs


def test_shuffled_every_image_once_an_epoch_in_a_new_order(noisy):
    feed, orders = batches(noisy, "train", 4), []
    assert len(feed) == 3
    for epoch in range(3):
        assert feed.epoch == epoch
        orders.append(sum((shown(images) for images, _ in feed), []))
        feed.on_epoch_end()
        assert sorted(orders[-1]) == list(range(12))
        # The order is this, and stays this: a resumed training depends on it.
        assert orders[-1] == np.random.default_rng((0, epoch)).permutation(12).tolist()
    assert len({tuple(order) for order in orders}) == 3


def test_shuffled_a_short_last_batch_is_left_out_and_somebody_else_each_time(noisy):
    feed, seen = batches(noisy, "train", 5), set()
    assert len(feed) == 2
    for _ in range(10):
        seen |= set(sum((shown(images) for images, _ in feed), []))
        feed.on_epoch_end()
    assert seen == set(range(12))
    assert [len(images) for images, _ in batches(noisy, "train", 50)] == [12]  # fewer images than a batch


def test_in_order_every_image_is_there_and_the_last_batch_may_be_short(noisy):
    for feed in (batches(noisy, "val", 2), batches(noisy, "train", 2, shuffle=False, limit=5)):
        for _ in range(2):
            assert [shown(images) for images, _ in feed] == [[0, 1], [2, 3], [4]]
            assert [len(labels) for _, labels in feed] == [2, 2, 1]
            feed.on_epoch_end()
    assert batches(noisy, "val", 2).ids(1) == ["val2", "val3"]


def test_limit_takes_the_first_images(noisy):
    feed = batches(noisy, "train", 2, limit=4)
    assert sorted(sum((shown(images) for images, _ in feed), [])) == [0, 1, 2, 3]


def test_a_batch_depends_on_seed_epoch_and_index_alone(noisy):
    def read(order, epoch=1, seed=3):
        feed = batches(noisy, "train", 4, augment=True, seed=seed)
        feed.epoch = epoch
        return {index: feed[index] for index in order}

    expected = read([0, 1, 2])
    for order in ([2, 0, 1], [1, 1, 2, 0], [2]):
        found = read(order)
        assert all(same(found[index], expected[index]) for index in found)
    with ThreadPoolExecutor(4) as pool:
        feed = batches(noisy, "train", 4, augment=True, seed=3)
        feed.epoch = 1
        for index, batch in enumerate(pool.map(feed.__getitem__, [0, 1, 2] * 8)):
            assert same(batch, expected[index % 3])
    assert same(pickle.loads(pickle.dumps(feed))[2], expected[2])
    assert not same(read([0], epoch=2)[0], expected[0])
    assert not same(read([0], seed=4)[0], expected[0])


# Augmentation inside the feed


def test_an_augmented_image_is_drawn_from_seed_epoch_and_image(noisy):
    options = Augment()
    feed = batches(noisy, "train", 4, augment=options, seed=5, input_size=(96, 64))
    feed.epoch = 2
    images, _ = feed[1]
    for image, index in zip(images, feed.indices(1), strict=True):
        rng = np.random.default_rng((5, 2, int(index)))
        matrix = draw_transform(rng, options, SIZE, (96, 64))
        expected = shift_colours(rng, transform_image(noise(12)[index][0], matrix, (96, 64)), options)
        np.testing.assert_array_equal(image, np.multiply(expected, np.float32(1 / 255), dtype=np.float32))


@pytest.mark.parametrize("input_size", [(128, 320), (96, 224), (160, 480)])
def test_picture_and_boxes_move_together_through_the_feed(tmp_path, input_size):
    image = np.zeros((128, 320, 3), np.uint8)
    image[40:90, 120:190] = 255
    path = write(tmp_path / "a.h5", {"train": [(image, [([120, 40, 190, 90], 2)])] * 16}, size=(128, 320))
    # Without changes of exposure the rectangle stays white, its surroundings black and the padding grey.
    images, labels = batches(path, "train", 16, input_size=input_size, augment=Augment(exposure=1.0))[0]
    height, width = input_size
    assert (labels[:, 0, 2] > 0).sum() >= 10
    for picture, (x, y, w, h, kind) in zip(images, labels[:, 0], strict=True):
        if w == 0:
            continue
        bright = picture[..., 0] > 0.5
        rows, columns = np.flatnonzero(bright.any(axis=1)), np.flatnonzero(bright.any(axis=0))
        found = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
        expected = np.array([x - w / 2, y - h / 2, x + w / 2, y + h / 2]) * (width, height, width, height)
        np.testing.assert_allclose(found, expected, atol=1.5)
        assert kind == 2


def test_a_box_that_leaves_the_picture_leaves_the_labels(tmp_path):
    corner = [([0, 0, 12, 8], 0)]
    path = write(tmp_path / "a.h5", {"train": [(np.zeros((*SIZE, 3), np.uint8), corner)] * 32})
    _, labels = batches(path, "train", 32, augment=Augment(scale=3.0, zoom_out=0.0))[0]
    kept = labels[:, 0, 2] > 0
    assert 0 < kept.sum() < 32
    assert not labels[~kept].any()
    edges = np.concatenate(
        [labels[kept, 0, :2] - labels[kept, 0, 2:4] / 2, labels[kept, 0, :2] + labels[kept, 0, 2:4] / 2]
    )
    assert edges.min() >= -1e-6 and edges.max() <= 1 + 1e-6


def test_what_is_left_of_a_region_stays_one(tmp_path):
    # The same box as an object (class 0) and as a region: of the object at least .9 must stay inside, of a region
    # any two pixels, or the rest of it would be taught as background.
    corner = [([0, 0, 40, 30], 0), ([0, 0, 40, 30], -1)]
    path = write(tmp_path / "a.h5", {"train": [(np.zeros((*SIZE, 3), np.uint8), corner)] * 64})
    _, labels = batches(path, "train", 64, augment=Augment(scale=3.0, zoom_out=0.0, min_visible=0.9))[0]
    objects = ((labels[..., 4] == 0) & (labels[..., 2] > 0)).any(axis=1)
    regions = ((labels[..., 4] == -1) & (labels[..., 2] > 0)).any(axis=1)
    assert 0 < objects.sum() < regions.sum() < 64 and regions[objects].all()
    sides = labels[labels[..., 4] == -1][:, 2:4] * SIZE[::-1]
    assert sides.min() < 12 and sides.min() >= 2.0 - 1e-4


# Memory


def test_a_pass_holds_a_few_batches_not_the_file(tmp_path):
    size, count = (192, 640), 120
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    path = write(tmp_path / "large.h5", {"train": [(image, BOXES[:1])] * count}, size=size)
    batch = 4 * image.size * 4  # four images in float32
    tracemalloc.start()
    try:
        feed = batches(path, "train", 4)
        for _ in feed:
            pass
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert path.stat().st_size > 40e6
    assert peak < 2.5 * batch < 16e6


# Mistakes


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"batch_size": 0}, "batch_size 0"),
        ({"workers": 0}, "workers 0"),
        ({"max_boxes": 0}, "max_boxes 0"),
        ({"limit": 0}, "limit 0"),
        ({"split": "tests"}, "split 'tests'"),
        ({"class_map": [0, 1]}, "class_map of shape (2,)"),
        ({"input_size": (100, 64)}, "size 64x100"),
        ({"input_size": (0, 64)}, "size 64x0"),
        ({"input_size": (64,)}, "input_size (64,)"),
        ({"input_size": 64}, "input_size 64"),
        ({"input_size": "64x96"}, "input_size '64x96'"),
        ({"augment": 0.5}, "augment 0.5"),
        ({"augment": {"flip": 0.5}}, "augment {'flip': 0.5}"),
        ({"augment": 0}, "augment 0"),
    ],
)
def test_mistakes_are_named(noisy, options, named):
    arguments = {"path": noisy, "split": "train", "batch_size": 4, **options}
    with pytest.raises(InputError) as caught:
        batches(**arguments)
    assert named in str(caught.value)


def test_a_split_without_images_is_named(tmp_path):
    with pytest.raises(InputError, match="split 'val' without images"):
        batches(write(tmp_path / "a.h5", {"train": noise(2), "val": []}), "val", 2)


def test_there_is_no_batch_after_the_last(noisy):
    feed = batches(noisy, "val", 2)
    for index in (3, -1):
        with pytest.raises(IndexError):
            feed[index]
