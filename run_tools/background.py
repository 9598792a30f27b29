"""Work before and behind a loop, in threads: reading ahead and writing behind, a bounded distance each."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Self, TypeVar

Item = TypeVar("Item")
_POLL = 0.1


def ahead(items: Iterable[Item], depth: int) -> Generator[Item, None, None]:
    """Iterates in a thread of its own, while the caller works on earlier items.

    Args:
        items: taken from in that thread alone.
        depth: how many may wait to be fetched, at least 1.

    Yields:
        The items, in order.

    Raises:
        Exception: what `items` raised, after the items before it. Left early, the thread ends and closes `items`.
    """
    waiting: queue.Queue[tuple[str, Any]] = queue.Queue(depth)
    left = threading.Event()

    def put(kind: str, value: Any) -> bool:
        """Whether somebody is still there to fetch it."""
        while not left.is_set():
            with contextlib.suppress(queue.Full):
                waiting.put((kind, value), timeout=_POLL)
                return True
        return False

    def work() -> None:
        iterator = iter(items)
        try:
            for item in iterator:
                if not put("item", item):
                    break
            put("end", None)
        except BaseException as error:  # noqa: BLE001 - raised again where the items are wanted
            put("error", error)
        finally:
            close = getattr(iterator, "close", None)
            if close is not None:
                close()

    thread = threading.Thread(target=work, name="ahead", daemon=True)
    thread.start()
    try:
        while True:
            kind, value = waiting.get()
            if kind == "item":
                yield value
            elif kind == "error":
                raise value
            else:
                return
    finally:
        left.set()
        thread.join()


class Behind:
    """Calls that are made in threads while the caller goes on; use it as a context manager, which waits at its end.

    Args:
        workers: threads. With one, the calls come in order.
        depth: how many calls may wait or run; further ones make the caller wait.
    """

    def __init__(self, workers: int = 1, depth: int = 8) -> None:
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="behind")
        self._depth = depth
        self._pending: deque[Future[Any]] = deque()

    def call(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Has a function called soon.

        Raises:
            Exception: what an earlier call raised.
        """
        while self._pending and (len(self._pending) >= self._depth or self._pending[0].done()):
            self._pending.popleft().result()
        self._pending.append(self._pool.submit(function, *arguments))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Waits for the calls and raises what one of them raised; after an error those not yet begun are dropped."""
        try:
            while kind is None and self._pending:
                self._pending.popleft().result()
        finally:
            self._pool.shutdown(wait=True, cancel_futures=True)
