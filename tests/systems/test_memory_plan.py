"""Plans: no two arrays that live together overlap; arenas: nothing that is referred to is given out again."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinytorch.kernels.memory import empty, server
from tinytorch.systems.inference.memory_plan import Arena, Lifetime, Recording, plan_memory

pytestmark = pytest.mark.nojit_ok
F32 = np.dtype(np.float32)


@st.composite
def runs(draw):
    n = draw(st.integers(0, 12))
    found = []
    for start in range(n):
        end = draw(st.one_of(st.none(), st.integers(start + 1, n)))
        found.append(Lifetime(draw(st.integers(0, 1000)), start, end))
    return found


@given(runs(), st.sampled_from([1, 64]))
def test_arrays_that_live_together_do_not_overlap(lifetimes, alignment):
    plan = plan_memory(lifetimes, alignment)
    for i, (one, offset) in enumerate(zip(lifetimes, plan.offsets, strict=True)):
        assert (offset is None) == (one.end is None)
        if offset is None:
            continue
        assert offset % alignment == 0
        assert offset + one.bytes <= plan.bytes
        for other, second in list(zip(lifetimes, plan.offsets, strict=True))[:i]:
            if second is not None and one.start < other.end and other.start < one.end:
                assert offset + one.bytes <= second or second + other.bytes <= offset
    assert plan.lower_bound <= plan.bytes <= plan.unshared


def test_a_chain_needs_two_buffers():
    """Each result is read by the next operation: the classic ping-pong."""
    plan = plan_memory([Lifetime(64, i, min(i + 2, 6)) for i in range(6)])
    assert plan.bytes == plan.lower_bound == 128
    assert plan.unshared == 384
    assert str(plan) == "6 arrays in 128 bytes (at least 128; apart 384)"


def test_the_smallest_gap_that_fits_is_taken():
    lives = [
        Lifetime(400, 0, 9),
        Lifetime(300, 1, 4),
        Lifetime(250, 2, 9),
        Lifetime(200, 3, 5),
        Lifetime(180, 5, 9),
    ]
    plan = plan_memory(lives, alignment=1)
    assert plan.offsets == (0, 400, 700, 950, 400)


def chain(x):
    a = empty((4, 8), F32)
    np.add(x, 1, out=a)
    b = empty((4, 8), F32)
    np.multiply(a, 2, out=b)
    view = b[1:]
    del a, b
    c = empty((3, 8), F32)
    np.subtract(view, 3, out=c)
    del view
    d = empty((3, 8), F32)
    np.negative(c, out=d)
    return d


def test_a_recording_has_lifetimes_by_the_last_view():
    result, recording = Recording.of(lambda: chain(np.zeros((4, 8), np.float32)))
    assert (result == 1).all()
    assert recording.lifetimes == [
        Lifetime(128, 0, 2), Lifetime(128, 1, 3), Lifetime(96, 2, 4), Lifetime(96, 3, None)
    ]  # fmt: skip
    assert server.serve is None


def planned(function, *args):
    _, recording = Recording.of(lambda: function(*args))
    return Arena(recording)


def test_a_run_in_an_arena_gives_the_same_and_allocates_in_it():
    x = np.arange(32, dtype=np.float32).reshape(4, 8)
    arena = planned(chain, x)
    first, second = arena.run(chain, x), arena.run(chain, x + 1)
    np.testing.assert_array_equal(first, chain(x))
    np.testing.assert_array_equal(second, chain(x + 1))
    assert arena.misses == 0
    assert arena.plan.bytes == 256 < arena.plan.unshared


def test_what_is_kept_longer_than_recorded_is_not_overwritten():
    kept = []

    def run(keep):
        a = empty((16,), F32)
        a.fill(1)
        if keep:
            kept.append(a[4:])
        del a
        b = empty((16,), F32)
        b.fill(2)
        return float(b.sum())

    arena = planned(run, False)
    assert arena.plan.bytes == 64
    assert arena.run(run, True) == 32
    assert arena.misses == 1, "the second array could not have the first one's place"
    assert arena.run(run, False) == 32
    assert arena.misses == 3
    assert (kept[0] == 1).all()
    kept.clear()
    assert arena.run(run, False) == 32
    assert arena.misses == 3


def test_other_requests_than_recorded_are_served_by_the_pool():
    def run(n):
        return [empty((size,), F32).fill(0) for size in range(1, n)]

    arena = planned(run, 3)
    arena.run(run, 6)
    assert arena.misses == 3
    arena.run(lambda: empty((1,), np.dtype(np.float64)).fill(0))
    assert arena.misses == 4


def test_the_pool_serves_again_after_an_error():
    arena = planned(chain, np.zeros((4, 8), np.float32))
    with pytest.raises(ZeroDivisionError):
        arena.run(lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        Recording.of(lambda: 1 / 0)
    assert server.serve is None
