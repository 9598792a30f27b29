"""Which detection each true box picks, by the KITTI devkit's two passes, for all thresholds at once.

Nearly all true boxes and detections meet in pairs of their own; those are counted by sorting. Only the others are
walked through, in file order as the devkit does, because what one picks the next cannot.
"""

from dataclasses import dataclass, field

import numpy as np

SAMPLES = 41
NO_PART, VALID, IGNORED = -1, 0, 1


@dataclass(eq=False)
class Match:
    """True boxes and detections of one class and difficulty, over all images.

    Args:
        pairs: (true box, detection) that overlap enough and both take part, int, shape (p, 2), ascending in both.
        overlaps: IoU of each pair, shape (p,).
        true_roles: NO_PART, VALID or IGNORED of each true box, shape (k,).
        roles: likewise of each detection, shape (m,).
        scores: of each detection, shape (m,).
        wrong: whether the detection is a false positive if no true box picks it, shape (m,).
    """

    pairs: np.ndarray
    overlaps: np.ndarray
    true_roles: np.ndarray
    roles: np.ndarray
    scores: np.ndarray
    wrong: np.ndarray
    alone: np.ndarray = field(init=False)  # pairs whose members overlap nothing else
    shared: np.ndarray = field(init=False)  # detections of the other pairs
    # of each true box of the other pairs: whether it is valid, the columns in `shared` of its detections, their
    # overlaps
    groups: list[tuple[bool, np.ndarray, np.ndarray]] = field(init=False)

    def __post_init__(self) -> None:
        owners, members = self.pairs[:, 0], self.pairs[:, 1]
        single = (np.bincount(owners, minlength=len(self.true_roles))[owners] == 1) & (
            np.bincount(members, minlength=len(self.roles))[members] == 1
        )
        self.alone = self.pairs[single]
        self.shared, columns = np.unique(members[~single], return_inverse=True)
        boxes, starts = np.unique(owners[~single], return_index=True)
        valid = (self.true_roles[boxes] == VALID).tolist()
        parts = np.split(columns, starts[1:]), np.split(self.overlaps[~single], starts[1:])
        self.groups = list(zip(valid, *parts, strict=True)) if valid else []

    def true_positive_scores(self) -> np.ndarray:
        """First pass: the scores of the true positives, descending."""
        return np.sort(self.scores[self.true_positives()])[::-1]

    def true_positives(self) -> np.ndarray:
        """First pass, by highest score: indices of the detections that are true positives."""
        both = (self.true_roles[self.alone[:, 0]] == VALID) & (self.roles[self.alone[:, 1]] == VALID)
        found = self.alone[both, 1].tolist()
        free = np.ones(len(self.shared), bool)
        for valid, columns, _ in self.groups:
            candidates = columns[free[columns]]
            if len(candidates):
                chosen = candidates[np.argmax(self.scores[self.shared[candidates]])]
                free[chosen] = False
                if valid and self.roles[self.shared[chosen]] == VALID:
                    found.append(int(self.shared[chosen]))
        return np.array(found, np.int64)

    def counts(self, thresholds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Second pass: each true box takes the free detection of highest overlap that scores at least the threshold.

        Args:
            thresholds: scores, shape (t,).

        Returns:
            True positives and false positives at each threshold, int, both of shape (t,).
        """
        valid, found = self.true_roles[self.alone[:, 0]] == VALID, self.alone[:, 1]
        tp = _at_least(self.scores[found[valid & (self.roles[found] == VALID)]], thresholds)
        fp = _at_least(self.scores[self.wrong], thresholds)
        fp -= _at_least(self.scores[found[self.wrong[found]]], thresholds)
        # (thresholds, shared detections). Ignored detections are left out: a true box prefers any other to them, and
        # holding one for want of another makes it neither found nor wrong.
        free = (self.scores[self.shared] >= thresholds[:, None]) & (self.roles[self.shared] == VALID)
        for valid_box, columns, overlaps in self.groups:
            available = free[:, columns]
            best = columns[np.where(available, overlaps, 0.0).argmax(axis=1)]
            held = available.any(axis=1)
            free[held, best[held]] = False
            tp += held & valid_box
            fp -= held & self.wrong[self.shared[best]]
        return tp, fp


def sample(scores: np.ndarray, total: int) -> np.ndarray:
    """Score thresholds at which recall is sampled (`getThresholds` of the devkit).

    Args:
        scores: of the true positives, descending.
        total: number of valid true boxes.

    Returns:
        At most 41 of the scores: those nearest to recalls 0, 1/40, 2/40, ...
    """
    chosen: list[float] = []
    wanted = 0.0
    for k, score in enumerate(scores.tolist()):
        last = k == len(scores) - 1
        left, right = (k + 1) / total, (k + 1 if last else k + 2) / total
        if not last and right - wanted < wanted - left:
            continue
        chosen.append(score)
        wanted += 1 / (SAMPLES - 1)
    return np.array(chosen[:SAMPLES])


def _at_least(scores: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """How many scores reach each threshold."""
    return len(scores) - np.searchsorted(np.sort(scores), thresholds, side="left")
