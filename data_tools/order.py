"""Which images an epoch shows, and in what order."""

import numpy as np


def epoch_order(
    count: int, shuffle: bool, seed: tuple[int, int], repeats: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Images of an epoch in order, and how often each was there before.

    Args:
        count: images.
        shuffle: draw an order; else they come as they are, once each.
        seed: of the order, such as (seed, epoch).
        repeats: how often each is drawn, against others, (count,) above 0; None: once each.

    Returns:
        int64 (count,) both: an epoch is as long as ever, whatever is repeated.
    """
    order = np.arange(count)
    if not shuffle:
        return order, np.zeros(count, np.int64)
    rng = np.random.default_rng(seed)
    if repeats is None:
        return rng.permutation(count), np.zeros(count, np.int64)
    # Systematic sampling: each image comes as often as it should, rounded down or up, and the epoch keeps its length.
    ends = np.floor(np.cumsum(repeats) * (count / repeats.sum()) + rng.random())
    ends[-1] = count
    order = rng.permutation(np.repeat(order, np.diff(ends, prepend=0).astype(np.int64)))
    ranked = np.argsort(order, kind="stable")
    visits = np.empty(count, np.int64)
    visits[ranked] = np.arange(count) - np.searchsorted(order[ranked], order[ranked])
    return order, visits
