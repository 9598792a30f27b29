"""Paper 002's claims beside what was found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from classify_prune.papers.paper002 import published
from run_tools.summaries import spread


def claims(result: Mapping[str, Any]) -> list[dict[str, str]]:
    """`[{"claim", "published", "ours"}, …]`; ours on test, clusters named by Hungarian assignment."""
    seeds, settings, choices = list(result["seeds"].values()), result["settings"], result["choices"]
    amount = f"{settings['amounts'][0]:g}"
    base = spread([seed["base"][str(settings["epochs"])]["test"]["accuracy"] for seed in seeds])
    ours = {
        reading: spread([seed["cumulative"][reading][amount]["test"]["accuracy"] for seed in seeds])
        for reading in ("of_total", "of_remaining", "random")
    }
    plain, searched, drawn = (
        clustered(choices[name]) for name in ("all features", "genetic, paper", "as many at random")
    )
    simple = {name: f"{100 * each['judged']:.1f}" for name, each in choices["all features"]["baselines"].items()}
    fallen = any(row["collapsed"] for row in choices["all features"]["rows"])
    return [
        {
            "claim": f"pruning {100 * float(amount):g} % after every epoch improves the network",
            "published": f"{published.TABLE3['100'][2]:g} → {published.TABLE4[amount][2]:g} %"
            if amount in published.TABLE4
            else "not given",
            "ours": f"{base} → {ours['of_total']} % (of all weights), {ours['of_remaining']} % (of what remains), "
            f"{ours['random']} % (at random); linear probe {100 * result['baselines']['linear probe']['test']:.1f} %",
        },
        {
            "claim": "fuzzy c-means finds the types",
            "published": f"{published.TABLE5['10'][0]:g} % (training)",
            "ours": f"{plain} %{', its centres coincide' if fallen else ''}; majority class {simple['majority']} %, "
            f"nearest class mean {simple['nearest centroid']} %, linear probe {simple['linear probe']} %",
        },
        {
            "claim": "features that a genetic algorithm chose make it better",
            "published": f"{published.TABLE5['10'][0]:g} → {published.GENETIC:.1f} % (training)",
            "ours": f"{plain} → {searched} %; as many features at random {drawn} %",
        },
    ]


def clustered(result: Mapping[str, Any]) -> str:
    """Test accuracy of a clustering, percent, over its starts."""
    return spread([row["judged"]["hungarian"] for row in result["rows"]]) or "–"
