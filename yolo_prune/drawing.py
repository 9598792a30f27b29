"""Boxes drawn on images: detections solid with class and score, truth dashed, DontCare regions hatched grey."""

from collections.abc import Sequence

import cv2
import numpy as np

from run_tools.errors import InputError
from yolo_prune.records import DONT_CARE, Detections, Truth

Colour = tuple[int, int, int]

# Told apart also by most colour-blind readers, bright enough for street scenes (after Okabe and Ito, and Tol).
PALETTE: tuple[Colour, ...] = (
    (86, 180, 233),
    (230, 159, 0),
    (0, 200, 140),
    (240, 228, 66),
    (225, 105, 180),
    (213, 94, 0),
    (150, 130, 255),
    (170, 221, 90),
)
GREY: Colour = (160, 160, 160)
DARK: Colour = (20, 20, 20)
FONT = cv2.FONT_HERSHEY_SIMPLEX


def colour(class_index: int) -> Colour:
    """The RGB colour of a class; beyond the palette's, hues by the golden ratio, so that neighbours differ."""
    if class_index < 0:
        return GREY
    if class_index < len(PALETTE):
        return PALETTE[class_index]
    hue = int(class_index * 0.618034 * 180) % 180
    pixel = cv2.cvtColor(np.array([[[hue, 170, 240]]], np.uint8), cv2.COLOR_HSV2RGB)[0, 0]
    return int(pixel[0]), int(pixel[1]), int(pixel[2])


def draw(
    image: np.ndarray,
    detections: Detections | None = None,
    truth: Truth | None = None,
    class_names: Sequence[str] = (),
    score_threshold: float = 0.0,
) -> np.ndarray:
    """A copy of an image with boxes on it.

    Args:
        image: RGB, uint8, shape (H, W, 3).
        detections: boxes in pixels of this image, or None.
        truth: boxes in pixels of this image, or None; named by its own names where it has them.
        class_names: names of classes 0, 1, ...; a class without one is called by its number.
        score_threshold: detections that score less are left out.

    Returns:
        RGB, uint8, shape (H, W, 3). The weakest detections lie at the bottom, the truth under all of them.

    Raises:
        InputError: if the image is not uint8 RGB.
    """
    canvas = _rgb(image).copy()
    if truth is not None:
        for k in np.argsort(truth.classes != DONT_CARE, kind="stable").tolist():  # regions first
            if truth.classes[k] == DONT_CARE:
                _hatch(canvas, truth.boxes[k])
            else:
                name = truth.names[k] if truth.names else _name(class_names, int(truth.classes[k]))
                _dashed(canvas, truth.boxes[k], colour(int(truth.classes[k])))
                _label(canvas, truth.boxes[k], name, colour(int(truth.classes[k])), below=True)
    if detections is not None:
        shown = detections.take(detections.scores >= score_threshold)
        order = np.argsort(shown.scores, kind="stable").tolist()
        for k in order:
            _solid(canvas, shown.boxes[k], colour(int(shown.classes[k])))
        for k in order:  # after all boxes: no line crosses a label
            text = f"{_name(class_names, int(shown.classes[k]))} {shown.scores[k]:.2f}"
            _label(canvas, shown.boxes[k], text, colour(int(shown.classes[k])))
    return canvas


def grid(images: Sequence[np.ndarray], columns: int = 2, titles: Sequence[str] = (), gap: int = 6) -> np.ndarray:
    """Images in rows on white.

    Args:
        images: RGB, uint8, at least one; all are brought to the size of the first.
        columns: images a row.
        titles: one text an image, written above it; none when empty.
        gap: white pixels between images.

    Returns:
        RGB, uint8.

    Raises:
        InputError: if there is no image, no column, or titles for only some.
    """
    if not images or columns < 1:
        raise InputError(f"{len(images)} images in {columns} columns", "at least one of each", "give an image")
    if titles and len(titles) != len(images):
        raise InputError(f"{len(titles)} titles for {len(images)} images", "one an image", "give as many titles")
    height, width = _rgb(images[0]).shape[:2]
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    scale, thickness = _font(height, width)
    head = _text_size("Ag", scale, thickness)[1] + 8 if titles else 0
    canvas = np.full((rows * (height + head + gap) - gap, columns * (width + gap) - gap, 3), 255, np.uint8)
    for k, image in enumerate(images):
        top, left = k // columns * (height + head + gap), k % columns * (width + gap)
        if titles:
            cell = canvas[top : top + head, left : left + width]  # a view: a long title is cut at its image
            cv2.putText(cell, titles[k], (2, head - 6), FONT, scale, DARK, thickness, cv2.LINE_AA)
        resized = (
            image
            if image.shape[:2] == (height, width)
            else cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        )
        canvas[top + head : top + head + height, left : left + width] = _rgb(resized)
    return canvas


