"""Levels put together: the choice, the tables, the mean difference of several seeds, by hand."""

import numpy as np
import pytest

from yolo_prune.evaluation.bootstrap import mean_difference
from yolo_prune.pruning import magnitude, page, results


def entry(kind, level, sparsity, difference, mean=0.5, sd=None):
    told = (
        None if difference is None else {"difference": difference, "interval": [difference - 0.01, difference + 0.02]}
    )
    figure = {"mean": mean, "sd": sd, "values": [mean]}
    splits = ("val", "test")
    return {
        "kind": kind,
        "level": level,
        "sparsity": sparsity,
        "nonzero": round(1e6 * (1 - sparsity)),
        "macs": 500,
        "parameters": 1000,
        "seeds": [0, 1] if sd else [0],
        "ap50": {split: {"car": figure} for split in splits},
        "difference": None if told is None else {split: {"car": told} for split in splits},
    }


@pytest.fixture
def found():
    return [
        entry("dense", None, 0.0, None),
        entry("pruned", 0, 0.5, +0.004, 0.504, 0.002),
        entry("pruned", 1, 0.9, -0.01, 0.49),
        entry("pruned", 2, 0.97, -0.02, 0.48),
        entry("random", 2, 0.97, -0.001, 0.499),
    ]


def test_the_sparsest_level_that_is_good_enough(found):
    # 90 % loses exactly what is tolerated, 97 % more; a control is never chosen.
    best = results.choose(found, ("val", "test"), "car", 0.01)
    assert (best["level"], best["sparsity"], best["nonzero"], best["loss"]) == (1, 0.9, 100_000, 0.01)
    assert results.choose(found, ("val",), "car", 0.001)["sparsity"] == 0.5
    assert results.choose(found[2:], ("val",), "car", 0.001) is None
    assert results.choose([{**each, "difference": None} for each in found], ("val",), "car", 1.0) is None


def test_the_last_split_chooses_nothing(found):
    # On test 50 % loses too much and 97 % gains: neither may count, nor the figure of test stand for that of val.
    for each, difference in zip(found[1:4], (-0.3, -0.2, +0.1), strict=True):
        each["difference"]["test"] = {"car": {"difference": difference, "interval": [difference, difference]}}
    best = results.choose(found, ("val", "test"), "car", 0.01)
    assert (best["level"], best["split"], best["loss"]) == (1, "val", 0.01)
    result = {"levels": found, "classes": ["car"], "splits": ["val", "test"], "tolerance": 0.01, "chosen": best}
    assert results.chosen_line(result).endswith("; on test it stands at -0.200 [-0.200, -0.200].")


def test_no_loss_at_all_has_no_sign(found):
    found[1]["difference"]["val"] = {"car": {"difference": 0.0, "interval": None}}
    assert str(results.choose(found[:2], ("val",), "car", 0.01)["loss"]) == "0.0"


def test_the_run_that_is_shown():
    told = [("dense", None, 4), ("pruned", 0, 4), ("pruned", 1, 4), ("random", 1, 4), ("pruned", 0, 5)]
    runs = [{"kind": kind, "level": level, "seed": seed} for kind, level, seed in told]
    assert results.shown({"runs": runs, "chosen": {"level": 0}}) is runs[1]
    assert results.shown({"runs": runs, "chosen": None}) is runs[2]


