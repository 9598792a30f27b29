"""Pictures as TensorBoard events."""

from pathlib import Path

import numpy as np

from data_tools.image_files import encode_png


def write_images(logdir: Path, pictures: dict[str, np.ndarray], step: int) -> None:
    """Writes pictures as a TensorBoard event file, without TensorFlow.

    Args:
        logdir: folder of the event file.
        pictures: tag → uint8 (H, W, 3) RGB.
        step: the epoch.
    """
    from run_tools import events  # here, because TensorBoard is slow to import

    values = [events.image(tag, encode_png(picture), picture.shape[:2]) for tag, picture in pictures.items()]
    events.EventFile(logdir).add(values, step)