def _rgb(image: np.ndarray) -> np.ndarray:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise InputError(f"an image of {image.dtype}, shape {image.shape}", "uint8 RGB (H, W, 3)", "convert it first")
    return np.ascontiguousarray(image)


def _name(class_names: Sequence[str], class_index: int) -> str:
    return class_names[class_index] if 0 <= class_index < len(class_names) else str(class_index)


def _stroke(canvas: np.ndarray) -> int:
    """Line width in pixels that suits the image's size."""
    return max(1, round(float(min(canvas.shape[:2])) / 250))


def _font(height: int, width: int) -> tuple[float, int]:
    """Font scale and stroke that suit an image's size."""
    scale = float(np.clip(min(height, width) / 750, 0.33, 1.5))
    return scale, max(1, round(scale * 1.5))


def _text_size(text: str, scale: float, thickness: int) -> tuple[int, int]:
    """Width and height in pixels, the part below the base line included."""
    (width, height), below = cv2.getTextSize(text, FONT, scale, thickness)
    return width, height + below


def _corners(canvas: np.ndarray, box: np.ndarray) -> tuple[int, int, int, int]:
    """Left, top, right, bottom as pixels inside the image."""
    height, width = canvas.shape[:2]
    limits = np.array([width, height, width, height]) - 1
    left, top, right, bottom = np.clip(np.round(np.nan_to_num(box)), 0, limits).astype(int).tolist()
    return left, top, right, bottom


def _solid(canvas: np.ndarray, box: np.ndarray, ink: Colour) -> None:
    left, top, right, bottom = _corners(canvas, box)
    stroke = _stroke(canvas)
    cv2.rectangle(canvas, (left, top), (right, bottom), DARK, stroke + 2)  # seen on any background
    cv2.rectangle(canvas, (left, top), (right, bottom), ink, stroke)


def _dashed(canvas: np.ndarray, box: np.ndarray, ink: Colour) -> None:
    left, top, right, bottom = _corners(canvas, box)
    dash = 4 * _stroke(canvas) + 2
    for x in range(left, right + 1, 2 * dash):
        for y in (top, bottom):
            cv2.line(canvas, (x, y), (min(x + dash, right), y), ink, _stroke(canvas))
    for y in range(top, bottom + 1, 2 * dash):
        for x in (left, right):
            cv2.line(canvas, (x, y), (x, min(y + dash, bottom)), ink, _stroke(canvas))


def _hatch(canvas: np.ndarray, box: np.ndarray) -> None:
    left, top, right, bottom = _corners(canvas, box)
    region = canvas[top : bottom + 1, left : right + 1]
    rows, columns = np.indices(region.shape[:2])
    period = 4 * _stroke(canvas) + 4
    lines = (rows + columns) % period < _stroke(canvas)
    region[lines] = (0.3 * region[lines] + 0.7 * np.array(GREY)).astype(np.uint8)
    cv2.rectangle(canvas, (left, top), (right, bottom), GREY, 1)


def _label(canvas: np.ndarray, box: np.ndarray, text: str, ink: Colour, below: bool = False) -> None:
    """Text on a patch of the class's colour, above the box (or below it), always inside the image."""
    left, top, _, bottom = _corners(canvas, box)
    scale, thickness = _font(*canvas.shape[:2])
    (width, ascent), descent = cv2.getTextSize(text, FONT, scale, thickness)
    width, height = width + 4, ascent + descent + 2
    x = max(0, min(left, canvas.shape[1] - width))
    y = bottom + 1 if below else top - height
    y = max(0, min(y, canvas.shape[0] - height))
    patch = canvas[y : y + height, x : x + width]
    if below:  # the truth's patch lets the image through
        patch[:] = (0.5 * patch + 0.5 * np.array(ink)).astype(np.uint8)
    else:
        patch[:] = ink
    light = np.dot(patch.reshape(-1, 3).mean(axis=0), (0.299, 0.587, 0.114)) > 110
    pen: Colour = DARK if light else (255, 255, 255)
    cv2.putText(canvas, text, (x + 2, y + ascent + 1), FONT, scale, pen, thickness, cv2.LINE_AA)
