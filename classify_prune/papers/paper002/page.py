"""The report of paper 002."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from classify_prune.clustering import naming
from classify_prune.papers import pages
from classify_prune.papers.paper002 import figures, published
from classify_prune.papers.paper002.networks import SPLITS, STRUCTURED
from data_tools import label_plots
from data_tools.store import open_store
from data_tools.tables import grid
from run_tools.report import Report
from run_tools.summaries import spread

COLUMNS = ("training %", "validation %", "test %")
COLLAPSED = "all centres are one point"


def over_seeds(result: Mapping[str, Any], *keys: str) -> list[list[float]]:
    """Accuracies on training, validation and test data, each over the seeds, of what lies at some keys of a seed."""
    found: list[list[float]] = [[], [], []]
    for seed in result["seeds"].values():
        for key in keys:
            seed = seed[key]
        for index, split in enumerate(SPLITS):
            found[index].append(seed[split]["accuracy"])
    return found


def table3(result: Mapping[str, Any]) -> dict[str, list[list[float]]]:
    """Epochs of the base model → accuracies."""
    first = next(iter(result["seeds"].values()))
    return {epochs: over_seeds(result, "base", epochs) for epochs in first["base"]}


def table4(result: Mapping[str, Any], reading: str) -> dict[str, list[list[float]]]:
    """Amount → accuracies, in one reading."""
    first = next(iter(result["seeds"].values()))
    return {amount: over_seeds(result, "cumulative", reading, amount) for amount in first["cumulative"][reading]}


def page(report: Report, result: Mapping[str, Any]) -> None:
    """Adds the paper's sections."""
    identity, vectors = result["identity"], result["vectors"]
    report.section("What is told apart")
    told = (
        f"Vectors of {vectors['width']} numbers, made by {vectors['made_by']}. The networks tell {identity['classes']} "
    )
    if identity["task"] == "vehicle":
        told += "vehicles apart (the paper: 1,362), "
    else:
        told += "types apart: these data have no vehicle ids, so the paper's identity task runs on types, "
    report.text(told + "the clusters are compared with the types, as in the paper.")
    drawn = label_plots.histograms(open_store(vectors["file"], "classification"))
    for name in ("type", "vehicle"):
        if name in drawn:
            report.figure(drawn[name], f"Fig. 1: vectors of each {name}; of very many, how many vectors each has.")
    rows = [[name, *(round(100 * each[split], 2) for split in SPLITS)] for name, each in result["baselines"].items()]
    report.table(["rule", *COLUMNS], rows, "Trivial baselines in the networks' task, which the paper lacks.")
    _networks(report, result)
    _structured(report, result)
    _clusters(report, result)
    _choices(report, result)


def _networks(report: Report, result: Mapping[str, Any]) -> None:
    report.section("Tables 3 and 4: the network, and pruning after every epoch")
    pages.beside(
        report, "epochs", COLUMNS, published.TABLE3, table3(result), "Table 3, base model after its last epoch."
    )
    captions = {
        "of_total": "Table 4, amount read as a share of all weights: pruned after the first epoch, held afterwards.",
        "of_remaining": "Table 4, amount read as a share of what remains, as PyTorch counts: it compounds.",
        "random": "The control: as many of all weights, drawn at random.",
    }
    for reading, caption in captions.items():
        printed = published.TABLE4 if reading != "random" else {}
        pages.beside(report, "amount", COLUMNS, printed, table4(result, reading), caption)
    first = next(iter(result["seeds"].values()))["cumulative"]
    rows = [
        [figures.NAMES[reading], amount, *(round(100 * found["kernels"][name], 2) for name in found["kernels"])]
        for reading, amounts in first.items()
        for amount, found in amounts.items()
    ]
    layers = list(next(iter(first["of_total"].values()))["kernels"])
    head = ["pruned", "amount", *(f"zeros in {name} %" for name in layers)]
    report.table(head, rows, "Zeros at the end, first seed. They make no common file smaller and nothing faster.")
    report.figure(figures.curves(result), "Accuracy and zeros after each epoch, first seed.")
    report.figure(figures.pruned(result), "Test accuracy; bars: standard deviation over the seeds.")


