"""KITTI's AP of resampled images, without matching anything again.

The devkit's metric looks at all images together only where it chooses the scores at which recall is sampled; those are
always scores of true positives of its first pass, which belongs to one image like everything else. So each image's true
and false positives are kept as functions of the score threshold, as steps, and a replicate adds up those of its images
at its own thresholds. Nothing is approximated.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from yolo_prune.evaluation.kitti import AVERAGED, DIFFICULTIES, MIN_OVERLAP, frames_of, match_of, scene_of
from yolo_prune.evaluation.kitti_matching import SAMPLES, VALID, Match
from yolo_prune.evaluation.weighted import first_reaching, parts
from yolo_prune.records import Detections, Truth

KittiValues = dict[str, dict[str, dict[str, np.ndarray]]]


@dataclass(frozen=True, eq=False)
class Steps:
    """What changes in which image as the score threshold falls, for one class and difficulty.

    Args:
        scores: at which something changes, descending, shape (e,).
        images: index of the image, shape (e,).
        tp: change of its number of true positives in the second pass, shape (e,).
        fp: likewise of false positives, shape (e,).
        found_scores: scores of the first pass's true positives, descending, shape (f,).
        found_images: their images, shape (f,).
        valid: number of valid true boxes in each image, shape (n,).
    """

    scores: np.ndarray
    images: np.ndarray
    tp: np.ndarray
    fp: np.ndarray
    found_scores: np.ndarray
    found_images: np.ndarray
    valid: np.ndarray

    def precision(self, weights: np.ndarray) -> np.ndarray:
        """Monotone precision at the recall samples of each replicate.

        Args:
            weights: how often each replicate holds each image, int, shape (r, n).

        Returns:
            float64, shape (r, 41), 0-1; zero beyond the highest recall reached.
        """
        result = np.zeros((len(weights), SAMPLES))
        if len(self.found_scores):
            for part in parts(len(weights), len(self.scores)):
                result[part] = self._precision(weights[part])
        return result

    def _precision(self, weights: np.ndarray) -> np.ndarray:
        found = np.cumsum(weights[:, self.found_images], axis=1, dtype=np.int64)
        ranks = sampled_ranks(found[:, -1], weights @ self.valid)
        at = first_reaching(found, np.maximum(ranks, 0) + 1)
        # Steps at a threshold's own score belong to it.
        ends = np.searchsorted(-self.scores, -self.found_scores, side="right") - 1
        columns = ends[np.minimum(at, len(ends) - 1)]
        unfolded = weights[:, self.images]
        tp, fp = (
            np.take_along_axis(np.cumsum(unfolded * change, axis=1, dtype=np.int64), columns, axis=1)
            for change in (self.tp, self.fp)
        )
        precision = np.where(ranks >= 0, tp / np.maximum(tp + fp, 1), 0.0)
        return np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]


def sampled_ranks(found: np.ndarray, total: np.ndarray) -> np.ndarray:
    """Which of its true positives, best first, each replicate's thresholds are: `kitti_matching.sample` for many.

    Args:
        found: number of true positives in each replicate, int, shape (r,).
        total: number of valid true boxes, at least as many, int, shape (r,).

    Returns:
        Ranks from 0 in each row, then -1 where there are no more thresholds; int64, shape (r, 41).
    """
    ranks = np.full((len(found), SAMPLES), -1)
    many, last = np.maximum(total, 1), found - 1
    wanted, before = 0.0, np.full(len(found), -1)
    for column in range(SAMPLES):
        # A score of rank k is passed over while the next recall, (k + 2) / n, is nearer to the wanted one than its own,
        # (k + 1) / n: below k = wanted * n - 3/2. The devkit's own comparison settles what rounding leaves open.
        rank = np.maximum(np.floor(wanted * many - 1.5).astype(np.int64), before + 1)
        for _ in range(2):
            passed = (rank + 2) / many - wanted < wanted - (rank + 1) / many
            rank = np.where(passed, rank + 1, rank)
        rank = np.minimum(rank, last)
        ranks[:, column] = np.where(before < last, rank, -1)
        before = np.maximum(before, rank)
        wanted += 1 / (SAMPLES - 1)
    return ranks


def steps(match: Match, true_images: np.ndarray, images: np.ndarray, count: int) -> Steps:
    """The steps of one class and difficulty.

    Args:
        match: all images together.
        true_images: index of each true box's image.
        images: and of each detection's.
        count: number of images.
    """
    valid = match.true_roles == VALID
    alone = match.alone[valid[match.alone[:, 0]] & (match.roles[match.alone[:, 1]] == VALID), 1]
    wrong = match.wrong.copy()
    wrong[match.alone[:, 1]] = wrong[match.shared] = False
    parts = [
        (match.scores[alone], images[alone], np.ones_like(alone), np.zeros_like(alone)),
        (match.scores[wrong], images[wrong], np.zeros(wrong.sum(), int), np.ones(wrong.sum(), int)),
    ]
    shared = np.flatnonzero(~np.isin(match.pairs[:, 1], match.alone[:, 1]))
    homes = images[match.pairs[shared, 1]]
    # Pairs come image by image; looking for those of each among all would take the square of their number.
    for rows in np.split(shared, np.flatnonzero(np.diff(homes)) + 1) if len(shared) else ():
        scores, tp, fp = _shared_steps(match, rows)
        parts.append((scores, np.full(len(scores), images[match.pairs[rows[0], 1]]), tp, fp))
    scores, homes, tp, fp = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.argsort(-scores, kind="stable")
    found = match.true_positives()
    found = found[np.argsort(-match.scores[found], kind="stable")]
    return Steps(
        scores[order],
        homes[order],
        tp[order],
        fp[order],
        match.scores[found],
        images[found],
        np.bincount(true_images[valid], minlength=count),
    )


def _shared_steps(match: Match, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores, and changes of true and of false positives, of the pairs of one image that compete with each other."""
    owners, owner = np.unique(match.pairs[rows, 0], return_inverse=True)
    members, member = np.unique(match.pairs[rows, 1], return_inverse=True)
    own = Match(
        np.stack([owner, member], axis=1),
        match.overlaps[rows],
        match.true_roles[owners],
        match.roles[members],
        match.scores[members],
        match.wrong[members],
    )
    scores = np.unique(own.scores)[::-1]
    tp, fp = own.counts(scores)
    return scores, np.diff(tp, prepend=0), np.diff(fp, prepend=0)


