"""Threads before and behind a loop: order, errors, and that none is left behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from run_tools.background import Behind, ahead


@given(st.lists(st.integers(), max_size=30), st.integers(1, 5))
def test_ahead_is_the_same_items(items: list[int], depth: int) -> None:
    assert list(ahead(items, depth)) == items


def test_ahead_is_so_far_ahead_and_no_further() -> None:
    taken: list[int] = []

    def source() -> Iterator[int]:
        for number in range(100):
            taken.append(number)
            yield number

    items = ahead(source(), 3)
    assert next(items) == 0
    deadline = time.monotonic() + 10
    while len(taken) < 5 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.1)
    # One fetched, three waiting, one in the thread's hand.
    assert taken == [0, 1, 2, 3, 4]
    items.close()


def test_ahead_raises_after_the_items_before() -> None:
    def source() -> Iterator[int]:
        yield 1
        yield 2
        raise OSError("gone")

    items = ahead(source(), 8)
    assert [next(items), next(items)] == [1, 2]
    with pytest.raises(OSError, match="gone"):
        next(items)


def test_ahead_left_early_closes_its_source_and_ends_its_thread() -> None:
    closed = []

    def source() -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            closed.append(threading.current_thread().name)

    before = threading.active_count()
    for _ in ahead(source(), 2):
        break
    items = ahead(source(), 2)
    next(items)
    items.close()
    assert closed[-1] == "ahead" and threading.active_count() == before


def test_behind_with_one_worker_keeps_the_order() -> None:
    done: list[int] = []
    with Behind(1, depth=2) as behind:
        for number in range(20):
            behind.call(done.append, number)
    assert done == list(range(20))


def test_behind_does_not_run_away() -> None:
    gate, running = threading.Event(), []
    with Behind(2, depth=3) as behind:
        for number in range(3):
            behind.call(lambda k: (running.append(k), gate.wait(10)), number)
        blocked = threading.Thread(target=behind.call, args=(running.append, 99))
        blocked.start()
        blocked.join(0.2)
        assert blocked.is_alive()  # the fourth call waits for a place
        gate.set()
        blocked.join(10)
        assert not blocked.is_alive()
    assert sorted(running) == [0, 1, 2, 99]


def test_behind_raises_what_a_call_raised() -> None:
    def fail() -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"), Behind() as behind:
        behind.call(fail)
    with pytest.raises(OSError, match="disk full"), Behind(1, depth=1) as behind:
        for _ in range(3):
            behind.call(fail)


def test_behind_drops_what_has_not_begun_after_an_error() -> None:
    gate, done = threading.Event(), []
    with pytest.raises(KeyError), Behind(1, depth=9) as behind:
        behind.call(gate.wait, 10)
        behind.call(done.append, 1)
        threading.Timer(0.1, gate.set).start()
        raise KeyError("mine")
    assert done == []
