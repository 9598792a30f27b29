"""`cluster`: fuzzy c-means over iterations and fuzziness, named on the training split and judged on another.

Source: paper 002, sections 3.2 and 5.2, Tables 2, 5 and 6.
"""

from __future__ import annotations

import copy
import itertools
from typing import Any

import numpy as np

from classify_prune.clustering import baselines, naming
from classify_prune.clustering.choosing import Choice, choose
from classify_prune.clustering.fuzzy import FuzzyCMeans, hardened
from classify_prune.options import ClusterConfig
from data_tools.preprocess import FeatureScale
from data_tools.store import open_store
from data_tools.tables import grid
from run_tools.errors import InputError
from run_tools.optional import absent, missing
from run_tools.summaries import spread

SPLIT = "train"


class Vectors:
    """The vectors of a task, scaled as a `ClusterConfig` says.

    Attributes:
        task: of the store.
        train, judged: float32 (n, features), of the training split and of the one to judge on.
        labels: (split → classes, int64 (n,)) of both.
        digest: of the file's contents.
    """

    def __init__(self, options: ClusterConfig) -> None:
        store: Any = open_store(options.data, "classification")
        if store.content != "features":
            raise InputError(
                f"{options.data}, which holds images", "feature vectors", "make them with data-tools features"
            )
        self.digest: str = store.digest()
        self.source, self.task = store.source, store.task(options.task, options.classes)
        views = {split: store[split] for split in (SPLIT, options.split)}
        rows = {split: self.task.rows[split] for split in views}
        self.labels = {split: self.task.labels[split].astype(np.int64) for split in views}
        for split in views:
            if not len(rows[split]):
                raise InputError(f"split {split} of {options.data} without vectors of the task", "some", "use another")
        found = {split: view.features(rows[split]) for split, view in views.items()}
        if options.scale in ("standard", "minmax"):
            scale = FeatureScale.measured(views[SPLIT], options.scale, rows[SPLIT])
            found = {split: scale.apply(vectors) for split, vectors in found.items()}
        if options.scale == "length":
            found = {split: _unit(vectors) for split, vectors in found.items()}
        if options.components is not None:
            found = _reduced(found, options.components)
        self.train, self.judged = found[SPLIT], found[options.split]

    def kept(self, chosen: np.ndarray) -> Vectors:
        """The same vectors with only some features, bool (features,)."""
        found = copy.copy(self)
        found.train, found.judged = self.train[:, chosen], self.judged[:, chosen]
        return found


def _unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors of length 1; those of length 0 stay."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1)


def _reduced(found: dict[str, np.ndarray], components: int) -> dict[str, np.ndarray]:
    """The first principal components of the training vectors, from their covariance: float32."""
    train = found[SPLIT]
    most = min(train.shape)
    if components > most:
        raise InputError(f"--components {components}", f"at most {most}", "ask for fewer")
    mean = train.mean(axis=0, dtype=np.float64)
    centred = train - mean.astype(np.float32)
    _, directions = np.linalg.eigh((centred.T @ centred).astype(np.float64))
    chosen = directions[:, ::-1][:, :components]
    return {split: ((vectors - mean) @ chosen).astype(np.float32) for split, vectors in found.items()}


def cluster(options: ClusterConfig) -> dict[str, Any]:
    """Run `cluster`.

    Returns:
        rows: one for each fuzziness, number of iterations and seed: these, `ran` (iterations, fewer where it stopped),
        objective, partition_coefficient, collapsed, silhouette, ari and nmi on the split judged; `train` and `judged`:
        accuracy by each of `naming.RULES`; sizes: judged vectors of each cluster; answers: rule → judged vectors called
        each class. baselines: name → accuracy on the training and on the judged split. selection: what
        `choosing.choose` tells of the features chosen, or None. run: what it ran on.

    Raises:
        InputError: for a file without vectors, a task or split that is not there, or without the extra `cluster`.
    """
    for module in missing(("sklearn", "scipy", "skfuzzy")):
        raise absent(module, naming.EXTRA)
    data = Vectors(options)
    count = options.clusters or len(data.task.class_names)
    return clustered(options, data, choose(options, data, count))


def clustered(options: ClusterConfig, data: Vectors, choice: Choice | None = None) -> dict[str, Any]:
    """As `cluster`, for vectors at hand.

    Args:
        options: of the clustering; its data and choice of features are not looked at.
        data: the vectors.
        choice: features chosen; None: all.
    """
    count = options.clusters or len(data.task.class_names)
    if choice is not None:
        data = data.kept(choice.chosen)
    rows: list[dict[str, Any]] = []
    for fuzziness, seed in itertools.product(options.fuzziness, options.seeds):
        rows += _one(options, data, count, fuzziness, seed)
    return {
        "rows": rows,
        "baselines": _baselines(options, data),
        "selection": None if choice is None else choice.told,
        "run": {
            "data": str(options.data), "source": data.source, "task": data.task.name, "split": options.split,
            "clusters": count, "vectors": {SPLIT: len(data.train), options.split: len(data.judged)},
            "features": data.train.shape[1], "scale": options.scale, "components": options.components,
            "start": options.start, "class_names": list(data.task.class_names),
        },
    }  # fmt: skip


