"""Multi-scale: which sizes a training rotates through."""

from data_tools.items import STRIDE, check_size
from run_tools.errors import InputError


def around(size: tuple[int, int], share: float) -> tuple[tuple[int, int], ...]:
    """Sizes of about one aspect.

    The shorter side takes every multiple of 32 in its range, the longer one is the nearest multiple to the aspect, so
    that a wide input stays wide: 416x128 with .35 gives 320x96, 416x128 and 512x160.

    Args:
        size: (H, W) in the middle, multiples of 32.
        share: the shorter side goes from size / (1 + share) to size · (1 + share), from 0 up.

    Returns:
        (H, W) each, from the smallest to the largest, `size` among them.

    Raises:
        InputError: for a share below 0 or a size that is no multiple of 32.
    """
    if not 0.0 <= share < float("inf"):
        raise InputError(f"multi-scale share {share}", "a number from 0 up", "for example .35; 0 turns it off")
    height, width = check_size(size)
    short, long = sorted((height, width))
    # A hair of tolerance: .35 of 160 must count as 56.
    low, high = short / (1 + share) - 1e-6, short * (1 + share) + 1e-6
    found = []
    for side in range(STRIDE, int(high) + 1, STRIDE):
        if side >= low:
            other = max(STRIDE, round(side * long / short / STRIDE) * STRIDE)
            found.append((side, other) if height <= width else (other, side))
    return tuple(found)
