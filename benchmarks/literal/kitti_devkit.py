"""The KITTI devkit's 2D object metric loop by loop, as its C++ reads: slow, plain, and what the fast one must equal.

The names in parentheses are those of the devkit's functions in `evaluate_object.cpp`. It shares no code with
`yolo_prune.evaluation.kitti`, only the record `Frame` that both are given.
"""

from yolo_prune.evaluation.kitti import Frame

LEVELS = {"easy": (40, 0, 0.15), "moderate": (25, 1, 0.3), "hard": (25, 2, 0.5)}
MINIMUM = {"car": 0.7, "pedestrian": 0.5, "cyclist": 0.5}
NEUTRAL = {"car": "van", "pedestrian": "person_sitting"}


def overlap(a, b, own_area: bool = False) -> float:
    """Intersection over union of two xyxy boxes, or over the first's own area (`imageBoxOverlap`)."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    first, second = (a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1])
    return width * height / (first if own_area else first + second - width * height)


def roles(scene: Frame, name: str, level: str) -> tuple[list[str], list[str]]:
    """valid, ignored or none for each true box and each detection (`cleanData`)."""
    height, occluded, truncated = LEVELS[level]
    true_roles, found_roles = [], []
    for box, own, cut, hidden in zip(scene.true_boxes, scene.true_names, scene.truncated, scene.occluded, strict=True):
        harder = hidden > occluded or cut > truncated or box[3] - box[1] <= height
        if own.lower() == name:
            true_roles.append("ignored" if harder else "valid")
        else:
            true_roles.append("ignored" if own.lower() == NEUTRAL.get(name) else "none")
    for box, own in zip(scene.boxes, scene.names, strict=True):
        if int(abs(box[3] - box[1])) < height:
            found_roles.append("ignored")
        else:
            found_roles.append("valid" if own.lower() == name else "none")
    return true_roles, found_roles


def one_pass(
    scene: Frame, name: str, both_roles: tuple[list[str], list[str]], threshold: float | None = None
) -> tuple[list[float], int]:
    """Scores of the true positives and the number of false positives of one image (`computeStatistics`)."""
    (true_roles, found_roles), minimum = both_roles, MINIMUM[name]
    taken, found = set(), []
    candidates = [
        j
        for j in range(len(found_roles))
        if found_roles[j] != "none" and (threshold is None or scene.scores[j] >= threshold)
    ]
    for i, box in enumerate(scene.true_boxes):
        if true_roles[i] == "none":
            continue
        best = _choice(scene, box, [j for j in candidates if j not in taken], found_roles, minimum, threshold is None)
        if best is not None:
            taken.add(best)
            if true_roles[i] == "valid" and found_roles[best] == "valid":
                found.append(scene.scores[best])
    regions = [box for box, own in zip(scene.true_boxes, scene.true_names, strict=True) if own == "DontCare"]
    left = [j for j in candidates if found_roles[j] == "valid" and j not in taken]
    false = [j for j in left if all(overlap(scene.boxes[j], region, True) <= minimum for region in regions)]
    return found, len(false)


def _choice(scene: Frame, box, free: list[int], found_roles: list[str], minimum: float, by_score: bool) -> int | None:
    """The detection that a true box takes: of the highest score, or of the highest overlap."""
    best = None
    for j in free:
        shared = overlap(box, scene.boxes[j])
        if shared <= minimum:
            continue
        if best is None:
            best = j
        elif by_score:
            if scene.scores[j] > scene.scores[best]:
                best = j
        elif found_roles[j] == "valid" and (found_roles[best] == "ignored" or shared > overlap(box, scene.boxes[best])):
            best = j
    return best


def thresholds_of(scores: list[float], total: int) -> list[float]:
    """The scores at which recall is sampled (`getThresholds`)."""
    scores = sorted(scores, reverse=True)
    thresholds, recall = [], 0.0
    for k, score in enumerate(scores):
        left, right = (k + 1) / total, min(k + 2, len(scores)) / total
        if right - recall < recall - left and k < len(scores) - 1:
            continue
        thresholds.append(score)
        recall += 1 / 40
    return thresholds


def literal_ap(frames: list[Frame], name: str, level: str) -> dict[str, float]:
    """AP11 and AP40 in percent of one class and difficulty (`eval_class`)."""
    cleaned = [roles(frame, name, level) for frame in frames]
    scores = [score for frame, own in zip(frames, cleaned, strict=True) for score in one_pass(frame, name, own)[0]]
    total = sum(own[0].count("valid") for own in cleaned)
    precision = [0.0] * 41
    for k, threshold in enumerate(thresholds_of(scores, total)[:41]):
        parts = [one_pass(frame, name, own, threshold) for frame, own in zip(frames, cleaned, strict=True)]
        true, false = sum(len(part[0]) for part in parts), sum(part[1] for part in parts)
        precision[k] = true / (true + false) if true + false else 0.0
    precision = [max(precision[k:]) for k in range(41)]
    return {"AP11": 100 * sum(precision[::4]) / 11, "AP40": 100 * sum(precision[1:]) / 40}