def _one(options: ClusterConfig, data: Vectors, count: int, fuzziness: float, seed: int) -> list[dict[str, Any]]:
    """One clustering, judged at every number of iterations that is asked for."""
    wanted, rows = sorted(set(options.iterations)), []

    def shown(number: int, found: FuzzyCMeans) -> None:
        if number in wanted:
            rows.append(_row(options, data, found, fuzziness, seed, number))

    made = FuzzyCMeans(count, fuzziness, wanted[-1], options.tolerance, options.start, seed).fit(data.train, shown)
    # Where it came to rest, further iterations would change nothing.
    later = [number for number in wanted if number > made.iterations_]
    if later:
        rows += [_row(options, data, made, fuzziness, seed, number) for number in later[:1]]
        rows += [{**rows[-1], "iterations": number} for number in later[1:]]
    return rows


def _row(
    options: ClusterConfig, data: Vectors, found: FuzzyCMeans, fuzziness: float, seed: int, number: int
) -> dict[str, Any]:
    classes = len(data.task.class_names)
    train, judged = hardened(found.memberships_), hardened(found.predict(data.judged))
    truth = data.labels[options.split]
    table = naming.contingency(train, data.labels[SPLIT], found.clusters, classes)
    row: dict[str, Any] = {
        "fuzziness": fuzziness, "iterations": number, "seed": seed, "ran": found.iterations_,
        "objective": found.objective_[-1], "partition_coefficient": found.partition_coefficient_,
        "collapsed": found.collapsed_,
        "silhouette": naming.silhouette(data.train, train, options.silhouette or None, options.seeds[0]),
        **naming.agreement(judged, truth), "train": {}, "judged": {}, "answers": {},
        "sizes": np.bincount(judged, minlength=found.clusters).tolist(),
    }  # fmt: skip
    for rule in naming.RULES:
        names = naming.names_of(table, rule)
        row["train"][rule] = naming.accuracy(names, train, data.labels[SPLIT])
        row["judged"][rule] = naming.accuracy(names, judged, truth)
        called = names[judged]
        row["answers"][rule] = np.bincount(called[called >= 0], minlength=classes).tolist()
    return row


def _baselines(options: ClusterConfig, data: Vectors) -> dict[str, dict[str, float]]:
    if not options.baselines:
        return {}
    labels, classes = data.labels[SPLIT], len(data.task.class_names)
    means = baselines.class_means(data.train, labels, classes)
    most = baselines.majority(labels, classes)
    both = np.concatenate([data.train, data.judged])
    answers = {
        "majority": np.full(len(both), most),
        "nearest centroid": baselines.nearest_mean(both, means),
        "linear probe": baselines.linear_probe(data.train, labels, both),
    }
    truth = np.concatenate([labels, data.labels[options.split]])
    cut = len(data.train)
    return {
        name: {"train": float((found == truth)[:cut].mean()), "judged": float((found == truth)[cut:].mean())}
        for name, found in answers.items()
    }


def table(result: dict[str, Any]) -> str:
    """The result of `cluster`: a line for each fuzziness and number of iterations, means over the seeds."""
    run = result["run"]
    head = ["fuzziness", "iterations", f"{SPLIT}, hungarian", *(f"{run['split']}, {rule}" for rule in naming.RULES)]
    lines = [[*head, "ARI", "NMI", "silhouette", "partition"]]
    groups: dict[tuple[float, int], list[dict[str, Any]]] = {}
    for row in result["rows"]:
        groups.setdefault((row["fuzziness"], row["iterations"]), []).append(row)
    for (fuzziness, number), found in sorted(groups.items()):
        cells = [spread([row["train"]["hungarian"] for row in found])]
        cells += [spread([row["judged"][rule] for row in found]) for rule in naming.RULES]
        for name in ("ari", "nmi", "silhouette", "partition_coefficient"):
            cells.append(spread([row[name] for row in found], 1.0, 3))
        lines.append([f"{fuzziness:g}", str(number), *(cell or "-" for cell in cells)])
    told = f"{run['clusters']} clusters of {run['vectors'][SPLIT]} vectors of {run['features']} numbers, "
    told += f"named on {SPLIT}, task {run['task']} of {run['data']} ({run['source']}); accuracies in percent"
    parts = [told, grid(lines)]
    if result["selection"]:
        parts.insert(1, selection_line(result["selection"]))
    if result["baselines"]:
        rows = [
            [name, *(f"{100 * found[part]:.1f}" for part in ("train", "judged"))]
            for name, found in result["baselines"].items()
        ]
        parts.append(grid([["without clusters", SPLIT, run["split"]], *rows]))
    fallen = [row for row in result["rows"] if row["collapsed"]]
    if fallen:
        parts.append(
            f"note: in {len(fallen)} of {len(result['rows'])} rows all centres are the same point; try a smaller "
            "--fuzziness, --scale length, --components 50 or --start kmeans++"
        )
    return "\n\n".join(parts)


def selection_line(found: dict[str, Any]) -> str:
    """What `choosing.choose` tells, in a sentence."""
    told = f"{found['features']} of {found['of']} features chosen by {found['by']}"
    if found["by"].startswith("genetic"):
        told += f": fitness {found['first']:.3f} in the first generation, {found['fitness']:.3f} after "
        told += f"{found['generations']} more; silhouette of all training vectors "
        told += "-" if found["silhouette"] is None else f"{found['silhouette']:.3f}"
    return told
