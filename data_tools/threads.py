"""A few threads that share one job; OpenCV and NumPy let go of Python's lock while they work on pixels."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any


class Threads:
    """The calling thread and up to `count` - 1 helpers, which start when they are first needed.

    May be pickled and used after a fork: helpers are the process's own.

    Args:
        count: threads that work at a time, at least 1.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._helpers: tuple[int, ThreadPoolExecutor] | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return Threads, (self.count,)

    def each(self, work: Callable[[range], None], items: int) -> None:
        """Calls `work` for parts of `range(items)`, at the same time, and returns when all are done.

        Args:
            work: takes some consecutive items; must not depend on what the others do.
            items: how many there are.

        Raises:
            Exception: the first that `work` raised.
        """
        parts = min(self.count, items)
        if parts < 2:
            work(range(items))
            return
        bounds = [items * part // parts for part in range(parts + 1)]
        shares = [range(first, end) for first, end in zip(bounds, bounds[1:], strict=False)]
        waiting = [self._pool().submit(work, share) for share in shares[1:]]
        try:
            work(shares[0])
        finally:
            for future in waiting:
                future.exception()  # nobody may still be writing when this returns
        for future in waiting:
            future.result()

    def _pool(self) -> ThreadPoolExecutor:
        # Threads do not survive a fork, but the pool would believe so and wait for them forever.
        if self._helpers is None or self._helpers[0] != os.getpid():
            self._helpers = (os.getpid(), ThreadPoolExecutor(self.count - 1, thread_name_prefix="batch"))
        return self._helpers[1]
