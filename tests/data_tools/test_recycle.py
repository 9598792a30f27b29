"""Arrays that are used again, but never while somebody can see them."""

import pickle

import numpy as np

from data_tools.recycle import ALIGNMENT, Recycler


def test_memory_is_used_again_only_when_nobody_looks_at_it():
    pool = Recycler((3, 100))
    first = pool.take()
    assert first.shape == (3, 100) and first.dtype == np.float32 and first.flags.writeable
    address = first.ctypes.data
    assert address % ALIGNMENT == 0
    first[:] = 7.0
    part = first[1:, ::2]
    del first
    others = [pool.take() for _ in range(5)]
    for other in others:
        other[:] = 0.0
    assert (part == 7.0).all()
    del part
    assert pool.take().ctypes.data == address


def test_a_recycler_keeps_no_more_than_it_was_told():
    pool = Recycler((10,), keep=2)
    arrays = [pool.take() for _ in range(6)]
    del arrays
    assert len(pool._free) == 2
    assert pickle.loads(pickle.dumps(pool)).take().shape == (10,)