def _structured(report: Report, result: Mapping[str, Any]) -> None:
    report.section("Future work: whole units of the same network")
    report.text(
        "Hidden units of the base model are removed, the next layer is refitted to what is left, and the "
        "network is trained on. Beside it the whole network, trained on as long, and as many units at random."
    )
    seeds = list(result["seeds"].values())
    rows: list[list[Any]] = []
    dense = [seed["structured"]["dense"] for seed in seeds]
    rows.append(["none", 0.0, dense[0]["units"][0], dense[0]["parameters"], None, _test(dense)])
    for rule in STRUCTURED:
        for share in seeds[0]["structured"][rule]:
            each = [seed["structured"][rule][share] for seed in seeds]
            after = [one["after"] for one in each]
            before = _test([one["before"] for one in each])
            rows.append([rule, float(share), after[0]["units"][0], after[0]["parameters"], before, _test(after)])
    head = ["rule", "removed", "units left", "parameters", "test %, not trained", "test %, trained on"]
    report.table(head, rows, "Units really go: parameters and work fall in every format.")


def _test(found: Iterable[Mapping[str, Any]]) -> str | None:
    return spread([one["test"]["accuracy"] for one in found])


def by(rows: Iterable[Mapping[str, Any]], **wanted: Any) -> list[Mapping[str, Any]]:
    """Rows with some values."""
    return [row for row in rows if all(row[name] == value for name, value in wanted.items())]


def table2(result: Mapping[str, Any]) -> dict[str, list[list[float]]]:
    """Iterations → silhouettes over the starts, at the main fuzziness."""
    rows = _main(result)
    return {str(number): [[row["silhouette"] for row in by(rows, iterations=number)]] for number in _numbers(rows)}


def table5(result: Mapping[str, Any]) -> dict[str, list[list[float]]]:
    """Iterations → training accuracy by each of the rules of names, at the main fuzziness."""
    rows = _main(result)
    return {str(number): _named(by(rows, iterations=number)) for number in _numbers(rows)}


def table6(result: Mapping[str, Any]) -> dict[str, list[list[float]]]:
    """Fuzziness → training accuracy by each of the rules of names, after the fewest iterations."""
    rows = result["clusters"]["paper"]["rows"]
    few = by(rows, iterations=min(row["iterations"] for row in rows))
    return {f"{m:g}": _named(by(few, fuzziness=m)) for m in dict.fromkeys(row["fuzziness"] for row in few)}


