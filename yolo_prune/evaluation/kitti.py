"""The official KITTI 2D object metric, as the current C++ devkit computes it, in vectorised NumPy.

What counts, class by class (`cleanData` of the devkit):

1. A true box of the class is *valid* if it is at most as occluded and truncated, and higher, than the difficulty
   allows; otherwise it is *ignored*: neither to be found nor wrong to be found. Van is always ignored for Car,
   Person_sitting for Pedestrian. Other classes take no part.
2. A detection lower than the difficulty's minimum height is *ignored*, whatever its class; other
   detections take part if they are of the class.

Then, image by image (`computeStatistics`), true boxes in file order pick among the detections that overlap them enough
and are not taken yet: first the one with the highest score, which yields the scores at which recall is sampled (at most
41); then, for each of these thresholds, the one with the highest overlap, an ignored one only where there is no other.
A pair of which one is ignored counts nothing. Detections left over are false positives unless a DontCare region covers
enough of their own area. Precision is made monotone from the right; AP11 is the mean of samples 0, 4, ..., 40, AP40 of
1 ... 40.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from data_tools.boxes import coverage, iou
from run_tools.errors import InputError
from yolo_prune.evaluation.kitti_matching import IGNORED, NO_PART, SAMPLES, VALID, Match, sample
from yolo_prune.records import Detections, Truth

Result = dict[str, dict[str, dict[str, float | None]]]

MIN_OVERLAP = {"car": 0.7, "pedestrian": 0.5, "cyclist": 0.5}
NEUTRAL = {"car": "van", "pedestrian": "person_sitting"}
ALIASES = {"person": "pedestrian", "bicycle": "cyclist"}  # the COCO head's names of KITTI's classes


@dataclass(frozen=True)
class Difficulty:
    """What a true box may look like to be counted: minimum height in pixels, occlusion 0-3, truncation 0-1."""

    height: float
    occluded: int
    truncated: float


DIFFICULTIES = {"easy": Difficulty(40, 0, 0.15), "moderate": Difficulty(25, 1, 0.3), "hard": Difficulty(25, 2, 0.5)}

AVERAGED = {"AP11": slice(None, None, 4), "AP40": slice(1, None)}
"""Which of the 41 samples of precision each figure is the mean of."""


@dataclass(frozen=True, eq=False)
class Frame:
    """True boxes and detections of one image, named as KITTI names them (upper and lower case are the same).

    Args:
        true_boxes: xyxy pixels, shape (k, 4), DontCare regions included.
        true_names: class of each.
        truncated: 0-1, shape (k,).
        occluded: 0-3, shape (k,).
        boxes: xyxy pixels of the detections, shape (m, 4).
        scores: shape (m,).
        names: class of each detection.
    """

    true_boxes: np.ndarray
    true_names: Sequence[str]
    truncated: np.ndarray
    occluded: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray
    names: Sequence[str]


@dataclass(eq=False)
class Scene:
    """All frames end to end, with the pairs of true box and detection that overlap by more than .5."""

    true_images: np.ndarray  # index of the frame of each true box
    images: np.ndarray  # and of each detection
    names: np.ndarray
    heights: np.ndarray
    truncated: np.ndarray
    occluded: np.ndarray
    found_names: np.ndarray
    found_heights: np.ndarray
    scores: np.ndarray
    covered: np.ndarray  # largest part of a detection inside one DontCare region
    pairs: np.ndarray  # (p, 2): index of true box, of detection; in order of both
    overlaps: np.ndarray  # (p,)


def kitti(truths: Sequence[Truth], detections: Sequence[Detections], class_names: Sequence[str]) -> Result:
    """The official metric of a detector on images whose KITTI class names are known.

    Args:
        truths: one an image, boxes in original pixels, with `names`.
        detections: one an image in the same order, boxes in original pixels.
        class_names: the detector's classes 0, 1, ...: car, pedestrian and cyclist (COCO's person and bicycle) count as
            KITTI's; the others only where rule 2 above applies.

    Returns:
        See `average_precision`.

    Raises:
        InputError: if a truth has no names.
    """
    return average_precision(frames_of(truths, detections, class_names))


def frames_of(truths: Sequence[Truth], detections: Sequence[Detections], class_names: Sequence[str]) -> list[Frame]:
    """A detector's records as the metric takes them.

    Args:
        truths: as in `kitti`.
        detections: as in `kitti`.
        class_names: as in `kitti`.

    Returns:
        One frame an image; truncations and true boxes with the decimals of a label file, boxes in original pixels.

    Raises:
        InputError: if a truth has no names.
    """
    lower = [ALIASES.get(name.lower(), name.lower()) for name in class_names]
    frames = []
    for index, (truth, found) in enumerate(zip(truths, detections, strict=True)):
        if truth.names is None:
            raise InputError(
                f"the true boxes of image {index} without KITTI class names",
                "names, because Van and Person_sitting are neutral in the KITTI metric",
                "give Truth its names, or leave the kitti metric out",
            )
        found_names = [lower[k] for k in found.classes.tolist()]
        # float32 .15 exceeds .15, and 25 pixels may come back from the stored image's size as 25.00001, which the
        # devkit judges otherwise: back to the decimals of the label file.
        truncated = np.round(truth.truncated.astype(np.float64), 4)
        true_boxes = np.round(truth.boxes.astype(np.float64), 3)
        frames.append(Frame(true_boxes, truth.names, truncated, truth.occluded, found.boxes, found.scores, found_names))
    return frames


def average_precision(frames: Sequence[Frame]) -> Result:
    """Average precision of each class and difficulty.

    Args:
        frames: the images.

    Returns:
        `{"car" | "pedestrian" | "cyclist": {"easy" | "moderate" | "hard": {"AP11", "AP40"}}}` in percent. As in the
        devkit it is 0 where there are detections but nothing to find; None for a class of which there is neither.
    """
    scene = scene_of(frames)
    result: Result = {}
    for name in MIN_OVERLAP:
        absent = not (scene.names == name).any() and not (scene.found_names == name).any()
        result[name] = {}
        for label, difficulty in DIFFICULTIES.items():
            precision = _precision(scene, name, difficulty)
            result[name][label] = {
                key: None if absent else float(100 * precision[part].mean()) for key, part in AVERAGED.items()
            }
    return result


def curves(
    truths: Sequence[Truth],
    detections: Sequence[Detections],
    class_names: Sequence[str],
    difficulty: str = "moderate",
) -> dict[str, np.ndarray]:
    """Precision against recall, of which `kitti` gives the means.

    Args:
        truths: as in `kitti`.
        detections: as in `kitti`.
        class_names: as in `kitti`.
        difficulty: "easy", "moderate" or "hard".

    Returns:
        `{class: precision}` of the classes that have a true box of that difficulty; monotone precision in 0-1 at the
        41 recalls 0, 1/40, ..., 1, zero beyond the highest recall reached.

    Raises:
        InputError: if a truth has no names.
    """
    scene = scene_of(frames_of(truths, detections, class_names))
    level = DIFFICULTIES[difficulty]
    present = [name for name in MIN_OVERLAP if (_roles(scene, name, level)[0] == VALID).any()]
    return {name: _precision(scene, name, level) for name in present}


def scene_of(frames: Sequence[Frame]) -> Scene:
    """The frames end to end.

    Args:
        frames: the images.

    Returns:
        All boxes in the order of the frames and of each frame's own, with the pairs whose IoU exceeds .5.
    """
    pairs: list[np.ndarray] = [np.zeros((0, 2), np.int64)]
    overlaps: list[np.ndarray] = [np.zeros(0)]
    covered: list[np.ndarray] = [np.zeros(0)]
    first_true = first_found = 0
    for frame in frames:
        true_boxes = np.asarray(frame.true_boxes, np.float64).reshape(-1, 4)
        boxes = np.asarray(frame.boxes, np.float64).reshape(-1, 4)
        table = iou(true_boxes, boxes)
        near = np.argwhere(table > min(MIN_OVERLAP.values()))
        overlaps.append(table[near[:, 0], near[:, 1]])
        pairs.append(near + np.array([first_true, first_found]))
        regions = true_boxes[[name.lower() == "dontcare" for name in frame.true_names]]
        covered.append(coverage(boxes, regions).max(axis=1, initial=0.0))
        first_true, first_found = first_true + len(true_boxes), first_found + len(boxes)
    true_boxes = _joined([frame.true_boxes for frame in frames]).reshape(-1, 4)
    boxes = _joined([frame.boxes for frame in frames]).reshape(-1, 4)
    order = np.arange(len(frames))
    return Scene(
        true_images=np.repeat(order, [len(frame.true_names) for frame in frames]),
        images=np.repeat(order, [len(frame.names) for frame in frames]),
        names=np.array([name.lower() for frame in frames for name in frame.true_names], dtype=np.str_),
        heights=true_boxes[:, 3] - true_boxes[:, 1],
        truncated=_joined([frame.truncated for frame in frames]),
        occluded=_joined([frame.occluded for frame in frames]),
        found_names=np.array([name.lower() for frame in frames for name in frame.names], dtype=np.str_),
        found_heights=np.abs(boxes[:, 3] - boxes[:, 1]),
        scores=_joined([frame.scores for frame in frames]),
        covered=np.concatenate(covered),
        pairs=np.concatenate(pairs),
        overlaps=np.concatenate(overlaps),
    )


def _joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.zeros(0)] + [np.asarray(part, np.float64).ravel() for part in parts])


def _roles(scene: Scene, name: str, difficulty: Difficulty) -> tuple[np.ndarray, np.ndarray]:
    """NO_PART, VALID or IGNORED of each true box and of each detection (rules 1 and 2)."""
    own = scene.names == name
    hidden = (scene.occluded > difficulty.occluded) | (scene.truncated > difficulty.truncated)
    harder = hidden | (scene.heights <= difficulty.height)
    ignored = (scene.names == NEUTRAL.get(name, "")) | (own & harder)
    true_roles = np.where(ignored, IGNORED, np.where(own, VALID, NO_PART))
    low = scene.found_heights < difficulty.height
    return true_roles, np.where(low, IGNORED, np.where(scene.found_names == name, VALID, NO_PART))


def _precision(scene: Scene, name: str, difficulty: Difficulty) -> np.ndarray:
    """Monotone precision at the recall samples, shape (41,), zero beyond the highest recall reached."""
    match = match_of(scene, name, difficulty)
    thresholds = sample(match.true_positive_scores(), int((match.true_roles == VALID).sum()))
    tp, fp = match.counts(thresholds)
    precision = np.zeros(SAMPLES)
    precision[: len(thresholds)] = np.maximum.accumulate((tp / np.maximum(tp + fp, 1))[::-1])[::-1]
    return precision


def match_of(scene: Scene, name: str, difficulty: Difficulty) -> Match:
    """Which true box may take which detection, for one class and difficulty.

    Args:
        scene: all images.
        name: "car", "pedestrian" or "cyclist".
        difficulty: one of `DIFFICULTIES`.

    Returns:
        The pairs whose IoU exceeds the class's threshold and of which both take part, and everybody's role.
    """
    true_roles, roles = _roles(scene, name, difficulty)
    near = scene.overlaps > MIN_OVERLAP[name]
    near &= (true_roles[scene.pairs[:, 0]] != NO_PART) & (roles[scene.pairs[:, 1]] != NO_PART)
    wrong = (roles == VALID) & (scene.covered <= MIN_OVERLAP[name])
    return Match(scene.pairs[near], scene.overlaps[near], true_roles, roles, scene.scores, wrong)
