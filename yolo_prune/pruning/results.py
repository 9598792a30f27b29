"""What the trainings of a pruning say together: each level against the dense model that trained as long."""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from yolo_prune.evaluation.bootstrap import mean_difference
from yolo_prune.evaluation.tables import aligned
from yolo_prune.evaluation.weighted import Values
from yolo_prune.pruning import measuring
from yolo_prune.pruning.judging import Judge
from yolo_prune.pruning.plan import DENSE, PRUNED

MEAN = "mean"
"""The mean over the classes of the report, beside them."""

Level = dict[str, Any]


def levels(runs: Sequence[Mapping[str, Any]], judge: Judge, named: Sequence[str]) -> list[Level]:
    """The trainings of one kind and level together.

    Args:
        runs: what each gave, see `verb.prune`.
        judge: knows detections and replicates.
        named: classes of the report.

    Returns:
        One entry a kind and level, dense ones first: `{"kind", "level", "sparsity", "pruned", "parameters", "nonzero",
        "kernel_nonzero", "macs", "macs_nonzero", "seeds", "by_kernel", "ap50": {split: {class or "mean": {"mean", "sd",
        "values"}}}, "against": the seeds of the dense control, "difference": {split: {class or "mean": {"difference",
        "interval"}}}}`. AP50 in 0–1; `sd` is None for one seed, `difference` for dense ones and where no dense control
        ran.
    """
    cache: dict[tuple[str, str], Values] = {}

    def values(run: Mapping[str, Any], split: str) -> Values:
        key = run["out"], split
        if key not in cache:
            cache[key] = _of_classes(judge.values(Path(run["out"]), split), named)
        return cache[key]

    groups: dict[tuple[str, int | None], list[Mapping[str, Any]]] = {}
    for run in runs:
        groups.setdefault((run["kind"], run["level"]), []).append(run)
    found = []
    for (kind, level), mine in groups.items():
        dense = groups.get((DENSE, level)) or groups.get((DENSE, None)) or []
        entry: Level = {name: mine[0][name] for name in ("kind", "level", "sparsity", "pruned", "by_kernel")}
        entry |= {name: round(statistics.fmean(run[name] for run in mine))
                  for name in ("parameters", "nonzero", "kernel_nonzero", "macs", "macs_nonzero")}  # fmt: skip
        entry["seeds"] = [run["seed"] for run in mine]
        entry["ap50"] = {
            split: _spread([{name: float(row["AP50"][0]) for name, row in values(run, split).items()} for run in mine])
            for split in judge.splits
        }
        entry["against"] = [run["seed"] for run in dense] if kind != DENSE else []
        entry["difference"] = None
        if kind != DENSE and dense:
            entry["difference"] = {
                split: {
                    name: row["AP50"]
                    for name, row in mean_difference(
                        [values(run, split) for run in mine], [values(run, split) for run in dense]
                    ).items()
                }
                for split in judge.splits
            }
        found.append(entry)
    order = list(dict.fromkeys([DENSE, PRUNED, *(kind for kind, _ in groups)]))
    return sorted(found, key=lambda entry: (order.index(entry["kind"]), entry["level"] or 0))


def _of_classes(values: Values, named: Sequence[str]) -> Values:
    """AP50 of the classes of the report, and their mean where all of them have one."""
    chosen = {name: {"AP50": values[name.lower()]["AP50"]} for name in named}
    return {**chosen, MEAN: {"AP50": np.mean([row["AP50"] for row in chosen.values()], axis=0)}}


def _spread(figures: Sequence[Mapping[str, float]]) -> dict[str, dict[str, Any]]:
    result = {}
    for name in figures[0]:
        values = [figure[name] for figure in figures if np.isfinite(figure[name])]
        result[name] = {
            "mean": statistics.fmean(values) if values else None,
            "sd": statistics.stdev(values) if len(values) > 1 else None,
            "values": values,
        }
    return result


def choose(found: Sequence[Level], splits: Sequence[str], name: str, tolerance: float) -> dict[str, Any] | None:
    """The highest level that loses no more than is tolerated, by the first split alone.

    Args:
        found: of `levels`.
        splits: the first one chooses.
        name: the class that decides.
        tolerance: AP50 that may be lost, in 0–1.

    Returns:
        `{"level", "sparsity", "nonzero", "macs", "parameters", "class", "split", "tolerance", "loss"}`, `loss` that on
        the first split; None where no level is good enough or there is no dense control.
    """
    best = None
    for entry in found:
        if entry["kind"] != PRUNED or entry["difference"] is None:
            continue
        difference = entry["difference"][splits[0]][name]["difference"]
        better = best is None or entry["level"] > best["level"]
        if difference is not None and difference >= -tolerance and better:
            best = {name: entry[name] for name in ("level", "sparsity", "nonzero", "macs", "parameters")}
            best |= {"class": name, "split": splits[0], "tolerance": tolerance, "loss": 0.0 - difference}  # no -0
    return best


def shown(result: Mapping[str, Any]) -> Mapping[str, Any]:
    """The run that stands for the pruning: of the level chosen, or of the sparsest, with the first seed."""
    pruned = [run for run in result["runs"] if run["kind"] == PRUNED]
    level = result["chosen"]["level"] if result["chosen"] else max(run["level"] for run in pruned)
    return next(run for run in pruned if run["level"] == level)


