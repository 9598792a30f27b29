"""Why a threshold hurts, computed from the network and its data, group by group of channels.

The error that a rule leaves in a reader (the next convolution) is known from the Gram matrix alone: with V' = M V and
c' = c + mᵀV, D = I − M, it is tr(K (DᵀGD − Dᵀs mᵀ − m sᵀD + N m mᵀ)), K = V Vᵀ. Taps of a kernel count as if they read
independent positions.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from classify_prune import inputs
from classify_prune.models import Classifier
from classify_prune.papers.paper000.parts import kept
from classify_prune.papers.paper000.study import Study
from classify_prune.pruning import tuning
from prune_tools import merge
from prune_tools.graph import Group
from prune_tools.merge import Pairs
from prune_tools.statistics import Gram

PREDICTED = ("delete", "outgoing", "project", "least_squares")
ALONE = ("outgoing", "least_squares")


def error(rule: str, pairs: Pairs, gram: Gram, products: np.ndarray) -> float:
    """Squared error that a rule leaves in what a reader gets, summed over patterns.

    Args:
        rule: of `PREDICTED`.
        pairs: (removed, kept or None).
        gram: of the units, n of them.
        products: K, products of the reader's rows, (n, n).

    Returns:
        At least 0.
    """
    matrix, shift = merge.compensation(rule, len(gram.sums), pairs, gram)
    left = np.eye(len(shift)) - matrix
    mean = np.outer(left.T @ gram.sums, shift)
    inner = left.T @ gram.gram @ left - mean - mean.T + gram.count * np.outer(shift, shift)
    return max(0.0, float((inner * products).sum()))


def rows_of(model: Classifier, group: Group, reader: Any) -> np.ndarray:
    """A reader's weights for a group's units, (units, taps · outputs)."""
    kernel = getattr(model.get_layer(reader.layer), reader.read.kernel)
    array = np.asarray(keras.ops.convert_to_numpy(kernel), np.float64)
    moved = np.moveaxis(array, (reader.read.axis, reader.read.out), (-2, -1))
    places = reader.sites[0].columns[0]
    rows = moved[..., places, :]
    return np.moveaxis(rows, -2, 0).reshape(len(places), -1)


def lengths_share(pairs: Pairs, gram: Gram, products: np.ndarray) -> tuple[float, float]:
    """What adding outgoing weights gets wrong at each pair, split in two.

    ‖a − b‖² = (‖a‖ − ‖b‖)² + 2 ‖a‖ ‖b‖ (1 − cos θ): the first part is there at 0° already, for a threshold on angles
    does not look at lengths.

    Returns:
        Both parts, weighted by the removed unit's outgoing weights and summed over the pairs.
    """
    size = np.sqrt(np.maximum(np.diag(gram.gram), 0))
    lengths = angle = 0.0
    for removed, kept_unit in pairs:
        if kept_unit is None:
            continue
        weight = products[removed, removed]
        lengths += weight * (size[removed] - size[kept_unit]) ** 2
        angle += weight * 2 * (size[removed] * size[kept_unit] - gram.gram[removed, kept_unit])
    return lengths, max(0.0, angle)


def predicted(study: Study, group: Group, pairs: Pairs) -> dict[str, Any]:
    """What the Gram matrices say of removing pairs from one group.

    Returns:
        error: rule → squared error in all readers, as a share of the variance of what they get from the group;
        lengths: share of adding's error that different lengths make, None where nothing is merged; ratio: median over
        the pairs of the longer through the shorter output.
    """
    totals, energy, parts = dict.fromkeys(PREDICTED, 0.0), 0.0, np.zeros(2)
    for reader in group.readers:
        if reader.read.kernel is None:
            continue
        gram, rows = study.statistics.of(group, reader.layer), rows_of(study.model, group, reader)
        products = rows @ rows.T
        energy += float((gram.covariance() * products).sum()) / gram.count
        for rule in PREDICTED:
            totals[rule] += error(rule, pairs, gram, products) / gram.count
        parts += np.array(lengths_share(pairs, gram, products)) / gram.count
    size = np.sqrt(np.maximum(np.diag(study.statistics[group.name].gram), 0))
    ratios = [max(size[a], size[b]) / max(min(size[a], size[b]), 1e-12) for a, b in pairs if b is not None]
    return {
        "error": {rule: value / max(energy, 1e-12) for rule, value in totals.items()},
        "lengths": float(parts[0] / parts.sum()) if parts.sum() > 0 else None,
        "ratio": float(np.median(ratios)) if ratios else None,
    }


def nearest(angles: np.ndarray) -> float | None:
    """Median over the units of the angle to the nearest other one, degrees; None where no two have an angle."""
    others = np.where(np.isnan(angles), np.inf, angles) + np.diag(np.full(len(angles), np.inf))
    least = others.min(axis=1)
    known = least[np.isfinite(least)]
    return float(np.median(known)) if len(known) else None


def explain(study: Study) -> dict[str, Any]:
    """Group by group: how many units lie under each threshold, and what removing those of `focus` alone costs.

    Returns:
        `{"focus", "accuracy": of the base model on validation, "groups": {name: {"units", "layers": how many
        convolutions lose the units, "constant": units without an angle, "removed": {angle: units}, "nearest": median
        angle to the nearest unit, "nearest_positions": the same over positions of the maps, and where units go at
        `focus` what `predicted` returns and "alone": {rule: {"accuracy", "change"}}}}}`; change: squared change of the
        logits as a share of their variance.
    """
    focus = study.settings.focus
    chosen = study.pairs(focus)
    looked = sorted({*study.settings.angles, focus})
    counts = {angle: {name: len(pairs) for name, pairs in study.pairs(angle).items()} for angle in looked}
    by_position = study.angles_of("position")
    base: dict[str, np.ndarray] = {}

    def make(name: str) -> dict[str, Any]:
        group, angles = study.groups[name], study.angles[name]
        found: dict[str, Any] = {
            "units": group.units,
            "layers": len(group.members),
            "constant": int(np.isnan(np.diag(angles)).sum()),
            "removed": {f"{angle:g}": counts[angle].get(name, 0) for angle in looked},
            "nearest": nearest(angles),
            "nearest_positions": nearest(by_position[name]),
        }
        pairs = chosen.get(name)
        if pairs:
            if not base:
                base["logits"] = _logits(study, study.model)
            found |= predicted(study, group, pairs)
            found["alone"] = {rule: _alone(study, {name: pairs}, rule, base["logits"]) for rule in ALONE}
        return found

    groups = kept(study.out / "why.json", list(study.groups), make)
    return {"focus": focus, "accuracy": study.base()["val"]["accuracy"], "groups": groups}


def _logits(study: Study, model: Classifier) -> np.ndarray:
    return inputs.logits(model, study.judge.feed(model, "val"))[0].astype(np.float64)


def _alone(study: Study, pairs: dict[str, Pairs], rule: str, base: np.ndarray) -> dict[str, float]:
    model = tuning.remove(study.model, pairs, rule, study.statistics)
    found = _logits(study, model)
    labels = study.judge.feed(model, "val").labels
    change = float(((found - base) ** 2).sum() / max(((base - base.mean(axis=0)) ** 2).sum(), 1e-12))
    return {"accuracy": float((found.argmax(axis=1) == labels).mean()), "change": change}
