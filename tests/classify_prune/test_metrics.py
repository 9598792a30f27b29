"""The metrics against scikit-learn, SciPy, a literal loop and numbers by hand."""

import hypothesis.strategies as st
import numpy as np
import pytest
import scipy.stats
import sklearn.metrics
from hypothesis import given

from classify_prune import metrics
from classify_prune.metrics import softmax
from run_tools.errors import InputError


def random_case(seed, count=300, classes=7):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes - 1, count)  # the last class has no images
    logits = rng.normal(size=(count, classes)) * 2
    logits[np.arange(count), labels] += rng.normal(1, 1, count)
    return logits.astype(np.float32), labels


@pytest.mark.parametrize("seed", [0, 1])
def test_as_scikit_learn(seed):
    logits, labels = random_case(seed)
    names = tuple("abcdefg")
    found = metrics.judge(logits, labels, names)
    predicted = logits.argmax(axis=1)
    every = list(range(7))
    np.testing.assert_array_equal(found["confusion"], sklearn.metrics.confusion_matrix(labels, predicted, labels=every))
    assert found["accuracy"] == pytest.approx(sklearn.metrics.accuracy_score(labels, predicted))
    recall = sklearn.metrics.recall_score(labels, predicted, labels=every[:-1], average=None)
    assert [found["classes"][name]["accuracy"] for name in names[:-1]] == pytest.approx(list(recall))
    precision = sklearn.metrics.precision_score(labels, predicted, labels=every, average=None, zero_division=np.nan)
    assert [found["classes"][name]["precision"] for name in names] == pytest.approx(list(precision))
    assert found["classes"]["g"]["accuracy"] is None and found["classes"]["g"]["images"] == 0
    assert found["balanced_accuracy"] == pytest.approx(recall.mean())
    exact = softmax(logits).astype(np.float64)
    exact /= exact.sum(axis=1, keepdims=True)
    assert found["loss"] == pytest.approx(sklearn.metrics.log_loss(labels, exact, labels=every), rel=1e-5)
    assert found["top5"] == pytest.approx(sklearn.metrics.top_k_accuracy_score(labels, logits, k=5, labels=every))
    low, high = scipy.stats.binomtest(found["right"], 300).proportion_ci(method="wilson")
    assert found["interval"] == pytest.approx([low, high], rel=1e-9)


def literal_error(probabilities, labels, bins):
    """Guo et al. (2017), equation 3, image by image; bins are ((m − 1)/M, m/M]."""
    total = 0.0
    for number in range(1, bins + 1):
        inside = [
            (max(row), int(np.argmax(row)) == label)
            for row, label in zip(probabilities, labels, strict=True)
            if (number - 1) / bins < max(row) <= number / bins
        ]
        if inside:
            accuracy = sum(right for _, right in inside) / len(inside)
            confidence = sum(value for value, _ in inside) / len(inside)
            total += len(inside) / len(labels) * abs(accuracy - confidence)
    return total


@pytest.mark.parametrize("bins", [1, 10, 15])
def test_calibration_is_the_published_one(bins):
    logits, labels = random_case(3)
    probabilities = softmax(logits)
    found = metrics.calibration(probabilities, labels, bins)
    assert found.error == pytest.approx(literal_error(probabilities, labels, bins), rel=1e-6)
    assert found.counts.sum() == len(labels)


def test_calibration_by_hand():
    # .8 twice, right and wrong: .5 against .8; .6 once, right: 1 against .6. (2 · .3 + 1 · .4) / 3.
    probabilities = np.array([[0.8, 0.2], [0.8, 0.2], [0.4, 0.6]])
    assert metrics.calibration(probabilities, np.array([0, 1, 1]), 10).error == pytest.approx(1 / 3)


@given(st.integers(1, 500).flatmap(lambda count: st.tuples(st.integers(0, count), st.just(count))))
def test_an_interval_holds_the_share(case):
    right, count = case
    low, high = metrics.interval(right, count)
    assert 0 <= low <= right / count + 1e-12 and right / count - 1e-12 <= high <= 1 and low < high


def test_large_logits_do_not_overflow():
    assert metrics.cross_entropy(np.array([[1e4, 0.0]]), np.array([1])) == pytest.approx(1e4)


def test_no_images_are_one_line():
    with pytest.raises(InputError, match="a split without images"):
        metrics.judge(np.zeros((0, 2)), np.zeros(0, int), ("a", "b"))