def rows(result: Mapping[str, Any], split: str) -> tuple[list[str], list[list[str]]]:
    """AP50 on a split.

    Args:
        result: of `verb.prune`.
        split: one of its splits.

    Returns:
        `(head, rows)`, all texts: the means of the seeds with their standard deviation, a row a kind and level.
    """
    names = _columns(result)
    given = {name: result["start"]["ap50"][split].get(name.lower()) for name in result["classes"]}
    if None not in given.values():
        given[MEAN] = statistics.fmean(given.values())
    start = ["as given", *_amounts(result, result["start"]), "-"]
    body = [[*start, *(number(given.get(name)) for name in names)]]
    for entry in result["levels"]:
        cells = []
        for name in names:
            figure = entry["ap50"][split][name]
            spread = f" ± {figure['sd']:.3f}" if figure["sd"] is not None else ""
            cells.append(number(figure["mean"]) + spread)
        body.append([*_first(result, entry), *cells])
    return ["", *amount_heads(result), "seeds", *names], body


def difference_rows(result: Mapping[str, Any], split: str) -> tuple[list[str], list[list[str]]]:
    """How much better than the dense control, arguments and result as of `rows`, with intervals; no row without it."""
    names = _columns(result)
    body = [
        [*_first(result, entry), *(_difference(entry["difference"], split, name) for name in names)]
        for entry in result["levels"]
        if entry["difference"] is not None
    ]
    return ["", *amount_heads(result), "seeds", *names], body


def _columns(result: Mapping[str, Any]) -> list[str]:
    return [*result["classes"], MEAN] if len(result["classes"]) > 1 else list(result["classes"])


def amount_heads(result: Mapping[str, Any]) -> list[str]:
    """What tables call the columns that say how much is left, in words for people."""
    return ["multiply-adds", "parameters"] if structural(result) else ["sparsity", "non-zero"]


def structural(result: Mapping[str, Any]) -> bool:
    """Whether whole channels were removed, so that levels are multiply-adds and not zeros."""
    return result.get("method") == "distinctiveness"


def amount(result: Mapping[str, Any], entry: Mapping[str, Any]) -> str:
    """How much a level prunes, or leaves: "90 % zero", "48.2 % of the multiply-adds"."""
    first = _amounts(result, entry)[0]
    return f"{first} of the multiply-adds" if structural(result) else f"{first} zero"


def _amounts(result: Mapping[str, Any], entry: Mapping[str, Any]) -> list[str]:
    if structural(result):
        return [f"{100 * entry['macs'] / result['start']['macs']:.4g} %", f"{entry['parameters']:,}"]
    return [_percent(entry), f"{entry['nonzero']:,}"]


def _first(result: Mapping[str, Any], entry: Mapping[str, Any]) -> list[str]:
    several = entry["kind"] == DENSE and entry["level"] is not None
    kind = f"{entry['kind']}, level {entry['level'] + 1}" if several else entry["kind"]
    return [kind, *_amounts(result, entry), str(len(entry["seeds"]))]


def _percent(entry: Mapping[str, Any]) -> str:
    return f"{100 * entry['sparsity']:.4g} %"


def number(value: float | None) -> str:
    """Three decimals, or a dash."""
    return "-" if value is None else f"{value:.3f}"


def _difference(differences: Mapping[str, Any] | None, split: str, name: str) -> str:
    told = differences[split][name] if differences is not None else {"difference": None, "interval": None}
    if told["difference"] is None:
        return "-"
    if told["interval"] is None:
        return f"{told['difference']:+.3f}"
    low, high = told["interval"]
    return f"{told['difference']:+.3f} [{low:+.3f}, {high:+.3f}]"


def chosen_line(result: Mapping[str, Any]) -> str:
    """Which level is good enough, in a sentence."""
    first, last, best = result["splits"][0], result["splits"][-1], result["chosen"]
    name, points = result["classes"][0], f"{100 * result['tolerance']:g}"
    points += " point" if points == "1" else " points"
    if best is None:
        judged = [entry["difference"][first][name] for entry in result["levels"] if entry["difference"] is not None]
        if not judged:
            return "No dense control ran, so nothing says what a level lost."
        if all(each["difference"] is None for each in judged):
            return f"No {name} is there to be found on {first}, so nothing says what a level lost: see `--classes`."
        return f"No level stays within {points} of {name} AP50 of the dense model on {first}."
    within = f"within {points} of {name} AP50 of the dense model on {first}"
    if structural(result):
        told = f"The smallest network {within} has {amount(result, best)}, {best['parameters']:,} parameters"
    else:
        told = f"The sparsest level {within} is {_percent(best)}, {best['nonzero']:,} weights that are not zero"
    entry = next(each for each in result["levels"] if (each["kind"], each["level"]) == (PRUNED, best["level"]))
    return told + f"; on {last} it stands at {_difference(entry['difference'], last, name)}."


def text(result: Mapping[str, Any]) -> str:
    """The result for a terminal."""
    split = result["splits"][-1]
    parts = [f"AP50 on {split}, {result['images'][split]} images, ± standard deviation of the seeds"]
    parts += [aligned(*rows(result, split)), ""]
    head, body = difference_rows(result, split)
    if body:
        parts += ["against the dense model trained as long, 95 % interval over resampled images"]
        parts += [aligned(head, body), ""]
    if result.get("measured"):
        parts += ["one image, all in one run; in brackets: times as fast, times smaller, as the dense one"]
        parts += [aligned(*measuring.rows(result["measured"])), ""]
    return "\n".join([*parts, chosen_line(result), f"open {result['report']}"])
