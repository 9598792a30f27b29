"""Exactly so many, the lowest, ties in order: against a literal sort."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from prune_tools import selection
from run_tools.errors import InputError

LEVELS = st.lists(st.lists(st.integers(0, 4), min_size=1, max_size=9), min_size=1, max_size=4)


def literal(scores, count, previous):
    """Prunes one after the other: what was pruned before, then the lowest, of equal ones the first."""
    entries = [(kept, value, i, j) for i, row in enumerate(scores) for j, value in enumerate(row)
               for kept in [previous[i][j]]]  # fmt: skip
    keep = [np.ones(len(row), bool) for row in scores]
    for _, _, i, j in sorted(entries)[:count]:
        keep[i][j] = False
    return keep


@given(LEVELS, st.integers(0, 40), st.integers(0, 2**36 - 1))
def test_the_lowest_exactly_so_many_in_order(rows, count, bits):
    scores = [np.array(row, np.float32) for row in rows]
    before = [[not bits >> (9 * i + j) & 1 for j in range(len(row))] for i, row in enumerate(rows)]
    total = sum(map(len, rows))
    pruned = total - sum(map(sum, before))
    count = min(max(count, pruned), total)
    found = selection.drop_lowest(scores, count, [np.array(row) for row in before])
    for mine, slow in zip(found, literal(rows, count, before), strict=True):
        np.testing.assert_array_equal(mine, slow)
    assert sum(int((~mask).sum()) for mask in found) == count


def test_ties_across_arrays_go_in_order_and_shapes_stay():
    ones = [np.ones((2, 3), np.float32), np.ones((3,), np.float32)]
    found = selection.drop_lowest(ones, 7)
    assert found[0].tolist() == [[False] * 3] * 2
    assert found[1].tolist() == [False, True, True]


@given(LEVELS, st.floats(0, 1), st.floats(0, 1))
def test_the_floor_holds_in_every_array(rows, floor, sparsity):
    scores = [np.array(row, np.float64) for row in rows]
    total = sum(map(len, rows))
    protected = sum(int(np.ceil(floor * len(row))) for row in rows)
    count = round(sparsity * total)
    if count + protected > total:
        with pytest.raises(InputError, match="lower the sparsity or the floor"):
            selection.drop_lowest(scores, count, floor=floor)
        return
    found = selection.drop_lowest(scores, count, floor=floor)
    assert sum(int((~mask).sum()) for mask in found) == count
    assert all(mask.sum() >= np.ceil(floor * mask.size) for mask in found)


def test_infinite_scores_are_scores():
    # 4 weights, half of each array protected: of [inf, 1] the inf, of [2, 3] the 3; 1 goes before 2.
    found = selection.drop_lowest([np.array([np.inf, 1]), np.array([2.0, 3.0])], 1, floor=0.5)
    assert [mask.tolist() for mask in found] == [[True, False], [True, True]]


def test_not_a_number_is_refused():
    with pytest.raises(InputError, match="NaN"):
        selection.drop_lowest([np.array([1.0, np.nan])], 1)


@pytest.mark.parametrize("value", [70, -0.1, float("nan"), "much", None])
def test_percent_is_not_a_fraction(value):
    with pytest.raises(InputError, match="a fraction in 0–1; divide percent by 100"):
        selection.check_fraction(value)


def test_the_two_readings_of_an_amount():
    # Of all 100: .2 is 20. Of those that remain: 20, then .2 of 80 more = 36, then .2 of 64 = 12.8 → 13 more = 49.
    assert selection.count_to_prune(0.2, 100) == 20
    counts = [0]
    for _ in range(3):
        counts.append(selection.count_to_prune(0.2, 100, counts[-1], "of_remaining"))
    assert counts == [0, 20, 36, 49]
    assert selection.count_to_prune(0.5, 100, 20, "of_total") == 50
    with pytest.raises(InputError, match="at least the 20 that are pruned already"):
        selection.count_to_prune(0.1, 100, 20)
    with pytest.raises(InputError, match="of_remaining"):
        selection.count_to_prune(0.1, 100, 0, "percent")


@given(
    st.lists(st.tuples(st.floats(0, 1), st.integers(1, 50), st.floats(0, 1)), min_size=1, max_size=6), st.floats(0, 1)
)
def test_split_counts_add_up(rows, part):
    densities, sizes = [row[0] for row in rows], [row[1] for row in rows]
    most = [int(row[1] * row[2]) for row in rows]
    total = int(part * sum(most))
    counts = selection.split_count(total, densities, sizes, most)
    assert sum(counts) == total
    assert all(0 <= count <= bound for count, bound in zip(counts, most, strict=True))


def test_split_counts_by_largest_remainder():
    # 10 · (.25, .36, .39) = 2.5, 3.6, 3.9: floors 2, 3, 3 leave two, which go to .9 and .6.
    assert selection.split_count(10, [0.25, 0.36, 0.39], [10, 10, 10], [10, 10, 10]) == [2, 4, 4]
    with pytest.raises(ValueError, match="0–3"):
        selection.split_count(4, [0.5], [10], [3])