def test_the_curves_are_means_with_bars_at_the_dense_ones(found):
    found[1]["ap50"]["test"]["car"]["values"] = [0.502, 0.506]
    (pruned, random) = page._lines({"levels": found}, "test", "car", page.AXES[0].value)
    assert (pruned.label, pruned.x, pruned.y) == ("pruned", [50, 90, 97], [0.504, 0.49, 0.48])
    # The dense control's .5 and what the intervals add: −.01 and +.02 around +.004, −.01 and −.02.
    expected = [(0.494, 0.524), (0.48, 0.51), (0.47, 0.5)]
    assert [pytest.approx(limits) for limits in pruned.limits] == expected
    assert pruned.points == [(50, 0.502), (50, 0.506)] and random.points == []
    assert (random.label, random.x, random.y) == ("random", [97], [0.499])
    (pruned, _) = page._lines({"levels": found}, "test", "car", page.AXES[1].value)
    assert pruned.x == [500_000, 100_000, 30_000]
    # A dense control of its own at each level, and no bar below 0.
    chain = [entry("dense", 0, 0.0, None, 0.5), entry("dense", 1, 0.0, None, 0.3), *found[1:3]]
    chain[3]["difference"]["test"]["car"]["interval"] = [-0.4, 0.1]
    (pruned,) = page._lines({"levels": chain}, "test", "car", page.AXES[0].value)
    assert [pytest.approx(limits) for limits in pruned.limits] == [(0.494, 0.524), (0.0, 0.4)]


def test_the_tables(found):
    start = {"sparsity": 0.0, "nonzero": 1_000_000, "ap50": {"test": {"car": 0.45}}}
    result = {"levels": found, "start": start, "classes": ["car"], "splits": ["val", "test"], "tolerance": 0.01}
    result |= {"chosen": results.choose(found, ("val",), "car", 0.01), "report": "r.html", "images": {"test": 40}}
    head, body = results.rows(result, "test")
    assert head == ["", "sparsity", "non-zero", "seeds", "car"]
    assert body[0] == ["as given", "0 %", "1,000,000", "-", "0.450"]
    assert body[2] == ["pruned", "50 %", "500,000", "2", "0.504 ± 0.002"]
    _, body = results.difference_rows(result, "test")
    assert len(body) == 4 and body[1] == ["pruned", "90 %", "100,000", "1", "-0.010 [-0.020, +0.010]"]
    shown = results.text(result)
    assert "within 1 point of car AP50 of the dense model on val is 90 %, 100,000 weights" in shown
    assert "on test it stands at -0.010 [-0.020, +0.010]" in shown
    assert "No level stays within" in results.chosen_line({**result, "chosen": None})
    levels = [{**each, "difference": None} for each in found]
    assert "No dense control ran" in results.chosen_line({**result, "levels": levels, "chosen": None})
    unknown = {"car": {"difference": None, "interval": None}}
    levels = [{**each, "difference": {"val": unknown, "test": unknown}} for each in found[1:]]
    assert results.choose(levels, ("val",), "car", 0.01) is None
    assert "No car is there to be found on val" in results.chosen_line({**result, "levels": levels, "chosen": None})


def test_a_class_written_with_a_capital_has_its_row_of_the_start():
    # As `ap50` names it: in lower case, while levels are named as the report is.
    start = {"sparsity": 0.0, "nonzero": 10, "ap50": {"test": {"all": 0.1, "car": 0.45, "van": 0.35}}}
    head, body = results.rows({"levels": [], "start": start, "classes": ["Car", "Van"]}, "test")
    assert head[4:] == ["Car", "Van", "mean"] and body[0][4:] == ["0.450", "0.350", "0.400"]


def test_the_difference_of_means_over_seeds():
    rng = np.random.default_rng(0)
    ours, theirs = ([{"car": {"AP50": rng.random(201)}} for _ in range(count)] for count in (3, 2))
    told = mean_difference(ours, theirs)["car"]["AP50"]
    # Replicate by replicate: the mean of three less the mean of two; the first is that of the images as they are.
    each = [
        sum(values["car"]["AP50"][k] for values in ours) / 3 - sum(values["car"]["AP50"][k] for values in theirs) / 2
        for k in range(201)
    ]
    assert told["difference"] == pytest.approx(each[0])
    assert told["interval"] == pytest.approx(np.percentile(each[1:], [2.5, 97.5]).tolist())


def test_a_kernel_without_weights_is_told():
    assert magnitude.emptied({"conv_1/kernel": 0.99, "conv_9/kernel": 0.0}) == ""
    told = magnitude.emptied({"conv_1/kernel": 0.99, "conv_7/kernel": 1.0, "conv_8/kernel": 1.0})
    assert told.startswith("nothing is left of conv_7, conv_8: ") and "`--floor`" in told
