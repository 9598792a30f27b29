"""Seeded splits that do not leak: a group (a drive) never straddles two splits."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from data_tools.balance import best_assignment, best_choice
from run_tools.errors import InputError

SPLIT_NAMES = ("train", "val", "test")
Splits = dict[str, list[str]]


def check_fractions(fractions: Sequence[float]) -> tuple[float, ...]:
    """Fractions of train, val and test.

    Args:
        fractions: three numbers from 0 to 1 whose sum is 1; the first above 0.

    Returns:
        The same as a tuple of floats.

    Raises:
        InputError: otherwise.
    """
    values = tuple(float(fraction) for fraction in fractions)
    good = len(values) == len(SPLIT_NAMES) and all(math.isfinite(v) and 0 <= v <= 1 for v in values)
    if not good or abs(sum(values) - 1) > 1e-6 or values[0] == 0:
        total = f", sum {sum(values):g}" if values else ""
        raise InputError(
            f"fractions {' '.join(f'{v:g}' for v in values)}{total}",
            "three numbers for train, val, test, from 0 to 1 (train above 0), whose sum is 1",
            "pass for example --fractions .8 .1 .1",
        )
    return values


def _named(names: Sequence[str], members: Sequence[Sequence[str]]) -> Splits:
    return {name: sorted(ids) for name, ids in zip(names, members, strict=True)}


def _wanted(fractions: Sequence[float]) -> tuple[list[str], list[float]]:
    """Names and fractions of the splits that shall hold anything."""
    pairs = [(name, fraction) for name, fraction in zip(SPLIT_NAMES, fractions, strict=True) if fraction > 0]
    return [name for name, _ in pairs], [fraction for _, fraction in pairs]


MORE = "use more images (a larger --limit), fewer splits (a fraction of 0)"


def _enough(number: int, needed: int, what: str, fix: str = f"{MORE} or --split random") -> None:
    if number < needed:
        raise InputError(f"{number} {what} for {needed} splits", f"at least {needed}: one a split", fix)


def random(ids: Sequence[str], fractions: Sequence[float] = (0.8, 0.1, 0.1), seed: int = 0) -> Splits:
    """Samples dealt at random. Leaks where samples look alike, such as neighbouring frames of a video.

    Args:
        ids: all samples.
        fractions: of train, val and test, sum 1; a split of fraction 0 is left out.
        seed: same ids and seed, same split.

    Returns:
        Sorted ids of each split.

    Raises:
        InputError: fractions are wrong, or there are fewer samples than splits.
    """
    names, wanted = _wanted(check_fractions(fractions))
    _enough(len(ids), len(names), "images")
    shuffled = np.random.default_rng(seed).permutation(sorted(ids)).tolist()
    # Largest remainder keeps the sum; one sample at least keeps every split usable.
    ideal = np.asarray(wanted) * len(ids)
    counts = np.maximum(np.floor(ideal + 1e-9).astype(int), 1)
    while counts.sum() < len(ids):
        counts[np.argmax(ideal - counts)] += 1
    while counts.sum() > len(ids):
        counts[np.argmax(np.where(counts > 1, counts - ideal, -np.inf))] -= 1
    ends = np.cumsum(counts)
    return _named(names, [shuffled[end - count : end] for end, count in zip(ends, counts, strict=True)])


def _grouped(groups: Mapping[str, str], counts: Mapping[str, ArrayLike]) -> tuple[list[str], np.ndarray]:
    """Names of the groups, sorted, and what each holds: images, then objects of each class."""
    names = sorted(set(groups.values()))
    row = {name: number for number, name in enumerate(names)}
    classes = np.size(next(iter(counts.values()))) if counts else 0
    content = np.zeros((len(names), 1 + classes))
    for sample_id, group in groups.items():
        content[row[group], 0] += 1
        if counts:
            content[row[group], 1:] += np.asarray(counts[sample_id])
    return names, content


def by_group(
    groups: Mapping[str, str],
    counts: Mapping[str, ArrayLike] | None = None,
    fractions: Sequence[float] = (0.8, 0.1, 0.1),
    seed: int = 0,
) -> Splits:
    """Whole groups dealt so that images and objects of each class come close to the wanted fractions.

    Args:
        groups: group of each sample.
        counts: number of objects of each class in each sample; without it only images are balanced.
        fractions: of train, val and test, sum 1; a split of fraction 0 is left out.
        seed: same input and seed, same split.

    Returns:
        Sorted ids of each split; no group is in two of them.

    Raises:
        InputError: fractions are wrong, or there are fewer groups than splits.
    """
    names, wanted = _wanted(check_fractions(fractions))
    group_names, content = _grouped(groups, counts or {})
    _enough(len(group_names), len(names), "groups (drives)")
    owner = best_assignment(content, wanted, np.random.default_rng(seed))
    split_of = dict(zip(group_names, owner, strict=True))
    return _named(
        names, [[i for i, group in groups.items() if split_of[group] == number] for number in range(len(names))]
    )


def standard(
    lists: Mapping[str, Sequence[str]],
    present: Sequence[str],
    groups: Mapping[str, str] | None = None,
    counts: Mapping[str, ArrayLike] | None = None,
    seed: int = 0,
) -> Splits:
    """A published train / val split as train / val / test: `test` is its val list, `val` is taken from its train list.

    A list that names a test split itself is used as it is. Else `val` is a tenth of the train list's groups, chosen
    to hold close to a tenth of its images and of each class; without groups, a tenth of its images.

    Args:
        lists: published ids of "train" and "val" (and "test").
        present: ids that are here; published ids that are not are left out.
        groups: group of each sample, where known.
        counts: number of objects of each class in each sample.
        seed: decides the choice of `val`.

    Returns:
        Sorted ids of each split.

    Raises:
        InputError: none of the published ids of a list is here, or too few to take `val` from.
    """
    here = set(present)
    kept = {name: sorted(here.intersection(ids)) for name, ids in lists.items()}
    for name, ids in kept.items():
        if not ids:
            raise InputError(
                f"none of the {len(lists[name])} ids of the standard {name} list among {len(here)} images",
                "images of both lists",
                "use --split random or drive",
            )
    if "test" in kept:
        return {name: kept[name] for name in SPLIT_NAMES}
    rng = np.random.default_rng(seed)
    train = kept["train"]
    units = {i: groups[i] for i in train} if groups else {i: i for i in train}
    names, content = _grouped(units, {i: counts[i] for i in train} if counts else {})
    _enough(len(names), 2, "groups (drives)" if groups else "images")
    chosen = {names[row] for row in best_choice(content, max(1, round(len(names) / 10)), 0.1, rng)}
    val = [i for i in train if units[i] in chosen]
    return {"train": [i for i in train if units[i] not in chosen], "val": val, "test": kept["val"]}


def stratified(labels: Mapping[str, str], fractions: Sequence[float] = (0.8, 0.1, 0.1), seed: int = 0) -> Splits:
    """Samples dealt at random class by class, so that every split has every class in close to the wanted fractions.

    Args:
        labels: class of each sample.
        fractions: of train, val and test, sum 1; a split of fraction 0 is left out.
        seed: same samples and seed, same split; a class's deal does not depend on the other classes.

    Returns:
        Sorted ids of each split.

    Raises:
        InputError: fractions are wrong, or a class has fewer samples than there are splits.
    """
    names, _ = _wanted(check_fractions(fractions))
    members: Splits = {name: [] for name in names}
    for label in sorted(set(labels.values())):
        ids = [sample_id for sample_id, of in labels.items() if of == label]
        _enough(len(ids), len(names), f"images of class {label!r}", f"{MORE} or leave the class out")
        for name, dealt in random(ids, fractions, seed).items():
            members[name] += dealt
    return {name: sorted(ids) for name, ids in members.items()}


def listed(lists: Mapping[str, Sequence[str]], present: Sequence[str]) -> Splits:
    """A split that the data set itself makes, as it is.

    Args:
        lists: ids of some of "train", "val" and "test".
        present: ids that are used; others are left out.

    Returns:
        Sorted ids of each split.

    Raises:
        InputError: nothing is left of a split.
    """
    here = set(present)
    kept = {name: sorted(here.intersection(lists[name])) for name in SPLIT_NAMES if name in lists}
    for name, ids in kept.items():
        if not ids:
            raise InputError(
                f"no image of the {name} split among the {len(here)} in use",
                "at least one a split",
                "use more images (a larger --limit) or --split stratified",
            )
    return kept