def _main(result: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    rows = result["clusters"]["paper"]["rows"]
    return by(rows, fuzziness=rows[0]["fuzziness"])


def _numbers(rows: Iterable[Mapping[str, Any]]) -> list[int]:
    return sorted({row["iterations"] for row in rows})


def _named(rows: list[Mapping[str, Any]]) -> list[list[float]]:
    return [[row["train"][rule] for row in rows] for rule in ("numbered", "hungarian", "majority")]


def _clusters(report: Report, result: Mapping[str, Any]) -> None:
    report.section("Tables 2, 5 and 6: fuzzy c-means")
    paper = result["clusters"]["paper"]
    told = (
        f"{paper['run']['clusters']} clusters of the training vectors, {len({row['seed'] for row in paper['rows']})} "
    )
    report.text(told + "starts; names by number are most like what the paper must have done.")
    fallen = [row for row in paper["rows"] if row["collapsed"]]
    if fallen:
        where = ", ".join(f"{m:g}" for m in dict.fromkeys(row["fuzziness"] for row in fallen))
        report.text(
            f"Collapse: in {len(fallen)} of {len(paper['rows'])} rows {COLLAPSED} (m {where}): every vector belongs to "
            "all clusters alike, but for a trace of the start. The largest membership still reads that trace, so such "
            "clusters can agree with types; with more iterations or a larger m it is gone, and one cluster holds all."
        )
    columns = ("by number %", "Hungarian %", "majority vote %")
    for printed, ours, first, caption in (
        (published.TABLE5, table5(result), "iterations", "Table 5, training accuracy at the main fuzziness."),
        (published.TABLE6, table6(result), "m", "Table 6, training accuracy after the fewest iterations."),
    ):
        wide = {label: (*numbers, None, None) for label, numbers in printed.items()}
        pages.beside(report, first, columns, wide, ours, caption)
    pages.beside(
        report, "iterations", ("silhouette",), published.TABLE2, table2(result),
        "Table 2, of training vectors drawn at random, at the main fuzziness; −1 to 1.", 1.0, digits=4,
    )  # fmt: skip
    _judged(report, result)
    report.figure(
        figures.histograms(result),
        "Fig. 3 on test data: vectors of each type, and called each type after so many iterations; names by number.",
    )


def _judged(report: Report, result: Mapping[str, Any]) -> None:
    rows: list[list[Any]] = []
    for title, found in result["clusters"].items():
        kinds = dict.fromkeys((row["fuzziness"], row["iterations"]) for row in found["rows"])
        for m, number in sorted(kinds):
            each = by(found["rows"], fuzziness=m, iterations=number)
            rows.append([title, m, number, *_measures(each), sum(row["collapsed"] for row in each)])
    head = ["setting", "m", "iterations", "Hungarian %", "majority vote %", "ARI", "NMI", "silhouette"]
    caption = "On test data. apart: vectors of length 1, k-means++ start, m 1.1, whose centres stay apart."
    report.table([*head, "partition coefficient", "collapsed starts"], rows, caption)
    types = result["clusters"]["paper"]["baselines"]
    report.table(
        ["without clusters", "training %", "test %"],
        [[name, round(100 * each["train"], 2), round(100 * each["judged"], 2)] for name, each in types.items()],
        "The same types without any cluster.",
    )


def _measures(rows: list[Mapping[str, Any]]) -> list[str | None]:
    found = [spread([row["judged"][rule] for row in rows]) for rule in ("hungarian", "majority")]
    for name in ("ari", "nmi", "silhouette", "partition_coefficient"):
        found.append(spread([row[name] for row in rows], 1.0, 3))
    return found


def _choices(report: Report, result: Mapping[str, Any]) -> None:
    report.section("Genetic and other feature selection")
    report.text(
        f"The paper: {published.GENETIC} % after two generations of ten choices by their silhouette. Every choice is "
        "clustered with the paper's main fuzziness (where that collapses, see above, the silhouette that is searched "
        "for is one of traces). Silhouettes of different features are not one scale. Nearest "
        "centroid and linear probe look at the same features with labels: what they lose, the choice threw away."
    )
    rows: list[list[Any]] = []
    for name, found in result["choices"].items():
        told = found["selection"] or {"features": found["run"]["features"]}
        ends = f"{told['first']:.3f} → {told['fitness']:.3f}" if "first" in told else None
        simple = [round(100 * found["baselines"][rule]["judged"], 1) for rule in ("nearest centroid", "linear probe")]
        whole = None if told.get("silhouette") is None else round(told["silhouette"], 3)
        measures = _measures(found["rows"])
        fallen = sum(row["collapsed"] for row in found["rows"])
        rows.append([name, told["features"], ends, whole, *measures[:4], fallen, *simple])
    head = ["chosen by", "features", "fitness, first → last", "silhouette of all training vectors", "Hungarian %"]
    head += ["majority vote %", "ARI", "NMI", "collapsed starts", "nearest centroid %", "linear probe %"]
    report.table(head, rows, "On test data.")
    report.figure(figures.searches(result), "The genetic searches, generation by generation.")


def text(result: Mapping[str, Any]) -> str:
    """The tables for a terminal."""
    rows = [["network", "test %, paper", "test %, ours"]]
    for label, numbers in table3(result).items():
        rows.append([f"base, {label} epochs", _printed(published.TABLE3, label), spread(numbers[2]) or "-"])
    for reading, name in figures.NAMES.items():
        for label, numbers in table4(result, reading).items():
            printed = "-" if reading == "random" else _printed(published.TABLE4, label)
            rows.append([f"{label} {name}", printed, spread(numbers[2]) or "-"])
    rows += [[name, "-", spread(each["test"]) or "-"] for name, each in result["baselines"].items()]
    lines = [["clusters", "features", *(f"test %, {rule}" for rule in naming.RULES), "ARI"]]
    for name, found in result["choices"].items():
        each = [spread([row["judged"][rule] for row in found["rows"]]) or "-" for rule in naming.RULES]
        ari = spread([row["ari"] for row in found["rows"]], 1.0, 3) or "-"
        lines.append([name, str(found["run"]["features"]), *each, ari])
    parts = [grid(rows), grid(lines)]
    fallen = [row for row in result["clusters"]["paper"]["rows"] if row["collapsed"]]
    if fallen:
        parts.append(f"note: in {len(fallen)} of {len(result['clusters']['paper']['rows'])} clusterings {COLLAPSED}")
    return "\n\n".join(parts)


def _printed(table: Mapping[str, tuple[float, ...]], label: str) -> str:
    return str(table[label][2]) if label in table else "-"
