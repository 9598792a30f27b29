"""Paper 004's claims beside what was found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from classify_prune.papers.paper004 import published
from classify_prune.papers.paper004.published import MERGE
from classify_prune.papers.turns import interval
from run_tools.summaries import spread


def claims(result: Mapping[str, Any]) -> list[dict[str, str]]:
    """`[{"claim", "published", "ours"}, …]`; accuracies on test."""
    seeds, turns, settings = result["seeds"], result["turns"], result["settings"]
    base = spread([found["base"]["test"]["accuracy"] for found in seeds.values()])
    classes = len(result["histograms"]["all"])
    what = "vehicles" if result["task"] == "vehicle" else "types (no vehicle ids)"
    mean = {
        rate: sum(found["rates"][rate]["best_val"] for found in seeds.values())
        for rate in next(iter(seeds.values()))["rates"]
    }
    others = ", ".join(f"{name} {interval(turn)}" for name, turn in turns.items() if name != MERGE)
    return [
        {
            "claim": "test accuracy of LeNet-5",
            "published": f"{published.BASE_TEST:g} % on 10 vehicles",
            "ours": f"{base} % on {classes} {what}",
        },
        {
            "claim": "best learning rate",
            "published": f"0.01 of {', '.join(published.TABLE1)}",
            "ours": f"{max(mean, key=lambda rate: mean[rate])} of {', '.join(mean)} ({settings['optimizer']})",
        },
        {
            "claim": "units that go before accuracy falls",
            "published": f"about {published.FLAT} of {published.UNITS}",
            "ours": f"published merge {interval(turns[MERGE])} of {settings['widths'][-1]}"
            + (f"; {others}" if others else ""),
        },
    ]
