"""Paper 001's claims beside what was found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from classify_prune.papers.paper001 import published
from classify_prune.papers.turns import interval, over
from run_tools.summaries import spread

BATCH = "2 of 3 most similar"


def claims(result: Mapping[str, Any]) -> list[dict[str, str]]:
    """`[{"claim", "published", "ours"}, …]`; accuracies on test."""
    seeds, turns, hidden = result["seeds"], result["turns"], result["settings"]["hidden"]
    base = spread([found["base"]["test"]["accuracy"] for found in seeds.values()])
    # Results of before images were taken have no word about vectors: these were the data.
    width = result["vectors"]["width"] if "vectors" in result else result["data"]["input"].split()[0]
    shape = f"{width}-{hidden}-{len(result['shares'])}"
    named = [name for name in published.TABLE4 if name in turns]
    told = [
        {
            "claim": "test accuracy of the dense network",
            "published": f"{published.BASE_TEST:.1f} % (2048-500-11)",
            "ours": f"{base} % ({shape})",
        },
        {
            "claim": "units that go before accuracy falls",
            "published": ", ".join(f"{name} {units}" for name, (units, _) in published.TABLE4.items()) + " of 500",
            "ours": ", ".join(_fall(name, turns[name]) for name in (*named, "random") if name in turns)
            + f"; of {hidden}{_silent(seeds)}",
        },
        {
            "claim": "batch removal is the most robust of the three",
            "published": "334 units against 270 and 224",
            "ours": order({name: turns[name]["x"] for name in named}),
        },
    ]
    if BATCH in turns:
        told.append(_third(result))
    return told


def _fall(name: str, turn: Mapping[str, Any]) -> str:
    """A method's turn with the accuracy there: a curve that falls in steps turns where much is lost already."""
    return f"{name} {interval(turn)} at {spread(turn['test']['at'])} %"


def order(turns: Mapping[str, float]) -> str:
    """Who loses most units before the fall, equal ones together: "a, b; then c"."""
    levels = sorted(set(turns.values()), reverse=True)
    if len(levels) < 2:
        return "no difference: the curves turn at the same step"
    groups = [", ".join(name for name, units in turns.items() if units == level) for level in levels]
    return "most: " + "; then ".join(groups)


def _silent(seeds: Mapping[str, Any]) -> str:
    """How many units have a constant output, which go before the others whatever the method: the text's end."""
    counts = [found["angles"]["constant"] for found in seeds.values()]
    low, high = min(counts), max(counts)
    return f", {low if low == high else f'{low} to {high}'} never fire and go first" if high else ""


def _third(result: Mapping[str, Any]) -> dict[str, str]:
    """The abstract's claim: what a third of the work costs, at the step that is nearest to the paper's."""
    units, _ = published.TABLE4[BATCH]
    hidden = result["settings"]["hidden"]
    removed, values = over(result["seeds"], BATCH, "test_accuracy")
    at = min(range(len(removed)), key=lambda index: abs(removed[index] - units / 500 * hidden))
    before, after = (spread(values[:, index].tolist()) for index in (0, at))
    return {
        "claim": "batch removal keeps a third of the work at 10 % less accuracy",
        "published": "33.2 % of the work left",
        "ours": f"{before} → {after} % with {100 * (1 - removed[at] / hidden):.1f} % left",
    }
