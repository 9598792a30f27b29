"""Resampled figures against the metrics themselves on images that were really repeated, and intervals by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from run_tools.errors import InputError
from yolo_prune.evaluation import bootstrap, coco, kitti, one_to_one
from yolo_prune.evaluation.kitti_matching import sample
from yolo_prune.evaluation.kitti_weighted import kitti_values, sampled_ranks
from yolo_prune.evaluation.weighted import coco_values, first_reaching, one_to_one_values
from yolo_prune.records import Detections, Truth

SIZE = (375, 1242)
BOX = (100.0, 100.0, 200.0, 150.0)
NAMES = ("Car", "Pedestrian", "Cyclist")
CLASSES = {"Car": 0, "Van": 0, "Pedestrian": 1, "Person_sitting": 1, "Cyclist": 2, "DontCare": -1}
NOTHING = Detections([], [], [])


def moved(right):
    return (BOX[0] + right, BOX[1], BOX[2] + right, BOX[3])


def crowded(rng, count):
    """Images whose boxes overlap much more than real ones, found twice each, one time out of three by a wrong name."""
    truths, detections = [], []
    for _ in range(count):
        names = [str(name) for name in rng.choice(list(CLASSES), rng.integers(0, 7))]
        corners, k = rng.integers(0, 150, (len(names), 2)), len(names)
        boxes = np.concatenate([corners, corners + rng.integers(20, 90, (k, 2))], axis=1).astype(float)
        classes = [CLASSES[name] for name in names]
        hidden, cut = rng.choice([0, 0, 1, 2, 3], k), rng.choice([0, 0, 0.15, 0.4], k)
        truths.append(Truth(boxes, classes, SIZE, cut, hidden, names))
        found = np.repeat(boxes, 2, axis=0) + rng.integers(-6, 7, (2 * k, 4))
        told = np.where(rng.random(2 * k) < 2 / 3, np.abs(np.repeat(classes, 2)), rng.integers(0, 3, 2 * k))
        # Distinct in an image: among equal scores pycocotools goes by position, which repeating changes.
        detections.append(Detections(found, rng.permutation(2 * k) / 20 + rng.integers(0, 3) / 200, told))
    return truths, detections


def same(value, expected):
    return np.isnan(value) if expected is None else value == pytest.approx(expected, abs=1e-10)


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(1, 8))
def test_weights_are_repeated_images(seed, count):
    # The first replicate holds every image once; the others are drawn, and built image by image for the metrics.
    rng = np.random.default_rng(seed)
    truths, detections = crowded(rng, count)
    weights = np.concatenate([np.ones((1, count), int), rng.multinomial(count, np.full(count, 1 / count), size=3)])
    by_coco = coco_values(truths, detections, NAMES, weights)
    for name, figures in coco_values(truths, detections, NAMES, weights, keys=("AP50",)).items():
        assert list(figures) == ["AP50"]
        np.testing.assert_array_equal(figures["AP50"], by_coco[name]["AP50"])
    by_kitti = kitti_values(truths, detections, NAMES, weights)
    by_pairs = one_to_one_values(truths, detections, NAMES, weights, 0.4)
    for replicate, row in enumerate(weights):
        drawn = np.repeat(np.arange(count), row)
        sets = [truths[k] for k in drawn], [detections[k] for k in drawn], NAMES
        expected = coco.coco(*sets)
        whole = {name for name, figures in expected.items() if figures["AP"] is not None} - {"all"}
        if replicate == 0:
            present = whole
        for name, figures in by_coco.items():
            for key, values in figures.items():
                # A mean over fewer classes is another figure.
                wanted = expected[name][key] if name != "all" or whole == present else None
                assert same(values[replicate], wanted), (name, key)
        expected = kitti.kitti(*sets)
        for name, levels in by_kitti.items():
            for level, figures in levels.items():
                for key, values in figures.items():
                    assert same(values[replicate], expected[name][level][key]), (name, level, key)
        expected = one_to_one.one_to_one(*sets, 0.4)
        for name, figures in by_pairs.items():
            for key, values in figures.items():
                assert same(values[replicate], expected[name][key]), (name, key)


@settings(max_examples=200)
@given(st.integers(0, 400), st.integers(0, 400))
def test_sampled_ranks_are_the_devkits(found, missed):
    scores = np.linspace(1, 0.1, found) if found else np.zeros(0)
    wanted = sample(scores, found + missed).tolist()
    ranks = sampled_ranks(np.array([found]), np.array([found + missed]))[0]
    assert [scores[rank] for rank in ranks if rank >= 0] == wanted
    assert (ranks[len(wanted) :] == -1).all()


def test_first_reaching_keeps_rows_apart():
    rising, wanted = np.array([[0, 2, 2, 5], [1, 1, 3, 3]]), np.array([[0, 1, 5, 6], [1, 2, 3, 4]])
    assert first_reaching(rising, wanted).tolist() == [[0, 1, 3, 4], [0, 2, 2, 4]]


@pytest.fixture
def two_images():
    """One car in each, found in the first image only; and nothing but a false car in the second."""
    truths = [Truth([BOX], [0], SIZE, names=["Car"]), Truth([BOX], [0], SIZE, names=["Car"])]
    return truths, [Detections([BOX], [0.9], [0]), Detections([moved(300)], [0.8], [0])]


def test_intervals_by_hand(two_images):
    # Replicates: the first image twice; both, twice over; the second image twice.
    weights = np.array([[2, 0], [1, 1], [1, 1], [0, 2]])
    # AP50: 1; precision 1 up to recall 1/2 is 51 of 101 recalls; 0. Level .5: the quartiles of 0, 51/101, 51/101, 1
    # lie 3/4 of the way from 0 to 51/101 and 1/4 of the way from 51/101 to 1.
    result = bootstrap.intervals(*two_images, NAMES, weights, level=0.5)
    assert result["coco"]["car"]["AP50"] == pytest.approx([0.75 * 51 / 101, 0.75 * 51 / 101 + 0.25])
    assert result["coco"]["all"] == result["coco"]["car"]  # the only class there is
    assert result["one_to_one"]["car"]["recall"] == pytest.approx([0.375, 0.625])  # of 0, 1/2, 1/2, 1
    # KITTI: one threshold in every replicate but the last, where nothing is found. Replicate 1 holds two found cars:
    # thresholds for recalls 0 and 1/40, so AP40 is 1/40; the others sample recall 0 alone.
    assert result["kitti"]["car"]["easy"]["AP40"] == pytest.approx([0, 0.25 * 100 / 40])
    assert result["coco"]["pedestrian"]["AP50"] is None and result["kitti"]["cyclist"]["hard"]["AP11"] is None


def test_a_figure_that_few_replicates_have_gets_no_interval(two_images):
    truths, detections = two_images
    truths = [truths[0], Truth([BOX], [1], SIZE, names=["Pedestrian"])]
    weights = np.array([[2, 0], [2, 0], [2, 0], [0, 2]])
    result = bootstrap.intervals(truths, detections, NAMES, weights)
    assert result["coco"]["car"]["AP50"] == [1.0, 1.0] and result["coco"]["pedestrian"]["AP50"] is None
    assert result["coco"]["all"]["AP50"] is None  # no replicate holds both classes


def test_an_interval_of_a_share_is_that_of_the_binomial():
    # 400 images with a car each, half of them found: a resampled recall is Binomial(400, 1/2) / 400, standard
    # deviation .025, so that 95 % lie within .5 +- 1.96 * .025.
    truths = [Truth([BOX], [0], SIZE, names=["Car"])] * 400
    detections = [Detections([BOX], [0.9], [0]), NOTHING] * 200
    weights = bootstrap.resample(400, 4000, seed=1)
    low, high = bootstrap.intervals(truths, detections, NAMES, weights, ["paper"])["one_to_one"]["car"]["recall"]
    assert low == pytest.approx(0.5 - 1.96 * 0.025, abs=0.005) and high == pytest.approx(0.5 + 1.96 * 0.025, abs=0.005)


def test_paired_differences(two_images):
    truths, first = two_images
    weights = np.array([[2, 0], [1, 1], [0, 2]])
    same_twice = bootstrap.paired_difference(truths, first, first, NAMES, weights)
    assert same_twice["car"]["AP50"] == {"difference": 0.0, "interval": [0.0, 0.0]}
    assert same_twice["pedestrian"]["AP50"] == {"difference": None, "interval": None}
    # The other detector finds nothing anywhere: the difference is the first one's own AP50: 1, 51/101, 0.
    found = bootstrap.paired_difference(truths, first, [NOTHING] * 2, NAMES, weights, level=0.5)["car"]["AP50"]
    assert found["difference"] == pytest.approx(51 / 101)
    assert found["interval"] == pytest.approx([51 / 202, (51 / 101 + 1) / 2])
    turned = bootstrap.paired_difference(truths, [NOTHING] * 2, first, NAMES, weights, level=0.5)["car"]["AP50"]
    assert turned["interval"] == [-limit for limit in reversed(found["interval"])]


def test_pairing_is_narrower_than_two_intervals_apart():
    # Both find the same half of the cars; the second also misses one of them, in image 0. Whatever is drawn, the
    # first's AP50 is not the lower one.
    truths = [Truth([BOX], [0], SIZE, names=["Car"])] * 40
    first = [Detections([BOX], [0.9 - 0.01 * k], [0]) if k % 2 == 0 else NOTHING for k in range(40)]
    second = [NOTHING, *first[1:]]
    weights = bootstrap.resample(40, 500)
    low, high = bootstrap.paired_difference(truths, first, second, NAMES, weights)["car"]["AP50"]["interval"]
    alone = bootstrap.intervals(truths, first, NAMES, weights, ["coco"])["coco"]["car"]["AP50"]
    assert 0 <= low < high < 0.1 < 0.2 < alone[1] - alone[0]


@settings(max_examples=30)
@given(st.integers(2, 30), st.integers(0, 100))
def test_resampling_images(count, seed):
    weights = bootstrap.resample(count, 50, seed)
    assert weights.shape == (50, count) and (weights.sum(axis=1) == count).all() and weights.min() >= 0
    assert (weights == bootstrap.resample(count, 50, seed)).all()
    assert (weights != bootstrap.resample(count, 50, seed + 1)).any()


def test_resampling_drives():
    groups = ["a", "b", "", "a", "", "b", "b"]  # four: a, b, and two images without a drive
    weights = bootstrap.resample(7, 300, groups=groups)
    assert (weights[:, 0] == weights[:, 3]).all()
    assert (weights[:, 1] == weights[:, 5]).all() and (weights[:, 1] == weights[:, 6]).all()
    assert (weights[:, [0, 1, 2, 4]].sum(axis=1) == 4).all()
    assert (weights[:, 2] != weights[:, 4]).any()
    assert weights[:, 0].mean() == pytest.approx(1, abs=0.2)


def test_nothing_to_resample():
    with pytest.raises(InputError, match="1 image to resample; expected at least two"):
        bootstrap.resample(1)
    with pytest.raises(InputError, match="1 drive to resample.*resample images instead"):
        bootstrap.resample(5, groups=["a"] * 5)


@pytest.mark.parametrize(
    ("truths", "detections"),
    [
        ([Truth([], [], SIZE, names=[])] * 3, [NOTHING] * 3),
        ([Truth([BOX], [-1], SIZE, names=["DontCare"])] * 3, [Detections([BOX], [0.9], [0])] * 3),
        ([Truth([BOX], [0], SIZE, names=["Car"])] * 3, [NOTHING] * 3),
        ([Truth([], [], SIZE, names=[])] * 3, [Detections([BOX], [0.9], [0])] * 3),
    ],
)
def test_degenerate_images(truths, detections):
    weights = bootstrap.resample(3, 20)
    result = bootstrap.intervals(truths, detections, NAMES, weights)
    has_truth = any((truth.classes >= 0).any() for truth in truths)
    assert result["coco"]["car"]["AP50"] == ([0.0, 0.0] if has_truth else None)
    assert result["coco"]["all"]["AP"] == ([0.0, 0.0] if has_truth else None)
    assert result["one_to_one"]["car"]["recall"] == ([0.0, 0.0] if has_truth else None)
    known = has_truth or any(len(found) for found in detections)
    assert result["kitti"]["car"]["moderate"]["AP40"] == ([0.0, 0.0] if known else None)
    bootstrap.paired_difference(truths, detections, [NOTHING] * 3, NAMES, weights)
