"""k-means anchors against a literal slow version, and the best of all where it can be known."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_tools import anchors
from run_tools.errors import InputError


def overlap(a, b):
    """IoU of two sizes on one centre, written out."""
    shared = min(a[0], b[0]) * min(a[1], b[1])
    return shared / (a[0] * a[1] + b[0] * b[1] - shared)


def literal_mean(sizes, centres):
    return sum(max(overlap(size, centre) for centre in centres) for size in sizes) / len(sizes)


def literal_kmeans(sizes, k, rng):
    """Lloyd's algorithm with the distance 1 - IoU, loop by loop."""
    centres = [tuple(sizes[i]) for i in rng.choice(len(sizes), k, replace=False)]
    for _ in range(100):
        members = [[] for _ in centres]
        for size in sizes:
            distances = [1 - overlap(size, centre) for centre in centres]
            members[distances.index(min(distances))].append(size)
        moved = [tuple(np.mean(m, 0)) if m else c for m, c in zip(members, centres, strict=True)]
        if moved == centres:
            break
        centres = moved
    return centres


@pytest.mark.parametrize("k", [1, 3, 5])
def test_at_least_as_good_as_the_literal_version(k):
    rng = np.random.default_rng(k)
    # widths and heights of three kinds of things, as on a street
    kinds = [(60, 35), (12, 40), (25, 45)]
    sizes = np.concatenate([np.exp(rng.normal(np.log(kind), 0.4, (60, 2))) for kind in kinds])
    slow = max(literal_mean(sizes, literal_kmeans(sizes, k, rng)) for _ in range(5))
    found = anchors.kmeans(sizes, k)
    assert anchors.mean_iou(sizes, found) == pytest.approx(literal_mean(sizes, found))
    assert anchors.mean_iou(sizes, found) >= slow - 1e-3


def test_clear_clusters_are_found_exactly():
    sizes = [(10, 10)] * 5 + [(10, 40)] * 3 + [(80, 40)] * 2
    np.testing.assert_allclose(anchors.kmeans(sizes, 3), [[10, 10], [10, 40], [80, 40]])
    assert anchors.mean_iou(sizes, [(10, 10), (10, 40), (80, 40)]) == 1


def test_mean_iou_by_hand():
    # 10x10 with 10x20: 100 / 200; 20x20 with 10x20: 200 / 400; 10x20 with itself: 1
    assert anchors.mean_iou([(10, 10), (20, 20), (10, 20)], [(10, 20)]) == pytest.approx((0.5 + 0.5 + 1) / 3)


def test_as_good_as_the_best_pair_of_boxes():
    # anchors may lie anywhere, so two centres must do no worse than the best two of the boxes themselves, nearly
    sizes = np.random.default_rng(3).uniform(5, 100, (25, 2))
    best = max(literal_mean(sizes, pair) for pair in itertools.combinations(sizes, 2))
    assert anchors.mean_iou(sizes, anchors.kmeans(sizes, 2)) >= best - 0.01


@given(
    st.lists(st.tuples(st.floats(0.1, 2000), st.floats(0.1, 2000)), min_size=3, max_size=30, unique=True),
    st.integers(1, 3),
)
def test_anchors_are_sorted_positive_and_scale_with_the_boxes(sizes, k):
    found = anchors.kmeans(sizes, k, restarts=2)
    assert found.shape == (k, 2) and (found > 0).all()
    assert (np.diff(found.prod(1)) >= 0).all()
    # twice as large boxes: the same arithmetic times a power of two, hence exactly twice as large anchors
    np.testing.assert_array_equal(anchors.kmeans(np.array(sizes) * 2, k, restarts=2), found * 2)


def test_the_seed_decides():
    sizes = np.random.default_rng(0).uniform(1, 100, (200, 2))
    np.testing.assert_array_equal(anchors.kmeans(sizes, 5, seed=1), anchors.kmeans(sizes, 5, seed=1))


def test_more_anchors_overlap_better():
    sizes = np.random.default_rng(0).uniform(1, 100, (300, 2))
    scores = [anchors.mean_iou(sizes, anchors.kmeans(sizes, k)) for k in (1, 2, 4, 8)]
    assert scores == sorted(scores) and len(set(scores)) == 4


def test_what_cannot_be_clustered():
    with pytest.raises(InputError, match="k 3 for 2 different box sizes"):
        anchors.kmeans([(1, 1), (2, 2), (1, 1)], 3)
    with pytest.raises(InputError, match="k 0"):
        anchors.kmeans([(1, 1)], 0)
    for bad in ([], [(1, 0)], [(1, float("nan"))], [(1, 2, 3)]):
        with pytest.raises(InputError, match="all positive"):
            anchors.kmeans(bad, 1)


@pytest.mark.real
def test_anchors_of_all_kitti_labels(prune_data):
    import tarfile

    sizes = []
    with tarfile.open(prune_data / "kitti" / "label_2_all_7481.tar.gz") as archive:
        for member in archive:
            if member.isfile() and member.name.endswith(".txt"):
                for line in archive.extractfile(member).read().decode().splitlines():
                    left, top, right, bottom = map(float, line.split()[4:8])
                    sizes.append((right - left, bottom - top))
    # README: 28,742 + 4,487 + 2,914 + 1,627 + 1,094 + 511 + 222 boxes; five anchors reach a mean IoU of about .61
    assert len(sizes) == 39597
    found = anchors.kmeans(sizes, 5, restarts=2)
    assert 0.60 < anchors.mean_iou(sizes, found) < 0.75


def test_weights_are_repetitions():
    # A box of weight 3 is as good as three boxes.
    rng = np.random.default_rng(4)
    sizes = rng.uniform(5, 60, (30, 2))
    counts = rng.integers(1, 4, 30)
    repeated = np.repeat(sizes, counts, 0)
    weighted = anchors.mean_iou(repeated, anchors.kmeans(sizes, 3, restarts=40, weights=counts))
    assert weighted == pytest.approx(anchors.mean_iou(repeated, anchors.kmeans(repeated, 3, restarts=40)), abs=2e-3)


def test_a_rare_class_gets_its_anchor():
    # Two anchors for three clusters. Without (70, 35), which (40, 20) overlaps by 800/2450 = .33, 1 - IoU adds up to
    # 60 · .67 = 40; without (8, 24), which (40, 20) overlaps by 160/832 = .19, to 40 · .81 = 32, the cheaper choice.
    # With 1/√150 and 1/√40 a box it is 3.3 against 5.1.
    sizes = [(40, 20)] * 90 + [(70, 35)] * 60 + [(8, 24)] * 40
    weights = anchors.class_weights([0] * 150 + [1] * 40)
    np.testing.assert_allclose(weights, [1 / 150**0.5] * 150 + [1 / 40**0.5] * 40)
    assert anchors.mean_iou(sizes[150:], anchors.kmeans(sizes, 2)) < 0.3
    assert anchors.mean_iou(sizes[150:], anchors.kmeans(sizes, 2, weights=weights)) == pytest.approx(1)


@pytest.mark.parametrize("weights", [[1, 2], [1, 2, 0], [1, 2, float("nan")]])
def test_weights_that_are_none(weights):
    with pytest.raises(InputError, match="3 positive numbers"):
        anchors.kmeans([(1, 2), (2, 3), (4, 4)], 1, weights=weights)