def kitti_values(
    truths: Sequence[Truth], detections: Sequence[Detections], class_names: Sequence[str], weights: np.ndarray
) -> KittiValues:
    """KITTI's AP of each replicate.

    Args:
        truths: one an image, boxes in original pixels, with `names`.
        detections: one an image in the same order, boxes in original pixels.
        class_names: names of classes 0, 1, ...
        weights: how often each replicate holds each image, int, shape (r, n).

    Returns:
        `{"car" | "pedestrian" | "cyclist": {"easy" | "moderate" | "hard": {"AP11", "AP40"}}}`, each of shape (r,), in
        percent; NaN in a replicate that holds neither a true box of the class nor a detection.

    Raises:
        InputError: if a truth has no names.
    """
    scene = scene_of(frames_of(truths, detections, class_names))
    result: KittiValues = {}
    for name in MIN_OVERLAP:
        present = np.zeros(len(truths), bool)
        present[scene.true_images[scene.names == name]] = True
        present[scene.images[scene.found_names == name]] = True
        absent = ~(weights[:, present] > 0).any(axis=1)
        result[name] = {}
        for label, difficulty in DIFFICULTIES.items():
            match = match_of(scene, name, difficulty)
            precision = steps(match, scene.true_images, scene.images, len(truths)).precision(weights)
            result[name][label] = {
                key: np.where(absent, np.nan, 100 * precision[:, part].mean(axis=1)) for key, part in AVERAGED.items()
            }
    return result
