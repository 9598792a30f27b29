"""Threads that share a job: every item once, errors come through, copies work in other processes."""

import os
import pickle
import threading

import pytest

from data_tools.threads import Threads


@pytest.mark.parametrize("count", [1, 2, 3, 8])
@pytest.mark.parametrize("items", [0, 1, 2, 5, 16])
def test_every_item_is_done_once(count, items):
    done = []
    Threads(count).each(done.extend, items)
    assert sorted(done) == list(range(items))


def test_parts_are_worked_on_at_the_same_time():
    # Each part waits for the other: one after the other they would wait forever.
    together = threading.Barrier(2, timeout=30)
    Threads(2).each(lambda _: together.wait() and None, 2)


@pytest.mark.parametrize("bad", [0, 5])
def test_an_error_comes_through_after_all_have_stopped(bad):
    done = []

    def work(part):
        if bad in part:
            raise ValueError(f"item {bad}")
        done.extend(part)

    with pytest.raises(ValueError, match=f"item {bad}"):
        Threads(2).each(work, 6)
    assert done == ([3, 4, 5] if bad == 0 else [0, 1, 2])


def test_a_copy_and_a_forked_process_have_helpers_of_their_own():
    threads, done = Threads(2), []
    threads.each(done.extend, 4)
    pickle.loads(pickle.dumps(threads)).each(done.extend, 4)
    before = threads._pool()
    assert threads._pool() is before
    threads._helpers = (os.getpid() + 1, before)  # as a child would find it
    threads.each(done.extend, 4)
    assert threads._pool() is not before
    assert sorted(done) == sorted([0, 1, 2, 3] * 3)
    before.shutdown()
