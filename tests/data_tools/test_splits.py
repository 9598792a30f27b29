"""Splits: whole groups, close to what was asked for, the same for the same seed."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_tools import balance, splits
from run_tools.errors import InputError

IDS = [f"{i:06d}" for i in range(100)]


def test_random_deals_by_the_fractions():
    found = splits.random(IDS, (0.7, 0.1, 0.2), seed=3)
    assert {name: len(ids) for name, ids in found.items()} == {"train": 70, "val": 10, "test": 20}
    assert sorted(sum(found.values(), [])) == IDS
    assert all(ids == sorted(ids) for ids in found.values())


def test_random_depends_on_the_seed_only():
    assert splits.random(IDS, seed=1) == splits.random(IDS[::-1], seed=1) != splits.random(IDS, seed=2)


@given(
    st.integers(3, 60), st.sampled_from([(0.8, 0.1, 0.1), (0.34, 0.33, 0.33), (0.98, 0.01, 0.01)]), st.integers(0, 9)
)
def test_random_loses_nothing_and_leaves_no_split_empty(number, fractions, seed):
    found = splits.random(IDS[:number], fractions, seed)
    assert sorted(sum(found.values(), [])) == IDS[:number]
    assert all(found[name] for name in splits.SPLIT_NAMES)
    for name, fraction in zip(splits.SPLIT_NAMES, fractions, strict=True):
        assert abs(len(found[name]) - fraction * number) <= 2


def test_a_fraction_of_zero_leaves_the_split_out():
    assert list(splits.random(IDS, (0.9, 0.1, 0))) == ["train", "val"]
    assert list(splits.by_group({i: i for i in IDS}, None, (0.5, 0, 0.5))) == ["train", "test"]


@settings(max_examples=25)
@given(st.lists(st.integers(0, 12), min_size=20, max_size=80), st.integers(0, 5))
def test_no_group_straddles(numbers, seed):
    groups = {f"{i:03d}": f"drive {number}" for i, number in enumerate(numbers)}
    if len(set(groups.values())) < 3:
        return
    found = splits.by_group(groups, None, (0.7, 0.1, 0.2), seed)
    assert sorted(sum(found.values(), [])) == sorted(groups)
    owners = [{groups[i] for i in ids} for ids in found.values()]
    assert all(owners)
    assert not any(a & b for a, b in itertools.combinations(owners, 2))


def test_by_group_depends_on_the_seed_not_on_the_order():
    rng = np.random.default_rng(0)
    groups = {i: f"g{rng.integers(30)}" for i in IDS}
    counts = {i: rng.integers(0, 5, 3) for i in IDS}
    first = splits.by_group(groups, counts, seed=4)
    assert first == splits.by_group(dict(reversed(groups.items())), counts, seed=4)


def literal_cost(content, owner, wanted):
    """The documented cost, written out."""
    cost = 0.0
    for column in range(content.shape[1]):
        shares = content[:, column] / content[:, column].sum()
        weight = 4.0 if column == 0 else 1 - sum(share**2 for share in shares)  # 1 - 1/e, e = 1 / sum of squared shares
        for split, share in enumerate(wanted):
            held = sum(s for s, o in zip(shares, owner, strict=True) if o == split)
            cost += weight * (held - share) ** 2 / share
    return cost


@pytest.mark.parametrize("seed", range(5))
def test_the_best_deal_of_all_is_found(seed):
    # 3^7 = 2,187 deals can all be looked at.
    content = np.random.default_rng(seed).integers(1, 40, (7, 3)).astype(float)
    wanted = (0.6, 0.15, 0.25)
    deals = [deal for deal in itertools.product(range(3), repeat=7) if len(set(deal)) == 3]
    best = min(literal_cost(content, deal, wanted) for deal in deals)
    found = balance.best_assignment(content, wanted, np.random.default_rng(0))
    assert literal_cost(content, found, wanted) == pytest.approx(best, abs=1e-9)


def test_fractions_and_classes_come_out_close_with_one_large_drive():
    # 37 drives, one with 188 images, a class that lives in half of them: within two points of the wanted shares.
    rng = np.random.default_rng(7)
    sizes = [188, *rng.integers(5, 60, 36)]
    groups, counts, number = {}, {}, 0
    for drive, size in enumerate(sizes):
        for _ in range(size):
            groups[f"{number:05d}"] = f"{drive:02d}"
            counts[f"{number:05d}"] = [rng.integers(0, 8), rng.integers(0, 3) * (drive % 2), 1]
            number += 1
    wanted = (0.7, 0.1, 0.2)
    found = splits.by_group(groups, counts, wanted, 0)
    for share, ids in zip(wanted, found.values(), strict=True):
        assert len(ids) / number == pytest.approx(share, abs=0.02)
        held = np.sum([counts[i] for i in ids], 0) / np.sum(list(counts.values()), 0)
        np.testing.assert_allclose(held, share, atol=0.02)


def test_a_class_of_one_drive_does_not_drive_the_deal():
    # All trucks live in drive 0; wherever it goes, images must still come out 50 : 25 : 25.
    groups = {f"{i:03d}": f"{i // 10}" for i in range(80)}
    counts = {i: [1, 9 * (group == "0")] for i, group in groups.items()}
    found = splits.by_group(groups, counts, (0.5, 0.25, 0.25))
    assert [len(ids) for ids in found.values()] == [40, 20, 20]


def test_standard_takes_val_from_a_tenth_of_the_drives():
    # 40 train images of 20 drives, 10 val images; two thirds of the published ids are missing.
    train, val = [f"t{i:02d}" for i in range(40)], [f"v{i:02d}" for i in range(10)]
    lists = {"train": train + ["x"] * 80, "val": val + ["y"] * 20}
    groups = {i: f"d{int(i[1:]) // 2}" for i in train} | dict.fromkeys(val, "other")
    found = splits.standard(lists, train + val, groups, seed=1)
    assert found["test"] == val
    assert sorted(found["train"] + found["val"]) == train
    assert len(found["val"]) == 4 and len({groups[i] for i in found["val"]}) == 2
    assert not {groups[i] for i in found["val"]} & {groups[i] for i in found["train"]}


def test_standard_without_drives_and_with_a_test_list():
    lists = {"train": IDS[:50], "val": IDS[50:]}
    found = splits.standard(lists, IDS)
    assert [len(ids) for ids in found.values()] == [45, 5, 50]
    own = splits.standard({"train": IDS[:5], "val": IDS[5:7], "test": IDS[7:9]}, IDS)
    assert own == {"train": IDS[:5], "val": IDS[5:7], "test": IDS[7:9]}


@pytest.mark.parametrize(
    "fractions", [(0.8, 0.1), (0.8, 0.1, 0.2), (1.2, -0.1, -0.1), (0, 0.5, 0.5), (float("nan"), 0.5, 0.5), ()]
)
def test_wrong_fractions(fractions):
    with pytest.raises(InputError, match="whose sum is 1"):
        splits.random(IDS, fractions)


def test_too_few_to_divide():
    with pytest.raises(InputError, match="2 images for 3 splits"):
        splits.random(IDS[:2])
    with pytest.raises(InputError, match=r"2 groups \(drives\) for 3 splits"):
        splits.by_group({i: str(int(i) % 2) for i in IDS})
    # Of labels there is no --split random.
    with pytest.raises(InputError, match="2 images of class 'bus' for 3 splits; .* or leave the class out$"):
        splits.stratified({"a": "bus", "b": "bus"})
    with pytest.raises(InputError, match="none of the 1 ids of the standard val list"):
        splits.standard({"train": IDS[:9], "val": ["z"]}, IDS)
