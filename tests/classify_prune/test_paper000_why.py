"""The predicted error of a merge rule against outputs that are really computed."""

from __future__ import annotations

import numpy as np
import pytest

from classify_prune.papers.paper000 import findings, why
from prune_tools import merge
from prune_tools.statistics import Gram


@pytest.mark.parametrize("rule", why.PREDICTED)
def test_predicted_error_is_that_of_the_outputs(rule: str) -> None:
    rng = np.random.default_rng(3)
    outputs = np.maximum(rng.normal(size=(50, 6)), 0)
    outputs[:, 5] = 0.7  # a constant unit
    weights = rng.normal(size=(6, 4))
    gram = Gram(outputs.T @ outputs, outputs.sum(axis=0), 50)
    pairs = [(5, None), (3, 1), (2, 0)]
    matrix, shift = merge.compensation(rule, 6, pairs, gram)
    wrong = outputs @ weights - (outputs @ (matrix @ weights) + shift @ weights)
    assert why.error(rule, pairs, gram, weights @ weights.T) == pytest.approx((wrong**2).sum(), rel=1e-9)


def test_adding_is_wrong_by_lengths_and_by_the_angle() -> None:
    # a = (2, 0), b = (1, 0): ‖a − b‖² = 1, all of it length. c = (0, 1) and b: 2, all of it angle. Weights 3² and 1².
    outputs = np.array([[2.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    gram = Gram(outputs.T @ outputs, outputs.sum(axis=0), 2)
    products = np.diag([9.0, 5.0, 1.0])
    assert why.lengths_share([(0, 1), (2, 1)], gram, products) == pytest.approx((9.0, 2.0))


def test_rank_correlation_by_hand() -> None:
    # Ranks 0 1 2 3 against 0 2 1 3: 1 − 6 · 2 / (4 · 15) = 0.8
    assert findings._rank_correlation([(1, 10), (2, 30), (3, 20), (4, 90)]) == pytest.approx(0.8)
    assert findings._rank_correlation([(1, 1), (2, 2)]) is None
    assert findings._rank_correlation([(1, 1), (1, 2), (1, 3)]) is None
