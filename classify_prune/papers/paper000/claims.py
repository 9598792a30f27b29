"""Paper 000's claims beside what was found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from classify_prune.papers.paper000 import published
from classify_prune.papers.paper000.findings import Seeds, accuracies, over
from run_tools.summaries import spread

SHOWN = ("delete", "outgoing", "least_squares")
"""Rules told of without fine-tuning."""


def claims(result: Mapping[str, Any]) -> list[dict[str, str]]:
    """Test accuracies in percent: `[{"claim", "published", "ours"}, …]`."""
    seeds, settings = result["seeds"], result["settings"]
    levels, focus, merge = settings["sparsity"], f"{settings['focus']:g}", settings["merge"]
    level = "70" if 0.7 in levels else f"{100 * levels[0]:g}"
    told = [
        {
            "claim": f"{level} % of the weights can go by magnitude with similar accuracy",
            "published": _printed(published.TABLE1, level),
            "ours": f"{_test(seeds, 'base')} → {_test(seeds, 'magnitude', level)} %; nothing removed, trained as long: "
            f"{_test(seeds, 'dense')} %",
        },
        {
            "claim": f"distinctiveness collapses at {focus}°",
            "published": _printed(published.TABLE2, focus),
            "ours": f"{_test(seeds, 'base')} → {_test(seeds, 'tuned', f'{focus} {merge}')} % ({_told(merge)}), "
            f"{_test(seeds, 'tuned', f'{focus} least_squares')} % (least squares); {_gone(seeds, focus)} units go",
        },
        {
            "claim": f"the same at {focus}° before fine-tuning",
            "published": "not given",
            "ours": f"{_test(seeds, 'base')} → "
            + ", ".join(f"{_told(rule)} {_test(seeds, 'surgery', f'{focus} {rule}')} %" for rule in SHOWN),
        },
    ]
    if over(seeds, "equal", focus):
        told.append(
            {
                "claim": "magnitude prunes better than distinctiveness",
                "published": "never compared at equal cost",
                "ours": f"at the cost of {focus}°: units {_test(seeds, 'tuned', f'{focus} {merge}')} %; magnitude "
                f"{_test(seeds, 'equal', focus, 'parameters')} % (equal parameters), "
                f"{_test(seeds, 'equal', focus, 'macs')} % (equal multiply-adds)",
            }
        )
    return told


def _told(rule: str) -> str:
    return rule.replace("_", " ")


def _printed(table: Mapping[str, tuple[float, float]], key: str) -> str:
    return f"{table['0'][1]:.1f} → {table[key][1]:.1f} %" if key in table else "not given"


def _test(seeds: Seeds, *keys: str) -> str:
    return spread(accuracies(seeds, *keys)[1]) or "–"


def _gone(seeds: Seeds, angle: str) -> str:
    """Units under a threshold in the first seed, such as "5 of 720"."""
    first = next(
        (found for key, found in next(iter(seeds.values()))["surgery"].items() if key.split()[0] == angle), None
    )
    return "–" if first is None else f"{first['removed']} of {first['units']}"
