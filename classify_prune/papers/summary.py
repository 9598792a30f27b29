"""`classify-prune paper summary`: what the papers claimed beside what was found, from the folders of finished runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from classify_prune.papers import detector, registry
from classify_prune.papers.registry import SummaryConfig
from classify_prune.papers.verb import RESULT
from run_tools import files
from run_tools.errors import InputError


def summary(options: SummaryConfig) -> dict[str, Any]:
    """Run `paper summary`.

    Returns:
        `{"rows": [{"paper", "title", "claim", "published", "ours", "data", "content" (images or features), "tested"
        (how many for test), "seeds" (how many), "quick", "note" (what else to know, or none)}, …]}`, by paper and
        claim; runs of one paper on several data lie beside each other.

    Raises:
        InputError: for a folder without a finished run.
    """
    rows = []
    for folder in options.runs:
        common, claims = _read(folder)
        rows += [((common["paper"], place), {**common, **claim}) for place, claim in enumerate(claims)]
    return {"rows": [row for _, row in sorted(rows, key=lambda row: row[0])]}


def _read(folder: Path) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """`(what is the same of all claims, the claims)` of a run."""
    known: dict[str, Callable[[Any], tuple[dict[str, Any], list[dict[str, str]]]]] = {
        RESULT: _classifier, detector.RESULT: _detector
    }  # fmt: skip
    for name, read in known.items():
        path = folder / name
        if path.is_file():
            found = files.read_json(path)
            try:
                return read(found)
            except (AttributeError, LookupError, TypeError, ValueError) as error:
                raise InputError(
                    f"{path}, which is no paper's result ({type(error).__name__}: {error})",
                    "what classify-prune paper or yolo-prune paper003 wrote",
                    "run that again",
                ) from error
    raise InputError(
        f"{folder}: neither {RESULT} nor {detector.RESULT} in it",
        "folders of finished runs",
        "run classify-prune paper, or yolo-prune paper003 for the detector",
    )


def _classifier(found: Any) -> tuple[dict[str, Any], list[dict[str, str]]]:
    if found["paper"] not in registry.numbers():
        raise ValueError(f"unknown paper {found['paper']}")
    data = found["data"]
    common = {name: found[name] for name in ("paper", "title", "quick")} | {
        "data": data["source"],
        "content": data["content"],
        "tested": found.get("tested", data["images"]["test"]),
        "seeds": len(found["seeds"]),
        "note": None,
    }
    return common, registry.part(found["paper"], "claims").claims(found)


def _detector(found: Any) -> tuple[dict[str, Any], list[dict[str, str]]]:
    return detector.common(found), detector.claims(found)


def table(result: dict[str, Any]) -> str:
    """The result of `paper summary` as Markdown; a claim that several runs look at is told once."""
    lines, last = ["| paper | what it claimed | what we find | on |", "|---|---|---|---|"], None
    below: dict[str, None] = {}
    for row in result["rows"]:
        claim = f"{row['claim']}: {row['published']}"
        told = "" if (row["paper"], claim) == last else claim
        on = f"{row['data'].removeprefix('images in ')}{', quick' if row['quick'] else ''}"
        lines.append(f"| {row['paper']} | {told} | {row['ours']} | {on} |")
        seeds = f"{row['seeds']} seed{'' if row['seeds'] == 1 else 's'}"
        note = f", {row['note']}" if row["note"] else ""
        below[f"{row['paper']} on {on}: {row['tested']:,} {row['content']} for test, {seeds}{note}"] = None
        last = (row["paper"], claim)
    return "\n".join([*lines, "", "; ".join(below) + "."])
