"""What paper 000's run says, in numbers over the seeds and in sentences made from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

Seeds = Mapping[str, Mapping[str, Any]]


def over(seeds: Seeds, *keys: str) -> list[Any]:
    """What lies at some keys of each seed, where there is such a thing."""
    found = []
    for value in seeds.values():
        there: Any = value
        for key in keys:
            there = there.get(key) if isinstance(there, Mapping) else None
        if there is not None:
            found.append(there)
    return found


def accuracies(seeds: Seeds, *keys: str) -> tuple[list[float], list[float]]:
    """Accuracy on validation and on test over the seeds, of what was judged at some keys."""
    val, test = over(seeds, *keys, "val", "accuracy"), over(seeds, *keys, "test", "accuracy")
    return val, test


def story(seeds: Seeds) -> list[str]:
    """Why the threshold of `focus` hurts, one sentence a fact, all numbers of the first seed."""
    found = next(iter(seeds.values()))
    why, grid = found["why"], found["surgery"]
    focus, groups = f"{why['focus']:g}", why["groups"]
    told = []
    totals = {}
    for key, entry in grid.items():
        totals[key.split()[0]] = (entry["removed"], entry["units"])
    shares = [f"{angle}°: {gone} of {units}" for angle, (gone, units) in totals.items()]
    told.append(f"Units under each threshold, of all: {', '.join(shares)}.")
    near = [group["nearest"] for group in groups.values() if group["nearest"] is not None]
    wide = [group["nearest_positions"] for group in groups.values() if group["nearest_positions"] is not None]
    if near and wide:
        told.append(
            f"The angle to the nearest unit is {np.median(near):.1f}° in the median group, and {np.median(wide):.1f}° "
            "over positions of the maps, which are what the next layer reads. Outputs after ReLU are never negative: "
            "means of whole maps lie in a narrow cone: units that are close by these need not be alike."
        )
    cut = {name: group for name, group in groups.items() if "alone" in group}
    if not cut:
        return [*told, f"At {focus}° nothing goes, so nothing is lost."]
    sums = [group for group in cut.values() if group["layers"] > 1]
    gone = sum(group["removed"].get(focus, 0) for group in cut.values())
    of_sums = sum(group["removed"].get(focus, 0) for group in sums)
    told.append(
        f"At {focus}° {of_sums} of the {gone} units are channels of a residual sum, which go from all convolutions "
        f"that add to it at once ({len(sums)} of {len(cut)} groups that lose something); {_constant(cut)}."
    )
    lengths = [group["lengths"] for group in cut.values() if group["lengths"] is not None]
    ratios = [group["ratio"] for group in cut.values() if group["ratio"] is not None]
    if lengths:
        told.append(
            "An angle sees no lengths. Adding a unit's outgoing weights to another's is right only if both outputs "
            f"are equally long too; the longer is {np.median(ratios):.2f} times the shorter in the median group, and "
            f"different lengths make {100 * np.median(lengths):.0f} % of the error of adding there."
        )
    added, refit = _errors(cut, "outgoing"), _errors(cut, "least_squares")
    told.append(
        f"Predicted from the Gram matrices, mean over the groups, as a share of what the next layers get: delete "
        f"{_errors(cut, 'delete'):.3g}, outgoing {added:.3g}, project {_errors(cut, 'project'):.3g}, least squares "
        f"{refit:.3g}."
    )
    worst = min(cut, key=lambda name: cut[name]["alone"]["outgoing"]["accuracy"])
    together = grid.get(f"{focus} outgoing")
    told.append(
        f"One group alone (outgoing, no fine-tuning) costs most at `{worst}`: validation accuracy "
        f"{100 * why['accuracy']:.1f} → {100 * cut[worst]['alone']['outgoing']['accuracy']:.1f} %"
        + (f"; all together → {100 * together['val']['accuracy']:.1f} %." if together else ".")
    )
    rank = _rank_correlation(
        [(group["error"][rule], group["alone"][rule]["change"]) for group in cut.values() for rule in group["alone"]]
    )
    if rank is not None:
        told.append(f"Predicted error and measured change of the logits, group by group: rank correlation {rank:.2f}.")
    return told


def _constant(cut: Mapping[str, Any]) -> str:
    count = sum(group["constant"] for group in cut.values())
    return f"{count} of them are constant, and go under every rule and threshold" if count else "none is constant"


def _errors(cut: Mapping[str, Any], rule: str) -> float:
    return float(np.mean([group["error"][rule] for group in cut.values()]))


def _rank_correlation(points: Iterable[tuple[float, float]]) -> float | None:
    """Spearman's; None for fewer than three points or where one side does not vary."""
    pairs = np.array(list(points))
    if len(pairs) < 3:
        return None
    ranks = np.array([_ranks(column) for column in pairs.T])
    spreads = ranks.std(axis=1)
    if (spreads == 0).any():
        return None
    return float(np.corrcoef(ranks)[0, 1])


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 0, equal values sharing their mean."""
    return np.array([((values < value).sum() + (values <= value).sum() - 1) / 2 for value in values])
